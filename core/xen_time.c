/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Xen's time: where a vCPU's time goes (run states), its one-shot timer, wall clock. The system time is kvmclock. */
#include "xen.h"

#define RUNSTATE_UPDATE (1ull << 63)
#define VCPUOP_SET_SINGLESHOT_TIMER 8
#define VCPUOP_STOP_SINGLESHOT_TIMER 9
#define TIMER_FUTURE 1u /* refuse a time that has passed */
#define WALL_CLOCK_32 0x900u
#define WALL_CLOCK_64 0xc00u
#define SECONDS_HIGH 12u /* behind the wall clock, in the 64-bit layout */
/* An overflow in the guest's arithmetic, not a time (as Xen has it): wake it soon. */
#define ABSURD (1ull << 50)
#define SOON 100000000ull

/* --- run states ---------------------------------------------------------------------------------------------------- */

struct runstate_64 {
	u32 state, pad;
	u64 entered, times[4];
};

struct runstate_32 {
	u32 state;
	u64 entered, times[4];
} __attribute__((packed));

/* Marked as being changed while it is. */
static void show(struct vcpu *v)
{
	const struct xen_vcpu *x = v->xen;
	bool wide = v->vm->xen.long_mode;
	u64 at = x->runstate, entered = x->runstate + (wide ? offsetof(struct runstate_64, entered)
							    : offsetof(struct runstate_32, entered));
	struct runstate_64 w = { .state = x->state, .entered = x->entered | RUNSTATE_UPDATE };
	struct runstate_32 n = { .state = x->state, .entered = x->entered | RUNSTATE_UPDATE };

	if (at == XEN_NOWHERE)
		return;
	memcpy(w.times, x->times, sizeof(w.times));
	memcpy(n.times, x->times, sizeof(n.times));
	if (vcpu_write_guest(v, entered, &w.entered, sizeof(w.entered)))
		return;
	vcpu_write_guest(v, at, wide ? (void *)&w : (void *)&n, wide ? sizeof(w) : sizeof(n));
	vcpu_write_guest(v, entered, &x->entered, sizeof(x->entered));
}

void xen_set_state(struct vcpu *v, u32 state)
{
	struct xen_vcpu *x = v->xen;
	u64 now = kvmclock_now(v->vm), waited = host_run_delay_ns(), stolen = 0, passed;

	passed = now > x->entered ? now - x->entered : 0;
	if (!x->entered)
		x->state = XEN_OFFLINE;
	/* What the thread has waited for a processor was taken from a vCPU that runs, not from one that sleeps. */
	if (x->state == XEN_RUNNING && waited > x->waited)
		stolen = waited - x->waited < passed ? waited - x->waited : passed;
	x->waited = waited;
	x->times[1] += stolen;
	x->times[x->state] += passed - stolen;
	x->entered += passed;
	x->state = state;
	show(v);
}

static int adjust(struct vcpu *v, const struct kvm_xen_vcpu_attr *a)
{
	struct xen_vcpu *x = v->xen;
	u64 state = a->u.runstate.state;

	if (state > XEN_OFFLINE && state != ~0ull)
		return -EINVAL;
	if (kvmclock_now(v->vm) < x->entered + a->u.runstate.state_entry_time)
		return -EINVAL;
	x->entered += a->u.runstate.state_entry_time;
	x->times[0] += a->u.runstate.time_running;
	x->times[1] += a->u.runstate.time_runnable;
	x->times[2] += a->u.runstate.time_blocked;
	x->times[3] += a->u.runstate.time_offline;
	if (state == ~0ull)
		show(v);
	else
		xen_set_state(v, (u32)state);
	return 0;
}

static int set_data(struct vcpu *v, const struct kvm_xen_vcpu_attr *a)
{
	struct xen_vcpu *x = v->xen;

	if (a->u.runstate.state > XEN_OFFLINE || kvmclock_now(v->vm) < a->u.runstate.state_entry_time)
		return -EINVAL;
	x->state = (u32)a->u.runstate.state;
	x->entered = a->u.runstate.state_entry_time;
	x->times[0] = a->u.runstate.time_running;
	x->times[1] = a->u.runstate.time_runnable;
	x->times[2] = a->u.runstate.time_blocked;
	x->times[3] = a->u.runstate.time_offline;
	x->waited = host_run_delay_ns();
	show(v);
	return 0;
}

int xen_set_runstate(struct vcpu *v, const struct kvm_xen_vcpu_attr *a)
{
	u64 sum = a->u.runstate.time_running + a->u.runstate.time_runnable + a->u.runstate.time_blocked +
		  a->u.runstate.time_offline;

	if (a->type == KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT) {
		if (a->u.runstate.state > XEN_OFFLINE)
			return -EINVAL;
		xen_set_state(v, (u32)a->u.runstate.state);
		return 0;
	}
	if (a->u.runstate.state_entry_time != sum)
		return -EINVAL;
	return a->type == KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA ? set_data(v, a) : adjust(v, a);
}

void xen_serve(struct vcpu *v)
{
	if (v->xen->runstate != XEN_NOWHERE)
		xen_set_state(v, XEN_RUNNING);
	xen_raise_posted(v);
}

void xen_run_begins(struct vcpu *v)
{
	if (unlikely(v->xen->runstate != XEN_NOWHERE))
		vcpu_request(v, REQ_XEN);
}

/* --- timers ------------------------------------------------------------------------------------------------------------ */

static void expired(void *arg)
{
	struct vcpu *v = arg;

	__atomic_store_n(&v->xen->timer_expires, 0, __ATOMIC_RELEASE);
	xen_post(v, __atomic_load_n(&v->xen->timer_port, __ATOMIC_RELAXED));
}

static void poll_expired(void *arg)
{
	struct vcpu *v = arg;

	__atomic_store_n(&v->pv_unhalted, 1, __ATOMIC_SEQ_CST);
	vcpu_kick(v);
}

void xen_timers_create(struct vcpu *v)
{
	host_timer_init(&v->xen->timer, expired, v);
	host_timer_init(&v->xen->poll_timer, poll_expired, v);
}

void xen_timers_destroy(struct vcpu *v)
{
	host_timer_cancel(&v->xen->timer);
	host_timer_destroy(&v->xen->timer);
	host_timer_cancel(&v->xen->poll_timer);
	host_timer_destroy(&v->xen->poll_timer);
}

void xen_start_timer(struct vcpu *v, u64 expires)
{
	u64 now = kvmclock_now(v->vm);

	host_timer_cancel(&v->xen->timer);
	__atomic_store_n(&v->xen->timer_expires, expires, __ATOMIC_RELEASE);
	if (expires)
		host_timer_start(&v->xen->timer, host_now_ns() + (expires > now ? expires - now : 0));
}

bool xen_set_timer(struct vcpu *v, u64 expires, s64 *ret)
{
	u64 now = kvmclock_now(v->vm);

	if (!v->xen->timer_port)
		return false;
	if ((s64)expires < 0 || (expires > now && expires - now >= ABSURD))
		expires = now + SOON;
	xen_start_timer(v, expires);
	*ret = 0;
	return true;
}

static s64 set_singleshot(struct vcpu *v, u64 param)
{
	/* 12 bytes in both layouts; the rest of the 64-bit one is padding. */
	u32 t[3];
	u64 expires;

	if (!xen_read_virtual(v, param, t, sizeof(t)))
		return -EFAULT;
	expires = t[0] | (u64)t[1] << 32;
	if (t[2] & TIMER_FUTURE && expires < kvmclock_now(v->vm))
		return -ETIME;
	xen_start_timer(v, expires);
	return 0;
}

bool xen_vcpu_op(struct vcpu *v, u64 op, u64 id, u64 param, bool wide, s64 *ret)
{
	if (!v->xen->timer_port || (op != VCPUOP_SET_SINGLESHOT_TIMER && op != VCPUOP_STOP_SINGLESHOT_TIMER))
		return false;
	*ret = -EINVAL;
	if (id != v->xen->id)
		return true;
	*ret = 0;
	if (op == VCPUOP_SET_SINGLESHOT_TIMER)
		*ret = set_singleshot(v, param);
	else
		xen_start_timer(v, 0);
	return true;
}

/* --- system time, wall clock ------------------------------------------------------------------------------------------------------------ */

int xen_write_wall_clock(struct vcpu *v, u64 shared)
{
	bool wide = v->vm->xen.long_mode;
	u64 at = shared + (wide ? WALL_CLOCK_64 : WALL_CLOCK_32);
	u32 high;

	if (pv_write_wall_page(v, at, &high))
		return -EFAULT;
	return wide ? vcpu_write_guest(v, at + SECONDS_HIGH, &high, sizeof(high)) : 0;
}

#define TIME_IN_INFO 0x20u

u32 xen_clock_pages(const struct vcpu *v, u64 gpa[2])
{
	const struct xen_vcpu *x = v->xen;
	u32 n = 0;

	if (x->info != XEN_NOWHERE)
		gpa[n++] = x->info + TIME_IN_INFO;
	if (x->time_info != XEN_NOWHERE)
		gpa[n++] = x->time_info;
	return n;
}
