/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The world switch. The processor switches RSP, RIP, RFLAGS, segments and some MSRs; here are the general registers. Interrupts
 * are off; an NMI during guest mode is an exit.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>
#include "vmcs.h"

/* As FILL_RETURN_BUFFER, without its loop: a third of the instructions. */
#define FILL_ALL_RETURNS .rept RSB_CLEAR_LOOPS; __FILL_RETURN_SLOT; .endr; add $8 * RSB_CLEAR_LOOPS, %rsp; lfence

#define GPR(n) (8 * (n))(%rdi)

	.text
	.code64

/* bool vmx_world_switch(u64 *gpr, bool launched, u64 *host_rsp): false: the VMCS was refused. */
SYM_FUNC_START(vmx_world_switch)
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	cmp	%rsp, (%rdx)
	je	1f
	mov	%rsp, (%rdx)
	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
1:	test	%sil, %sil
	mov	GPR(0), %rax
	mov	GPR(1), %rcx
	mov	GPR(2), %rdx
	mov	GPR(3), %rbx
	mov	GPR(5), %rbp
	mov	GPR(6), %rsi
	mov	GPR(8), %r8
	mov	GPR(9), %r9
	mov	GPR(10), %r10
	mov	GPR(11), %r11
	mov	GPR(12), %r12
	mov	GPR(13), %r13
	mov	GPR(14), %r14
	mov	GPR(15), %r15
	mov	GPR(7), %rdi
	UNWIND_HINT_SAVE
	jz	2f
	vmresume
	jmp	3f
2:	vmlaunch
3:	/* Refused: the registers are the guest's, and stay as they are in gpr. */
	pop	%rdi
	xor	%eax, %eax
	jmp	4f

SYM_INNER_LABEL(vmx_guest_left, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ANNOTATE_NOENDBR
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rax, GPR(0)
	mov	%rcx, GPR(1)
	mov	%rdx, GPR(2)
	mov	%rbx, GPR(3)
	mov	%rbp, GPR(5)
	mov	%rsi, GPR(6)
	pop	GPR(7)
	mov	%r8, GPR(8)
	mov	%r9, GPR(9)
	mov	%r10, GPR(10)
	mov	%r11, GPR(11)
	mov	%r12, GPR(12)
	mov	%r13, GPR(13)
	mov	%r14, GPR(14)
	mov	%r15, GPR(15)
	pop	%rdi
	/* Return addresses that the guest has trained must not be predicted. */
	ALTERNATIVE_2 "jmp 5f", __stringify(FILL_ALL_RETURNS), X86_FEATURE_RSB_VMEXIT, \
		__stringify(__FILL_ONE_RETURN), X86_FEATURE_RSB_VMEXIT_LITE
5:
	mov	$1, %eax
4:	/* Nor may the guest's values be used speculatively. */
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
	RET
SYM_FUNC_END(vmx_world_switch)
