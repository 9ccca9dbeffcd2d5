/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Clocks and timers. */
#include <linux/hrtimer.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <asm/tsc.h>
#include "linux.h"

u64 host_now_ns(void)
{
	return ktime_get_ns();
}

u64 host_boottime_ns(void)
{
	return ktime_get_boottime_ns();
}

u64 host_realtime_ns(void)
{
	return ktime_get_real_ns();
}

u64 host_tsc(void)
{
	return rdtsc_ordered();
}

u32 host_tsc_khz(void)
{
	return tsc_khz;
}

static struct hrtimer *hrtimer_of(struct host_timer *t)
{
	BUILD_BUG_ON(sizeof(struct hrtimer) > sizeof(t->room));
	return (struct hrtimer *)t->room;
}

static enum hrtimer_restart fire(struct hrtimer *h)
{
	struct host_timer *t = container_of((void *)h, struct host_timer, room);

	/* It may start the timer again itself. */
	t->fn(t->arg);
	return HRTIMER_NORESTART;
}

void host_timer_init(struct host_timer *t, void (*fn)(void *arg), void *arg)
{
	hrtimer_init(hrtimer_of(t), CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	hrtimer_of(t)->function = fire;
	t->fn = fn;
	t->arg = arg;
}

void host_timer_start(struct host_timer *t, u64 expires_ns)
{
	/* ktime_t is signed. */
	hrtimer_start(hrtimer_of(t), ns_to_ktime(min_t(u64, expires_ns, KTIME_MAX)), HRTIMER_MODE_ABS_HARD);
}

void host_timer_cancel(struct host_timer *t)
{
	hrtimer_cancel(hrtimer_of(t));
}

void host_timer_destroy(struct host_timer *t)
{
	hrtimer_cancel(hrtimer_of(t));
}

u64 host_run_time_ns(void)
{
	return current->se.sum_exec_runtime;
}

u64 host_run_delay_ns(void)
{
#ifdef CONFIG_SCHED_INFO
	return current->sched_info.run_delay;
#else
	return 0;
#endif
}
