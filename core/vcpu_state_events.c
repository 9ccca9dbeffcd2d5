/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* KVM_GET_VCPU_EVENTS and KVM_SET_VCPU_EVENTS. */
#include "irqchip.h"

static u8 shadow_to_abi(u8 shadow)
{
	return (shadow & X86_SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0) |
	       (shadow & X86_SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0);
}

static u8 shadow_from_abi(u8 shadow)
{
	return (shadow & KVM_X86_SHADOW_INT_MOV_SS ? X86_SHADOW_MOV_SS : 0) |
	       (shadow & KVM_X86_SHADOW_INT_STI ? X86_SHADOW_STI : 0);
}

/* The ABI has no instruction length, so a software exception is not shown: its instruction raises it again. */
static void get_exception(struct vcpu *v, struct kvm_vcpu_events *e)
{
	bool soft = v->ev.exc.nr == X86_EXC_BP || v->ev.exc.nr == X86_EXC_OF;

	if (!v->vm->exception_payload && v->ev.exc.pending)
		vcpu_deliver_payload(v);
	e->exception.injected = !soft && v->ev.exc.injected;
	e->exception.pending = !soft && v->ev.exc.pending;
	/* Old user space knows only one of the two. */
	if (!v->vm->exception_payload)
		e->exception.injected |= e->exception.pending;
	e->exception.nr = v->ev.exc.nr;
	e->exception.has_error_code = v->ev.exc.has_error;
	e->exception.error_code = v->ev.exc.error;
	e->exception_has_payload = v->ev.exc.pending && v->ev.exc.has_payload;
	e->exception_payload = v->ev.exc.payload;
}

void vcpu_get_events(struct vcpu *v, struct kvm_vcpu_events *e)
{
	memset(e, 0, sizeof(*e));
	vcpu_collect_nmis(v);
	get_exception(v, e);
	e->interrupt.injected = v->ev.irq.injected && !v->ev.irq.soft;
	e->interrupt.nr = v->ev.irq.nr;
	e->interrupt.shadow = shadow_to_abi(v->state.shadow);
	e->nmi.injected = v->ev.nmi_injected;
	e->nmi.pending = v->ev.nmi_pending != 0;
	e->nmi.masked = v->state.nmi_blocked;
	vcpu_collect_smi(v);
	e->smi.smm = v->state.in_smm;
	e->smi.pending = v->ev.smi_pending;
	e->smi.smm_inside_nmi = v->state.smm_inside_nmi;
	e->smi.latched_init = v->lapic && lapic_events(v) & LAPIC_INIT;
	e->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;
	if (v->vm->exception_payload)
		e->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (v->vm->triple_fault_event) {
		e->triple_fault.pending = (__atomic_load_n(&v->requests, __ATOMIC_ACQUIRE) & REQ_TRIPLE_FAULT) != 0;
		e->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
}

#define KNOWN_FLAGS                                                                                                    \
	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | KVM_VCPUEVENT_VALID_SHADOW |              \
	 KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT)

static bool valid_events(const struct vcpu *v, const struct kvm_vcpu_events *e)
{
	bool pending = e->flags & KVM_VCPUEVENT_VALID_PAYLOAD && e->exception.pending;

	if (e->flags & ~KNOWN_FLAGS)
		return false;
	if (e->flags & KVM_VCPUEVENT_VALID_PAYLOAD && !v->vm->exception_payload)
		return false;
	if (e->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT && !v->vm->triple_fault_event)
		return false;
	if ((e->exception.injected || pending) && (e->exception.nr > 31 || e->exception.nr == X86_EXC_NMI))
		return false;
	/* A processor that waits for its start-up message takes no SMI, and has not begun by one. */
	return !(e->flags & KVM_VCPUEVENT_VALID_SMM && (e->smi.smm || e->smi.pending) &&
		 __atomic_load_n(&v->mp_state, __ATOMIC_RELAXED) == KVM_MP_STATE_INIT_RECEIVED);
}

static void set_exception(struct vcpu *v, const struct kvm_vcpu_events *e)
{
	bool payloads = e->flags & KVM_VCPUEVENT_VALID_PAYLOAD;

	v->ev.exc.pending = payloads && e->exception.pending;
	v->ev.exc.injected = e->exception.injected && !v->ev.exc.pending;
	v->ev.exc.nr = e->exception.nr;
	v->ev.exc.type = X86_EVENT_EXC;
	v->ev.exc.insn_len = 0;
	v->ev.exc.has_error = e->exception.has_error_code;
	v->ev.exc.error = e->exception.error_code;
	v->ev.exc.has_payload = v->ev.exc.pending && e->exception_has_payload;
	v->ev.exc.payload = e->exception_payload;
}

static void set_smm(struct vcpu *v, const struct kvm_vcpu_events *e)
{
	x86_set_smm(&v->state, e->smi.smm);
	vcpu_take_request(v, REQ_SMI);
	v->ev.smi_pending = e->smi.pending;
	v->ev.smi_from_halt = false;
	v->state.smm_inside_nmi = e->smi.smm && e->smi.smm_inside_nmi;
	if (v->lapic)
		lapic_change_events(v, e->smi.latched_init ? LAPIC_INIT : 0, e->smi.latched_init ? 0 : LAPIC_INIT);
}

int vcpu_set_events(struct vcpu *v, const struct kvm_vcpu_events *e)
{
	if (!valid_events(v, e))
		return -EINVAL;
	vcpu_collect_nmis(v);
	set_exception(v, e);
	v->ev.irq.injected = e->interrupt.injected;
	v->ev.irq.nr = e->interrupt.nr;
	v->ev.irq.soft = e->interrupt.soft;
	v->ev.irq.insn_len = 0;
	if (e->flags & KVM_VCPUEVENT_VALID_SHADOW)
		v->state.shadow = shadow_from_abi(e->interrupt.shadow);
	v->ev.nmi_injected = e->nmi.injected;
	if (e->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		v->ev.nmi_pending = e->nmi.pending;
	v->state.nmi_blocked = e->nmi.masked;
	if (e->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR && v->lapic)
		lapic_set_sipi_vector(v, (u8)e->sipi_vector);
	if (e->flags & KVM_VCPUEVENT_VALID_SMM)
		set_smm(v, e);
	if (e->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
		if (e->triple_fault.pending)
			vcpu_request(v, REQ_TRIPLE_FAULT);
		else
			vcpu_take_request(v, REQ_TRIPLE_FAULT);
	}
	vcpu_put_state(v, STATE_INTR);
	vcpu_request(v, REQ_EVENT);
	return 0;
}
