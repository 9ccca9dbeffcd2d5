/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* One instruction in the library and on the bare CPU: see pair.h. */
#include <stdio.h>
#include <string.h>
#include "compare.h"
#include "pair.h"

u8 pair_data[DATA_SIZE];

struct lib_cpu *pair_init(void)
{
	static struct lib_cpu *cpu;

	if (!cpu && (!bare_init() || !(cpu = lib_new())))
		insn_fail("set-up");
	return cpu;
}

bool pair_can_run(unsigned bits)
{
	const struct segment16 seg = { .limit = DATA_SIZE - 1 };

	return bits != 16 || bare_segments(&seg, &seg);
}

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

void pair_choose_segments(struct lib_cpu *cpu, struct random *r)
{
	struct segment16 data, stack;

	choose_segment(&data, r);
	choose_segment(&stack, r);
	if (!bare_segments(&data, &stack))
		insn_fail("the LDT cannot be changed any more");
	lib_segments(cpu, &data, &stack);
}

/* Put the case's code, or INT3 after it. */
static void put_code(struct lib_cpu *cpu, const struct insn_case *c)
{
	u8 code[16];

	memset(code, 0xcc, sizeof(code));
	if (c)
		memcpy(code, c->code, c->len);
	memcpy(bare_code() + CODE_AT % X86_PAGE_SIZE, code, sizeof(code));
	memcpy(lib_code(cpu) + CODE_AT % X86_PAGE_SIZE, code, sizeof(code));
}

static void run_bare(const struct insn_case *c, struct cpu_result *bare)
{
	memcpy(bare_data(), pair_data, DATA_SIZE);
	bare_run(c->bits, &c->regs, c->vectors, bare);
}

void pair_run(struct lib_cpu *cpu, const struct insn_case *c)
{
	static const char *const variant_name[LIB_VARIANTS] = { "plain", "fast" };
	static struct cpu_result lib, bare;
	char text[TEXT_ROOM], input[TEXT_ROOM];
	unsigned variant;

	put_code(cpu, c);
	for (variant = 0; variant < LIB_VARIANTS; variant++) {
		memcpy(lib_data(cpu), pair_data, DATA_SIZE);
		lib_run(cpu, variant, &c->regs, c->vectors, &lib);
		if (variant == 0) {
			/* A branch into the instruction itself would go on with something else, perhaps forever. */
			if (lib.regs.rip - c->regs.rip < c->len && lib.vector == VECTOR_NONE)
				break;
			run_bare(c, &bare);
		}
		if (compare(c, &lib, lib_data(cpu), &bare, bare_data(), text)) {
			describe_case(c, input);
			insn_fail("%s: %s%s", variant_name[variant], input, text);
		}
	}
	put_code(cpu, NULL);
}

void pair_run_undefined(struct lib_cpu *cpu, const struct insn_case *c, unsigned vector)
{
	static struct cpu_result bare;
	char input[TEXT_ROOM];

	put_code(cpu, c);
	run_bare(c, &bare);
	if (bare.vector != vector) {
		describe_case(c, input);
		insn_fail("exception %u on the bare CPU, %u in the library: %s", bare.vector, vector, input);
	}
	put_code(cpu, NULL);
}
