/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Paravirtual pages that the guest has asked for by MSR (Linux, "Documentation/virt/kvm/x86/msr.rst"):
 * kvmclock's time page per vCPU, the wall clock, steal time. A page is written under a version number that is odd
 * meanwhile.
 */
#include "irqchip.h"
#include "parts.h"

#define PV_ENABLE 1ull
#define STABLE_BIT BIT(0)
#define STOPPED_BIT BIT(1)

struct pv_time {
	u32 version;
	u32 pad0;
	u64 tsc_timestamp;
	u64 system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags;
	u8 pad[2];
};

struct pv_wall {
	u32 version;
	u32 sec;
	u32 nsec;
};

/*
 * Write *data (its first field is the version) to gpa so that a reader on another vCPU sees either the old
 * or the new state. old: what is there now. (x86 keeps the stores in order, and they are made by calls that
 * the compiler does not see into.)
 */
static void write_versioned(struct vcpu *v, u64 gpa, u32 old, void *data, u32 size)
{
	u32 *version = data;

	*version = (old + 1) | 1;
	if (vcpu_write_guest(v, gpa, version, sizeof(*version)))
		return;
	vcpu_write_guest(v, gpa, data, size);
	++*version;
	vcpu_write_guest(v, gpa, version, sizeof(*version));
}

int pv_write_wall_page(struct vcpu *v, u64 gpa, u32 *seconds_high)
{
	struct pv_wall w;
	u64 boot;
	u32 old;

	if (vm_read_guest(v->vm, gpa, &old, sizeof(old)))
		return -EFAULT;
	/* The guest adds its kvmclock to this. */
	boot = host_realtime_ns() - kvmclock_now(v->vm);
	w.sec = (u32)(boot / 1000000000u);
	w.nsec = (u32)(boot % 1000000000u);
	*seconds_high = (u32)(boot / 1000000000u >> 32);
	write_versioned(v, gpa, old, &w, sizeof(w));
	return 0;
}

void pv_write_wall_clock(struct vcpu *v, u64 gpa)
{
	struct vm *vm = v->vm;
	u32 high;
	int idx;

	__atomic_store_n(&vm->wall_clock_gpa, gpa, __ATOMIC_RELAXED);
	if (!gpa)
		return;
	idx = host_srcu_read_lock(&vm->srcu);
	pv_write_wall_page(v, gpa, &high);
	host_srcu_read_unlock(&vm->srcu, idx);
}

void pv_write_system_time(struct vcpu *v, u64 val, bool old_msr, bool host)
{
	struct vm *vm = v->vm;

	if (v->id == vm->boot_cpu_id && !host) {
		unsigned long state = host_lock_acquire(&vm->clock_lock);

		vm->old_kvmclock = old_msr;
		host_lock_release(&vm->clock_lock, state);
	}
	v->clock->system_time_msr = val;
	vm_request_all(vm, REQ_CLOCK_UPDATE);
}

int vcpu_kvmclock_ctrl(struct vcpu *v)
{
	if (!(v->clock->system_time_msr & PV_ENABLE))
		return -EINVAL;
	v->clock->guest_paused = true;
	vcpu_request(v, REQ_CLOCK_UPDATE);
	return 0;
}

static void write_time_page(struct vcpu *v, u64 gpa)
{
	struct clock_state *c = v->clock;
	struct vm *vm = v->vm;
	struct pv_time t, old;
	u64 base_tsc;
	bool stable;

	if (vm_read_guest(vm, gpa, &old, sizeof(old)))
		return;
	memset(&t, 0, sizeof(t));
	/* The same instant for all vCPUs: their clocks must not differ by a rounding. */
	clock_base(vm, &base_tsc, &t.system_time, &stable);
	t.tsc_timestamp =
		clock_scale_tsc(base_tsc, v->tsc_ratio) + (u64)__atomic_load_n(&v->tsc_offset, __ATOMIC_RELAXED);
	clock_scale(clock_guest_khz(v), &t.tsc_shift, &t.tsc_to_system_mul);
	t.flags = (stable ? STABLE_BIT : 0) | (old.flags & STOPPED_BIT) | (c->guest_paused ? STOPPED_BIT : 0);
	write_versioned(v, gpa, old.version, &t, sizeof(t));
}

void vcpu_clock_update(struct vcpu *v)
{
	u64 msr = v->clock->system_time_msr, gpa[2];
	u32 i;

	hyperv_clock_update(v);
	if (msr & PV_ENABLE)
		write_time_page(v, msr & ~PV_ENABLE);
	for (i = 0; i < xen_clock_pages(v, gpa); i++)
		write_time_page(v, gpa[i]);
	v->clock->guest_paused = false;
}

/* --- steal time, asynchronous page faults, EOI without exit ------------------------------------------------- */

#define STEAL_RESERVED 0x3eull
#define STEAL_INTERVAL_MS 4 /* while the guest runs */
#define STEAL_FRESH_US 180  /* a measurement that young is not repeated */
#define STEAL_PREEMPTED_AT 16u
#define STEAL_PREEMPTED 1u
#define STEAL_FLUSH_TLB 2u
#define APF_RESERVED 0x30ull
#define APF_AS_PF_VMEXIT BIT(2)
#define APF_AS_INT BIT(3)
#define APF_ALL_READY 0xffffffffu

struct pv_steal {
	u64 steal;
	u32 version;
	u32 flags;
};

void pv_reset(struct vcpu *v)
{
	struct clock_state *c = v->clock;

	c->steal_msr = c->pv_eoi_msr = c->apf_enable_msr = c->apf_vector_msr = 0;
	c->apf_wake = false;
	v->steal_next = ~0ull;
}

/* Linux's rules; the page is filled when the request is served, by the vCPU's own thread. */
int pv_write_steal(struct vcpu *v, u64 val)
{
	struct clock_state *c = v->clock;

	if (val & STEAL_RESERVED)
		return MSR_INVALID;
	c->steal_msr = val;
	c->steal_init = true;
	v->steal_next = val & PV_ENABLE ? 0 : ~0ull;
	if (val & PV_ENABLE)
		vcpu_request(v, REQ_STEAL_UPDATE);
	return MSR_OK;
}

/* The host may set a bit in that word to save the guest an EOI; it need not, and where an EOI is cheap it does not. */
int pv_write_eoi(struct vcpu *v, u64 val)
{
	if (val & 2)
		return MSR_INVALID;
	v->clock->pv_eoi_msr = val;
	return MSR_OK;
}

/*
 * Linux refuses both MSRs without a LAPIC, though CPUID offers them: its own guests complain then. Here nothing would ever
 * come of them: the guest's write does nothing, user space's is refused as there.
 */
static int without_lapic(u64 val, bool host)
{
	return host && val ? MSR_INVALID : MSR_OK;
}

/*
 * Guest memory that is not there makes its vCPU wait; no page is ever reported as missing. A guest that comes from another
 * host may have tasks that wait for pages of that host: all are ready here.
 */
int pv_write_apf(struct vcpu *v, u64 val, bool host)
{
	if (val & (APF_RESERVED | APF_AS_PF_VMEXIT))
		return MSR_INVALID;
	if (!v->lapic)
		return without_lapic(val, host);
	v->clock->apf_enable_msr = val;
	v->clock->apf_wake = val & PV_ENABLE && val & APF_AS_INT;
	if (v->clock->apf_wake)
		vcpu_request(v, REQ_STEAL_UPDATE);
	return MSR_OK;
}

int pv_write_apf_vector(struct vcpu *v, u64 val, bool host)
{
	if (val >> 8)
		return MSR_INVALID;
	if (!v->lapic)
		return without_lapic(val, host);
	v->clock->apf_vector_msr = val;
	return MSR_OK;
}

/* The guest has seen the token: there is room for the next. */
int pv_write_apf_ack(struct vcpu *v, u64 val)
{
	if (val & 1 && v->clock->apf_wake)
		vcpu_request(v, REQ_STEAL_UPDATE);
	return MSR_OK;
}

static void wake_all_tasks(struct vcpu *v)
{
	struct clock_state *c = v->clock;
	const struct lapic_message m = { .vector = (u8)c->apf_vector_msr, .delivery = DELIVER_FIXED, .shorthand = 1 };
	u64 gpa = (c->apf_enable_msr & ~63ull) + 4;
	u32 token = APF_ALL_READY, there;

	if (vm_read_guest(v->vm, gpa, &there, sizeof(there)) || there)
		return;
	c->apf_wake = false;
	if (!vcpu_write_guest(v, gpa, &token, sizeof(token)))
		lapic_deliver(v->vm, v, &m);
}

static u64 steal_page(const struct vcpu *v)
{
	return v->clock->steal_msr & ~(PV_ENABLE | STEAL_RESERVED);
}

/*
 * The vCPU is about to sleep: others need not interrupt it to flush its TLB, they leave a note (KVM_FEATURE_PV_TLB_FLUSH). The request
 * sees to it that the note is read before the guest runs again.
 */
void vcpu_show_preempted(struct vcpu *v)
{
	const u8 preempted = STEAL_PREEMPTED;
	int idx;

	if (!(v->clock->steal_msr & PV_ENABLE))
		return;
	vcpu_request(v, REQ_STEAL_UPDATE);
	idx = host_srcu_read_lock(&v->vm->srcu);
	vcpu_write_guest(v, steal_page(v) + STEAL_PREEMPTED_AT, &preempted, sizeof(preempted));
	host_srcu_read_unlock(&v->vm->srcu, idx);
}

/* From here on it runs. Also after a move from another host, which has left the byte set. */
static void take_preempted(struct vcpu *v)
{
	u64 gpa = steal_page(v) + STEAL_PREEMPTED_AT;
	u32 was;
	int r;

	do {
		if (vm_read_guest(v->vm, gpa, &was, sizeof(was)) || !(was & 0xff))
			return;
		r = vcpu_cmpxchg_guest(v, gpa, was, was & ~0xffu, sizeof(was));
	} while (r == -EAGAIN);
	if (!r && was & STEAL_FLUSH_TLB) {
		v->stat->tlb_flush++;
		x86_flush_all(&v->state);
	}
}

static void update_steal(struct vcpu *v)
{
	struct clock_state *c = v->clock;
	u64 gpa = steal_page(v), tsc = host_tsc(), now = c->stolen;
	struct pv_steal t;

	take_preempted(v);

	v->steal_next = tsc + (u64)host_tsc_khz() * STEAL_INTERVAL_MS;
	if (c->steal_init || tsc >= c->steal_fresh) {
		now = host_run_delay_ns();
		c->steal_fresh = tsc + (u64)host_tsc_khz() * STEAL_FRESH_US / 1000;
	}
	/* The first look, or another thread than last time: nothing to compare with. */
	if (c->steal_init || now < c->stolen)
		c->stolen = now;
	c->steal_init = false;
	if (vm_read_guest(v->vm, gpa, &t, sizeof(t)))
		return;
	t.steal += now - c->stolen;
	c->stolen = now;
	t.version = (t.version + 1) | 1;
	if (vcpu_write_guest(v, gpa + offsetof(struct pv_steal, version), &t.version, sizeof(t.version)))
		return;
	t.flags = 0;
	vcpu_write_guest(v, gpa, &t, sizeof(t));
	t.version++;
	vcpu_write_guest(v, gpa + offsetof(struct pv_steal, version), &t.version, sizeof(t.version));
}

void vcpu_steal_update(struct vcpu *v)
{
	if (v->clock->steal_msr & PV_ENABLE)
		update_steal(v);
	if (v->clock->apf_wake)
		wake_all_tasks(v);
}
