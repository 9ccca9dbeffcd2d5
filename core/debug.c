/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Guest debugging. The debugger's settings live beside the guest's: the engine obeys eff_db, eff_dr7, single_step and
 * exc_intercept, which are worked out here before each entry; RFLAGS.TF, DR0-3, DR6 and DR7 of the state stay the guest's.
 */
#include "vcpu.h"

u64 vcpu_linear_rip(const struct vcpu *v)
{
	const struct x86_state *s = &v->state;

	return s->mode == X86_MODE_LONG ? s->rip : (u32)(s->seg[SEG_CS].base + s->rip);
}

static bool debugging(const struct vcpu *v, u32 what)
{
	return v->debug.control & what;
}

void vcpu_debug_update(struct vcpu *v)
{
	bool hw = debugging(v, KVM_GUESTDBG_USE_HW_BP);

	memcpy(v->eff_db, hw ? v->debug.db : v->state.dr, sizeof(v->eff_db));
	v->eff_dr7 = hw ? v->debug.dr7 : v->state.dr7;
	v->single_step = debugging(v, KVM_GUESTDBG_SINGLESTEP);
	v->state.trap_dr = hw && v->debug.dr7 & DR7_GD;
	v->exc_intercept &= ~(BIT(X86_EXC_DB) | BIT(X86_EXC_BP));
	/* The guest's own #DB is its own unless the debugger has taken over breakpoints or stepping. */
	if (debugging(v, KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_SINGLESTEP))
		v->exc_intercept |= BIT(X86_EXC_DB);
	if (debugging(v, KVM_GUESTDBG_USE_SW_BP))
		v->exc_intercept |= BIT(X86_EXC_BP);
}

int vcpu_set_guest_debug(struct vcpu *v, const struct kvm_guest_debug *d)
{
	struct x86_event ev = { .type = X86_EVENT_EXC, .vector = X86_EXC_DB };

	if (d->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (v->ev.exc.pending || __atomic_load_n(&v->requests, __ATOMIC_ACQUIRE) & REQ_TRIPLE_FAULT)
			return -EBUSY;
		if (!(d->control & KVM_GUESTDBG_INJECT_DB))
			ev = (struct x86_event){ .type = X86_EVENT_SOFT_EXC, .vector = X86_EXC_BP, .insn_len = 1 };
		vcpu_queue_exception(v, &ev);
	}
	v->debug.control = d->control & KVM_GUESTDBG_ENABLE ? d->control : 0;
	if (debugging(v, KVM_GUESTDBG_USE_HW_BP)) {
		memcpy(v->debug.db, d->arch.debugreg, sizeof(v->debug.db));
		v->debug.dr7 = d->arch.debugreg[7];
	}
	if (!v->debug.control)
		v->debug.deferred = false;
	vcpu_debug_update(v);
	vcpu_request(v, REQ_SETTINGS | REQ_EVENT);
	return 0;
}

/*
 * KVM_DEBUG_GUEST of 2006 in today's terms: up to four execution breakpoints, in DR0 to DR3 with the global enable bits, and
 * single step.
 */
int vcpu_set_debug_guest(struct vcpu *v, const struct kvm_debug_guest *old)
{
	struct kvm_guest_debug d = { 0 };
	unsigned n;

	if (!old->enabled)
		return vcpu_set_guest_debug(v, &d);
	d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	if (old->singlestep)
		d.control |= KVM_GUESTDBG_SINGLESTEP;
	for (n = 0; n < 4; n++) {
		if (!old->breakpoints[n].enabled)
			continue;
		d.arch.debugreg[n] = old->breakpoints[n].address;
		d.arch.debugreg[7] |= 2u << (2 * n);
	}
	return vcpu_set_guest_debug(v, &d);
}

enum run_result vcpu_report_debug(struct vcpu *v, unsigned vector, u64 dr6)
{
	struct kvm_run *run = v->run;

	vcpu_get_state(v, STATE_SEG);
	if (v->io.pending != IO_NONE || v->io.nr_writes) {
		v->debug.deferred = true;
		v->debug.deferred_dr6 = dr6;
		v->debug.deferred_pc = vcpu_linear_rip(v);
		return RUN_AGAIN;
	}
	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = vector;
	run->debug.arch.pad = 0;
	run->debug.arch.pc = vcpu_linear_rip(v);
	run->debug.arch.dr6 = dr6 | DR6_FIXED1;
	run->debug.arch.dr7 = v->eff_dr7 | DR7_FIXED1;
	return RUN_USER;
}

enum run_result vcpu_debug_exception(struct vcpu *v, const struct x86_event *exc)
{
	u32 wanted =
		exc->vector == X86_EXC_BP ? KVM_GUESTDBG_USE_SW_BP : KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_SINGLESTEP;

	if (debugging(v, wanted))
		return vcpu_report_debug(v, exc->vector, exc->vector == X86_EXC_DB ? exc->cr2 : 0);
	vcpu_queue_exception(v, exc);
	return RUN_AGAIN;
}

enum run_result vcpu_traps_after(struct vcpu *v, bool tf)
{
	struct x86_state *s = &v->state;
	u64 dr6 = s->dr6_pending;
	struct x86_event ev = { .type = X86_EVENT_EXC, .vector = X86_EXC_DB };

	/* MOV SS and POP SS hold traps back until the next instruction has ended. */
	if (s->shadow & X86_SHADOW_MOV_SS)
		return RUN_AGAIN;
	s->dr6_pending = 0;
	if (tf || v->single_step)
		dr6 |= DR6_BS;
	if (!dr6)
		return RUN_AGAIN;
	ev.cr2 = dr6;
	if (v->exc_intercept & BIT(X86_EXC_DB) || v->single_step)
		return vcpu_debug_exception(v, &ev);
	vcpu_queue_exception(v, &ev);
	return RUN_AGAIN;
}
