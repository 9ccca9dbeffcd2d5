/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Random vector state and operands: see vectors.h. */
#include <string.h>
#include "vectors.h"

/* --- state -------------------------------------------------------------------------------------------------- */

/* Numbers that floating-point units treat differently: zeros, denormals, infinities, NaNs, ones, anything. */
static u64 random_double(struct random *r)
{
	static const u64 edge[] = {
		0,
		0x8000000000000000,
		0x3ff0000000000000,
		0xbff0000000000000,
		0x7ff0000000000000,
		0xfff0000000000000,
		0x7ff8000000000000,
		0x7ff0000000000001,
		1,
		0x000fffffffffffff,
		0x4330000000000000,
		0x41dfffffffc00000,
		0xc1e0000000000000,
		0x3fe0000000000000,
		0x7fefffffffffffff,
	};

	return one_in(r, 2) ? edge[random_below(r, ARRAY_SIZE(edge))] : random_u64(r);
}

static u32 random_float(struct random *r)
{
	static const u32 edge[] = {
		0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
		1, 0x007fffff, 0x4b000000, 0x4effffff, 0xcf000000, 0x3f000000, 0x7f7fffff,
	};

	return one_in(r, 2) ? edge[random_below(r, ARRAY_SIZE(edge))] : (u32)random_u64(r);
}

static void random_lane(u8 *p, struct random *r)
{
	u64 v;
	u32 f;

	switch (random_below(r, 3)) {
	case 0: v = random_double(r); break;
	case 1:
		v = random_float(r);
		f = random_float(r);
		v |= (u64)f << 32;
		break;
	default: v = random_value(r); break;
	}
	memcpy(p, &v, 8);
}

/* An x87 register: mostly a normal number of moderate size. */
static void random_st(u8 *p, struct random *r)
{
	static const u16 exponents[] = { 0, 1, 0x3fff, 0x4000, 0x403e, 0x7ffe, 0x7fff, 0xbfff, 0xffff, 0x3ffe };
	u64 mantissa = random_u64(r) | 1ull << 63;
	u16 exponent = 0x3fff + random_below(r, 40) - 20;

	if (one_in(r, 4))
		exponent = exponents[random_below(r, ARRAY_SIZE(exponents))];
	if (one_in(r, 4))
		mantissa = one_in(r, 2) ? 1ull << 63 : random_value(r);
	if (one_in(r, 2))
		exponent ^= 0x8000;
	memset(p, 0, 16);
	memcpy(p, &mantissa, 8);
	memcpy(p + 8, &exponent, 2);
}

void generate_vectors(u8 *area, struct random *r)
{
	u16 fcw = 0x37f, fsw = 0;
	u32 mxcsr = 0x1f80;
	u64 present = 7;
	unsigned n;

	memset(area, 0, VECTOR_STATE_SIZE);
	if (one_in(r, 3))
		fcw = 0x40 | (random_u64(r) & 0xf3f);
	if (one_in(r, 3))
		fcw |= 0x3f;
	if (one_in(r, 2))
		fsw = random_u64(r) & 0x7f00 & ~0x0080;
	if (one_in(r, 4))
		fsw |= random_u64(r) & 0x3f;
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	if (one_in(r, 3))
		mxcsr = (mxcsr & 0x1f80) | (random_u64(r) & 0xe07f);
	if (one_in(r, 6))
		mxcsr = random_u64(r) & 0xffff;
	memcpy(area, &fcw, 2);
	memcpy(area + 2, &fsw, 2);
	area[4] = one_in(r, 3) ? 0xff : random_u64(r);
	memcpy(area + XSAVE_MXCSR, &mxcsr, 4);
	for (n = 0; n < 8; n++)
		random_st(area + XSAVE_ST + 16 * n, r);
	for (n = 0; n < 32; n++) {
		random_lane(area + XSAVE_XMM + 8 * n, r);
		random_lane(area + XSAVE_YMM + 8 * n, r);
	}
	memcpy(area + XSAVE_HEADER, &present, 8);
}

/* --- operands -------------------------------------------------------------------------------------------------- */

static u8 *lane(struct insn_case *c, unsigned reg, unsigned byte)
{
	return c->regs.vector + (byte < 16 ? XSAVE_XMM + 16 * reg + byte : XSAVE_YMM + 16 * reg + byte - 16);
}

/* Small indices around a base in the middle of the data area. */
static void prepare_gather(struct insn_case *c, struct random *r)
{
	const struct x86_insn *i = &c->insn;
	unsigned width = i->opcode & 1 ? 8 : 4, n;

	for (n = 0; n < 32; n += width) {
		s64 v = (s64)random_below(r, 0x700) - 0x380;

		if (one_in(r, 100))
			v = (s64)random_u64(r);
		memcpy(lane(c, i->index, n), &v, width);
	}
	if (i->base < 16)
		c->regs.gpr[i->base] = DATA_AT + DATA_WRITABLE / 2 - i->disp;
}

/* More than any processor's XSAVE area without AMX. */
#define WHOLE_AREA 3072

/* Areas of FXSAVE and XSAVE start at multiples of 64 and, to be loaded, have good contents. */
static bool prepare_area(struct insn_case *c, u8 *data, struct random *r)
{
	u64 mask = random_below(r, 8), at = c->target & ~63ull, header[8] = { 0 };
	const struct x86_insn *i = &c->insn;
	u8 image[VECTOR_STATE_SIZE];

	if (at + WHOLE_AREA > DATA_AT + DATA_WRITABLE || i->base == X86_RAX || i->base == X86_RDX)
		return false;
	c->regs.gpr[X86_RAX] = (u32)mask;
	c->regs.gpr[X86_RDX] = 0;
	if (i->base >= 16 || (i->index < 16 && i->index != i->base))
		return true;
	if (!one_in(r, 16))
		c->regs.gpr[i->base] -= i->index == i->base ? 0 : c->target - at;
	generate_vectors(image, r);
	if (!one_in(r, 16))
		memset(image + 25, 0x1f, 1);
	header[0] = random_below(r, 8);
	if (i->op == X86_OP_XRSTOR && one_in(r, 3))
		header[1] = 1ull << 63 | random_below(r, 8) | (one_in(r, 8) ? 0 : header[0]);
	if (one_in(r, 16))
		header[random_below(r, 8)] ^= random_value(r);
	memcpy(image + XSAVE_HEADER, header, sizeof(header));
	image[26] = image[27] = 0;
	if (at >= DATA_AT && at + sizeof(image) <= DATA_END)
		memcpy(data + (at - DATA_AT), image, sizeof(image));
	return true;
}

bool prepare_case(struct insn_case *c, u8 *data, struct random *r)
{
	const struct x86_insn *i = &c->insn;

	switch (i->op) {
	case X86_OP_FXSAVE:
	case X86_OP_FXRSTOR:
	case X86_OP_XSAVE:
	case X86_OP_XSAVEOPT:
	case X86_OP_XSAVEC:
	case X86_OP_XRSTOR: return prepare_area(c, data, r);
	case X86_OP_MASKMOVQ:
	case X86_OP_MASKMOVDQU:
	case X86_OP_VMASKMOVDQU:
		c->regs.gpr[X86_RDI] = DATA_AT + random_below(r, DATA_WRITABLE + 8);
		if (i->seg == SEG_FS)
			c->regs.gpr[X86_RDI] -= bare_fs_base();
		if (i->seg == SEG_GS)
			c->regs.gpr[X86_RDI] -= bare_gs_base();
		break;
	case X86_OP_LDMXCSR:
	case X86_OP_VLDMXCSR:
		/* AMD's misaligned-SSE bit is not offered to guests. */
		if (c->target >= DATA_AT && c->target + 4 <= DATA_END)
			data[c->target - DATA_AT + 2] &= ~2;
		break;
	case X86_OP_PCMPESTRI:
	case X86_OP_PCMPESTRM:
	case X86_OP_VPCMPESTRI:
	case X86_OP_VPCMPESTRM:
		if (i->base != X86_RAX && i->index != X86_RAX)
			c->regs.gpr[X86_RAX] = random_below(r, 40) - 20;
		if (i->base != X86_RDX && i->index != X86_RDX)
			c->regs.gpr[X86_RDX] = random_below(r, 40) - 20;
		break;
	default:
		if (i->flags & INSN_VEX && i->map == 2 && i->opcode >= 0x90 && i->opcode <= 0x93)
			prepare_gather(c, r);
		break;
	}
	return true;
}
