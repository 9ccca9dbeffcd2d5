/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The guest's arithmetic flags: effects of instructions, liveness, the two places where they can be. */
#include "front.h"

static bool shift_by_constant(const struct x86_insn *i)
{
	const struct x86_operand *count = &i->opnd[i->nr_operands - 1];

	return count->kind == OPND_IMM && (i->imm & (i->opsize == 8 ? 63 : 31));
}

unsigned tr_flag_effect(const struct x86_insn *i)
{
	switch (i->op) {
	case X86_OP_ADD:
	case X86_OP_OR:
	case X86_OP_AND:
	case X86_OP_SUB:
	case X86_OP_XOR:
	case X86_OP_CMP:
	case X86_OP_TEST:
	case X86_OP_NEG:
	case X86_OP_MUL:
	case X86_OP_IMUL:
	case X86_OP_IMUL1:
	case X86_OP_XADD:
	case X86_OP_CMPXCHG:
	case X86_OP_POPCNT:
	case X86_OP_BSF:
	case X86_OP_BSR:
	case X86_OP_LZCNT:
	case X86_OP_TZCNT:
	case X86_OP_ANDN:
	case X86_OP_BEXTR:
	case X86_OP_BLSI:
	case X86_OP_BLSR:
	case X86_OP_BLSMSK:
	case X86_OP_BZHI:
	case X86_OP_UCOMISS:
	case X86_OP_VUCOMISS:
	case X86_OP_UCOMISD:
	case X86_OP_VUCOMISD:
	case X86_OP_COMISS:
	case X86_OP_VCOMISS:
	case X86_OP_COMISD:
	case X86_OP_VCOMISD:
	case X86_OP_PTEST:
	case X86_OP_VPTEST:
	case X86_OP_PCMPESTRM:
	case X86_OP_VPCMPESTRM:
	case X86_OP_PCMPESTRI:
	case X86_OP_VPCMPESTRI:
	case X86_OP_PCMPISTRM:
	case X86_OP_VPCMPISTRM:
	case X86_OP_PCMPISTRI:
	case X86_OP_VPCMPISTRI:
	case X86_OP_VTESTPS:
	case X86_OP_VTESTPD: return FE_KILL;
	case X86_OP_ADC:
	case X86_OP_SBB: return FE_READ | FE_KILL;
	case X86_OP_SHL:
	case X86_OP_SHR:
	case X86_OP_SAR:
	case X86_OP_SHLD:
	case X86_OP_SHRD: return shift_by_constant(i) ? FE_KILL : FE_PARTIAL;
	case X86_OP_INC:
	case X86_OP_DEC:
	case X86_OP_ROL:
	case X86_OP_ROR:
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
	case X86_OP_CLC:
	case X86_OP_STC:
	case X86_OP_SAHF:
	case X86_OP_CMPXCHG8B:
	case X86_OP_CMPXCHG16B:
	case X86_OP_DIV:
	case X86_OP_IDIV: return FE_PARTIAL;
	case X86_OP_RCL:
	case X86_OP_RCR:
	case X86_OP_CMC:
	case X86_OP_LAHF:
	case X86_OP_SETCC:
	case X86_OP_CMOVCC:
	case X86_OP_JCC:
	case X86_OP_ADCX:
	case X86_OP_ADOX: return FE_READ | FE_PARTIAL;
	case X86_OP_MOV:
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
	case X86_OP_MOVBE:
	case X86_OP_LEA:
	case X86_OP_XCHG:
	case X86_OP_BSWAP:
	case X86_OP_PUSH:
	case X86_OP_POP:
	case X86_OP_LEAVE:
	case X86_OP_CBW:
	case X86_OP_CWD:
	case X86_OP_NOT:
	case X86_OP_MULX:
	case X86_OP_RORX:
	case X86_OP_SARX:
	case X86_OP_SHLX:
	case X86_OP_SHRX:
	case X86_OP_PDEP:
	case X86_OP_PEXT:
	case X86_OP_CRC32:
	case X86_OP_NOP:
	case X86_OP_PREFETCH:
	case X86_OP_LFENCE:
	case X86_OP_MFENCE:
	case X86_OP_SFENCE:
	case X86_OP_MOVNTI:
	case X86_OP_VMASKMOVPS:
	case X86_OP_VMASKMOVPD:
	case X86_OP_VPMASKMOVD:
	case X86_OP_VPMASKMOVQ:
	case X86_OP_CLI:
	case X86_OP_CLD:
	case X86_OP_STD:
	case X86_OP_CLAC:
	case X86_OP_STAC:
	case X86_OP_SWAPGS:
	case X86_OP_RDFSBASE:
	case X86_OP_RDGSBASE:
	case X86_OP_WRFSBASE:
	case X86_OP_WRGSBASE:
	case X86_OP_MOV_FROM_SREG:
	case X86_OP_MOV_FROM_CR:
	case X86_OP_RDTSC:
	case X86_OP_PAUSE:
	case X86_OP_VZEROUPPER:
	case X86_OP_VZEROALL:
	case X86_OP_JCXZ:
	case X86_OP_LOOP:
	case X86_OP_JMP_NEAR:
	case X86_OP_CALL_NEAR:
	case X86_OP_RET_NEAR: return FE_NONE;
	/* Interrupts are taken in them or behind them, and push the flags. */
	case X86_OP_STI:
	case X86_OP_MOVS:
	case X86_OP_STOS: return FE_READ | FE_PARTIAL;
	default:
		if (i->flags & INSN_NATIVE && !(i->flags & INSN_FLAGS))
			return FE_NONE;
		return FE_READ | FE_PARTIAL;
	}
}

static bool overwritten_at(const struct front *f, s64 target)
{
	const struct soft_block *b;

	if (!tr_linkable(f, target))
		return false;
	b = soft_neighbour(f->sv, f->b, (unsigned)target);
	return b && !tr_live_at_start(b);
}

/*
 * Do all ways out of the block lead to blocks of this page that overwrite the flags? Such a block is as good as this one: a
 * store that changes one makes all blocks of the page invalid.
 */
static bool overwritten_behind(const struct front *f)
{
	const struct x86_insn *last = &f->b->insn[f->b->nr - 1];
	s64 end = (s64)(f->b->gpa & ~X86_PAGE_MASK) + f->b->len;
	bool relative = last->nr_operands && last->opnd[0].kind == OPND_REL && last->opsize == f->word;

	switch (last->op) {
	case X86_OP_JCC: return relative && overwritten_at(f, end) && overwritten_at(f, end + last->imm);
	case X86_OP_JMP_NEAR:
	case X86_OP_CALL_NEAR: return relative && overwritten_at(f, end + last->imm);
	default:
		return !(last->flags & (INSN_BRANCH | INSN_END | INSN_SHADOW)) && !f->b->page2 &&
		       overwritten_at(f, end);
	}
}

void tr_liveness(struct front *f)
{
	unsigned k;

	f->live = overwritten_behind(f) ? 0 : 1ull << f->b->nr;
	for (k = f->b->nr; k-- > 0;) {
		unsigned effect = tr_flag_effect(&f->b->insn[k]);
		bool after = f->live >> (k + 1) & 1;

		if (effect & FE_READ || (after && !(effect & FE_KILL)))
			f->live |= 1ull << k;
	}
}

/* Does the code of an instruction whose effect on the flags says nothing destroy the host's? */
static bool needs_saved_flags(const struct x86_insn *i)
{
	unsigned n;

	switch (i->op) {
	case X86_OP_LEA:
	case X86_OP_NOP:
	case X86_OP_PREFETCH: return false;
	case X86_OP_PUSH:
	case X86_OP_POP:
	case X86_OP_LEAVE:
	case X86_OP_CALL_NEAR:
	case X86_OP_RET_NEAR:
	case X86_OP_MOVS:
	case X86_OP_STOS:
	case X86_OP_CLI:
	case X86_OP_STI:
	case X86_OP_CLD:
	case X86_OP_STD:
	case X86_OP_CLAC:
	case X86_OP_STAC:
	case X86_OP_PUSHF:
	case X86_OP_SWAPGS:
	case X86_OP_RDFSBASE:
	case X86_OP_RDGSBASE:
	case X86_OP_WRFSBASE:
	case X86_OP_WRGSBASE:
	case X86_OP_MOV_FROM_CR:
	case X86_OP_RDTSC:
	case X86_OP_PAUSE: return true;
	case X86_OP_JMP_NEAR: return i->opnd[0].kind != OPND_REL;
	default: break;
	}
	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_MEM)
			return true;
	return false;
}

enum flags_at tr_first_form(const struct soft_block *b)
{
	unsigned k;

	for (k = 0; k < b->nr; k++) {
		if (needs_saved_flags(&b->insn[k]))
			return FLAGS_SAVED;
		if (tr_flag_effect(&b->insn[k]) & (FE_READ | FE_PARTIAL))
			return FLAGS_NATIVE;
	}
	return FLAGS_NATIVE;
}

bool tr_live_at_start(const struct soft_block *b)
{
	unsigned k, effect;

	for (k = 0; k < b->nr; k++) {
		effect = tr_flag_effect(&b->insn[k]);
		if (effect & FE_READ)
			return true;
		if (effect & FE_KILL)
			return false;
	}
	return true;
}

/* LAHF takes all flags but OF. r12 is free wherever flags are saved. */
void tr_emit_save(struct emit *e)
{
	emit_mov_rr(e, X86_R12, X86_RAX);
	emit8(e, 0x9f);                                 /* lahf */
	emit8(e, 0x0f), emit8(e, 0x90), emit8(e, 0xc0); /* seto al */
	emit_rm(e, false, 0x89, X86_RAX, GS_MEM(GEN(GEN_FLAGS)));
	emit_mov_rr(e, X86_RAX, X86_R12);
}

/* 7fh + 1 overflows: OF comes back by an addition, the others by SAHF. */
void tr_emit_restore(struct emit *e)
{
	emit_store(e, X86_RAX, GS_MEM(GEN(GEN_RAX)));
	emit_rm(e, false, 0x8b, X86_RAX, GS_MEM(GEN(GEN_FLAGS)));
	emit8(e, 0x04), emit8(e, 0x7f); /* add al, 7f */
	emit8(e, 0x9e);                 /* sahf */
	emit_load(e, X86_RAX, GS_MEM(GEN(GEN_RAX)));
}

void tr_save_flags_after(struct front *f)
{
	if (f->flags == FLAGS_NATIVE) {
		tr_emit_save(&f->e);
		f->held = 0; /* r12 was used */
	}
	f->flags = FLAGS_SAVED;
}

void tr_saved_flags(struct front *f)
{
	tr_save_flags_after(f);
	f->tr->saved_in |= 1u << f->k;
}

void tr_native_flags(struct front *f)
{
	if (f->flags == FLAGS_SAVED)
		tr_emit_restore(&f->e);
	f->flags = FLAGS_NATIVE;
}

void tr_free_flags(struct front *f)
{
	if (f->flags == FLAGS_NATIVE && f->live >> f->k & 1)
		tr_saved_flags(f);
}
