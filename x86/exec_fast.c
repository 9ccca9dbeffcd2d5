/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Routines for the frequent forms of frequent instructions, one small function each: what a form fixes
 * (operand kinds and sizes, address size) is not looked at again when it runs. Semantics are those of the general
 * routines; the instruction tests run both.
 *
 * Names end in the form: r register, i immediate, m memory, then the size in bytes. Memory forms exist
 * for 64-bit addresses only (which imply 64-bit mode), in two variants: b for [base + disp] in a segment
 * without a base, x for all else.
 */
#include "flags.h"
#include "operand.h"
#include "optable.h"

#define FAST static enum x86_result

#define U1 u8
#define U2 u16
#define U4 u32
#define U8 u64
#define SFX1 "b"
#define SFX2 "w"
#define SFX4 "l"
#define SFX8 "q"

/* --- addresses and memory -------------------------------------------------------------------------- */

static inline u64 lin_b(const struct x86_state *s, const struct x86_insn *i)
{
	return s->gpr[i->base] + i->disp;
}

static inline u64 lin_x(const struct x86_state *s, const struct x86_insn *i)
{
	u64 ea = x86_ea(s, i);

	return i->seg == SEG_FS || i->seg == SEG_GS ? ea + s->seg[i->seg].base : ea;
}

static inline enum x86_result read_lin(struct x86_state *s, unsigned seg, u64 lin, unsigned size, u64 *val)
{
	u8 *p = x86_tlb_probe(s, s->mmu_index, lin, size, ACC_READ);

	if (likely(p)) {
		*val = x86_peek(p, size);
		return X86_OK;
	}
	*val = 0;
	return x86_read_linear(s, s->mmu_index, seg, lin, val, size);
}

static inline enum x86_result write_lin(struct x86_state *s, unsigned seg, u64 lin, unsigned size, u64 val)
{
	u8 *p = x86_tlb_probe(s, s->mmu_index, lin, size, ACC_WRITE);

	if (likely(p)) {
		x86_poke(p, size, val);
		return X86_OK;
	}
	return x86_write_linear(s, s->mmu_index, seg, lin, &val, size);
}

static inline enum x86_result rmw_lin(struct x86_state *s, unsigned seg, u64 lin, unsigned size, struct x86_rmw *m)
{
	m->bounce = m->notify = false;
	m->ptr = x86_tlb_probe(s, s->mmu_index, lin, size, ACC_WRITE);
	return likely(m->ptr) ? X86_OK : x86_rmw_begin_slow(s, seg, lin, size, m);
}

/* Register 0-15, size constant. */
static inline void set_reg(struct x86_state *s, unsigned reg, unsigned size, u64 val)
{
	if (size >= 4)
		s->gpr[reg] = val;
	else
		x86_poke(&s->gpr[reg], size, val);
}

static inline void set_flags(struct x86_state *s, u16 packed)
{
	s->rflags = (s->rflags & ~0x8ffull) | packed >> 8 | (u64)(packed & 1) << 11;
}

/* --- arithmetic ------------------------------------------------------------------------------------- */

/* a op= b of the given size, flags set. */
#define OP2(op, size, a, b)                                                                                            \
	({                                                                                                             \
		u16 f_;                                                                                                \
                                                                                                                       \
		asm(#op SFX##size " %2, %1" X86_FLAGS_SAVE : "=&a"(f_), "+r"(a) : "er"((U##size)(b)) : "cc");          \
		set_flags(s, f_);                                                                                      \
	})
/* The same with the guest's carry going in. */
#define OP2C(op, size, a, b)                                                                                           \
	({                                                                                                             \
		u16 f_;                                                                                                \
                                                                                                                       \
		asm("btl $0, %3\n\t" #op SFX##size " %2, %1" X86_FLAGS_SAVE                                            \
		    : "=&a"(f_), "+&r"(a)                                                                              \
		    : "r"((U##size)(b)), "r"((u32)s->rflags)                                                           \
		    : "cc");                                                                                           \
		set_flags(s, f_);                                                                                      \
	})

#define WB_YES(reg, size, a) set_reg(s, reg, size, a)
#define WB_NO(reg, size, a) ((void)0)

/* asm is OP2 or OP2C; wb says whether the result is written. */
#define FAST_ALU_REG(op, size, how, wb)                                                                                \
	FAST op##_rr##size(struct x86_state *s, const struct x86_insn *i)                                              \
	{                                                                                                              \
		U##size a = s->gpr[i->opnd[0].reg];                                                                    \
                                                                                                                       \
		how(op, size, a, s->gpr[i->opnd[1].reg]);                                                              \
		wb(i->opnd[0].reg, size, a);                                                                           \
		return X86_OK;                                                                                         \
	}                                                                                                              \
	FAST op##_ri##size(struct x86_state *s, const struct x86_insn *i)                                              \
	{                                                                                                              \
		U##size a = s->gpr[i->opnd[0].reg];                                                                    \
                                                                                                                       \
		how(op, size, a, i->imm);                                                                              \
		wb(i->opnd[0].reg, size, a);                                                                           \
		return X86_OK;                                                                                         \
	}

#define FAST_ALU_LOAD(op, size, how, wb, v)                                                                            \
	FAST op##_rm##size##v(struct x86_state *s, const struct x86_insn *i)                                           \
	{                                                                                                              \
		U##size a;                                                                                             \
		u64 b;                                                                                                 \
		enum x86_result r = read_lin(s, i->seg, lin_##v(s, i), size, &b);                                      \
                                                                                                                       \
		if (unlikely(r != X86_OK))                                                                             \
			return r;                                                                                      \
		a = s->gpr[i->opnd[0].reg];                                                                            \
		how(op, size, a, b);                                                                                   \
		wb(i->opnd[0].reg, size, a);                                                                           \
		return X86_OK;                                                                                         \
	}

/* cmp and test with memory first. */
#define FAST_ALU_PEEK(op, size, v, form, src)                                                                          \
	FAST op##_m##form##size##v(struct x86_state *s, const struct x86_insn *i)                                      \
	{                                                                                                              \
		U##size a;                                                                                             \
		u64 val;                                                                                               \
		enum x86_result r = read_lin(s, i->seg, lin_##v(s, i), size, &val);                                    \
                                                                                                                       \
		if (unlikely(r != X86_OK))                                                                             \
			return r;                                                                                      \
		a = val;                                                                                               \
		OP2(op, size, a, src);                                                                                 \
		return X86_OK;                                                                                         \
	}

/* Unlocked read-modify-write: one host instruction on the guest's memory. */
#define FAST_ALU_RMW(op, size, v, form, src)                                                                           \
	FAST op##_m##form##size##v(struct x86_state *s, const struct x86_insn *i)                                      \
	{                                                                                                              \
		struct x86_rmw m;                                                                                      \
		u16 f;                                                                                                 \
		enum x86_result r = rmw_lin(s, i->seg, lin_##v(s, i), size, &m);                                       \
                                                                                                                       \
		if (unlikely(r != X86_OK))                                                                             \
			return r;                                                                                      \
		asm volatile(#op SFX##size " %2, %1" X86_FLAGS_SAVE                                                    \
			     : "=&a"(f), "+m"(*(U##size __attribute__((may_alias, aligned(1))) *)m.ptr)                \
			     : "er"((U##size)(src))                                                                    \
			     : "cc", "memory");                                                                        \
		r = x86_rmw_end(s, &m);                                                                                \
		if (likely(r == X86_OK))                                                                               \
			set_flags(s, f);                                                                               \
		return r;                                                                                              \
	}

#define BOTH(macro, ...) macro(__VA_ARGS__, b) macro(__VA_ARGS__, x)

#define FAST_PEEK_SIZE(op, size)                                                                                       \
	FAST_ALU_PEEK(op, size, b, r, s->gpr[i->opnd[1].reg])                                                          \
	FAST_ALU_PEEK(op, size, x, r, s->gpr[i->opnd[1].reg])                                                          \
	FAST_ALU_PEEK(op, size, b, i, i->imm)                                                                          \
	FAST_ALU_PEEK(op, size, x, i, i->imm)
#define FAST_RMW_SIZE(op, size)                                                                                        \
	FAST_ALU_RMW(op, size, b, r, s->gpr[i->opnd[1].reg])                                                           \
	FAST_ALU_RMW(op, size, x, r, s->gpr[i->opnd[1].reg])                                                           \
	FAST_ALU_RMW(op, size, b, i, i->imm)                                                                           \
	FAST_ALU_RMW(op, size, x, i, i->imm)

#define SIZES(macro, ...) macro(__VA_ARGS__, 1) macro(__VA_ARGS__, 4) macro(__VA_ARGS__, 8)

#define ALU_WRITE_SIZE(op, size)                                                                                       \
	FAST_ALU_REG(op, size, OP2, WB_YES)                                                                            \
	BOTH(FAST_ALU_LOAD, op, size, OP2, WB_YES)                                                                     \
	FAST_RMW_SIZE(op, size)
#define ALU_COMPARE_SIZE(op, size)                                                                                     \
	FAST_ALU_REG(op, size, OP2, WB_NO)                                                                             \
	BOTH(FAST_ALU_LOAD, op, size, OP2, WB_NO)                                                                      \
	FAST_PEEK_SIZE(op, size)

SIZES(ALU_WRITE_SIZE, add)
SIZES(ALU_WRITE_SIZE, sub)
SIZES(ALU_WRITE_SIZE, and)
SIZES(ALU_WRITE_SIZE, or)
SIZES(ALU_WRITE_SIZE, xor)
SIZES(ALU_COMPARE_SIZE, cmp)
SIZES(ALU_COMPARE_SIZE, test)

#define ALU_CARRY_SIZE(op, size) FAST_ALU_REG(op, size, OP2C, WB_YES)
SIZES(ALU_CARRY_SIZE, adc)
SIZES(ALU_CARRY_SIZE, sbb)

/* xor r, r and sub r, r of one register: zero, with fixed flags. */
FAST zero_r(struct x86_state *s, const struct x86_insn *i)
{
	s->gpr[i->opnd[0].reg] = 0;
	s->rflags = (s->rflags & ~(u64)RFLAGS_ARITH) | RFLAGS_ZF | RFLAGS_PF;
	return X86_OK;
}

/* inc, dec: CF stays. neg, and not (which has no flags but goes the same way). */
#define FAST_UNARY(op, size)                                                                                           \
	FAST op##_r##size(struct x86_state *s, const struct x86_insn *i)                                               \
	{                                                                                                              \
		U##size a = s->gpr[i->opnd[0].reg];                                                                    \
		u16 f;                                                                                                 \
                                                                                                                       \
		asm("btl $0, %2\n\t" #op SFX##size " %1" X86_FLAGS_SAVE                                                \
		    : "=&a"(f), "+&r"(a)                                                                               \
		    : "r"((u32)s->rflags)                                                                              \
		    : "cc");                                                                                           \
		s->gpr[i->opnd[0].reg] = a;                                                                            \
		set_flags(s, f);                                                                                       \
		return X86_OK;                                                                                         \
	}
FAST_UNARY(inc, 4)
FAST_UNARY(inc, 8)
FAST_UNARY(dec, 4)
FAST_UNARY(dec, 8)
FAST_UNARY(neg, 4)
FAST_UNARY(neg, 8)

FAST not_r4(struct x86_state *s, const struct x86_insn *i)
{
	s->gpr[i->opnd[0].reg] = (u32)~s->gpr[i->opnd[0].reg];
	return X86_OK;
}

FAST not_r8(struct x86_state *s, const struct x86_insn *i)
{
	s->gpr[i->opnd[0].reg] = ~s->gpr[i->opnd[0].reg];
	return X86_OK;
}

/* The count is an immediate, or CL. All flags go in: a count of zero keeps them. */
#define FAST_SHIFT(op, size, form, count)                                                                              \
	FAST op##_r##form##size(struct x86_state *s, const struct x86_insn *i)                                         \
	{                                                                                                              \
		U##size a = s->gpr[i->opnd[0].reg];                                                                    \
		u32 f = x86_flags_pack(s->rflags);                                                                     \
                                                                                                                       \
		asm(X86_FLAGS_LOAD #op SFX##size " %%cl, %1" X86_FLAGS_SAVE                                            \
		    : "+&a"(f), "+r"(a)                                                                                \
		    : "c"((u8)(count))                                                                                 \
		    : "cc");                                                                                           \
		s->gpr[i->opnd[0].reg] = a;                                                                            \
		set_flags(s, (u16)f);                                                                                  \
		return X86_OK;                                                                                         \
	}
#define FAST_SHIFT_OP(op)                                                                                              \
	FAST_SHIFT(op, 4, i, i->imm)                                                                                   \
	FAST_SHIFT(op, 8, i, i->imm)                                                                                   \
	FAST_SHIFT(op, 4, c, s->gpr[X86_RCX])                                                                          \
	FAST_SHIFT(op, 8, c, s->gpr[X86_RCX])
FAST_SHIFT_OP(shl)
FAST_SHIFT_OP(shr)
FAST_SHIFT_OP(sar)
FAST_SHIFT_OP(rol)
FAST_SHIFT_OP(ror)

#define FAST_IMUL(size)                                                                                                \
	FAST imul_rr##size(struct x86_state *s, const struct x86_insn *i)                                              \
	{                                                                                                              \
		U##size a = s->gpr[i->opnd[0].reg];                                                                    \
		u32 f = x86_flags_pack(s->rflags);                                                                     \
                                                                                                                       \
		asm(X86_FLAGS_LOAD "imul" SFX##size " %2, %1" X86_FLAGS_SAVE                                           \
		    : "+&a"(f), "+r"(a)                                                                                \
		    : "r"((U##size)s->gpr[i->opnd[1].reg])                                                             \
		    : "cc");                                                                                           \
		s->gpr[i->opnd[0].reg] = a;                                                                            \
		set_flags(s, (u16)f);                                                                                  \
		return X86_OK;                                                                                         \
	}
FAST_IMUL(4)
FAST_IMUL(8)

/* --- moves ------------------------------------------------------------------------------------------ */

#define FAST_MOV_REG(size)                                                                                             \
	FAST mov_rr##size(struct x86_state *s, const struct x86_insn *i)                                               \
	{                                                                                                              \
		set_reg(s, i->opnd[0].reg, size, (U##size)s->gpr[i->opnd[1].reg]);                                     \
		return X86_OK;                                                                                         \
	}                                                                                                              \
	FAST mov_ri##size(struct x86_state *s, const struct x86_insn *i)                                               \
	{                                                                                                              \
		set_reg(s, i->opnd[0].reg, size, (U##size)i->imm);                                                     \
		return X86_OK;                                                                                         \
	}
#define FAST_MOV_MEM(size, v)                                                                                          \
	FAST mov_rm##size##v(struct x86_state *s, const struct x86_insn *i)                                            \
	{                                                                                                              \
		u64 val;                                                                                               \
		enum x86_result r = read_lin(s, i->seg, lin_##v(s, i), size, &val);                                    \
                                                                                                                       \
		if (likely(r == X86_OK))                                                                               \
			set_reg(s, i->opnd[0].reg, size, val);                                                         \
		return r;                                                                                              \
	}                                                                                                              \
	FAST mov_mr##size##v(struct x86_state *s, const struct x86_insn *i)                                            \
	{                                                                                                              \
		return write_lin(s, i->seg, lin_##v(s, i), size, s->gpr[i->opnd[1].reg]);                              \
	}                                                                                                              \
	FAST mov_mi##size##v(struct x86_state *s, const struct x86_insn *i)                                            \
	{                                                                                                              \
		return write_lin(s, i->seg, lin_##v(s, i), size, i->imm);                                              \
	}
#define FAST_MOV(size)                                                                                                 \
	FAST_MOV_REG(size)                                                                                             \
	BOTH(FAST_MOV_MEM, size)
FAST_MOV(1)
FAST_MOV(2)
FAST_MOV(4)
FAST_MOV(8)

/* Extension to 32 or 64 bits: type is what the source is seen as, wide what it is extended to. */
#define FAST_EXTEND_MEM(name, from, type, wide, v)                                                                     \
	FAST name##_m##v(struct x86_state *s, const struct x86_insn *i)                                                \
	{                                                                                                              \
		u64 val;                                                                                               \
		enum x86_result r = read_lin(s, i->seg, lin_##v(s, i), from, &val);                                    \
                                                                                                                       \
		if (likely(r == X86_OK))                                                                               \
			s->gpr[i->opnd[0].reg] = (wide)(type)val;                                                      \
		return r;                                                                                              \
	}
#define FAST_EXTEND(name, from, type, wide)                                                                            \
	FAST name##_r(struct x86_state *s, const struct x86_insn *i)                                                   \
	{                                                                                                              \
		s->gpr[i->opnd[0].reg] = (wide)(type)s->gpr[i->opnd[1].reg];                                           \
		return X86_OK;                                                                                         \
	}                                                                                                              \
	BOTH(FAST_EXTEND_MEM, name, from, type, wide)
FAST_EXTEND(movzx1, 1, u8, u64)
FAST_EXTEND(movzx2, 2, u16, u64)
FAST_EXTEND(movsx1_4, 1, s8, u32)
FAST_EXTEND(movsx1_8, 1, s8, u64)
FAST_EXTEND(movsx2_4, 2, s16, u32)
FAST_EXTEND(movsx2_8, 2, s16, u64)
FAST_EXTEND(movsx4_8, 4, s32, u64)

FAST lea_4(struct x86_state *s, const struct x86_insn *i)
{
	s->gpr[i->opnd[0].reg] = (u32)x86_ea(s, i);
	return X86_OK;
}

FAST lea_8(struct x86_state *s, const struct x86_insn *i)
{
	s->gpr[i->opnd[0].reg] = x86_ea(s, i);
	return X86_OK;
}

FAST lea_8b(struct x86_state *s, const struct x86_insn *i)
{
	s->gpr[i->opnd[0].reg] = lin_b(s, i);
	return X86_OK;
}

#define FAST_CMOV(size)                                                                                                \
	FAST cmov_rr##size(struct x86_state *s, const struct x86_insn *i)                                              \
	{                                                                                                              \
		unsigned src = i->opnd[x86_cond(s->rflags, i->cond)].reg;                                              \
                                                                                                                       \
		s->gpr[i->opnd[0].reg] = (U##size)s->gpr[src];                                                         \
		return X86_OK;                                                                                         \
	}
FAST_CMOV(4)
FAST_CMOV(8)

FAST setcc_r(struct x86_state *s, const struct x86_insn *i)
{
	set_reg(s, i->opnd[0].reg, 1, x86_cond(s->rflags, i->cond));
	return X86_OK;
}

FAST nop(struct x86_state *s, const struct x86_insn *i)
{
	(void)s, (void)i;
	return X86_OK;
}

/* --- the stack, in 64-bit mode with 64-bit operands -------------------------------------------------- */

static inline enum x86_result push8(struct x86_state *s, u64 val)
{
	u64 sp = s->gpr[X86_RSP] - 8;
	enum x86_result r = write_lin(s, SEG_SS, sp, 8, val);

	if (likely(r == X86_OK))
		s->gpr[X86_RSP] = sp;
	return r;
}

FAST push_r8(struct x86_state *s, const struct x86_insn *i)
{
	return push8(s, s->gpr[i->opnd[0].reg]);
}

FAST push_i8(struct x86_state *s, const struct x86_insn *i)
{
	return push8(s, i->imm);
}

FAST pop_r8(struct x86_state *s, const struct x86_insn *i)
{
	u64 val;
	enum x86_result r = read_lin(s, SEG_SS, s->gpr[X86_RSP], 8, &val);

	if (likely(r == X86_OK)) {
		s->gpr[X86_RSP] += 8;
		s->gpr[i->opnd[0].reg] = val;
	}
	return r;
}

FAST leave_8(struct x86_state *s, const struct x86_insn *i)
{
	u64 val, frame = s->gpr[X86_RBP];
	enum x86_result r = read_lin(s, SEG_SS, frame, 8, &val);

	(void)i;
	if (likely(r == X86_OK)) {
		s->gpr[X86_RSP] = frame + 8;
		s->gpr[X86_RBP] = val;
	}
	return r;
}

/* --- branches in 64-bit mode ------------------------------------------------------------------------- */

/* Canonical with four paging levels is canonical with five. */
static inline bool surely_canonical(u64 a)
{
	return (u64)((s64)(a << 16) >> 16) == a;
}

static inline enum x86_result jump(struct x86_state *s, u64 target)
{
	if (unlikely(!surely_canonical(target)))
		return x86_branch(s, target, 8);
	s->rip = target;
	return X86_OK;
}

#define FAST_JCC(cc)                                                                                                   \
	FAST jcc_##cc(struct x86_state *s, const struct x86_insn *i)                                                   \
	{                                                                                                              \
		return x86_cond(s->rflags, cc) ? jump(s, s->rip + i->imm) : X86_OK;                                    \
	}
FAST_JCC(0)
FAST_JCC(1)
FAST_JCC(2)
FAST_JCC(3)
FAST_JCC(4)
FAST_JCC(5)
FAST_JCC(6)
FAST_JCC(7)
FAST_JCC(8)
FAST_JCC(9)
FAST_JCC(10)
FAST_JCC(11)
FAST_JCC(12)
FAST_JCC(13)
FAST_JCC(14)
FAST_JCC(15)

FAST jmp_rel(struct x86_state *s, const struct x86_insn *i)
{
	return jump(s, s->rip + i->imm);
}

FAST jmp_r(struct x86_state *s, const struct x86_insn *i)
{
	return jump(s, s->gpr[i->opnd[0].reg]);
}

static inline enum x86_result call(struct x86_state *s, u64 target)
{
	enum x86_result r;

	if (unlikely(!surely_canonical(target)))
		return x86_call(s, target, 8);
	r = push8(s, s->rip);
	if (likely(r == X86_OK))
		s->rip = target;
	return r;
}

FAST call_rel(struct x86_state *s, const struct x86_insn *i)
{
	return call(s, s->rip + i->imm);
}

FAST call_r(struct x86_state *s, const struct x86_insn *i)
{
	return call(s, s->gpr[i->opnd[0].reg]);
}

FAST ret_8(struct x86_state *s, const struct x86_insn *i)
{
	u64 target;
	enum x86_result r = read_lin(s, SEG_SS, s->gpr[X86_RSP], 8, &target);

	(void)i;
	if (likely(r == X86_OK))
		r = jump(s, target);
	if (likely(r == X86_OK))
		s->gpr[X86_RSP] += 8;
	return r;
}

/* --- choice ------------------------------------------------------------------------------------------ */

/* Forms of a two-operand instruction. */
enum form { FORM_RR, FORM_RI, FORM_RM_B, FORM_RM_X, FORM_MR_B, FORM_MR_X, FORM_MI_B, FORM_MI_X, FORM_COUNT, FORM_NONE };

#define ROW_REG(op, size)                                                                                              \
	{                                                                                                              \
		[FORM_RR] = op##_rr##size, [FORM_RI] = op##_ri##size                                                   \
	}
#define ROW_ALL(op, size)                                                                                              \
	{                                                                                                              \
		op##_rr##size, op##_ri##size, op##_rm##size##b, op##_rm##size##x, op##_mr##size##b, op##_mr##size##x,  \
			op##_mi##size##b, op##_mi##size##x                                                             \
	}
#define ALU_ALL(op)                                                                                                    \
	{                                                                                                              \
		ROW_ALL(op, 1), { NULL }, ROW_ALL(op, 4), ROW_ALL(op, 8)                                               \
	}
#define ALU_REG(op)                                                                                                    \
	{                                                                                                              \
		ROW_REG(op, 1), { NULL }, ROW_REG(op, 4), ROW_REG(op, 8)                                               \
	}

typedef x86_exec_fn *form_table[4][FORM_COUNT]; /* by log2 of the size */

static const form_table table_mov = { ROW_ALL(mov, 1), ROW_ALL(mov, 2), ROW_ALL(mov, 4), ROW_ALL(mov, 8) };
static const form_table table_add = ALU_ALL(add), table_sub = ALU_ALL(sub), table_and = ALU_ALL(and),
			table_or = ALU_ALL(or), table_xor = ALU_ALL(xor), table_cmp = ALU_ALL(cmp),
			table_test = ALU_ALL(test), table_adc = ALU_REG(adc), table_sbb = ALU_REG(sbb);

/* A register that the routines index directly: not AH, CH, DH, BH. */
static bool plain_reg(const struct x86_operand *o)
{
	return o->kind == OPND_GPR && o->reg < 16;
}

/* 0: [base + disp] without a segment base; 1: another 64-bit address; -1: not a 64-bit address. */
static int address_variant(const struct x86_insn *i)
{
	if (i->adsize != 8)
		return -1;
	return i->base < 16 && i->index == X86_REG_NONE && i->seg != SEG_FS && i->seg != SEG_GS ? 0 : 1;
}

static enum form form_of(const struct x86_insn *i)
{
	const struct x86_operand *a = &i->opnd[0], *b = &i->opnd[1];
	int v = 0;

	if (a->kind == OPND_MEM || b->kind == OPND_MEM) {
		v = address_variant(i);
		if (v < 0)
			return FORM_NONE;
	}
	if (plain_reg(a)) {
		if (plain_reg(b))
			return FORM_RR;
		if (b->kind == OPND_IMM)
			return FORM_RI;
		return b->kind == OPND_MEM ? FORM_RM_B + v : FORM_NONE;
	}
	if (a->kind != OPND_MEM)
		return FORM_NONE;
	if (b->kind == OPND_IMM)
		return FORM_MI_B + v;
	return plain_reg(b) ? FORM_MR_B + v : FORM_NONE;
}

static x86_exec_fn *two_operands(const struct x86_insn *i, const form_table table)
{
	enum form form = form_of(i);

	return form == FORM_NONE ? NULL : table[x86_size_log2(i->opnd[0].size)][form];
}

/* xor or sub of a register with itself. */
static x86_exec_fn *zeroing(const struct x86_insn *i, const form_table table)
{
	if (i->opnd[0].size >= 4 && plain_reg(&i->opnd[0]) && plain_reg(&i->opnd[1]) &&
	    i->opnd[0].reg == i->opnd[1].reg)
		return zero_r;
	return two_operands(i, table);
}

static x86_exec_fn *by_size(const struct x86_insn *i, x86_exec_fn *four, x86_exec_fn *eight)
{
	if (!plain_reg(&i->opnd[0]))
		return NULL;
	return i->opnd[0].size == 8 ? eight : i->opnd[0].size == 4 ? four : NULL;
}

/* The count in opnd[1] is an immediate or CL. */
#define SHIFT_CHOICE(op) (i->opnd[1].kind == OPND_IMM ? by_size(i, op##_ri4, op##_ri8) : by_size(i, op##_rc4, op##_rc8))

#define EXTEND_TABLE(name)                                                                                             \
	{                                                                                                              \
		name##_r, name##_mb, name##_mx                                                                         \
	}

static x86_exec_fn *extension(const struct x86_insn *i, bool sign)
{
	static x86_exec_fn *const fn[7][3] = {
		EXTEND_TABLE(movzx1),   EXTEND_TABLE(movzx2),   EXTEND_TABLE(movsx1_4), EXTEND_TABLE(movsx1_8),
		EXTEND_TABLE(movsx2_4), EXTEND_TABLE(movsx2_8), EXTEND_TABLE(movsx4_8),
	};
	unsigned from = i->opnd[1].size, to = i->opnd[0].size, row;
	int v = -1;

	if (to < 4 || (from == 4 && to == 4))
		return NULL;
	if (i->opnd[1].kind == OPND_MEM) {
		v = address_variant(i);
		if (v < 0)
			return NULL;
	} else if (!plain_reg(&i->opnd[1])) {
		return NULL;
	}
	if (!sign)
		row = from - 1;
	else
		row = from == 4 ? 6 : 2 * from + (to == 8);
	return fn[row][v + 1];
}

static x86_exec_fn *load_address(const struct x86_insn *i)
{
	bool simple = i->adsize == 8 && i->base < 16 && i->index == X86_REG_NONE;

	return by_size(i, lea_4, simple ? lea_8b : lea_8);
}

/* Near branches with a 64-bit operand exist in 64-bit mode only. */
static x86_exec_fn *branch(const struct x86_insn *i)
{
	static x86_exec_fn *const jcc[16] = {
		jcc_0, jcc_1, jcc_2,  jcc_3,  jcc_4,  jcc_5,  jcc_6,  jcc_7,
		jcc_8, jcc_9, jcc_10, jcc_11, jcc_12, jcc_13, jcc_14, jcc_15,
	};
	bool call = i->op == X86_OP_CALL_NEAR;

	if (i->opsize != 8)
		return NULL;
	if (i->op == X86_OP_JCC)
		return jcc[i->cond];
	if (i->op == X86_OP_RET_NEAR)
		return i->nr_operands ? NULL : ret_8;
	if (i->opnd[0].kind == OPND_REL)
		return call ? call_rel : jmp_rel;
	if (i->opnd[0].kind == OPND_GPR)
		return call ? call_r : jmp_r;
	return NULL;
}

static x86_exec_fn *stack(const struct x86_insn *i)
{
	if (i->opsize != 8)
		return NULL;
	if (i->op == X86_OP_LEAVE)
		return leave_8;
	if (i->opnd[0].kind == OPND_GPR)
		return i->op == X86_OP_PUSH ? push_r8 : pop_r8;
	return i->opnd[0].kind == OPND_IMM ? push_i8 : NULL;
}

x86_exec_fn *x86_specialize(const struct x86_insn *i)
{
	if (i->flags & INSN_LOCK)
		return NULL;
	switch (i->op) {
	case X86_OP_MOV: return two_operands(i, table_mov);
	case X86_OP_ADD: return two_operands(i, table_add);
	case X86_OP_SUB: return zeroing(i, table_sub);
	case X86_OP_AND: return two_operands(i, table_and);
	case X86_OP_OR: return two_operands(i, table_or);
	case X86_OP_XOR: return zeroing(i, table_xor);
	case X86_OP_CMP: return two_operands(i, table_cmp);
	case X86_OP_TEST: return two_operands(i, table_test);
	case X86_OP_ADC: return two_operands(i, table_adc);
	case X86_OP_SBB: return two_operands(i, table_sbb);
	case X86_OP_INC: return by_size(i, inc_r4, inc_r8);
	case X86_OP_DEC: return by_size(i, dec_r4, dec_r8);
	case X86_OP_NEG: return by_size(i, neg_r4, neg_r8);
	case X86_OP_NOT: return by_size(i, not_r4, not_r8);
	case X86_OP_SHL: return SHIFT_CHOICE(shl);
	case X86_OP_SHR: return SHIFT_CHOICE(shr);
	case X86_OP_SAR: return SHIFT_CHOICE(sar);
	case X86_OP_ROL: return SHIFT_CHOICE(rol);
	case X86_OP_ROR: return SHIFT_CHOICE(ror);
	case X86_OP_IMUL: return i->nr_operands == 2 && plain_reg(&i->opnd[1]) ? by_size(i, imul_rr4, imul_rr8) : NULL;
	case X86_OP_MOVZX: return extension(i, false);
	case X86_OP_MOVSX: return extension(i, true);
	case X86_OP_LEA: return load_address(i);
	case X86_OP_CMOVCC: return plain_reg(&i->opnd[1]) ? by_size(i, cmov_rr4, cmov_rr8) : NULL;
	case X86_OP_SETCC: return plain_reg(&i->opnd[0]) ? setcc_r : NULL;
	case X86_OP_NOP: return nop;
	case X86_OP_JCC:
	case X86_OP_JMP_NEAR:
	case X86_OP_CALL_NEAR:
	case X86_OP_RET_NEAR: return branch(i);
	case X86_OP_PUSH:
	case X86_OP_POP:
	case X86_OP_LEAVE: return stack(i);
	}
	return NULL;
}
