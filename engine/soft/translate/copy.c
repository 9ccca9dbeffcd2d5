/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Instructions that are copied, with their operands redirected: memory to where it has been looked up, registers that live in memory
 * to scratch registers or to their cells. And two that are nearly so: LEA, and bit tests by a register's offset.
 */
#include "front.h"

/*
 * Plain computation: every effect is in the explicit operands, the flags, and registers that are the same in the host.
 * DIV and IDIV may raise the host's exception: it arrives as a signal, and the interpreter raises the guest's (tr_fixup).
 */
static bool copied_op(const struct x86_insn *i)
{
	switch (i->op) {
	case X86_OP_MOV:
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
	case X86_OP_MOVBE:
	case X86_OP_XCHG:
	case X86_OP_XADD:
	case X86_OP_CMPXCHG:
	case X86_OP_CMPXCHG8B:
	case X86_OP_CMPXCHG16B:
	case X86_OP_BSWAP:
	case X86_OP_ADD:
	case X86_OP_OR:
	case X86_OP_ADC:
	case X86_OP_SBB:
	case X86_OP_AND:
	case X86_OP_SUB:
	case X86_OP_XOR:
	case X86_OP_CMP:
	case X86_OP_TEST:
	case X86_OP_INC:
	case X86_OP_DEC:
	case X86_OP_NEG:
	case X86_OP_NOT:
	case X86_OP_MUL:
	case X86_OP_DIV:
	case X86_OP_IDIV:
	case X86_OP_IMUL1:
	case X86_OP_IMUL:
	case X86_OP_ROL:
	case X86_OP_ROR:
	case X86_OP_RCL:
	case X86_OP_RCR:
	case X86_OP_SHL:
	case X86_OP_SHR:
	case X86_OP_SAR:
	case X86_OP_SHLD:
	case X86_OP_SHRD:
	case X86_OP_BSF:
	case X86_OP_BSR:
	case X86_OP_POPCNT:
	case X86_OP_LZCNT:
	case X86_OP_TZCNT:
	case X86_OP_ADCX:
	case X86_OP_ADOX:
	case X86_OP_MULX:
	case X86_OP_RORX:
	case X86_OP_SARX:
	case X86_OP_SHLX:
	case X86_OP_SHRX:
	case X86_OP_ANDN:
	case X86_OP_BEXTR:
	case X86_OP_BLSI:
	case X86_OP_BLSR:
	case X86_OP_BLSMSK:
	case X86_OP_BZHI:
	case X86_OP_PDEP:
	case X86_OP_PEXT:
	case X86_OP_CRC32:
	case X86_OP_SETCC:
	case X86_OP_CMOVCC:
	case X86_OP_CBW:
	case X86_OP_CWD:
	case X86_OP_LAHF:
	case X86_OP_SAHF:
	case X86_OP_CLC:
	case X86_OP_STC:
	case X86_OP_CMC:
	case X86_OP_LFENCE:
	case X86_OP_MFENCE:
	case X86_OP_SFENCE:
	case X86_OP_MOVNTI:
	/* What is masked out does not fault by the look-up: the interpreter does what that misses. */
	case X86_OP_VMASKMOVPS:
	case X86_OP_VMASKMOVPD:
	case X86_OP_VPMASKMOVD:
	case X86_OP_VPMASKMOVQ: return true;
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
		/* A register offset reaches beyond the memory operand. */
		return i->opnd[0].kind != OPND_MEM || i->opnd[1].kind == OPND_IMM;
	case X86_OP_FNINIT: return false; /* clears the pointers */
	default: return i->flags & INSN_NATIVE;
	}
}

bool tr_fpu_ok(const struct front *f)
{
	const struct x86_insn *i = f->i;

	if (!(i->flags & INSN_FPU))
		return true;
	if (i->flags & (INSN_X87 | INSN_MMX | INSN_SSE))
		return f->sv->tr.fpu_level >= TR_FPU_SSE;
	return f->sv->tr.fpu_level >= TR_FPU_AVX;
}

/* The general-register operands, by the field that encodes each. */
struct gpr_use {
	u8 guest; /* NOREG: no such operand */
	u8 host;
	u8 scratch;       /* of a register that lives in memory: which of two it is in meanwhile, */
	bool load, store; /* from it and to it */
};

struct copy {
	struct gpr_use reg, rm, vvvv;
	const struct x86_operand *mem;
	unsigned displaced;
};

/* Does the instruction give the operand a new value whatever the old one is? Partial writes keep the rest. */
static bool overwrites(const struct x86_insn *i, const struct x86_operand *o)
{
	bool conditional = i->op == X86_OP_CMOVCC || i->op == X86_OP_BSF || i->op == X86_OP_BSR;

	return (o->access & (OPACC_R | OPACC_W)) == OPACC_W && o->size >= 4 && !conditional;
}

/* XOR and SUB of a register with itself. */
static bool zeroes(const struct x86_insn *i)
{
	const struct x86_operand *a = &i->opnd[0], *b = &i->opnd[1];

	return (i->op == X86_OP_XOR || i->op == X86_OP_SUB) && a->kind == OPND_GPR && b->kind == OPND_GPR &&
	       a->reg == b->reg && a->size >= 4;
}

static void note_gpr(struct copy *c, struct gpr_use *u, const struct x86_insn *i, const struct x86_operand *o)
{
	if (o->reg >= 16) /* AH..BH: the field stays as it is */
		return;
	u->guest = o->reg;
	u->host = tr_host_reg(o->reg);
	if (u->host != NOREG)
		return;
	u->load = !overwrites(i, o) && !zeroes(i);
	u->store = o->access & OPACC_W;
	u->scratch = NOREG;
	c->displaced++;
}

static void collect(struct copy *c, const struct x86_insn *i)
{
	const struct x86_opcode *row = &x86_opcodes[i->row];
	unsigned n;

	*c = (struct copy){ .reg.guest = NOREG, .rm.guest = NOREG, .vvvv.guest = NOREG };
	for (n = 0; n < i->nr_operands; n++) {
		const struct x86_operand *o = &i->opnd[n];

		if (o->kind == OPND_MEM)
			c->mem = o;
		if (o->kind != OPND_GPR)
			continue;
		switch (OPSPEC_METHOD(row->opnd[n])) {
		case OM_G: note_gpr(c, &c->reg, i, o); break;
		case OM_Z:
		case OM_E:
		case OM_W:
		case OM_Q: note_gpr(c, &c->rm, i, o); break;
		case OM_B: note_gpr(c, &c->vvvv, i, o); break;
		default: break; /* fixed: rax, cl, dx are themselves */
		}
	}
}

static bool has_high_byte(const struct x86_insn *i)
{
	unsigned n;

	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_GPR && i->opnd[n].reg >= 16)
			return true;
	return false;
}

static bool needs_rex(const struct gpr_use *u)
{
	return u->guest != NOREG && (u->host == NOREG || u->host >= 8);
}

static bool displaced(const struct gpr_use *u)
{
	return u->guest != NOREG && u->host == NOREG;
}

static bool displaced_in(const struct gpr_use *u, u8 host)
{
	return u->guest != NOREG && tr_host_reg(u->guest) == NOREG && u->host == host;
}

/* The uses of one register have one scratch register, which is loaded if any of them wants the old value. */
static void give_scratch(struct gpr_use *u[3], unsigned n, unsigned scratch, bool result[2])
{
	unsigned k;

	for (k = 0; k < 3; k++) {
		if (u[k]->guest != u[n]->guest)
			continue;
		u[k]->scratch = (u8)scratch;
		u[k]->load |= u[n]->load;
		result[scratch] |= u[k]->store;
	}
}

/*
 * Which of the two scratch registers is each displaced one's? A result may share that of a source, or, the second, that of the
 * memory operand's address, which are read before. False: there are too many.
 */
static bool share_scratch(struct copy *c)
{
	struct gpr_use *u[3] = { &c->reg, &c->rm, &c->vvvv };
	bool result[2] = { false, c->mem && c->mem->access & OPACC_W };
	unsigned sources = 0, n;

	for (n = 0; n < 3; n++) {
		if (!displaced(u[n]) || !u[n]->load || u[n]->scratch != NOREG)
			continue;
		if (sources == (c->mem ? 1 : 2))
			return false;
		give_scratch(u, n, sources++, result);
	}
	for (n = 0; n < 3; n++) {
		if (!displaced(u[n]) || u[n]->scratch != NOREG)
			continue;
		if (result[0] && result[1])
			return false;
		give_scratch(u, n, result[0], result);
	}
	return true;
}

static bool can_copy(const struct front *f, struct copy *c)
{
	const struct x86_insn *i = f->i;

	if (!copied_op(i) || !tr_fpu_ok(f))
		return false;
	collect(c, i);
	if (c->mem && (!c->mem->size || c->mem->size > 64))
		return false;
	/* Without ModRM: the direct addresses of MOV. */
	if (c->mem && !(i->flags & INSN_HAS_MODRM) &&
	    (i->op != X86_OP_MOV || (i->adsize == 8 && i->disp != (s32)i->disp)))
		return false;
	if (f->m32 && c->mem && i->seg == SEG_CS && c->mem->access & OPACC_W)
		return false;
	if (c->displaced && !share_scratch(c))
		return false;
	if (has_high_byte(i) && (c->mem || needs_rex(&c->reg) || needs_rex(&c->rm) || i->flags & INSN_REX_W))
		return false;
	return true;
}

/* Is the old value of any displaced register wanted? */
static bool loads_displaced(const struct copy *c)
{
	return (displaced(&c->reg) && c->reg.load) || (displaced(&c->rm) && c->rm.load) ||
	       (displaced(&c->vvvv) && c->vvvv.load);
}

/* Registers in memory are brought into their scratch registers if any use wants the old value. */
static void place_displaced(struct front *f, struct copy *c, u8 first, u8 second)
{
	struct gpr_use *u[3] = { &c->reg, &c->rm, &c->vvvv };
	bool loaded[2] = { false };
	unsigned n;

	for (n = 0; n < 3; n++) {
		if (!displaced(u[n]))
			continue;
		u[n]->host = u[n]->scratch ? second : first;
		if (u[n]->load && !loaded[u[n]->scratch] && !(u[n]->host == X86_R13 && u[n]->guest == f->cached))
			emit_load(&f->e, u[n]->host, GS_MEM(GPR(u[n]->guest)));
		loaded[u[n]->scratch] |= u[n]->load;
	}
}

static void store_displaced(struct front *f, const struct copy *c)
{
	const struct gpr_use *u[3] = { &c->reg, &c->rm, &c->vvvv };
	unsigned n;

	for (n = 0; n < 3; n++)
		if (u[n]->guest != NOREG && u[n]->store)
			emit_store(&f->e, u[n]->host, GS_MEM(GPR(u[n]->guest)));
}

/* What is in r13 behind an instruction that has been copied: a result, or else a source. */
static void note_cached(struct front *f, const struct copy *c)
{
	const struct gpr_use *u[3] = { &c->reg, &c->rm, &c->vvvv };
	unsigned n, at = 3;

	for (n = 0; n < 3; n++)
		if (displaced_in(u[n], X86_R13) && (at == 3 || u[n]->store))
			at = n;
	if (at < 3)
		f->cached = u[at]->guest;
	if (f->plain)
		tr_uses_r13(f);
	f->caches = true;
}

/* Does the next instruction of the block name the register? */
static bool used_next(const struct front *f, unsigned guest)
{
	const struct x86_insn *i = &f->b->insn[f->k + 1];
	unsigned n;

	if (f->k + 1 == f->b->nr)
		return false;
	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_GPR && i->opnd[n].reg == guest)
			return true;
	return i->base == guest || i->index == guest;
}

/* Does the instruction mean the same with a memory operand in place of the register that ModRM.rm names? */
static bool takes_memory(const struct x86_insn *i)
{
	switch (i->op) {
	case X86_OP_ADD:
	case X86_OP_OR:
	case X86_OP_ADC:
	case X86_OP_SBB:
	case X86_OP_AND:
	case X86_OP_SUB:
	case X86_OP_XOR:
	case X86_OP_CMP:
	case X86_OP_TEST:
	case X86_OP_MOV:
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
	case X86_OP_INC:
	case X86_OP_DEC:
	case X86_OP_NEG:
	case X86_OP_NOT:
	case X86_OP_MUL:
	case X86_OP_IMUL:
	case X86_OP_IMUL1:
	case X86_OP_SHL:
	case X86_OP_SHR:
	case X86_OP_SAR:
	case X86_OP_ROL:
	case X86_OP_ROR:
	case X86_OP_CMOVCC:
	case X86_OP_POPCNT:
	case X86_OP_LZCNT:
	case X86_OP_TZCNT: return i->flags & INSN_HAS_MODRM;
	default: return false;
	}
}

/* Can the register's cell be the operand? A store must not leave half of it, nor be narrower than the loads to come. */
static bool cell_will_do(const struct gpr_use *u, unsigned size)
{
	return u->guest != NOREG && u->host == NOREG && (!u->store || size == 8);
}

static unsigned operand_size(const struct x86_insn *i, unsigned method)
{
	unsigned n;

	for (n = 0; n < i->nr_operands; n++)
		if (OPSPEC_METHOD(x86_opcodes[i->row].opnd[n]) == method)
			return i->opnd[n].size;
	return 0;
}

/*
 * A register that lives in memory is used there: as ModRM.rm, into which it is brought by the other direction of the
 * instruction if it is ModRM.reg (arithmetic, MOV; TEST has one for both). *i is a copy of the instruction.
 */
static bool use_cell(const struct front *f, struct copy *c, struct x86_insn *i, struct emit_operands *o)
{
	bool alu = !i->map && i->opcode < 0x40 && (i->opcode & 7) < 4, mov = !i->map && (i->opcode & ~3) == 0x88;
	bool test = !i->map && (i->opcode & ~1) == 0x84, swapped = false;
	struct gpr_use u = c->rm;

	if (c->mem || !takes_memory(i) || has_high_byte(i) || c->reg.guest == c->rm.guest)
		return false;
	if (!cell_will_do(&u, operand_size(i, OM_E))) {
		if (!(alu || mov || test) || u.host == NOREG || !cell_will_do(&c->reg, operand_size(i, OM_G)))
			return false;
		u = c->reg;
		swapped = true;
	}
	/* A register is faster where the value is, or is wanted, in one: what is stored comes back from memory after 7 cycles. */
	if (u.guest == f->cached || (u.store && used_next(f, u.guest)))
		return false;
	if (swapped)
		c->reg = c->rm;
	if (swapped && !test)
		i->opcode ^= 2;
	c->rm = (struct gpr_use){ .guest = NOREG };
	o->mem = true;
	o->m = GS_MEM(GPR(u.guest));
	return true;
}

/* TEST of a register that lives in memory with itself: a comparison with 0 gives the same flags. */
static bool test_cell(struct front *f)
{
	const struct x86_insn *i = f->i;
	u8 reg = i->opnd[0].reg;

	if (i->op != X86_OP_TEST || reg == f->cached || i->opnd[0].kind != OPND_GPR || i->opnd[1].kind != OPND_GPR ||
	    i->opnd[1].reg != reg || reg >= 16 || tr_host_reg(reg) != NOREG || i->opnd[0].size < 4)
		return false;
	emit_rm(&f->e, i->opnd[0].size == 8, 0x83, ALU_CMP, GS_MEM(GPR(reg)));
	emit8(&f->e, 0);
	f->flags = FLAGS_NATIVE;
	return true;
}

/* The x87 instruction pointer that FNSTENV and FXSAVE show. */
static void note_fpu_ip(struct front *f)
{
	tr_uses_r13(f);
	tr_linear(f, X86_R13, f->offset);
	emit_store(&f->e, X86_R13, GS_MEM(offsetof(struct x86_state, fpu_ip)));
}

bool tr_copyable(struct front *f)
{
	struct copy c;

	return can_copy(f, &c);
}

static bool copy(struct front *f)
{
	const struct x86_insn *i = f->i;
	unsigned effect = tr_flag_effect(i);
	struct emit_operands o = { .reg = NOREG, .rm = NOREG, .vvvv = NOREG };
	struct x86_insn in_cell;
	struct copy c;

	if (!can_copy(f, &c))
		return false;
	if (c.mem) {
		o.mem = true;
		o.m = tr_access(f, c.mem->size, c.mem->access & OPACC_W);
		if (o.m.base == X86_R12) {
			place_displaced(f, &c, X86_R13, X86_R12);
			f->keeps = c.displaced < 2;
		} else if (c.displaced < 2 && (o.m.base != X86_R13 || !loads_displaced(&c))) {
			place_displaced(f, &c, X86_R13, X86_R13);
		} else {
			emit_lea(&f->e, X86_R13, o.m);
			o.m = (struct emit_mem){ .base = X86_R13, .index = NOREG };
			place_displaced(f, &c, X86_R12, X86_R13);
		}
	} else {
		if (c.displaced) {
			in_cell = *i;
			i = use_cell(f, &c, &in_cell, &o) ? &in_cell : f->i;
		}
		place_displaced(f, &c, X86_R13, X86_R12);
		f->keeps = c.displaced < 2;
	}
	if (effect & FE_READ || (effect & FE_PARTIAL && f->live >> (f->k + 1) & 1))
		tr_native_flags(f);
	o.reg = c.reg.guest == NOREG ? NOREG : c.reg.host;
	o.rm = c.rm.guest == NOREG ? NOREG : c.rm.host;
	o.vvvv = c.vvvv.guest == NOREG ? NOREG : c.vvvv.host;
	if (!emit_guest(&f->e, i, &o))
		f->failed = true;
	store_displaced(f, &c);
	note_cached(f, &c);
	if (i->flags & INSN_X87 && !x86_x87_control(i->op)) /* it has not faulted */
		note_fpu_ip(f);
	if (effect & (FE_KILL | FE_PARTIAL))
		f->flags = FLAGS_NATIVE;
	return true;
}

/* LEA computes, it does not access. */
static bool lea(struct front *f)
{
	const struct x86_insn *i = f->i;
	u8 dst = tr_host_reg(i->opnd[0].reg);

	if (i->opsize < 4)
		return false;
	if (dst != NOREG && i->opsize >= i->adsize) {
		tr_address(f, dst);
	} else {
		tr_address(f, X86_R13);
		if (dst == NOREG && i->opsize == 4)
			emit_rr(&f->e, false, 0x89, X86_R13, X86_R13);
		if (dst == NOREG)
			emit_store(&f->e, X86_R13, GS_MEM(GPR(i->opnd[0].reg)));
		else
			emit_rr(&f->e, i->opsize == 8, 0x89, X86_R13, dst);
		if (dst == NOREG && !f->plain)
			f->cached = i->opnd[0].reg;
	}
	f->caches = true;
	f->keeps = tr_host_reg(i->index) != NOREG || i->index == X86_REG_NONE;
	return true;
}

/* r12 = the register, its sign extended from the operand's size. */
static void load_offset(struct front *f, unsigned guest, bool wide)
{
	u8 host = tr_host_reg(guest);
	unsigned op = wide ? 0x8b : 0x63; /* mov, movsxd */

	if (host == NOREG)
		emit_rm(&f->e, true, op, X86_R12, GS_MEM(GPR(guest)));
	else
		emit_rr(&f->e, true, op, X86_R12, host);
}

/* BT and its kin with an offset in a register, which reaches beyond the memory operand: the word with the bit is looked up. */
static bool bit_string(struct front *f)
{
	const struct x86_insn *i = f->i;
	struct emit_operands o = { .reg = X86_R12, .rm = NOREG, .vvvv = NOREG, .mem = true };
	bool wide = i->opsize == 8;

	if (i->opnd[0].kind != OPND_MEM || i->opnd[1].kind != OPND_GPR || i->opsize == 2 || i->adsize != f->word ||
	    i->seg >= SEG_FS || (f->m32 && i->seg == SEG_CS))
		return false;
	tr_free_flags(f);
	tr_address(f, X86_R13);
	load_offset(f, i->opnd[1].reg, wide);
	emit_shift(&f->e, true, SHIFT_SAR, X86_R12, wide ? 6 : 5);
	emit_rm(&f->e, !f->m32, 0x8d, X86_R13,
		(struct emit_mem){ .base = X86_R13, .index = X86_R12, .scale = wide ? 3 : 2 });
	emit_lea(&f->e, X86_R13, tr_access_at(f, X86_R13, i->opsize, i->opnd[0].access & OPACC_W));
	load_offset(f, i->opnd[1].reg, wide);
	emit_alu_imm(&f->e, ALU_AND, X86_R12, wide ? 63 : 31);
	if (f->live >> (f->k + 1) & 1)
		tr_native_flags(f);
	o.m = (struct emit_mem){ .base = X86_R13, .index = NOREG };
	if (!emit_guest(&f->e, i, &o))
		f->failed = true;
	f->flags = FLAGS_NATIVE;
	return true;
}

bool tr_copy(struct front *f)
{
	switch (f->i->op) {
	case X86_OP_LEA: return lea(f);
	case X86_OP_TEST: return test_cell(f) || copy(f);
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC: return copy(f) || bit_string(f);
	default: return copy(f);
	}
}
