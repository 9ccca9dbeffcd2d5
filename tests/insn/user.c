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
					  "r8",	 "r9",	"r10", "r11", "r12", "r13", "r14", "r15" };

/*
 * Operations that cannot be compared: they would disturb the process, or depend on what a virtual machine or
 * the kernel shows of itself, or change at random.
 */
static const u16 not_comparable[] = {
	X86_OP_INT, X86_OP_INT3, X86_OP_INT1, X86_OP_INTO, X86_OP_SYSCALL, X86_OP_SYSENTER, X86_OP_CPUID,
	X86_OP_RDTSC, X86_OP_RDTSCP, X86_OP_RDPMC, X86_OP_RDRAND, X86_OP_RDSEED, X86_OP_RDPID, X86_OP_XGETBV,
	X86_OP_IRET, X86_OP_JMP_FAR, X86_OP_CALL_FAR, X86_OP_RET_FAR, X86_OP_MOV_TO_SREG, X86_OP_POP_SREG,
	X86_OP_LES, X86_OP_LDS, X86_OP_LSS, X86_OP_LFS, X86_OP_LGS, X86_OP_RDFSBASE, X86_OP_RDGSBASE,
	X86_OP_WRFSBASE, X86_OP_WRGSBASE, X86_OP_SGDT, X86_OP_SIDT, X86_OP_SLDT, X86_OP_STR, X86_OP_SMSW,
	X86_OP_VERR, X86_OP_VERW, X86_OP_LAR, X86_OP_LSL, X86_OP_VMCALL, X86_OP_VMMCALL, X86_OP_MONITOR,
	X86_OP_MWAIT, X86_OP_SERIALIZE, X86_OP_SYSEXIT,
};

static bool comparable_op(unsigned op)
{
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(not_comparable); n++)
		if (not_comparable[n] == op)
			return false;
	return !(x86_op_flags[op] & (INSN_NATIVE | INSN_FPU));
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

static int compare_memory(char *text, int n, const u8 *lib, const u8 *bare)
{
	unsigned k, shown = 0;

	if (!memcmp(lib, bare, DATA_SIZE))
		return n;
	for (k = 0; k < DATA_SIZE && shown < 4; k++) {
		if (lib[k] == bare[k])
			continue;
		n += snprintf(text + n, TEXT_SIZE - n, "\n  byte at %llx: library %02x, bare %02x",
			      DATA_AT + k, lib[k], bare[k]);
		shown++;
	}
	return n;
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
	/* ARPL of an operand that may not be written: some CPUs fault only if they would change it. */
	if (c->insn.op == X86_OP_ARPL && lib->vector != VECTOR_NONE)
		return 0;
	n = describe(text, n, "vector", lib->vector, bare->vector);
	if (bare->vector != VECTOR_NONE)
		n = describe(text, n, "error code", lib->error, error);
	/* Where both operands fault, the order is the CPU's own affair. */
	if (bare->vector == X86_EXC_PF && c->insn.op != X86_OP_CMPS)
		n = describe(text, n, "address", lib->cr2, bare->cr2);
	n = describe(text, n, "rip", lib->regs.rip, bare->regs.rip);
	/* A faulting POPA may leave registers popped. */
	for (k = 0; k < (c->bits == 64 ? 16 : 8) && !(c->insn.op == X86_OP_POPA && bare->vector != VECTOR_NONE); k++)
		n = describe(text, n, gpr_name[k], lib->regs.gpr[k] & regs, bare->regs.gpr[k] & regs);
	n = describe(text, n, "flags", lib->regs.rflags & flags, bare->regs.rflags & flags);
	return compare_memory(text, n, lib_data(cpu), bare_data());
}

static int describe_case(const struct insn_case *c, char *text)
{
	int n = 0;
	unsigned k;

	for (k = 0; k < c->len; k++)
		n += snprintf(text + n, TEXT_SIZE - n, "%02x ", c->code[k]);
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
		lib_run(cpu, variant, &c->regs, false, &lib);
		if (variant == 0) {
			/* A branch into the instruction itself would go on with something else, perhaps forever. */
			if (lib.regs.rip - CODE_AT < c->len && lib.vector == VECTOR_NONE)
				break;
			memcpy(bare_data(), template, DATA_SIZE);
			bare_run(c->bits, &c->regs, false, &bare);
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
	for (bits = 64; bits >= 32; bits -= 32) {
		lib_mode(cpu, bits);
		for (op = 0; op < X86_OP_COUNT; op++)
			if (!only || !strcmp(only, x86_op_name(op)))
				run_op(op, bits);
	}
}
