/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Events that wait for delivery, and the one function that chooses among them (SDM, "Priority Among Concurrent
 * Events"; KVM's rules where user space takes part).
 *
 * An event is pending (may still be merged), or injected: handed to the engine, which delivers it first thing. What the
 * engine could not deliver comes back by vcpu_events_after_entry() and stays injected.
 */
#include "irqchip.h"
#include "parts.h"

/* --- queues ---------------------------------------------------------------------------------------- */

static bool software_exception(u8 vector)
{
	return vector == X86_EXC_BP || vector == X86_EXC_OF;
}

static void store_exception(struct vcpu *v, const struct x86_event *ev)
{
	v->ev.exc.nr = ev->vector;
	v->ev.exc.type = ev->type;
	v->ev.exc.insn_len = ev->insn_len;
	v->ev.exc.has_error = ev->has_error;
	v->ev.exc.error = ev->error;
	v->ev.exc.has_payload = ev->vector == X86_EXC_PF || ev->vector == X86_EXC_DB;
	v->ev.exc.payload = ev->cr2;
}

static struct x86_event exception_event(const struct vcpu *v)
{
	struct x86_event ev = {
		.type = v->ev.exc.type,
		.vector = v->ev.exc.nr,
		.has_error = v->ev.exc.has_error,
		.error = v->ev.exc.error,
		.insn_len = v->ev.exc.insn_len,
	};

	/* Without a payload user space has set CR2 itself. */
	if (v->ev.exc.has_payload)
		ev.cr2 = v->ev.exc.payload;
	else if (ev.vector == X86_EXC_PF)
		ev.cr2 = v->state.cr2;
	/* Queued by number only (state ioctls): INT3 and INTO are one byte long, and x86_deliver() wants their type. */
	if (ev.type != X86_EVENT_PRIV_EXC)
		ev.type = software_exception(ev.vector) ? X86_EVENT_SOFT_EXC : X86_EVENT_EXC;
	if (ev.type == X86_EVENT_SOFT_EXC && !ev.insn_len)
		ev.insn_len = 1;
	return ev;
}

void vcpu_queue_exception(struct vcpu *v, const struct x86_event *ev)
{
	struct x86_event first, both;

	if (!v->ev.exc.pending && !v->ev.exc.injected) {
		store_exception(v, ev);
		v->ev.exc.pending = true;
		return;
	}
	first = exception_event(v);
	v->ev.exc.injected = v->ev.exc.pending = false;
	if (x86_combine_events(&first, ev, &both) != X86_OK) {
		vcpu_request(v, REQ_TRIPLE_FAULT);
		return;
	}
	store_exception(v, &both);
	v->ev.exc.pending = true;
}

void vcpu_requeue_vectoring(struct vcpu *v, const struct x86_event *ev)
{
	switch (ev->type) {
	case X86_EVENT_INTR:
	case X86_EVENT_SOFT_INT:
		v->ev.irq.injected = true;
		v->ev.irq.soft = ev->type == X86_EVENT_SOFT_INT;
		v->ev.irq.nr = ev->vector;
		v->ev.irq.insn_len = ev->insn_len;
		break;
	case X86_EVENT_NMI:
		v->ev.nmi_injected = true;
		/* Its delivery has not begun: the next one must not be held back by it. */
		v->state.nmi_blocked = false;
		break;
	default:
		store_exception(v, ev);
		v->ev.exc.injected = true;
		v->ev.exc.pending = false;
	}
}

void vcpu_events_after_entry(struct vcpu *v, const struct vm_exit *exit)
{
	if (v->inject_valid)
		vcpu_requeue_vectoring(v, &v->inject);
	v->inject_valid = false;
	if (exit->vectoring)
		vcpu_requeue_vectoring(v, &exit->vectoring_event);
}

int vcpu_queue_interrupt(struct vcpu *v, u32 vector)
{
	if (vector > 255)
		return -EINVAL;
	switch (vm_irqchip_mode(v->vm)) {
	case IRQCHIP_KERNEL: return -ENXIO;
	case IRQCHIP_SPLIT:
		if (v->ev.ext_vector >= 0)
			return -EEXIST;
		v->ev.ext_vector = vector;
		break;
	default:
		v->ev.irq.injected = true;
		v->ev.irq.soft = false;
		v->ev.irq.nr = vector;
	}
	vcpu_request(v, REQ_EVENT);
	return 0;
}

void vcpu_queue_nmi(struct vcpu *v)
{
	__atomic_fetch_add(&v->ev.nmi_queued, 1, __ATOMIC_SEQ_CST);
	vcpu_request(v, REQ_NMI);
	vcpu_kick(v);
}

static bool nmis_queued(const struct vcpu *v)
{
	return __atomic_load_n(&v->ev.nmi_queued, __ATOMIC_RELAXED);
}

/* One NMI may be in service and one wait; while one is blocked only one can wait. */
void vcpu_collect_nmis(struct vcpu *v)
{
	u32 limit = v->state.nmi_blocked || v->ev.nmi_injected ? 1 : 2, sum;

	if (!nmis_queued(v))
		return;
	sum = v->ev.nmi_pending + __atomic_exchange_n(&v->ev.nmi_queued, 0, __ATOMIC_SEQ_CST);
	v->ev.nmi_pending = sum < limit ? sum : limit;
}

/* Several that come before one is taken are one. */
void vcpu_collect_smi(struct vcpu *v)
{
	if (vcpu_take_request(v, REQ_SMI))
		v->ev.smi_pending = true;
}

void vcpu_events_reset(struct vcpu *v)
{
	v->ev.exc.pending = v->ev.exc.injected = false;
	v->ev.irq.injected = false;
	v->ev.nmi_injected = false;
	v->ev.nmi_pending = 0;
	__atomic_store_n(&v->ev.nmi_queued, 0, __ATOMIC_SEQ_CST);
	v->ev.smi_pending = v->ev.smi_from_halt = false;
	v->ev.ext_vector = -1;
	v->inject_valid = false;
	vcpu_take_request(v, REQ_TRIPLE_FAULT | REQ_SMI);
}

/* The payload becomes visible before delivery: user space has not asked for payloads, or asks for the registers. */
void vcpu_deliver_payload(struct vcpu *v)
{
	if (!v->ev.exc.has_payload)
		return;
	if (v->ev.exc.nr == X86_EXC_PF)
		v->state.cr2 = v->ev.exc.payload;
	else if (v->ev.exc.nr == X86_EXC_DB)
		v->state.dr6 = (v->state.dr6 & ~0xfull) | DR6_FIXED1 | v->ev.exc.payload;
	v->ev.exc.has_payload = false;
}

/* --- what can be taken now -------------------------------------------------------------------------- */

bool vcpu_can_take_interrupt(struct vcpu *v)
{
	vcpu_get_state(v, STATE_GPR | STATE_INTR);
	return v->state.rflags & RFLAGS_IF && !v->state.shadow;
}

static bool can_take_nmi(struct vcpu *v)
{
	vcpu_get_state(v, STATE_INTR);
	return !v->state.nmi_blocked && !v->state.shadow;
}

static bool event_in_delivery(const struct vcpu *v)
{
	return v->ev.exc.injected || v->ev.irq.injected || v->ev.nmi_injected;
}

/* Would user space's own interrupts reach the processor: no LAPIC here, or its LINT0 lets them through. */
static bool accepts_user_interrupts(struct vcpu *v)
{
	return !v->lapic || lapic_accepts_extint(v);
}

bool vcpu_wants_user_window(struct vcpu *v)
{
	return v->run->request_interrupt_window && vm_irqchip_mode(v->vm) != IRQCHIP_KERNEL;
}

/* With an event half delivered user space could not change the state without losing it. */
bool vcpu_ready_for_injection(struct vcpu *v)
{
	return vcpu_can_take_interrupt(v) && accepts_user_interrupts(v) && !event_in_delivery(v) && !v->ev.exc.pending;
}

static bool external_vector_waits(struct vcpu *v)
{
	return v->ev.ext_vector >= 0 && v->lapic && lapic_accepts_extint(v);
}

static bool chip_interrupt_waits(struct vcpu *v)
{
	return v->lapic && (xen_interrupt_waits(v) || external_vector_waits(v) || irq_pending(v));
}

static int take_chip_interrupt(struct vcpu *v)
{
	int vector = v->ev.ext_vector;

	if (xen_interrupt_waits(v))
		return v->vm->xen.vector;
	if (!external_vector_waits(v))
		return irq_acknowledge(v);
	v->ev.ext_vector = -1;
	return vector;
}

/* Any thread may be asked through host_wait_until()'s condition, but it is the vCPU's own. */
bool vcpu_runnable(struct vcpu *v)
{
	u32 requests = __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST);

	if (__atomic_load_n(&v->mp_state, __ATOMIC_RELAXED) == KVM_MP_STATE_RUNNABLE)
		return true;
	if (requests & (REQ_NMI | REQ_TRIPLE_FAULT | REQ_UNHALT))
		return true;
	/* System management mode blocks SMIs and INIT. */
	if (!v->state.in_smm && (v->ev.smi_pending || requests & REQ_SMI || (v->lapic && lapic_has_events(v))))
		return true;
	if (__atomic_load_n(&v->pv_unhalted, __ATOMIC_RELAXED) || event_in_delivery(v) || v->ev.exc.pending)
		return true;
	if (nmis_queued(v) || (v->ev.nmi_pending && can_take_nmi(v)))
		return true;
	return vcpu_can_take_interrupt(v) && chip_interrupt_waits(v);
}

/* --- arbitration --------------------------------------------------------------------------------------- */

/* Not in line: most entries inject nothing, and shall not pay for its stack. */
static __noinline void inject(struct vcpu *v, struct x86_event ev)
{
	v->inject = ev;
	v->inject_valid = true;
	if (vcpu_watched(v))
		monitor_inject(v, &ev);
}

static __noinline void inject_exception(struct vcpu *v)
{
	v->ev.exc.injected = v->ev.exc.pending = false;
	inject(v, exception_event(v));
}

static __noinline void inject_nmi(struct vcpu *v)
{
	v->ev.nmi_injected = false;
	v->stat->nmi_injections++;
	inject(v, (struct x86_event){ .type = X86_EVENT_NMI, .vector = X86_EXC_NMI });
}

static __noinline void inject_interrupt(struct vcpu *v)
{
	struct x86_event ev = { .type = X86_EVENT_INTR, .vector = v->ev.irq.nr };

	if (v->ev.irq.soft) {
		ev.type = X86_EVENT_SOFT_INT;
		ev.insn_len = v->ev.irq.insn_len ? v->ev.irq.insn_len : 2;
	}
	v->ev.irq.injected = false;
	v->stat->irq_injections++;
	inject(v, ev);
}

/*
 * Step 1: what was being delivered goes on; an exception before the event whose delivery has raised it. An interrupt that user
 * space has queued while it cannot be taken waits for its window.
 */
static void resume_delivery(struct vcpu *v)
{
	if (v->ev.exc.injected || v->ev.exc.pending)
		inject_exception(v);
	else if (v->ev.nmi_injected)
		inject_nmi(v);
	else if (v->ev.irq.injected && (v->ev.irq.soft || vcpu_can_take_interrupt(v)))
		inject_interrupt(v);
	else if (v->ev.irq.injected)
		v->want_irq_window = true;
}

/*
 * Step 2: SMI. What is being delivered comes first, so that the state that is saved is that of an instruction boundary (all of
 * it: a hardware engine would go on with the guest).
 */
static enum run_result take_smi(struct vcpu *v)
{
	enum run_result r;

	if (v->inject_valid) {
		v->ev.smi_from_halt = false;
		r = vcpu_deliver_chosen(v);
		vcpu_request(v, REQ_EVENT); /* no entry before the next arbitration */
		return r;
	}
	vcpu_get_state(v, STATE_ALL);
	if (x86_enter_smm(&v->state, v->ev.smi_from_halt) != X86_OK)
		return vcpu_error(v, -EFAULT);
	v->ev.smi_pending = v->ev.smi_from_halt = false;
	v->msrs->smi_count++;
	vcpu_write_back(v, STATE_ALL);
	return RUN_AGAIN;
}

/* Step 3: NMI. */
static void consider_nmi(struct vcpu *v)
{
	if (!v->ev.nmi_pending)
		return;
	if (!v->inject_valid && !event_in_delivery(v) && can_take_nmi(v)) {
		v->ev.nmi_pending--;
		inject_nmi(v);
	}
	if (v->ev.nmi_pending)
		v->want_nmi_window = true;
}

/* Step 4: maskable interrupts of the chips. */
static __noinline void offer_chip_interrupt(struct vcpu *v)
{
	int vector;

	if (!v->inject_valid && !event_in_delivery(v) && vcpu_can_take_interrupt(v)) {
		vector = take_chip_interrupt(v);
		if (vector >= 0) {
			v->ev.irq.nr = vector;
			v->ev.irq.soft = false;
			inject_interrupt(v);
		}
	}
	if (chip_interrupt_waits(v))
		v->want_irq_window = true;
}

static void consider_interrupt(struct vcpu *v)
{
	if (v->lapic && chip_interrupt_waits(v))
		offer_chip_interrupt(v);
}

enum run_result vcpu_arbitrate(struct vcpu *v)
{
	v->inject_valid = false;
	v->want_irq_window = v->want_nmi_window = false;
	if (unlikely(nmis_queued(v)))
		vcpu_collect_nmis(v);
	resume_delivery(v);
	if (v->debug.control & KVM_GUESTDBG_BLOCKIRQ)
		return RUN_AGAIN;
	if (unlikely(v->ev.smi_pending && !v->state.in_smm)) {
		enum run_result r = take_smi(v);

		if (r != RUN_AGAIN || !v->state.in_smm)
			return r;
	}
	consider_nmi(v);
	consider_interrupt(v);
	if (vcpu_wants_user_window(v) && accepts_user_interrupts(v))
		v->want_irq_window = true;
	return RUN_AGAIN;
}
