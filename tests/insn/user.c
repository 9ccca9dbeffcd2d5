/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * User-mode instructions in the library and on the bare CPU: every row of opcodes.def, each with many random
 * cases, in 64-bit and in 32-bit code. Registers, memory, flags, and exceptions must agree.
 */
#include <stdio.h>
#include <string.h>
#include "generate.h"
#include "testops.h"

/* Registers that the case or the library's result shows differently from the bare CPU, as text. */
#define TEXT_SIZE 1500

static struct lib_cpu *cpu;
static u8 template[DATA_SIZE];

static const char *const gpr_name[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					  "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };

/*
 * Operations that cannot be compared: they would disturb the process, or depend on what a virtual machine or
 * the kernel shows of itself, or change at random.
 */
/* clang-format off */
static const u16 not_comparable[] = {
	X86_OP_INT, X86_OP_INT3, X86_OP_INT1, X86_OP_INTO, X86_OP_SYSCALL, X86_OP_SYSENTER, X86_OP_CPUID,
	X86_OP_RDTSC, X86_OP_RDTSCP, X86_OP_RDPMC, X86_OP_RDRAND, X86_OP_RDSEED, X86_OP_RDPID, X86_OP_XGETBV,
	X86_OP_IRET, X86_OP_JMP_FAR, X86_OP_CALL_FAR, X86_OP_RET_FAR, X86_OP_MOV_TO_SREG, X86_OP_POP_SREG,
	X86_OP_LES, X86_OP_LDS, X86_OP_LSS, X86_OP_LFS, X86_OP_LGS, X86_OP_RDFSBASE, X86_OP_RDGSBASE,
	X86_OP_WRFSBASE, X86_OP_WRGSBASE, X86_OP_SGDT, X86_OP_SIDT, X86_OP_SLDT, X86_OP_STR, X86_OP_SMSW,
	X86_OP_VERR, X86_OP_VERW, X86_OP_LAR, X86_OP_LSL, X86_OP_VMCALL, X86_OP_VMMCALL, X86_OP_MONITOR,
	X86_OP_MWAIT, X86_OP_SERIALIZE, X86_OP_SYSEXIT,
	/* Their images show the host's components and optimisations; tests of their own below the engine. */
	X86_OP_XSAVE, X86_OP_XRSTOR, X86_OP_XSAVEOPT, X86_OP_XSAVEC, X86_OP_XSAVES, X86_OP_XRSTORS,
};
/* clang-format on */

static bool comparable_op(unsigned op)
{
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(not_comparable); n++)
		if (not_comparable[n] == op)
			return false;
	return true;
}

static bool comparable(const struct x86_insn *i)
{
	/* PREFETCHW of a register: #UD on AMD's CPUs, nothing on Intel's, and here. */
	if (i->map == 1 && i->opcode == 0x0d && i->modrm >= 0xc0)
		return false;
	/* AMD's CPUs take a repeat prefix for the condition. */
	if ((i->op == X86_OP_LOOPE || i->op == X86_OP_LOOPNE) && (i->prefix == 0xf2 || i->prefix == 0xf3))
		return false;
	/* MOVSXD with 16-bit operands: AMD's CPUs access 32 bits of memory. */
	if (i->op == X86_OP_MOVSX && i->map == 0 && i->opsize == 2)
		return false;
	return comparable_op(i->op);
}

/* --- comparison ------------------------------------------------------------------------------------------------- */

static u64 flags_mask(const struct insn_case *c, const struct cpu_result *bare)
{
	u64 mask = RFLAGS_VALID & ~(RFLAGS_RF | RFLAGS_IF | RFLAGS_VIF | RFLAGS_VIP);
	const struct x86_insn *i = &c->insn;

	if (!insn_options.strict && bare->vector == VECTOR_NONE)
		mask &= ~(u64)x86_op_undefined[i->op];
	/* A repeated comparison that faults may or may not have set the flags. */
	if (bare->vector != VECTOR_NONE && (i->op == X86_OP_CMPS || i->op == X86_OP_SCAS))
		mask &= ~(u64)RFLAGS_ARITH;
	return mask;
}

static int describe(char *text, int n, const char *what, u64 lib, u64 bare)
{
	if (lib == bare || n >= TEXT_SIZE - 100)
		return n;
	return n + snprintf(text + n, TEXT_SIZE - n, "\n  %s: library %llx, bare %llx", what, (unsigned long long)lib,
			    (unsigned long long)bare);
}

/*
 * Instruction and data addresses of x87 instructions: CPUs differ in when they store them (AMD's only with an
 * exception pending), so images in memory are compared without them.
 */
static void blank(u8 *data, u64 address, unsigned from, unsigned to)
{
	unsigned n;

	for (n = from; n < to; n++)
		if (address + n >= DATA_AT && address + n < DATA_END)
			data[address + n - DATA_AT] = 0;
}

static void blank_fpu_addresses(const struct insn_case *c, u8 *data)
{
	switch (c->insn.op) {
	case X86_OP_FXSAVE:
		blank(data, c->target, 5, 24); /* with the reserved byte before, and MXCSR_MASK behind */
		blank(data, c->target, 28, 32);
		blank(data, c->target, 464, 512);
		break;
	case X86_OP_FNSTENV:
	case X86_OP_FNSAVE:
		/* The environment has 14 or 28 bytes; the registers, 80 bytes, follow in FNSAVE's image. */
		if (c->target_size % 80 == 14)
			blank(data, c->target, 6, 14);
		else
			blank(data, c->target, 12, 28);
		break;
	}
}

static u64 field(const u8 *area, unsigned at, unsigned size)
{
	u64 v = 0;

	memcpy(&v, area + at, size);
	return v;
}

static int compare_vectors(const struct insn_case *c, char *text, int n, const u8 *lib, const u8 *bare)
{
	char name[16];
	unsigned k;

	n = describe(text, n, "fcw", field(lib, 0, 2), field(bare, 0, 2));
	n = describe(text, n, "fsw", field(lib, 2, 2), field(bare, 2, 2));
	n = describe(text, n, "ftw", lib[4], bare[4]);
	n = describe(text, n, "mxcsr", field(lib, XSAVE_MXCSR, 4), field(bare, XSAVE_MXCSR, 4));
	for (k = 0; k < 16; k++) {
		snprintf(name, sizeof(name), "st%u%s", k / 2, k & 1 ? " high" : "");
		n = describe(text, n, name, field(lib, XSAVE_ST + 8 * k, k & 1 ? 2 : 8),
			     field(bare, XSAVE_ST + 8 * k, k & 1 ? 2 : 8));
	}
	for (k = 0; k < 64; k++) {
		unsigned at = k < 32 ? XSAVE_XMM + 8 * k : XSAVE_YMM + 8 * (k - 32);

		snprintf(name, sizeof(name), "%s%u.%u", k < 32 ? "xmm" : "ymmh", k / 2 % 16, k & 1);
		n = describe(text, n, name, field(lib, at, 8), field(bare, at, 8));
	}
	return n;
}

static int compare_memory(char *text, int n, const u8 *lib, const u8 *bare)
{
	unsigned k, shown = 0;

	if (!memcmp(lib, bare, DATA_SIZE))
		return n;
	for (k = 0; k < DATA_SIZE && shown < 4; k++) {
		if (lib[k] == bare[k])
			continue;
		n += snprintf(text + n, TEXT_SIZE - n, "\n  byte at %llx: library %02x, bare %02x", DATA_AT + k, lib[k],
			      bare[k]);
		shown++;
	}
	return n;
}

/* In what order the parts of larger operands, or two operands, are accessed is the CPU's own affair. */
static bool one_access(unsigned op)
{
	static const u16 many[] = { X86_OP_CMPS,   X86_OP_FLDENV, X86_OP_FNSTENV, X86_OP_FRSTOR,
				    X86_OP_FNSAVE, X86_OP_FXSAVE, X86_OP_FXRSTOR };
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(many); n++)
		if (many[n] == op)
			return false;
	return true;
}

/*
 * Some CPUs fault although they would not access: ARPL that does not change its operand, masked stores
 * of bytes that are masked out.
 */
static bool fault_is_optional(unsigned op)
{
	return op == X86_OP_ARPL || op == X86_OP_MASKMOVQ || op == X86_OP_MASKMOVDQU || op == X86_OP_VMASKMOVDQU;
}

/* Differences as text; empty: none. */
static int compare(const struct insn_case *c, const struct cpu_result *lib, const struct cpu_result *bare, char *text)
{
	u64 flags = flags_mask(c, bare), regs = c->bits == 64 ? ~0ull : 0xffffffff;
	u32 error = bare->error;
	unsigned k;
	int n = 0;

	/* Linux hides whether a page of its own part of the address space is present. */
	if (bare->vector == X86_EXC_PF && bare->cr2 >= 0x7ffffffff000ull)
		error &= ~PFERR_P;

	text[0] = 0;
	if (fault_is_optional(c->insn.op) && (lib->vector != VECTOR_NONE || bare->vector != VECTOR_NONE))
		return 0;
	/* Which fault of several is found first is not written anywhere. */
	if (lib->vector < 32 && bare->vector < 32 && ((c->bits == 16 && c->vectors) || !one_access(c->insn.op)))
		return 0;
	n = describe(text, n, "vector", lib->vector, bare->vector);
	if (bare->vector != VECTOR_NONE)
		n = describe(text, n, "error code", lib->error, error);
	if (bare->vector == X86_EXC_PF)
		n = describe(text, n, "address", lib->cr2, bare->cr2);
	n = describe(text, n, "rip", lib->regs.rip, bare->regs.rip);
	/* A faulting POPA may leave registers popped. */
	for (k = 0; k < (c->bits == 64 ? 16 : 8) && !(c->insn.op == X86_OP_POPA && bare->vector != VECTOR_NONE); k++)
		n = describe(text, n, gpr_name[k], lib->regs.gpr[k] & regs, bare->regs.gpr[k] & regs);
	n = describe(text, n, "flags", lib->regs.rflags & flags, bare->regs.rflags & flags);
	if (c->vectors)
		n = compare_vectors(c, text, n, lib->regs.vector, bare->regs.vector);
	blank_fpu_addresses(c, lib_data(cpu));
	blank_fpu_addresses(c, bare_data());
	return compare_memory(text, n, lib_data(cpu), bare_data());
}

static int describe_case(const struct insn_case *c, char *text)
{
	int n = 0;
	unsigned k;

	for (k = 0; k < c->len; k++)
		n += snprintf(text + n, TEXT_SIZE - n, "%02x ", c->code[k]);
	if (c->target)
		n += snprintf(text + n, TEXT_SIZE - n, "memory %llx/%u ", (unsigned long long)c->target,
			      c->target_size);
	n += snprintf(text + n, TEXT_SIZE - n, "flags %llx", (unsigned long long)c->regs.rflags);
	for (k = 0; k < (c->bits == 64 ? 16 : 8); k++)
		n += snprintf(text + n, TEXT_SIZE - n, " %s %llx", gpr_name[k], (unsigned long long)c->regs.gpr[k]);
	return n;
}

static void run_case(const struct insn_case *c)
{
	static const char *const variant_name[LIB_VARIANTS] = { "plain", "fast" };
	static struct cpu_result lib, bare;
	char text[TEXT_SIZE + 200], input[TEXT_SIZE + 200];
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
		if (compare(c, &lib, &bare, text)) {
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
		insn_skip("no LDT");
	lib_segments(cpu, &data, &stack);
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
		lib_mode(cpu, bits);
		for (op = 0; op < X86_OP_COUNT; op++)
			if (!only || !strcmp(only, x86_op_name(op)))
				run_op(op, bits);
	}
}
