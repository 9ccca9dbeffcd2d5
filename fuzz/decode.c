/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The decoder on random bytes: what it says of its own lengths and operands holds together, and the stubs made of native
 * instructions decode again.
 */
#include <string.h>
#include "fuzz.h"
#include "native.h"
#include "optable.h"

static void check_fields(const struct x86_insn *i)
{
	unsigned n, size = i->opsize;

	if (!i->len || i->len > X86_MAX_INSN_LEN || i->op >= X86_OP_COUNT || !i->exec || i->nr_operands > 4)
		fuzz_fail("fields: len %u op %u operands %u", i->len, i->op, i->nr_operands);
	if (size != 1 && size != 2 && size != 4 && size != 8)
		fuzz_fail("operand size %u", size);
	if (i->adsize != 2 && i->adsize != 4 && i->adsize != 8)
		fuzz_fail("address size %u", i->adsize);
	if ((i->base >= 16 && i->base != X86_REG_NONE && i->base != X86_REG_RIP) ||
	    (i->index >= 32 && i->index != X86_REG_NONE) || i->scale > 3)
		fuzz_fail("address %u %u %u", i->base, i->index, i->scale);
	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind > OPND_KREG || (i->opnd[n].kind == OPND_GPR && i->opnd[n].reg > 19))
			fuzz_fail("operand %u: kind %u register %u", n, i->opnd[n].kind, i->opnd[n].reg);
}

static void check_native(const struct x86_insn *i)
{
	uint8_t stub[X86_NATIVE_MAX];
	struct x86_insn again;
	unsigned len = x86_native_encode(i, stub);

	if (!len)
		return;
	if (len > X86_NATIVE_MAX || stub[len - 1] != 0xc3)
		fuzz_fail("stub of %u bytes", len);
	if (x86_decode(&again, stub, len, X86_MODE_LONG, NULL) != X86_DECODE_OK || again.len + 1u != len ||
	    again.op != i->op)
		fuzz_fail("stub of %s is %s, %u of %u bytes", x86_op_name(i->op), x86_op_name(again.op), again.len,
			  len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct x86_insn i, again;
	enum x86_decode_result r;
	uint8_t other[32];
	unsigned n, mode;

	if (size < 2 || size > 17)
		return -1;
	mode = data[0] % (X86_MODE_LONG + 1);
	data++, size--;
	memset(&i, 0, sizeof(i));
	r = x86_decode(&i, data, (unsigned)size, mode, NULL);
	if (r != X86_DECODE_OK)
		return 0;
	check_fields(&i);
	if (i.len > size)
		fuzz_fail("%u bytes of %zu", i.len, size);
	if (i.flags & INSN_NATIVE)
		check_native(&i);
	/* Bytes behind the instruction mean nothing; fewer are too few. */
	memset(other, 0xa5, sizeof(other));
	memcpy(other, data, i.len);
	memset(&again, 0, sizeof(again));
	r = x86_decode(&again, other, sizeof(other), mode, NULL);
	if (r != X86_DECODE_OK || again.len != i.len || again.op != i.op || again.imm != i.imm || again.disp != i.disp)
		fuzz_fail("depends on bytes behind it: %s", x86_op_name(i.op));
	for (n = 0; n < i.len; n++)
		if (x86_decode(&again, data, n, mode, NULL) == X86_DECODE_OK)
			fuzz_fail("%s: %u bytes are enough, and %u", x86_op_name(i.op), n, i.len);
	return 0;
}
