/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Host instructions as bytes. SDM volume 2, "Instruction Format". */
#include "emit.h"

void emit_modrm_mem(struct emit *e, unsigned reg, const struct emit_mem *m)
{
	unsigned r = (reg & 7) << 3, mod;

	if (m->base == NOREG) {
		/* No base: SIB with disp32 in every case, as a plain disp32 would be rip-relative. */
		emit8(e, (u8)(r | 4));
		emit8(e, (u8)(m->scale << 6 | (m->index == NOREG ? 4 : m->index & 7) << 3 | 5));
		emit32(e, (u32)m->disp);
		return;
	}
	/* rbp and r13 as base have no form without displacement. */
	mod = !m->disp && (m->base & 7) != 5 ? 0 : m->disp == (s8)m->disp ? 1 : 2;
	if (m->index != NOREG || (m->base & 7) == 4) {
		emit8(e, (u8)(mod << 6 | r | 4));
		emit8(e, (u8)(m->scale << 6 | (m->index == NOREG ? 4 : m->index & 7) << 3 | (m->base & 7)));
	} else {
		emit8(e, (u8)(mod << 6 | r | (m->base & 7)));
	}
	if (mod == 1)
		emit8(e, (u8)m->disp);
	else if (mod == 2)
		emit32(e, (u32)m->disp);
}

static unsigned rex_of(bool w, unsigned reg, unsigned index, unsigned base)
{
	return (w ? 8u : 0) | (reg != NOREG && reg & 8 ? 4u : 0) | (index != NOREG && index & 8 ? 2u : 0) |
	       (base != NOREG && base & 8 ? 1u : 0);
}

static void emit_opcode(struct emit *e, unsigned rex, unsigned op)
{
	if (rex)
		emit8(e, (u8)(0x40 | rex));
	if (op >= 0x100)
		emit8(e, 0x0f);
	emit8(e, (u8)op);
}

void emit_rr(struct emit *e, bool w, unsigned op, unsigned reg, unsigned rm)
{
	emit_opcode(e, rex_of(w, reg, NOREG, rm), op);
	emit8(e, (u8)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}

void emit_rm(struct emit *e, bool w, unsigned op, unsigned reg, struct emit_mem m)
{
	if (m.gs)
		emit8(e, 0x65);
	emit_opcode(e, rex_of(w, reg, m.index, m.base), op);
	emit_modrm_mem(e, reg, &m);
}

void emit_mov_imm(struct emit *e, unsigned reg, u64 imm)
{
	if (imm == (u32)imm) {
		if (reg & 8)
			emit8(e, 0x41);
		emit8(e, (u8)(0xb8 | (reg & 7)));
		emit32(e, (u32)imm);
	} else if ((s64)imm == (s32)imm) {
		emit8(e, (u8)(0x48 | (reg & 8 ? 1 : 0)));
		emit8(e, 0xc7);
		emit8(e, (u8)(0xc0 | (reg & 7)));
		emit32(e, (u32)imm);
	} else {
		emit8(e, (u8)(0x48 | (reg & 8 ? 1 : 0)));
		emit8(e, (u8)(0xb8 | (reg & 7)));
		emit64(e, imm);
	}
}

void emit_patch(struct emit *e, u8 *at, const void *target)
{
	s64 rel = (const u8 *)target - (at + e->to_rx + 4);

	*(x86_mem32 *)at = (u32)rel;
}

static u8 *rel32(struct emit *e, const void *target)
{
	u8 *at = e->p;

	emit32(e, 0);
	emit_patch(e, at, target);
	return at;
}

void emit_load_entry(struct emit *e, struct emit_mem entry)
{
	emit_load(e, X86_R12, entry);
	emit_rr(e, true, 0x85, X86_R12, X86_R12); /* test */
}

void emit_look_up(struct emit *e, unsigned ea, bool write)
{
	/* sarx r12, ea, r15: the index */
	emit8(e, 0xc4);
	emit8(e, (u8)(ea & 8 ? 0x42 : 0x62));
	emit8(e, 0x82);
	emit8(e, 0xf7);
	emit8(e, (u8)(0xe0 | (ea & 7)));
	if (write)
		emit_rm(e, true, 0x03, X86_R12, GS_MEM(GEN(GEN_WRITE_DELTA)));
	emit_load_entry(e, (struct emit_mem){ .base = X86_R15, .index = X86_R12, .scale = 3, .disp = -12 });
}

void emit_hash_entry(struct emit *e)
{
	/* hash_index() */
	emit_rr(e, false, 0x69, X86_R12, X86_R13); /* imul r12d, r13d, HASH_FACTOR */
	emit32(e, HASH_FACTOR);
	emit_shift(e, false, SHIFT_SHR, X86_R12, 32 - HASH_BITS);
	emit_shift(e, false, SHIFT_SHL, X86_R12, HASH_SHIFT);
	emit_rm(e, true, 0x03, X86_R12, GS_MEM(GEN(GEN_HASH)));
}

void emit_load_near(struct emit *e, unsigned reg, const void *target)
{
	emit8(e, (u8)(0x48 | (reg & 8 ? 4 : 0)));
	emit8(e, 0x8b);
	emit8(e, (u8)(5 | (reg & 7) << 3));
	rel32(e, target);
}

u8 *emit_jmp(struct emit *e, const void *target)
{
	emit8(e, 0xe9);
	return rel32(e, target);
}

u8 *emit_call_near(struct emit *e, const void *target)
{
	emit8(e, 0xe8);
	return rel32(e, target);
}

u8 *emit_jcc(struct emit *e, unsigned cond, const void *target)
{
	emit8(e, 0x0f);
	emit8(e, (u8)(0x80 | cond));
	return rel32(e, target);
}

static bool near(const struct emit *e, const void *target)
{
	s64 rel = (const u8 *)target - (emit_here(e) + 16);

	return rel == (s32)rel;
}

/* ff /2 (call) and ff /4 (jmp) through r12. */
static void through_register(struct emit *e, const void *target, u8 modrm)
{
	emit_mov_imm(e, X86_R12, (u64)(unsigned long)target);
	emit8(e, 0x41);
	emit8(e, 0xff);
	emit8(e, modrm);
}

void emit_call(struct emit *e, const void *target)
{
	if (near(e, target)) {
		emit8(e, 0xe8);
		rel32(e, target);
	} else {
		through_register(e, target, 0xd4);
	}
}

void emit_jmp_far(struct emit *e, const void *target)
{
	if (near(e, target))
		emit_jmp(e, target);
	else
		through_register(e, target, 0xe4);
}

/* --- copies of guest instructions ---------------------------------------------------------------------- */

/* Bytes of the encoding behind ModRM, SIB and displacement. */
static unsigned immediate_size(const struct x86_insn *i)
{
	const struct x86_opcode *row = &x86_opcodes[i->row];
	unsigned n, size = 0;

	for (n = 0; n < 4 && row->opnd[n]; n++) {
		unsigned m = OPSPEC_METHOD(row->opnd[n]);

		if (m == OM_I)
			size += i->opnd[n].size == 8 && i->map == 0 && (i->opcode & 0xf8) == 0xb8 ? 8
				: OPSPEC_SIZE(row->opnd[n]) == OS_b                               ? 1
				: i->opnd[n].size > 4                                             ? 4
												  : i->opnd[n].size;
		else if (m == OM_L)
			size += 1;
	}
	return size;
}

static void emit_immediate(struct emit *e, const struct x86_insn *i)
{
	unsigned n = immediate_size(i), k;

	for (k = i->len - n; k < i->len; k++)
		emit8(e, i->bytes[k]);
	/* A register in bits 7-4; 32-bit code ignores bit 7. */
	for (k = 0; k < i->nr_operands; k++)
		if (OPSPEC_METHOD(x86_opcodes[i->row].opnd[k]) == OM_L)
			e->p[-1] = (u8)(i->opnd[k].reg << 4 | (e->p[-1] & 15));
}

static bool uses_high_byte(const struct x86_insn *i)
{
	unsigned n;

	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_GPR && i->opnd[n].reg >= 16)
			return true;
	return false;
}

/* SPL, BPL, SIL, DIL need a REX prefix to be meant. */
static bool uses_low_byte_of(const struct x86_insn *i, unsigned host)
{
	unsigned n;

	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_GPR && i->opnd[n].size == 1 && i->opnd[n].reg < 16 && host >= 4 && host < 8)
			return true;
	return false;
}

struct fields {
	unsigned reg, rm;     /* full register numbers for ModRM */
	unsigned index, base; /* for REX.X and REX.B */
};

/* The guest's own field values, where an operand does not replace them. */
static struct fields fields_of(const struct x86_insn *i, const struct emit_operands *o)
{
	unsigned rex_r = 0, rex_b = 0, n;
	struct fields f;

	/* Vector and other non-general registers: their numbers are in the operands. */
	for (n = 0; n < i->nr_operands; n++) {
		unsigned m = OPSPEC_METHOD(x86_opcodes[i->row].opnd[n]);

		if (m == OM_V || m == OM_G)
			rex_r = i->opnd[n].reg & 8;
		if ((m == OM_W || m == OM_E) && i->opnd[n].kind != OPND_MEM)
			rex_b = i->opnd[n].reg & 8;
	}
	f.reg = o->reg != NOREG ? o->reg : rex_r | (i->modrm >> 3 & 7);
	f.rm = o->rm != NOREG ? o->rm : rex_b | (i->modrm & 7);
	f.index = o->mem ? o->m.index : NOREG;
	f.base = o->mem ? o->m.base : f.rm;
	return f;
}

static void emit_tail(struct emit *e, const struct x86_insn *i, const struct emit_operands *o, const struct fields *f)
{
	if (o->mem)
		emit_modrm_mem(e, f->reg, &o->m);
	else
		emit8(e, (u8)(0xc0 | (f->reg & 7) << 3 | (f->rm & 7)));
	emit_immediate(e, i);
}

/* The second byte of the long prefix: the extensions of the registers' numbers, inverted, and the opcode's map. */
static u8 vex_registers(unsigned reg, unsigned index, unsigned base, unsigned map)
{
	return (u8)(~rex_of(false, reg, index, base) << 5 | (map & 3));
}

static bool emit_vex(struct emit *e, const struct x86_insn *i, const struct emit_operands *o)
{
	struct fields f = fields_of(i, o);
	unsigned n, vvvv = 0;
	bool has_vvvv = false;
	u8 pp = i->prefix == 0x66 ? 1 : i->prefix == 0xf3 ? 2 : i->prefix == 0xf2 ? 3 : 0;

	for (n = 0; n < i->nr_operands; n++) {
		unsigned m = OPSPEC_METHOD(x86_opcodes[i->row].opnd[n]);

		if (m == OM_H || m == OM_B) {
			vvvv = m == OM_B && o->vvvv != NOREG ? o->vvvv : i->opnd[n].reg;
			has_vvvv = true;
		}
	}
	if (o->mem && o->m.gs)
		emit8(e, 0x65);
	emit8(e, 0xc4);
	emit8(e, vex_registers(f.reg, f.index, f.base, i->map));
	emit8(e, (u8)((i->flags & INSN_REX_W ? 0x80 : 0) | (has_vvvv ? (~vvvv & 15) << 3 : 0x78) |
		      (i->vl == 32 ? 4 : 0) | pp));
	emit8(e, i->opcode);
	emit_tail(e, i, o, &f);
	return true;
}

void emit_vector(struct emit *e, unsigned reg, unsigned size, struct emit_mem m, bool store)
{
	if (m.gs)
		emit8(e, 0x65);
	emit8(e, 0xc4);
	emit8(e, vex_registers(reg, m.index, m.base, 1));
	emit8(e, size == 32 ? 0x7c : 0x78);
	emit8(e, store ? 0x11 : 0x10);
	emit_modrm_mem(e, reg, &m);
}

static void emit_legacy_prefixes(struct emit *e, const struct x86_insn *i)
{
	if (i->flags & INSN_LOCK)
		emit8(e, 0xf0);
	if (i->flags & INSN_OPSIZE)
		emit8(e, 0x66);
	if (i->prefix == 0xf3 || i->prefix == 0xf2)
		emit8(e, i->prefix);
}

static void emit_legacy_opcode(struct emit *e, const struct x86_insn *i, unsigned rex, u8 opcode)
{
	if (rex)
		emit8(e, (u8)(0x40 | (rex & 15)));
	if (i->map)
		emit8(e, 0x0f);
	if (i->map == 2)
		emit8(e, 0x38);
	if (i->map == 3)
		emit8(e, 0x3a);
	emit8(e, opcode);
}

/* MOV between the accumulator and a direct address, as the form with ModRM. */
static void emit_direct_mov(struct emit *e, const struct x86_insn *i, const struct emit_operands *o)
{
	unsigned rex = rex_of(i->flags & INSN_REX_W, X86_RAX, o->m.index, o->m.base);

	emit_legacy_prefixes(e, i);
	emit_legacy_opcode(e, i, rex, (u8)((i->opcode & 2 ? 0x88 : 0x8a) | (i->opcode & 1)));
	emit_modrm_mem(e, X86_RAX, &o->m);
}

/* INC and DEC in one byte, which 64-bit mode has not. */
static void emit_short_inc(struct emit *e, const struct x86_insn *i, const struct emit_operands *o)
{
	emit_legacy_prefixes(e, i);
	emit_legacy_opcode(e, i, rex_of(false, NOREG, NOREG, o->rm), 0xff);
	emit8(e, (u8)(0xc0 | (i->opcode & 8) | (o->rm & 7)));
}

bool emit_guest(struct emit *e, const struct x86_insn *i, const struct emit_operands *o)
{
	struct fields f;
	unsigned rex;

	if (i->flags & INSN_VEX)
		return emit_vex(e, i, o);
	if (!(i->flags & INSN_HAS_MODRM) && o->mem) {
		emit_direct_mov(e, i, o);
		return true;
	}
	if (!i->map && (i->opcode & 0xf0) == 0x40) {
		emit_short_inc(e, i, o);
		return true;
	}
	if (!(i->flags & INSN_HAS_MODRM)) {
		/* The register is in the opcode's low bits, or there is none. */
		unsigned r = o->rm != NOREG ? o->rm : NOREG;

		rex = rex_of(i->flags & INSN_REX_W, NOREG, NOREG, r);
		if (r != NOREG && uses_low_byte_of(i, r))
			rex |= 0x40;
		if (rex && uses_high_byte(i))
			return false;
		emit_legacy_prefixes(e, i);
		emit_legacy_opcode(e, i, rex, r != NOREG ? (u8)((i->opcode & ~7) | (r & 7)) : i->opcode);
		emit_immediate(e, i);
		return true;
	}
	f = fields_of(i, o);
	rex = rex_of(i->flags & INSN_REX_W, f.reg, f.index, f.base);
	if ((o->reg != NOREG && uses_low_byte_of(i, o->reg)) || (o->rm != NOREG && uses_low_byte_of(i, o->rm)))
		rex |= 0x40;
	if (rex && uses_high_byte(i))
		return false;
	emit_legacy_prefixes(e, i);
	if (o->mem && o->m.gs)
		emit8(e, 0x65);
	/* 82h is 80h, but not in 64-bit mode. */
	emit_legacy_opcode(e, i, rex, !i->map && i->opcode == 0x82 ? 0x80 : i->opcode);
	emit_tail(e, i, o, &f);
	return true;
}
