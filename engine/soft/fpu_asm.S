/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The only code of the engine that touches x87 and vector registers. System V calling convention.
 */
	.text

/* void soft_fpu_swap_in(void *xsave, u64 mask, u16 *host_fcw, u32 *host_mxcsr); mask 0: FXRSTOR */
	.globl	soft_fpu_swap_in
	.hidden	soft_fpu_swap_in
	.type	soft_fpu_swap_in, @function
	.p2align 4
soft_fpu_swap_in:
	.cfi_startproc
	fnstcw	(%rdx)
	stmxcsr	(%rcx)
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	test	%rsi, %rsi
	jz	1f
	xrstor64 (%rdi)
	ret
1:	fxrstor64 (%rdi)
	ret
	.cfi_endproc
	.size	soft_fpu_swap_in, . - soft_fpu_swap_in

/* void soft_fpu_swap_out(void *xsave, u64 mask, u16 host_fcw, u32 host_mxcsr); mask 0: FXSAVE */
	.globl	soft_fpu_swap_out
	.hidden	soft_fpu_swap_out
	.type	soft_fpu_swap_out, @function
	.p2align 4
soft_fpu_swap_out:
	.cfi_startproc
	mov	%edx, -4(%rsp)
	mov	%ecx, -8(%rsp)
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	test	%rsi, %rsi
	jz	2f
	xsave64	(%rdi)
	test	$4, %esi
	jz	1f
	vzeroupper
1:	/* Pending guest exceptions must not hit us: no waiting x87 instruction before FNINIT. */
	fninit
	fldcw	-4(%rsp)
	ldmxcsr	-8(%rsp)
	ret
2:	fxsave64 (%rdi)
	jmp	1b
	.cfi_endproc
	.size	soft_fpu_swap_out, . - soft_fpu_swap_out

/* u32 soft_fpu_status(void): the x87 status word */
	.globl	soft_fpu_status
	.hidden	soft_fpu_status
	.type	soft_fpu_status, @function
	.p2align 4
soft_fpu_status:
	.cfi_startproc
	xor	%eax, %eax
	fnstsw	%ax
	ret
	.cfi_endproc
	.size	soft_fpu_status, . - soft_fpu_status

/*
 * bool soft_fpu_call(void *stub, struct x86_native_regs *r): run a stub with rax, rcx, rdx; true: it faulted
 * (soft_fpu_fixup brought us to soft_fpu_fault). In soft_fpu_call_flags the arithmetic flags pass as well. The
 * fixup recognises a stub by its return address and by the mark in rbp.
 */
	.globl	soft_fpu_call
	.hidden	soft_fpu_call
	.type	soft_fpu_call, @function
	.p2align 4
soft_fpu_call:
	.cfi_startproc
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	mov	%rsi, %rbx
	movabs	$0x6670755f73747562, %rbp	/* SOFT_FPU_MARK */
	mov	(%rbx), %rax
	mov	8(%rbx), %rcx
	mov	16(%rbx), %rdx
	call	*%rdi
	.globl	soft_fpu_return
	.hidden	soft_fpu_return
soft_fpu_return:
	mov	%rax, (%rbx)
	mov	%rcx, 8(%rbx)
	mov	%rdx, 16(%rbx)
	xor	%eax, %eax
1:	add	$8, %rsp
	.cfi_remember_state
	.cfi_adjust_cfa_offset -8
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_restore_state
	.globl	soft_fpu_fault
	.hidden	soft_fpu_fault
soft_fpu_fault:
	mov	$1, %eax
	jmp	1b
	.cfi_endproc
	.size	soft_fpu_call, . - soft_fpu_call

	.globl	soft_fpu_call_flags
	.hidden	soft_fpu_call_flags
	.type	soft_fpu_call_flags, @function
	.p2align 4
soft_fpu_call_flags:
	.cfi_startproc
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	mov	%rsi, %rbx
	movabs	$0x6670755f73747562, %rbp	/* SOFT_FPU_MARK */
	mov	(%rbx), %rax
	mov	8(%rbx), %rcx
	mov	16(%rbx), %rdx
	pushq	24(%rbx)
	.cfi_adjust_cfa_offset 8
	popfq
	.cfi_adjust_cfa_offset -8
	call	*%rdi
	.globl	soft_fpu_return_flags
	.hidden	soft_fpu_return_flags
soft_fpu_return_flags:
	pushfq
	.cfi_adjust_cfa_offset 8
	popq	24(%rbx)
	.cfi_adjust_cfa_offset -8
	jmp	soft_fpu_return
	.cfi_endproc
	.size	soft_fpu_call_flags, . - soft_fpu_call_flags

	.section .note.GNU-stack, "", @progbits
