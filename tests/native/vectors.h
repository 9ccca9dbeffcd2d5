/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* vectors.h - x87 and vector instructions in the library and on the bare CPU, on top of tests/insn. */
#ifndef NATIVE_VECTORS_H
#define NATIVE_VECTORS_H

#include "generate.h"

/* After bare_init(). */
bool vectors_init(void);
/* Random x87, SSE and AVX state: tags, stack top, control words and flags that go together. */
void generate_vectors(u8 *area, struct random *r);
/*
 * Operands that x87 and vector instructions need beyond what generate() knows. False: the bare CPU's result would depend
 * on components that the library does not have (it probes the whole XSAVE area).
 */
bool prepare_case(struct insn_case *c, u8 *data, struct random *r);

#endif /* NATIVE_VECTORS_H */
