/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Bit tests, bit scans and counts.
 */
#include "flags.h"
#include "operand.h"

/* --- bt, bts, btr, btc: sizes 2, 4, 8 --------------------------------------------------------------- */

typedef u32 bit_fn(void *p, u64 bit, u32 flags);

#define BIT_TEST(name, text, type, reg)                                                                                \
	static u32 name(void *p, u64 bit, u32 flags)                                                                   \
	{                                                                                                              \
		asm volatile(X86_FLAGS_LOAD text " %" reg "2, %1" X86_FLAGS_SAVE                                       \
			     : "+&a"(flags), "+m"(*(type *)p)                                                          \
			     : "r"(bit)                                                                                \
			     : "cc", "memory");                                                                        \
		return flags;                                                                                          \
	}
#define BIT_TEST_SIZES(name, text)                                                                                     \
	BIT_TEST(name##_2, text "w", x86_mem16, "w")                                                                   \
	BIT_TEST(name##_4, text "l", x86_mem32, "k")                                                                   \
	BIT_TEST(name##_8, text "q", x86_mem64, "q")
#define SIZES(name)                                                                                                    \
	{                                                                                                              \
		NULL, name##_2, name##_4, name##_8                                                                     \
	}

BIT_TEST_SIZES(bt, "bt")

static bit_fn *const fn_bt[4] = SIZES(bt);

/*
 * A register bit offset is signed and reaches beyond a memory operand, in steps of the operand's size. Gives
 * the operand's address and the bit in it.
 */
static u64 bit_address(struct x86_state *s, const struct x86_insn *i, u64 *bit)
{
	unsigned size = i->opnd[0].size;
	s64 off = x86_sext(*bit, size);
	u64 ea = x86_ea(s, i);

	*bit &= size * 8 - 1;
	if (i->opnd[1].kind == OPND_GPR)
		ea = (ea + (off >> (3 + x86_size_log2(size))) * size) & x86_addr_mask(i->adsize);
	return ea;
}

enum x86_result x86_exec_bt(struct x86_state *s, const struct x86_insn *i)
{
	unsigned size = i->opnd[0].size;
	u64 bit, val;
	enum x86_result r = x86_get_opnd(s, i, 1, &bit);

	if (unlikely(r != X86_OK))
		return r;
	if (i->opnd[0].kind == OPND_MEM) {
		u64 ea = bit_address(s, i, &bit);

		r = x86_load(s, i->seg, ea, size, &val);
		if (unlikely(r != X86_OK))
			return r;
	} else {
		bit &= size * 8 - 1;
		val = x86_read_gpr(s, i->opnd[0].reg, size);
	}
	s->rflags = x86_flags_merge(s->rflags, fn_bt[x86_size_log2(size)](&val, bit, x86_flags_pack(s->rflags)));
	return X86_OK;
}

static enum x86_result bit_change(struct x86_state *s, const struct x86_insn *i, bit_fn *const *fn)
{
	unsigned size = i->opnd[0].size;
	struct x86_place p;
	u64 bit;
	u32 flags;
	enum x86_result r = x86_get_opnd(s, i, 1, &bit);

	if (unlikely(r != X86_OK))
		return r;
	if (i->opnd[0].kind == OPND_MEM) {
		u64 ea = bit_address(s, i, &bit);

		p.reg = X86_REG_NONE;
		r = x86_rmw_begin(s, i->seg, ea, size, &p.rmw);
		p.ptr = p.rmw.ptr;
	} else {
		bit &= size * 8 - 1;
		r = x86_place_begin(s, i, 0, &p);
	}
	if (unlikely(r != X86_OK))
		return r;
	flags = fn[x86_size_log2(size)](p.ptr, bit, x86_flags_pack(s->rflags));
	r = x86_place_end(s, &p);
	if (likely(r == X86_OK))
		s->rflags = x86_flags_merge(s->rflags, flags);
	return r;
}

#define EXEC_BIT_CHANGE(name)                                                                                          \
	BIT_TEST_SIZES(name, #name)                                                                                    \
	BIT_TEST_SIZES(lock_##name, "lock; " #name)                                                                    \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		static bit_fn *const fn[2][4] = { SIZES(name), SIZES(lock_##name) };                                   \
                                                                                                                       \
		return bit_change(s, i, fn[!!(i->flags & INSN_LOCK)]);                                                 \
	}

EXEC_BIT_CHANGE(bts)
EXEC_BIT_CHANGE(btr)
EXEC_BIT_CHANGE(btc)

/* --- bsf, bsr, popcnt, lzcnt, tzcnt: all of the destination passes, for a zero source -------------- */

typedef u32 scan_fn(u64 *dst, u64 src, u32 flags);

#define SCAN(name, text, reg)                                                                                          \
	static u32 name(u64 *dst, u64 src, u32 flags)                                                                  \
	{                                                                                                              \
		asm volatile(X86_FLAGS_LOAD text " %" reg "2, %" reg "1" X86_FLAGS_SAVE                                \
			     : "+&a"(flags), "+r"(*dst)                                                                \
			     : "r"(src)                                                                                \
			     : "cc");                                                                                  \
		return flags;                                                                                          \
	}

static enum x86_result scan(struct x86_state *s, const struct x86_insn *i, scan_fn *const *fn)
{
	u64 src;
	enum x86_result r = x86_get_opnd(s, i, 1, &src);
	u32 flags;

	if (unlikely(r != X86_OK))
		return r;
	flags = fn[x86_size_log2(i->opnd[0].size)](&s->gpr[i->opnd[0].reg], src, x86_flags_pack(s->rflags));
	s->rflags = x86_flags_merge(s->rflags, flags);
	return X86_OK;
}

#define EXEC_SCAN(name)                                                                                                \
	SCAN(name##_2, #name "w", "w")                                                                                 \
	SCAN(name##_4, #name "l", "k")                                                                                 \
	SCAN(name##_8, #name "q", "q")                                                                                 \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		static scan_fn *const fn[4] = SIZES(name);                                                             \
                                                                                                                       \
		return scan(s, i, fn);                                                                                 \
	}

EXEC_SCAN(bsf)
EXEC_SCAN(bsr)
EXEC_SCAN(popcnt)
EXEC_SCAN(lzcnt)
EXEC_SCAN(tzcnt)
