/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * NMIs of guests on processors without virtual NMIs: nothing tells when IRET ends a handler, which blocks the next one until then.
 * Handlers run with interrupts disabled, so where they are enabled it has ended; where a guest keeps them disabled, a second is
 * long enough for any handler. Until then, and as long as no other one waits, it counts as running.
 */
#include "vmx.h"

#define HANDLER_MAX_NS 1000000000ull

void vmx_nmi_delivered(struct vcpu *v)
{
	v->state.nmi_blocked = true;
	vmx_of(v)->nmi_since = host_now_ns();
}

void vmx_nmi_window(struct vcpu *v)
{
	/* System management mode blocks NMIs whatever its flags are. */
	if (!vmx_caps.virtual_nmis && !v->state.in_smm)
		v->state.nmi_blocked = false;
}

void vmx_nmi_waits(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;

	if (v->inject_valid || s->in_smm)
		return;
	/* Only the shadow of one instruction is in the way. */
	if (!s->nmi_blocked && s->shadow) {
		exit->code = VM_EXIT_EMULATE;
	} else if (s->nmi_blocked && host_now_ns() - vmx_of(v)->nmi_since > HANDLER_MAX_NS) {
		s->nmi_blocked = false;
		exit->code = VM_EXIT_NMI_WINDOW;
	}
}
