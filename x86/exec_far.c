/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Far branches, call gates, loads of segment registers.
 * SDM volume 2, JMP, CALL, RET; volume 3, "Privilege Level Checking when Transferring Program Control".
 */
#include "desc.h"
#include "operand.h"

/*
 * The far pointer that operand n names: immediate, or offset and selector in memory. AMD's processors know no pointer with an
 * offset of 64 bits (APM volume 3, JMP (Far), LSS: mem16:16 and mem16:32).
 */
static enum x86_result far_pointer(struct x86_state *s, const struct x86_insn *i, unsigned n, u16 *sel, u64 *off)
{
	unsigned size = i->opsize == 8 && s->vendor_amd ? 4 : i->opsize;
	enum x86_result r;
	u64 ea, val;

	if (i->opnd[n].kind == OPND_FAR) {
		*off = i->imm & x86_size_mask(i->opsize);
		*sel = i->imm2;
		return X86_OK;
	}
	ea = x86_ea(s, i);
	r = x86_load(s, i->seg, ea, size, off);
	if (r == X86_OK)
		r = x86_load(s, i->seg, (ea + size) & x86_addr_mask(i->adsize), 2, &val);
	if (r == X86_OK)
		*sel = val;
	return r;
}

/* Push CS and rip on the current stack, as x86_push_frame() does. */
static enum x86_result push_return(struct x86_state *s, unsigned size)
{
	u64 word[2] = { s->seg[SEG_CS].sel, s->rip };
	struct x86_stack st;
	enum x86_result r;

	x86_current_stack(s, &st);
	r = x86_push_frame(s, &st, word, 2, size, 0);
	if (r == X86_OK)
		x86_set_sp(s, st.sp, st.is64);
	return r;
}

static enum x86_result far_8086(struct x86_state *s, const struct x86_insn *i, u16 sel, u64 off, bool call)
{
	enum x86_result r;

	if (off > s->seg[SEG_CS].limit || (s->mode == X86_MODE_VM86 && off > 0xffff))
		return x86_raise_error(s, X86_EXC_GP, 0);
	if (call) {
		r = push_return(s, i->opsize);
		if (r != X86_OK)
			return r;
	}
	x86_commit_cs_real(s, sel, off);
	return X86_OK;
}

static enum x86_result far_direct(struct x86_state *s, const struct x86_insn *i, struct x86_desc *d, u64 off, bool call)
{
	unsigned dpl = x86_desc_dpl(d);
	enum x86_result r;
	bool ok;

	if (x86_desc_conforming(d))
		ok = dpl <= s->cpl;
	else
		ok = dpl == s->cpl && SEL_RPL(d->sel) <= s->cpl;
	if (!x86_desc_code(d) || !ok)
		return x86_raise_error(s, X86_EXC_GP, SEL_ERR(d->sel));
	r = x86_check_code(s, d, X86_EXC_GP);
	if (r == X86_OK)
		r = x86_check_target(s, d, off);
	if (r == X86_OK && call)
		r = push_return(s, i->opsize);
	if (r == X86_OK)
		x86_commit_cs(s, d, s->cpl, off);
	return r;
}

/* --- call gates -------------------------------------------------------------------------------------- */

struct call_gate {
	u64 offset;
	u16 sel;
	u8 word; /* bytes of each pushed value: 2, 4, 8 */
	u8 params;
};

static enum x86_result read_call_gate(struct x86_state *s, struct x86_desc *d, struct call_gate *g)
{
	unsigned dpl = x86_desc_dpl(d);
	enum x86_result r;

	if (dpl < s->cpl || dpl < SEL_RPL(d->sel))
		return x86_raise_error(s, X86_EXC_GP, SEL_ERR(d->sel));
	if (x86_lma(s)) {
		r = x86_desc_high(s, X86_EXC_GP, d);
		if (r != X86_OK)
			return r;
	}
	if (!(x86_desc_attr(d) & SEG_P))
		return x86_raise_error(s, X86_EXC_NP, SEL_ERR(d->sel));
	g->sel = d->raw >> 16;
	g->offset = (d->raw & 0xffff) | (d->raw >> 32 & 0xffff0000) | d->high << 32;
	g->word = x86_lma(s) ? 8 : x86_desc_type(d) & 8 ? 4 : 2;
	g->params = x86_lma(s) ? 0 : d->raw >> 32 & 31;
	if (g->word == 2)
		g->offset &= 0xffff;
	return X86_OK;
}

/* A call to an inner level: old SS:rSP, parameters, and the return address go to the stack in the TSS. */
static enum x86_result call_inner(struct x86_state *s, const struct call_gate *g, const struct x86_desc *cs)
{
	unsigned cpl = x86_desc_dpl(cs), n = 0, k;
	u64 word[X86_FRAME_MAX];
	struct x86_stack st;
	enum x86_result r = x86_tss_stack(s, cpl, 0, &st);

	if (r == X86_OK)
		r = x86_check_target(s, cs, g->offset);
	if (r != X86_OK)
		return r;
	word[n++] = s->seg[SEG_SS].sel;
	word[n++] = s->gpr[X86_RSP];
	for (k = g->params; k; k--) {
		r = x86_stack_peek(s, (k - 1) * g->word, g->word, &word[n++]);
		if (r != X86_OK)
			return r;
	}
	word[n++] = s->seg[SEG_CS].sel;
	word[n++] = s->rip;
	r = x86_push_frame(s, &st, word, n, g->word, SEL_ERR(st.ss.sel));
	if (r != X86_OK)
		return r;
	x86_commit_cs(s, cs, cpl, g->offset);
	x86_commit_stack(s, &st);
	return X86_OK;
}

static enum x86_result far_gate(struct x86_state *s, struct x86_desc *d, bool call)
{
	struct call_gate g = { 0 };
	struct x86_desc cs;
	unsigned dpl;
	enum x86_result r = read_call_gate(s, d, &g);
	bool ok;

	if (r == X86_OK)
		r = x86_read_code(s, g.sel, X86_EXC_GP, &cs);
	if (r != X86_OK)
		return r;
	dpl = x86_desc_dpl(&cs);
	ok = dpl <= s->cpl && (call || x86_desc_conforming(&cs) || dpl == s->cpl);
	if (x86_lma(s))
		ok &= (x86_desc_attr(&cs) & (SEG_L | SEG_DB)) == SEG_L;
	if (!ok)
		return x86_raise_error(s, X86_EXC_GP, SEL_ERR(g.sel));
	r = x86_check_code(s, &cs, X86_EXC_GP);
	if (r != X86_OK)
		return r;
	if (call && !x86_desc_conforming(&cs) && dpl < s->cpl)
		return call_inner(s, &g, &cs);
	r = x86_check_target(s, &cs, g.offset);
	if (r == X86_OK && call)
		r = push_return(s, g.word);
	if (r == X86_OK)
		x86_commit_cs(s, &cs, s->cpl, g.offset);
	return r;
}

static enum x86_result far_transfer(struct x86_state *s, const struct x86_insn *i, bool call)
{
	struct x86_desc d;
	enum x86_result r;
	u64 off;
	u16 sel;

	r = far_pointer(s, i, 0, &sel, &off);
	if (r != X86_OK)
		return r;
	if (x86_real_or_vm86(s))
		return far_8086(s, i, sel, off, call);
	if (x86_null_sel(sel))
		return x86_raise_error(s, X86_EXC_GP, 0);
	r = x86_read_desc(s, sel, X86_EXC_GP, &d);
	if (r != X86_OK)
		return r;
	if (x86_desc_attr(&d) & SEG_S)
		return far_direct(s, i, &d, off, call);
	switch (x86_desc_type(&d)) {
	case SYS_CALL_GATE: return far_gate(s, &d, call);
	case SYS_CALL_GATE16:
		if (x86_lma(s))
			break;
		return far_gate(s, &d, call);
	case SYS_TSS16:
	case SYS_TSS16_BUSY:
	case SYS_TSS:
	case SYS_TSS_BUSY:
	case SYS_TASK_GATE:
		if (x86_lma(s))
			break;
		return x86_far_to_task(s, &d, call ? TASK_CALL : TASK_JMP);
	}
	return x86_raise_error(s, X86_EXC_GP, SEL_ERR(sel));
}

enum x86_result x86_exec_jmp_far(struct x86_state *s, const struct x86_insn *i)
{
	return far_transfer(s, i, false);
}

enum x86_result x86_exec_call_far(struct x86_state *s, const struct x86_insn *i)
{
	return far_transfer(s, i, true);
}

/* --- RETF ------------------------------------------------------------------------------------------------ */

static enum x86_result ret_protected(struct x86_state *s, unsigned size, unsigned extra, u16 sel, u64 rip)
{
	unsigned cpl = SEL_RPL(sel);
	struct x86_desc cs;
	struct x86_seg ss = s->seg[SEG_SS];
	enum x86_result r = x86_prepare_return_cs(s, sel, X86_EXC_GP, &cs);
	u64 sp = 0, ss_sel = 0;
	bool outer;

	if (r != X86_OK)
		return r;
	outer = cpl > s->cpl;
	if (outer) {
		r = x86_stack_peek(s, 2 * size + extra, size, &sp);
		if (r == X86_OK)
			r = x86_stack_peek(s, 3 * size + extra, size, &ss_sel);
		if (r == X86_OK)
			r = x86_prepare_return_ss(s, ss_sel, &cs, &ss);
	}
	if (r == X86_OK)
		r = x86_check_target(s, &cs, rip);
	if (r != X86_OK)
		return r;
	if (!outer)
		x86_add_sp(s, 2 * size + extra);
	x86_commit_cs(s, &cs, cpl, rip);
	if (outer) {
		s->seg[SEG_SS] = ss;
		x86_set_sp(s, sp + extra, s->mode == X86_MODE_LONG);
		x86_drop_inner_segments(s, cpl);
	}
	return X86_OK;
}

enum x86_result x86_exec_ret_far(struct x86_state *s, const struct x86_insn *i)
{
	unsigned extra = i->nr_operands ? (u16)i->imm : 0, size = i->opsize;
	u64 rip, sel;
	enum x86_result r = x86_stack_peek(s, 0, size, &rip);

	if (r == X86_OK)
		r = x86_stack_peek(s, size, size, &sel);
	if (r != X86_OK)
		return r;
	if (!x86_real_or_vm86(s))
		return ret_protected(s, size, extra, sel, rip);
	if (rip > s->seg[SEG_CS].limit)
		return x86_raise_error(s, X86_EXC_GP, 0);
	x86_add_sp(s, 2 * size + extra);
	x86_commit_cs_real(s, sel, rip);
	return X86_OK;
}

/* --- segment registers ------------------------------------------------------------------------------------- */

enum x86_result x86_exec_mov_to_sreg(struct x86_state *s, const struct x86_insn *i)
{
	unsigned seg = i->opnd[0].reg;
	enum x86_result r;
	u64 sel;

	if (seg == SEG_CS || seg >= SEG_COUNT)
		return x86_raise(s, X86_EXC_UD);
	r = x86_get_opnd(s, i, 1, &sel);
	if (r == X86_OK)
		r = x86_load_segment(s, seg, sel);
	if (r == X86_OK && seg == SEG_SS)
		s->shadow = X86_SHADOW_MOV_SS;
	return r;
}

enum x86_result x86_exec_pop_sreg(struct x86_state *s, const struct x86_insn *i)
{
	unsigned seg = i->opnd[0].reg;
	u64 rsp = s->gpr[X86_RSP], sel;
	enum x86_result r = x86_stack_peek(s, 0, i->opsize, &sel);

	if (r != X86_OK)
		return r;
	/* The stack pointer moves by the width of the old stack. */
	x86_add_sp(s, i->opsize);
	r = x86_load_segment(s, seg, sel);
	if (r != X86_OK)
		s->gpr[X86_RSP] = rsp;
	else if (seg == SEG_SS)
		s->shadow = X86_SHADOW_MOV_SS;
	return r;
}

static enum x86_result load_pointer(struct x86_state *s, const struct x86_insn *i, unsigned seg)
{
	enum x86_result r;
	u64 off;
	u16 sel;

	r = far_pointer(s, i, 1, &sel, &off);
	if (r == X86_OK)
		r = x86_load_segment(s, seg, sel);
	if (r == X86_OK)
		x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, off);
	return r;
}

enum x86_result x86_exec_les(struct x86_state *s, const struct x86_insn *i)
{
	return load_pointer(s, i, SEG_ES);
}

enum x86_result x86_exec_lds(struct x86_state *s, const struct x86_insn *i)
{
	return load_pointer(s, i, SEG_DS);
}

enum x86_result x86_exec_lss(struct x86_state *s, const struct x86_insn *i)
{
	return load_pointer(s, i, SEG_SS);
}

enum x86_result x86_exec_lfs(struct x86_state *s, const struct x86_insn *i)
{
	return load_pointer(s, i, SEG_FS);
}

enum x86_result x86_exec_lgs(struct x86_state *s, const struct x86_insn *i)
{
	return load_pointer(s, i, SEG_GS);
}
