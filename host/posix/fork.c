/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * fork(): the child has the library's memory but not its threads. As with the kernel, VMs stay with the
 * process that made them: handles made before the fork fail with -EIO in the child (handle.c); a handle
 * made in the child starts threads of its own.
 */
#include "injected.h"
#include "posix.h"

u32 host_fork_count;

void host_after_fork(void)
{
	__atomic_fetch_add(&host_fork_count, 1, __ATOMIC_RELAXED);
	signal_after_fork();
	timer_after_fork();
	monitor_after_fork();
	eventfd_after_fork();
	cpu_after_fork();
	trace_after_fork();
}

static void install(void)
{
	pthread_atfork(NULL, NULL, host_after_fork);
}

void fork_watch(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
}
