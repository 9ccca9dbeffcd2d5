/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The only places that may fault on the caller's memory, and the way out of a guarded call. signal.c compares the
 * faulting address with the labels.
 */
	.text
	.hidden	anykvm_user_copy, anykvm_user_copy_insn, anykvm_user_copy_end
	.hidden	anykvm_user_cmpxchg4, anykvm_user_cmpxchg8, anykvm_user_cmpxchg4_insn, anykvm_user_cmpxchg8_insn
	.hidden	anykvm_user_cmpxchg_fault, anykvm_guard_call, anykvm_guard_abandon, anykvm_restorer

/* size_t anykvm_user_copy(void *dst, const void *src, size_t n): bytes that were not copied */
	.globl	anykvm_user_copy, anykvm_user_copy_insn, anykvm_user_copy_end
	.type	anykvm_user_copy, @function
anykvm_user_copy:
	.cfi_startproc
	mov	%rdx, %rcx
anykvm_user_copy_insn:
	rep movsb
anykvm_user_copy_end:
	mov	%rcx, %rax
	ret
	.cfi_endproc
	.size	anykvm_user_copy, . - anykvm_user_copy

/* int anykvm_user_cmpxchgN(void *p, u64 old, u64 val): 0, 1 (differed), -1 (fault) */
	.globl	anykvm_user_cmpxchg4, anykvm_user_cmpxchg4_insn
	.type	anykvm_user_cmpxchg4, @function
anykvm_user_cmpxchg4:
	.cfi_startproc
	mov	%esi, %eax
anykvm_user_cmpxchg4_insn:
	lock cmpxchg %edx, (%rdi)
	setne	%al
	movzbl	%al, %eax
	ret
	.cfi_endproc
	.size	anykvm_user_cmpxchg4, . - anykvm_user_cmpxchg4

	.globl	anykvm_user_cmpxchg8, anykvm_user_cmpxchg8_insn, anykvm_user_cmpxchg_fault
	.type	anykvm_user_cmpxchg8, @function
anykvm_user_cmpxchg8:
	.cfi_startproc
	mov	%rsi, %rax
anykvm_user_cmpxchg8_insn:
	lock cmpxchg %rdx, (%rdi)
	setne	%al
	movzbl	%al, %eax
	ret
anykvm_user_cmpxchg_fault:
	mov	$-1, %eax
	ret
	.cfi_endproc
	.size	anykvm_user_cmpxchg8, . - anykvm_user_cmpxchg8

/* int anykvm_guard_call(void (*fn)(void *), void *arg, u64 *sp): 0, or -1 if abandoned. *sp is for the handler. */
	.globl	anykvm_guard_call, anykvm_guard_abandon
	.type	anykvm_guard_call, @function
anykvm_guard_call:
	.cfi_startproc
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	push	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	push	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	push	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	push	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	mov	%rsp, (%rdx)
	mov	%rdi, %rax
	mov	%rsi, %rdi
	call	*%rax
	xor	%eax, %eax
.Lguard_out:
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	pop	%r15
	.cfi_adjust_cfa_offset -8
	pop	%r14
	.cfi_adjust_cfa_offset -8
	pop	%r13
	.cfi_adjust_cfa_offset -8
	pop	%r12
	.cfi_adjust_cfa_offset -8
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_adjust_cfa_offset 56
anykvm_guard_abandon:
	mov	$-1, %eax
	jmp	.Lguard_out
	.cfi_endproc
	.size	anykvm_guard_call, . - anykvm_guard_call

/*
 * Where signal handlers return to. Unwinders and debuggers know a signal frame by exactly these bytes.
 */
	nop
	.globl	anykvm_restorer
	.type	anykvm_restorer, @function
anykvm_restorer:
	movq	$15, %rax
	syscall
	.size	anykvm_restorer, . - anykvm_restorer

	.section .note.GNU-stack, "", @progbits
