/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* pair.h - the library and the bare CPU side by side: one instruction in both, and what they do not agree on is a failure. */
#ifndef INSN_PAIR_H
#define INSN_PAIR_H

#include "generate.h"
#include "testops.h"

/* Set up both; more than once is no harm. NULL: not possible here, and the test has failed. */
struct lib_cpu *pair_init(void);

/* 16-bit code needs an LDT, which some kernels and sandboxes do not allow. */
bool pair_can_run(unsigned bits);
void pair_choose_segments(struct lib_cpu *cpu, struct random *r);

/* The data area, DATA_SIZE bytes, as each case finds it. */
extern u8 pair_data[];

/* In each variant of the library. */
void pair_run(struct lib_cpu *cpu, const struct insn_case *c);
/* Where the library has no such instruction: #UD (or, too long, #GP) on the bare CPU, too. */
void pair_run_undefined(struct lib_cpu *cpu, const struct insn_case *c, unsigned vector);

#endif /* INSN_PAIR_H */
