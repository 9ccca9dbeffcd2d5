/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Instructions whose operand is the flags register, and decimal adjustment.
 */
#include "flags.h"
#include "operand.h"

#define EXEC_FLAG(name, expr)                                                                                          \
	enum x86_result x86_exec_##name(struct x86_state *s, const struct x86_insn *i)                                 \
	{                                                                                                              \
		(void)i;                                                                                               \
		s->rflags = expr;                                                                                      \
		return X86_OK;                                                                                         \
	}
EXEC_FLAG(clc, s->rflags & ~(u64)RFLAGS_CF)
EXEC_FLAG(stc, s->rflags | RFLAGS_CF)
EXEC_FLAG(cmc, s->rflags ^ RFLAGS_CF)
EXEC_FLAG(cld, s->rflags & ~(u64)RFLAGS_DF)
EXEC_FLAG(std, s->rflags | RFLAGS_DF)

#define RFLAGS_AH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF)

enum x86_result x86_exec_lahf(struct x86_state *s, const struct x86_insn *i)
{
	(void)i;
	x86_write_gpr(s, 16, 1, (s->rflags & RFLAGS_AH) | RFLAGS_FIXED);
	return X86_OK;
}

enum x86_result x86_exec_sahf(struct x86_state *s, const struct x86_insn *i)
{
	(void)i;
	s->rflags = (s->rflags & ~(u64)RFLAGS_AH) | (x86_read_gpr(s, 16, 1) & RFLAGS_AH);
	return X86_OK;
}

enum x86_result x86_exec_salc(struct x86_state *s, const struct x86_insn *i)
{
	(void)i;
	x86_write_gpr(s, X86_RAX, 1, s->rflags & RFLAGS_CF ? 0xff : 0);
	return X86_OK;
}

/* Virtual-8086 mode with IOPL < 3: only 16-bit forms, and only with CR4.VME (SDM, "Virtual-8086 Mode"). */
static bool vm86_sensitive(const struct x86_state *s)
{
	return s->mode == X86_MODE_VM86 && x86_iopl(s) < 3;
}

enum x86_result x86_exec_pushf(struct x86_state *s, const struct x86_insn *i)
{
	u64 val = s->rflags & ~(u64)(RFLAGS_VM | RFLAGS_RF);

	if (vm86_sensitive(s)) {
		if (!(s->cr4 & CR4_VME) || i->opsize != 2)
			return x86_raise_error(s, X86_EXC_GP, 0);
		val = (val & ~(u64)RFLAGS_IF) | RFLAGS_IOPL;
		if (s->rflags & RFLAGS_VIF)
			val |= RFLAGS_IF;
	}
	return x86_push(s, i->opsize, val);
}

/* The bits that POPF may change here, of an operand of size bytes. */
static u64 popf_mask(const struct x86_state *s, unsigned size)
{
	u64 mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;

	if (size > 2)
		mask |= RFLAGS_AC | RFLAGS_ID | RFLAGS_RF;
	if (s->mode == X86_MODE_REAL || s->cpl == 0)
		mask |= RFLAGS_IOPL | RFLAGS_IF;
	else if (s->cpl <= x86_iopl(s))
		mask |= RFLAGS_IF;
	return mask;
}

enum x86_result x86_exec_popf(struct x86_state *s, const struct x86_insn *i)
{
	u64 val, mask, sp = s->gpr[X86_RSP];
	bool virtual_if = vm86_sensitive(s);
	enum x86_result r;

	if (virtual_if && (!(s->cr4 & CR4_VME) || i->opsize != 2))
		return x86_raise_error(s, X86_EXC_GP, 0);
	r = x86_pop(s, i->opsize, &val);
	if (unlikely(r != X86_OK))
		return r;
	mask = popf_mask(s, i->opsize);
	if (virtual_if) {
		if ((val & RFLAGS_TF) || ((val & RFLAGS_IF) && (s->rflags & RFLAGS_VIP))) {
			s->gpr[X86_RSP] = sp;
			return x86_raise_error(s, X86_EXC_GP, 0);
		}
		mask |= RFLAGS_VIF;
		val = (val & ~(u64)RFLAGS_VIF) | (val & RFLAGS_IF ? RFLAGS_VIF : 0);
	}
	/* RF is never loaded but cleared. */
	val &= ~(u64)RFLAGS_RF;
	val = (s->rflags & ~mask) | (val & mask);
	if (likely(!((val ^ s->rflags) & ~(u64)(RFLAGS_ARITH | RFLAGS_DF | RFLAGS_NT | RFLAGS_ID | RFLAGS_RF))))
		s->rflags = val;
	else
		x86_set_rflags(s, val);
	return X86_OK;
}

/* --- decimal adjustment: not in 64-bit mode, so the host cannot compute it --------------------------- */

static u64 flags_szp(u8 val)
{
	return (val ? 0 : RFLAGS_ZF) | (val & 0x80) | (__builtin_parity(val) ? 0 : RFLAGS_PF);
}

static void set_arith(struct x86_state *s, u64 flags)
{
	s->rflags = (s->rflags & ~(u64)RFLAGS_ARITH) | flags;
}

/* DAA adds, DAS subtracts; SDM, pseudo code of both. OF is undefined. */
static void decimal(struct x86_state *s, bool subtract)
{
	u8 old = s->gpr[X86_RAX], al = old;
	bool low = (old & 0xf) > 9 || (s->rflags & RFLAGS_AF), carry = s->rflags & RFLAGS_CF;
	bool high = old > 0x99 || carry;
	u64 flags = 0;

	if (low) {
		flags |= RFLAGS_AF;
		if (subtract) {
			carry |= al < 6;
			al -= 6;
		} else {
			al += 6;
		}
	}
	if (high)
		al += subtract ? -0x60 : 0x60;
	if (high || (subtract && low && carry))
		flags |= RFLAGS_CF;
	x86_write_gpr(s, X86_RAX, 1, al);
	set_arith(s, flags | flags_szp(al));
}

enum x86_result x86_exec_daa(struct x86_state *s, const struct x86_insn *i)
{
	(void)i;
	decimal(s, false);
	return X86_OK;
}

enum x86_result x86_exec_das(struct x86_state *s, const struct x86_insn *i)
{
	(void)i;
	decimal(s, true);
	return X86_OK;
}

/* AAA and AAS: OF, SF, ZF, PF are undefined. */
static void ascii_adjust(struct x86_state *s, int delta)
{
	u16 ax = s->gpr[X86_RAX];
	u64 flags = 0;

	if ((ax & 0xf) > 9 || (s->rflags & RFLAGS_AF)) {
		ax += delta;
		flags = RFLAGS_AF | RFLAGS_CF;
	}
	ax &= 0xff0f;
	x86_write_gpr(s, X86_RAX, 2, ax);
	set_arith(s, flags | flags_szp((u8)ax));
}

enum x86_result x86_exec_aaa(struct x86_state *s, const struct x86_insn *i)
{
	(void)i;
	ascii_adjust(s, 0x106);
	return X86_OK;
}

enum x86_result x86_exec_aas(struct x86_state *s, const struct x86_insn *i)
{
	(void)i;
	ascii_adjust(s, -0x106);
	return X86_OK;
}

enum x86_result x86_exec_aam(struct x86_state *s, const struct x86_insn *i)
{
	u8 base = i->imm, al = s->gpr[X86_RAX];

	if (!base)
		return x86_raise(s, X86_EXC_DE);
	x86_write_gpr(s, X86_RAX, 2, (al / base) << 8 | al % base);
	set_arith(s, flags_szp(al % base));
	return X86_OK;
}

enum x86_result x86_exec_aad(struct x86_state *s, const struct x86_insn *i)
{
	u16 ax = s->gpr[X86_RAX];
	u8 al = ax + (ax >> 8) * (u8)i->imm;

	x86_write_gpr(s, X86_RAX, 2, al);
	set_arith(s, flags_szp(al));
	return X86_OK;
}
