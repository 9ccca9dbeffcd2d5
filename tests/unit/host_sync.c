/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* srcu and waiting: nothing is freed under a reader, no wake-up is lost. */
#include "unit.h"
#include "host.h"
#include "host_tests.h"

#define READERS 4
#define PUBLISHED 3000

struct snapshot {
	u64 alive;
};

static struct host_srcu srcu;
static struct snapshot *current;
static bool done;
static u64 dead_seen, reads;

static void *reader(void *arg)
{
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		int outer = host_srcu_read_lock(&srcu), inner = host_srcu_read_lock(&srcu);
		struct snapshot *s = __atomic_load_n(&current, __ATOMIC_ACQUIRE);

		host_srcu_read_unlock(&srcu, inner);
		if (__atomic_load_n(&s->alive, __ATOMIC_RELAXED) != 1)
			__atomic_fetch_add(&dead_seen, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED);
		host_srcu_read_unlock(&srcu, outer);
	}
	return NULL;
}

static void srcu_readers_never_see_freed_data(void **state)
{
	static struct snapshot two[2];
	pthread_t thread[READERS];
	unsigned i;

	done = false;
	two[0].alive = 1;
	current = &two[0];
	expect_eq(host_srcu_init(&srcu), 0);
	for (i = 0; i < READERS; i++)
		pthread_create(&thread[i], NULL, reader, NULL);
	while (!__atomic_load_n(&reads, __ATOMIC_RELAXED))
		host_resched();
	for (i = 0; i < PUBLISHED; i++) {
		struct snapshot *old = current, *new = &two[(i + 1) & 1];

		__atomic_store_n(&new->alive, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&current, new, __ATOMIC_SEQ_CST);
		host_srcu_synchronize(&srcu);
		__atomic_store_n(&old->alive, 0, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	for (i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	expect_eq(dead_seen, 0);
	host_srcu_destroy(&srcu);
}

static u32 synchronized, kicks;

/* The synchronizer calls it each time that it finds a reader. */
static void count_kick(void *arg)
{
	__atomic_fetch_add(&kicks, 1, __ATOMIC_SEQ_CST);
}

static void *synchronizer(void *arg)
{
	host_srcu_synchronize(&srcu);
	__atomic_store_n(&synchronized, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void srcu_waits_for_an_old_reader(void **state)
{
	pthread_t thread;
	int idx;

	expect_eq(host_srcu_init(&srcu), 0);
	host_srcu_set_kick(&srcu, count_kick, NULL);
	idx = host_srcu_read_lock(&srcu);
	synchronized = kicks = 0;
	pthread_create(&thread, NULL, synchronizer, NULL);
	/* Twice: it has waited for us and not gone on. */
	while (__atomic_load_n(&kicks, __ATOMIC_SEQ_CST) < 2)
		sched_yield();
	expect_eq(__atomic_load_n(&synchronized, __ATOMIC_SEQ_CST), 0);
	/* New readers come and go without helping or harming. */
	host_srcu_read_unlock(&srcu, host_srcu_read_lock(&srcu));
	expect_eq(__atomic_load_n(&synchronized, __ATOMIC_SEQ_CST), 0);
	host_srcu_read_unlock(&srcu, idx);
	pthread_join(thread, NULL);
	expect_eq(synchronized, 1);
	host_srcu_destroy(&srcu);
}

/* --- waiting ---------------------------------------------------------------------------------- */

#define PINGS 20000

struct ping {
	struct host_wait wait[2];
	u32 turn; /* whose turn it is: 0 or 1 */
};

static bool pong_turn(void *arg)
{
	return __atomic_load_n(&((struct ping *)arg)->turn, __ATOMIC_ACQUIRE) == 1;
}

static bool ping_turn(void *arg)
{
	return __atomic_load_n(&((struct ping *)arg)->turn, __ATOMIC_ACQUIRE) == 0;
}

static void *ponger(void *arg)
{
	struct ping *p = arg;
	unsigned i;

	for (i = 0; i < PINGS; i++) {
		if (host_wait_until(&p->wait[1], pong_turn, p, 0))
			return p;
		__atomic_store_n(&p->turn, 0, __ATOMIC_RELEASE);
		host_wake(&p->wait[0]);
	}
	return NULL;
}

static void no_wakeup_is_lost(void **state)
{
	struct ping p = { .turn = 0 };
	pthread_t thread;
	unsigned i;
	void *bad;

	host_wait_init(&p.wait[0]);
	host_wait_init(&p.wait[1]);
	pthread_create(&thread, NULL, ponger, &p);
	for (i = 0; i < PINGS; i++) {
		__atomic_store_n(&p.turn, 1, __ATOMIC_RELEASE);
		host_wake(&p.wait[1]);
		/* A lost wake-up would show as a time-out. */
		expect_eq(host_wait_until(&p.wait[0], ping_turn, &p, host_now_ns() + 10000000000ull), 0);
	}
	pthread_join(thread, &bad);
	assert_null(bad);
}

static bool never(void *arg)
{
	return false;
}

static void waiting_times_out(void **state)
{
	struct host_wait w;
	u64 start = host_now_ns();

	host_wait_init(&w);
	expect_error(host_wait_until(&w, never, NULL, start + 20000000), ETIMEDOUT);
	expect_true(host_now_ns() - start >= 20000000);
	expect_error(host_wait_until(&w, never, NULL, 1), ETIMEDOUT);
	host_wait_destroy(&w);
}

int host_sync_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(srcu_readers_never_see_freed_data),
		cmocka_unit_test(srcu_waits_for_an_old_reader),
		cmocka_unit_test(no_wakeup_is_lost),
		cmocka_unit_test(waiting_times_out),
	};

	return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
