/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "message.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_bool raw_lines;

void message_raw(bool raw)
{
	raw_lines = raw;
}

void message(const char *format, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n < 0)
		return;
	/* One write per line, so that lines of several threads and processes stay whole. */
	dprintf(STDERR_FILENO, "anykvm: %s%s\n", text, raw_lines ? "\r" : "");
}
