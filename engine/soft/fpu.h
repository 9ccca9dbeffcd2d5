/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * fpu.h - the guest's x87 and vector state in the host's registers (fpu.c, fpu_asm.S).
 *
 * While x86_state.fpu_live is set the host's registers hold the guest's state; no code that uses vector registers may
 * run. The engine puts the state away before every call out of engine/soft and x86.
 */
#ifndef SOFT_FPU_H
#define SOFT_FPU_H

#include "host.h"
#include "native.h"

/* Load s->xsave into the host's registers (remembering the host's control words); sets fpu_live. */
void soft_fpu_enter(struct x86_state *s);
/* Save the registers to s->xsave, restore the host's control words; clears fpu_live. */
void soft_fpu_leave(struct x86_state *s);
/* struct x86_ops.native: run the instruction's stub; mem is what its memory operand becomes. */
enum x86_result soft_native(struct x86_state *s, const struct x86_insn *i, void *mem);
/*
 * From the host's signal handler: if the fault was raised by a stub or in generated code, redirect it so that the
 * guest gets what is due (soft_native returns X86_FAULT with #MF or #XM; generated code leaves to the interpreter), and
 * return true. Async-signal-safe.
 */
bool soft_fixup(const struct host_fault *f);

#endif /* SOFT_FPU_H */
