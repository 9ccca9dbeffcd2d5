/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Registers synchronised through kvm_run (KVM_CAP_SYNC_REGS). */
#include "vcpu.h"

int vcpu_sync_in(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	/* User space may change the page at any time: read once. */
	struct kvm_sync_regs *in = &run->s.regs;
	u64 dirty = run->kvm_dirty_regs;

	if (likely(!dirty))
		return 0;
	if (dirty & KVM_SYNC_X86_REGS) {
		struct kvm_regs regs = in->regs;

		vcpu_set_regs(v, &regs);
		run->kvm_dirty_regs &= ~(u64)KVM_SYNC_X86_REGS;
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		struct kvm_sregs sregs = in->sregs;

		if (vcpu_set_sregs(v, &sregs))
			return -EINVAL;
		run->kvm_dirty_regs &= ~(u64)KVM_SYNC_X86_SREGS;
	}
	if (dirty & KVM_SYNC_X86_EVENTS) {
		struct kvm_vcpu_events events = in->events;

		if (vcpu_set_events(v, &events))
			return -EINVAL;
		run->kvm_dirty_regs &= ~(u64)KVM_SYNC_X86_EVENTS;
	}
	return 0;
}

void vcpu_sync_out(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	u64 valid = run->kvm_valid_regs;

	if (likely(!valid))
		return;
	if (valid & KVM_SYNC_X86_REGS)
		vcpu_get_regs(v, &run->s.regs.regs);
	if (valid & KVM_SYNC_X86_SREGS)
		vcpu_get_sregs(v, &run->s.regs.sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		vcpu_get_events(v, &run->s.regs.events);
}
