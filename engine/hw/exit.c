/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Exits that mean the same on both kinds of hardware. */
#include "hwvm.h"

void hwvm_exit_ud(struct vm_exit *exit)
{
	exit->code = VM_EXIT_EXCEPTION;
	exit->u.exc = (struct x86_event){ .type = X86_EVENT_EXC, .vector = X86_EXC_UD };
}

void hwvm_exit_hlt(struct vcpu *v, struct vm_exit *exit)
{
	if (!exit->insn_len || v->state.rflags & RFLAGS_TF || v->single_step) {
		exit->code = VM_EXIT_EMULATE;
		return;
	}
	exit->code = VM_EXIT_HLT;
	vcpu_advance(v, exit->insn_len);
	v->state.shadow = 0;
}

bool hwvm_next_is_syscall(struct vcpu *v)
{
	struct x86_insn i;

	return x86_fetch_decode(&v->state, &i) == X86_OK && i.map == 1 && (i.opcode == 0x05 || i.opcode == 0x07);
}

bool hwvm_foreign_hypercall(struct vcpu *v, u8 modrm)
{
	struct x86_insn i;

	return x86_fetch_decode(&v->state, &i) == X86_OK && i.map == 1 && i.opcode == 0x01 && i.modrm == modrm;
}

void hwvm_deliver(struct vcpu *v, struct vm_exit *exit)
{
	enum x86_result r;

	v->vm->engine->get_state(v, STATE_ALL);
	r = x86_deliver(&v->state, &v->inject);
	v->inject_valid = r != X86_OK && r != X86_SHUTDOWN;
	hwvm_put_state(v, STATE_ALL & ~STATE_FPU);
	switch (r) {
	case X86_OK: break;
	case X86_SHUTDOWN: exit->code = VM_EXIT_SHUTDOWN; break;
	case X86_HOST_FAULT: exit->code = VM_EXIT_HOST_FAULT; break;
	default: exit->code = VM_EXIT_USER;
	}
}

void hwvm_clear_way(struct vcpu *v, struct vm_exit *exit)
{
	if (v->inject_valid)
		hwvm_deliver(v, exit);
	else
		exit->code = VM_EXIT_EMULATE;
}

void hwvm_exit_nested_fault(struct vcpu *v, struct vm_exit *exit)
{
	enum nested_access access = exit->u.mem.write ? NESTED_WRITE : exit->u.mem.exec ? NESTED_EXEC : NESTED_READ;

	switch (nested_fault(v, exit->u.mem.gpa, access)) {
	case NESTED_OK:
	case NESTED_AGAIN: break;
	case NESTED_MMIO: exit->code = VM_EXIT_MEMORY; break;
	case NESTED_FAULT: exit->code = VM_EXIT_HOST_FAULT; break;
	}
}
