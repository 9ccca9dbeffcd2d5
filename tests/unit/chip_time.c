/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* host/posix/time.c and timer.c for tests: time is a variable. */
#include "posix.h"
#include "chip_fake.h"

#define MAX_TIMERS 64

static u64 now = 1000000000;
static struct host_timer *armed[MAX_TIMERS];
static unsigned nr_armed;

u64 host_now_ns(void)
{
	return now;
}

u64 host_boottime_ns(void)
{
	return now;
}

u64 host_realtime_ns(void)
{
	return now;
}

u64 host_tsc(void)
{
	return now * (FAKE_TSC_KHZ / 1000000);
}

u32 host_tsc_khz(void)
{
	return FAKE_TSC_KHZ;
}

struct timespec host_timespec(u64 ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
}

void host_timer_init(struct host_timer *t, void (*fn)(void *arg), void *arg)
{
	*t = (struct host_timer){ .fn = fn, .arg = arg };
}

void host_timer_cancel(struct host_timer *t)
{
	unsigned i;

	for (i = 0; i < nr_armed; i++) {
		if (armed[i] == t) {
			armed[i] = armed[--nr_armed];
			return;
		}
	}
}

void host_timer_start(struct host_timer *t, u64 expires_ns)
{
	host_timer_cancel(t);
	t->expires = expires_ns;
	if (nr_armed < MAX_TIMERS)
		armed[nr_armed++] = t;
}

void host_timer_destroy(struct host_timer *t)
{
	host_timer_cancel(t);
}

unsigned fake_timers(void)
{
	return nr_armed;
}

void fake_advance_late(u64 ns)
{
	now += ns;
}

void fake_advance(u64 ns)
{
	u64 end = now + ns;

	for (;;) {
		struct host_timer *first = NULL;
		unsigned i;

		for (i = 0; i < nr_armed; i++)
			if (!first || armed[i]->expires < first->expires)
				first = armed[i];
		if (!first || first->expires > end)
			break;
		if (first->expires > now)
			now = first->expires;
		host_timer_cancel(first);
		first->fn(first->arg);
	}
	now = end;
}

void monitor_after_fork(void)
{
}

void timer_after_fork(void)
{
}
