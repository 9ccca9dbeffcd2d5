/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The world switch. The processor switches RSP, RIP, RFLAGS, segments and some MSRs; here are the general registers. Interrupts
 * are off; an NMI during guest mode is an exit.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/unwind_hints.h>
#include "vmcs.h"
#include "world.h"

	.text
	.code64

/* bool vmx_world_switch(u64 *gpr, bool launched, u64 *host_rsp): false: the VMCS was refused. */
SYM_FUNC_START(vmx_world_switch)
	PUSH_HOST_REGISTERS
	push	%rdi
	cmp	%rsp, (%rdx)
	je	1f
	mov	%rsp, (%rdx)
	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
1:	bt	$0, %esi
	LOAD_GUEST_REGISTERS %rdi
	mov	GPR(0, %rdi), %rax
	mov	GPR(7, %rdi), %rdi
	/* What buffers still hold of the host (MDS and its like). ZF is lost. */
	CLEAR_CPU_BUFFERS
	UNWIND_HINT_SAVE
	jnc	2f
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
	mov	%rax, GPR(0, %rdi)
	STORE_GUEST_REGISTERS %rdi
	pop	GPR(7, %rdi)
	pop	%rdi
	FILL_RETURNS X86_FEATURE_RSB_VMEXIT, X86_FEATURE_RSB_VMEXIT_LITE
	/* Uses RAX and RCX. */
	CLEAR_BRANCH_HISTORY_VMEXIT
	mov	$1, %eax
4:	CLEAR_GUEST_REGISTERS
	POP_HOST_REGISTERS
	RET
SYM_FUNC_END(vmx_world_switch)
