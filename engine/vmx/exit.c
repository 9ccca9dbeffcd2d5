/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Exit reasons of the hardware as neutral exits (SDM, "VMX Basic Exit Reasons", "VM-Exit Information Fields"). */
#include "vmx.h"

/* --- events --------------------------------------------------------------------------------------------- */

/* An event whose delivery the exit has interrupted. The state has the guest's CR2 and DR6. */
static void interrupted_event(struct vcpu *v, struct vm_exit *exit)
{
	u32 info = (u32)vmread(IDT_VECTORING_INFO);
	struct x86_event *ev = &exit->vectoring_event;

	if (likely(!(info & INTR_VALID)))
		return;
	exit->vectoring = true;
	*ev = (struct x86_event){ .type = INTR_TYPE(info), .vector = (u8)info };
	if (info & INTR_HAS_ERROR) {
		ev->has_error = true;
		ev->error = (u32)vmread(IDT_VECTORING_ERROR);
	}
	if (hwvm_is_soft(ev))
		ev->insn_len = (u8)vmread(EXIT_INSN_LEN);
	if (ev->type == X86_EVENT_EXC && ev->vector == X86_EXC_PF)
		ev->cr2 = v->state.cr2;
	else if (ev->vector == X86_EXC_DB)
		ev->cr2 = v->state.dr6 & HWVM_DB_CAUSES;
}

/*
 * Traps that wait behind an interrupt shadow, or behind an exit that comes before them at the end of an instruction. All others
 * exit in the middle of one, which will be begun again with its traps.
 */
static void read_pending_debug(struct vcpu *v, u32 reason)
{
	struct vmx_vcpu *vv = vmx_of(v);

	if (likely(!((vv->w.rflags & RFLAGS_TF) | v->state.shadow | (v->eff_dr7 & DR7_ENABLE_ANY) |
		     vv->w.pending_debug)))
		return;
	vv->w.pending_debug = vmread(GUEST_PENDING_DEBUG);
	if (v->state.shadow || reason == X_TPR)
		vv->pending_debug = vv->w.pending_debug;
}

/* --- exits ----------------------------------------------------------------------------------------------- */

static void instruction(struct vm_exit *exit, enum vm_exit_code code)
{
	exit->code = code;
	exit->insn_len = (u32)vmread(EXIT_INSN_LEN);
}

static void port(struct vm_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	exit->u.io.port = IO_PORT(q);
	exit->u.io.size = IO_SIZE(q);
	exit->u.io.in = q & IO_IN;
	exit->u.io.string = q & IO_STRING;
	exit->u.io.rep = q & IO_REP;
}

static void control_register(struct vm_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	exit->u.cr.nr = CR_NR(q);
	exit->u.cr.gpr = CR_GPR(q);
	exit->u.cr.write = CR_TYPE(q) == CR_WRITE;
	exit->u.cr.clts = CR_TYPE(q) == CR_CLTS;
	exit->u.cr.lmsw = CR_TYPE(q) == CR_LMSW_TYPE;
	exit->u.cr.lmsw_val = CR_LMSW(q);
}

static void debug_register(struct vm_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	exit->u.cr.nr = DR_NR(q);
	exit->u.cr.gpr = CR_GPR(q);
	exit->u.cr.write = !(q & DR_READ);
}

/* An IRET had ended the blocking of NMIs when it faulted: it begins anew (SDM, "Information About NMI Unblocking Due to IRET"). */
static void block_nmis_again(struct vcpu *v, const struct vm_exit *exit, bool unblocked)
{
	if (unblocked && !exit->vectoring && vmx_caps.virtual_nmis)
		v->state.nmi_blocked = true;
}

/* NMIs and machine checks are the host's, before interrupts are on. */
static void exception(struct vcpu *v, struct vm_exit *exit)
{
	u32 info = (u32)vmread(EXIT_INTR_INFO);
	struct x86_event *exc = &exit->u.exc;
	u8 vector = (u8)info;

	if (!(info & INTR_VALID))
		return;
	if (INTR_TYPE(info) == X86_EVENT_NMI) {
		hw_nmi();
		return;
	}
	if (vector == X86_EXC_MC) {
		hw_machine_check();
		return;
	}
	block_nmis_again(v, exit, info & INTR_NMI_UNBLOCKED && vector != X86_EXC_DF);
	exit->code = VM_EXIT_EXCEPTION;
	*exc = (struct x86_event){ .type = INTR_TYPE(info), .vector = vector };
	if (info & INTR_HAS_ERROR) {
		exc->has_error = true;
		exc->error = (u32)vmread(EXIT_INTR_ERROR);
	}
	if (vector == X86_EXC_DB)
		exc->cr2 = vmread(EXIT_QUALIFICATION) & (0xf | DR6_BD | DR6_BS);
	else if (vector == X86_EXC_PF)
		exc->cr2 = vmread(EXIT_QUALIFICATION);
	if (hwvm_is_soft(exc))
		exc->insn_len = (u8)vmread(EXIT_INSN_LEN);
}

/*
 * SDM, "Monitor Trap Flag": after an instruction, with what it has raised, or after the delivery of the injected event, which is no
 * step yet. MOV SS is not blocked; its step ends with the next instruction, as those by TF do. The traps that wait are the debugger's.
 */
static void monitor_trap(const struct vcpu *v, struct vm_exit *exit)
{
	const struct vmx_vcpu *vv = vmx_of(v);

	if (v->inject_valid || v->state.shadow & X86_SHADOW_MOV_SS)
		return;
	exit->code = VM_EXIT_EXCEPTION;
	exit->u.exc = (struct x86_event){ .type = X86_EVENT_EXC, .vector = X86_EXC_DB };
	exit->u.exc.cr2 = DR6_BS | (vv->w.pending_debug & 0xf);
}

static void task_switch(struct vcpu *v, struct vm_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	instruction(exit, VM_EXIT_TASK_SWITCH);
	exit->u.task.sel = TASK_SEL(q);
	exit->u.task.why = (enum x86_task_reason)TASK_WHY(q);
	exit->u.task.has_error = exit->vectoring && exit->vectoring_event.has_error;
	exit->u.task.error = exit->u.task.has_error ? exit->vectoring_event.error : 0;
}

static void ept_violation(struct vcpu *v, struct vm_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	block_nmis_again(v, exit, q & EPT_NMI_UNBLOCKED);
	exit->u.mem.gpa = vmread(GUEST_PHYSICAL_ADDRESS);
	exit->u.mem.write = q & EPT_WRITE;
	exit->u.mem.exec = q & EPT_EXEC;
	exit->u.mem.present = q & EPT_PRESENT;
}

/* Instructions: they interrupt no event's delivery. Beside the reason there is their length and, for some, what they access. */
static const u8 plain[] = {
	[X_CPUID] = VM_EXIT_CPUID,     [X_INVD] = VM_EXIT_WBINVD,
	[X_RDTSC] = VM_EXIT_RDTSC,     [X_VMCALL] = VM_EXIT_HYPERCALL,
	[X_CR] = VM_EXIT_CR,           [X_DR] = VM_EXIT_DR,
	[X_IO] = VM_EXIT_IO,           [X_RDMSR] = VM_EXIT_RDMSR,
	[X_WRMSR] = VM_EXIT_WRMSR,     [X_MWAIT] = VM_EXIT_MWAIT,
	[X_MONITOR] = VM_EXIT_MONITOR, [X_PAUSE] = VM_EXIT_PAUSE,
	[X_WBINVD] = VM_EXIT_WBINVD,   [X_XSETBV] = VM_EXIT_XSETBV,
};

static void plain_instruction(struct vm_exit *exit, enum vm_exit_code code)
{
	instruction(exit, code);
	if (code == VM_EXIT_IO)
		port(exit);
	else if (code == VM_EXIT_CR)
		control_register(exit);
	else if (code == VM_EXIT_DR)
		debug_register(exit);
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
	case X_MONITOR_TRAP: monitor_trap(v, exit); break;
	case X_PML_FULL: block_nmis_again(v, exit, vmread(EXIT_QUALIFICATION) & EPT_NMI_UNBLOCKED); break;
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

static void failed_entry(struct vm_exit *exit)
{
	exit->code = VM_EXIT_FAIL_ENTRY;
	exit->u.cpu = (u32)hw_cpu();
	if (X_REASON(exit->hw_reason) == X_MC_AT_ENTRY)
		hw_machine_check();
}

bool vmx_decode_exit(struct vcpu *v, struct vm_exit *exit)
{
	u32 reason = (u32)vmread(EXIT_REASON);

	exit->hw_reason = reason;
	read_pending_debug(v, reason);
	if (likely(reason < ARRAY_SIZE(plain) && plain[reason])) {
		plain_instruction(exit, plain[reason]);
		return false;
	}
	if (unlikely(reason & X_ENTRY_FAILED)) {
		failed_entry(exit);
		return false;
	}
	interrupted_event(v, exit);
	/* The most frequent of the rest. */
	if (reason == X_EPT_VIOLATION)
		ept_violation(v, exit);
	else if (reason == X_HLT)
		instruction(exit, VM_EXIT_HLT);
	else
		decode_reason(v, exit, reason);
	return true;
}

/* RSM is no instruction of a guest; another vendor's hypercall instruction core may replace. */
static bool library_knows(struct vcpu *v)
{
	if (v->state.in_smm)
		return true;
	vmx_get_state(v, STATE_ALL);
	return hwvm_foreign_hypercall(v, 0xd9);
}

void vmx_serve_exit(struct vcpu *v, struct vm_exit *exit)
{
	if (exit->hw_reason == X_EPT_VIOLATION)
		hwvm_exit_nested_fault(v, exit);
	else if (exit->hw_reason == X_HLT)
		hwvm_exit_hlt(v, exit);
	else if (exit->code == VM_EXIT_EXCEPTION && exit->u.exc.vector == X86_EXC_UD && library_knows(v))
		exit->code = VM_EXIT_EMULATE;
}
