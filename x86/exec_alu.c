/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Two-operand arithmetic, increment and negate, exchange-and-add, compare-and-exchange, ADX.
 */
#include "flags.h"
#include "operand.h"

/* One operation on the size bytes at p; packed flags in and out (flags.h). */
typedef u32 alu_fn(void *p, u64 val, u32 flags);

/* By log2 of the size. */
struct alu_op {
	alu_fn *plain[4];
	alu_fn *locked[4];
};

#define ALU_BINARY(name, text, type, reg)                                                                              \
	static u32 name(void *p, u64 val, u32 flags)                                                                   \
	{                                                                                                              \
		asm volatile(X86_FLAGS_LOAD text " %" reg "2, %1" X86_FLAGS_SAVE                                       \
			     : "+&a"(flags), "+m"(*(type *)p)                                                          \
			     : "r"(val)                                                                                \
			     : "cc", "memory");                                                                        \
		return flags;                                                                                          \
	}

#define ALU_UNARY(name, text, type)                                                                                    \
	static u32 name(void *p, u64 val, u32 flags)                                                                   \
	{                                                                                                              \
		(void)val;                                                                                             \
		asm volatile(X86_FLAGS_LOAD text " %1" X86_FLAGS_SAVE                                                  \
			     : "+&a"(flags), "+m"(*(type *)p)                                                          \
			     :                                                                                         \
			     : "cc", "memory");                                                                        \
		return flags;                                                                                          \
	}

#define ALU_BINARY_SIZES(name, text)                                                                                   \
	ALU_BINARY(name##_1, text "b", u8, "b")                                                                        \
	ALU_BINARY(name##_2, text "w", x86_mem16, "w")                                                                 \
	ALU_BINARY(name##_4, text "l", x86_mem32, "k")                                                                 \
	ALU_BINARY(name##_8, text "q", x86_mem64, "q")

#define ALU_UNARY_SIZES(name, text)                                                                                    \
	ALU_UNARY(name##_1, text "b", u8)                                                                              \
	ALU_UNARY(name##_2, text "w", x86_mem16)                                                                       \
	ALU_UNARY(name##_4, text "l", x86_mem32)                                                                       \
	ALU_UNARY(name##_8, text "q", x86_mem64)

#define SIZES(name)                                                                                                    \
	{                                                                                                              \
		name##_1, name##_2, name##_4, name##_8                                                                 \
	}

#define ALU_OP(kind, name)                                                                                             \
	kind##_SIZES(alu_##name, #name) kind##_SIZES(                                                                  \
		lock_##name, "lock; " #name) static const struct alu_op op_##name = { SIZES(alu_##name),               \
										      SIZES(lock_##name) };

ALU_OP(ALU_BINARY, add)
ALU_OP(ALU_BINARY, or)
ALU_OP(ALU_BINARY, adc)
ALU_OP(ALU_BINARY, sbb)
ALU_OP(ALU_BINARY, and)
ALU_OP(ALU_BINARY, sub)
ALU_OP(ALU_BINARY, xor)
ALU_OP(ALU_UNARY, inc)
ALU_OP(ALU_UNARY, dec)
ALU_OP(ALU_UNARY, neg)
ALU_OP(ALU_UNARY, not )

ALU_BINARY_SIZES(alu_cmp, "cmp")
ALU_BINARY_SIZES(alu_test, "test")
static alu_fn *const op_cmp[4] = SIZES(alu_cmp);
static alu_fn *const op_test[4] = SIZES(alu_test);

static enum x86_result alu_run(struct x86_state *s, const struct x86_insn *i, const struct alu_op *op, u64 val)
{
	struct x86_place p;
	alu_fn *fn;
	u32 flags;
	enum x86_result r = x86_place_begin(s, i, 0, &p);

	if (unlikely(r != X86_OK))
		return r;
	fn = (i->flags & INSN_LOCK ? op->locked : op->plain)[x86_size_log2(p.size)];
	flags = fn(p.ptr, val, x86_flags_pack(s->rflags));
	r = x86_place_end(s, &p);
	if (likely(r == X86_OK))
		s->rflags = x86_flags_merge(s->rflags, flags);
	return r;
}

static enum x86_result alu_binary(struct x86_state *s, const struct x86_insn *i, const struct alu_op *op)
{
	u64 val;
	enum x86_result r = x86_get_opnd(s, i, 1, &val);

	return likely(r == X86_OK) ? alu_run(s, i, op, val) : r;
}

/* CMP and TEST: no result but the flags. */
static enum x86_result alu_compare(struct x86_state *s, const struct x86_insn *i, alu_fn *const *op)
{
	u64 a, b;
	enum x86_result r = x86_get_opnd(s, i, 0, &a);

	if (likely(r == X86_OK))
		r = x86_get_opnd(s, i, 1, &b);
	if (unlikely(r != X86_OK))
		return r;
	s->rflags = x86_flags_merge(s->rflags, op[x86_size_log2(i->opnd[0].size)](&a, b, x86_flags_pack(s->rflags)));
	return X86_OK;
}

#define EXEC_BINARY(name)                                                                                              \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		return alu_binary(s, i, &op_##name);                                                                   \
	}
#define EXEC_UNARY(name)                                                                                               \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		return alu_run(s, i, &op_##name, 0);                                                                   \
	}
#define EXEC_COMPARE(name)                                                                                             \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		return alu_compare(s, i, op_##name);                                                                   \
	}

EXEC_BINARY(add)
EXEC_BINARY(or)
EXEC_BINARY(adc)
EXEC_BINARY(sbb)
EXEC_BINARY(and)
EXEC_BINARY(sub)
EXEC_BINARY(xor)
EXEC_UNARY(inc)
EXEC_UNARY(dec)
EXEC_UNARY(neg)
EXEC_UNARY(not )
EXEC_COMPARE(cmp)
EXEC_COMPARE(test)

/* --- xadd ---------------------------------------------------------------------------------------- */

/* val becomes the old memory, memory the sum. */
#define XADD(name, text, type, reg)                                                                                    \
	static u32 name(void *p, u64 *val, u32 flags)                                                                  \
	{                                                                                                              \
		asm volatile(text " %" reg "2, %1" X86_FLAGS_SAVE                                                      \
			     : "+&a"(flags), "+m"(*(type *)p), "+r"(*val)                                              \
			     :                                                                                         \
			     : "cc", "memory");                                                                        \
		return flags;                                                                                          \
	}
#define XADD_SIZES(name, text)                                                                                         \
	XADD(name##_1, text "b", u8, "b")                                                                              \
	XADD(name##_2, text "w", x86_mem16, "w")                                                                       \
	XADD(name##_4, text "l", x86_mem32, "k")                                                                       \
	XADD(name##_8, text "q", x86_mem64, "q")

XADD_SIZES(xadd, "xadd")
XADD_SIZES(lock_xadd, "lock; xadd")

enum x86_result x86_exec_xadd(struct x86_state *s, const struct x86_insn *i)
{
	static u32 (*const fn[2][4])(void *, u64 *, u32) = { SIZES(xadd), SIZES(lock_xadd) };
	unsigned size = i->opnd[0].size, reg = i->opnd[1].reg;
	bool memory = i->opnd[0].kind == OPND_MEM;
	u64 val = x86_read_gpr(s, reg, size), dst;
	struct x86_place p;
	enum x86_result r;
	u32 flags;

	if (memory) {
		r = x86_place_begin(s, i, 0, &p);
		if (unlikely(r != X86_OK))
			return r;
	} else {
		dst = x86_read_gpr(s, i->opnd[0].reg, size);
		p.ptr = &dst;
	}
	flags = fn[!!(i->flags & INSN_LOCK)][x86_size_log2(size)](p.ptr, &val, 0);
	if (memory) {
		r = x86_place_end(s, &p);
		if (unlikely(r != X86_OK))
			return r;
	}
	/* The destination last: it wins where both are the same register. */
	x86_write_gpr(s, reg, size, val);
	if (!memory)
		x86_write_gpr(s, i->opnd[0].reg, size, dst);
	s->rflags = x86_flags_merge(s->rflags, flags);
	return X86_OK;
}

/* --- cmpxchg ------------------------------------------------------------------------------------- */

/*
 * acc is all of rax, before and after; the register form takes and gives all of the destination too, so that
 * the upper halves are what the host makes of them.
 */
#define CMPXCHG(name, text, type, constraint, reg, dst)                                                                \
	static u32 name(void *p, u64 *acc, u64 val, u32 flags)                                                         \
	{                                                                                                              \
		asm volatile(X86_FLAGS_LOAD "movq %%rdx, %%rax\n\t" text " %" reg "3, %" dst "1\n\t"                   \
					    "movq %%rax, %%rdx" X86_FLAGS_SAVE                                         \
			     : "+&a"(flags), constraint(*(type *)p), "+&d"(*acc)                                       \
			     : "r"(val)                                                                                \
			     : "cc", "memory");                                                                        \
		return flags;                                                                                          \
	}
#define CMPXCHG_SIZES(name, text)                                                                                      \
	CMPXCHG(name##_1, text "b", u8, "+m", "b", "")                                                                 \
	CMPXCHG(name##_2, text "w", x86_mem16, "+m", "w", "")                                                          \
	CMPXCHG(name##_4, text "l", x86_mem32, "+m", "k", "")                                                          \
	CMPXCHG(name##_8, text "q", x86_mem64, "+m", "q", "")

CMPXCHG_SIZES(cmpxchg, "cmpxchg")
CMPXCHG_SIZES(lock_cmpxchg, "lock; cmpxchg")
CMPXCHG(reg_cmpxchg_1, "cmpxchgb", u64, "+r", "b", "b")
CMPXCHG(reg_cmpxchg_2, "cmpxchgw", u64, "+r", "w", "w")
CMPXCHG(reg_cmpxchg_4, "cmpxchgl", u64, "+r", "k", "k")
CMPXCHG(reg_cmpxchg_8, "cmpxchgq", u64, "+r", "q", "q")

enum x86_result x86_exec_cmpxchg(struct x86_state *s, const struct x86_insn *i)
{
	static u32 (*const fn[3][4])(void *, u64 *, u64, u32) = { SIZES(cmpxchg), SIZES(lock_cmpxchg),
								  SIZES(reg_cmpxchg) };
	unsigned size = i->opnd[0].size, log = x86_size_log2(size), reg = i->opnd[0].reg;
	u64 val = x86_read_gpr(s, i->opnd[1].reg, size), acc = s->gpr[X86_RAX], dst;
	u32 flags = x86_flags_pack(s->rflags);
	struct x86_place p;
	enum x86_result r;

	if (i->opnd[0].kind == OPND_MEM) {
		r = x86_place_begin(s, i, 0, &p);
		if (unlikely(r != X86_OK))
			return r;
		flags = fn[!!(i->flags & INSN_LOCK)][log](p.ptr, &acc, val, flags);
		r = x86_place_end(s, &p);
		if (unlikely(r != X86_OK))
			return r;
		s->gpr[X86_RAX] = acc;
	} else {
		dst = size == 1 ? x86_read_gpr(s, reg, 1) : s->gpr[reg];
		flags = fn[2][log](&dst, &acc, val, flags);
		s->gpr[X86_RAX] = acc;
		x86_write_gpr(s, reg, size == 4 ? 8 : size, dst);
	}
	s->rflags = x86_flags_merge(s->rflags, flags);
	return X86_OK;
}

/* The pairs rdx:rax (expected, result) and rcx:rbx (new); halves of 4 or 8 bytes. Returns ZF. */
#define CMPXCHG_PAIR(name, text, type)                                                                                 \
	static bool name(void *p, u64 *lo, u64 *hi, u64 new_lo, u64 new_hi)                                            \
	{                                                                                                              \
		bool equal;                                                                                            \
                                                                                                                       \
		asm volatile(text " %1"                                                                                \
			     : "=@ccz"(equal), "+m"(*(type *)p), "+a"(*lo), "+d"(*hi)                                  \
			     : "b"(new_lo), "c"(new_hi)                                                                \
			     : "cc", "memory");                                                                        \
		return equal;                                                                                          \
	}
CMPXCHG_PAIR(cmpxchg8b, "cmpxchg8b", x86_mem64)
CMPXCHG_PAIR(lock_cmpxchg8b, "lock; cmpxchg8b", x86_mem64)
CMPXCHG_PAIR(cmpxchg16b, "cmpxchg16b", u128)
CMPXCHG_PAIR(lock_cmpxchg16b, "lock; cmpxchg16b", u128)

static enum x86_result cmpxchg_pair(struct x86_state *s, const struct x86_insn *i, unsigned size)
{
	static bool (*const fn[4])(void *, u64 *, u64 *, u64, u64) = { cmpxchg8b, lock_cmpxchg8b, cmpxchg16b,
								       lock_cmpxchg16b };
	u64 lo = s->gpr[X86_RAX], hi = s->gpr[X86_RDX], off = x86_ea(s, i), lin;
	struct x86_rmw m;
	enum x86_result r;
	bool equal;

	if (size == 16) {
		/* The one integer instruction that insists on alignment. */
		r = x86_linear(s, i->seg, off, size, ACC_WRITE, &lin);
		if (unlikely(r != X86_OK))
			return r;
		if (lin & 15)
			return x86_raise_error(s, X86_EXC_GP, 0);
	}
	r = x86_rmw_begin(s, i->seg, off, size, &m);
	if (unlikely(r != X86_OK))
		return r;
	equal = fn[(size == 16) * 2 + !!(i->flags & INSN_LOCK)](m.ptr, &lo, &hi, s->gpr[X86_RBX], s->gpr[X86_RCX]);
	r = x86_rmw_end(s, &m);
	if (unlikely(r != X86_OK))
		return r;
	s->gpr[X86_RAX] = lo;
	s->gpr[X86_RDX] = hi;
	s->rflags = (s->rflags & ~(u64)RFLAGS_ZF) | (equal ? RFLAGS_ZF : 0);
	return X86_OK;
}

enum x86_result x86_exec_cmpxchg8b(struct x86_state *s, const struct x86_insn *i)
{
	return cmpxchg_pair(s, i, 8);
}

enum x86_result x86_exec_cmpxchg16b(struct x86_state *s, const struct x86_insn *i)
{
	return cmpxchg_pair(s, i, 16);
}

/* --- ADX ----------------------------------------------------------------------------------------- */

/* dst + src + the carry that lives in one flag; no other flag changes. */
static enum x86_result add_with(struct x86_state *s, const struct x86_insn *i, u64 flag)
{
	u64 a, b, sum;
	bool carry;
	enum x86_result r = x86_get_opnd(s, i, 1, &b);

	if (unlikely(r != X86_OK))
		return r;
	a = x86_read_gpr(s, i->opnd[0].reg, i->opnd[0].size);
	if (i->opnd[0].size == 8) {
		carry = __builtin_add_overflow(a, b, &sum);
		carry |= __builtin_add_overflow(sum, (u64) !!(s->rflags & flag), &sum);
	} else {
		sum = a + b + !!(s->rflags & flag);
		carry = sum >> 32;
	}
	x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, sum);
	s->rflags = (s->rflags & ~flag) | (carry ? flag : 0);
	return X86_OK;
}

enum x86_result x86_exec_adcx(struct x86_state *s, const struct x86_insn *i)
{
	return add_with(s, i, RFLAGS_CF);
}

enum x86_result x86_exec_adox(struct x86_state *s, const struct x86_insn *i)
{
	return add_with(s, i, RFLAGS_OF);
}
