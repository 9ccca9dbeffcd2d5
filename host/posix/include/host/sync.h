/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The embedded types of host.h for user space. Their insides belong to host/posix alone. */
#ifndef HOST_SYNC_H
#define HOST_SYNC_H

#include <pthread.h>
#include <host/types.h>

struct host_mutex {
	pthread_mutex_t m;
};

struct host_lock {
	pthread_mutex_t m;
};

/* seq counts wake-ups and is the futex word; sleeping tells wakers that a system call is needed. */
struct host_wait {
	u32 seq;
	u32 sleeping;
};

/*
 * Readers count themselves in one of several cells, chosen by thread, each on a cache line of its own;
 * each cell has one counter for each phase. See srcu.c.
 */
#define HOST_SRCU_CELLS 8
struct host_srcu_cell {
	u32 count[2];
} __attribute__((aligned(64)));

struct host_srcu {
	u32 phase;
	u32 waiting; /* a writer sleeps on a counter */
	pthread_mutex_t writers;
	void (*kick)(void *arg); /* makes readers leave; NULL: they do so by themselves */
	void *kick_arg;
	struct host_srcu_cell cell[HOST_SRCU_CELLS];
};

/* Node of the pairing heap of timer.c. */
struct host_timer {
	void (*fn)(void *arg);
	void *arg;
	u64 expires;
	struct host_timer *child, *next, *prev; /* prev: the left sibling, or the parent of a first child */
	bool queued;
};

#endif /* HOST_SYNC_H */
