/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Near branches, and BOUND. The target is checked before anything changes.
 */
#include "flags.h"
#include "operand.h"

static bool target_ok(const struct x86_state *s, u64 target)
{
	return s->mode == X86_MODE_LONG ? x86_canonical(s, target) : target <= s->seg[SEG_CS].limit;
}

enum x86_result x86_branch(struct x86_state *s, u64 target, unsigned opsize)
{
	target &= x86_addr_mask(opsize);
	if (unlikely(!target_ok(s, target)))
		return x86_raise_error(s, X86_EXC_GP, 0);
	s->rip = target;
	return X86_OK;
}

enum x86_result x86_exec_jcc(struct x86_state *s, const struct x86_insn *i)
{
	if (!x86_cond(s->rflags, i->cond))
		return X86_OK;
	return x86_branch(s, s->rip + i->imm, i->opsize);
}

/* The target of a near JMP or CALL: relative, or the content of a register or of memory. */
static enum x86_result near_target(struct x86_state *s, const struct x86_insn *i, u64 *target)
{
	if (i->opnd[0].kind != OPND_REL)
		return x86_get_opnd(s, i, 0, target);
	*target = (s->rip + i->imm) & x86_addr_mask(i->opsize);
	return X86_OK;
}

enum x86_result x86_exec_jmp_near(struct x86_state *s, const struct x86_insn *i)
{
	u64 target;
	enum x86_result r = near_target(s, i, &target);

	return likely(r == X86_OK) ? x86_branch(s, target, i->opsize) : r;
}

/* A fault of the push comes before that of the target, but the push itself after both. */
static enum x86_result probe_push(struct x86_state *s, unsigned size)
{
	u64 off = (s->gpr[X86_RSP] - size) & x86_addr_mask(x86_stack_size(s)), lin;
	enum x86_result r = x86_linear(s, SEG_SS, off, size, ACC_WRITE, &lin);

	return r == X86_OK ? x86_probe_linear(s, s->mmu_index, SEG_SS, lin, size, ACC_WRITE) : r;
}

enum x86_result x86_call(struct x86_state *s, u64 target, unsigned opsize)
{
	enum x86_result r;

	if (unlikely(!target_ok(s, target))) {
		r = probe_push(s, opsize);
		return r == X86_OK ? x86_raise_error(s, X86_EXC_GP, 0) : r;
	}
	r = x86_push(s, opsize, s->rip);
	if (likely(r == X86_OK))
		s->rip = target;
	return r;
}

enum x86_result x86_exec_call_near(struct x86_state *s, const struct x86_insn *i)
{
	u64 target;
	enum x86_result r = near_target(s, i, &target);

	return likely(r == X86_OK) ? x86_call(s, target, i->opsize) : r;
}

/* An immediate, if any, is the number of argument bytes to drop. */
enum x86_result x86_exec_ret_near(struct x86_state *s, const struct x86_insn *i)
{
	u64 sp = s->gpr[X86_RSP], target;
	enum x86_result r = x86_pop(s, i->opsize, &target);

	if (unlikely(r != X86_OK))
		return r;
	r = x86_branch(s, target, i->opsize);
	if (unlikely(r != X86_OK))
		s->gpr[X86_RSP] = sp;
	else if (i->nr_operands)
		x86_add_sp(s, (u16)i->imm);
	return r;
}

/* LOOP, LOOPE, LOOPNE: the counter is as wide as the address size. */
static enum x86_result loop(struct x86_state *s, const struct x86_insn *i, bool cond)
{
	u64 count = (s->gpr[X86_RCX] - 1) & x86_addr_mask(i->adsize);
	enum x86_result r = X86_OK;

	if (count && cond)
		r = x86_branch(s, s->rip + i->imm, i->opsize);
	if (likely(r == X86_OK))
		x86_write_gpr(s, X86_RCX, i->adsize, count);
	return r;
}

enum x86_result x86_exec_loop(struct x86_state *s, const struct x86_insn *i)
{
	return loop(s, i, true);
}

enum x86_result x86_exec_loope(struct x86_state *s, const struct x86_insn *i)
{
	return loop(s, i, s->rflags & RFLAGS_ZF);
}

enum x86_result x86_exec_loopne(struct x86_state *s, const struct x86_insn *i)
{
	return loop(s, i, !(s->rflags & RFLAGS_ZF));
}

enum x86_result x86_exec_jcxz(struct x86_state *s, const struct x86_insn *i)
{
	if (s->gpr[X86_RCX] & x86_addr_mask(i->adsize))
		return X86_OK;
	return x86_branch(s, s->rip + i->imm, i->opsize);
}

/* Two signed bounds in memory, inclusive. */
enum x86_result x86_exec_bound(struct x86_state *s, const struct x86_insn *i)
{
	unsigned size = i->opsize;
	u64 off = x86_ea(s, i), lower, upper;
	s64 val = x86_sext(x86_read_gpr(s, i->opnd[0].reg, size), size);
	enum x86_result r = x86_load(s, i->seg, off, size, &lower);

	if (r == X86_OK)
		r = x86_load(s, i->seg, (off + size) & x86_addr_mask(i->adsize), size, &upper);
	if (r != X86_OK)
		return r;
	if (val < (s64)x86_sext(lower, size) || val > (s64)x86_sext(upper, size))
		return x86_raise(s, X86_EXC_BR);
	return X86_OK;
}
