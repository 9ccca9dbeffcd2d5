/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Shifts and rotates. Counts go to the host unmasked, in CL: it masks them as the guest's CPU does, and
 * leaves flags and destination as that does for zero and for counts beyond the operand.
 */
#include "flags.h"
#include "operand.h"

typedef u32 shift_fn(void *p, u8 count, u32 flags);

#define SHIFT(name, text, type)                                                                                        \
	static u32 name(void *p, u8 count, u32 flags)                                                                  \
	{                                                                                                              \
		asm volatile(X86_FLAGS_LOAD text " %%cl, %1" X86_FLAGS_SAVE                                            \
			     : "+&a"(flags), "+m"(*(type *)p)                                                          \
			     : "c"(count)                                                                              \
			     : "cc", "memory");                                                                        \
		return flags;                                                                                          \
	}

static enum x86_result shift(struct x86_state *s, const struct x86_insn *i, shift_fn *const *fn)
{
	struct x86_place p;
	u64 count;
	u32 flags;
	enum x86_result r = x86_get_opnd(s, i, 1, &count);

	if (likely(r == X86_OK))
		r = x86_place_begin(s, i, 0, &p);
	if (unlikely(r != X86_OK))
		return r;
	flags = fn[x86_size_log2(p.size)](p.ptr, (u8)count, x86_flags_pack(s->rflags));
	r = x86_place_end(s, &p);
	if (likely(r == X86_OK))
		s->rflags = x86_flags_merge(s->rflags, flags);
	return r;
}

#define EXEC_SHIFT(name)                                                                                               \
	SHIFT(name##_1, #name "b", u8)                                                                                 \
	SHIFT(name##_2, #name "w", x86_mem16)                                                                          \
	SHIFT(name##_4, #name "l", x86_mem32)                                                                          \
	SHIFT(name##_8, #name "q", x86_mem64)                                                                          \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		static shift_fn *const fn[4] = { name##_1, name##_2, name##_4, name##_8 };                             \
                                                                                                                       \
		return shift(s, i, fn);                                                                                \
	}

EXEC_SHIFT(rol)
EXEC_SHIFT(ror)
EXEC_SHIFT(rcl)
EXEC_SHIFT(rcr)
EXEC_SHIFT(shl)
EXEC_SHIFT(shr)
EXEC_SHIFT(sar)

/* --- double shifts: sizes 2, 4, 8 ------------------------------------------------------------------ */

typedef u32 shift2_fn(void *p, u64 src, u8 count, u32 flags);

#define SHIFT2(name, text, type, reg)                                                                                  \
	static u32 name(void *p, u64 src, u8 count, u32 flags)                                                         \
	{                                                                                                              \
		asm volatile(X86_FLAGS_LOAD text " %%cl, %" reg "2, %1" X86_FLAGS_SAVE                                 \
			     : "+&a"(flags), "+m"(*(type *)p)                                                          \
			     : "r"(src), "c"(count)                                                                    \
			     : "cc", "memory");                                                                        \
		return flags;                                                                                          \
	}

static enum x86_result shift2(struct x86_state *s, const struct x86_insn *i, shift2_fn *const *fn)
{
	struct x86_place p;
	u64 count, src;
	u32 flags;
	enum x86_result r = x86_get_opnd(s, i, 2, &count);

	if (likely(r == X86_OK))
		r = x86_get_opnd(s, i, 1, &src);
	if (likely(r == X86_OK))
		r = x86_place_begin(s, i, 0, &p);
	if (unlikely(r != X86_OK))
		return r;
	flags = fn[x86_size_log2(p.size)](p.ptr, src, (u8)count, x86_flags_pack(s->rflags));
	r = x86_place_end(s, &p);
	if (likely(r == X86_OK))
		s->rflags = x86_flags_merge(s->rflags, flags);
	return r;
}

#define EXEC_SHIFT2(name)                                                                                              \
	SHIFT2(name##_2, #name "w", x86_mem16, "w")                                                                    \
	SHIFT2(name##_4, #name "l", x86_mem32, "k")                                                                    \
	SHIFT2(name##_8, #name "q", x86_mem64, "q")                                                                    \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		static shift2_fn *const fn[4] = { NULL, name##_2, name##_4, name##_8 };                                \
                                                                                                                       \
		return shift2(s, i, fn);                                                                               \
	}

EXEC_SHIFT2(shld)
EXEC_SHIFT2(shrd)
