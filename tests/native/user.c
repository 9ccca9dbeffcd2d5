/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every x87 and vector row of opcodes.def, in 64- and 32-bit code, with random state and operands: in the library,
 * by the soft engine's stubs, and on the bare CPU. Registers, vector state, flags, memory and exceptions must agree.
 */
#include <stdio.h>
#include <string.h>
#include "testops.h"
#include "vectors.h"

#define TEXT_SIZE 2000

static struct lib_cpu *cpu;
static u8 template[DATA_SIZE];

/* They need CPL 0 or wait for nothing that could be compared. */
static bool comparable(unsigned op)
{
	return x86_op_flags[op] & INSN_FPU && op != X86_OP_XSAVES && op != X86_OP_XRSTORS;
}

/*
 * Last instruction and data pointers depend on the address of the code that the bare CPU ran and on whether the CPU keeps
 * them at all: not compared, wherever they are stored.
 */
static void forget(u8 *data, u64 at, unsigned size)
{
	for (unsigned n = 0; n < size; n++)
		if (at + n >= DATA_AT && at + n < DATA_END)
			data[at + n - DATA_AT] = 0;
}

static void forget_pointers(const struct insn_case *c, u64 target, u8 *data)
{
	const struct x86_insn *i = &c->insn;

	switch (i->op) {
	case X86_OP_FXSAVE:
	case X86_OP_XSAVE:
	case X86_OP_XSAVEOPT:
	case X86_OP_XSAVEC:
		forget(data, target + 6, 18);
		forget(data, target + 28, 4); /* MXCSR_MASK: a property of the CPU */
		break;
	case X86_OP_FNSTENV:
	case X86_OP_FNSAVE:
		if (i->opsize == 2)
			forget(data, target + 6, 8);
		else
			forget(data, target + 12, 16);
		break;
	default: break;
	}
}

/* The library leaves initial components to the header; the bare CPU result has been filled in. */
static void normalize(u8 *area)
{
	u64 present;

	memcpy(&present, area + XSAVE_HEADER, 8);
	if (!(present & 1)) {
		memset(area, 0, XSAVE_MXCSR);
		area[0] = 0x7f;
		area[1] = 3;
		memset(area + XSAVE_ST, 0, 128);
	}
	if (!(present & 2))
		memset(area + XSAVE_XMM, 0, 256);
	if (!(present & 4))
		memset(area + XSAVE_YMM, 0, 256);
}

static int compare_bytes(char *text, int n, const char *what, const u8 *lib, const u8 *bare, unsigned size)
{
	if (!memcmp(lib, bare, size) || n > TEXT_SIZE - 300)
		return n;
	n += snprintf(text + n, TEXT_SIZE - n, "\n  %s: library", what);
	for (unsigned k = size; k--;)
		n += snprintf(text + n, TEXT_SIZE - n, "%s%02x", k == size - 1 ? " " : "", lib[k]);
	n += snprintf(text + n, TEXT_SIZE - n, " bare");
	for (unsigned k = size; k--;)
		n += snprintf(text + n, TEXT_SIZE - n, "%s%02x", k == size - 1 ? " " : "", bare[k]);
	return n;
}

static int compare_vectors(char *text, int n, const struct insn_case *c, u8 *lib, u8 *bare)
{
	char what[16];

	normalize(lib);
	n = compare_bytes(text, n, "fcw", lib, bare, 2);
	n = compare_bytes(text, n, "fsw", lib + 2, bare + 2, 2);
	n = compare_bytes(text, n, "ftw", lib + 4, bare + 4, 1);
	n = compare_bytes(text, n, "mxcsr", lib + XSAVE_MXCSR, bare + XSAVE_MXCSR, 4);
	for (unsigned k = 0; k < 8; k++) {
		snprintf(what, sizeof(what), "st%u", k);
		n = compare_bytes(text, n, what, lib + XSAVE_ST + 16 * k, bare + XSAVE_ST + 16 * k, 10);
	}
	for (unsigned k = 0; k < 16; k++) {
		snprintf(what, sizeof(what), "xmm%u", k);
		n = compare_bytes(text, n, what, lib + XSAVE_XMM + 16 * k, bare + XSAVE_XMM + 16 * k, 16);
		snprintf(what, sizeof(what), "ymmh%u", k);
		n = compare_bytes(text, n, what, lib + XSAVE_YMM + 16 * k, bare + XSAVE_YMM + 16 * k, 16);
	}
	return n;
}

static int compare_u64(char *text, int n, const char *what, u64 lib, u64 bare)
{
	return compare_bytes(text, n, what, (u8 *)&lib, (u8 *)&bare, 8);
}

static int compare_memory(char *text, int n, const u8 *lib, const u8 *bare)
{
	for (unsigned k = 0; k < DATA_SIZE; k++)
		if (lib[k] != bare[k])
			return n + snprintf(text + n, TEXT_SIZE - n, "\n  byte at %llx: library %02x, bare %02x",
					    DATA_AT + k, lib[k], bare[k]);
	return n;
}

/* Differences as text; 0: none. */
static int compare(const struct insn_case *c, struct cpu_result *lib, struct cpu_result *bare, char *text)
{
	u64 flags = RFLAGS_VALID & ~(RFLAGS_RF | RFLAGS_IF | RFLAGS_VIF | RFLAGS_VIP);
	u64 regs = c->bits == 64 ? ~0ull : 0xffffffff;
	char what[16];
	int n = 0;

	/* Linux hides whether a page of its own part of the address space is present. */
	if (bare->vector == X86_EXC_PF && bare->cr2 >= 0x7ffffffff000ull)
		bare->error &= ~PFERR_P;
	n = compare_u64(text, n, "vector", lib->vector, bare->vector);
	if (bare->vector != VECTOR_NONE)
		n = compare_u64(text, n, "error code", lib->error, bare->error);
	/* Of large and of masked operands it is not known which byte is touched first. */
	if (bare->vector == X86_EXC_PF && x86_op_flags[c->insn.op] & INSN_NATIVE)
		n = compare_u64(text, n, "address", lib->cr2, bare->cr2);
	n = compare_u64(text, n, "rip", lib->regs.rip, bare->regs.rip);
	for (unsigned k = 0; k < (c->bits == 64 ? 16 : 8); k++) {
		snprintf(what, sizeof(what), "gpr %u", k);
		n = compare_u64(text, n, what, lib->regs.gpr[k] & regs, bare->regs.gpr[k] & regs);
	}
	n = compare_u64(text, n, "flags", lib->regs.rflags & flags, bare->regs.rflags & flags);
	n = compare_vectors(text, n, c, lib->regs.vector, bare->regs.vector);
	return compare_memory(text, n, lib_data(cpu), bare_data());
}

static void describe_case(const struct insn_case *c, char *text)
{
	int n = 0;

	for (unsigned k = 0; k < c->len; k++)
		n += snprintf(text + n, TEXT_SIZE - n, "%02x ", c->code[k]);
	for (unsigned k = 0; k < 16; k++)
		n += snprintf(text + n, TEXT_SIZE - n, " %llx", (unsigned long long)c->regs.gpr[k]);
	n += snprintf(text + n, TEXT_SIZE - n, " fcw %02x%02x fsw %02x%02x ftw %02x", c->regs.vector[1],
		      c->regs.vector[0], c->regs.vector[3], c->regs.vector[2], c->regs.vector[4]);
}

static void run_case(const struct insn_case *c)
{
	static struct cpu_result lib, bare, bare_copy;
	char text[TEXT_SIZE + 200], input[TEXT_SIZE + 200];
	u64 target = 0;
	bool open;

	memcpy(bare_code() + CODE_AT % X86_PAGE_SIZE, c->code, c->len);
	memcpy(lib_code(cpu) + CODE_AT % X86_PAGE_SIZE, c->code, c->len);
	memcpy(bare_data(), template, DATA_SIZE);
	bare_run(c->bits, &c->regs, true, &bare);
	memcpy(lib_state(cpu)->gpr, c->regs.gpr, sizeof(c->regs.gpr));
	lib_state(cpu)->rip = c->regs.rip + c->len;
	if (c->target)
		x86_linear(lib_state(cpu), c->insn.seg, x86_ea(lib_state(cpu), &c->insn), 1, ACC_READ, &target);
	forget_pointers(c, target, bare_data());
	/* The manual leaves open whether bytes that are not selected may fault. */
	open = (bare.vector == X86_EXC_PF || bare.vector == X86_EXC_GP) &&
	       (c->insn.op == X86_OP_MASKMOVQ || c->insn.op == X86_OP_MASKMOVDQU || c->insn.op == X86_OP_VMASKMOVDQU);
	for (unsigned variant = 0; variant < LIB_VARIANTS && !open; variant++) {
		memcpy(lib_data(cpu), template, DATA_SIZE);
		lib_run(cpu, variant, &c->regs, true, &lib);
		forget_pointers(c, target, lib_data(cpu));
		bare_copy = bare;
		if (compare(c, &lib, &bare_copy, text)) {
			describe_case(c, input);
			insn_fail("%s: %s%s", variant ? "fast" : "plain", input, text);
		}
	}
	memset(bare_code() + CODE_AT % X86_PAGE_SIZE, 0xcc, 16);
	memset(lib_code(cpu) + CODE_AT % X86_PAGE_SIZE, 0xcc, 16);
}

static unsigned run_row(const struct x86_opcode *row, unsigned bits)
{
	struct random r = { insn_options.seed * 0x9e3779b97f4a7c15ull ^ (u64)(row - x86_opcodes) << 8 ^ bits };
	unsigned cases = 0;
	struct insn_case c;

	random_u64(&r);
	for (unsigned round = 0; round < insn_options.rounds; round++) {
		if (round % 64 == 0)
			generate_data(template, &r);
		if (one_in(&r, 16))
			lib_flush(cpu);
		if (!generate(&c, row, 0, bits, lib_state(cpu), template, &r) || !comparable(c.insn.op))
			continue;
		generate_vectors(c.regs.vector, &r);
		if (!prepare_case(&c, template, &r))
			continue;
		/* Large operands around the end of the canonical addresses: #GP or #PF, as the processor likes. */
		if ((!(x86_op_flags[c.insn.op] & INSN_NATIVE) || c.target_size == 10) && c.target > 0x7ffffffff000ull)
			continue;
		run_case(&c);
		cases++;
	}
	return cases;
}

static void run_op(unsigned op, unsigned bits)
{
	unsigned cases = 0;

	insn_begin("native %u-bit %s", bits, x86_op_name(op));
	for (unsigned n = 1; n < x86_opcode_count; n++)
		if (x86_opcodes[n].op == op)
			cases += run_row(&x86_opcodes[n], bits);
	if (!cases)
		insn_skip("no such instruction on this CPU or in this mode");
	insn_end();
}

INSN_TEST(native_instructions, "user")
{
	const char *only = insn_options.only && strcmp(insn_options.only, "user") ? insn_options.only : NULL;

	if (!bare_init() || !vectors_init() || !(cpu = lib_new())) {
		insn_fail("set-up");
		return;
	}
	for (unsigned bits = 64; bits >= 32; bits -= 32) {
		lib_mode(cpu, bits);
		for (unsigned op = 0; op < X86_OP_COUNT; op++)
			if (comparable(op) && (!only || !strcmp(only, x86_op_name(op))))
				run_op(op, bits);
	}
}
