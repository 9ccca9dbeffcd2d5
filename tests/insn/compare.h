/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * compare.h - the result of an instruction against the bare CPU's, under what manuals leave open and CPUs do differently.
 */
#ifndef INSN_COMPARE_H
#define INSN_COMPARE_H

#include "generate.h"

/* Can the operation (this instruction) be compared with the bare CPU in user mode? */
bool comparable_op(unsigned op);
bool comparable(const struct x86_insn *i);

#define TEXT_ROOM 1700

/*
 * Differences as text of at most TEXT_ROOM bytes; returns its length, 0: none. The data areas lose bytes that cannot be
 * compared.
 */
int compare(const struct insn_case *c, const struct cpu_result *lib, u8 *lib_data, const struct cpu_result *bare,
	    u8 *bare_data, char *text);
/* The instruction's bytes and what it started from. */
int describe_case(const struct insn_case *c, char *text);

#endif /* INSN_COMPARE_H */
