/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * User-mode instructions in the library and on the bare CPU: every row of opcodes.def, each with many random
 * cases, in 64-bit and in 32-bit code. Registers, memory, flags, and exceptions must agree.
 */
#include <stdio.h>
#include <string.h>
#include "compare.h"
#include "pair.h"

/* --- the walk through the table ------------------------------------------------------------------------------------ */

static unsigned run_row(struct lib_cpu *cpu, const struct x86_opcode *row, unsigned bits)
{
	struct random r = { insn_options.seed * 0x9e3779b97f4a7c15ull ^ (u64)(row - x86_opcodes) << 8 ^ bits };
	unsigned n, round, cases = 0;
	struct insn_case c;

	random_u64(&r);
	for (n = 0; n < row->count; n++) {
		unsigned rounds = row->count > 1 ? (insn_options.rounds + 3) / 4 : insn_options.rounds;

		for (round = 0; round < rounds; round++) {
			if (round % 64 == 0)
				generate_data(pair_data, &r);
			if (bits == 16 && round % 16 == 0)
				pair_choose_segments(cpu, &r);
			if (one_in(&r, 16))
				lib_flush(cpu);
			if (!generate(&c, row, n, bits, lib_state(cpu), pair_data, &r) || !comparable(&c.insn))
				continue;
			pair_run(cpu, &c);
			cases++;
		}
	}
	return cases;
}

static void run_op(struct lib_cpu *cpu, unsigned op, unsigned bits)
{
	unsigned n, cases = 0;

	insn_begin("user %u-bit %s", bits, x86_op_name(op));
	if (!comparable_op(op)) {
		insn_skip("cannot be compared");
	} else {
		for (n = 1; n < x86_opcode_count; n++)
			if (x86_opcodes[n].op == op)
				cases += run_row(cpu, &x86_opcodes[n], bits);
		if (!cases)
			insn_skip("no such instruction on this CPU or in this mode");
	}
	insn_end();
}

INSN_TEST(user_instructions, "user")
{
	const char *only = insn_options.only && strcmp(insn_options.only, "user") ? insn_options.only : NULL;
	struct lib_cpu *cpu = pair_init();
	unsigned op, bits;

	if (!cpu)
		return;
	for (bits = 64; bits >= 16; bits /= 2) {
		if (!pair_can_run(bits)) {
			insn_begin("user 16-bit");
			insn_skip("the kernel does not allow an LDT");
			insn_end();
			continue;
		}
		lib_mode(cpu, bits);
		for (op = 0; op < X86_OP_COUNT; op++)
			if (!only || !strcmp(only, x86_op_name(op)))
				run_op(cpu, op, bits);
	}
}
