/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Data movement that sets no flags: moves, exchanges, sign extension, addresses, the stack.
 */
#include "flags.h"
#include "operand.h"

/* --- the stack ----------------------------------------------------------------------------------- */

/* rSP with delta added within the stack's width; the bits above a 16-bit SP stay. */
static u64 sp_plus(const struct x86_state *s, s64 delta)
{
	u64 sp = s->gpr[X86_RSP];

	switch (x86_stack_size(s)) {
	case 8: return sp + delta;
	case 4: return (u32)(sp + delta);
	default: return (sp & ~0xffffull) | (u16)(sp + delta);
	}
}

void x86_add_sp(struct x86_state *s, s64 delta)
{
	s->gpr[X86_RSP] = sp_plus(s, delta);
}

/* The part of a stack pointer that addresses the stack. */
static u64 sp_offset(const struct x86_state *s, u64 sp)
{
	return sp & x86_addr_mask(x86_stack_size(s));
}

enum x86_result x86_push(struct x86_state *s, unsigned size, u64 val)
{
	u64 sp = sp_plus(s, -(s64)size);
	enum x86_result r = x86_store(s, SEG_SS, sp_offset(s, sp), size, val);

	if (likely(r == X86_OK))
		s->gpr[X86_RSP] = sp;
	return r;
}

enum x86_result x86_pop(struct x86_state *s, unsigned size, u64 *val)
{
	enum x86_result r = x86_load(s, SEG_SS, sp_offset(s, s->gpr[X86_RSP]), size, val);

	if (likely(r == X86_OK))
		x86_add_sp(s, size);
	return r;
}

enum x86_result x86_exec_push(struct x86_state *s, const struct x86_insn *i)
{
	u64 val;
	enum x86_result r = x86_get_opnd(s, i, 0, &val);

	return likely(r == X86_OK) ? x86_push(s, i->opsize, val) : r;
}

enum x86_result x86_exec_push_sreg(struct x86_state *s, const struct x86_insn *i)
{
	return x86_push(s, i->opsize, s->seg[i->opnd[0].reg].sel);
}

enum x86_result x86_exec_pop(struct x86_state *s, const struct x86_insn *i)
{
	u64 old = s->gpr[X86_RSP], val;
	enum x86_result r = x86_pop(s, i->opsize, &val);

	if (unlikely(r != X86_OK))
		return r;
	/* An address based on rSP sees it incremented; pop rsp ends with the value popped. */
	r = x86_put_opnd(s, i, 0, val);
	if (unlikely(r != X86_OK))
		s->gpr[X86_RSP] = old;
	return r;
}

/*
 * PUSHA and ENTER push one after the other, as CPUs do. If one of the pushes faults, what has changed is memory
 * below the stack pointer, and a repetition writes the same there.
 */
enum x86_result x86_exec_pusha(struct x86_state *s, const struct x86_insn *i)
{
	u64 sp = s->gpr[X86_RSP];
	unsigned k;
	enum x86_result r = X86_OK;

	for (k = 0; k < 8 && r == X86_OK; k++)
		r = x86_push(s, i->opsize, k == X86_RSP ? sp : s->gpr[k]);
	if (r != X86_OK)
		s->gpr[X86_RSP] = sp;
	return r;
}

enum x86_result x86_exec_popa(struct x86_state *s, const struct x86_insn *i)
{
	u64 val[8], sp = s->gpr[X86_RSP];
	int k;
	enum x86_result r;

	for (k = 7; k >= 0; k--) {
		r = x86_pop(s, i->opsize, &val[k]);
		if (r != X86_OK) {
			s->gpr[X86_RSP] = sp;
			return r;
		}
	}
	for (k = 0; k < 8; k++) {
		if (k != X86_RSP)
			x86_write_gpr(s, k, i->opsize, val[k]);
	}
	return X86_OK;
}

/* Copy the frame pointers of the enclosing levels: pushes of [rBP - k * size]. */
static enum x86_result enter_levels(struct x86_state *s, unsigned size, unsigned levels)
{
	u64 mask = x86_addr_mask(x86_stack_size(s)), val;
	enum x86_result r;
	unsigned k;

	for (k = 1; k < levels; k++) {
		r = x86_load(s, SEG_SS, (s->gpr[X86_RBP] - k * size) & mask, size, &val);
		if (r == X86_OK)
			r = x86_push(s, size, val);
		if (r != X86_OK)
			return r;
	}
	return X86_OK;
}

/* Imm: the frame's bytes, imm2: the nesting level. */
enum x86_result x86_exec_enter(struct x86_state *s, const struct x86_insn *i)
{
	u64 sp = s->gpr[X86_RSP], frame, lin;
	unsigned size = i->opsize, level = i->imm2 & 31;
	enum x86_result r = x86_push(s, size, s->gpr[X86_RBP]);

	frame = s->gpr[X86_RSP];
	if (r == X86_OK && level) {
		r = enter_levels(s, size, level);
		if (r == X86_OK)
			r = x86_push(s, size, frame);
	}
	if (r == X86_OK) {
		/* The final stack pointer must allow a write, too. */
		x86_add_sp(s, -(s64)(u16)i->imm);
		r = x86_linear(s, SEG_SS, sp_offset(s, s->gpr[X86_RSP]), size, ACC_WRITE, &lin);
	}
	if (r == X86_OK)
		r = x86_probe_linear(s, s->mmu_index, SEG_SS, lin, size, ACC_WRITE);
	if (r == X86_OK)
		x86_write_gpr(s, X86_RBP, size, frame);
	else
		s->gpr[X86_RSP] = sp;
	return r;
}

enum x86_result x86_exec_leave(struct x86_state *s, const struct x86_insn *i)
{
	unsigned width = x86_stack_size(s);
	u64 old = s->gpr[X86_RSP], val;
	enum x86_result r;

	x86_write_gpr(s, X86_RSP, width, s->gpr[X86_RBP]);
	r = x86_pop(s, i->opsize, &val);
	if (unlikely(r != X86_OK))
		s->gpr[X86_RSP] = old;
	else
		x86_write_gpr(s, X86_RBP, i->opsize, val);
	return r;
}

/* --- moves --------------------------------------------------------------------------------------- */

enum x86_result x86_exec_mov(struct x86_state *s, const struct x86_insn *i)
{
	u64 val;
	enum x86_result r = x86_get_opnd(s, i, 1, &val);

	return likely(r == X86_OK) ? x86_put_opnd(s, i, 0, val) : r;
}

/* Non-temporal and direct stores are ordinary ones here. */
enum x86_result x86_exec_movnti(struct x86_state *s, const struct x86_insn *i)
{
	return x86_exec_mov(s, i);
}

enum x86_result x86_exec_movdiri(struct x86_state *s, const struct x86_insn *i)
{
	return x86_exec_mov(s, i);
}

/* 64 bytes from opnd[1] (memory, by DS or override) to ES:opnd[0], which holds an aligned address. */
enum x86_result x86_exec_movdir64b(struct x86_state *s, const struct x86_insn *i)
{
	u64 dst = s->gpr[i->opnd[0].reg] & x86_addr_mask(i->adsize), lin_src, lin_dst;
	u64 buf[8];
	enum x86_result r = x86_linear(s, i->seg, x86_ea(s, i), sizeof(buf), ACC_READ, &lin_src);

	if (r == X86_OK)
		r = x86_linear(s, SEG_ES, dst, sizeof(buf), ACC_WRITE, &lin_dst);
	if (r != X86_OK)
		return r;
	if (lin_dst & 63)
		return x86_raise_error(s, X86_EXC_GP, 0);
	r = x86_read_linear(s, s->mmu_index, i->seg, lin_src, buf, sizeof(buf));
	if (r != X86_OK)
		return r;
	return x86_write_linear(s, s->mmu_index, SEG_ES, lin_dst, buf, sizeof(buf));
}

enum x86_result x86_exec_movzx(struct x86_state *s, const struct x86_insn *i)
{
	u64 val;
	enum x86_result r = x86_get_opnd(s, i, 1, &val);

	if (likely(r == X86_OK))
		x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, val);
	return r;
}

enum x86_result x86_exec_movsx(struct x86_state *s, const struct x86_insn *i)
{
	u64 val;
	enum x86_result r = x86_get_opnd(s, i, 1, &val);

	if (likely(r == X86_OK))
		x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, x86_sext(val, i->opnd[1].size));
	return r;
}

/* A selector: 16 bits to memory, the operand size (zero-extended) to a register. */
enum x86_result x86_exec_mov_from_sreg(struct x86_state *s, const struct x86_insn *i)
{
	u64 sel = s->seg[i->opnd[1].reg].sel;

	if (i->opnd[0].kind == OPND_MEM)
		return x86_store(s, i->seg, x86_ea(s, i), 2, sel);
	x86_write_gpr(s, i->opnd[0].reg, i->opsize, sel);
	return X86_OK;
}

static u64 byte_swap(u64 val, unsigned size)
{
	return __builtin_bswap64(val) >> (64 - 8 * size);
}

enum x86_result x86_exec_movbe(struct x86_state *s, const struct x86_insn *i)
{
	u64 val;
	enum x86_result r = x86_get_opnd(s, i, 1, &val);

	return likely(r == X86_OK) ? x86_put_opnd(s, i, 0, byte_swap(val, i->opnd[0].size)) : r;
}

enum x86_result x86_exec_bswap(struct x86_state *s, const struct x86_insn *i)
{
	unsigned size = i->opnd[0].size, reg = i->opnd[0].reg;

	/* Undefined for 16 bits; all known CPUs clear them. */
	x86_write_gpr(s, reg, size, size == 2 ? 0 : byte_swap(s->gpr[reg], size));
	return X86_OK;
}

enum x86_result x86_exec_lea(struct x86_state *s, const struct x86_insn *i)
{
	x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, x86_ea(s, i));
	return X86_OK;
}

enum x86_result x86_exec_cmovcc(struct x86_state *s, const struct x86_insn *i)
{
	unsigned size = i->opnd[0].size, reg = i->opnd[0].reg;
	u64 val;
	enum x86_result r = x86_get_opnd(s, i, 1, &val);

	if (unlikely(r != X86_OK))
		return r;
	if (!x86_cond(s->rflags, i->cond))
		val = s->gpr[reg];
	x86_write_gpr(s, reg, size, val);
	return X86_OK;
}

enum x86_result x86_exec_setcc(struct x86_state *s, const struct x86_insn *i)
{
	return x86_put_opnd(s, i, 0, x86_cond(s->rflags, i->cond));
}

/* al, ax, eax sign-extended into the operand size. */
enum x86_result x86_exec_cbw(struct x86_state *s, const struct x86_insn *i)
{
	x86_write_gpr(s, X86_RAX, i->opsize, x86_sext(s->gpr[X86_RAX], i->opsize / 2));
	return X86_OK;
}

/* The sign of ax, eax, rax into all bits of dx, edx, rdx. */
enum x86_result x86_exec_cwd(struct x86_state *s, const struct x86_insn *i)
{
	s64 val = x86_sext(s->gpr[X86_RAX], i->opsize);

	x86_write_gpr(s, X86_RDX, i->opsize, (u64)(val >> 63));
	return X86_OK;
}

enum x86_result x86_exec_xlat(struct x86_state *s, const struct x86_insn *i)
{
	u64 off = (s->gpr[X86_RBX] + (u8)s->gpr[X86_RAX]) & x86_addr_mask(i->adsize), val;
	enum x86_result r = x86_load(s, x86_data_seg(i), off, 1, &val);

	if (likely(r == X86_OK))
		x86_write_gpr(s, X86_RAX, 1, val);
	return r;
}

/* --- exchange ------------------------------------------------------------------------------------ */

X86_RACY static u64 exchange(void *p, unsigned size, u64 val)
{
	switch (size) {
	case 1: return __atomic_exchange_n((u8 *)p, (u8)val, __ATOMIC_SEQ_CST);
	case 2: asm volatile("xchgw %w0, %1" : "+r"(val), "+m"(*(x86_mem16 *)p) : : "memory"); return val;
	case 4: asm volatile("xchgl %k0, %1" : "+r"(val), "+m"(*(x86_mem32 *)p) : : "memory"); return val;
	default: asm volatile("xchgq %q0, %1" : "+r"(val), "+m"(*(x86_mem64 *)p) : : "memory"); return val;
	}
}

/* With memory always locked, with or without the prefix. */
enum x86_result x86_exec_xchg(struct x86_state *s, const struct x86_insn *i)
{
	unsigned size = i->opnd[0].size, mem = i->opnd[0].kind == OPND_MEM ? 0 : 1;
	unsigned reg = i->opnd[!mem].reg;
	u64 a = x86_read_gpr(s, reg, size), b;
	struct x86_rmw m;
	enum x86_result r;

	if (i->opnd[mem].kind != OPND_MEM) {
		b = x86_read_gpr(s, i->opnd[1].reg, size);
		x86_write_gpr(s, i->opnd[1].reg, size, a);
		x86_write_gpr(s, reg, size, b);
		return X86_OK;
	}
	r = x86_rmw_begin(s, i->seg, x86_ea(s, i), size, &m);
	if (unlikely(r != X86_OK))
		return r;
	b = exchange(m.ptr, size, a);
	r = x86_rmw_end(s, &m);
	if (likely(r == X86_OK))
		x86_write_gpr(s, reg, size, b);
	return r;
}
