/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What opcodes.def says about each operation: name, INSN_* flags, undefined flags. */
#include "optable.h"

/* clang-format off */

static const char *const op_names[X86_OP_COUNT] = {
#define OP(name, lower, routine, flags, undef) [X86_OP_##name] = #lower,
#define I(...)
#include "opcodes.def"
#undef OP
};

const char *x86_op_name(unsigned op)
{
	return op < X86_OP_COUNT ? op_names[op] : "?";
}

enum {
	LOCK = INSN_LOCK, BRANCH = INSN_BRANCH, END = INSN_END, SHADOW = INSN_SHADOW, NATIVE = INSN_NATIVE,
	STRING = INSN_STRING, STORE = INSN_STORE, LOAD = INSN_LOAD, FPU = INSN_FPU, PRIV = INSN_PRIV,
	FLAGS = INSN_FLAGS, PLAIN = INSN_PLAIN,
};

const u32 x86_op_flags[X86_OP_COUNT] = {
#define OP(name, lower, routine, flags, undef) [X86_OP_##name] = flags,
#include "opcodes.def"
#undef OP
};

enum {
	O = RFLAGS_OF, S = RFLAGS_SF, Z = RFLAGS_ZF, A = RFLAGS_AF, P = RFLAGS_PF, C = RFLAGS_CF,
};

const u16 x86_op_undefined[X86_OP_COUNT] = {
#define OP(name, lower, routine, flags, undef) [X86_OP_##name] = undef,
#include "opcodes.def"
#undef OP
};

/* clang-format on */
