/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Multiplication and division, by the host's own instruction (whose undefined flags the guest then sees). The
 * host must not fault: quotients that do not fit are found before.
 */
#include "flags.h"
#include "operand.h"

/* lo and hi are all of rax and rdx, in and out. */
typedef u32 muldiv_fn(u64 *lo, u64 *hi, u64 src, u32 flags);

#define MULDIV(name, text, reg)                                                                                        \
	static u32 name(u64 *lo, u64 *hi, u64 src, u32 flags)                                                          \
	{                                                                                                              \
		u64 rax = flags;                                                                                       \
                                                                                                                       \
		asm volatile(X86_FLAGS_LOAD "movq %3, %%rax\n\t" text " %" reg "4\n\t"                                 \
					    "movq %%rax, %1" X86_FLAGS_SAVE                                            \
			     : "+&a"(rax), "=&r"(*lo), "+&d"(*hi)                                                      \
			     : "r"(*lo), "r"(src)                                                                      \
			     : "cc");                                                                                  \
		return (u32)rax;                                                                                       \
	}
#define MULDIV_OP(name)                                                                                                \
	MULDIV(name##_1, #name "b", "b")                                                                               \
	MULDIV(name##_2, #name "w", "w")                                                                               \
	MULDIV(name##_4, #name "l", "k")                                                                               \
	MULDIV(name##_8, #name "q", "q")                                                                               \
	static muldiv_fn *const fn_##name[4] = { name##_1, name##_2, name##_4, name##_8 };

MULDIV_OP(mul)
MULDIV_OP(imul)
MULDIV_OP(div)
MULDIV_OP(idiv)

static void muldiv_run(struct x86_state *s, muldiv_fn *const *fn, unsigned size, u64 src)
{
	u64 lo = s->gpr[X86_RAX], hi = s->gpr[X86_RDX];
	u32 flags = fn[x86_size_log2(size)](&lo, &hi, src, x86_flags_pack(s->rflags));

	s->gpr[X86_RAX] = lo;
	s->gpr[X86_RDX] = hi;
	s->rflags = x86_flags_merge(s->rflags, flags);
}

static enum x86_result multiply(struct x86_state *s, const struct x86_insn *i, muldiv_fn *const *fn)
{
	u64 src;
	enum x86_result r = x86_get_opnd(s, i, 0, &src);

	if (likely(r == X86_OK))
		muldiv_run(s, fn, i->opnd[0].size, src);
	return r;
}

enum x86_result x86_exec_mul(struct x86_state *s, const struct x86_insn *i)
{
	return multiply(s, i, fn_mul);
}

enum x86_result x86_exec_imul1(struct x86_state *s, const struct x86_insn *i)
{
	return multiply(s, i, fn_imul);
}

/* The double-width dividend, zero-extended into hi:lo. */
static void dividend(const struct x86_state *s, unsigned size, u64 *lo, u64 *hi)
{
	u64 a = s->gpr[X86_RAX], d = s->gpr[X86_RDX];

	*hi = 0;
	switch (size) {
	case 1: *lo = (u16)a; break;
	case 2: *lo = (u16)a | (u64)(u16)d << 16; break;
	case 4: *lo = (u32)a | d << 32; break;
	default:
		*lo = a;
		*hi = d;
		break;
	}
}

static bool div_overflows(const struct x86_state *s, unsigned size, u64 src)
{
	u64 lo, hi;

	dividend(s, size, &lo, &hi);
	/* The quotient fits exactly if the upper half is less than the divisor (so the divisor is not 0). */
	if (size == 8)
		return hi >= src;
	return lo >> (8 * size) >= src;
}

static u64 div_host(u64 hi, u64 lo, u64 src)
{
	asm("divq %2" : "+a"(lo), "+d"(hi) : "r"(src) : "cc");
	return lo;
}

static bool idiv_overflows(const struct x86_state *s, unsigned size, u64 src)
{
	u64 lo, hi, limit = 1ull << (8 * size - 1);
	s64 div = x86_sext(src, size);
	bool negative;

	dividend(s, size, &lo, &hi);
	if (size < 8) {
		lo = x86_sext(lo, 2 * size);
		hi = (u64)((s64)lo >> 63);
	}
	/* With magnitudes: quotients up to limit - 1, or limit if it is negative. */
	negative = (s64)hi < 0;
	if (negative) {
		lo = -lo;
		hi = ~hi + !lo;
	}
	if (div < 0) {
		negative = !negative;
		src = -(u64)div;
	} else {
		src = div;
	}
	if (hi >= src)
		return true;
	return div_host(hi, lo, src) >= limit + negative;
}

static enum x86_result divide(struct x86_state *s, const struct x86_insn *i, muldiv_fn *const *fn,
			      bool (*overflows)(const struct x86_state *, unsigned, u64))
{
	u64 src;
	enum x86_result r = x86_get_opnd(s, i, 0, &src);

	if (unlikely(r != X86_OK))
		return r;
	if (unlikely(overflows(s, i->opnd[0].size, src)))
		return x86_raise(s, X86_EXC_DE);
	muldiv_run(s, fn, i->opnd[0].size, src);
	return X86_OK;
}

enum x86_result x86_exec_div(struct x86_state *s, const struct x86_insn *i)
{
	return divide(s, i, fn_div, div_overflows);
}

enum x86_result x86_exec_idiv(struct x86_state *s, const struct x86_insn *i)
{
	return divide(s, i, fn_idiv, idiv_overflows);
}

/* --- imul with a register destination: sizes 2, 4, 8 ------------------------------------------------ */

typedef u32 imul_fn(u64 *dst, u64 src, u32 flags);

#define IMUL(name, text, reg)                                                                                          \
	static u32 name(u64 *dst, u64 src, u32 flags)                                                                  \
	{                                                                                                              \
		asm volatile(X86_FLAGS_LOAD text " %" reg "2, %" reg "1" X86_FLAGS_SAVE                                \
			     : "+&a"(flags), "+r"(*dst)                                                                \
			     : "r"(src)                                                                                \
			     : "cc");                                                                                  \
		return flags;                                                                                          \
	}
IMUL(imul2_2, "imulw", "w")
IMUL(imul2_4, "imull", "k")
IMUL(imul2_8, "imulq", "q")

enum x86_result x86_exec_imul(struct x86_state *s, const struct x86_insn *i)
{
	static imul_fn *const fn[4] = { NULL, imul2_2, imul2_4, imul2_8 };
	unsigned size = i->opnd[0].size, reg = i->opnd[0].reg;
	u64 a, b;
	u32 flags;
	enum x86_result r = x86_get_opnd(s, i, 1, &a);

	if (unlikely(r != X86_OK))
		return r;
	b = s->gpr[reg];
	if (i->nr_operands == 3) {
		r = x86_get_opnd(s, i, 2, &b);
		if (unlikely(r != X86_OK))
			return r;
	}
	flags = fn[x86_size_log2(size)](&b, a, x86_flags_pack(s->rflags));
	x86_write_gpr(s, reg, size, b);
	s->rflags = x86_flags_merge(s->rflags, flags);
	return X86_OK;
}
