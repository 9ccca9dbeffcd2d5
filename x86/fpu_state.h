/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * x87 and vector state inside x86/: the layout of s->xsave (SDM, "XSAVE Area", standard format), the checks that
 * come before every x87 and vector instruction.
 */
#ifndef X86_FPU_STATE_H
#define X86_FPU_STATE_H

#include "internal.h"
#include "native.h"

#define XFEATURE_X87 BIT(0)
#define XFEATURE_SSE BIT(1)
#define XFEATURE_AVX BIT(2)
/* Opmask registers, upper halves of ZMM0-15, ZMM16-31. */
#define XFEATURE_AVX512 (BIT(5) | BIT(6) | BIT(7))
/* The components that these routines can save and restore. */
#define XFEATURES (XFEATURE_X87 | XFEATURE_SSE | XFEATURE_AVX | XFEATURE_AVX512)

#define FPU_CW_INIT 0x37f
#define MXCSR_INIT 0x1f80u
#define MXCSR_VALID 0xffffu

/* The legacy region: what FXSAVE writes in 64-bit form. */
struct x86_fxregs {
	u16 fcw, fsw;
	u8 ftw; /* one bit for each physical register: not empty */
	u8 reserved1;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16]; /* by distance from the top of the stack */
	u8 xmm[16][16];
	u8 reserved2[96];
};

/* Without AVX-512, which lies behind it. */
struct x86_xsave {
	struct x86_fxregs fx;
	u64 xstate_bv, xcomp_bv;
	u64 reserved[6];
	u8 ymmh[16][16]; /* component 2: upper halves, in both formats at this place */
};

/* May this instruction run now: #UD or #NM by CR0.EM, TS, MP, CR4.OSFXSR, OSXSAVE, XCR0. */
enum x86_result x86_fpu_check(struct x86_state *s, const struct x86_insn *i);

/* #MF if an x87 exception is pending and the instruction is one that waits for it. */
enum x86_result x86_fpu_wait(struct x86_state *s, const struct x86_insn *i);

/*
 * The area as memory: spills the host's registers, makes parts in their initial state explicit. After a
 * change of it: x86_fpu_changed(). While the state is in the host's registers s->fpu_ip, fpu_dp and fpu_op are the
 * truth, otherwise the area's fip, fdp and fop; the selectors are in s->fpu_cs and fpu_ds only.
 */
struct x86_xsave *x86_fpu_area(struct x86_state *s);
void x86_fpu_changed(struct x86_state *s);

/* The components 5 to 7. */
#define AVX512_PARTS 3u
static inline u64 avx512_part(unsigned n)
{
	return BIT(5 + n);
}

static inline unsigned avx512_size(unsigned n)
{
	return n == 0 ? 64 : n == 1 ? 512 : 1024;
}

/* Linear address of the instruction's memory operand for size bytes. */
static inline enum x86_result x86_fpu_operand(struct x86_state *s, const struct x86_insn *i, unsigned size,
					      enum x86_access acc, u64 *lin)
{
	return x86_linear(s, i->seg, x86_ea(s, i), size, acc, lin);
}

#endif /* X86_FPU_STATE_H */
