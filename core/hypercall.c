/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* KVM's hypercalls (linux/kvm_para.h; Documentation/virt/kvm/x86/hypercalls.rst). */
#include <linux/kvm_para.h>
#include "irqchip.h"
#include "parts.h"

#define ICR_VECTOR 0xffull
#define ICR_MODE 0x700ull
#define ICR_ASSERT (1ull << 14)
#define ICR_LEVEL (1ull << 15)
#define ICR_DEST_AND_SHORTHAND 0xc0800ull

static bool has_feature(const struct vcpu *v, unsigned bit)
{
	return !v->pv_enforce || v->pv_features >> bit & 1;
}

static u64 kick_cpu(struct vcpu *v, u64 apic_id)
{
	struct vcpu *to = v->lapic ? lapic_find(v->vm, (u32)apic_id) : NULL;

	if (!to)
		return 0;
	__atomic_store_n(&to->pv_unhalted, 1, __ATOMIC_RELEASE);
	vcpu_request(to, REQ_UNHALT);
	vcpu_kick(to);
	return 0;
}

/* APIC ids do not wrap: what lies beyond the last has no CPU. */
static s64 send_ipis(struct vcpu *v, u64 bitmap, u64 first, u64 icr)
{
	struct lapic_message m = {
		.vector = icr & ICR_VECTOR,
		.delivery = (icr & ICR_MODE) >> 8,
		.level = icr & ICR_ASSERT,
		.trig_level = icr & ICR_LEVEL,
	};
	s64 sum = 0;

	for (; bitmap; bitmap &= bitmap - 1) {
		u64 id = first + (u32)__builtin_ctzll(bitmap);

		m.dest = (u32)id;
		if (m.dest == id && lapic_find(v->vm, m.dest) && lapic_deliver(v->vm, v, &m) > 0)
			sum++;
	}
	return sum;
}

static s64 send_ipi(struct vcpu *v, u64 low, u64 high, u32 first, u64 icr, bool wide)
{
	if (icr & ICR_DEST_AND_SHORTHAND)
		return -KVM_EINVAL;
	if (!v->lapic)
		return -KVM_EOPNOTSUPP;
	return send_ipis(v, low, first, icr) + send_ipis(v, high, (u64)first + (wide ? 64 : 32), icr);
}

static s64 clock_pairing(struct vcpu *v, u64 gpa, u64 type)
{
	struct kvm_clock_pairing pair;
	u64 now;

	if (type != KVM_CLOCK_PAIRING_WALLCLOCK)
		return -KVM_EOPNOTSUPP;
	memset(&pair, 0, sizeof(pair));
	now = host_realtime_ns();
	pair.tsc = vcpu_read_tsc(v);
	pair.sec = now / 1000000000ull;
	pair.nsec = now % 1000000000ull;
	return vcpu_write_guest(v, gpa, &pair, sizeof(pair)) ? -KVM_EFAULT : 0;
}

/* The guest changes what a range of its memory is: user space's business. True: KVM_RUN must return. */
static bool map_range(struct vcpu *v, u64 gpa, u64 pages, u64 attributes, bool wide, s64 *ret)
{
	struct kvm_run *run = v->run;
	u64 first = gpa >> 12;

	*ret = -KVM_ENOSYS;
	if (!(v->vm->exit_hypercall_mask & BIT(KVM_HC_MAP_GPA_RANGE)))
		return false;
	*ret = -KVM_EINVAL;
	if (gpa & ~X86_PAGE_MASK || !pages || first + pages <= first)
		return false;
	v->io.pending = IO_HYPERCALL;
	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.args[0] = gpa;
	run->hypercall.args[1] = pages;
	run->hypercall.args[2] = attributes;
	run->hypercall.longmode = wide;
	return true;
}

enum x86_result vcpu_hypercall(struct vcpu *v)
{
	struct x86_state *s = &v->state;
	bool wide = s->mode == X86_MODE_LONG;
	u64 mask = wide ? ~0ull : 0xffffffffull;
	u64 a0 = s->gpr[X86_RBX] & mask, a1 = s->gpr[X86_RCX] & mask;
	u64 a2 = s->gpr[X86_RDX] & mask, a3 = s->gpr[X86_RSI] & mask;
	s64 ret = -KVM_ENOSYS;

	if (unlikely(xen_hypercalls(v->vm)))
		return xen_hypercall(v);
	if (unlikely(hyperv_hypercalls(v)))
		return hyperv_hypercall(v);
	if (s->cpl) {
		ret = -KVM_EPERM;
	} else {
		switch (s->gpr[X86_RAX] & mask) {
		case KVM_HC_VAPIC_POLL_IRQ: ret = 0; break;
		case KVM_HC_KICK_CPU:
			if (has_feature(v, KVM_FEATURE_PV_UNHALT))
				ret = kick_cpu(v, a1);
			break;
		case KVM_HC_CLOCK_PAIRING: ret = clock_pairing(v, a0, a1); break;
		case KVM_HC_SEND_IPI:
			if (has_feature(v, KVM_FEATURE_PV_SEND_IPI))
				ret = send_ipi(v, a0, a1, (u32)a2, a3, wide);
			break;
		case KVM_HC_SCHED_YIELD:
			if (has_feature(v, KVM_FEATURE_PV_SCHED_YIELD)) {
				host_resched();
				ret = 0;
			}
			break;
		case KVM_HC_MAP_GPA_RANGE:
			if (map_range(v, a0, a1, a2, wide, &ret))
				return X86_EXIT;
			break;
		}
	}
	s->gpr[X86_RAX] = (u64)ret & mask;
	v->stat->hypercalls++;
	return X86_OK;
}
