/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Files for whoever works on the engines (host.h, "traces"), named by the environment. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "posix.h"

static const char *const variables[HOST_TRACES] = {
	[TRACE_TRANSLATIONS] = "ANYKVM_TRANSLATIONS",
	[TRACE_COUNTERS] = "ANYKVM_COUNTERS",
	[TRACE_PERF_MAP] = "ANYKVM_PERF_MAP",
};
static FILE *files[HOST_TRACES]; /* I after open_files */
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define MAX_FINAL 64
static struct {
	void (*fn)(void *arg);
	void *arg;
} final[MAX_FINAL];
static pthread_mutex_t final_lock = PTHREAD_MUTEX_INITIALIZER;

static void run_final(void)
{
	unsigned n;

	pthread_mutex_lock(&final_lock);
	for (n = 0; n < MAX_FINAL; n++)
		if (final[n].fn)
			final[n].fn(final[n].arg);
	pthread_mutex_unlock(&final_lock);
}

static FILE *open_trace(enum host_trace t)
{
	char perf_map[40];
	const char *name = getenv(variables[t]);
	FILE *f;

	if (!name || !*name)
		return NULL;
	if (t == TRACE_PERF_MAP) {
		snprintf(perf_map, sizeof(perf_map), "/tmp/perf-%d.map", (int)getpid());
		name = perf_map;
	}
	if (name[0] == '-' && !name[1])
		return stderr;
	f = fopen(name, "we");
	if (!f)
		fprintf(stderr, "anykvm: %s: %s\n", name, strerror(errno));
	/* A profile is read while the program runs, or after it was killed. */
	else if (t == TRACE_PERF_MAP)
		setvbuf(f, NULL, _IOLBF, 0);
	return f;
}

static void open_files(void)
{
	unsigned t;

	for (t = 0; t < HOST_TRACES; t++)
		files[t] = open_trace((enum host_trace)t);
	atexit(run_final);
}

bool host_trace_wanted(enum host_trace t)
{
	struct vector_state vectors;
	int saved = errno;

	vector_save(&vectors);
	pthread_once(&once, open_files);
	vector_restore(&vectors);
	errno = saved;
	return files[t];
}

void host_trace(enum host_trace t, const char *fmt, ...)
{
	struct vector_state vectors;
	int saved = errno;
	va_list ap;

	if (!host_trace_wanted(t))
		return;
	vector_save(&vectors);
	va_start(ap, fmt);
	vfprintf(files[t], fmt, ap);
	va_end(ap);
	vector_restore(&vectors);
	errno = saved;
}

void trace_after_fork(void)
{
	pthread_mutex_init(&final_lock, NULL);
}

void host_at_exit(void (*fn)(void *arg), void *arg)
{
	unsigned n;

	pthread_mutex_lock(&final_lock);
	for (n = 0; n < MAX_FINAL && final[n].fn; n++)
		;
	if (n < MAX_FINAL) {
		final[n].fn = fn;
		final[n].arg = arg;
	}
	pthread_mutex_unlock(&final_lock);
}

void host_not_at_exit(void *arg)
{
	unsigned n;

	pthread_mutex_lock(&final_lock);
	for (n = 0; n < MAX_FINAL; n++)
		if (final[n].arg == arg)
			final[n].fn = NULL;
	pthread_mutex_unlock(&final_lock);
}
