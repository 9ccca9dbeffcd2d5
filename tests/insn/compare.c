/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What of an instruction's results must agree: see compare.h. */
#include <stdio.h>
#include <string.h>
#include "compare.h"

#define TEXT_SIZE (TEXT_ROOM - 200)

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

bool comparable_op(unsigned op)
{
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(not_comparable); n++)
		if (not_comparable[n] == op)
			return false;
	return true;
}

bool comparable(const struct x86_insn *i)
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

int compare(const struct insn_case *c, const struct cpu_result *lib, u8 *lib_data, const struct cpu_result *bare,
	    u8 *bare_data, char *text)
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
	/* Which fault of several is found first, limit or alignment, is not written anywhere. */
	if (lib->vector < 32 && bare->vector < 32 && ((c->bits != 64 && c->vectors) || !one_access(c->insn.op)))
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
	blank_fpu_addresses(c, lib_data);
	blank_fpu_addresses(c, bare_data);
	return compare_memory(text, n, lib_data, bare_data);
}

int describe_case(const struct insn_case *c, char *text)
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
