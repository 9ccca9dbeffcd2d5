/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* See sequence.h. */
#include <stdio.h>
#include <string.h>
#include "compare.h"
#include "sequence.h"

#define INSNS_MAX 12

/* What may stand in a sequence: no branches, and nothing whose faults differ between CPUs in more than the fault. */
static bool fits(const struct x86_insn *i)
{
	/* DAA, DAS, AAA, AAS, AAM, AAD: their undefined flags are not the CPU's (docs/status.md). */
	if (i->op >= X86_OP_DAA && i->op <= X86_OP_AAD)
		return false;
	static const u16 not_here[] = {
		X86_OP_POPF,        X86_OP_POPA,    X86_OP_ARPL,   X86_OP_CMPS,   X86_OP_MASKMOVQ, X86_OP_MASKMOVDQU,
		X86_OP_VMASKMOVDQU, X86_OP_PUSHF,   X86_OP_LAHF,   X86_OP_FXSAVE, X86_OP_FXRSTOR,  X86_OP_FNSAVE,
		X86_OP_FRSTOR,      X86_OP_FNSTENV, X86_OP_FLDENV, X86_OP_ENTER,
	};
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(not_here); n++)
		if (i->op == not_here[n])
			return false;
	return comparable(i) && !(x86_op_flags[i->op] & INSN_BRANCH);
}

/* mov reg, imm: loads a register and leaves the flags. */
static unsigned put_load(u8 *p, unsigned bits, unsigned reg, u64 val)
{
	unsigned n = 0;

	if (bits == 64)
		p[n++] = 0x48 | reg >> 3;
	p[n++] = 0xb8 | (reg & 7);
	memcpy(p + n, &val, bits / 8);
	return n + bits / 8;
}

/* The instruction of c with the registers that its addresses need. Returns its length. */
static unsigned put_insn(u8 *p, const struct insn_case *c)
{
	const struct x86_insn *i = &c->insn;
	const u64 *gpr = c->regs.gpr;
	unsigned n = 0;

	if (i->flags & INSN_STRING) {
		n += put_load(p + n, c->bits, X86_RSI, gpr[X86_RSI]);
		n += put_load(p + n, c->bits, X86_RDI, gpr[X86_RDI]);
		n += put_load(p + n, c->bits, X86_RCX, gpr[X86_RCX] & 63);
	} else {
		if (i->index < 16)
			n += put_load(p + n, c->bits, i->index, gpr[i->index]);
		if (i->base < 16 && i->base != X86_RSP)
			n += put_load(p + n, c->bits, i->base, gpr[i->base]);
	}
	memcpy(p + n, c->code, c->len);
	return n + c->len;
}

static bool rip_relative(const struct x86_insn *i)
{
	return i->base == X86_REG_RIP;
}

bool generate_sequence(struct insn_case *c, struct sequence *q, unsigned bits, const struct x86_state *s, u8 *data,
		       struct random *r)
{
	unsigned want = 2 + random_below(r, INSNS_MAX - 1), have = 0, tries;
	bool vectors = one_in(r, 3), any_vectors = false;
	u8 area[VECTOR_STATE_SIZE];
	struct cpu_regs first;

	q->len = 0;
	for (tries = 0; have < want && tries < 500; tries++) {
		const struct x86_opcode *row = &x86_opcodes[1 + random_below(r, x86_opcode_count - 1)];
		u8 *p = q->bytes + q->len;

		if (!!(x86_op_flags[row->op] & (INSN_NATIVE | INSN_FPU)) != (vectors && one_in(r, 2)))
			continue;
		if (!generate(c, row, random_below(r, row->count), bits, s, data, r) || !fits(&c->insn) ||
		    rip_relative(&c->insn) || row->attr & ROW_VSIB)
			continue;
		if (!have)
			first = c->regs;
		if (c->vectors && !any_vectors) {
			any_vectors = true;
			memcpy(area, c->regs.vector, sizeof(area));
		}
		/* Now and then a condition decides whether it is executed. */
		if (one_in(r, 4)) {
			p[0] = 0x70 | random_below(r, 16);
			p[1] = put_insn(p + 2, c);
			q->len += 2 + p[1];
		} else {
			q->len += put_insn(p, c);
		}
		/* Nothing must depend on undefined flags (of AF nothing does here): CMP AL, imm defines them all. */
		if (x86_op_undefined[c->insn.op] & ~(u64)RFLAGS_AF) {
			q->bytes[q->len++] = 0x3c;
			q->bytes[q->len++] = random_u64(r);
		}
		have++;
	}
	if (!have)
		return false;
	c->regs = first;
	c->regs.gpr[X86_RSP] = DATA_AT + 0x1000;
	if (any_vectors)
		memcpy(c->regs.vector, area, sizeof(area));
	c->vectors = any_vectors;
	c->len = 0;
	c->target = 0;
	c->regs.rip = CODE_AT;
	return true;
}

void describe_sequence(const struct sequence *q, char *text)
{
	unsigned n;

	for (n = 0; n < q->len; n++)
		sprintf(text + 2 * n, "%02x", q->bytes[n]);
}
