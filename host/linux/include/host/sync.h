/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The embedded types of host.h for the kernel: room for the kernel's own, whose headers freestanding sources do not see. host/linux
 * checks the sizes.
 */
#ifndef HOST_SYNC_H
#define HOST_SYNC_H

#include <host/types.h>

struct host_mutex {
	u64 room[24]; /* struct mutex, with lockdep */
};

struct host_lock {
	u64 room[10]; /* raw_spinlock_t */
};

struct host_wait {
	u64 room[14]; /* struct swait_queue_head */
};

struct host_srcu {
	void *s; /* struct srcu_struct, allocated: large */
	void (*kick)(void *arg);
	void *kick_arg;
};

struct host_timer {
	u64 room[24]; /* struct hrtimer */
	void (*fn)(void *arg);
	void *arg;
};

#endif /* HOST_SYNC_H */
