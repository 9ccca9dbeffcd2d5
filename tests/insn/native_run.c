/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "native_run.h"

enum x86_result native_run(struct x86_state *s, const struct x86_insn *i, void *mem)
{
	return X86_UNHANDLED;
}
