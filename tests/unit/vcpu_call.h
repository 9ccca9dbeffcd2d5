/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A vCPU's ioctls without a handle, as the library's edge makes them; the caller has included posix.h and unit.h. */
#ifndef VCPU_CALL_H
#define VCPU_CALL_H

#include "vcpu.h"

static inline long vcpu_call(struct vcpu *v, u32 cmd, unsigned long arg)
{
	struct object made;
	long r;

	signal_enter();
	r = vcpu_ioctl(v, cmd, arg, &made);
	signal_leave();
	return r;
}

/* KVM_RUN; an exit reason that it does not write shows. */
static inline long vcpu_call_run(struct vcpu *v)
{
	v->run->exit_reason = 0xdead;
	return vcpu_call(v, KVM_RUN, 0);
}

/* Real mode with CS = 0, about to execute at rip. */
static inline void vcpu_real_mode(struct vcpu *v, u64 rip)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = rip, .rflags = 2, .rsp = 0x8000 };

	expect_eq(vcpu_call(v, KVM_GET_SREGS, (unsigned long)&sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	expect_eq(vcpu_call(v, KVM_SET_SREGS, (unsigned long)&sregs), 0);
	expect_eq(vcpu_call(v, KVM_SET_REGS, (unsigned long)&regs), 0);
}

#endif /* VCPU_CALL_H */
