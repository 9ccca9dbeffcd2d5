/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Operands of integer instructions: general registers by number and size, and the explicit operands of
 * a decoded instruction.
 */
#ifndef X86_OPERAND_H
#define X86_OPERAND_H

#include "internal.h"

/* Where the register's bytes are: 16-19 are AH, CH, DH, BH (see OPND_GPR). */
static inline void *x86_gpr_ptr(struct x86_state *s, unsigned reg)
{
	return reg < 16 ? (u8 *)&s->gpr[reg] : (u8 *)&s->gpr[reg - 16] + 1;
}

/* The zero-extended value of size bytes at p, which is host memory of any alignment. */
X86_RACY static inline u64 x86_peek(const void *p, unsigned size)
{
	switch (size) {
	case 1: return *(const volatile u8 *)p;
	case 2: return *(const volatile x86_mem16 *)p;
	case 4: return *(const volatile x86_mem32 *)p;
	default: return *(const volatile x86_mem64 *)p;
	}
}

X86_RACY static inline void x86_poke(void *p, unsigned size, u64 val)
{
	switch (size) {
	case 1: *(volatile u8 *)p = (u8)val; break;
	case 2: *(volatile x86_mem16 *)p = (u16)val; break;
	case 4: *(volatile x86_mem32 *)p = (u32)val; break;
	default: *(volatile x86_mem64 *)p = val; break;
	}
}

static inline u64 x86_sext(u64 val, unsigned size)
{
	switch (size) {
	case 1: return (u64)(s8)val;
	case 2: return (u64)(s16)val;
	case 4: return (u64)(s32)val;
	default: return val;
	}
}

static inline u64 x86_size_mask(unsigned size)
{
	return size == 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

/* 0, 1, 2, 3 for 1, 2, 4, 8 bytes. */
static inline unsigned x86_size_log2(unsigned size)
{
	return __builtin_ctz(size | 0x10);
}

static inline u64 x86_read_gpr(struct x86_state *s, unsigned reg, unsigned size)
{
	return x86_peek(x86_gpr_ptr(s, reg), size);
}

/* 8 and 16 bits merge, 32 bits zero-extend. */
static inline void x86_write_gpr(struct x86_state *s, unsigned reg, unsigned size, u64 val)
{
	if (size >= 4)
		s->gpr[reg] = size == 4 ? (u32)val : val;
	else
		x86_poke(x86_gpr_ptr(s, reg), size, val);
}

/* Zero-extended to 64 bits from the operand's own size (immediates: sign-extended by decode). */
static inline enum x86_result x86_get_opnd(struct x86_state *s, const struct x86_insn *i, unsigned n, u64 *val)
{
	const struct x86_operand *o = &i->opnd[n];

	switch (o->kind) {
	case OPND_GPR: *val = x86_read_gpr(s, o->reg, o->size); return X86_OK;
	case OPND_IMM: *val = o->reg ? i->imm2 : i->imm; return X86_OK;
	case OPND_MEM: return x86_load(s, i->seg, x86_ea(s, i), o->size, val);
	}
	return X86_UNHANDLED;
}

static inline enum x86_result x86_put_opnd(struct x86_state *s, const struct x86_insn *i, unsigned n, u64 val)
{
	const struct x86_operand *o = &i->opnd[n];

	if (o->kind == OPND_MEM)
		return x86_store(s, i->seg, x86_ea(s, i), o->size, val);
	if (o->kind != OPND_GPR)
		return X86_UNHANDLED;
	x86_write_gpr(s, o->reg, o->size, val);
	return X86_OK;
}

/*
 * An operand that is read, changed and written, as a pointer to its bytes: the register file itself, or the
 * memory that x86_rmw_begin gives. begin, then one operation on ptr, then end (which cannot fail for
 * registers; it zero-extends 32-bit ones).
 */
struct x86_place {
	void *ptr;
	u8 reg; /* X86_REG_NONE: memory */
	u8 size;
	struct x86_rmw rmw;
};

static inline enum x86_result x86_place_begin(struct x86_state *s, const struct x86_insn *i, unsigned n,
					      struct x86_place *p)
{
	const struct x86_operand *o = &i->opnd[n];
	enum x86_result r;

	p->size = o->size;
	if (o->kind == OPND_GPR) {
		p->reg = o->reg;
		p->ptr = x86_gpr_ptr(s, o->reg);
		return X86_OK;
	}
	if (unlikely(o->kind != OPND_MEM))
		return X86_UNHANDLED;
	p->reg = X86_REG_NONE;
	r = x86_rmw_begin(s, i->seg, x86_ea(s, i), o->size, &p->rmw);
	p->ptr = p->rmw.ptr;
	return r;
}

static inline enum x86_result x86_place_end(struct x86_state *s, struct x86_place *p)
{
	if (p->reg == X86_REG_NONE)
		return x86_rmw_end(s, &p->rmw);
	if (p->size == 4)
		s->gpr[p->reg] = (u32)s->gpr[p->reg];
	return X86_OK;
}

/* The segment of an implicit memory operand (strings, xlat) that an override may change from DS. */
static inline unsigned x86_data_seg(const struct x86_insn *i)
{
	return i->seg_override != SEG_NONE ? i->seg_override : SEG_DS;
}

#endif /* X86_OPERAND_H */
