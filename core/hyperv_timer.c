/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Synthetic timers: four for each vCPU, in reference time. They send a message to a SINT, or, in direct mode, raise an interrupt (TLFS,
 * "Synthetic Timers"). Host timers only say that a timer must be looked at (REQ_HV_TIMER); what has expired, the vCPU's
 * thread decides.
 */
#include "hyperv.h"
#include "irqchip.h"

#define TIMER_ENABLE (1ull << 0)
#define TIMER_PERIODIC (1ull << 1)
#define TIMER_AUTO_ENABLE (1ull << 3)
#define TIMER_VECTOR(config) ((u8)((config) >> 4))
#define TIMER_DIRECT (1ull << 12)
#define TIMER_SINT(config) ((u32)((config) >> 16 & 0xf))

#define MESSAGE_TIMER_EXPIRED 0x80000010u
#define LONGEST_SLEEP (1ull << 50) /* in units of 100 ns: the host's clock does not wrap */

struct timer_payload {
	u32 index, reserved;
	u64 expiration, delivery;
};

static void look_at(struct hyperv_timer *t)
{
	__atomic_fetch_or(&t->v->hv.synic->timers, BIT(t->index), __ATOMIC_SEQ_CST);
	vcpu_request(t->v, REQ_HV_TIMER);
}

static void rang(void *arg)
{
	struct hyperv_timer *t = arg;

	look_at(t);
	vcpu_kick(t->v);
}

void hyperv_timers_create(struct vcpu *v)
{
	u32 i;

	for (i = 0; i < HV_TIMER_COUNT; i++) {
		struct hyperv_timer *t = &v->hv.synic->timer[i];

		t->v = v;
		t->index = i;
		host_timer_init(&t->timer, rang, t);
	}
}

void hyperv_timers_destroy(struct vcpu *v)
{
	u32 i;

	for (i = 0; i < HV_TIMER_COUNT; i++) {
		host_timer_cancel(&v->hv.synic->timer[i].timer);
		host_timer_destroy(&v->hv.synic->timer[i].timer);
	}
}

/* --- expiry -------------------------------------------------------------------------------------------------- */

static int send_message(struct hyperv_timer *t)
{
	struct timer_payload p = {
		.index = t->index,
		.expiration = t->expires,
		.delivery = hyperv_reference_time(t->v),
	};
	struct hyperv_message m = { .type = MESSAGE_TIMER_EXPIRED, .size = sizeof(p) };

	memcpy(m.payload, &p, sizeof(p));
	/* Ticks that find their slot taken are lost. */
	return hyperv_post(t->v, TIMER_SINT(t->config), &m, !(t->config & TIMER_PERIODIC));
}

static int send_interrupt(struct hyperv_timer *t)
{
	struct lapic_message m = {
		.vector = TIMER_VECTOR(t->config),
		.delivery = DELIVER_FIXED,
		.level = true,
		.shorthand = 1,
	};

	return lapic_deliver(t->v->vm, t->v, &m) > 0 ? 0 : -ENOENT;
}

static void expire(struct hyperv_timer *t)
{
	int r = t->config & TIMER_DIRECT ? send_interrupt(t) : send_message(t);

	t->sending = r && !(r == -EAGAIN && t->config & TIMER_PERIODIC);
	if (!r && !(t->config & TIMER_PERIODIC))
		t->config &= ~TIMER_ENABLE;
}

static void start(struct hyperv_timer *t)
{
	u64 now = hyperv_reference_time(t->v), left;

	if (!(t->config & TIMER_PERIODIC))
		t->expires = t->count;
	else if (!t->expires)
		t->expires = now + t->count;
	else if (now >= t->expires)
		t->expires = now + t->count - (now - t->expires) % t->count;
	if (now >= t->expires) {
		look_at(t);
		return;
	}
	left = t->expires - now;
	host_timer_start(&t->timer, host_now_ns() + 100 * (left < LONGEST_SLEEP ? left : LONGEST_SLEEP));
}

static void stop(struct hyperv_timer *t)
{
	host_timer_cancel(&t->timer);
	__atomic_fetch_and(&t->v->hv.synic->timers, ~BIT(t->index), __ATOMIC_SEQ_CST);
	t->expires = 0;
	t->sending = false;
}

static void serve(struct hyperv_timer *t)
{
	if (t->config & TIMER_ENABLE && t->expires && hyperv_reference_time(t->v) >= t->expires)
		expire(t);
	if (!(t->config & TIMER_ENABLE && t->count))
		stop(t);
	else if (!t->sending)
		start(t);
}

void hyperv_serve_timers(struct vcpu *v)
{
	u32 waiting = __atomic_exchange_n(&v->hv.synic->timers, 0, __ATOMIC_SEQ_CST), i;

	for (i = 0; i < HV_TIMER_COUNT; i++)
		if (waiting & BIT(i))
			serve(&v->hv.synic->timer[i]);
}

void hyperv_timers_retry(struct vcpu *v, u32 sint)
{
	u32 i;

	for (i = 0; i < HV_TIMER_COUNT; i++) {
		struct hyperv_timer *t = &v->hv.synic->timer[i];

		if (t->sending && !(t->config & TIMER_DIRECT) && TIMER_SINT(t->config) == sint)
			look_at(t);
	}
}

/* --- MSRs ------------------------------------------------------------------------------------------------------ */

static int write_config(struct hyperv_timer *t, u64 val, bool host)
{
	const struct vcpu *v = t->v;

	if (!hyperv_synic_active(v) && (!host || val))
		return MSR_INVALID;
	if (!host && val & TIMER_DIRECT && v->hv.enforce && !(v->hv.features_edx & HV_EDX_DIRECT_TIMERS))
		return MSR_INVALID;
	stop(t);
	/* A timer that runs is turned off by a SINT of 0, where no message can go. */
	if (t->config & TIMER_ENABLE && !(val & TIMER_DIRECT) && !TIMER_SINT(val))
		val &= ~TIMER_ENABLE;
	t->config = val;
	if (val & TIMER_ENABLE)
		look_at(t);
	return MSR_OK;
}

static int write_count(struct hyperv_timer *t, u64 val, bool host)
{
	if (!hyperv_synic_active(t->v) && (!host || val))
		return MSR_INVALID;
	stop(t);
	t->count = val;
	if (!val)
		t->config &= ~TIMER_ENABLE;
	else if (t->config & TIMER_AUTO_ENABLE)
		t->config |= TIMER_ENABLE;
	if (t->config & TIMER_ENABLE)
		look_at(t);
	return MSR_OK;
}

static struct hyperv_timer *timer_of(struct vcpu *v, u32 msr)
{
	return &v->hv.synic->timer[(msr - HV_MSR_STIMER0_CONFIG) / 2];
}

int hyperv_timer_read(struct vcpu *v, u32 msr, u64 *val, bool host)
{
	const struct hyperv_timer *t = timer_of(v, msr);

	*val = msr & 1 ? t->count : t->config;
	return MSR_OK;
}

int hyperv_timer_write(struct vcpu *v, u32 msr, u64 val, bool host)
{
	struct hyperv_timer *t = timer_of(v, msr);

	return msr & 1 ? write_count(t, val, host) : write_config(t, val, host);
}
