/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * sequence.h - several instructions in a row: results of one are operands of the next, flags live across, conditional
 * branches skip some. What a memory operand needs in registers is loaded right before.
 */
#ifndef ENGINE_SEQUENCE_H
#define ENGINE_SEQUENCE_H

#include "generate.h"

struct sequence {
	u8 bytes[640];
	unsigned len;
};

#define SEQUENCE_TEXT (2 * 640 + 1)

/* c gets the registers at the start and, as its instruction, the last one. False: nothing came of it. */
bool generate_sequence(struct insn_case *c, struct sequence *q, unsigned bits, const struct x86_state *s, u8 *data,
		       struct random *r);
/* The bytes in hexadecimal. */
void describe_sequence(const struct sequence *q, char *text);

#endif /* ENGINE_SEQUENCE_H */
