/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Signals arrive with the thread pointer and on the stack of whatever they interrupt. Only rdi, rsi, rdx and rsp matter to a
 * handler; everything else is in the frame.
 */
	.text
#define BLOCK_FS 0
#define BLOCK_STACK_TOP 8
#define BLOCK_PROGRAM_FS 16
#define NR_RT_SIGRETURN 15
#define NR_ARCH_PRCTL 158
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003

/* u64 inject_fs(void) */
	.globl	inject_fs
	.type	inject_fs, @function
inject_fs:
	cmpb	$0, inject_user_fs(%rip)
	je	1f
	rdfsbase %rax
	ret
1:	sub	$8, %rsp
	mov	$NR_ARCH_PRCTL, %eax
	mov	$ARCH_GET_FS, %edi
	mov	%rsp, %rsi
	syscall
	pop	%rax
	ret
	.size	inject_fs, . - inject_fs

/* void set_fs(u64 fs) */
	.type	set_fs, @function
set_fs:
	cmpb	$0, inject_user_fs(%rip)
	je	1f
	wrfsbase %rdi
	ret
1:	mov	%rdi, %rsi
	mov	$NR_ARCH_PRCTL, %eax
	mov	$ARCH_SET_FS, %edi
	syscall
	ret
	.size	set_fs, . - set_fs

/* void inject_entry(int sig, siginfo_t *info, void *context): what the kernel calls */
	.globl	inject_entry
	.type	inject_entry, @function
inject_entry:
	cld
	mov	%rdi, %r12
	mov	%rsi, %r13
	mov	%rdx, %r14
	mov	%rsp, %r15
	and	$-16, %rsp
	call	inject_fs
	mov	%rax, %rbx
	call	inject_block
	mov	%rax, %rbp
	mov	BLOCK_FS(%rbp), %rdi
	call	set_fs
	mov	%r12, %rdi
	mov	%r13, %rsi
	call	inject_is_trap
	test	%al, %al
	jnz	.Ltrap
	mov	%r12, %rdi
	mov	%r13, %rsi
	mov	%r14, %rdx
	mov	%rbp, %rcx
	call	inject_signal
	mov	%rax, %r12
	mov	%rbx, %rdi
	test	%rax, %rax
	jz	1f
	/* A fault of ours that we cannot mend: its handler at least finds its own thread. */
	cmp	BLOCK_FS(%rbp), %rbx
	jne	1f
	mov	BLOCK_PROGRAM_FS(%rbp), %rdi
1:	mov	(%r13), %ebx	/* si_signo: the number again */
	call	set_fs
	mov	%r15, %rsp
	mov	%ebx, %edi
	mov	%r13, %rsi
	mov	%r14, %rdx
	xor	%eax, %eax
	test	%r12, %r12
	jz	2f
	jmp	*%r12
2:	ret
.Ltrap:
	mov	BLOCK_STACK_TOP(%rbp), %rsp
	mov	%rbx, BLOCK_PROGRAM_FS(%rbp)
	mov	%r14, %rdi
	mov	%rbp, %rsi
	call	inject_trap
	ud2
	.size	inject_entry, . - inject_entry

/* void inject_return(ucontext_t *uc, u64 fs) */
	.globl	inject_return
	.type	inject_return, @function
inject_return:
	mov	%rdi, %rbx
	mov	%rsi, %rdi
	call	set_fs
	mov	%rbx, %rsp
	mov	$NR_RT_SIGRETURN, %eax
	syscall
	ud2
	.size	inject_return, . - inject_return

/* void inject_jump(u64 entry, u64 sp): registers as the kernel leaves them to a new program */
	.globl	inject_jump
	.type	inject_jump, @function
inject_jump:
	mov	%rdi, %rbx
	mov	%rsi, %r12
	xor	%edi, %edi
	call	set_fs
	mov	%r12, %rsp
	push	%rbx
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	ret
	.size	inject_jump, . - inject_jump

/* long inject_gate_call(void *gate, long nr, const u64 arg[6]): gate is syscall; ret */
	.globl	inject_gate_call
	.type	inject_gate_call, @function
inject_gate_call:
	push	%rbx
	mov	%rdi, %rbx
	mov	%rsi, %rax
	mov	%rdx, %r11
	mov	(%r11), %rdi
	mov	8(%r11), %rsi
	mov	16(%r11), %rdx
	mov	24(%r11), %r10
	mov	32(%r11), %r8
	mov	40(%r11), %r9
	call	*%rbx
	pop	%rbx
	ret
	.size	inject_gate_call, . - inject_gate_call

	.section .note.GNU-stack, "", @progbits
