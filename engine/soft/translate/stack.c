/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The stack's page: what a vCPU pushes and pops, and the frames of the functions it is in, mostly lie in one page for a long time.
 *
 * That page's linear address, and what makes it a host address, are kept in cells from block to block. Accesses through r14
 * compare with it (all of a block's in one comparison, group.c) and need no look-up in the flat tables. The page is one that may be
 * written in the mode in force; whatever takes that away, a flush, another mode, a page that becomes code, empties the cell
 * (flat_forget_stack). Another page, as when a frame begins in the next, is found by a stub in the flat tables (stubs.c).
 *
 * The addend stays as it is until the next such stub is called, whatever becomes of the page: a block that has looked uses it to
 * its end, as it uses the host addresses of other groups. So look-ups of the stack must not overlap within a block.
 */
#include "front.h"

static void stack_address(struct front *f, unsigned dst, s32 lo)
{
	if (lo)
		emit_lea(&f->e, dst, (struct emit_mem){ .base = X86_R14, .index = NOREG, .disp = lo });
	else
		emit_mov_rr(&f->e, dst, X86_R14);
}

void tr_look_up_stack(struct front *f, s32 lo, unsigned span, bool write)
{
	struct slow_part part = { .stack = true, .lin = lo, .span = (u16)span, .group = true };
	struct emit *e = &f->e;
	struct slow_part *p;

	tr_free_flags(f);
	p = tr_new_slow_part(f, part, write);
	stack_address(f, X86_R12, lo);
	emit_rm(e, true, 0x2b, X86_R12, GS_MEM(GEN(GEN_STACK_PAGE))); /* sub */
	emit_alu_imm64(e, ALU_CMP, X86_R12, (s32)(X86_PAGE_SIZE - span));
	p->to_miss = emit_jcc(e, COND_A, emit_here(e));
	p->retry = emit_here(e);
	f->held = 0;
}

struct emit_mem tr_stack_operand(struct front *f, s32 disp)
{
	if (f->held != HELD_STACK)
		emit_load(&f->e, X86_R12, GS_MEM(GEN(GEN_STACK_ADDEND)));
	f->held = HELD_STACK;
	return (struct emit_mem){ .base = X86_R12, .index = X86_R14, .disp = disp };
}

/* Another page; or the bytes lie in two. */
void tr_emit_stack_part(struct front *f, struct slow_part *p)
{
	const struct tr_state *tr = &f->sv->tr;
	struct emit *e = &f->e;
	u8 *inside;

	emit_patch(e, p->to_miss, emit_here(e));
	stack_address(f, X86_R13, p->lin);
	tr_compare_with_end(e, X86_R13, p->span);
	inside = emit_jcc(e, COND_BE, emit_here(e));
	f->sv->tr.site[p->site].jump = e->p;
	f->sv->tr.site[p->site].miss_at = MISS_NONE;
	tr_leave_to_interpreter(f, p->site);
	emit_patch(e, inside, emit_here(e));
	emit_mov_imm(e, X86_R12, p->site);
	emit_call(e, f->sv->tr.site[p->site].write ? tr->thunk_stack_write : tr->thunk_stack_read);
	emit_jmp(e, p->retry);
}
