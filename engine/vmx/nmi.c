/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * NMIs of guests on processors without virtual NMIs: nothing tells when IRET ends a handler, which blocks the next one until then.
 * Handlers run with interrupts disabled, so where they are enabled it has ended; where a guest keeps them disabled, a second is
 * long enough for any handler. Until then, and as long as no other one waits, it counts as running.
 */
#include "vmx.h"

#define HANDLER_MAX_NS 1000000000ull

void vmx_nmi_entry(struct vcpu *v)
{
	vmx_of(v)->nmi_blocked = v->state.nmi_blocked;
}

void vmx_nmi_exit(struct vcpu *v, const struct vm_exit *exit)
{
	struct vmx_vcpu *vv = vmx_of(v);

	if (v->inject_valid && v->inject.type == X86_EVENT_NMI && exit->code != VM_EXIT_FAIL_ENTRY) {
		vv->nmi_blocked = true;
		vv->nmi_since = host_now_ns();
	}
	/* System management mode blocks NMIs whatever its flags are. */
	if (exit->code == VM_EXIT_IRQ_WINDOW && !v->state.in_smm)
		vv->nmi_blocked = false;
	v->state.nmi_blocked = vv->nmi_blocked;
}

bool vmx_nmi_waits(struct vcpu *v, struct vm_exit *exit)
{
	struct x86_state *s = &v->state;

	if (s->in_smm)
		return false;
	if (hwvm_nmi_is_next(v)) {
		hwvm_clear_way(v, exit);
		return true;
	}
	if (v->inject_valid || !s->nmi_blocked || host_now_ns() - vmx_of(v)->nmi_since <= HANDLER_MAX_NS)
		return false;
	s->nmi_blocked = false;
	exit->code = VM_EXIT_NMI_WINDOW;
	return true;
}
