/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The vector and x87 state in the ABI's structures. The state itself is a standard-format XSAVE area (SDM volume 1,
 * "XSAVE Area"); last instruction and operand addresses are kept apart, see x86/state.h.
 */
#include "vcpu.h"

#define XSTATE_FP 1ull
#define XSTATE_SSE 2ull
#define XSTATE_YMM 4ull
#define MXCSR_VALID 0xffffu
#define MXCSR_RESET 0x1f80u
#define FCW_RESET 0x37fu

struct legacy_area {
	u16 fcw, fsw;
	u8 ftw, pad;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16];
	u8 xmm[16][16];
	u8 reserved[96];
};

struct xsave_area {
	struct legacy_area legacy;
	u64 xstate_bv, xcomp_bv;
	u8 reserved[48];
	u8 extended[XSAVE_MAX_SIZE - 576];
};
_Static_assert(sizeof(struct xsave_area) == XSAVE_MAX_SIZE, "XSAVE layout");
_Static_assert(sizeof(struct kvm_xsave) == XSAVE_MAX_SIZE, "kvm_xsave is as large as our area");

/* Where component n lies; false: not in the area. */
static bool component(unsigned n, u32 *offset, u32 *size)
{
	u32 out[4];

	host_cpuid(0xd, n, out);
	*size = out[0];
	*offset = out[1];
	return *size && *offset >= 576 && (u64)*offset + *size <= XSAVE_MAX_SIZE;
}

static void init_legacy(struct xsave_area *x, u64 absent)
{
	if (absent & XSTATE_FP) {
		x->legacy.fcw = FCW_RESET;
		x->legacy.fsw = 0;
		x->legacy.ftw = 0;
		memset(x->legacy.st, 0, sizeof(x->legacy.st));
	}
	if (absent & XSTATE_SSE)
		memset(x->legacy.xmm, 0, sizeof(x->legacy.xmm));
}

/* Write the initial values of components that XSTATE_BV leaves out, so that the area can be read without it. */
static void fill_in(struct xsave_area *x)
{
	u64 all = cpuid_supported_xcr0(), absent = all & ~x->xstate_bv;
	u32 offset, size;
	unsigned n;

	init_legacy(x, absent | (~x->xstate_bv & (XSTATE_FP | XSTATE_SSE)));
	for (n = 2; n < 63; n++)
		if (absent >> n & 1 && component(n, &offset, &size))
			memset((u8 *)x + offset, 0, size);
	x->xstate_bv |= XSTATE_FP | XSTATE_SSE;
}

static struct xsave_area *area_for_reading(struct vcpu *v)
{
	struct x86_state *s = &v->state;

	vcpu_get_state(v, STATE_FPU);
	if (s->ops->fpu_save)
		s->ops->fpu_save(s);
	fill_in(s->xsave);
	return s->xsave;
}

static void area_changed(struct vcpu *v)
{
	struct x86_state *s = &v->state;

	if (s->ops->fpu_load)
		s->ops->fpu_load(s);
	vcpu_put_state(v, STATE_FPU);
}

void vcpu_get_fpu(struct vcpu *v, struct kvm_fpu *f)
{
	const struct xsave_area *x = area_for_reading(v);

	memset(f, 0, sizeof(*f));
	memcpy(f->fpr, x->legacy.st, sizeof(f->fpr));
	f->fcw = x->legacy.fcw;
	f->fsw = x->legacy.fsw;
	f->ftwx = x->legacy.ftw;
	f->last_opcode = v->state.fpu_op;
	f->last_ip = v->state.fpu_ip;
	f->last_dp = v->state.fpu_dp;
	memcpy(f->xmm, x->legacy.xmm, sizeof(f->xmm));
}

void vcpu_get_xmm(struct vcpu *v, void *xmm, u32 n)
{
	memcpy(xmm, area_for_reading(v)->legacy.xmm, n * 16);
}

/* MXCSR is not taken: Linux never did, and callers leave the field zero. */
void vcpu_set_fpu(struct vcpu *v, const struct kvm_fpu *f)
{
	struct xsave_area *x = area_for_reading(v);

	memcpy(x->legacy.st, f->fpr, sizeof(f->fpr));
	x->legacy.fcw = f->fcw;
	x->legacy.fsw = f->fsw;
	x->legacy.ftw = f->ftwx;
	v->state.fpu_op = f->last_opcode;
	v->state.fpu_ip = f->last_ip;
	v->state.fpu_dp = f->last_dp;
	memcpy(x->legacy.xmm, f->xmm, sizeof(f->xmm));
	area_changed(v);
}

int vcpu_get_xsave(struct vcpu *v, void *user, u32 size)
{
	const struct xsave_area *x = area_for_reading(v);
	struct xsave_area *out = host_alloc_pages(sizeof(*out));
	int err;

	if (!out)
		return -ENOMEM;
	*out = *x;
	out->xcomp_bv = 0;
	memset(out->reserved, 0, sizeof(out->reserved));
	out->legacy.fop = v->state.fpu_op;
	out->legacy.fip = v->state.fpu_ip;
	out->legacy.fdp = v->state.fpu_dp;
	out->legacy.mxcsr_mask = MXCSR_VALID;
	err = host_copy_to_user(user, out, size < sizeof(*out) ? size : sizeof(*out));
	host_free_pages(out, sizeof(*out));
	return err;
}

static bool valid_xsave(const struct xsave_area *in)
{
	unsigned n;

	if (in->xstate_bv & ~(cpuid_supported_xcr0() | XSTATE_FP | XSTATE_SSE) || in->xcomp_bv)
		return false;
	for (n = 0; n < sizeof(in->reserved); n++)
		if (in->reserved[n])
			return false;
	return !(in->xstate_bv & (XSTATE_FP | XSTATE_SSE | XSTATE_YMM) && in->legacy.mxcsr & ~MXCSR_VALID);
}

static void take_xsave(struct vcpu *v, const struct xsave_area *in)
{
	struct xsave_area *x = v->state.xsave;
	u32 mxcsr = in->xstate_bv & (XSTATE_FP | XSTATE_SSE | XSTATE_YMM) ? in->legacy.mxcsr : MXCSR_RESET;

	*x = *in;
	memset(x->legacy.reserved, 0, sizeof(x->legacy.reserved));
	x->legacy.mxcsr = mxcsr;
	fill_in(x);
	if (in->xstate_bv & XSTATE_FP) {
		v->state.fpu_op = in->legacy.fop;
		v->state.fpu_ip = in->legacy.fip;
		v->state.fpu_dp = in->legacy.fdp;
	} else {
		v->state.fpu_op = 0;
		v->state.fpu_ip = v->state.fpu_dp = 0;
	}
	area_changed(v);
}

int vcpu_set_xsave(struct vcpu *v, const void *user)
{
	struct xsave_area *in = host_alloc_pages(sizeof(*in));
	int err;

	if (!in)
		return -ENOMEM;
	err = host_copy_from_user(in, user, sizeof(*in));
	if (!err && !valid_xsave(in))
		err = -EINVAL;
	if (!err) {
		/* What is in the host's registers is given up. */
		area_for_reading(v);
		take_xsave(v, in);
	}
	host_free_pages(in, sizeof(*in));
	return err;
}
