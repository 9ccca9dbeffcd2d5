/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Exit reasons of the hardware as neutral exits (SDM, "VMX Basic Exit Reasons", "VM-Exit Information Fields"). */
#include "vmx.h"

/* --- while the VMCS is current -------------------------------------------------------------------------- */

static void read_interruption(struct vmx_exit_info *x)
{
	x->intr = (u32)vmread(EXIT_INTR_INFO);
	x->intr_error = x->intr & INTR_HAS_ERROR ? (u32)vmread(EXIT_INTR_ERROR) : 0;
	x->qualification = vmread(EXIT_QUALIFICATION);
	x->insn_len = (u32)vmread(EXIT_INSN_LEN);
}

static bool is_soft_type(u32 type)
{
	return type == X86_EVENT_SOFT_INT || type == X86_EVENT_SOFT_EXC || type == X86_EVENT_PRIV_EXC;
}

static void read_vectoring(struct vmx_exit_info *x)
{
	x->vectoring = (u32)vmread(IDT_VECTORING_INFO);
	if (!(x->vectoring & INTR_VALID))
		return;
	if (x->vectoring & INTR_HAS_ERROR)
		x->vectoring_error = (u32)vmread(IDT_VECTORING_ERROR);
	if (is_soft_type(INTR_TYPE(x->vectoring)))
		x->insn_len = (u32)vmread(EXIT_INSN_LEN);
}

/*
 * Traps that wait behind an interrupt shadow, or behind an exit that comes before them at the end of an instruction. All others
 * exit in the middle of one, which will be begun again with its traps.
 */
static void read_pending_debug(struct vcpu *v, struct vmx_exit_info *x)
{
	struct vmx_written *w = &vmx_of(v)->w;

	if (!(w->rflags & RFLAGS_TF) && !v->state.shadow && !(v->eff_dr7 & DR7_ENABLE_ANY))
		return;
	w->pending_debug = vmread(GUEST_PENDING_DEBUG);
	if (v->state.shadow || x->reason == X_TPR)
		x->pending_debug = w->pending_debug;
}

void vmx_read_exit(struct vcpu *v)
{
	struct vmx_exit_info *x = &vmx_of(v)->exit;

	/* What the reason does not say anything about is not looked at afterwards. */
	x->refused = 0;
	x->reason = (u32)vmread(EXIT_REASON);
	if (x->reason & X_ENTRY_FAILED) {
		x->qualification = vmread(EXIT_QUALIFICATION);
		return;
	}
	read_vectoring(x);
	switch (x->reason) {
	case X_INTR:
	case X_INTR_WINDOW:
	case X_NMI_WINDOW:
	case X_TRIPLE_FAULT:
	case X_TPR: break;
	case X_EXCEPTION_NMI: read_interruption(x); break;
	case X_EPT_VIOLATION:
	case X_EPT_MISCONFIG:
		x->qualification = vmread(EXIT_QUALIFICATION);
		x->gpa = vmread(GUEST_PHYSICAL_ADDRESS);
		break;
	case X_CR:
	case X_DR:
	case X_IO:
	case X_TASK_SWITCH:
		x->qualification = vmread(EXIT_QUALIFICATION);
		x->insn_len = (u32)vmread(EXIT_INSN_LEN);
		break;
	default: x->insn_len = (u32)vmread(EXIT_INSN_LEN);
	}
	read_pending_debug(v, x);
}

/* --- afterwards ------------------------------------------------------------------------------------------- */

static void interrupted_event(struct vcpu *v, struct vm_exit *exit)
{
	const struct vmx_exit_info *x = &vmx_of(v)->exit;
	struct x86_event *ev = &exit->vectoring_event;

	if (!(x->vectoring & INTR_VALID))
		return;
	exit->vectoring = true;
	*ev = (struct x86_event){ .type = INTR_TYPE(x->vectoring), .vector = (u8)x->vectoring };
	if (x->vectoring & INTR_HAS_ERROR) {
		ev->has_error = true;
		ev->error = x->vectoring_error;
	}
	if (is_soft_type(ev->type))
		ev->insn_len = (u8)x->insn_len;
	if (ev->type == X86_EVENT_EXC && ev->vector == X86_EXC_PF)
		ev->cr2 = v->state.cr2;
	else if (ev->vector == X86_EXC_DB)
		ev->cr2 = v->state.dr6 & (0xf | DR6_BD | DR6_BS | DR6_BT);
}

static void instruction(struct vcpu *v, struct vm_exit *exit, enum vm_exit_code code)
{
	exit->code = code;
	exit->insn_len = vmx_of(v)->exit.insn_len;
}

static void halt(struct vcpu *v, struct vm_exit *exit)
{
	instruction(v, exit, VM_EXIT_HLT);
	hwvm_exit_hlt(v, exit);
}

static void port(struct vcpu *v, struct vm_exit *exit)
{
	u64 q = vmx_of(v)->exit.qualification;

	instruction(v, exit, VM_EXIT_IO);
	exit->u.io.port = IO_PORT(q);
	exit->u.io.size = IO_SIZE(q);
	exit->u.io.in = q & IO_IN;
	exit->u.io.string = q & IO_STRING;
	exit->u.io.rep = q & IO_REP;
}

static void control_register(struct vcpu *v, struct vm_exit *exit)
{
	u64 q = vmx_of(v)->exit.qualification;

	instruction(v, exit, VM_EXIT_CR);
	exit->u.cr.nr = CR_NR(q);
	exit->u.cr.gpr = CR_GPR(q);
	exit->u.cr.write = CR_TYPE(q) == CR_WRITE;
	exit->u.cr.clts = CR_TYPE(q) == CR_CLTS;
	exit->u.cr.lmsw = CR_TYPE(q) == CR_LMSW_TYPE;
	exit->u.cr.lmsw_val = CR_LMSW(q);
}

static void debug_register(struct vcpu *v, struct vm_exit *exit)
{
	u64 q = vmx_of(v)->exit.qualification;

	instruction(v, exit, VM_EXIT_DR);
	exit->u.cr.nr = DR_NR(q);
	exit->u.cr.gpr = CR_GPR(q);
	exit->u.cr.write = !(q & DR_READ);
}

/* An IRET had ended the blocking of NMIs when it faulted: it begins anew (SDM, "Information About NMI Unblocking Due to IRET"). */
static void block_nmis_again(struct vcpu *v, bool unblocked)
{
	if (unblocked && !(vmx_of(v)->exit.vectoring & INTR_VALID))
		v->state.nmi_blocked = true;
}

/* Another vendor's hypercall instruction, which core may replace. */
static bool foreign_hypercall(struct vcpu *v)
{
	vmx_get_state(v, STATE_ALL);
	return hwvm_foreign_hypercall(v, 0xd9);
}

static void exception(struct vcpu *v, struct vm_exit *exit)
{
	const struct vmx_exit_info *x = &vmx_of(v)->exit;
	struct x86_event *exc = &exit->u.exc;
	u8 vector = (u8)x->intr;

	/* NMIs and machine checks have been handled. */
	if (!(x->intr & INTR_VALID) || INTR_TYPE(x->intr) == X86_EVENT_NMI || vector == X86_EXC_MC)
		return;
	block_nmis_again(v, x->intr & INTR_NMI_UNBLOCKED && vector != X86_EXC_DF);
	/* RSM is no instruction of a guest. */
	if (vector == X86_EXC_UD && (v->state.in_smm || foreign_hypercall(v))) {
		exit->code = VM_EXIT_EMULATE;
		return;
	}
	exit->code = VM_EXIT_EXCEPTION;
	*exc = (struct x86_event){ .type = INTR_TYPE(x->intr), .vector = vector };
	exc->has_error = x->intr & INTR_HAS_ERROR;
	exc->error = x->intr_error;
	if (vector == X86_EXC_DB)
		exc->cr2 = x->qualification & (0xf | DR6_BD | DR6_BS);
	else if (vector == X86_EXC_PF)
		exc->cr2 = x->qualification;
	if (hwvm_is_soft(exc))
		exc->insn_len = (u8)x->insn_len;
}

static void task_switch(struct vcpu *v, struct vm_exit *exit)
{
	const struct vmx_exit_info *x = &vmx_of(v)->exit;

	instruction(v, exit, VM_EXIT_TASK_SWITCH);
	exit->u.task.sel = TASK_SEL(x->qualification);
	exit->u.task.why = (enum x86_task_reason)TASK_WHY(x->qualification);
	exit->u.task.has_error = exit->vectoring && exit->vectoring_event.has_error;
	exit->u.task.error = exit->vectoring_event.error;
}

static void ept_violation(struct vcpu *v, struct vm_exit *exit)
{
	const struct vmx_exit_info *x = &vmx_of(v)->exit;
	u64 q = x->qualification;

	block_nmis_again(v, q & EPT_NMI_UNBLOCKED);
	exit->u.mem.gpa = x->gpa;
	exit->u.mem.write = q & EPT_WRITE;
	exit->u.mem.exec = q & EPT_EXEC;
	exit->u.mem.present = q & EPT_PRESENT;
	hwvm_exit_nested_fault(v, exit);
}

static void decode_reason(struct vcpu *v, struct vm_exit *exit, u32 reason)
{
	switch (reason) {
	case X_INTR:
	case X_INIT:
	case X_SIPI:
	case X_TPR: break;
	case X_EXCEPTION_NMI: exception(v, exit); break;
	case X_TRIPLE_FAULT: exit->code = VM_EXIT_SHUTDOWN; break;
	case X_INTR_WINDOW: exit->code = VM_EXIT_IRQ_WINDOW; break;
	case X_NMI_WINDOW: exit->code = VM_EXIT_NMI_WINDOW; break;
	case X_TASK_SWITCH: task_switch(v, exit); break;
	case X_CPUID: instruction(v, exit, VM_EXIT_CPUID); break;
	case X_HLT: halt(v, exit); break;
	case X_RDTSC: instruction(v, exit, VM_EXIT_RDTSC); break;
	case X_VMCALL: instruction(v, exit, VM_EXIT_HYPERCALL); break;
	case X_CR: control_register(v, exit); break;
	case X_DR: debug_register(v, exit); break;
	case X_IO: port(v, exit); break;
	case X_RDMSR: instruction(v, exit, VM_EXIT_RDMSR); break;
	case X_WRMSR: instruction(v, exit, VM_EXIT_WRMSR); break;
	case X_MWAIT: instruction(v, exit, VM_EXIT_MWAIT); break;
	case X_MONITOR: instruction(v, exit, VM_EXIT_MONITOR); break;
	case X_PAUSE: instruction(v, exit, VM_EXIT_PAUSE); break;
	case X_INVD:
	case X_WBINVD: instruction(v, exit, VM_EXIT_WBINVD); break;
	case X_XSETBV: instruction(v, exit, VM_EXIT_XSETBV); break;
	case X_EPT_VIOLATION: ept_violation(v, exit); break;
	case X_INVLPG:
	case X_INVPCID:
	case X_RDTSCP:
	case X_RDPMC: exit->code = VM_EXIT_EMULATE; break;
	case X_GETSEC:
	case X_RSM:
	case X_VMCLEAR ... X_VMXON:
	case X_INVEPT:
	case X_INVVPID:
	case X_VMFUNC: hwvm_exit_ud(exit); break;
	default: exit->code = VM_EXIT_UNKNOWN;
	}
}

void vmx_decode_exit(struct vcpu *v, struct vm_exit *exit)
{
	const struct vmx_exit_info *x = &vmx_of(v)->exit;

	exit->hw_reason = x->refused ? x->refused : x->reason;
	if (x->refused || x->reason & X_ENTRY_FAILED) {
		exit->code = VM_EXIT_FAIL_ENTRY;
		return;
	}
	interrupted_event(v, exit);
	decode_reason(v, exit, x->reason);
}
