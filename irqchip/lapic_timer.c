/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The local APIC's timer: one-shot, periodic, TSC deadline (SDM, "APIC Timer"). The callback of the
 * host's timer may be late, or have been overtaken by a stop or a new start: it does nothing unless the
 * timer is armed and its target is reached, so nobody needs to wait for it with the lock held.
 */
#include "chips.h"

#define MIN_PERIOD_NS 200000 /* a periodic guest timer must not eat the host; KVM's min_timer_period_us */
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)

static bool tsc_deadline_mode(const struct lapic *a)
{
	return a->timer.mode == APIC_TIMER_TSC_DEADLINE;
}

u32 lapic_timer_modes(struct lapic *a)
{
	const struct kvm_cpuid_entry2 *e = a->v->cpuid;
	u32 i;

	for (i = 0; i < a->v->nr_cpuid; i++)
		if (e[i].function == 1)
			return e[i].ecx & CPUID_1_ECX_TSC_DEADLINE ? APIC_TIMER_MODE_MASK : APIC_TIMER_PERIODIC;
	return APIC_TIMER_PERIODIC;
}

/* --- arming ----------------------------------------------------------------------------------- */

/* Under the lock. */
static void arm(struct lapic_timer *t, u64 target)
{
	t->target = target;
	t->armed = true;
	host_timer_start(&t->timer, target);
}

/* Under the lock. A host timer that is still queued finds nothing armed. */
static void disarm(struct lapic_timer *t)
{
	t->armed = false;
}

/* --- counting --------------------------------------------------------------------------------- */

/* Under the lock. */
static void set_period(struct lapic *a)
{
	struct lapic_timer *t = &a->timer;

	t->period = (u64)apic_get(a, APIC_TMICT) * t->divide;
	if (t->mode == APIC_TIMER_PERIODIC && t->period && t->period < MIN_PERIOD_NS)
		t->period = MIN_PERIOD_NS;
}

/* Under the lock: run for ns from now on. */
static void run_for(struct lapic *a, u64 ns)
{
	struct lapic_timer *t = &a->timer;

	set_period(a);
	if (t->period)
		arm(t, host_now_ns() + (ns < t->period ? ns : t->period));
	else
		disarm(t);
}

/* Under the lock. Nanoseconds to the next expiry. */
static u64 remaining(const struct lapic_timer *t)
{
	u64 now = host_now_ns();

	return t->armed && t->target > now ? t->target - now : 0;
}

u32 lapic_timer_count(struct lapic *a)
{
	struct lapic_timer *t = &a->timer;
	unsigned long state;
	u64 left;

	if (tsc_deadline_mode(a))
		return 0;
	state = host_lock_acquire(&t->lock);
	left = remaining(t);
	/* A periodic expiry whose callback is late has begun the next period all the same. */
	if (t->armed && !left && t->mode == APIC_TIMER_PERIODIC && t->period)
		left = t->period - (host_now_ns() - t->target) % t->period;
	host_lock_release(&t->lock, state);
	return (u32)(left / t->divide);
}

static void expired(void *arg);

void lapic_timer_catch_up(struct lapic *a)
{
	expired(a);
}

void lapic_timer_start(struct lapic *a)
{
	struct lapic_timer *t = &a->timer;
	unsigned long state;

	if (tsc_deadline_mode(a))
		return;
	lapic_timer_catch_up(a);
	state = host_lock_acquire(&t->lock);
	run_for(a, ~0ull);
	host_lock_release(&t->lock, state);
}

static u32 divide_by(u32 tdcr)
{
	u32 shift = ((tdcr & 3) | (tdcr >> 1 & 4)) + 1;

	return 1u << (shift & 7); /* 111b: by 1 */
}

void lapic_timer_set_divide(struct lapic *a)
{
	struct lapic_timer *t = &a->timer;
	u32 divide = divide_by(apic_get(a, APIC_TDCR));
	unsigned long state = host_lock_acquire(&t->lock);
	u32 old = t->divide;

	t->divide = divide;
	/* The count that is left stays; what changes is how long it takes. */
	if (old != divide && t->armed && !tsc_deadline_mode(a))
		run_for(a, mul_div(remaining(t), divide, old));
	host_lock_release(&t->lock, state);
}

/* --- TSC deadline ----------------------------------------------------------------------------- */

/* Under the lock. */
static void arm_deadline(struct lapic *a)
{
	struct lapic_timer *t = &a->timer;
	u64 tsc = vcpu_read_tsc(a->v), now = host_now_ns(), ns;
	u32 khz = a->v->tsc_khz ? a->v->tsc_khz : host_tsc_khz();

	if (!t->tsc_deadline) {
		disarm(t);
		return;
	}
	ns = t->tsc_deadline > tsc ? mul_div(t->tsc_deadline - tsc, 1000000, khz) : 0;
	arm(t, ns >= ~0ull - now ? ~0ull : now + ns + 1);
}

void lapic_set_tsc_deadline(struct vcpu *v, u64 val)
{
	struct lapic *a = v->lapic;
	unsigned long state;
	bool now;

	if (!a || !apic_hw_enabled(a) || !tsc_deadline_mode(a))
		return;
	state = host_lock_acquire(&a->timer.lock);
	a->timer.tsc_deadline = val;
	now = val && vcpu_read_tsc(v) >= val;
	if (now) {
		a->timer.tsc_deadline = 0;
		disarm(&a->timer);
	} else {
		arm_deadline(a);
	}
	host_lock_release(&a->timer.lock, state);
	if (now)
		lapic_local(a, APIC_LVTT);
}

u64 lapic_get_tsc_deadline(struct vcpu *v)
{
	struct lapic *a = v->lapic;
	unsigned long state;
	u64 val;

	if (!a || !apic_hw_enabled(a) || !tsc_deadline_mode(a))
		return 0;
	state = host_lock_acquire(&a->timer.lock);
	val = a->timer.tsc_deadline;
	host_lock_release(&a->timer.lock, state);
	return val;
}

void lapic_tsc_changed(struct vcpu *v)
{
	struct lapic *a = v->lapic;
	unsigned long state;

	if (!a)
		return;
	state = host_lock_acquire(&a->timer.lock);
	if (tsc_deadline_mode(a))
		arm_deadline(a);
	host_lock_release(&a->timer.lock, state);
}

/* --- expiry ----------------------------------------------------------------------------------- */

/*
 * A deadline that passes outside KVM_RUN stays in its MSR until the vCPU runs again, as on Linux: user space may have saved the
 * LAPIC already, and save the MSR now; it must not find the interrupt in neither. Under the lock.
 */
static bool postpone(struct lapic_timer *t)
{
	if (__atomic_load_n(&t->running, __ATOMIC_SEQ_CST))
		return false;
	__atomic_store_n(&t->postponed, true, __ATOMIC_SEQ_CST);
	return !__atomic_load_n(&t->running, __ATOMIC_SEQ_CST);
}

static void expired(void *arg)
{
	struct lapic *a = arg;
	struct lapic_timer *t = &a->timer;
	unsigned long state = host_lock_acquire(&t->lock);
	u64 now = host_now_ns();
	bool fire = t->armed && now >= t->target;

	/* The two clocks may differ by some parts per million: never before the guest's own TSC says so. */
	if (fire && tsc_deadline_mode(a) && vcpu_read_tsc(a->v) < t->tsc_deadline) {
		arm_deadline(a);
		fire = false;
	}
	if (fire && tsc_deadline_mode(a) && postpone(t)) {
		host_lock_release(&t->lock, state);
		return;
	}
	if (fire && t->mode == APIC_TIMER_PERIODIC && t->period) {
		/* Periods that were slept through are lost, as their interrupts would have merged in IRR. */
		t->target += t->period * ((now - t->target) / t->period + 1);
	} else if (fire) {
		t->armed = false;
		t->tsc_deadline = 0;
	}
	if (t->armed)
		host_timer_start(&t->timer, t->target);
	host_lock_release(&t->lock, state);
	if (fire)
		lapic_local(a, APIC_LVTT);
}

void lapic_run_begins(struct vcpu *v)
{
	struct lapic_timer *t = &v->lapic->timer;

	__atomic_store_n(&t->running, true, __ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&t->postponed, __ATOMIC_SEQ_CST))) {
		__atomic_store_n(&t->postponed, false, __ATOMIC_RELAXED);
		lapic_timer_catch_up(v->lapic);
	}
}

void lapic_run_ends(struct vcpu *v)
{
	__atomic_store_n(&v->lapic->timer.running, false, __ATOMIC_RELEASE);
}

/* --- mode, state, life ------------------------------------------------------------------------ */

void lapic_timer_set_lvt(struct lapic *a)
{
	struct lapic_timer *t = &a->timer;
	u32 mode = apic_get(a, APIC_LVTT) & lapic_timer_modes(a);
	unsigned long state = host_lock_acquire(&t->lock);

	if (mode != t->mode) {
		/* SDM: going into or out of TSC-deadline mode disarms the timer. */
		if (mode == APIC_TIMER_TSC_DEADLINE || tsc_deadline_mode(a)) {
			disarm(t);
			apic_set(a, APIC_TMICT, 0);
			t->period = t->tsc_deadline = 0;
		}
		t->mode = mode;
		if (!tsc_deadline_mode(a))
			set_period(a);
	}
	host_lock_release(&t->lock, state);
}

void lapic_timer_stop(struct lapic *a)
{
	unsigned long state = host_lock_acquire(&a->timer.lock);

	disarm(&a->timer);
	a->timer.period = a->timer.tsc_deadline = 0;
	host_lock_release(&a->timer.lock, state);
}

void lapic_timer_restore(struct lapic *a)
{
	struct lapic_timer *t = &a->timer;
	u32 left = apic_get(a, APIC_TMCCT);
	unsigned long state;

	lapic_timer_stop(a);
	lapic_timer_set_lvt(a);
	state = host_lock_acquire(&t->lock);
	t->divide = divide_by(apic_get(a, APIC_TDCR));
	if (!tsc_deadline_mode(a)) {
		set_period(a);
		/*
		 * A periodic timer begins again. Whether a one-shot timer that has run out has also raised its interrupt is not
		 * in the state (Linux keeps what has not reached IRR yet to itself): as there, it fires now. Once too often
		 * does no harm, but a guest that waits for a lost one waits for ever.
		 */
		if (t->period)
			run_for(a, left || t->mode != APIC_TIMER_PERIODIC ? (u64)left * t->divide : t->period);
	}
	host_lock_release(&t->lock, state);
}

void lapic_timer_create(struct lapic *a)
{
	host_lock_init(&a->timer.lock);
	host_timer_init(&a->timer.timer, expired, a);
	a->timer.divide = 2; /* TDCR = 0 */
}

void lapic_timer_destroy(struct lapic *a)
{
	lapic_timer_stop(a);
	host_timer_destroy(&a->timer.timer);
	host_lock_destroy(&a->timer.lock);
}
