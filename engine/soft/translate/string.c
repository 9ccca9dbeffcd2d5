/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * MOVS, STOS and LODS in line, upwards: with REP (but LODS) the host's own instruction over a stretch that lies in one page on either
 * side, else as a load and a store. Everything else about strings is the routine's. 64-bit code only.
 *
 * At the host's instruction with REP rsi and rdi hold host addresses; r13 and r12 are what has been added to them. A fault of the host
 * there leaves by tr_state.exit_string, which takes it off again: the guest's instruction has been done in part then.
 */
#include "front.h"

static unsigned log2_size(unsigned size)
{
	return size == 8 ? 3 : size >> 1;
}

/* r13 is the number of bytes: does the stretch at reg end in its page? */
static void unless_in_page(struct front *f, unsigned reg)
{
	struct emit *e = &f->e;

	emit_rr(e, false, 0x89, reg, X86_R12);
	emit_alu_imm(e, ALU_AND, X86_R12, 0xfff);
	emit_rr(e, false, 0x01, X86_R13, X86_R12);
	emit_alu_imm(e, ALU_CMP, X86_R12, X86_PAGE_SIZE);
	tr_aside_if(f, COND_A);
}

static void unless_upwards(struct front *f)
{
	/* test byte gs:[rflags + 1], DF */
	emit_rm(&f->e, false, 0xf6, 0, GS_MEM(offsetof(struct x86_state, rflags) + 1));
	emit8(&f->e, RFLAGS_DF >> 8);
	tr_aside_if(f, COND_NE);
}

static void check_stretch(struct front *f, bool source, unsigned shift)
{
	struct emit *e = &f->e;

	unless_upwards(f);
	/* 1 to a page's worth of elements: rcx - 1 < that, unsigned. */
	emit_lea(e, X86_R12, (struct emit_mem){ .base = X86_RCX, .index = NOREG, .disp = -1 });
	emit_alu_imm64(e, ALU_CMP, X86_R12, (s32)((u32)(X86_PAGE_SIZE >> shift) - 1));
	tr_aside_if(f, COND_A);
	emit_lea(e, X86_R13, (struct emit_mem){ .base = NOREG, .index = X86_RCX, .scale = (u8)shift });
	if (source)
		unless_in_page(f, X86_RSI);
	unless_in_page(f, X86_RDI);
}

static void emit_host(struct emit *e, unsigned size, u8 opcode)
{
	emit8(e, 0xf3);
	if (size == 2)
		emit8(e, 0x66);
	if (size == 8)
		emit8(e, 0x48);
	emit8(e, size == 1 ? opcode : opcode + 1);
}

/* r12 = what makes a host address of the guest's in reg. */
static void addend(struct front *f, unsigned reg, bool write)
{
	struct emit_mem m = tr_access_at(f, reg, 1, write);

	m.base = m.index;
	m.index = NOREG;
	emit_lea(&f->e, X86_R12, m);
}

/* A load (op 8ah) or store (88h) of an element. */
static void move_element(struct front *f, unsigned op, unsigned reg, struct emit_mem m)
{
	unsigned size = f->i->opsize;

	if (size == 2)
		emit8(&f->e, 0x66);
	emit_rm(&f->e, size == 8, size == 1 ? op : op + 1, reg, m);
}

static void step(struct front *f, unsigned reg)
{
	emit_lea(&f->e, reg, (struct emit_mem){ .base = (u8)reg, .index = NOREG, .disp = f->i->opsize });
}

/* Nothing changes before the last access that may be missed. */
static void one_element(struct front *f)
{
	bool load = f->i->op != X86_OP_STOS, store = f->i->op != X86_OP_LODS;
	unsigned size = f->i->opsize, reg = load && store ? X86_R13 : X86_RAX;
	struct emit *e = &f->e;
	struct emit_mem m;

	tr_free_flags(f);
	unless_upwards(f);
	if (load) {
		move_element(f, 0x8a, reg, tr_access_at(f, X86_RSI, size, false));
		if (store)
			emit_store(e, X86_R13, GS_MEM(GEN(GEN_TARGET)));
	}
	if (store) {
		m = tr_access_at(f, X86_RDI, size, true);
		if (load)
			emit_load(e, X86_R13, GS_MEM(GEN(GEN_TARGET)));
		move_element(f, 0x88, reg, m);
		step(f, X86_RDI);
	}
	if (load)
		step(f, X86_RSI);
	tr_end_asides(f);
}

bool tr_string(struct front *f)
{
	const struct x86_insn *i = f->i;
	struct emit *e = &f->e;
	bool source = i->op == X86_OP_MOVS || i->op == X86_OP_LODS;

	if (i->op != X86_OP_MOVS && i->op != X86_OP_STOS && i->op != X86_OP_LODS)
		return false;
	if (f->m32 || i->adsize != 8 || (source && i->seg >= SEG_FS))
		return false;
	if (i->rep == REP_NONE) {
		one_element(f);
		return true;
	}
	if (i->op == X86_OP_LODS)
		return false;
	tr_free_flags(f);
	check_stretch(f, source, log2_size(i->opsize));
	if (source) {
		addend(f, X86_RSI, false);
		emit_store(e, X86_R12, GS_MEM(GEN(GEN_TARGET)));
	}
	addend(f, X86_RDI, true);
	if (source) {
		emit_load(e, X86_R13, GS_MEM(GEN(GEN_TARGET)));
		emit_rr(e, true, 0x01, X86_R13, X86_RSI);
	} else {
		emit_rr(e, false, 0x31, X86_R13, X86_R13);
	}
	emit_rr(e, true, 0x01, X86_R12, X86_RDI);
	emit_host(e, i->opsize, source ? 0xa4 : 0xaa);
	if (source)
		emit_rr(e, true, 0x29, X86_R13, X86_RSI);
	emit_rr(e, true, 0x29, X86_R12, X86_RDI);
	tr_end_asides(f);
	return true;
}
