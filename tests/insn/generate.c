/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The generator: see generate.h. */
#include <string.h>
#include "generate.h"

/* --- random numbers (Marsaglia's xorshift64 with a multiplier) ------------------------------------------------ */

u64 random_u64(struct random *r)
{
	u64 x = r->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->state = x;
	return x * 0x2545f4914f6cdd1dull;
}

unsigned random_below(struct random *r, unsigned n)
{
	return (unsigned)((random_u64(r) >> 32) * n >> 32);
}

bool one_in(struct random *r, unsigned n)
{
	return !random_below(r, n);
}

u64 random_value(struct random *r)
{
	/* clang-format off */
	static const u64 edge[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
		0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
		0xffffffff80000000, 0xffffffffffff8000, 0xffffffffffffff80, 0xaaaaaaaaaaaaaaaa, 0x5555555555555555,
	};
	/* clang-format on */
	u64 v;

	switch (random_below(r, 6)) {
	case 0:
	case 1: return edge[random_below(r, ARRAY_SIZE(edge))];
	case 2: return edge[random_below(r, ARRAY_SIZE(edge))] + random_below(r, 5) - 2;
	case 3: return random_below(r, 130);
	case 4: v = random_u64(r); return v >> random_below(r, 64);
	default: return random_u64(r);
	}
}

/* --- encoding ------------------------------------------------------------------------------------------------ */

struct encoder {
	struct random *r;
	const struct x86_opcode *row;
	unsigned bits;
	u8 *p;
	u8 *start;
	u8 *disp; /* where the displacement is, and its size */
	unsigned disp_size;
	u8 *tail; /* what follows opcode, ModRM, displacement */
	u8 rex;
	bool address16;
};

static bool selected(const struct x86_opcode *row, unsigned bit)
{
	return row->value & bit;
}

static bool constrained(const struct x86_opcode *row, unsigned bit)
{
	return row->mask & bit;
}

/* The value of one selection bit: as the row says, or random. */
static bool choose_bit(struct encoder *e, unsigned bit, unsigned n)
{
	return constrained(e->row, bit) ? selected(e->row, bit) : one_in(e->r, n);
}

static unsigned row_prefix(const struct encoder *e)
{
	return e->row->value >> SEL_PFX_SHIFT & 3;
}

static void emit(struct encoder *e, u8 b)
{
	*e->p++ = b;
}

static void emit_prefixes(struct encoder *e)
{
	static const u8 mandatory[4] = { 0, 0x66, 0xf3, 0xf2 };
	const struct x86_opcode *row = e->row;
	unsigned pfx_mask = row->mask >> SEL_PFX_SHIFT & 3;
	bool string = x86_op_flags[row->op] & INSN_STRING;

	if (one_in(e->r, 12))
		emit(e, e->bits == 64 ? (one_in(e->r, 3) ? 0x64 : 0x65) : 0x26 + 8 * random_below(e->r, 4));
	else if (one_in(e->r, 40))
		emit(e, 0x2e + 8 * random_below(e->r, 3));
	if (one_in(e->r, 10)) {
		emit(e, 0x67);
		e->address16 = e->bits == 32;
	}
	if (pfx_mask == 3) {
		if (row_prefix(e) != 1 && row_prefix(e) && one_in(e->r, 8))
			emit(e, 0x66);
		if (row_prefix(e))
			emit(e, mandatory[row_prefix(e)]);
	} else {
		if (one_in(e->r, 3))
			emit(e, 0x66);
		if (!pfx_mask && one_in(e->r, string ? 2 : 50))
			emit(e, one_in(e->r, 2) ? 0xf2 : 0xf3);
	}
	if (x86_op_flags[row->op] & INSN_LOCK ? one_in(e->r, 6) : one_in(e->r, 200))
		emit(e, 0xf0);
}

static void emit_rex(struct encoder *e)
{
	u8 rex = 0x40;

	if (e->bits != 64)
		return;
	if (choose_bit(e, SEL_W, 2))
		rex |= 8;
	if (choose_bit(e, SEL_B, 2))
		rex |= 1;
	if (one_in(e->r, 2))
		rex |= random_below(e->r, 4) << 1;
	if (rex != 0x40 || one_in(e->r, 8))
		emit(e, rex);
	e->rex = rex & 15;
}

static void emit_vex(struct encoder *e, u8 opcode)
{
	unsigned map = e->row->key >> 8 & 3, pp = row_prefix(e);
	u8 vvvv = e->row->attr & ROW_VVVV ? random_below(e->r, e->bits == 64 ? 16 : 8) : 0;
	u8 rex = e->bits == 64 ? random_below(e->r, 8) : 0;
	bool w = choose_bit(e, SEL_W, 2), l = choose_bit(e, SEL_L, 2);

	if (constrained(e->row, SEL_B))
		rex = (rex & ~1) | selected(e->row, SEL_B);
	if (map == 1 && !w && !(rex & 3) && one_in(e->r, 2)) {
		emit(e, 0xc5);
		emit(e, (rex & 4 ? 0 : 0x80) | (~vvvv & 15) << 3 | l << 2 | pp);
	} else {
		emit(e, 0xc4);
		emit(e, (~rex & 7) << 5 | map);
		emit(e, w << 7 | (~vvvv & 15) << 3 | l << 2 | pp);
	}
	e->rex = rex | w << 3;
	emit(e, opcode);
}

static void emit_opcode(struct encoder *e, u8 opcode)
{
	unsigned map = e->row->key >> 8;

	if (map >= 1)
		emit(e, 0x0f);
	if (map >= 2)
		emit(e, map == 2 ? 0x38 : 0x3a);
	emit(e, opcode);
}

static void emit_modrm(struct encoder *e)
{
	const struct x86_opcode *row = e->row;
	u8 fixed = row->mask & 0x3f, modrm = random_below(e->r, 256);
	unsigned n;

	modrm = (modrm & ~fixed) | (row->value & fixed);
	modrm = choose_bit(e, SEL_MOD3, 2) ? modrm | 0xc0 : modrm % 64 + 64 * random_below(e->r, 3);
	emit(e, modrm);
	if (modrm >= 0xc0)
		return;
	if (e->address16 && !(row->attr & ROW_VSIB)) {
		e->disp_size = modrm >> 6 == 0 && (modrm & 7) == 6 ? 2 : modrm >> 6;
		e->disp = e->p;
		for (n = 0; n < e->disp_size; n++)
			emit(e, random_u64(e->r));
		return;
	}
	if (row->attr & ROW_VSIB)
		e->p[-1] = modrm = (modrm & ~7) | 4; /* in 16-bit code only with 67 */
	e->disp_size = modrm >> 6 == 1 ? 1 : modrm >> 6 == 2 ? 4 : 0;
	if ((modrm & 7) == 4) {
		u8 sib = random_below(e->r, 256);

		emit(e, sib);
		if (modrm < 0x40 && (sib & 7) == 5)
			e->disp_size = 4;
	} else if (modrm < 0x40 && (modrm & 7) == 5) {
		e->disp_size = 4;
	}
	e->disp = e->p;
	for (n = 0; n < e->disp_size; n++)
		emit(e, random_u64(e->r));
}

static void encode(struct encoder *e, u8 opcode)
{
	u64 tail;

	if (e->row->key >> 8 & MAP_VEX) {
		emit_vex(e, opcode);
	} else {
		emit_prefixes(e);
		emit_rex(e);
		emit_opcode(e, opcode);
	}
	if (e->row->attr & ROW_MODRM)
		emit_modrm(e);
	e->tail = e->p;
	tail = random_value(e->r);
	memcpy(e->tail, &tail, 8);
	tail = random_value(e->r);
	memcpy(e->tail + 8, &tail, 8);
}

/* --- operands ---------------------------------------------------------------------------------------------------- */

static const struct x86_operand *memory_operand(const struct x86_insn *i)
{
	unsigned n;

	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_MEM)
			return &i->opnd[n];
	return NULL;
}

/* Mostly inside; now and then where a part of it, or all, is not mapped or read-only. */
static u64 choose_target(struct random *r, unsigned size, bool split, u64 high)
{
	u64 a;

	switch (random_below(r, 40)) {
	case 0: return DATA_AT - 1 - random_below(r, size);
	case 1: return DATA_END - random_below(r, size + 1);
	case 2: return DATA_AT + DATA_WRITABLE + random_below(r, 0x1000 - size);
	case 3: return split ? DATA_AT + DATA_WRITABLE - random_below(r, size) : DATA_AT;
	case 4:
	case 5: return split ? DATA_AT + 0x1000 - random_below(r, size) : DATA_AT;
	case 6: return high ? high - random_below(r, 32) : DATA_AT;
	}
	a = DATA_AT + random_below(r, DATA_WRITABLE - size + 1);
	if (!split || !one_in(r, 4))
		a &= ~(u64)((size & -size) - 1);
	/* Locked operands must not cross cache lines: hosts may punish that. */
	if (!split && (a & 63) + size > 64)
		a &= ~63ull;
	return a;
}

static void put_disp(struct encoder *e, u64 value)
{
	memcpy(e->disp, &value, e->disp_size);
}

static u64 segment_base(const struct insn_case *c)
{
	if (c->bits != 64)
		return c->bits == 16 ? DATA_AT : 0;
	return c->insn.seg == SEG_FS ? bare_fs_base() : c->insn.seg == SEG_GS ? bare_gs_base() : 0;
}

/* Choose registers (or the displacement) so that the memory operand lies at the target. */
static void aim(struct insn_case *c, struct encoder *e, u64 target)
{
	struct x86_insn *i = &c->insn;
	u64 off = target - segment_base(c), *gpr = c->regs.gpr, index = 0;
	bool small = i->adsize < 8;

	if (i->op == X86_OP_MOV && !(i->flags & INSN_HAS_MODRM)) {
		memcpy(e->tail, &off, i->adsize);
		return;
	}
	if (i->index < 16 && i->index != i->base) {
		if (i->base >= 16 || one_in(e->r, 2))
			gpr[i->index] = random_below(e->r, 200);
		index = gpr[i->index] << i->scale;
	}
	if (i->base < 16) {
		off -= i->disp + index;
		if (i->index == i->base) {
			/* One register counts several times: not every address can be met. */
			c->target -= off % (1 + (1u << i->scale));
			off /= 1 + (1u << i->scale);
		}
		if (i->adsize == 2)
			gpr[i->base] = (u16)off | (gpr[i->base] & ~0xffffull);
		else
			gpr[i->base] = small ? (u32)off | gpr[i->base] >> 32 << 32 : off;
	} else if (i->base == X86_REG_RIP) {
		put_disp(e, off - (c->regs.rip + i->len));
	} else if (e->disp_size == i->adsize || e->disp_size == 4) {
		put_disp(e, off - index);
	}
}

static void put_data(u8 *data, u64 address, const void *value, unsigned size)
{
	if (address >= DATA_AT && address + size <= DATA_END)
		memcpy(data + (address - DATA_AT), value, size);
}

/* In the code page; an offset of its segment in 16-bit code. */
static u64 code_address(const struct insn_case *c, struct random *r)
{
	return (c->bits == 16 ? 0 : CODE_PAGE) + 0x100 + random_below(r, 0xe00);
}

/* Registers that instructions use without naming them. */
static void implicit_operands(struct insn_case *c, u8 *data, struct random *r)
{
	const struct x86_insn *i = &c->insn;
	u64 *gpr = c->regs.gpr, v;
	u64 high = i->adsize < 8 && c->bits == 64 && one_in(r, 2) ? random_u64(r) << 32 : 0;

	if (i->flags & INSN_STRING) {
		gpr[X86_RSI] = high | (choose_target(r, i->opsize, true, 0) - segment_base(c));
		gpr[X86_RDI] = high | (choose_target(r, i->opsize, true, 0) - (c->bits == 16 ? DATA_AT : 0));
		if (one_in(r, 4))
			gpr[X86_RDI] = gpr[X86_RSI] + random_below(r, 64) - 32;
		gpr[X86_RCX] = high | (one_in(r, 4) ? random_below(r, 3000) : random_below(r, 50));
		return;
	}
	switch (i->op) {
	case X86_OP_XLAT:
		gpr[X86_RBX] = high | (u32)(choose_target(r, 1, true, 0) - (u8)gpr[X86_RAX] - segment_base(c));
		break;
	case X86_OP_CLZERO: gpr[X86_RAX] = high | (u32)(choose_target(r, 64, true, 0) - segment_base(c)); break;
	case X86_OP_MASKMOVQ:
	case X86_OP_MASKMOVDQU:
	case X86_OP_VMASKMOVDQU: gpr[X86_RDI] = high | (u32)(choose_target(r, 16, true, 0) - segment_base(c)); break;
	case X86_OP_RET_NEAR:
		if (!one_in(r, 4)) {
			v = code_address(c, r);
			put_data(data, gpr[X86_RSP] + (c->bits == 16 ? DATA_AT : 0), &v, c->bits / 8);
		}
		break;
	case X86_OP_LEAVE:
	case X86_OP_ENTER:
		gpr[X86_RBP] =
			one_in(r, 4) ? gpr[X86_RSP] : choose_target(r, 8, true, 0) - (c->bits == 16 ? DATA_AT : 0);
		break;
	}
}

static void choose_registers(struct insn_case *c, struct random *r)
{
	const u64 arith = RFLAGS_ARITH;
	unsigned n;

	for (n = 0; n < 16; n++)
		c->regs.gpr[n] = random_value(r);
	switch (random_below(r, 24)) {
	case 0: c->regs.gpr[X86_RSP] = choose_target(r, 16, true, 0x800000000000ull); break;
	case 1: c->regs.gpr[X86_RSP] = DATA_AT + random_below(r, 64); break;
	default: c->regs.gpr[X86_RSP] = DATA_AT + 0x800 + 8 * random_below(r, 0x200); break;
	}
	c->regs.rip = CODE_AT;
	if (c->bits == 16) {
		c->regs.rip = CODE_AT - CODE_PAGE;
		c->regs.gpr[X86_RSP] -= DATA_AT;
		if (one_in(r, 16))
			c->regs.gpr[X86_RSP] = random_below(r, 20);
		if (one_in(r, 2))
			c->regs.gpr[X86_RSP] |= random_u64(r) << 16;
	}
	c->regs.rflags = (random_u64(r) & arith) | RFLAGS_FIXED | RFLAGS_IF;
	if (one_in(r, 3))
		c->regs.rflags |= RFLAGS_DF;
	/* Alignment of x87 and vector operands is not modelled: docs/status.md. */
	if (!c->vectors && one_in(r, 16))
		c->regs.rflags |= RFLAGS_AC;
	if (c->bits != 64)
		for (n = 0; n < 16; n++)
			c->regs.gpr[n] = n < 8 ? (u32)c->regs.gpr[n] : 0;
}

/* --- vector and x87 registers ------------------------------------------------------------------------------------- */

static u32 random_float(struct random *r)
{
	/* clang-format off */
	static const u32 edge[] = {
		0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffc00001,
		1, 0x807fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0x3f000000, 0x40490fdb,
	};
	/* clang-format on */

	return one_in(r, 2) ? edge[random_below(r, ARRAY_SIZE(edge))] : random_u64(r);
}

static u64 random_double(struct random *r)
{
	/* clang-format off */
	static const u64 edge[] = {
		0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
		0x7ff8000000000000, 0x7ff0000000000001, 1, 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
		0x43e0000000000000, 0x3fe0000000000000, 0x400921fb54442d18,
	};
	/* clang-format on */

	return one_in(r, 2) ? edge[random_below(r, ARRAY_SIZE(edge))] : random_u64(r);
}

/* Eight bytes of some kind: integers, two singles, a double. */
static u64 random_lane(struct random *r)
{
	switch (random_below(r, 4)) {
	case 0: return random_value(r);
	case 1: return random_double(r);
	case 2: return random_u64(r);
	default: return random_float(r) | (u64)random_float(r) << 32;
	}
}

/* A register as x87 instructions leave it, or any pattern (unnormals, pseudo-denormals). */
static void random_st(u8 *st, struct random *r)
{
	u64 mantissa = random_value(r) | (one_in(r, 4) ? 0 : 1ull << 63);
	u16 exponent = one_in(r, 3) ? random_u64(r) : 0x3fff + random_below(r, 80) - 40;

	if (one_in(r, 8))
		mantissa = one_in(r, 2) ? 0 : 1ull << 63;
	if (one_in(r, 8))
		exponent = one_in(r, 2) ? 0 : 0x7fff;
	if (one_in(r, 2))
		exponent ^= 0x8000;
	memcpy(st, &mantissa, 8);
	memcpy(st + 8, &exponent, 2);
}

static void put32(u8 *p, u32 v)
{
	memcpy(p, &v, 4);
}

static void choose_vectors(struct insn_case *c, struct random *r)
{
	u8 *area = c->regs.vector;
	const u64 components = 7;
	u16 fcw = 0x37f, fsw = random_below(r, 8) << 11;
	u32 mxcsr = 0x1f80;
	unsigned n;
	u64 v;

	memset(area, 0, VECTOR_STATE_SIZE);
	if (one_in(r, 3))
		fcw = 0x7f | random_below(r, 16) << 8;
	if (one_in(r, 20))
		fcw &= ~random_below(r, 64);
	if (one_in(r, 3))
		fsw |= random_u64(r) & 0x4700;
	if (one_in(r, 40))
		fsw |= random_below(r, 64);
	/* Error summary and busy say that an exception is pending and not masked. */
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	if (one_in(r, 3))
		mxcsr |= random_u64(r) & 0xe040;
	if (one_in(r, 20))
		mxcsr &= ~(random_below(r, 64) << 7);
	memcpy(area, &fcw, 2);
	memcpy(area + 2, &fsw, 2);
	area[4] = one_in(r, 3) ? 0 : one_in(r, 2) ? 0xff : random_u64(r);
	put32(area + XSAVE_MXCSR, mxcsr);
	for (n = 0; n < 8; n++)
		random_st(area + XSAVE_ST + 16 * n, r);
	for (n = 0; n < 512; n += 8) {
		v = random_lane(r);
		memcpy(n < 256 ? area + XSAVE_XMM + n : area + XSAVE_YMM + n - 256, &v, 8);
	}
	/* 32-bit code has eight registers. */
	memcpy(area + XSAVE_HEADER, &components, 8);
}

/* The indices of a gather are small, its base is inside the data area. */
static void aim_gather(struct insn_case *c, struct encoder *e)
{
	const struct x86_insn *i = &c->insn;
	bool wide = i->opcode & 1;
	unsigned n;
	u64 v;

	for (n = 0; n < 4; n++) {
		s32 a = random_below(e->r, 300) - 100, b = random_below(e->r, 300) - 100;

		v = wide ? (u64)(s64)a : (u32)a | (u64)(u32)b << 32;
		if (one_in(e->r, 20))
			v = random_u64(e->r);
		memcpy(c->regs.vector + (n < 2 ? XSAVE_XMM : XSAVE_YMM) + 16 * i->index + 8 * (n & 1), &v, 8);
	}
	c->target = c->target_size = 0;
	v = DATA_AT + 0x800 - segment_base(c);
	if (i->base < 16)
		c->regs.gpr[i->base] = v - i->disp;
	else
		put_disp(e, v);
}

/* What a branch goes by is mostly an address of the code page. */
static void branch_operand(struct insn_case *c, struct encoder *e, u8 *data)
{
	struct x86_insn *i = &c->insn;
	u64 v = code_address(c, e->r);

	if (one_in(e->r, 6))
		return;
	if (i->opnd[0].kind == OPND_REL && i->opnd[0].size > 1) {
		v -= c->regs.rip + i->len;
		memcpy(e->tail, &v, i->opnd[0].size);
	} else if (i->opnd[0].kind == OPND_GPR) {
		c->regs.gpr[i->opnd[0].reg] = v;
	} else if (i->opnd[0].kind == OPND_MEM) {
		u64 image[2] = { v, 0 }; /* of a far pointer: the null selector */

		put_data(data, c->target, image, i->opnd[0].size);
	}
}

static void memory_value(struct insn_case *c, u8 *data, struct random *r)
{
	unsigned n;
	u64 v;

	for (n = 0; n < c->target_size; n += 8) {
		v = random_value(r);
		if (c->vectors)
			v = random_lane(r);
		put_data(data, c->target + n, &v, c->target_size - n < 8 ? c->target_size - n : 8);
	}
}

/* AMD's misaligned-SSE mode (MXCSR bit 17) is not offered: docs/status.md. */
static void clear_misaligned_mode(u8 *data, u64 mxcsr)
{
	if (mxcsr + 2 >= DATA_AT && mxcsr + 2 < DATA_END)
		data[mxcsr + 2 - DATA_AT] &= ~2;
}

bool generate(struct insn_case *c, const struct x86_opcode *row, unsigned n, unsigned bits, const struct x86_state *s,
	      u8 *data, struct random *r)
{
	enum x86_mode mode = bits == 64 ? X86_MODE_LONG : bits == 32 ? X86_MODE_PROT32 : X86_MODE_PROT16;
	u8 buf[64];
	struct encoder e = { .r = r, .row = row, .bits = bits, .p = buf, .start = buf, .address16 = bits == 16 };
	const struct x86_operand *mem;
	struct x86_insn *i = &c->insn;

	if (constrained(row, SEL_LONG) && selected(row, SEL_LONG) != (bits == 64))
		return false;
	memset(buf, 0, sizeof(buf));
	c->bits = bits;
	c->target = c->target_size = 0;
	encode(&e, (u8)(row->key + n));
	if (x86_decode(i, buf, X86_MAX_INSN_LEN, mode, s) != X86_DECODE_OK)
		return false;
	c->vectors = x86_op_flags[i->op] & (INSN_NATIVE | INSN_FPU);
	choose_registers(c, r);
	if (c->vectors)
		choose_vectors(c, r);
	/* FS and GS are null outside 64-bit mode: their bases belong to this process. */
	if (i->seg >= SEG_FS && i->seg <= SEG_GS && bits != 64)
		return false;
	mem = memory_operand(i);
	/* FS is where this process has its own data: only with addresses that are sure to be elsewhere. */
	if (i->seg == SEG_FS && (i->adsize != 8 || !(mem || i->flags & INSN_STRING)))
		return false;
	if (mem) {
		bool locked = i->flags & INSN_LOCK || i->op == X86_OP_XCHG;
		u64 high;

		c->target_size = mem->size ? mem->size : 16;
		high = bits == 64 && i->adsize == 8 && c->target_size <= 8 ? 0x800000000000ull : 0;
		c->target = choose_target(r, c->target_size, !locked, high);
		if (i->op == X86_OP_BT || i->op == X86_OP_BTS || i->op == X86_OP_BTR || i->op == X86_OP_BTC)
			if (i->opnd[1].kind == OPND_GPR)
				c->regs.gpr[i->opnd[1].reg] = random_below(r, 20000) - 10000;
		if (row->attr & ROW_VSIB) {
			aim_gather(c, &e);
		} else {
			aim(c, &e, c->target);
			memory_value(c, data, r);
			if (i->op == X86_OP_LDMXCSR || i->op == X86_OP_VLDMXCSR)
				clear_misaligned_mode(data, c->target);
			if (i->op == X86_OP_FXRSTOR)
				clear_misaligned_mode(data, c->target + XSAVE_MXCSR);
		}
	}
	implicit_operands(c, data, r);
	if (x86_op_flags[i->op] & INSN_BRANCH)
		branch_operand(c, &e, data);
	if (i->op == X86_OP_ENTER && !one_in(r, 8))
		e.tail[1] = 0;
	if (bits != 64)
		for (n = 0; n < 8; n++)
			c->regs.gpr[n] = (u32)c->regs.gpr[n];
	c->len = i->len;
	memcpy(c->code, buf, 16);
	/* Once more, now that displacement and immediates are final. */
	return x86_decode(i, c->code, c->len, mode, s) == X86_DECODE_OK;
}

void generate_data(u8 *data, struct random *r)
{
	unsigned n;
	u64 v;

	for (n = 0; n < DATA_SIZE; n += 8) {
		v = random_value(r);
		memcpy(data + n, &v, 8);
	}
	/* String comparisons need runs. */
	memset(data + 0x600, 0, 0xd00);
	memset(data + DATA_WRITABLE + 0x100, 0, 0x400);
}
