/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Messages to standard error; ANYKVM_LOG=error|warn|info|debug says which (default: warn). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "posix.h"

static const char *const names[] = { "error", "warn", "info", "debug" };
static enum host_log_level threshold = LOG_WARN;

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static void read_level(void)
{
	const char *s = getenv("ANYKVM_LOG");
	unsigned i;

	for (i = 0; s && i < ARRAY_SIZE(names); i++)
		if (same(s, names[i]))
			threshold = (enum host_log_level)i;
}

void host_log(enum host_log_level level, const char *fmt, ...)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct vector_state vectors;
	char line[512];
	int saved = errno, n, m;
	va_list ap;

	/* Before getenv: libc's string functions use vector registers. */
	vector_save(&vectors);
	pthread_once(&once, read_level);
	if (level <= threshold) {
		n = snprintf(line, sizeof(line), "anykvm: %s: ", names[level]);
		va_start(ap, fmt);
		m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
		va_end(ap);
		if (m > 0)
			n += m < (int)sizeof(line) - n - 2 ? m : (int)sizeof(line) - n - 2;
		line[n++] = '\n';
		if (sys_write(STDERR_FILENO, line, (size_t)n) < 0)
			n = 0; /* nowhere to say so */
	}
	vector_restore(&vectors);
	errno = saved;
}
