/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * watch.h - the monitor files (monitor.h) of running processes: finding, mapping, asking for times and records.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "monitor.h"

struct watched {
	struct watched *next;
	pid_t pid; /* as we see it; 0: a file of a process that may have ended */
	dev_t dev; /* of the file: a forked child shows its parent's, too */
	ino_t ino;
	char name[32]; /* of the program; empty if not known */
	struct monitor_file *file;
	uint64_t next_record; /* of the trace: the index to read next */
};

/*
 * Add those of process pid (0: of all that we may look at) to the list; those that are there already stay. Returns how many
 * are new. denied, if not NULL, is set if a process could not be looked at.
 */
unsigned watch_find(struct watched **list, pid_t pid, bool *denied);

/* Add a file by its path. False: it is none (message if loud). */
bool watch_add_file(struct watched **list, const char *path, bool loud);

/* Take out and unmap those whose process has ended. */
void watch_drop_dead(struct watched **list);
void watch_free(struct watched **list);

/* Ask for MONITOR_TIMES or MONITOR_TRACE for the next so many seconds. */
void watch_ask(struct watched *w, unsigned what, double seconds);
void watch_stop(struct watched *w, unsigned what);

/* TSC ticks per nanosecond, and an instant in nanoseconds of CLOCK_MONOTONIC; better the older the file is. */
double watch_ticks_per_ns(const struct watched *w);
double watch_instant(const struct watched *w, uint64_t tsc);

#endif
