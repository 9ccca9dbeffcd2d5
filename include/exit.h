/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * exit.h - why an engine's entry ended, in neutral terms. Filled by engine->enter(), dispatched by core/exit.c
 * through one table indexed by the code.
 *
 * Of the union only the member that belongs to the code says anything; of mem an engine sets what it knows, the rest is 0.
 */
#ifndef ANYKVM_EXIT_H
#define ANYKVM_EXIT_H

#include "x86.h"

enum vm_exit_code {
	VM_EXIT_NONE,       /* nothing to do: a kick, a request, a host interrupt: go round the loop */
	VM_EXIT_USER,       /* an op has filled the vCPU's user exit (port or memory I/O, MSR, ...) */
	VM_EXIT_HLT,        /* HLT executed and retired */
	VM_EXIT_IRQ_WINDOW, /* interrupts can be taken now (asked by vcpu->want_irq_window) */
	VM_EXIT_NMI_WINDOW, /* NMI can be taken now */
	VM_EXIT_EXCEPTION,  /* an exception that vcpu->exc_intercept asks for; u.exc; not delivered */
	VM_EXIT_SHUTDOWN,   /* triple fault */
	VM_EXIT_EMULATE,    /* let the instruction library execute the instruction at rip (u.mem.gpa if has_gpa) */
	VM_EXIT_MEMORY,     /* hardware: second-level translation fault at u.mem */
	VM_EXIT_IO,         /* hardware: port access not decoded to an op; u.io */
	VM_EXIT_CPUID,
	VM_EXIT_RDMSR,
	VM_EXIT_WRMSR,
	VM_EXIT_CR,
	VM_EXIT_DR,
	VM_EXIT_INVLPG,
	VM_EXIT_RDTSC,
	VM_EXIT_HYPERCALL,
	VM_EXIT_XSETBV,
	VM_EXIT_WBINVD,
	VM_EXIT_PAUSE,
	VM_EXIT_MWAIT,
	VM_EXIT_MONITOR,
	VM_EXIT_TASK_SWITCH,
	VM_EXIT_TPR,
	VM_EXIT_DEBUG_STEP,
	VM_EXIT_INIT,
	VM_EXIT_SIPI,
	VM_EXIT_UNHANDLED,  /* the instruction at rip cannot be executed: KVM_INTERNAL_ERROR_EMULATION */
	VM_EXIT_HOST_FAULT, /* guest memory not reachable: KVM_RUN gives -EFAULT */
	VM_EXIT_FAIL_ENTRY, /* the hardware refused to enter; hw_reason */
	VM_EXIT_UNKNOWN,    /* hardware reason that the engine does not know; hw_reason */
	VM_EXIT_COUNT
};

struct vm_exit {
	enum vm_exit_code code;
	u32 insn_len;  /* bytes of the instruction that exited, 0 if not known */
	u64 hw_reason; /* the hardware's own number, for user space and statistics */
	/*
	 * An event whose delivery was interrupted by this exit (IDT-vectoring information, EXITINTINFO): core queues
	 * it again so that it is not lost.
	 */
	bool vectoring;
	struct x86_event vectoring_event;
	union {
		struct x86_event exc;
		struct {
			u64 gpa;
			u64 gla;
			bool write, exec, gla_valid, present;
		} mem;
		struct {
			u16 port;
			u8 size;
			bool in, string, rep;
		} io;
		struct {
			u8 nr, gpr;
			bool write, clts, lmsw;
			u16 lmsw_val;
		} cr; /* CR and DR */
		struct {
			u16 sel;
			enum x86_task_reason why;
			bool has_error;
			u32 error;
		} task;
		u64 gla; /* INVLPG */
		u32 cpu; /* FAIL_ENTRY: the host's that has refused */
	} u;
};

/* Nothing has happened yet. Not the whole of it: each turn of the loop begins with this. */
static inline void vm_exit_begin(struct vm_exit *exit)
{
	exit->code = VM_EXIT_NONE;
	exit->insn_len = 0;
	exit->hw_reason = 0;
	exit->vectoring = false;
	exit->u.mem.gpa = 0;
	exit->u.mem.write = exit->u.mem.exec = exit->u.mem.gla_valid = exit->u.mem.present = false;
}

#endif /* ANYKVM_EXIT_H */
