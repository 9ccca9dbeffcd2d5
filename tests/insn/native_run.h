/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* How the tests run the stubs of native.h: with the vector registers of s->xsave. */
#ifndef INSN_NATIVE_RUN_H
#define INSN_NATIVE_RUN_H

#include "native.h"

enum x86_result native_run(struct x86_state *s, const struct x86_insn *i, void *mem);

#endif /* INSN_NATIVE_RUN_H */
