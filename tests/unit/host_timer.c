/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Timers: order, re-arming, cancelling; clocks. */
#include <stdlib.h>
#include "unit.h"
#include "host.h"
#include "host_tests.h"

#define MS 1000000ull
#define MANY 500

static void sleep_ms(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static u32 fired, out_of_order, early;

struct one {
	struct host_timer t;
	u64 due;
};

static u64 last_due;

static void fire(void *arg)
{
	struct one *o = arg;

	early += host_now_ns() < o->due;
	out_of_order += o->due < last_due;
	last_due = o->due;
	__atomic_fetch_add(&fired, 1, __ATOMIC_SEQ_CST);
}

static void wait_for(u32 *count, u32 n)
{
	unsigned i;

	for (i = 0; i < 5000 && __atomic_load_n(count, __ATOMIC_SEQ_CST) < n; i++)
		sleep_ms(1);
	expect_eq(__atomic_load_n(count, __ATOMIC_SEQ_CST), n);
}

static void count(void *arg)
{
	__atomic_fetch_add((u32 *)arg, 1, __ATOMIC_SEQ_CST);
}

/* Return when all that was due before deadline has fired: timers fire in the order of their times. */
static void wait_until_past(u64 deadline)
{
	struct host_timer last;
	u32 n = 0;

	host_timer_init(&last, count, &n);
	host_timer_start(&last, deadline);
	wait_for(&n, 1);
	host_timer_destroy(&last);
}

static void many_timers_fire_in_order(void **state)
{
	static struct one many[MANY];
	u64 base = host_now_ns() + 50 * MS;
	unsigned i, cancelled = 0;

	fired = out_of_order = early = 0;
	last_due = 0;
	srand(1);
	for (i = 0; i < MANY; i++) {
		many[i].due = base + (u64)(rand() % 100) * MS / 2;
		host_timer_init(&many[i].t, fire, &many[i]);
		host_timer_start(&many[i].t, many[i].due + 5 * MS);
	}
	for (i = 0; i < MANY; i++) {
		host_timer_start(&many[i].t, many[i].due); /* moved */
		if (i % 3 == 0) {
			host_timer_cancel(&many[i].t);
			cancelled++;
		}
	}
	wait_for(&fired, MANY - cancelled);
	wait_until_past(base + 60 * MS); /* all times, moved or not */
	expect_eq(fired, MANY - cancelled);
	expect_eq(early, 0);
	expect_eq(out_of_order, 0);
	for (i = 0; i < MANY; i++)
		host_timer_destroy(&many[i].t);
}

struct ticker {
	struct host_timer t;
	u32 ticks;
	u32 inside;
	bool slow;
};

static void tick(void *arg)
{
	struct ticker *k = arg;

	__atomic_store_n(&k->inside, 1, __ATOMIC_SEQ_CST);
	if (k->slow)
		sleep_ms(30);
	__atomic_fetch_add(&k->ticks, 1, __ATOMIC_SEQ_CST);
	host_timer_start(&k->t, host_now_ns() + MS);
	__atomic_store_n(&k->inside, 0, __ATOMIC_SEQ_CST);
}

static void timer_arms_itself(void **state)
{
	struct ticker k = { .ticks = 0 };
	u32 n;

	host_timer_init(&k.t, tick, &k);
	host_timer_start(&k.t, 0);
	while (__atomic_load_n(&k.ticks, __ATOMIC_SEQ_CST) < 10)
		sleep_ms(1);
	host_timer_cancel(&k.t);
	n = __atomic_load_n(&k.ticks, __ATOMIC_SEQ_CST);
	wait_until_past(host_now_ns() + 2 * MS);
	expect_eq(__atomic_load_n(&k.ticks, __ATOMIC_SEQ_CST), n);
	host_timer_destroy(&k.t);
}

static void cancel_waits_for_the_callback(void **state)
{
	struct ticker k = { .slow = true };

	host_timer_init(&k.t, tick, &k);
	host_timer_start(&k.t, host_now_ns());
	while (!__atomic_load_n(&k.inside, __ATOMIC_SEQ_CST))
		sleep_ms(1);
	host_timer_cancel(&k.t);
	expect_eq(__atomic_load_n(&k.inside, __ATOMIC_SEQ_CST), 0);
	expect_eq(k.ticks, 1);
	host_timer_destroy(&k.t);
}

static void clocks(void **state)
{
	u64 ns = host_now_ns(), tsc = host_tsc(), khz = host_tsc_khz(), dns, dtsc;

	sleep_ms(50);
	dns = host_now_ns() - ns;
	dtsc = host_tsc() - tsc;
	expect_true(dns >= 50 * MS);
	/* Within a thousandth of what was measured. */
	expect_true(dtsc / (khz / 1000) > dns / 1000 * 999 / 1000 && dtsc / (khz / 1000) < dns / 1000 * 1001 / 1000);
	expect_true(host_boottime_ns() >= ns);
	expect_true(host_realtime_ns() > 1700000000ull * 1000000000);
}

int host_timer_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_timers_fire_in_order),
		cmocka_unit_test(timer_arms_itself),
		cmocka_unit_test(cancel_waits_for_the_callback),
		cmocka_unit_test(clocks),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
