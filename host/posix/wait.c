/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Futexes, and sleeping on them without losing a wake-up or a signal. */
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include "posix.h"

void futex_wait(u32 *word, u32 val, u64 deadline_ns)
{
	struct timespec ts = host_timespec(deadline_ns);
	int saved = errno;

	/* The bitset form takes an absolute CLOCK_MONOTONIC time. */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, val, deadline_ns ? &ts : NULL, NULL,
		FUTEX_BITSET_MATCH_ANY);
	errno = saved;
}

void futex_wake(u32 *word, int n)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, NULL, NULL, 0);
	errno = saved;
}

void host_wait_init(struct host_wait *w)
{
	w->seq = 0;
	w->sleeping = 0;
}

void host_wait_destroy(struct host_wait *w)
{
}

/*
 * The order is what makes it safe: the sleeper announces itself, reads seq, then looks at the condition.
 * A waker that comes later changes seq and sees the announcement; a signal handler of this thread changes
 * seq as well (signal.c), so a futex_wait that starts after it returns at once.
 */
/* GCC's null check of a thread-local's address tests the flags of an instruction that the linker may replace. */
__attribute__((no_sanitize("null"))) int host_wait_until(struct host_wait *w, bool (*cond)(void *arg), void *arg,
							 u64 deadline_ns)
{
	struct host_thread *t = &host_thread;
	int ret;

	__atomic_store_n(&t->wait_seq, &w->seq, __ATOMIC_RELAXED);
	__atomic_store_n(&w->sleeping, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		u32 seq = __atomic_load_n(&w->seq, __ATOMIC_SEQ_CST);

		ret = 0;
		if (cond(arg))
			break;
		ret = -EINTR;
		if (host_signal_pending())
			break;
		ret = -ETIMEDOUT;
		if (deadline_ns && host_now_ns() >= deadline_ns)
			break;
		futex_wait(&w->seq, seq, deadline_ns);
	}
	__atomic_store_n(&w->sleeping, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&t->wait_seq, NULL, __ATOMIC_RELAXED);
	return ret;
}

void host_wake(struct host_wait *w)
{
	__atomic_fetch_add(&w->seq, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&w->sleeping, __ATOMIC_SEQ_CST))
		futex_wake(&w->seq, 1);
}

void host_yield(void)
{
	sched_yield();
}

void host_resched(void)
{
	/* Threads are preempted by the kernel; nothing to give up. */
}

/* Nobody tells a process; spinning costs it part of its share at most. */
bool host_cpu_is_ours(void)
{
	return true;
}
