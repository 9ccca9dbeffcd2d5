/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The workloads of the benchmark program: each class has a file with its table.
 *
 * A workload is a function that does one unit of work, microseconds to a few milliseconds on the bare CPU; it prepares what it needs
 * at its first call (calls before the measurement warm it up) and dies by fail() where it cannot work.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stdint.h>

struct workload {
	const char *name;
	void (*run)(void);
};

struct workload_class {
	const char *name;
	const struct workload *workloads; /* ends with a NULL name */
	int only_if_named;                /* not part of a whole run */
};

extern const struct workload_class integer_class, memory_class, simd_class, os_class, shell_class, code_class,
	exits_class, smp_class;

/* Results go here, so that the compiler cannot drop the work. */
extern volatile uint64_t sink;

/* The program's own file, to execute. */
extern const char *self;

/* Two buffers of this many bytes that are written already. */
#define BIG (16u << 20)
extern char *big1, *big2;

/* A fixed sequence of pseudo-random numbers. */
uint32_t next_random(void);

void fail(const char *what) __attribute__((noreturn));

#endif
