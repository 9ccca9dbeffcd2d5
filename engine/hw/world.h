/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the two world switches (world.S) do alike with the general registers. base: points to vcpu->state.gpr. */
#ifndef HW_WORLD_H
#define HW_WORLD_H

#include <asm/nospec-branch.h>

#define GPR(n, base) (8 * (n))(base)

/* Those that a C function keeps for its caller. */
.macro PUSH_HOST_REGISTERS
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
.endm

.macro POP_HOST_REGISTERS
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
.endm

/* All but RAX, RDI and RSP, which are base or the hardware's. Flags stay. */
.macro LOAD_GUEST_REGISTERS base
	mov	GPR(1, \base), %rcx
	mov	GPR(2, \base), %rdx
	mov	GPR(3, \base), %rbx
	mov	GPR(5, \base), %rbp
	mov	GPR(6, \base), %rsi
	mov	GPR(8, \base), %r8
	mov	GPR(9, \base), %r9
	mov	GPR(10, \base), %r10
	mov	GPR(11, \base), %r11
	mov	GPR(12, \base), %r12
	mov	GPR(13, \base), %r13
	mov	GPR(14, \base), %r14
	mov	GPR(15, \base), %r15
.endm

.macro STORE_GUEST_REGISTERS base
	mov	%rcx, GPR(1, \base)
	mov	%rdx, GPR(2, \base)
	mov	%rbx, GPR(3, \base)
	mov	%rbp, GPR(5, \base)
	mov	%rsi, GPR(6, \base)
	mov	%r8, GPR(8, \base)
	mov	%r9, GPR(9, \base)
	mov	%r10, GPR(10, \base)
	mov	%r11, GPR(11, \base)
	mov	%r12, GPR(12, \base)
	mov	%r13, GPR(13, \base)
	mov	%r14, GPR(14, \base)
	mov	%r15, GPR(15, \base)
.endm

/*
 * Return addresses that the guest has trained must not be predicted: where the processor has the first feature the whole return
 * stack buffer, where it has the second one entry. As the kernel's FILL_RETURN_BUFFER without its loop: a third of the instructions.
 */
#define FILL_ALL_RETURNS .rept RSB_CLEAR_LOOPS; __FILL_RETURN_SLOT; .endr; add $8 * RSB_CLEAR_LOOPS, %rsp; lfence
.macro FILL_RETURNS all:req one=ALT_NOT(X86_FEATURE_ALWAYS)
	ALTERNATIVE_2 "jmp .Lfilled_\@", __stringify(FILL_ALL_RETURNS), \all, __stringify(__FILL_ONE_RETURN), \one
.Lfilled_\@:
.endm

/* Nor may the guest's values be used speculatively. What POP_HOST_REGISTERS and the result do not overwrite. */
.macro CLEAR_GUEST_REGISTERS
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
.endm

#endif /* HW_WORLD_H */
