/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Operation to routine. In its own file, so that the decoder can be linked without the routines. */
#include "internal.h"
#include "optable.h"

#define I(...)
#define OP(name, lower, routine, flags, undef) extern x86_exec_fn x86_exec_##routine;
#include "opcodes.def"
#undef OP

x86_exec_fn *const x86_exec_table[X86_OP_COUNT] = {
#define OP(name, lower, routine, flags, undef) [X86_OP_##name] = x86_exec_##routine,
#include "opcodes.def"
#undef OP
};

void x86_bind(struct x86_insn *i)
{
	x86_exec_fn *special = x86_specialize(i);

	i->exec = special ? special : x86_exec_table[i->op];
}
