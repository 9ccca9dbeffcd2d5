/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The world switch. Between VMLOAD of the guest and VMLOAD of the host GS is the guest's: nothing may be taken there, not even an
 * NMI, so the global interrupt flag is clear; IF is set so that physical interrupts end guest mode (APM volume 2, "Global
 * Interrupt Flag, STGI and CLGI Instructions", "Interrupt Masking in EFLAGS.IF").
 */
#include <linux/linkage.h>
#include "world.h"

#define SPEC_CTRL 0x48

	.text
	.code64

/* void svm_world_switch(u64 *gpr, u64 vmcb_pa, u64 host_pa, const struct svm_spec_ctrl *spec) */
SYM_FUNC_START(svm_world_switch)
	PUSH_HOST_REGISTERS
	push	%rcx
	push	%rdi
	push	%rdx
	push	%rsi
	clgi
	sti
	mov	%rdx, %rax
	vmsave	%rax
	test	%rcx, %rcx
	jz	1f
	mov	4(%rcx), %edx
	mov	(%rcx), %eax
	mov	$SPEC_CTRL, %ecx
	wrmsr
1:
	mov	%rdi, %rax
	LOAD_GUEST_REGISTERS %rax
	mov	GPR(7, %rax), %rdi
	pop	%rax
	vmload	%rax
	/* What buffers still hold of the host (TSA). ZF is lost. */
	VM_CLEAR_CPU_BUFFERS
	vmrun	%rax
	/* RAX, RSP, RFLAGS and RIP are the host's again. */
	vmsave	%rax
	pop	%rax
	vmload	%rax
	pop	%rax
	STORE_GUEST_REGISTERS %rax
	mov	%rdi, GPR(7, %rax)
	FILL_RETURNS X86_FEATURE_RETPOLINE
	pop	%rax
	test	%rax, %rax
	jz	2f
	mov	12(%rax), %edx
	mov	8(%rax), %eax
	mov	$SPEC_CTRL, %ecx
	wrmsr
2:	UNTRAIN_RET
	CLEAR_GUEST_REGISTERS
	POP_HOST_REGISTERS
	cli
	stgi
	RET
SYM_FUNC_END(svm_world_switch)
