/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * User-mode instructions in the library and on the bare CPU: every row of opcodes.def, each with many random
 * cases, in 64-bit and in 32-bit code. Registers, memory, flags, and exceptions must agree.
 */
#include <stdio.h>
#include <string.h>
#include "compare.h"
#include "testops.h"

static struct lib_cpu *cpu;
static u8 template[DATA_SIZE];

static void run_case(const struct insn_case *c)
{
	static const char *const variant_name[LIB_VARIANTS] = { "plain", "fast" };
	static struct cpu_result lib, bare;
	char text[TEXT_ROOM], input[TEXT_ROOM];
	unsigned variant;

	memcpy(bare_code() + CODE_AT % X86_PAGE_SIZE, c->code, c->len);
	memcpy(lib_code(cpu) + CODE_AT % X86_PAGE_SIZE, c->code, c->len);
	for (variant = 0; variant < LIB_VARIANTS; variant++) {
		memcpy(lib_data(cpu), template, DATA_SIZE);
		lib_run(cpu, variant, &c->regs, c->vectors, &lib);
		if (variant == 0) {
			/* A branch into the instruction itself would go on with something else, perhaps forever. */
			if (lib.regs.rip - c->regs.rip < c->len && lib.vector == VECTOR_NONE)
				break;
			memcpy(bare_data(), template, DATA_SIZE);
			bare_run(c->bits, &c->regs, c->vectors, &bare);
		}
		if (compare(c, &lib, lib_data(cpu), &bare, bare_data(), text)) {
			describe_case(c, input);
			insn_fail("%s: %s%s", variant_name[variant], input, text);
		}
	}
	memset(bare_code() + CODE_AT % X86_PAGE_SIZE, 0xcc, 16);
	memset(lib_code(cpu) + CODE_AT % X86_PAGE_SIZE, 0xcc, 16);
}

/* --- the walk through the table ------------------------------------------------------------------------------------ */

/* Limits at, before and behind the end of what is mapped; or expand-down from somewhere in it. */
static void choose_segment(struct segment16 *seg, struct random *r)
{
	static const u32 limit[] = { DATA_SIZE - 1, DATA_SIZE - 2, DATA_SIZE + 0xfff, 0x1234, 0xffff };

	*seg = (struct segment16){ .limit = limit[random_below(r, ARRAY_SIZE(limit))], .big = one_in(r, 4) };
	if (one_in(r, 4)) {
		seg->expand_down = true;
		seg->limit = random_below(r, 0x1000);
	} else if (one_in(r, 4)) {
		seg->pages = true;
		seg->limit = random_below(r, 4);
	}
}

static void choose_segments(struct random *r)
{
	struct segment16 data, stack;

	choose_segment(&data, r);
	choose_segment(&stack, r);
	if (!bare_segments(&data, &stack))
		insn_fail("the LDT cannot be changed any more");
	lib_segments(cpu, &data, &stack);
}

/* 16-bit code needs an LDT, which some kernels and sandboxes do not allow. */
static bool runnable(unsigned bits)
{
	const struct segment16 seg = { .limit = DATA_SIZE - 1 };

	return bits != 16 || bare_segments(&seg, &seg);
}

static unsigned run_row(const struct x86_opcode *row, unsigned bits)
{
	struct random r = { insn_options.seed * 0x9e3779b97f4a7c15ull ^ (u64)(row - x86_opcodes) << 8 ^ bits };
	unsigned n, round, cases = 0;
	struct insn_case c;

	random_u64(&r);
	for (n = 0; n < row->count; n++) {
		unsigned rounds = row->count > 1 ? (insn_options.rounds + 3) / 4 : insn_options.rounds;

		for (round = 0; round < rounds; round++) {
			if (round % 64 == 0)
				generate_data(template, &r);
			if (bits == 16 && round % 16 == 0)
				choose_segments(&r);
			if (one_in(&r, 16))
				lib_flush(cpu);
			if (!generate(&c, row, n, bits, lib_state(cpu), template, &r) || !comparable(&c.insn))
				continue;
			run_case(&c);
			cases++;
		}
	}
	return cases;
}

static void run_op(unsigned op, unsigned bits)
{
	unsigned n, cases = 0;

	insn_begin("user %u-bit %s", bits, x86_op_name(op));
	if (!comparable_op(op)) {
		insn_skip("cannot be compared");
	} else {
		for (n = 1; n < x86_opcode_count; n++)
			if (x86_opcodes[n].op == op)
				cases += run_row(&x86_opcodes[n], bits);
		if (!cases)
			insn_skip("no such instruction on this CPU or in this mode");
	}
	insn_end();
}

INSN_TEST(user_instructions, "user")
{
	const char *only = insn_options.only && strcmp(insn_options.only, "user") ? insn_options.only : NULL;
	unsigned op, bits;

	if (!cpu && (!bare_init() || !(cpu = lib_new()))) {
		insn_fail("set-up");
		return;
	}
	for (bits = 64; bits >= 16; bits /= 2) {
		if (!runnable(bits)) {
			insn_begin("user 16-bit");
			insn_skip("the kernel does not allow an LDT");
			insn_end();
			continue;
		}
		lib_mode(cpu, bits);
		for (op = 0; op < X86_OP_COUNT; op++)
			if (!only || !strcmp(only, x86_op_name(op)))
				run_op(op, bits);
	}
}
