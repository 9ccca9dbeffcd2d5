/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the tracepoints say of the loop's turns. Called only while somebody traces. */
#include <linux/trace_events.h>
#include <linux/tracepoint.h>
#include <host/trace.h>
#include "linux.h"
#define CREATE_TRACE_POINTS
#include "anykvm_events.h"

#define VECTORING_VALID (1u << 31)

void trace_entry(const struct vcpu *v)
{
	trace_anykvm_entry(v);
}

void trace_inject(const struct vcpu *v)
{
	if (v->inject_valid)
		trace_anykvm_inject(v);
}

/* Two numbers that tell more than the reason. */
static void details(const struct vcpu *v, const struct vm_exit *e, u64 info[2])
{
	const u64 *gpr = v->state.gpr;

	info[0] = info[1] = 0;
	switch (e->code) {
	/* What an engine has handled itself was most likely a page that it had to enter. */
	case VM_EXIT_NONE:
	case VM_EXIT_EMULATE:
	case VM_EXIT_HOST_FAULT:
	case VM_EXIT_MEMORY:
		info[0] = e->u.mem.gpa;
		info[1] = (u64)(e->u.mem.present | e->u.mem.write << 1 | e->u.mem.exec << 4);
		break;
	case VM_EXIT_IO:
		info[0] = e->u.io.port;
		info[1] = (u64)(e->u.io.size | e->u.io.in << 8 | e->u.io.string << 9 | e->u.io.rep << 10);
		break;
	case VM_EXIT_EXCEPTION:
		info[0] = e->u.exc.vector;
		info[1] = e->u.exc.has_error ? e->u.exc.error : e->u.exc.cr2;
		break;
	case VM_EXIT_CR:
	case VM_EXIT_DR:
		info[0] = e->u.cr.nr;
		info[1] = (u64)(e->u.cr.gpr | e->u.cr.write << 8);
		break;
	case VM_EXIT_CPUID:
		info[0] = (u32)gpr[X86_RAX];
		info[1] = (u32)gpr[X86_RCX];
		break;
	case VM_EXIT_RDMSR:
	case VM_EXIT_WRMSR:
		info[0] = (u32)gpr[X86_RCX];
		info[1] = e->code == VM_EXIT_WRMSR ? (u32)gpr[X86_RAX] | gpr[X86_RDX] << 32 : 0;
		break;
	case VM_EXIT_HYPERCALL:
		info[0] = gpr[X86_RAX];
		info[1] = gpr[X86_RBX];
		break;
	case VM_EXIT_TASK_SWITCH:
		info[0] = e->u.task.sel;
		info[1] = e->u.task.why;
		break;
	default: break;
	}
}

void trace_exit(const struct vcpu *v, const struct vm_exit *exit)
{
	const struct x86_event *ev = &exit->vectoring_event;
	u64 info[2];

	details(v, exit, info);
	trace_anykvm_exit(v, vm_exit_names[exit->code], exit->hw_reason, info[0], info[1],
			  exit->vectoring ? VECTORING_VALID | (u32)ev->type << 8 | ev->vector : 0);
}

void trace_user_exit(const struct vcpu *v, int error)
{
	trace_anykvm_user_exit(v, READ_ONCE(v->run->exit_reason), error);
}

void trace_ioctl(const char *on, u32 cmd, u64 arg, long ret)
{
	trace_anykvm_ioctl(on, cmd, arg, ret);
}
