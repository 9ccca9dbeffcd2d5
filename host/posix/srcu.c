/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Sleepable read-copy-update: readers count themselves in and out under the current phase; a writer turns
 * the phase and waits until the counters of the old one are zero.
 *
 * A reader may read the phase, be delayed, and count itself under a phase that has been turned meanwhile.
 * The writer that did not wait for it had published before; the next writer first waits for such
 * stragglers in the phase that it is about to make current.
 */
#include <limits.h>
#include "posix.h"

static unsigned this_cell(void)
{
	static u32 threads;
	static __thread u32 mine __attribute__((tls_model("initial-exec")));

	if (!mine)
		mine = __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
	return mine % HOST_SRCU_CELLS;
}

int host_srcu_init(struct host_srcu *s)
{
	memset(s, 0, sizeof(*s));
	return pthread_mutex_init(&s->writers, NULL) ? -ENOMEM : 0;
}

int host_srcu_read_lock(struct host_srcu *s)
{
	unsigned cell = this_cell();
	unsigned phase = __atomic_load_n(&s->phase, __ATOMIC_RELAXED) & 1;

	__atomic_fetch_add(&s->cell[cell].count[phase], 1, __ATOMIC_SEQ_CST);
	return (int)(cell * 2 + phase);
}

void host_srcu_read_unlock(struct host_srcu *s, int idx)
{
	u32 *count = &s->cell[idx / 2].count[idx & 1];

	if (__atomic_sub_fetch(count, 1, __ATOMIC_SEQ_CST) == 0 && __atomic_load_n(&s->waiting, __ATOMIC_SEQ_CST))
		futex_wake(count, INT_MAX);
}

#define KICK_EVERY_NS 1000000

void host_srcu_set_kick(struct host_srcu *s, void (*kick)(void *arg), void *arg)
{
	s->kick = kick;
	s->kick_arg = arg;
}

static void wait_phase(struct host_srcu *s, unsigned phase)
{
	unsigned i;
	u32 n;

	for (i = 0; i < HOST_SRCU_CELLS; i++) {
		u32 *count = &s->cell[i].count[phase];

		while ((n = __atomic_load_n(count, __ATOMIC_SEQ_CST))) {
			if (s->kick)
				s->kick(s->kick_arg);
			futex_wait(count, n, s->kick ? host_now_ns() + KICK_EVERY_NS : 0);
		}
	}
}

void host_srcu_synchronize(struct host_srcu *s)
{
	unsigned old;

	pthread_mutex_lock(&s->writers);
	old = s->phase & 1;
	__atomic_store_n(&s->waiting, 1, __ATOMIC_SEQ_CST);
	wait_phase(s, !old);
	__atomic_store_n(&s->phase, !old, __ATOMIC_SEQ_CST);
	wait_phase(s, old);
	__atomic_store_n(&s->waiting, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&s->writers);
}

void host_srcu_destroy(struct host_srcu *s)
{
	pthread_mutex_destroy(&s->writers);
}
