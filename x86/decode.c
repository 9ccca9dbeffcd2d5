/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The decoder. Prefixes, then opcode, then the row of opcodes.def that fits, then the operands as the row
 * says (SDM volume 2, "Instruction Format"; VEX: "Vector Extension (VEX) prefix").
 */
#include "optable.h"

/* --- the table ------------------------------------------------------------------------------------ */

/* clang-format off */
#define REG(n) SEL(7u << SEL_REG_SHIFT, (u32)(n) << SEL_REG_SHIFT)
#define MEM SEL(SEL_MOD3, 0)
#define MOD3 SEL(SEL_MOD3, SEL_MOD3)
#define MODRM(b) SEL(SEL_MODRM, ((b) & 7u) << SEL_RM_SHIFT | ((b) >> 3 & 7u) << SEL_REG_SHIFT | SEL_MOD3)
#define W0 SEL(SEL_W, 0)
#define W1 SEL(SEL_W, SEL_W)
#define L0 SEL(SEL_L, 0)
#define L1 SEL(SEL_L, SEL_L)
#define NP SEL(3u << SEL_PFX_SHIFT, 0)
#define P66 SEL(3u << SEL_PFX_SHIFT, 1u << SEL_PFX_SHIFT)
#define PF3 SEL(3u << SEL_PFX_SHIFT, 2u << SEL_PFX_SHIFT)
#define PF2 SEL(3u << SEL_PFX_SHIFT, 3u << SEL_PFX_SHIFT)
#define NOREP SEL(2u << SEL_PFX_SHIFT, 0)
#define ONLY64 SEL(SEL_LONG, SEL_LONG)
#define NO64 SEL(SEL_LONG, 0)
#define PROT SEL(SEL_PROT, SEL_PROT)
#define REXB(b) SEL(SEL_B, (b) ? SEL_B : 0)

#define R(o) (OPERAND_##o | OPACC_R << 10)
#define W(o) (OPERAND_##o | OPACC_W << 10)
#define RW(o) (OPERAND_##o | (OPACC_R | OPACC_W) << 10)
#define N(o) OPERAND_##o
#define _ 0

enum {
	OPERAND_Eb = OPSPEC(OM_E, OS_b, 0), OPERAND_Ew = OPSPEC(OM_E, OS_w, 0),
	OPERAND_Ev = OPSPEC(OM_E, OS_v, 0), OPERAND_Ez = OPSPEC(OM_E, OS_z, 0),
	OPERAND_Ey = OPSPEC(OM_E, OS_y, 0), OPERAND_En = OPSPEC(OM_E, OS_n, 0),
	OPERAND_Ed = OPSPEC(OM_E, OS_d, 0), OPERAND_Ewd = OPSPEC(OM_E, OS_wd, 0),
	/* register of 32 bits, memory of 8 or 16 (pinsrb, pextrw) */
	OPERAND_Edb = OPSPEC(OM_E, OS_d, 1), OPERAND_Edw = OPSPEC(OM_E, OS_d, 2),
	OPERAND_Gb = OPSPEC(OM_G, OS_b, 0), OPERAND_Gw = OPSPEC(OM_G, OS_w, 0),
	OPERAND_Gv = OPSPEC(OM_G, OS_v, 0), OPERAND_Gy = OPSPEC(OM_G, OS_y, 0),
	OPERAND_Gn = OPSPEC(OM_G, OS_n, 0), OPERAND_Gd = OPSPEC(OM_G, OS_d, 0),
	OPERAND_Ga = OPSPEC(OM_G, OS_ad, 0),
	OPERAND_By = OPSPEC(OM_B, OS_y, 0),
	OPERAND_Zb = OPSPEC(OM_Z, OS_b, 0), OPERAND_Zv = OPSPEC(OM_Z, OS_v, 0),
	OPERAND_AL = OPSPEC(OM_FIXED, OS_b, 0), OPERAND_CL = OPSPEC(OM_FIXED, OS_b, 1),
	OPERAND_AX = OPSPEC(OM_FIXED, OS_w, 0), OPERAND_DX = OPSPEC(OM_FIXED, OS_w, 2),
	OPERAND_rAX = OPSPEC(OM_FIXED, OS_v, 0),
	OPERAND_ES = OPSPEC(OM_SREG, OS_w, SEG_ES), OPERAND_CS = OPSPEC(OM_SREG, OS_w, SEG_CS),
	OPERAND_SS = OPSPEC(OM_SREG, OS_w, SEG_SS), OPERAND_DS = OPSPEC(OM_SREG, OS_w, SEG_DS),
	OPERAND_FS = OPSPEC(OM_SREG, OS_w, SEG_FS), OPERAND_GS = OPSPEC(OM_SREG, OS_w, SEG_GS),
	OPERAND_Ib = OPSPEC(OM_I, OS_b, 0), OPERAND_Iw = OPSPEC(OM_I, OS_w, 0),
	OPERAND_Iz = OPSPEC(OM_I, OS_z, 0), OPERAND_Iv = OPSPEC(OM_I, OS_v, 0),
	OPERAND_ONE = OPSPEC(OM_ONE, OS_b, 0),
	OPERAND_Jb = OPSPEC(OM_J, OS_b, 0), OPERAND_Jz = OPSPEC(OM_J, OS_z, 0),
	OPERAND_Ap = OPSPEC(OM_A, OS_p, 0),
	OPERAND_Ob = OPSPEC(OM_O, OS_b, 0), OPERAND_Ov = OPSPEC(OM_O, OS_v, 0),
	OPERAND_Sw = OPSPEC(OM_S, OS_w, 0),
	OPERAND_Cn = OPSPEC(OM_C, OS_n, 0), OPERAND_Dn = OPSPEC(OM_D, OS_n, 0),
	OPERAND_M = OPSPEC(OM_E, OS_0, 0), OPERAND_Ma = OPSPEC(OM_E, OS_a, 0),
	OPERAND_Mp = OPSPEC(OM_E, OS_p, 0), OPERAND_Ms = OPSPEC(OM_E, OS_s, 0),
	OPERAND_Mb = OPSPEC(OM_E, OS_b, 0), OPERAND_Mw = OPSPEC(OM_E, OS_w, 0),
	OPERAND_Md = OPSPEC(OM_E, OS_d, 0), OPERAND_Mq = OPSPEC(OM_E, OS_q, 0),
	OPERAND_Mt = OPSPEC(OM_E, OS_t, 0), OPERAND_Me = OPSPEC(OM_E, OS_e, 0),
	OPERAND_Mf = OPSPEC(OM_E, OS_f, 0), OPERAND_Mdq = OPSPEC(OM_E, OS_dq, 0),
	OPERAND_Mv = OPSPEC(OM_E, OS_v, 0), OPERAND_My = OPSPEC(OM_E, OS_y, 0),
	OPERAND_Mx = OPSPEC(OM_E, OS_x, 0), OPERAND_Mqq = OPSPEC(OM_E, OS_qq, 0),
	OPERAND_ST0 = OPSPEC(OM_ST0, OS_t, 0), OPERAND_STi = OPSPEC(OM_ST, OS_t, 0),
	OPERAND_Pq = OPSPEC(OM_P, OS_q, 0), OPERAND_Qq = OPSPEC(OM_Q, OS_q, 0),
	OPERAND_Qd = OPSPEC(OM_Q, OS_d, 0),
	OPERAND_Vx = OPSPEC(OM_V, OS_x, 0), OPERAND_Vdq = OPSPEC(OM_V, OS_dq, 0),
	OPERAND_Vqq = OPSPEC(OM_V, OS_qq, 0),
	OPERAND_Hx = OPSPEC(OM_H, OS_x, 0), OPERAND_Hdq = OPSPEC(OM_H, OS_dq, 0),
	OPERAND_Wx = OPSPEC(OM_W, OS_x, 0), OPERAND_Wdq = OPSPEC(OM_W, OS_dq, 0),
	OPERAND_Whx = OPSPEC(OM_W, OS_hx, 0), OPERAND_Wqx = OPSPEC(OM_W, OS_qx, 0),
	OPERAND_Wox = OPSPEC(OM_W, OS_ox, 0), OPERAND_Wdw = OPSPEC(OM_W, OS_dw, 0),
	OPERAND_Wq = OPSPEC(OM_W, OS_q, 0), OPERAND_Wd = OPSPEC(OM_W, OS_d, 0),
	OPERAND_Ww = OPSPEC(OM_W, OS_w, 0), OPERAND_Wb = OPSPEC(OM_W, OS_b, 0),
	OPERAND_Lx = OPSPEC(OM_L, OS_x, 0),
	OPERAND_XMM0 = OPSPEC(OM_XMM0, OS_dq, 0),
};

#define OR4(a, b, c, d, ...) (((a) | (b) | (c) | (d)) & OM_MODRM)
#define IS_VVVV(o) (OPSPEC_METHOD(o) == OM_H || OPSPEC_METHOD(o) == OM_B)
#define VVVV4(a, b, c, d, ...) (IS_VVVV(a) || IS_VVVV(b) || IS_VVVV(c) || IS_VVVV(d))
#define X86F_NONE FEATURE_NONE

/* Attributes are written without their prefix. SA: legacy SSE with an aligned memory operand. */
enum { BYTE = ROW_BYTE, D64 = ROW_D64, F64 = ROW_F64, NATSIZE = ROW_NATSIZE, MAX32 = ROW_MAX32,
       NOMEM = ROW_NOMEM, VSIB = ROW_VSIB, ALIGNED = ROW_ALIGNED, X87 = ROW_X87, MMX = ROW_MMX,
       SSE = ROW_SSE, GPR = ROW_GPR, SA = ROW_SSE | ROW_ALIGNED };

#define OP(...)

const struct x86_opcode x86_opcodes[] = {
	{ .key = 0xffff },
#define I(name, map, opc, n, sel, attrs, feat, ...) {					\
	.key = (map) << 8 | (opc), .count = (n), .feature = X86F_##feat,		\
	.mask = ((sel) + 0u) >> 16, .value = (sel) & 0xffffu,				\
	.op = X86_OP_##name,								\
	.attr = (attrs) | (((sel) + 0u) >> 16 & SEL_MODRM ? ROW_MODRM : 0) |		\
		(OR4(__VA_ARGS__, 0, 0, 0, 0) ? ROW_MODRM : 0) |			\
		(VVVV4(__VA_ARGS__, 0, 0, 0, 0) ? ROW_VVVV : 0),			\
	.opnd = { __VA_ARGS__ } },
#include "opcodes.def"
#undef I
};

const unsigned x86_opcode_count = ARRAY_SIZE(x86_opcodes);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
enum { ROW_BASE = __COUNTER__ };
/* A later initialiser overrides an earlier one: what stays is the key's last row. */
static const u16 last_row[8 << 8] = {
#define I(name, map, opc, n, ...) \
	[(map) << 8 | (opc) ... ((map) << 8 | (opc)) + (n) - 1] = __COUNTER__ - ROW_BASE,
#include "opcodes.def"
#undef I
};
#pragma GCC diagnostic pop

#undef OP
#undef REG
#undef MEM
#undef R
#undef W
#undef RW
#undef N
#undef _
/* clang-format on */

unsigned x86_opcode_last(unsigned key)
{
	return key < ARRAY_SIZE(last_row) ? last_row[key] : 0;
}

/* --- decoding ------------------------------------------------------------------------------------- */

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

struct decoder {
	struct x86_insn *i;
	const struct x86_state *s;
	const u8 *start, *p, *end;
	bool limited; /* end is the 15-byte limit, not the caller's */
	bool lng;     /* 64-bit mode */
	bool has_rex; /* a REX prefix counts: changes the meaning of byte registers 4-7 */
	u8 mode;
	u8 rex; /* REX_*, from REX or VEX */
	u8 vvvv;
	u8 mod, reg, rm; /* ModRM, not extended */
	u8 default_size; /* 2 or 4: the mode's operand size without prefixes */
	bool opsize_prefix, addr_prefix, lock;
	u8 rep;  /* last of F3/F2, or 0 */
	u8 imms; /* immediates fetched so far */
	u16 attr;
};

static enum x86_decode_result at_end(const struct decoder *d)
{
	return d->limited ? X86_DECODE_TOO_LONG : X86_DECODE_MORE;
}

typedef s16 __attribute__((may_alias, aligned(1))) unaligned_s16;
typedef s32 __attribute__((may_alias, aligned(1))) unaligned_s32;
typedef u64 __attribute__((may_alias, aligned(1))) unaligned_u64;

static bool fetch_signed(struct decoder *d, unsigned size, s64 *out)
{
	const u8 *p = d->p;

	if (unlikely((unsigned long)(d->end - p) < size))
		return false;
	d->p = p + size;
	switch (size) {
	case 1: *out = (s8)*p; break;
	case 2: *out = *(const unaligned_s16 *)p; break;
	case 4: *out = *(const unaligned_s32 *)p; break;
	default: *out = (s64) * (const unaligned_u64 *)p; break;
	}
	return true;
}

/* What each byte means before the opcode, in 64-bit mode REX too. */
enum prefix_kind { PFX_NONE, PFX_SEG, PFX_OPSIZE, PFX_ADDR, PFX_LOCK, PFX_REP, PFX_REX };

static enum prefix_kind prefix_kind(const struct decoder *d, u8 b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65: return PFX_SEG;
	case 0x66: return PFX_OPSIZE;
	case 0x67: return PFX_ADDR;
	case 0xf0: return PFX_LOCK;
	case 0xf2:
	case 0xf3: return PFX_REP;
	default: return d->lng && (b & 0xf0) == 0x40 ? PFX_REX : PFX_NONE;
	}
}

/* Consumes the prefixes; *opcode is the first byte that is none. */
static bool fetch_prefixes(struct decoder *d, u8 *opcode)
{
	u8 rex = 0;
	u8 b;

	for (; d->p < d->end; d->p++) {
		b = *d->p;
		switch (prefix_kind(d, b)) {
		case PFX_NONE:
			d->rex = rex & 0xf;
			d->has_rex = rex;
			d->p++;
			*opcode = b;
			return true;
		case PFX_SEG:
			if (b >= 0x64)
				d->i->seg_override = b - 0x64 + SEG_FS;
			else if (!d->lng) /* ignored in 64-bit mode */
				d->i->seg_override = b >> 3 & 3;
			break;
		case PFX_OPSIZE: d->opsize_prefix = true; break;
		case PFX_ADDR: d->addr_prefix = true; break;
		case PFX_LOCK: d->lock = true; break;
		case PFX_REP: d->rep = b; break;
		case PFX_REX: rex = b; continue;
		}
		rex = 0; /* a REX prefix that is not the last one is ignored */
	}
	return false;
}

/*
 * VEX after its first byte. In 32-bit modes the extension bits are inverted ones of ModRM.mod = 3, so R
 * and X are always 0, B is ignored; vvvv's top bit is ignored if vvvv is used.
 */
static bool fetch_vex(struct decoder *d, u8 first, unsigned *key)
{
	unsigned map = 1;
	u8 b1, b2;

	if (d->end - d->p < (first == 0xc4 ? 3 : 2))
		return false;
	b1 = *d->p++;
	if (first == 0xc4) {
		b2 = *d->p++;
		map = b1 & 31;
		d->rex = ~b1 >> 5 & (REX_R | REX_X | REX_B);
		d->rex |= b2 >> 7 ? REX_W : 0;
	} else {
		b2 = b1;
		d->rex = ~b1 >> 5 & REX_R;
	}
	d->vvvv = ~b2 >> 3 & 15;
	if (!d->lng)
		d->rex &= REX_W;
	d->i->vl = b2 & 4 ? 32 : 16;
	switch (b2 & 3) {
	case 0: d->i->prefix = 0; break;
	case 1: d->i->prefix = 0x66; break;
	case 2: d->i->prefix = 0xf3; break;
	default: d->i->prefix = 0xf2; break;
	}
	d->i->flags |= INSN_VEX;
	d->i->map = map;
	d->i->opcode = *d->p++;
	/* Maps that do not exist get a key without rows. */
	*key = (map >= 1 && map <= 3 ? MAP_VEX | map : MAP_VEX) << 8 | d->i->opcode;
	return true;
}

/* The key of the table: map and opcode. */
static enum x86_decode_result fetch_opcode(struct decoder *d, unsigned *key)
{
	u8 b;

	if (!fetch_prefixes(d, &b))
		return at_end(d);
	if (b == 0xc4 || b == 0xc5 || b == 0x62) {
		bool extended = d->lng;

		if (!extended && d->mode >= X86_MODE_PROT16) {
			/* LES, LDS and BOUND have no register form: that encoding is VEX, EVEX. */
			if (d->p == d->end)
				return at_end(d);
			extended = *d->p >= 0xc0;
		}
		if (extended && b == 0x62)
			return X86_DECODE_UD; /* EVEX */
		if (extended) {
			if (d->opsize_prefix || d->rep || d->lock || d->has_rex)
				return X86_DECODE_UD;
			return fetch_vex(d, b, key) ? X86_DECODE_OK : at_end(d);
		}
	}
	d->i->map = 0;
	if (b == 0x0f) {
		if (d->p == d->end)
			return at_end(d);
		b = *d->p++;
		d->i->map = 1;
		if (b == 0x38 || b == 0x3a) {
			d->i->map = b == 0x38 ? 2 : 3;
			if (d->p == d->end)
				return at_end(d);
			b = *d->p++;
		}
	}
	d->i->prefix = d->rep ? d->rep : d->opsize_prefix ? 0x66 : 0;
	d->i->opcode = b;
	*key = (unsigned)d->i->map << 8 | b;
	return X86_DECODE_OK;
}

static unsigned select_bits(const struct decoder *d)
{
	const struct x86_insn *i = d->i;
	unsigned sel = 0;

	if (d->attr & ROW_MODRM)
		sel = i->modrm & 0x3f;
	if (d->mod == 3)
		sel |= SEL_MOD3;
	if (d->rex & REX_W)
		sel |= SEL_W;
	if (d->rex & REX_B)
		sel |= SEL_B;
	if (d->lng)
		sel |= SEL_LONG;
	if (i->vl == 32)
		sel |= SEL_L;
	if (d->mode > X86_MODE_VM86)
		sel |= SEL_PROT;
	if (i->prefix)
		sel |= (i->prefix == 0x66 ? 1u : i->prefix == 0xf3 ? 2u : 3u) << SEL_PFX_SHIFT;
	return sel;
}

static const struct x86_opcode *find_row(const struct decoder *d, unsigned last)
{
	unsigned sel = select_bits(d);
	const struct x86_opcode *row = &x86_opcodes[last];
	unsigned key = row->key;

	for (; row->key == key; row--) {
		if ((sel & row->mask) != row->value)
			continue;
		if (d->s && row->feature != FEATURE_NONE && !x86_has(d->s, row->feature))
			continue;
		return row;
	}
	return NULL;
}

static void set_sizes(struct decoder *d)
{
	struct x86_insn *i = d->i;
	u16 attr = d->attr;
	unsigned size;

	if (attr & ROW_BYTE)
		size = 1;
	else if (attr & ROW_NATSIZE)
		size = d->lng ? 8 : 4;
	else if (!d->lng)
		size = d->opsize_prefix ? 6 - d->default_size : d->default_size;
	else if (attr & ROW_F64)
		size = d->opsize_prefix && !(d->rex & REX_W) && d->s && d->s->vendor_amd ? 2 : 8;
	else if (d->rex & REX_W && !(i->flags & INSN_VEX))
		size = attr & ROW_MAX32 ? 4 : 8;
	else if (d->opsize_prefix)
		size = 2;
	else
		size = attr & ROW_D64 ? 8 : 4;
	i->opsize = size;
	if (d->opsize_prefix)
		i->flags |= INSN_OPSIZE;
	if (d->rex & REX_W)
		i->flags |= INSN_REX_W;
}

/* SDM volume 2, "Addressing-Mode Encoding of ModR/M and SIB Bytes". */
static bool fetch_ea16(struct decoder *d)
{
	static const struct {
		u8 base, index;
	} form[8] = {
		{ X86_RBX, X86_RSI },      { X86_RBX, X86_RDI },      { X86_RBP, X86_RSI },
		{ X86_RBP, X86_RDI },      { X86_RSI, X86_REG_NONE }, { X86_RDI, X86_REG_NONE },
		{ X86_RBP, X86_REG_NONE }, { X86_RBX, X86_REG_NONE },
	};
	struct x86_insn *i = d->i;

	if (d->mod == 0 && d->rm == 6)
		return fetch_signed(d, 2, &i->disp);
	i->base = form[d->rm].base;
	i->index = form[d->rm].index;
	if (i->base == X86_RBP)
		i->seg = SEG_SS;
	return !d->mod || fetch_signed(d, d->mod, &i->disp);
}

static bool fetch_ea(struct decoder *d)
{
	struct x86_insn *i = d->i;
	unsigned disp = d->mod == 1 ? 1 : d->mod == 2 ? 4 : 0;
	unsigned base = d->rm;
	u8 sib;

	if (base == 4) {
		if (d->p == d->end)
			return false;
		sib = *d->p++;
		base = sib & 7;
		i->scale = sib >> 6;
		i->index = (sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0);
		if (i->index == 4 && !(d->attr & ROW_VSIB))
			i->index = X86_REG_NONE;
		if (base == 5 && d->mod == 0) {
			base = X86_REG_NONE;
			disp = 4;
		}
	} else if (base == 5 && d->mod == 0) {
		base = d->lng ? X86_REG_RIP : X86_REG_NONE;
		disp = 4;
	}
	if (base < 8) {
		/* The default segment goes by the register number with REX.B. */
		base |= d->rex & REX_B ? 8 : 0;
		if (base == X86_RSP || base == X86_RBP)
			i->seg = SEG_SS;
	}
	i->base = base;
	return !disp || fetch_signed(d, disp, &i->disp);
}

static unsigned operand_size(const struct decoder *d, unsigned code)
{
	const struct x86_insn *i = d->i;
	static const u8 fixed[8] = { 0, 1, 2, 4, 8, 10, 16, 32 };
	unsigned full = i->opsize;

	if (code < ARRAY_SIZE(fixed))
		return fixed[code];
	switch (code) {
	case OS_v: return full;
	case OS_z: return full > 4 ? 4 : full;
	case OS_y: return d->lng && d->rex & REX_W ? 8 : 4;
	case OS_n: return d->lng ? 8 : 4;
	case OS_ad: return i->adsize;
	case OS_p: return full + 2;
	case OS_s: return d->lng ? 10 : 6;
	case OS_a: return 2 * full;
	case OS_x: return i->vl;
	case OS_hx: return i->vl / 2;
	case OS_qx: return i->vl / 4;
	case OS_ox: return i->vl / 8;
	case OS_wd: return d->mod == 3 ? full : 2;
	case OS_dw: return d->mod == 3 || i->vl == 32 ? i->vl : 8;
	case OS_e: return full == 2 ? 14 : 28;
	default: return full == 2 ? 94 : 108; /* OS_f */
	}
}

static void set_gpr(const struct decoder *d, struct x86_operand *o, unsigned low, unsigned ext)
{
	o->kind = OPND_GPR;
	o->reg = low | (d->rex & ext ? 8 : 0);
	if (o->size == 1 && low >= 4 && !d->has_rex && !(d->i->flags & INSN_VEX))
		o->reg = low - 4 + 16;
}

static void set_reg(struct x86_operand *o, unsigned kind, unsigned reg)
{
	o->kind = kind;
	o->reg = reg;
}

static void set_mem(const struct decoder *d, struct x86_operand *o, unsigned arg)
{
	struct x86_insn *i = d->i;

	o->kind = OPND_MEM;
	if (arg)
		o->size = arg;
	if (o->access & OPACC_R)
		i->flags |= INSN_LOAD;
	if (o->access & OPACC_W)
		i->flags |= INSN_STORE;
}

static bool fetch_imm(struct decoder *d, struct x86_operand *o)
{
	o->kind = OPND_IMM;
	o->reg = d->imms++;
	return fetch_signed(d, o->size, o->reg ? &d->i->imm2 : &d->i->imm);
}

static bool fetch_far(struct decoder *d, struct x86_operand *o)
{
	struct x86_insn *i = d->i;

	o->kind = OPND_FAR;
	if (!fetch_signed(d, i->opsize, &i->imm) || !fetch_signed(d, 2, &i->imm2))
		return false;
	i->imm = i->opsize == 2 ? (u16)i->imm : (u32)i->imm;
	i->imm2 = (u16)i->imm2;
	return true;
}

static bool fetch_moffs(struct decoder *d, struct x86_operand *o)
{
	struct x86_insn *i = d->i;

	set_mem(d, o, 0);
	if (!fetch_signed(d, i->adsize, &i->disp))
		return false;
	if (i->adsize < 8)
		i->disp = i->adsize == 2 ? (u16)i->disp : (u32)i->disp;
	return true;
}

/* A vector register in bits 7-4 of an immediate byte (in 64-bit mode; 6-4 else). */
static bool fetch_is4(struct decoder *d, struct x86_operand *o)
{
	struct x86_operand imm = { .size = 1 };

	if (!fetch_imm(d, &imm))
		return false;
	set_reg(o, OPND_XMM, d->i->imm >> 4 & (d->lng ? 15 : 7));
	return true;
}

static enum x86_decode_result system_register(const struct decoder *d, struct x86_operand *o, unsigned method)
{
	unsigned n = d->reg | (d->rex & REX_R ? 8 : 0);

	switch (method) {
	case OM_S:
		n = d->reg;
		set_reg(o, OPND_SEG, n);
		if (n > SEG_GS || (n == SEG_CS && o->access & OPACC_W))
			return X86_DECODE_UD;
		break;
	case OM_C:
		set_reg(o, OPND_CR, n);
		if (n != 0 && n != 2 && n != 3 && n != 4 && n != 8)
			return X86_DECODE_UD;
		break;
	default:
		set_reg(o, OPND_DR, n);
		if (n > 7)
			return X86_DECODE_UD;
		break;
	}
	return X86_DECODE_OK;
}

static enum x86_decode_result fetch_operand(struct decoder *d, struct x86_operand *o, unsigned spec)
{
	struct x86_insn *i = d->i;
	unsigned r = d->rex & REX_R ? 8 : 0, b = d->rex & REX_B ? 8 : 0;
	unsigned method = OPSPEC_METHOD(spec), arg = OPSPEC_ARG(spec);
	unsigned vvvv = d->lng ? d->vvvv : d->vvvv & 7;
	bool ok = true;

	o->size = operand_size(d, OPSPEC_SIZE(spec));
	o->access = OPSPEC_ACCESS(spec);
	switch (method) {
	case OM_E:
		if (d->mod == 3)
			set_gpr(d, o, d->rm, REX_B);
		else
			set_mem(d, o, arg);
		break;
	case OM_G:
		set_gpr(d, o, d->reg, REX_R);
		o->access |= OPACC_REG;
		break;
	case OM_I: ok = fetch_imm(d, o); break;
	case OM_Z: set_gpr(d, o, i->opcode & 7, REX_B); break;
	case OM_FIXED: set_reg(o, OPND_GPR, arg); break;
	case OM_J:
		o->kind = OPND_REL;
		ok = fetch_signed(d, o->size, &i->imm);
		break;
	case OM_ONE:
		o->kind = OPND_IMM;
		i->imm = 1;
		break;
	case OM_A: ok = fetch_far(d, o); break;
	case OM_O: ok = fetch_moffs(d, o); break;
	case OM_SREG: set_reg(o, OPND_SEG, arg); break;
	case OM_S:
	case OM_C:
	case OM_D: return system_register(d, o, method);
	case OM_B: set_reg(o, OPND_GPR, vvvv); break;
	case OM_ST0: set_reg(o, OPND_ST, 0); break;
	case OM_ST: set_reg(o, OPND_ST, d->rm); break;
	case OM_P:
		set_reg(o, OPND_MMX, d->reg);
		o->access |= OPACC_REG;
		break;
	case OM_Q:
		if (d->mod == 3)
			set_reg(o, OPND_MMX, d->rm);
		else
			set_mem(d, o, 0);
		break;
	case OM_V:
		set_reg(o, OPND_XMM, d->reg | r);
		o->access |= OPACC_REG;
		break;
	case OM_W:
		if (d->mod == 3)
			set_reg(o, OPND_XMM, d->rm | b);
		else
			set_mem(d, o, 0);
		break;
	case OM_H: set_reg(o, OPND_XMM, vvvv); break;
	case OM_XMM0: set_reg(o, OPND_XMM, 0); break;
	default: ok = fetch_is4(d, o); break;
	}
	return ok ? X86_DECODE_OK : at_end(d);
}

static enum x86_decode_result fetch_operands(struct decoder *d, const struct x86_opcode *row)
{
	enum x86_decode_result r;
	unsigned n;

	for (n = 0; n < 4 && row->opnd[n]; n++) {
		r = fetch_operand(d, &d->i->opnd[n], row->opnd[n]);
		if (unlikely(r != X86_DECODE_OK))
			return r;
	}
	d->i->nr_operands = n;
	return X86_DECODE_OK;
}

/* The flags that depend on how the operation is encoded. */
static void set_flags(struct decoder *d)
{
	struct x86_insn *i = d->i;

	i->flags |= x86_op_flags[i->op] & ~INSN_LOCK;
	i->rex = d->rex;
	i->vvvv = d->lng ? d->vvvv : d->vvvv & 7;
	if (d->attr & ROW_MODRM)
		i->flags |= INSN_HAS_MODRM;
	if (d->addr_prefix)
		i->flags |= INSN_ADDR32;
	if (d->attr & ROW_ALIGNED)
		i->flags |= INSN_ALIGNED;
	if (d->attr & ROW_X87)
		i->flags |= INSN_X87;
	if (d->attr & ROW_MMX)
		i->flags |= INSN_MMX;
	if (d->attr & ROW_SSE)
		i->flags |= INSN_SSE;
	if (i->flags & INSN_STRING && d->rep)
		i->rep = d->rep == 0xf3 ? REP_REPE : REP_REPNE;
	if (i->op == X86_OP_JCC || i->op == X86_OP_SETCC || i->op == X86_OP_CMOVCC)
		i->cond = i->opcode & 15;
}

/* LOCK is allowed on a read-modify-write of memory by an operation that knows it. */
static bool lock_ok(struct decoder *d)
{
	const struct x86_insn *i = d->i;

	if (!(x86_op_flags[i->op] & INSN_LOCK) || i->opnd[0].kind != OPND_MEM || !(i->opnd[0].access & OPACC_W))
		return false;
	d->i->flags |= INSN_LOCK;
	return true;
}

/* Rules of VEX encodings that the table does not show. */
static bool vex_ok(const struct decoder *d, const struct x86_opcode *row)
{
	const struct x86_insn *i = d->i;

	if (!(row->attr & ROW_VVVV) && d->vvvv)
		return false;
	if (!(row->attr & ROW_VSIB))
		return true;
	/* A gather needs a SIB byte and three different registers. */
	return d->rm == 4 && i->adsize != 2 && i->opnd[0].reg != i->index && i->opnd[0].reg != i->opnd[2].reg &&
	       i->opnd[2].reg != i->index;
}

static enum x86_decode_result decode_rest(struct decoder *d, unsigned key)
{
	struct x86_insn *i = d->i;
	const struct x86_opcode *row;
	enum x86_decode_result r;
	unsigned last = last_row[key];

	if (unlikely(!last))
		return X86_DECODE_UD;
	d->attr = x86_opcodes[last].attr; /* all rows of a key agree about ModRM and NOMEM */
	if (d->attr & ROW_MODRM) {
		if (unlikely(d->p == d->end))
			return at_end(d);
		i->modrm = *d->p++;
		d->mod = d->attr & ROW_NOMEM ? 3 : i->modrm >> 6;
		d->reg = i->modrm >> 3 & 7;
		d->rm = i->modrm & 7;
	}
	row = find_row(d, last);
	if (unlikely(!row))
		return X86_DECODE_UD;
	d->attr = row->attr;
	if (!d->lng && !(row->mask & SEL_W))
		d->rex = 0; /* VEX.W is ignored where it would select 64-bit operands */
	i->op = row->op;
	i->row = (u16)(row - x86_opcodes);
	set_sizes(d);
	if (d->attr & ROW_MODRM && d->mod != 3 && !(i->adsize == 2 ? fetch_ea16(d) : fetch_ea(d)))
		return at_end(d);
	r = fetch_operands(d, row);
	if (unlikely(r != X86_DECODE_OK))
		return r;
	if (unlikely(d->lock) && !lock_ok(d))
		return X86_DECODE_UD;
	if (i->flags & INSN_VEX && !vex_ok(d, row))
		return X86_DECODE_UD;
	if (i->seg_override != SEG_NONE)
		i->seg = i->seg_override;
	set_flags(d);
	return X86_DECODE_OK;
}

/* Zero all but the bytes. Compilers make a call or a string instruction of memset and of a plain loop, which is slower. */
static void clear_insn(struct x86_insn *i)
{
	u64 __attribute__((may_alias)) *p = (void *)i;

	_Static_assert(offsetof(struct x86_insn, bytes) % 8 == 0, "cleared in words");
#pragma GCC unroll 32
	for (unsigned n = 0; n < offsetof(struct x86_insn, bytes) / 8; n++) {
		p[n] = 0;
		__asm__("" : "+r"(p));
	}
}

enum x86_decode_result x86_decode(struct x86_insn *i, const u8 *buf, unsigned avail, enum x86_mode mode,
				  const struct x86_state *s)
{
	struct decoder d = {
		.i = i,
		.s = s,
		.start = buf,
		.p = buf,
		.mode = mode,
		.lng = mode == X86_MODE_LONG,
		.default_size = mode < X86_MODE_PROT32 ? 2 : 4,
		.limited = avail >= X86_MAX_INSN_LEN,
	};
	enum x86_decode_result r;
	unsigned key;

	d.end = buf + (d.limited ? X86_MAX_INSN_LEN : avail);
	clear_insn(i);
	i->base = i->index = X86_REG_NONE;
	i->seg = SEG_DS;
	i->vl = 16;
	i->seg_override = SEG_NONE;
	r = fetch_opcode(&d, &key);
	if (likely(r == X86_DECODE_OK)) {
		if (d.lng)
			i->adsize = d.addr_prefix ? 4 : 8;
		else
			i->adsize = d.addr_prefix ? 6 - d.default_size : d.default_size;
		r = decode_rest(&d, key);
	}
	i->len = d.p - buf;
	if (unlikely(r != X86_DECODE_OK))
		return r;
	if (d.limited) {
		/* Two overlapping moves instead of a call; what follows the instruction does not matter. */
		*(unaligned_u64 *)i->bytes = *(const unaligned_u64 *)buf;
		*(unaligned_u64 *)(i->bytes + 7) = *(const unaligned_u64 *)(buf + 7);
	} else {
		memcpy(i->bytes, buf, i->len);
	}
	x86_bind(i);
	return X86_DECODE_OK;
}
