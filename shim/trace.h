/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * trace.h - a line per KVM ioctl in the file that ANYKVM_TRACE names (`anykvm run --trace FILE`):
 *
 *	SECONDS THREAD fd N NAME(ARGUMENT) = RESULT [exit reason]
 *
 * Several processes may write to one file: it is opened for appending, and each line is one write.
 */
#ifndef SHIM_TRACE_H
#define SHIM_TRACE_H

#include <stdbool.h>
#include "fdtable.h"

/* Called once, before threads. False: the file cannot be opened; nothing is traced. */
bool trace_start(void);

extern bool trace_on; /* constant after trace_start */

/* result: what ioctl() returns, with errno where it is -1. Keeps errno. */
void trace_ioctl(int fd, const struct shim_object *o, unsigned long request, const void *arg, int result);

#endif /* SHIM_TRACE_H */
