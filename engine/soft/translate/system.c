/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * System instructions that kernels run all the time, in line: interrupt flag, AC, GS base, flags on the stack, time stamp,
 * segment registers. What is not the common case of each (privilege, pending interrupts, faults) is left to the
 * instruction's routine, called out of line.
 */
#include "front.h"

#define STATE(field) offsetof(struct x86_state, field)
#define VCPU(field) ((s64)(offsetof(struct vcpu, field)) - (s64)offsetof(struct vcpu, state))
#define SEG_OFFSET(n, field) (STATE(seg) + (n) * sizeof(struct x86_seg) + offsetof(struct x86_seg, field))

/* --- the way aside -------------------------------------------------------------------------------------------- */

void tr_aside_if(struct front *f, unsigned cond)
{
	struct aside *a = &f->aside[f->nr_aside++];

	*a = (struct aside){ .k = (u16)f->k, .saved = f->flags == FLAGS_SAVED };
	a->site = tr_new_site(f, SITE_INSN);
	a->jump = emit_jcc(&f->e, cond, emit_here(&f->e));
}

void tr_end_asides(struct front *f)
{
	unsigned n;

	for (n = f->nr_aside; n-- > 0 && f->aside[n].k == f->k;)
		f->aside[n].back = emit_here(&f->e);
}

void tr_emit_asides(struct front *f)
{
	struct emit *e = &f->e;
	unsigned n;

	for (n = 0; n < f->nr_aside; n++) {
		const struct aside *a = &f->aside[n];

		emit_patch(e, a->jump, emit_here(e));
		emit_mov_imm(e, X86_R12, a->site);
		emit_call(e, a->saved ? f->sv->tr.thunk_exec_saved : f->sv->tr.thunk_exec);
		emit_jmp(e, a->back);
	}
}

static void unless_cpl0(struct front *f)
{
	emit_gs_byte(&f->e, ALU_CMP, STATE(cpl), 0);
	tr_aside_if(f, COND_NE);
}

/* --- flags ------------------------------------------------------------------------------------------------------- */

static bool cli(struct front *f)
{
	tr_free_flags(f);
	unless_cpl0(f);
	emit_gs_dword(&f->e, ALU_AND, STATE(rflags), ~RFLAGS_IF);
	return true;
}

/*
 * The instruction behind STI runs before any interrupt is taken: it follows in the block, where nobody looks, so it needs no
 * shadow. An interrupt that waits already is the routine's.
 */
static bool sti(struct front *f)
{
	if (f->k + 1 == f->b->nr)
		return false;
	tr_free_flags(f);
	unless_cpl0(f);
	emit_gs_byte(&f->e, ALU_CMP, VCPU(want_irq_window), 0);
	tr_aside_if(f, COND_NE);
	emit_gs_dword(&f->e, ALU_OR, STATE(rflags), RFLAGS_IF);
	return true;
}

static bool direction(struct front *f, bool down)
{
	tr_free_flags(f);
	emit_gs_dword(&f->e, down ? ALU_OR : ALU_AND, STATE(rflags), down ? RFLAGS_DF : ~RFLAGS_DF);
	return true;
}

/* Supervisor accesses to user pages: another table is in force. */
static bool set_ac(struct front *f, bool set)
{
	struct emit *e = &f->e;

	tr_free_flags(f);
	unless_cpl0(f);
	emit_gs_dword(e, set ? ALU_OR : ALU_AND, STATE(rflags), set ? RFLAGS_AC : ~RFLAGS_AC);
	emit_load(e, X86_R12, GS_MEM(GEN(set ? GEN_STAC_DELTA : GEN_CLAC_DELTA)));
	emit_store(e, X86_R12, GS_MEM(GEN(GEN_WRITE_DELTA)));
	emit_load(e, X86_R15, GS_MEM(GEN(set ? GEN_STAC_TABLE : GEN_CLAC_TABLE)));
	emit_store(e, X86_R15, GS_MEM(GEN(GEN_TABLE)));
	emit_rm(e, false, 0x8a, X86_R12, GS_MEM(GEN(set ? GEN_STAC_INDEX : GEN_CLAC_INDEX)));
	emit_rm(e, false, 0x88, X86_R12, GS_MEM(STATE(mmu_index)));
	if (!set) { /* the stack's page may be a user's */
		emit_mov_imm(e, X86_R12, NO_STACK_PAGE);
		emit_store(e, X86_R12, GS_MEM(GEN(GEN_STACK_PAGE)));
	}
	return true;
}

#define NOT_PUSHED (RFLAGS_ARITH | RFLAGS_VM | RFLAGS_RF)

static bool pushf(struct front *f)
{
	struct emit *e = &f->e;

	if (f->i->opsize != f->word)
		return false;
	tr_saved_flags(f);
	emit_rm(e, false, 0x8b, X86_R12, GS_MEM(GEN(GEN_FLAGS)));
	emit_rr(e, false, 0x89, X86_R12, X86_R13);
	emit_shift(e, false, SHIFT_SHR, X86_R13, 8);
	emit_alu_imm(e, ALU_AND, X86_R13, RFLAGS_ARITH & 0xff);
	emit_alu_imm(e, ALU_AND, X86_R12, 1);
	emit_shift(e, false, SHIFT_SHL, X86_R12, 11);
	emit_rr(e, false, 0x09, X86_R13, X86_R12);
	emit_rm(e, false, 0x8b, X86_R13, GS_MEM(STATE(rflags)));
	emit_alu_imm(e, ALU_AND, X86_R13, ~(u32)NOT_PUSHED);
	emit_rr(e, false, 0x09, X86_R13, X86_R12);
	emit_store(e, X86_R12, GS_MEM(GEN(GEN_TARGET)));
	tr_push_cell(f, GEN_TARGET);
	return true;
}

/* --- registers ---------------------------------------------------------------------------------------------------- */

/* The guest register becomes what is in r12. */
static void set_register(struct front *f, unsigned guest)
{
	u8 r = tr_host_reg(guest);

	if (r == NOREG)
		emit_store(&f->e, X86_R12, GS_MEM(GPR(guest)));
	else
		emit_mov_rr(&f->e, r, X86_R12);
}

static bool swapgs(struct front *f)
{
	struct emit *e = &f->e;

	tr_free_flags(f);
	unless_cpl0(f);
	emit_load(e, X86_R12, GS_MEM(SEG_OFFSET(SEG_GS, base)));
	emit_load(e, X86_R13, GS_MEM(STATE(kernel_gs_base)));
	emit_store(e, X86_R12, GS_MEM(STATE(kernel_gs_base)));
	emit_store(e, X86_R13, GS_MEM(SEG_OFFSET(SEG_GS, base)));
	return true;
}

static void unless_fsgsbase(struct front *f)
{
	/* test byte gs:[cr4 + 2], FSGSBASE */
	emit_rm(&f->e, false, 0xf6, 0, GS_MEM(STATE(cr4) + 2));
	emit8(&f->e, CR4_FSGSBASE >> 16);
	tr_aside_if(f, 4);
}

static bool read_base(struct front *f, unsigned seg)
{
	tr_free_flags(f);
	unless_fsgsbase(f);
	emit_rm(&f->e, f->i->opsize == 8, 0x8b, X86_R12, GS_MEM(SEG_OFFSET(seg, base)));
	set_register(f, f->i->opnd[0].reg);
	return true;
}

static bool write_base(struct front *f, unsigned seg)
{
	struct emit *e = &f->e;
	unsigned guest = f->i->opnd[0].reg;
	bool wide = f->i->opsize == 8;
	u8 r = tr_host_reg(guest);

	tr_free_flags(f);
	unless_fsgsbase(f);
	if (r == NOREG)
		emit_rm(e, wide, 0x8b, X86_R13, GS_MEM(GPR(guest)));
	else
		emit_rr(e, wide, 0x89, r, X86_R13);
	if (wide) {
		/* Canonical for 48 bits: bits 63 to 47 are all the same. */
		emit_mov_rr(e, X86_R12, X86_R13);
		emit_shift(e, true, SHIFT_SAR, X86_R12, 47);
		emit_alu_imm(e, ALU_ADD, X86_R12, 1);
		emit_alu_imm(e, ALU_CMP, X86_R12, 1);
		tr_aside_if(f, COND_A);
	}
	emit_store(e, X86_R13, GS_MEM(SEG_OFFSET(seg, base)));
	return true;
}

static bool mov_from_sreg(struct front *f)
{
	const struct x86_operand *dst = &f->i->opnd[0];

	if (dst->kind != OPND_GPR || dst->size < 4)
		return false;
	emit_rm(&f->e, false, 0x1b7, X86_R12, GS_MEM(SEG_OFFSET(f->i->opnd[1].reg, sel))); /* movzx */
	set_register(f, dst->reg);
	return true;
}

static bool mov_from_cr(struct front *f)
{
	unsigned cr = f->i->opnd[1].reg;
	size_t at = cr == 0 ? STATE(cr0) : cr == 2 ? STATE(cr2) : cr == 3 ? STATE(cr3) : STATE(cr4);

	if (cr > 4 || cr == 1)
		return false;
	tr_free_flags(f);
	unless_cpl0(f);
	emit_load(&f->e, X86_R12, GS_MEM(at));
	set_register(f, f->i->opnd[0].reg);
	return true;
}

/* The host's counter and an offset; where the guest's runs at another rate, or CR4.TSD is set, the routine does it. */
static bool rdtsc(struct front *f)
{
	struct emit *e = &f->e;

	tr_free_flags(f);
	/* tsc_ratio is 32.32 fixed point. */
	emit_gs_dword(e, ALU_CMP, VCPU(tsc_ratio), 0);
	tr_aside_if(f, COND_NE);
	emit_gs_dword(e, ALU_CMP, VCPU(tsc_ratio) + 4, 1);
	tr_aside_if(f, COND_NE);
	/* test byte gs:[cr4], TSD */
	emit_rm(e, false, 0xf6, 0, GS_MEM(STATE(cr4)));
	emit8(e, CR4_TSD);
	tr_aside_if(f, COND_NE);
	emit8(e, 0x0f), emit8(e, 0x31);
	emit_shift(e, true, SHIFT_SHL, X86_RDX, 32);
	emit_rr(e, true, 0x09, X86_RAX, X86_RDX);
	emit_rm(e, true, 0x03, X86_RDX, GS_MEM(VCPU(tsc_offset)));
	emit_rr(e, false, 0x89, X86_RDX, X86_RAX);
	emit_shift(e, true, SHIFT_SHR, X86_RDX, 32);
	return true;
}

/* The routine sees to long spins. The host's own PAUSE leaves the core to the other thread on it, as the guest's would. */
static bool pause(struct front *f)
{
	struct emit *e = &f->e;
	struct emit_mem epoch = { .base = X86_R12, .index = NOREG, .disp = offsetof(struct soft_vcpu, epoch) };

	tr_free_flags(f);
	emit_load(e, X86_R12, GS_MEM(GEN(GEN_SOFT_VCPU)));
	emit_rm(e, false, 0x8b, X86_R13, epoch);
	emit_alu_imm(e, ALU_ADD, X86_R13, 1);
	emit_rr(e, false, 0xf7, 0, X86_R13); /* test */
	emit32(e, LONG_SPIN - 1);
	tr_aside_if(f, COND_E);
	emit_rm(e, false, 0x89, X86_R13, epoch);
	emit8(e, 0xf3), emit8(e, 0x90);
	return true;
}

static bool in_line(struct front *f)
{
	switch (f->i->op) {
	case X86_OP_CLI: return cli(f);
	case X86_OP_STI: return sti(f);
	case X86_OP_CLD: return direction(f, false);
	case X86_OP_STD: return direction(f, true);
	case X86_OP_STAC: return set_ac(f, true);
	case X86_OP_CLAC: return set_ac(f, false);
	case X86_OP_PUSHF: return pushf(f);
	case X86_OP_SWAPGS: return swapgs(f);
	case X86_OP_RDFSBASE: return read_base(f, SEG_FS);
	case X86_OP_RDGSBASE: return read_base(f, SEG_GS);
	case X86_OP_WRFSBASE: return write_base(f, SEG_FS);
	case X86_OP_WRGSBASE: return write_base(f, SEG_GS);
	case X86_OP_MOV_FROM_SREG: return mov_from_sreg(f);
	case X86_OP_MOV_FROM_CR: return mov_from_cr(f);
	case X86_OP_RDTSC: return rdtsc(f);
	case X86_OP_PAUSE: return pause(f);
	default: return false;
	}
}

bool tr_system(struct front *f)
{
	if (!in_line(f))
		return false;
	tr_end_asides(f);
	return true;
}
