/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * generate.h - instructions from the rows of opcodes.def, with operands that make sense: memory operands hit
 * the data area of bare.h (now and then its edges, its read-only page, or nothing), values are boundary
 * values or random.
 */
#ifndef INSN_GENERATE_H
#define INSN_GENERATE_H

#include "bare.h"
#include "optable.h"

struct random {
	u64 state;
};

u64 random_u64(struct random *r);
/* 0..n-1 */
unsigned random_below(struct random *r, unsigned n);
/* True once in n. */
bool one_in(struct random *r, unsigned n);
/* A value that is likely to matter: around zero, signs, sizes; or any. */
u64 random_value(struct random *r);

struct insn_case {
	unsigned bits; /* 64, 32 or 16 */
	u8 code[16];
	unsigned len;
	struct x86_insn insn;
	struct cpu_regs regs;
	u64 target; /* linear address of the memory operand's start; 0: none */
	unsigned target_size;
	bool vectors; /* regs.vector matters */
};

/*
 * One case for the row's n-th opcode. data is the content of the data area, adapted to the case. False: the
 * encoding is not one that can be run (no such form in this mode).
 */
bool generate(struct insn_case *c, const struct x86_opcode *row, unsigned n, unsigned bits, const struct x86_state *s,
	      u8 *data, struct random *r);

/* Fill the data area: values, runs of equal bytes. */
void generate_data(u8 *data, struct random *r);

#endif /* INSN_GENERATE_H */
