/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Re-encoding of instructions that the host computes, and their general registers (see native.h). */
#include "native.h"
#include "optable.h"

enum { SLOT_RAX, SLOT_RCX, SLOT_RDX };

/* MMX and x87 instructions, too, have at most one general register as operand. */
static const struct x86_operand *gpr_operand(const struct x86_insn *i)
{
	for (unsigned n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_GPR)
			return &i->opnd[n];
	return NULL;
}

static bool has_memory(const struct x86_insn *i)
{
	for (unsigned n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_MEM)
			return true;
	return false;
}

/* Implicit lengths in rAX and rDX (explicit-length forms), result index in rCX. */
static bool string_compare(const struct x86_insn *i)
{
	return i->map == 3 && i->opcode >= 0x60 && i->opcode <= 0x63;
}

/* The immediate bytes; one that names a register (is4) is made from the operand, its top bit may not count. */
static unsigned put_immediates(const struct x86_insn *i, u8 *out)
{
	unsigned n = 0, k;

	if (i->map == 3) {
		n = 1;
	} else {
		for (k = 0; k < i->nr_operands; k++)
			n += i->opnd[k].kind == OPND_IMM;
	}
	for (k = 0; k < n; k++)
		out[k] = i->bytes[i->len - n + k];
	if (i->flags & INSN_VEX && i->map == 3 && i->nr_operands == 4 && i->opnd[3].kind == OPND_XMM)
		out[0] = i->opnd[3].reg << 4 | (out[0] & 15);
	return n;
}

static unsigned put_vex(const struct x86_insn *i, u8 rex, u8 *out)
{
	static const u8 pp[4] = { 0x66, 0xf3, 0xf2 };
	unsigned p = 0;

	for (unsigned n = 0; n < 3; n++)
		if (i->prefix == pp[n])
			p = n + 1;
	out[0] = 0xc4;
	out[1] = (~(rex << 5) & 0xe0) | i->map;
	out[2] = (rex & 8) << 4 | (~i->vvvv & 15) << 3 | (i->vl == 32 ? 4 : 0) | p;
	out[3] = i->opcode;
	return 4;
}

static unsigned put_legacy(const struct x86_insn *i, u8 rex, u8 *out)
{
	unsigned n = 0;

	if (i->map && i->prefix)
		out[n++] = i->prefix;
	if (rex)
		out[n++] = 0x40 | rex;
	if (i->map)
		out[n++] = 0x0f;
	if (i->map > 1)
		out[n++] = i->map == 2 ? 0x38 : 0x3a;
	out[n++] = i->opcode;
	return n;
}

unsigned x86_native_encode(const struct x86_insn *i, u8 *out)
{
	const struct x86_operand *gpr = gpr_operand(i);
	u8 rex = i->rex & 0xd;
	u8 modrm = i->modrm;
	unsigned n;

	if (has_memory(i)) {
		modrm = (modrm & 0x38) | (string_compare(i) ? SLOT_RCX : SLOT_RAX);
		rex &= ~1u;
	}
	if (gpr && gpr->access & OPACC_REG) {
		modrm = (modrm & ~0x38) | SLOT_RCX << 3;
		rex &= ~4u;
	} else if (gpr && i->map) {
		modrm = (modrm & ~7) | SLOT_RAX;
		rex &= ~1u;
	}
	if (!i->map)
		rex = 0; /* x87 has no use for it */
	n = i->flags & INSN_VEX ? put_vex(i, rex, out) : put_legacy(i, rex, out);
	if (i->flags & INSN_HAS_MODRM)
		out[n++] = modrm;
	n += put_immediates(i, out + n);
	out[n++] = 0xc3;
	return n;
}

void x86_native_load(const struct x86_state *s, const struct x86_insn *i, void *mem, struct x86_native_regs *r)
{
	const struct x86_operand *gpr;

	r->rax = (unsigned long)mem;
	r->rcx = r->rdx = 0;
	r->flags = s->rflags & RFLAGS_ARITH;
	if (unlikely(string_compare(i))) {
		r->rcx = (unsigned long)mem;
		r->rax = s->gpr[X86_RAX];
		r->rdx = s->gpr[X86_RDX];
		return;
	}
	gpr = gpr_operand(i);
	if (!gpr)
		return;
	if (gpr->access & OPACC_REG)
		r->rcx = s->gpr[gpr->reg];
	else
		r->rax = s->gpr[gpr->reg];
}

void x86_native_store(struct x86_state *s, const struct x86_insn *i, const struct x86_native_regs *r)
{
	const struct x86_operand *gpr;

	if (i->flags & INSN_FLAGS)
		s->rflags = (s->rflags & ~(u64)RFLAGS_ARITH) | (r->flags & RFLAGS_ARITH);
	if (unlikely(string_compare(i))) {
		/* PCMPxSTRI */
		if (i->opcode & 1)
			s->gpr[X86_RCX] = r->rcx;
		return;
	}
	gpr = gpr_operand(i);
	if (!gpr || !(gpr->access & OPACC_W))
		return;
	s->gpr[gpr->reg] = gpr->access & OPACC_REG ? r->rcx : r->rax;
}
