/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Encodings that no assembler writes, in the library and on the bare CPU: instructions of the table with prefixes put in front
 * and bits turned: LOCK where it is refused, REX before a legacy prefix, VEX.vvvv and VEX.L that an instruction does not have, ...
 * What the library decodes must do the same, what it does not know must be #UD.
 */
#include <string.h>
#include "compare.h"
#include "pair.h"

#define CASES_PER_ROUND 200

/* --- mutations ----------------------------------------------------------------------------------------------------- */

static void insert_prefix(u8 *code, unsigned bits, struct random *r)
{
	/* Not FS: there this process has its own data. */
	static const u8 prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x65 };
	u8 prefix = prefixes[random_below(r, ARRAY_SIZE(prefixes))];

	if (bits == 64 && one_in(r, 3))
		prefix = 0x40 | random_below(r, 16);
	memmove(code + 1, code, 15);
	code[0] = prefix;
}

static void mutate(u8 *code, unsigned bits, struct random *r)
{
	unsigned n = 1 + random_below(r, 3);

	while (n--) {
		switch (random_below(r, 4)) {
		case 0: code[random_below(r, 5)] ^= 1u << random_below(r, 8); break;
		case 1: code[random_below(r, 5)] = random_u64(r); break;
		default: insert_prefix(code, bits, r); break;
		}
	}
}

/* --- what is run --------------------------------------------------------------------------------------------------- */

/* Behind legacy prefixes and REX. */
static const u8 *opcode_of(const u8 *code, unsigned bits)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65 };
	const u8 *p = code;

	while (p < code + 14 && (memchr(prefixes, *p, sizeof(prefixes)) || (bits == 64 && (*p & 0xf0) == 0x40)))
		p++;
	return p;
}

/* The encodings of what processors have and the library does not offer (docs/status.md): there it is #UD, here it may be anything. */
static bool not_offered(const u8 *code, unsigned bits)
{
	const u8 *p = opcode_of(code, bits);
	bool vex = (p[0] == 0xc4 || p[0] == 0xc5) && (bits == 64 || p[1] >= 0xc0);
	const u8 *opcode = p[0] == 0xc5 ? p + 2 : p + 3;
	unsigned map = p[0] == 0xc5 ? 1 : p[1] & 0x1f;

	if (p[0] == 0x62 || p[0] == 0x8f || p[0] == 0xd5) /* EVEX, XOP */
		return true;
	if (vex) /* opmasks, AMX */
		return (map == 1 && ((*opcode & 0xf0) == 0x40 || (*opcode & 0xf0) == 0x90)) ||
		       (map == 3 && (*opcode & 0xf0) == 0x30) || (map == 2 && (*opcode & 0xe0) == 0x40);
	if (p[0] != 0x0f)
		return false;
	/* 3DNow!, virtualization and protection keys, TSX, CET, WAITPKG, hints with effects, Key Locker, ENQCMD */
	return p[1] == 0x0f || p[1] == 0x01 || p[1] == 0x0e || p[1] == 0x37 || p[1] == 0xae || p[1] == 0xc7 ||
	       p[1] == 0x1e || (p[1] == 0x38 && ((p[2] & 0xf0) == 0xd0 || p[2] >= 0xf0 || (p[2] & 0xf0) == 0x80));
}

/* Measured on AMD's CPUs and not copied. */
static bool differs(const u8 *code, unsigned bits)
{
	const u8 *p = opcode_of(code, bits);

	/* LOCK: VERR and VERW take it, MOV from and to CR0 means CR8 with it. */
	if (p[0] == 0x0f && (p[1] == 0x00 || p[1] == 0x20 || p[1] == 0x22))
		return true;
	/* VPERMQ and VPERMPD without the VEX.W that the manuals want. */
	return p[0] == 0xc4 && (p[1] & 0x1f) == 3 && p[3] < 2;
}

/* Instructions that also look at what stands in this process's FS and GS. */
static bool in_process(const struct x86_insn *i, unsigned bits)
{
	return i->seg == SEG_FS || (bits != 64 && i->seg == SEG_GS);
}

/* Where an x87 image lies is not known here, so what may differ in it could not be blanked. */
static bool writes_image(const struct x86_insn *i)
{
	return i->op == X86_OP_FXSAVE || i->op == X86_OP_FNSTENV || i->op == X86_OP_FNSAVE || i->op == X86_OP_FXRSTOR ||
	       i->op == X86_OP_LDMXCSR || i->op == X86_OP_VLDMXCSR;
}

static bool run_mutation(struct lib_cpu *cpu, struct insn_case *c, struct random *r)
{
	static const enum x86_mode modes[] = { X86_MODE_PROT16, X86_MODE_PROT32, X86_MODE_LONG };
	u8 code[16];

	memset(code, 0xcc, sizeof(code));
	memcpy(code, c->code, c->len);
	mutate(code, c->bits, r);
	c->target = c->target_size = 0;
	switch (x86_decode(&c->insn, code, X86_MAX_INSN_LEN, modes[c->bits / 32], lib_state(cpu))) {
	case X86_DECODE_OK:
		if (!comparable(&c->insn) || in_process(&c->insn, c->bits) || writes_image(&c->insn))
			return false;
		c->len = c->insn.len;
		/* Alignment of vector and x87 operands is not checked (docs/status.md). */
		c->vectors = x86_op_flags[c->insn.op] & (INSN_NATIVE | INSN_FPU);
		if (c->vectors)
			c->regs.rflags &= ~(u64)RFLAGS_AC;
		memcpy(c->code, code, sizeof(c->code));
		pair_run(cpu, c);
		return true;
	case X86_DECODE_UD:
		/* Which is found first, that an instruction is too long or that there is none, is the CPU's own affair. */
		if (not_offered(code, c->bits) || differs(code, c->bits) || opcode_of(code, c->bits) - code > 4)
			return false;
		c->len = X86_MAX_INSN_LEN;
		memcpy(c->code, code, sizeof(c->code));
		pair_run_undefined(cpu, c, X86_EXC_UD);
		return true;
	case X86_DECODE_TOO_LONG:
		if (not_offered(code, c->bits))
			return false;
		c->len = sizeof(code);
		memcpy(c->code, code, sizeof(c->code));
		pair_run_undefined(cpu, c, X86_EXC_GP);
		return true;
	default: return false;
	}
}

/* With the contents of vector registers always: what the mutation makes may want them. */
static bool any_case(struct lib_cpu *cpu, struct insn_case *c, unsigned bits, struct random *r)
{
	static u8 vector[VECTOR_STATE_SIZE];
	static bool have_vector;
	const struct x86_opcode *row = &x86_opcodes[1 + random_below(r, x86_opcode_count - 1)];

	if (!generate(c, row, random_below(r, row->count), bits, lib_state(cpu), pair_data, r))
		return false;
	if (c->vectors) {
		memcpy(vector, c->regs.vector, sizeof(vector));
		have_vector = true;
	}
	memcpy(c->regs.vector, vector, sizeof(vector));
	return have_vector;
}

static void run_bits(struct lib_cpu *cpu, unsigned bits)
{
	struct random r = { insn_options.seed * 0x9e3779b97f4a7c15ull ^ bits };
	unsigned n;
	struct insn_case c;

	insn_begin("encodings %u-bit", bits);
	lib_mode(cpu, bits);
	random_u64(&r);
	for (n = 0; n < insn_options.rounds * CASES_PER_ROUND; n++) {
		if (n % 64 == 0)
			generate_data(pair_data, &r);
		if (bits == 16 && n % 64 == 0)
			pair_choose_segments(cpu, &r);
		if (any_case(cpu, &c, bits, &r))
			run_mutation(cpu, &c, &r);
	}
	insn_end();
}

INSN_TEST(encodings, "encodings")
{
	struct lib_cpu *cpu = pair_init();
	unsigned bits;

	for (bits = 64; cpu && bits >= 16; bits /= 2)
		if (pair_can_run(bits))
			run_bits(cpu, bits);
}
