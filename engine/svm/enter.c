/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* One entry: everything the processor must know, the world switch, and the host's own state again. */
#include "svm.h"

/* --- events -------------------------------------------------------------------------------------------- */

static void merge_payload(struct vcpu *v, struct vmcb *c, const struct x86_event *ev)
{
	hwvm_merge_payload(&v->state, ev);
	svm_set(c, cr2, v->state.cr2, CLEAN_CR2);
	svm_put_dr6(v);
}

/*
 * The address that a software event pushes is that of the next instruction. Where the VMCB has a field for it RIP stays, so that a
 * fault in the delivery shows the instruction itself; elsewhere, and for INT1, which is injected as a plain exception, RIP moves.
 */
static void prepare_return_address(struct vcpu *v, struct vmcb *c, const struct x86_event *ev)
{
	u64 next = x86_next_rip(&v->state, ev->insn_len);

	svm_of(v)->soft_rip = c->rip;
	c->next_rip = next;
	if (!svm_caps.nrip || ev->type == X86_EVENT_PRIV_EXC)
		c->rip = next;
}

static void prepare_event(struct vcpu *v, struct vmcb *c)
{
	const struct x86_event *ev = &v->inject;
	u64 type = ev->type, val;

	c->event_inj = 0;
	if (!v->inject_valid)
		return;
	if (type == X86_EVENT_SOFT_EXC || type == X86_EVENT_PRIV_EXC)
		type = X86_EVENT_EXC;
	val = ev->vector | type << EVENT_TYPE_SHIFT | EVENT_VALID;
	if (hwvm_injects_error(v, ev))
		val |= EVENT_HAS_ERROR | (u64)ev->error << 32;
	c->event_inj = val;
	merge_payload(v, c, ev);
	if (hwvm_is_soft(ev))
		prepare_return_address(v, c, ev);
}

/* What was injected is delivered, or comes back as the interrupted event. */
static void after_event(struct vcpu *v, struct vmcb *c)
{
	if (!v->inject_valid || (u32)c->exit_code == X_INVALID)
		return;
	if (hwvm_is_soft(&v->inject) && c->exit_int_info & EVENT_VALID)
		v->state.rip = svm_of(v)->soft_rip;
	if (v->inject.type == X86_EVENT_NMI)
		v->state.nmi_blocked = true;
	v->inject_valid = false;
}

/* --- controls ------------------------------------------------------------------------------------------ */

static void choose_asid(struct svm_vcpu *sv, int cpu)
{
	struct svm_cpu *c = svm_cpu(cpu);
	struct vmcb *b = sv->vmcb;

	b->tlb_control = 0;
	/* What a processor remembers of a VMCB is its own, and gone with a suspend. */
	if (sv->asid_cpu != cpu || sv->asid_generation != c->generation)
		b->clean = 0;
	if (!sv->hw.flush && !sv->hw.flush_nested && sv->asid_cpu == cpu && sv->asid_generation == c->generation)
		return;
	if (c->next_asid >= svm_caps.asids) {
		c->generation++;
		c->next_asid = 1;
		b->tlb_control = TLB_FLUSH_ALL;
	}
	svm_set(b, asid, c->next_asid, CLEAN_ASID);
	c->next_asid++;
	sv->asid_cpu = cpu;
	sv->asid_generation = c->generation;
	sv->hw.flush = sv->hw.flush_nested = false;
}

static u32 with_bit(u32 word, u32 bit, bool on)
{
	return on ? word | bit : word & ~bit;
}

/* An interrupt of the host ends a halt in guest mode, unlike on VT-x: RIP is behind the HLT then. */
void svm_native_exits(struct vcpu *v)
{
	u64 native = __atomic_load_n(&v->vm->disabled_exits, __ATOMIC_ACQUIRE);
	struct vmcb *c = svm_of(v)->vmcb;

	svm_set(c, intercept3, with_bit(c->intercept3, I3_HLT, !(native & KVM_X86_DISABLE_EXITS_HLT)), CLEAN_CONTROLS);
	svm_set(c, intercept4, with_bit(c->intercept4, I4_MONITOR | I4_MWAIT, !(native & KVM_X86_DISABLE_EXITS_MWAIT)),
		CLEAN_CONTROLS);
}

static void prepare_intercepts(struct vcpu *v, struct vmcb *c)
{
	bool nmi = v->inject_valid && v->inject.type == X86_EVENT_NMI;
	bool scaled = v->tsc_ratio != TSC_RATIO_ONE && !svm_caps.tsc_ratio;
	bool hide_tf = hwvm_of(v)->step_tf;
	u32 i3 = c->intercept3;

	i3 = with_bit(i3, I3_IRET, v->state.nmi_blocked || nmi || hide_tf);
	i3 = with_bit(i3, I3_PUSHF | I3_POPF | I3_INTN, hide_tf);
	i3 = with_bit(i3, I3_VINTR, v->want_irq_window);
	i3 = with_bit(i3, I3_RDTSC, scaled);
	svm_set(c, intercept3, i3, CLEAN_CONTROLS);
	svm_set(c, intercept4, with_bit(c->intercept4, I4_RDTSCP, scaled), CLEAN_CONTROLS);
	svm_set(c, exceptions, with_bit(c->exceptions, BIT(X86_EXC_BP), v->exc_intercept & BIT(X86_EXC_BP)),
		CLEAN_CONTROLS);
}

static void prepare_controls(struct vcpu *v, struct vmcb *c)
{
	u64 tsc_offset = (u64)__atomic_load_n(&v->tsc_offset, __ATOMIC_RELAXED), vint = VINT_MASKING;
	void *msrpm = __atomic_load_n(&v->vm->msr_filter, __ATOMIC_ACQUIRE) ? svm_msrpm_all : svm_of(v)->msrpm;

	prepare_intercepts(v, c);
	/* An interrupt that is never delivered: its intercept says that one could be. */
	if (v->want_irq_window)
		vint |= VINT_IRQ | VINT_PRIO_MAX | VINT_IGNORE_TPR;
	svm_set(c, vint, vint, CLEAN_VINT);
	svm_set(c, tsc_offset, tsc_offset, CLEAN_CONTROLS);
	svm_set(c, msrpm_pa, hw_pa(msrpm), CLEAN_MAPS);
	svm_set(c, nested_cr3, nested_root(v), CLEAN_NESTED);
}

/* --- the entry ------------------------------------------------------------------------------------------- */

/* A guest that has the MSR has its own value, any other the host's. */
static const struct svm_spec_ctrl *spec_ctrl(const struct vcpu *v, struct svm_spec_ctrl *s)
{
	if (!svm_of(v)->switches_spec_ctrl)
		return NULL;
	s->guest = v->spec_ctrl;
	s->host = hw_spec_ctrl();
	return s->guest != s->host ? s : NULL;
}

static void run_guest(struct vcpu *v, int cpu)
{
	struct svm_vcpu *sv = svm_of(v);
	struct vmcb *c = sv->vmcb;
	struct svm_spec_ctrl spec;
	u32 differs;

	svm_state_to_vmcb(v);
	prepare_event(v, c);
	prepare_controls(v, c);
	choose_asid(sv, cpu);
	if (svm_caps.tsc_ratio)
		svm_set_tsc_ratio(svm_cpu(cpu), v->tsc_ratio);
	differs = hwvm_load_guest(v, cpu);
	svm_world_switch(v->state.gpr, sv->vmcb_pa, svm_cpu(cpu)->host_pa, spec_ctrl(v, &spec));
	hwvm_load_host(differs, cpu);
	hwvm_left(v);
	if (c->exit_code == X_EXC0 + X86_EXC_MC)
		hw_machine_check();
}

/* The instruction library instead of the processor: the event, or one instruction. False: the processor shall run. */
static bool run_by_library(struct vcpu *v, struct vm_exit *exit)
{
	if (hwvm_nmi_is_next(v)) {
		hwvm_clear_way(v, exit);
		return true;
	}
	if (likely(!v->single_step) || v->inject_valid)
		return false;
	svm_get_state(v, STATE_ALL);
	if (!hwvm_next_is_syscall(v))
		return false;
	exit->code = VM_EXIT_EMULATE;
	return true;
}

void svm_enter(struct vcpu *v, struct vm_exit *exit)
{
	int cpu;

	if (run_by_library(v, exit))
		return;
	cpu = hwvm_enter_begin(v);
	if (cpu == HW_NO_CPU)
		return;
	run_guest(v, cpu);
	hw_enter_end();
	svm_state_after_exit(v);
	after_event(v, svm_of(v)->vmcb);
	svm_decode_exit(v, exit);
}
