/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * BMI1, BMI2 and CRC32: operand sizes 4 and 8, run by the host where they set flags or are costly in C.
 */
#include "flags.h"
#include "operand.h"

/* Size 4: a and b are zero-extended, the result is 32 bits wide. */
typedef u32 bmi_fn(u64 *dst, u64 a, u64 b, u32 flags);

/* text takes: destination %1, sources %2 (a) and %3 (b). */
#define BMI(name, text)                                                                                                \
	static u32 name(u64 *dst, u64 a, u64 b, u32 flags)                                                             \
	{                                                                                                              \
		asm volatile(X86_FLAGS_LOAD text X86_FLAGS_SAVE : "+&a"(flags), "=r"(*dst) : "r"(a), "r"(b) : "cc");   \
		return flags;                                                                                          \
	}

/* opnd[0] = op(opnd[n1], opnd[n2]) with flags. */
static enum x86_result bmi(struct x86_state *s, const struct x86_insn *i, bmi_fn *const *fn, unsigned n1, unsigned n2)
{
	unsigned size = i->opnd[0].size;
	u64 a, b, dst;
	u32 flags;
	enum x86_result r = x86_get_opnd(s, i, n1, &a);

	if (likely(r == X86_OK))
		r = x86_get_opnd(s, i, n2, &b);
	if (unlikely(r != X86_OK))
		return r;
	flags = fn[size == 8](&dst, a, b, x86_flags_pack(s->rflags));
	x86_write_gpr(s, i->opnd[0].reg, size, dst);
	s->rflags = x86_flags_merge(s->rflags, flags);
	return X86_OK;
}

/* Two sources: AT&T order is last source first. */
#define EXEC_BMI2(name, first, second)                                                                                 \
	BMI(name##_4, #name " %k" first ", %k" second ", %k1")                                                         \
	BMI(name##_8, #name " %q" first ", %q" second ", %q1")                                                         \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		static bmi_fn *const fn[2] = { name##_4, name##_8 };                                                   \
                                                                                                                       \
		return bmi(s, i, fn, 1, 2);                                                                            \
	}

/* One source. */
#define EXEC_BMI1(name)                                                                                                \
	BMI(name##_4, #name " %k2, %k1")                                                                               \
	BMI(name##_8, #name " %q2, %q1")                                                                               \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		static bmi_fn *const fn[2] = { name##_4, name##_8 };                                                   \
                                                                                                                       \
		return bmi(s, i, fn, 1, 1);                                                                            \
	}

EXEC_BMI2(andn, "3", "2")
EXEC_BMI2(bextr, "3", "2")
EXEC_BMI2(bzhi, "3", "2")
EXEC_BMI2(pdep, "3", "2")
EXEC_BMI2(pext, "3", "2")
EXEC_BMI1(blsi)
EXEC_BMI1(blsr)
EXEC_BMI1(blsmsk)

/* rdx * source; opnd[0] = high half, written last, opnd[1] = low half. */
enum x86_result x86_exec_mulx(struct x86_state *s, const struct x86_insn *i)
{
	unsigned size = i->opnd[0].size;
	u64 a;
	u128 product;
	enum x86_result r = x86_get_opnd(s, i, 2, &a);

	if (unlikely(r != X86_OK))
		return r;
	product = (u128)a * x86_read_gpr(s, X86_RDX, size);
	x86_write_gpr(s, i->opnd[1].reg, size, (u64)product);
	x86_write_gpr(s, i->opnd[0].reg, size, (u64)(product >> (8 * size)));
	return X86_OK;
}

enum shift_kind { SHIFT_SAR, SHIFT_SHL, SHIFT_SHR, SHIFT_ROR };

/* Shifts without flags; opnd[2] is the count. */
static enum x86_result shiftx(struct x86_state *s, const struct x86_insn *i, enum shift_kind kind)
{
	unsigned size = i->opnd[0].size, bits = size * 8;
	u64 val, count;
	enum x86_result r = x86_get_opnd(s, i, 1, &val);

	if (likely(r == X86_OK))
		r = x86_get_opnd(s, i, 2, &count);
	if (unlikely(r != X86_OK))
		return r;
	count &= bits - 1;
	switch (kind) {
	case SHIFT_SAR: val = (u64)((s64)x86_sext(val, size) >> count); break;
	case SHIFT_SHL: val <<= count; break;
	case SHIFT_SHR: val >>= count; break;
	case SHIFT_ROR: val = val >> count | val << ((bits - count) & (bits - 1)); break;
	}
	x86_write_gpr(s, i->opnd[0].reg, size, val);
	return X86_OK;
}

enum x86_result x86_exec_sarx(struct x86_state *s, const struct x86_insn *i)
{
	return shiftx(s, i, SHIFT_SAR);
}

enum x86_result x86_exec_shlx(struct x86_state *s, const struct x86_insn *i)
{
	return shiftx(s, i, SHIFT_SHL);
}

enum x86_result x86_exec_shrx(struct x86_state *s, const struct x86_insn *i)
{
	return shiftx(s, i, SHIFT_SHR);
}

enum x86_result x86_exec_rorx(struct x86_state *s, const struct x86_insn *i)
{
	return shiftx(s, i, SHIFT_ROR);
}

/* --- crc32: the destination is 32 bits of state, cleared above; the source has its own size ---------- */

typedef u64 crc32_fn(u64 crc, u64 src);

#define CRC32(name, text, reg)                                                                                         \
	static u64 name(u64 crc, u64 src)                                                                              \
	{                                                                                                              \
		asm(text : "+r"(crc) : "r"(src));                                                                      \
		return crc;                                                                                            \
	}
CRC32(crc32_1, "crc32b %b1, %k0", "b")
CRC32(crc32_2, "crc32w %w1, %k0", "w")
CRC32(crc32_4, "crc32l %k1, %k0", "k")
CRC32(crc32_8, "crc32q %q1, %q0", "q")

enum x86_result x86_exec_crc32(struct x86_state *s, const struct x86_insn *i)
{
	static crc32_fn *const fn[4] = { crc32_1, crc32_2, crc32_4, crc32_8 };
	u64 src;
	enum x86_result r = x86_get_opnd(s, i, 1, &src);

	if (unlikely(r != X86_OK))
		return r;
	s->gpr[i->opnd[0].reg] = fn[x86_size_log2(i->opnd[1].size)]((u32)s->gpr[i->opnd[0].reg], src);
	return X86_OK;
}
