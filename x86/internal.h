/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Declarations shared by the library's own files. Nobody outside x86/ includes this.
 */
#ifndef X86_INTERNAL_H
#define X86_INTERNAL_H

#include "x86.h"
#include "optable.h"

/* --- the routines ---------------------------------------------------------------------------------- */

#define I(...)
#define OP(name, lower, routine, flags, undef) extern x86_exec_fn x86_exec_##routine;
#include "opcodes.def"
#undef OP
#undef I

/* --- privilege and mode (exec.c) ------------------------------------------------------------------ */

/* The MMU index of implicit supervisor accesses: descriptor tables, TSS (SDM, "Access Rights"). */
static inline unsigned x86_sys_mmu(const struct x86_state *s)
{
	return s->cr4 & CR4_SMAP ? MMU_SUPER_SMAP : MMU_SUPER;
}

/* The MMU index of explicit accesses at that privilege level, without alignment checks. */
static inline unsigned x86_cpl_mmu(const struct x86_state *s, unsigned cpl)
{
	if (cpl == 3)
		return MMU_USER;
	return s->cr4 & CR4_SMAP && !(s->rflags & RFLAGS_AC) ? MMU_SUPER_SMAP : MMU_SUPER;
}

/* IA-32e mode: 64-bit or compatibility mode. */
static inline bool x86_lma(const struct x86_state *s)
{
	return s->efer & X86_EFER_LMA;
}

/* Set the privilege level and derive everything that depends on it and on CS, CR0, RFLAGS.VM. */
void x86_set_cpl(struct x86_state *s, unsigned cpl);

/* Drop the TLB (all of it, or one page) and tell the engine. */
void x86_flush_nonglobal(struct x86_state *s);
void x86_flush_page(struct x86_state *s, u64 lin);

/* #GP(0) unless CPL is 0. */
static inline enum x86_result x86_need_cpl0(struct x86_state *s)
{
	return likely(s->cpl == 0) ? X86_OK : x86_raise_error(s, X86_EXC_GP, 0);
}

/* --- stack (exec_mov.c) -------------------------------------------------------------------------- */

/* The width of the stack pointer: 8 in 64-bit mode, else 4 or 2 by SS.B. */
static inline unsigned x86_stack_size(const struct x86_state *s)
{
	if (likely(s->mode == X86_MODE_LONG))
		return 8;
	return s->seg[SEG_SS].attr & SEG_DB ? 4 : 2;
}

/* Bytes of an address of that size that are in use. */
static inline u64 x86_addr_mask(unsigned adsize)
{
	return adsize == 8 ? ~0ull : adsize == 4 ? 0xffffffffull : 0xffffull;
}

/*
 * Push or pop size bytes (2, 4, 8) at the current stack with the current privilege. rSP changes only on
 * X86_OK. x86_pop gives a zero-extended value.
 */
enum x86_result x86_push(struct x86_state *s, unsigned size, u64 val);
enum x86_result x86_pop(struct x86_state *s, unsigned size, u64 *val);
/* rSP += delta within the stack's width; the bits above it stay (32-bit: cleared in long mode's halves). */
void x86_add_sp(struct x86_state *s, s64 delta);

/* --- near branches (exec_branch.c) ---------------------------------------------------------------- */

/* rip = target truncated to opsize, after the check of canonicality or the CS limit (#GP(0)). */
enum x86_result x86_branch(struct x86_state *s, u64 target, unsigned opsize);
/* Push rip and branch to target, which is truncated already. */
enum x86_result x86_call(struct x86_state *s, u64 target, unsigned opsize);

/* --- I/O permission (system.c) --------------------------------------------------------------------- */

enum x86_result x86_check_io(struct x86_state *s, u16 port, unsigned size);

/* --- specialised routines (exec_fast.c) ------------------------------------------------------------ */

/*
 * The routine for this exact form of a frequent instruction, or NULL: then the one of x86_exec_table[].
 * Called at the end of x86_decode, when *i is complete.
 */
x86_exec_fn *x86_specialize(const struct x86_insn *i);

#endif /* X86_INTERNAL_H */
