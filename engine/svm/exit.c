/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Exit codes of the hardware as neutral exits (APM volume 2, "SVM Intercept Exit Codes"). */
#include "svm.h"
#include "optable.h"

/*
 * INT n, INT3 or INTO, whose delivery adds the instruction's length: the processor does not tell it, and prefixes count. RIP is
 * still the instruction's. Where there is none (user space has injected the event) the usual form is meant.
 */
static void software_event(struct vcpu *v, struct x86_event *ev)
{
	struct x86_insn i;

	if (ev->type == X86_EVENT_EXC)
		ev->type = X86_EVENT_SOFT_EXC;
	ev->insn_len = ev->type == X86_EVENT_SOFT_INT ? 2 : 1;
	svm_get_state(v, STATE_ALL);
	if (x86_fetch_decode(&v->state, &i) != X86_OK)
		return;
	if (i.op != X86_OP_INT && i.op != X86_OP_INT3 && i.op != X86_OP_INTO)
		return;
	ev->insn_len = i.len;
	ev->type = i.op == X86_OP_INT ? X86_EVENT_SOFT_INT : X86_EVENT_SOFT_EXC;
}

static void interrupted_event(struct vcpu *v, struct vm_exit *exit)
{
	const struct vmcb *c = svm_of(v)->vmcb;
	u64 info = c->exit_int_info;
	struct x86_event *ev = &exit->vectoring_event;

	if (!(info & EVENT_VALID))
		return;
	exit->vectoring = true;
	*ev = (struct x86_event){ .type = EVENT_TYPE(info), .vector = (u8)info };
	if (info & EVENT_HAS_ERROR) {
		ev->has_error = true;
		ev->error = info >> 32;
	}
	/* INT3 and INTO are told from exceptions by their vector only. */
	if (ev->type == X86_EVENT_SOFT_INT ||
	    (ev->type == X86_EVENT_EXC && (ev->vector == X86_EXC_BP || ev->vector == X86_EXC_OF))) {
		software_event(v, ev);
		return;
	}
	if (ev->type != X86_EVENT_EXC)
		return;
	if (ev->vector == X86_EXC_PF)
		ev->cr2 = c->cr2;
	else if (ev->vector == X86_EXC_DB)
		ev->cr2 = c->dr6 & HWVM_DB_CAUSES;
}

/* The library decodes where the processor does not tell. */
static void instruction(struct vcpu *v, struct vm_exit *exit, enum vm_exit_code code)
{
	const struct vmcb *c = svm_of(v)->vmcb;
	u64 len = c->next_rip - c->rip;

	exit->code = VM_EXIT_EMULATE;
	if (!svm_caps.nrip || !len || len > X86_MAX_INSN_LEN)
		return;
	exit->code = code;
	exit->insn_len = len;
}

static void halt(struct vcpu *v, struct vm_exit *exit)
{
	instruction(v, exit, VM_EXIT_HLT);
	hwvm_exit_hlt(v, exit);
}

static void port(struct vcpu *v, struct vm_exit *exit)
{
	const struct vmcb *c = svm_of(v)->vmcb;
	u64 i = c->info1;

	exit->code = VM_EXIT_IO;
	exit->insn_len = (c->info2 - c->rip) & 0xf;
	exit->u.io.port = IO_PORT(i);
	exit->u.io.size = IO_SIZE(i);
	exit->u.io.in = i & IO_IN;
	exit->u.io.string = i & IO_STRING;
	exit->u.io.rep = i & IO_REP;
}

static void control_register(struct vcpu *v, struct vm_exit *exit, unsigned nr, bool write)
{
	u64 i = svm_of(v)->vmcb->info1;

	instruction(v, exit, VM_EXIT_CR);
	/* CLTS, LMSW and SMSW do not say that they are a MOV. */
	if (!svm_caps.decode || !(i >> 63))
		exit->code = VM_EXIT_EMULATE;
	exit->u.cr.nr = nr;
	exit->u.cr.gpr = i & 15;
	exit->u.cr.write = write;
}

static void debug_register(struct vcpu *v, struct vm_exit *exit, unsigned nr, bool write)
{
	instruction(v, exit, VM_EXIT_DR);
	if (!svm_caps.decode)
		exit->code = VM_EXIT_EMULATE;
	exit->u.cr.nr = nr;
	exit->u.cr.gpr = svm_of(v)->vmcb->info1 & 15;
	exit->u.cr.write = write;
}

static bool foreign_hypercall(struct vcpu *v)
{
	svm_get_state(v, STATE_ALL);
	return hwvm_foreign_hypercall(v, 0xc1);
}

static void exception(struct vcpu *v, struct vm_exit *exit, unsigned vector)
{
	const struct vmcb *c = svm_of(v)->vmcb;

	if (vector == X86_EXC_MC)
		return;
	if (vector == X86_EXC_UD && foreign_hypercall(v)) {
		exit->code = VM_EXIT_EMULATE;
		return;
	}
	exit->code = VM_EXIT_EXCEPTION;
	exit->u.exc = (struct x86_event){ .type = X86_EVENT_EXC, .vector = vector };
	exit->u.exc.has_error = x86_exc_has_error(vector);
	exit->u.exc.error = exit->u.exc.has_error ? (u32)c->info1 : 0;
	if (vector == X86_EXC_DB)
		exit->u.exc.cr2 = c->dr6 & HWVM_DB_CAUSES;
	if (vector == X86_EXC_BP) {
		exit->u.exc.type = X86_EVENT_SOFT_EXC;
		exit->u.exc.insn_len = 1;
	}
}

static void task_switch(struct vcpu *v, struct vm_exit *exit)
{
	const struct vmcb *c = svm_of(v)->vmcb;
	struct x86_insn i;

	exit->code = VM_EXIT_TASK_SWITCH;
	exit->u.task.sel = (u16)c->info1;
	exit->u.task.has_error = c->info2 & TASK_INFO_ERROR;
	exit->u.task.error = (u32)c->info2;
	exit->u.task.why = exit->vectoring             ? TASK_GATE
			   : c->info2 & TASK_INFO_IRET ? TASK_IRET
			   : c->info2 & TASK_INFO_JMP  ? TASK_JMP
						       : TASK_CALL;
	svm_get_state(v, STATE_ALL);
	if (exit->u.task.why != TASK_GATE && x86_fetch_decode(&v->state, &i) == X86_OK)
		exit->insn_len = i.len;
	else if (exit->vectoring)
		exit->insn_len = exit->vectoring_event.insn_len;
}

static void nested_page_fault(struct vcpu *v, struct vm_exit *exit)
{
	const struct vmcb *c = svm_of(v)->vmcb;

	exit->u.mem.gpa = c->info2;
	exit->u.mem.write = c->info1 & NPF_WRITE;
	exit->u.mem.exec = c->info1 & NPF_EXEC;
	exit->u.mem.present = c->info1 & NPF_PRESENT;
	hwvm_exit_nested_fault(v, exit);
}

static void decode_code(struct vcpu *v, struct vm_exit *exit, u32 code)
{
	const struct vmcb *c = svm_of(v)->vmcb;

	switch (code) {
	case X_INTR:
	case X_NMI:
	case X_SMI:
	case X_INIT: break;
	case X_READ_CR0 ... X_READ_CR0 + 15: control_register(v, exit, code - X_READ_CR0, false); break;
	case X_WRITE_CR0 ... X_WRITE_CR0 + 15: control_register(v, exit, code - X_WRITE_CR0, true); break;
	case X_READ_DR0 ... X_READ_DR0 + 15: debug_register(v, exit, code - X_READ_DR0, false); break;
	case X_WRITE_DR0 ... X_WRITE_DR0 + 15: debug_register(v, exit, code - X_WRITE_DR0, true); break;
	case X_EXC0 ... X_EXC0 + 31: exception(v, exit, code - X_EXC0); break;
	case X_VINTR: exit->code = VM_EXIT_IRQ_WINDOW; break;
	case X_RDTSC: instruction(v, exit, VM_EXIT_RDTSC); break;
	case X_CPUID: instruction(v, exit, VM_EXIT_CPUID); break;
	case X_HLT: halt(v, exit); break;
	case X_IOIO: port(v, exit); break;
	case X_MSR: instruction(v, exit, c->info1 & 1 ? VM_EXIT_WRMSR : VM_EXIT_RDMSR); break;
	case X_TASK_SWITCH: task_switch(v, exit); break;
	case X_SHUTDOWN: exit->code = VM_EXIT_SHUTDOWN; break;
	case X_VMMCALL: instruction(v, exit, VM_EXIT_HYPERCALL); break;
	case X_WBINVD:
	case X_INVD: instruction(v, exit, VM_EXIT_WBINVD); break;
	case X_MONITOR: instruction(v, exit, VM_EXIT_MONITOR); break;
	case X_MWAIT:
	case X_MWAIT_ARMED: instruction(v, exit, VM_EXIT_MWAIT); break;
	case X_XSETBV: instruction(v, exit, VM_EXIT_XSETBV); break;
	/* IRET ends the blocking of NMIs: the library executes it and sees when. The others would show a debugger's TF. */
	case X_IRET:
	case X_PUSHF:
	case X_POPF:
	case X_INTN:
	case X_RDTSCP:
	case X_RDPMC:
	case X_RSM: exit->code = VM_EXIT_EMULATE; break;
	case X_INVLPGA:
	case X_VMRUN:
	case X_VMLOAD:
	case X_VMSAVE:
	case X_STGI:
	case X_CLGI:
	case X_SKINIT:
	case X_RDPRU: hwvm_exit_ud(exit); break;
	case X_NPF: nested_page_fault(v, exit); break;
	case X_INVALID:
		exit->code = VM_EXIT_FAIL_ENTRY;
		exit->u.cpu = (u32)svm_of(v)->asid_cpu;
		break;
	default: exit->code = VM_EXIT_UNKNOWN;
	}
}

void svm_decode_exit(struct vcpu *v, struct vm_exit *exit)
{
	/* Codes have 32 bits, sign-extended or not. */
	u32 code = (u32)svm_of(v)->vmcb->exit_code;

	exit->hw_reason = code;
	if (code != X_INVALID)
		interrupted_event(v, exit);
	decode_code(v, exit, code);
}
