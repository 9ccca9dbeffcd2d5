/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Instructions that the host computes itself: x87, MMX, SSE, AVX and everything else marked NATIVE in
 * opcodes.def. The guest's vector and x87 registers are in the host's registers (s->fpu_live); the
 * instruction is copied with its memory operand and its general registers redirected:
 *
 *	memory operand	[rax]	(mem argument of the stub; RAM itself or a bounce buffer)
 *	GPR in ModRM.rm		eax/rax	(if no memory operand)
 *	GPR in ModRM.reg	ecx/rcx
 *	GPR in VEX.vvvv		edx/rdx
 *
 * PCMPESTRI and PCMPESTRM have their lengths in eax and edx, so for PCMPxSTRx the memory operand is [rcx], and
 * rax, rdx are the guest's; their result is in ecx. FNSTSW AX works on rax.
 *
 * The stub is the re-encoded instruction and a RET. Flags pass in and out if INSN_FLAGS is set.
 */
#ifndef X86_NATIVE_H
#define X86_NATIVE_H

#include "x86.h"

#define X86_NATIVE_MAX 32 /* bytes of a stub, RET included */

/* What a stub needs from and gives to general registers and flags. */
struct x86_native_regs {
	u64 rax, rcx, rdx;
	u64 flags; /* RFLAGS_ARITH */
};

/* Bytes of the stub written to out (X86_NATIVE_MAX available), 0: cannot be passed through. */
unsigned x86_native_encode(const struct x86_insn *i, u8 *out);

/*
 * What an engine does around a stub: fill r from the guest's registers and mem, and store what the instruction
 * changed.
 */
void x86_native_load(const struct x86_state *s, const struct x86_insn *i, void *mem, struct x86_native_regs *r);
void x86_native_store(struct x86_state *s, const struct x86_insn *i, const struct x86_native_regs *r);

/* Control instructions leave the instruction and data pointers alone (SDM volume 1, "x87 FPU Instruction and Data Pointers"). */
bool x86_x87_control(unsigned op);

/*
 * The exec routine of every NATIVE operation: checks (#UD, #NM, alignment of SSE operands), fetches the memory operand,
 * runs s->ops->native(), stores the results. Instructions whose memory operand depends on state (xsave
 * family, gathers, masked moves, maskmovdqu, fxsave, x87 environment) have routines of their own in exec_fpu*.c.
 */
enum x86_result x86_exec_native(struct x86_state *s, const struct x86_insn *i);

/* What a gather loads, SDM volume 2, "VPGATHERDD": sizes in bytes. */
struct x86_gather {
	unsigned width;       /* of an element */
	unsigned index_width; /* of an index */
	unsigned lanes;
	unsigned dst_size; /* 16 or 32: of the destination and the mask */
	unsigned index_size;
};

void x86_gather_shape(const struct x86_insn *i, struct x86_gather *g);
/* The offset in the segment of element n; index has the bytes of the index register. */
u64 x86_gather_offset(const struct x86_state *s, const struct x86_insn *i, const struct x86_gather *g, const u8 *index,
		      unsigned n);

/* Does the mask have the sign bit of lane n, width bytes wide? */
static inline bool x86_lane_active(const u8 *mask, unsigned n, unsigned width)
{
	return mask[(n + 1) * width - 1] & 0x80;
}

#endif /* X86_NATIVE_H */
