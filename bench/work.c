/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The benchmark program: one static binary, run as a process on the host and as init in guests.
 *
 * usage: work [SECONDS-PER-WORKLOAD [NAME-OR-CLASS...]]
 * Prints "NAME CLASS NANOSECONDS" per workload: the median over several batches of the time for one unit of work. As init it
 * takes its arguments from the kernel's command line (bench.seconds=, bench.only=NAME-OR-CLASS,...) and powers off at the end.
 * The classes "exits" and "smp" run only if they are named.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "work.h"

#define BATCHES 9
#define MAX_NAMES 32

volatile uint64_t sink;
const char *self;
char *big1, *big2;

static int init;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

uint32_t next_random(void)
{
	static uint32_t state = 1;

	state ^= state << 13;
	state ^= state >> 17;
	return state ^= state << 5;
}

static void leave(int status)
{
	fflush(stdout);
	if (init)
		reboot(RB_POWER_OFF);
	exit(status);
}

void fail(const char *what)
{
	printf("failed: ");
	fflush(stdout);
	perror(what);
	leave(1);
	abort();
}

static int by_value(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

static void measure(const struct workload *w, const char *class, double seconds)
{
	double batch[BATCHES], start, once;
	unsigned long n, i;

	w->run();
	w->run();
	start = now();
	w->run();
	once = now() - start;
	n = (unsigned long)(seconds * 1e9 / BATCHES / (once > 1 ? once : 1)) + 1;
	for (int b = 0; b < BATCHES; b++) {
		start = now();
		for (i = 0; i < n; i++)
			w->run();
		batch[b] = (now() - start) / (double)n;
	}
	qsort(batch, BATCHES, sizeof(batch[0]), by_value);
	printf("%s %s %.1f\n", w->name, class, batch[BATCHES / 2]);
	fflush(stdout);
}

/* The value of WORD= on the kernel's command line, or NULL. */
static char *parameter(const char *word)
{
	static char line[4096];
	char *p;
	int fd = open("/proc/cmdline", O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = 0;
	p = strstr(line, word);
	if (!p)
		return NULL;
	p += strlen(word);
	p[strcspn(p, " \n")] = 0;
	return strdup(p);
}

/* The names that were asked for; none: everything but the classes that must be named. */
static char *names[MAX_NAMES + 1];

static void take_names(char *list)
{
	int n = 0;

	for (char *word = strtok(list, ","); word && n < MAX_NAMES; word = strtok(NULL, ","))
		names[n++] = word;
}

static int named(const char *name)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return 1;
	return 0;
}

static void run_class(const struct workload_class *class, double seconds)
{
	int whole = names[0] ? named(class->name) : !class->only_if_named;

	for (const struct workload *w = class->workloads; w->name; w++)
		if (whole || named(w->name))
			measure(w, class->name, seconds);
}

static void become_init(double *seconds)
{
	char *p;

	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mkdir("/tmp", 0755);
	p = parameter("bench.seconds=");
	if (p)
		*seconds = atof(p);
	p = parameter("bench.only=");
	if (p)
		take_names(p);
	printf("init up\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const struct workload_class *const classes[] = {
		&integer_class, &memory_class, &simd_class,  &os_class,
		&shell_class,   &code_class,   &exits_class, &smp_class
	};
	double seconds = argc > 1 ? atof(argv[1]) : 0.2;

	if (argc > 1 && !strcmp(argv[1], "-exit"))
		return 0;
	init = getpid() == 1;
	self = init ? "/init" : "/proc/self/exe";
	if (init)
		become_init(&seconds);
	else
		for (int i = 2; i < argc && i < MAX_NAMES + 2; i++)
			names[i - 2] = argv[i];
	if (named("none"))
		leave(0);
	big1 = aligned_alloc(4096, BIG);
	big2 = aligned_alloc(4096, BIG);
	if (!big1 || !big2)
		fail("memory");
	memset(big1, 1, BIG);
	memset(big2, 2, BIG);
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		run_class(classes[i], seconds);
	printf("done\n");
	leave(0);
}
