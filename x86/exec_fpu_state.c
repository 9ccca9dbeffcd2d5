/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Instructions that store or load x87 and vector state as a whole: FXSAVE, FXRSTOR, the XSAVE family, the x87
 * environment. They work on s->xsave. SDM volume 1, "Managing State Using the XSAVE Feature Set", "x87 FPU State Image".
 */
#include "fpu_state.h"
#include "optable.h"

#define FX_SSE_BYTES(s) ((s)->mode == X86_MODE_LONG ? 256u : 128u)
#define YMMH_BYTES(s) FX_SSE_BYTES(s)
#define FX_XMM offsetof(struct x86_fxregs, xmm)
#define FX_ST offsetof(struct x86_fxregs, st)
#define FX_MXCSR offsetof(struct x86_fxregs, mxcsr)
#define XS_HEADER offsetof(struct x86_xsave, xstate_bv)
#define XS_YMMH offsetof(struct x86_xsave, ymmh)
#define XCOMP_COMPACTED (1ull << 63)

static enum x86_result write_part(struct x86_state *s, const struct x86_insn *i, u64 lin, const void *from,
				  unsigned off, unsigned size)
{
	return x86_write_linear(s, s->mmu_index, i->seg, lin + off, (const u8 *)from + off, size);
}

static enum x86_result read_part(struct x86_state *s, const struct x86_insn *i, u64 lin, void *to, unsigned off,
				 unsigned size)
{
	return x86_read_linear(s, s->mmu_index, i->seg, lin + off, (u8 *)to + off, size);
}

/* Address and alignment of an area operand. */
static enum x86_result area_operand(struct x86_state *s, const struct x86_insn *i, unsigned size, unsigned align,
				    enum x86_access acc, u64 *lin)
{
	enum x86_result r = x86_fpu_operand(s, i, size, acc, lin);

	if (r == X86_OK && *lin & (align - 1))
		return x86_raise_error(s, X86_EXC_GP, 0);
	return r;
}

/* Instruction and data pointer of an image without REX.W: 32 bits and a selector each. */
static void pointers_to_short(const struct x86_state *s, struct x86_fxregs *fx)
{
	fx->fip = (u32)fx->fip | (u64)s->fpu_cs << 32;
	fx->fdp = (u32)fx->fdp | (u64)s->fpu_ds << 32;
}

/* What the processor makes of any control and status word: reserved bits fixed, error summary and busy derived. */
static void load_control(struct x86_fxregs *fx, u16 fcw, u16 fsw)
{
	bool pending = fsw & ~fcw & 0x3f;

	fx->fcw = (fcw & 0x1f3f) | 0x40;
	fx->fsw = (fsw & 0x7f7f) | (pending ? 0x8080 : 0);
}

/* What is reserved behind the 80 bits of a register is not loaded, and stored as 0. */
static void load_registers(struct x86_fxregs *fx)
{
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(fx->st); n++)
		memset(fx->st[n] + 10, 0, sizeof(fx->st[n]) - 10);
	fx->reserved1 = 0;
}

static void pointers_from_image(struct x86_state *s, const struct x86_insn *i, struct x86_fxregs *fx)
{
	if (i->rex & 8)
		return;
	s->fpu_cs = (u16)(fx->fip >> 32);
	s->fpu_ds = (u16)(fx->fdp >> 32);
	fx->fip = (u32)fx->fip;
	fx->fdp = (u32)fx->fdp;
}

/* --- FXSAVE, FXRSTOR ----------------------------------------------------------------------------------- */

static enum x86_result check_fx(struct x86_state *s)
{
	return s->cr0 & (CR0_EM | CR0_TS) ? x86_raise(s, X86_EXC_NM) : X86_OK;
}

/* Bytes of the image; AMD's fast form leaves the XMM registers out (APM volume 2, "FFXSR"). */
static unsigned fx_bytes(const struct x86_state *s)
{
	if (s->efer & X86_EFER_FFXSR && s->cpl == 0 && s->mode == X86_MODE_LONG)
		return FX_XMM;
	return FX_XMM + FX_SSE_BYTES(s);
}

enum x86_result x86_exec_fxsave(struct x86_state *s, const struct x86_insn *i)
{
	struct x86_fxregs fx;
	enum x86_result r = check_fx(s);
	u64 lin;

	if (r == X86_OK)
		r = area_operand(s, i, sizeof(fx), 16, ACC_WRITE, &lin);
	if (r != X86_OK)
		return r;
	fx = x86_fpu_area(s)->fx;
	if (!(i->rex & 8))
		pointers_to_short(s, &fx);
	fx.mxcsr_mask = MXCSR_VALID;
	/* All of the area must be writable, also the part that stays as it is. */
	r = x86_probe_linear(s, s->mmu_index, i->seg, lin, sizeof(fx), ACC_WRITE);
	if (r != X86_OK)
		return r;
	return write_part(s, i, lin, &fx, 0, fx_bytes(s));
}

enum x86_result x86_exec_fxrstor(struct x86_state *s, const struct x86_insn *i)
{
	struct x86_fxregs fx;
	struct x86_xsave *x;
	enum x86_result r = check_fx(s);
	unsigned size = fx_bytes(s);
	u32 mask;
	u64 lin;

	if (r == X86_OK)
		r = area_operand(s, i, sizeof(fx), 16, ACC_READ, &lin);
	if (r == X86_OK)
		r = read_part(s, i, lin, &fx, 0, size);
	if (r != X86_OK)
		return r;
	if (fx.mxcsr & ~MXCSR_VALID)
		return x86_raise_error(s, X86_EXC_GP, 0);
	x = x86_fpu_area(s);
	mask = x->fx.mxcsr_mask;
	pointers_from_image(s, i, &fx);
	load_control(&fx, fx.fcw, fx.fsw);
	load_registers(&fx);
	memcpy(&x->fx, &fx, size);
	x->fx.mxcsr_mask = mask;
	x->xstate_bv |= XFEATURE_X87 | XFEATURE_SSE;
	x86_fpu_changed(s);
	return X86_OK;
}

/* --- XSAVE family: storing ------------------------------------------------------------------------------- */

static enum x86_result check_xsave(struct x86_state *s)
{
	if (!(s->cr4 & CR4_OSXSAVE))
		return x86_raise(s, X86_EXC_UD);
	return s->cr0 & CR0_TS ? x86_raise(s, X86_EXC_NM) : X86_OK;
}

/* The requested-feature bitmap. */
static u64 requested(const struct x86_state *s)
{
	return ((u64)(u32)s->gpr[X86_RDX] << 32 | (u32)s->gpr[X86_RAX]) & s->xcr0 & XFEATURES;
}

static unsigned xsave_bytes(const struct x86_state *s, u64 rfbm)
{
	return rfbm & XFEATURE_AVX ? XS_YMMH + YMMH_BYTES(s) : XS_HEADER + 64;
}

/* --- AVX-512 components: part n of three, directly between our area and memory --------------------------------- */

/* Outside 64-bit mode the lower eight ZMM registers alone are there. */
static unsigned avx512_bytes(const struct x86_state *s, unsigned n)
{
	return s->mode == X86_MODE_LONG || n == 0 ? avx512_size(n) : n == 1 ? 256 : 0;
}

/* Where it lies in the guest's area. compacted: XCOMP_BV, or 0. All sizes are multiples of 64: no gaps for alignment. */
static unsigned avx512_offset(const struct x86_state *s, unsigned n, u64 compacted)
{
	unsigned at = XS_YMMH + (compacted & XFEATURE_AVX ? sizeof(((struct x86_xsave *)0)->ymmh) : 0);

	if (!compacted)
		return s->xsave_avx512[n];
	while (n--)
		if (compacted & avx512_part(n))
			at += avx512_size(n);
	return at;
}

/* What is done with one component: size bytes at lin in the guest, and ours. */
typedef enum x86_result part_fn(struct x86_state *s, const struct x86_insn *i, u64 lin, void *ours, unsigned size);

static enum x86_result each_avx512(struct x86_state *s, const struct x86_insn *i, u64 lin, u64 which, u64 compacted,
				   part_fn *fn)
{
	enum x86_result r = X86_OK;

	for (unsigned n = 0; n < AVX512_PARTS && r == X86_OK; n++)
		if (which & avx512_part(n) && avx512_bytes(s, n))
			r = fn(s, i, lin + avx512_offset(s, n, compacted), (u8 *)s->xsave + s->xsave_avx512[n],
			       avx512_bytes(s, n));
	return r;
}

static enum x86_result part_readable(struct x86_state *s, const struct x86_insn *i, u64 lin, void *ours, unsigned size)
{
	return x86_probe_linear(s, s->mmu_index, i->seg, lin, size, ACC_READ);
}

static enum x86_result part_writable(struct x86_state *s, const struct x86_insn *i, u64 lin, void *ours, unsigned size)
{
	return x86_probe_linear(s, s->mmu_index, i->seg, lin, size, ACC_WRITE);
}

static enum x86_result load_part(struct x86_state *s, const struct x86_insn *i, u64 lin, void *ours, unsigned size)
{
	return read_part(s, i, lin, ours, 0, size);
}

static enum x86_result store_part(struct x86_state *s, const struct x86_insn *i, u64 lin, void *ours, unsigned size)
{
	return write_part(s, i, lin, ours, 0, size);
}

/* The components of rfbm that are not loaded become initial, as far as the mode reaches them. */
static u64 initialize_avx512(struct x86_state *s, u64 rfbm, u64 load)
{
	u64 kept = 0;

	for (unsigned n = 0; n < AVX512_PARTS; n++) {
		if (!(rfbm & avx512_part(n)))
			continue;
		if (!(load & avx512_part(n)))
			memset((u8 *)s->xsave + s->xsave_avx512[n], 0, avx512_bytes(s, n));
		if (avx512_bytes(s, n) < avx512_size(n))
			kept |= avx512_part(n);
	}
	return kept;
}

/* Write the components in which, then header_size bytes of the header. Nothing faults: the caller has probed. */
static enum x86_result write_components(struct x86_state *s, const struct x86_insn *i, u64 lin,
					const struct x86_xsave *x, u64 which, bool mxcsr, unsigned header_size)
{
	enum x86_result r = X86_OK;

	if (which & XFEATURE_X87) {
		r = write_part(s, i, lin, x, 0, FX_MXCSR);
		if (r == X86_OK)
			r = write_part(s, i, lin, x, FX_ST, sizeof(x->fx.st));
	}
	if (r == X86_OK && mxcsr)
		r = write_part(s, i, lin, x, FX_MXCSR, 8);
	if (r == X86_OK && which & XFEATURE_SSE)
		r = write_part(s, i, lin, x, FX_XMM, FX_SSE_BYTES(s));
	if (r == X86_OK && which & XFEATURE_AVX)
		r = write_part(s, i, lin, x, XS_YMMH, YMMH_BYTES(s));
	if (r == X86_OK)
		r = write_part(s, i, lin, x, XS_HEADER, header_size);
	return r;
}

/* Everything that an XSAVE variant stores is made in this image. */
static void make_image(struct x86_state *s, const struct x86_insn *i, struct x86_xsave *x)
{
	const struct x86_xsave *area = x86_fpu_area(s);

	memcpy(x, area, XS_HEADER);
	memset(&x->xstate_bv, 0, sizeof(*x) - XS_HEADER);
	x->xstate_bv = area->xstate_bv;
	if (s->xcr0 & XFEATURE_AVX)
		memcpy(x->ymmh, area->ymmh, sizeof(x->ymmh));
	if (!(i->rex & 8))
		pointers_to_short(s, &x->fx);
	x->fx.mxcsr_mask = MXCSR_VALID;
}

/* XSAVE, XSAVEOPT. The latter may leave out what is in its initial state; nothing is assumed about modifications. */
static enum x86_result save_standard(struct x86_state *s, const struct x86_insn *i, bool optimized)
{
	struct x86_xsave x;
	u64 lin, rfbm = requested(s), old = 0, which;
	enum x86_result r = check_xsave(s);

	if (r == X86_OK)
		r = area_operand(s, i, xsave_bytes(s, rfbm), 64, ACC_WRITE, &lin);
	if (r == X86_OK)
		r = x86_probe_linear(s, s->mmu_index, i->seg, lin, xsave_bytes(s, rfbm), ACC_WRITE);
	if (r == X86_OK)
		r = each_avx512(s, i, lin, rfbm, 0, part_writable);
	if (r == X86_OK)
		r = x86_read_linear(s, s->mmu_index, i->seg, lin + XS_HEADER, &old, sizeof(old));
	if (r != X86_OK)
		return r;
	make_image(s, i, &x);
	which = optimized ? rfbm & x.xstate_bv : rfbm;
	r = each_avx512(s, i, lin, which, 0, store_part);
	if (r != X86_OK)
		return r;
	x.xstate_bv = (old & ~rfbm) | (x.xstate_bv & rfbm);
	return write_components(s, i, lin, &x, which, rfbm & (XFEATURE_SSE | XFEATURE_AVX), 8);
}

static enum x86_result save_compacted(struct x86_state *s, const struct x86_insn *i)
{
	struct x86_xsave x;
	u64 lin, rfbm = requested(s);
	enum x86_result r = check_xsave(s);

	if (r == X86_OK)
		r = area_operand(s, i, xsave_bytes(s, rfbm), 64, ACC_WRITE, &lin);
	if (r == X86_OK)
		r = x86_probe_linear(s, s->mmu_index, i->seg, lin, xsave_bytes(s, rfbm), ACC_WRITE);
	if (r == X86_OK)
		r = each_avx512(s, i, lin, rfbm, rfbm | XCOMP_COMPACTED, part_writable);
	if (r != X86_OK)
		return r;
	make_image(s, i, &x);
	if (x.fx.mxcsr != MXCSR_INIT)
		x.xstate_bv |= XFEATURE_SSE;
	x.xstate_bv &= rfbm;
	x.xcomp_bv = rfbm | XCOMP_COMPACTED;
	r = each_avx512(s, i, lin, x.xstate_bv, x.xcomp_bv, store_part);
	if (r != X86_OK)
		return r;
	return write_components(s, i, lin, &x, x.xstate_bv, x.xstate_bv & XFEATURE_SSE, 16);
}

enum x86_result x86_exec_xsave(struct x86_state *s, const struct x86_insn *i)
{
	return save_standard(s, i, false);
}

enum x86_result x86_exec_xsaveopt(struct x86_state *s, const struct x86_insn *i)
{
	return save_standard(s, i, true);
}

enum x86_result x86_exec_xsavec(struct x86_state *s, const struct x86_insn *i)
{
	return save_compacted(s, i);
}

/* There are no supervisor components (IA32_XSS is 0), so the S forms are the compacted ones, for CPL 0. */
enum x86_result x86_exec_xsaves(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = check_xsave(s);

	if (r == X86_OK)
		r = x86_need_cpl0(s);
	return r == X86_OK ? save_compacted(s, i) : r;
}

/* --- XRSTOR ------------------------------------------------------------------------------------------------ */

/* The header's rules; #GP(0) if it breaks them. */
static enum x86_result check_header(struct x86_state *s, const struct x86_xsave *x, bool only_compacted)
{
	bool compacted = x->xcomp_bv & XCOMP_COMPACTED;
	u64 parts = x->xcomp_bv & ~XCOMP_COMPACTED;
	bool bad = x->xstate_bv & ~s->xcr0 || x->reserved[0];

	if (compacted) {
		bad |= !x86_has(s, X86F_XSAVEC) || parts & ~s->xcr0 || x->xstate_bv & ~parts;
		for (unsigned n = 1; n < ARRAY_SIZE(x->reserved); n++)
			bad |= x->reserved[n] != 0;
	} else {
		bad |= x->xcomp_bv || only_compacted;
	}
	return bad ? x86_raise_error(s, X86_EXC_GP, 0) : X86_OK;
}

static enum x86_result read_components(struct x86_state *s, const struct x86_insn *i, u64 lin, struct x86_xsave *x,
				       u64 which, bool mxcsr)
{
	enum x86_result r = X86_OK;

	if (which & XFEATURE_X87) {
		r = read_part(s, i, lin, x, 0, FX_MXCSR);
		if (r == X86_OK)
			r = read_part(s, i, lin, x, FX_ST, sizeof(x->fx.st));
	}
	if (r == X86_OK && mxcsr) {
		r = read_part(s, i, lin, x, FX_MXCSR, 4);
		if (r == X86_OK && x->fx.mxcsr & ~MXCSR_VALID)
			r = x86_raise_error(s, X86_EXC_GP, 0);
	}
	if (r == X86_OK && which & XFEATURE_SSE)
		r = read_part(s, i, lin, x, FX_XMM, FX_SSE_BYTES(s));
	if (r == X86_OK && which & XFEATURE_AVX)
		r = read_part(s, i, lin, x, XS_YMMH, YMMH_BYTES(s));
	return r;
}

/* rfbm: what is asked for; x: the image, of which the components in its xstate_bv have been read. */
static enum x86_result install_image(struct x86_state *s, const struct x86_insn *i, u64 lin, struct x86_xsave *x,
				     u64 rfbm, bool mxcsr)
{
	struct x86_xsave *area = x86_fpu_area(s);
	u64 load = rfbm & x->xstate_bv;
	enum x86_result r = each_avx512(s, i, lin, load, x->xcomp_bv, load_part);

	if (r != X86_OK)
		return r;
	if (load & XFEATURE_X87) {
		pointers_from_image(s, i, &x->fx);
		load_control(&x->fx, x->fx.fcw, x->fx.fsw);
		load_registers(&x->fx);
		memcpy(&area->fx, &x->fx, FX_MXCSR);
		memcpy(area->fx.st, x->fx.st, sizeof(x->fx.st));
	}
	if (mxcsr)
		area->fx.mxcsr = x->fx.mxcsr;
	if (load & XFEATURE_SSE)
		memcpy(area->fx.xmm, x->fx.xmm, FX_SSE_BYTES(s));
	if (load & XFEATURE_AVX)
		memcpy(area->ymmh, x->ymmh, YMMH_BYTES(s));
	/* Outside 64-bit mode the upper eight registers stay; a component with them is never "initial" as a whole. */
	if (s->mode != X86_MODE_LONG) {
		if (rfbm & ~load & XFEATURE_SSE)
			memset(area->fx.xmm, 0, FX_SSE_BYTES(s));
		if (rfbm & ~load & XFEATURE_AVX)
			memset(area->ymmh, 0, YMMH_BYTES(s));
		load |= rfbm & (XFEATURE_SSE | XFEATURE_AVX);
	}
	load |= initialize_avx512(s, rfbm, load);
	area->xstate_bv = (area->xstate_bv & ~rfbm) | load;
	if (rfbm & ~load & XFEATURE_X87)
		s->fpu_cs = s->fpu_ds = 0;
	x86_fpu_area(s); /* initial parts made explicit; nothing is live here */
	x86_fpu_changed(s);
	return X86_OK;
}

static enum x86_result restore(struct x86_state *s, const struct x86_insn *i, bool only_compacted)
{
	struct x86_xsave x;
	u64 lin, rfbm = requested(s);
	enum x86_result r;
	bool mxcsr;

	r = area_operand(s, i, xsave_bytes(s, rfbm), 64, ACC_READ, &lin);
	/* An area that is not there faults at its beginning, not at the header. */
	if (r == X86_OK)
		r = x86_probe_linear(s, s->mmu_index, i->seg, lin, 1, ACC_READ);
	if (r == X86_OK)
		r = read_part(s, i, lin, &x, XS_HEADER, 64);
	if (r == X86_OK)
		r = check_header(s, &x, only_compacted);
	if (r != X86_OK)
		return r;
	/* The standard format has MXCSR apart from the SSE component; in the compacted one it belongs to it. */
	x.fx.mxcsr = MXCSR_INIT;
	if (x.xcomp_bv & XCOMP_COMPACTED)
		mxcsr = rfbm & x.xstate_bv & XFEATURE_SSE;
	else
		mxcsr = rfbm & (XFEATURE_SSE | XFEATURE_AVX);
	r = read_components(s, i, lin, &x, rfbm & x.xstate_bv, mxcsr);
	if (r != X86_OK)
		return r;
	r = each_avx512(s, i, lin, rfbm & x.xstate_bv, x.xcomp_bv, part_readable);
	if (r != X86_OK)
		return r;
	return install_image(s, i, lin, &x, rfbm, mxcsr || (rfbm & XFEATURE_SSE));
}

enum x86_result x86_exec_xrstor(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = check_xsave(s);

	return r == X86_OK ? restore(s, i, false) : r;
}

enum x86_result x86_exec_xrstors(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r = check_xsave(s);

	if (r == X86_OK)
		r = x86_need_cpl0(s);
	return r == X86_OK ? restore(s, i, true) : r;
}

/* --- x87 environment ----------------------------------------------------------------------------------------- */

struct x87_env {
	u16 fcw, fsw, tags; /* tags: two bits for each physical register */
	u16 fop, fcs, fds;
	u32 fip, fdp;
};

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned tag_of(const u8 *st)
{
	u64 mantissa;
	u16 exponent;

	memcpy(&mantissa, st, 8);
	memcpy(&exponent, st + 8, 2);
	exponent &= 0x7fff;
	if (!exponent && !mantissa)
		return TAG_ZERO;
	return exponent == 0 || exponent == 0x7fff || !(mantissa >> 63) ? TAG_SPECIAL : TAG_VALID;
}

static unsigned stack_top(u16 fsw)
{
	return fsw >> 11 & 7;
}

static void env_from_area(const struct x86_state *s, const struct x86_fxregs *fx, struct x87_env *e)
{
	*e = (struct x87_env){ .fcw = fx->fcw,
			       .fsw = fx->fsw,
			       .fop = fx->fop & 0x7ff,
			       .fcs = s->fpu_cs,
			       .fds = s->fpu_ds,
			       .fip = (u32)fx->fip,
			       .fdp = (u32)fx->fdp };
	for (unsigned n = 0; n < 8; n++) {
		unsigned tag = fx->ftw >> n & 1 ? tag_of(fx->st[(n - stack_top(fx->fsw)) & 7]) : TAG_EMPTY;

		e->tags |= tag << 2 * n;
	}
}

static void env_to_area(struct x86_state *s, struct x86_fxregs *fx, const struct x87_env *e)
{
	load_control(fx, e->fcw, e->fsw);
	fx->ftw = 0;
	for (unsigned n = 0; n < 8; n++)
		fx->ftw |= (e->tags >> 2 * n & 3) != TAG_EMPTY ? 1u << n : 0;
	fx->fop = e->fop & 0x7ff;
	fx->fip = e->fip;
	fx->fdp = e->fdp;
	s->fpu_cs = e->fcs;
	s->fpu_ds = e->fds;
}

/* A new top of stack: the registers stay where they are, their distances from the top change. */
static void turn_stack(struct x86_fxregs *fx, unsigned new_top)
{
	unsigned turn = new_top - stack_top(fx->fsw);
	u8 old[8][16];

	if (!turn)
		return;
	memcpy(old, fx->st, sizeof(old));
	for (unsigned k = 0; k < 8; k++)
		memcpy(fx->st[k], old[(k + turn) & 7], 16);
}

static bool real_format(const struct x86_state *s)
{
	return x86_real_or_vm86(s);
}

/* Seven words or doublewords. In doublewords the reserved upper halves are ones. Returns the size. */
static unsigned env_to_image(const struct x86_state *s, const struct x87_env *e, bool wide, u8 *out)
{
	u32 v[7] = { e->fcw, e->fsw, e->tags, e->fip, e->fcs, e->fdp, e->fds };

	if (real_format(s)) {
		u32 high = wide ? e->fip >> 16 << 12 & 0x0ffff000 : e->fip >> 4 & 0xf000;

		v[4] = high | e->fop;
		v[6] = wide ? e->fdp >> 16 << 12 & 0x0ffff000 : e->fdp >> 4 & 0xf000;
	} else if (wide) {
		v[4] |= (u32)e->fop << 16;
		v[6] |= 0xffff0000;
	}
	for (unsigned n = 0; n < 7; n++) {
		if (wide) {
			u32 fill = n < 3 || (real_format(s) && (n == 3 || n == 5)) ? 0xffff0000 : 0;
			u32 w = v[n] | fill;

			memcpy(out + 4 * n, &w, 4);
		} else {
			memcpy(out + 2 * n, &v[n], 2);
		}
	}
	return wide ? 28 : 14;
}

static void env_from_image(const struct x86_state *s, struct x87_env *e, bool wide, const u8 *in)
{
	u32 v[7] = { 0 };

	for (unsigned n = 0; n < 7; n++)
		memcpy(&v[n], in + (wide ? 4 : 2) * n, wide ? 4 : 2);
	*e = (struct x87_env){ .fcw = v[0], .fsw = v[1], .tags = v[2] };
	if (real_format(s)) {
		e->fip = (u16)v[3] | (wide ? v[4] >> 12 << 16 : (v[4] & 0xf000) << 4);
		e->fdp = (u16)v[5] | (wide ? v[6] >> 12 << 16 : (v[6] & 0xf000) << 4);
		e->fop = v[4] & 0x7ff;
	} else {
		e->fip = v[3];
		e->fcs = v[4];
		e->fop = wide ? v[4] >> 16 & 0x7ff : 0;
		e->fdp = v[5];
		e->fds = v[6];
	}
}

static enum x86_result store_env(struct x86_state *s, const struct x86_insn *i, bool registers)
{
	bool wide = i->opsize != 2;
	unsigned size = i->opnd[0].size, n;
	struct x86_xsave *x;
	struct x87_env e;
	u8 image[108];
	u64 lin;
	enum x86_result r = x86_fpu_check(s, i);

	if (r == X86_OK)
		r = x86_fpu_operand(s, i, size, ACC_WRITE, &lin);
	if (r != X86_OK)
		return r;
	x = x86_fpu_area(s);
	env_from_area(s, &x->fx, &e);
	n = env_to_image(s, &e, wide, image);
	if (registers)
		for (unsigned k = 0; k < 8; k++)
			memcpy(image + n + 10 * k, x->fx.st[k], 10);
	r = x86_write_linear(s, s->mmu_index, i->seg, lin, image, size);
	if (r != X86_OK)
		return r;
	if (registers) {
		/* As FNINIT: the registers become empty but keep their contents. */
		turn_stack(&x->fx, 0);
		memset(&x->fx, 0, FX_MXCSR);
		x->fx.fcw = FPU_CW_INIT;
		s->fpu_cs = s->fpu_ds = 0;
	} else {
		x->fx.fcw |= 0x3f;
		x->fx.fsw &= ~0x8080;
	}
	x->xstate_bv |= XFEATURE_X87;
	x86_fpu_changed(s);
	return X86_OK;
}

static enum x86_result load_env(struct x86_state *s, const struct x86_insn *i, bool registers)
{
	bool wide = i->opsize != 2;
	unsigned size = i->opnd[0].size;
	struct x86_xsave *x;
	struct x87_env e;
	u8 image[108];
	u64 lin;
	enum x86_result r = x86_fpu_check(s, i);

	if (r == X86_OK)
		r = x86_fpu_wait(s, i);
	if (r == X86_OK)
		r = x86_fpu_operand(s, i, size, ACC_READ, &lin);
	if (r == X86_OK)
		r = x86_read_linear(s, s->mmu_index, i->seg, lin, image, size);
	if (r != X86_OK)
		return r;
	x = x86_fpu_area(s);
	env_from_image(s, &e, wide, image);
	if (registers) {
		for (unsigned k = 0; k < 8; k++)
			memcpy(x->fx.st[k], image + (wide ? 28 : 14) + 10 * k, 10);
	} else {
		turn_stack(&x->fx, stack_top(e.fsw));
	}
	env_to_area(s, &x->fx, &e);
	x->xstate_bv |= XFEATURE_X87;
	x86_fpu_changed(s);
	return X86_OK;
}

enum x86_result x86_exec_fnstenv(struct x86_state *s, const struct x86_insn *i)
{
	return store_env(s, i, false);
}

enum x86_result x86_exec_fnsave(struct x86_state *s, const struct x86_insn *i)
{
	return store_env(s, i, true);
}

enum x86_result x86_exec_fldenv(struct x86_state *s, const struct x86_insn *i)
{
	return load_env(s, i, false);
}

enum x86_result x86_exec_frstor(struct x86_state *s, const struct x86_insn *i)
{
	return load_env(s, i, true);
}
