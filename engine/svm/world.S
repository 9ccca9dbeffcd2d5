/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The world switch. Between VMLOAD of the guest and VMLOAD of the host GS is the guest's: nothing may be taken there, not even an
 * NMI, so the global interrupt flag is clear; IF is set so that physical interrupts end guest mode (APM volume 2, "Global
 * Interrupt Flag, STGI and CLGI Instructions", "Interrupt Masking in EFLAGS.IF").
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>

#define GPR(n) (8 * (n))(%rax)

	.text
	.code64

/* void svm_world_switch(u64 *gpr, u64 vmcb_pa, u64 host_pa) */
SYM_FUNC_START(svm_world_switch)
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	push	%rdx
	push	%rsi
	clgi
	sti
	mov	%rdx, %rax
	vmsave	%rax
	mov	%rdi, %rax
	mov	GPR(1), %rcx
	mov	GPR(2), %rdx
	mov	GPR(3), %rbx
	mov	GPR(5), %rbp
	mov	GPR(6), %rsi
	mov	GPR(7), %rdi
	mov	GPR(8), %r8
	mov	GPR(9), %r9
	mov	GPR(10), %r10
	mov	GPR(11), %r11
	mov	GPR(12), %r12
	mov	GPR(13), %r13
	mov	GPR(14), %r14
	mov	GPR(15), %r15
	pop	%rax
	vmload	%rax
	vmrun	%rax
	/* RAX, RSP, RFLAGS and RIP are the host's again. */
	vmsave	%rax
	pop	%rax
	vmload	%rax
	pop	%rax
	mov	%rcx, GPR(1)
	mov	%rdx, GPR(2)
	mov	%rbx, GPR(3)
	mov	%rbp, GPR(5)
	mov	%rsi, GPR(6)
	mov	%rdi, GPR(7)
	mov	%r8, GPR(8)
	mov	%r9, GPR(9)
	mov	%r10, GPR(10)
	mov	%r11, GPR(11)
	mov	%r12, GPR(12)
	mov	%r13, GPR(13)
	mov	%r14, GPR(14)
	mov	%r15, GPR(15)
	/* Return addresses that the guest has trained must not be predicted. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RETPOLINE
	UNTRAIN_RET
	/* Nor may the guest's values be used speculatively. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	cli
	stgi
	RET
SYM_FUNC_END(svm_world_switch)
