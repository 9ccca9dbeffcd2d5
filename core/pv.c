/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Paravirtual pages that the guest has asked for by MSR (Linux, "Documentation/virt/kvm/x86/msr.rst"):
 * kvmclock's time page per vCPU and the wall clock. A page is written under a version number that is odd
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
static void write_versioned(struct vm *vm, u64 gpa, u32 old, void *data, u32 size)
{
	u32 *version = data;

	*version = (old + 1) | 1;
	if (vm_write_guest(vm, gpa, version, sizeof(*version)))
		return;
	vm_write_guest(vm, gpa, data, size);
	++*version;
	vm_write_guest(vm, gpa, version, sizeof(*version));
}

void pv_write_wall_clock(struct vcpu *v, u64 gpa)
{
	struct vm *vm = v->vm;
	struct pv_wall w;
	u64 boot;
	u32 old;
	int idx;

	__atomic_store_n(&vm->wall_clock_gpa, gpa, __ATOMIC_RELAXED);
	if (!gpa)
		return;
	idx = host_srcu_read_lock(&vm->srcu);
	if (!vm_read_guest(vm, gpa, &old, sizeof(old))) {
		/* The guest adds its kvmclock to this. */
		boot = host_realtime_ns() - kvmclock_now(vm);
		w.sec = (u32)(boot / 1000000000u);
		w.nsec = (u32)(boot % 1000000000u);
		write_versioned(vm, gpa, old, &w, sizeof(w));
	}
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

void vcpu_clock_update(struct vcpu *v)
{
	struct clock_state *c = v->clock;
	struct vm *vm = v->vm;
	u64 gpa = c->system_time_msr & ~PV_ENABLE;
	struct pv_time t, old;
	u64 base_tsc;
	bool stable;

	if (!(c->system_time_msr & PV_ENABLE) || vm_read_guest(vm, gpa, &old, sizeof(old)))
		return;
	memset(&t, 0, sizeof(t));
	/* The same instant for all vCPUs: their clocks must not differ by a rounding. */
	clock_base(vm, &base_tsc, &t.system_time, &stable);
	t.tsc_timestamp =
		clock_scale_tsc(base_tsc, v->tsc_ratio) + (u64)__atomic_load_n(&v->tsc_offset, __ATOMIC_RELAXED);
	clock_scale((u32)clock_scale_tsc(host_tsc_khz(), v->tsc_ratio), &t.tsc_shift, &t.tsc_to_system_mul);
	t.flags = (stable ? STABLE_BIT : 0) | (old.flags & STOPPED_BIT) | (c->guest_paused ? STOPPED_BIT : 0);
	c->guest_paused = false;
	write_versioned(vm, gpa, old.version, &t, sizeof(t));
}

/* Steal time is not offered (no MSR, no CPUID bit): nothing raises REQ_STEAL_UPDATE. See docs/status.md. */
void vcpu_steal_update(struct vcpu *v)
{
}
