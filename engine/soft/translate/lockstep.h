/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * lockstep.h - generated code under the eyes of the interpreter (engine "lockstep").
 *
 * Before a block of generated code runs, the interpreter runs it: its stores are logged with what was there before, the
 * registers before each instruction are kept; then memory and state are put back (the prediction). Generated code goes on,
 * linked and looked up as always. Where its state is next complete (entry of the next block, a helper, an exit), registers,
 * flags, vector state and the bytes that the prediction has stored are compared. The first difference is reported and ends
 * KVM_RUN with an emulation failure.
 *
 * What cannot be done twice (ports, MMIO, MSRs, time, string instructions, whatever is larger than 64 bytes in memory) ends
 * a prediction in front of it; generated code leaves such instructions to the interpreter's routines anyway. Instructions
 * that it does execute behind the end of a prediction are counted as unchecked.
 *
 * Not compared: accessed and dirty bits of page tables (a prediction's page walk sets them for good), arithmetic flags that
 * a later instruction of the block overwrites, x87 data pointer and opcode (docs/status.md). Stores of generated code are seen
 * only where the prediction has stored.
 *
 * Nobody else may change memory between prediction and execution, so the vCPUs of a VM take turns: one of them is in guest mode, and
 * another takes over after TURN_BLOCKS blocks, or when it leaves (lockstep_turn.c). What core itself writes for another vCPU
 * meanwhile (clock pages, MMIO that a string instruction stores), and the VMM, could still come in between.
 */
#ifndef TRANSLATE_LOCKSTEP_H
#define TRANSLATE_LOCKSTEP_H

#include "vcpu.h"

struct soft_vcpu;
struct soft_block;
struct front;
struct lockstep;

/* Of a VM. */
struct lockstep_turns {
	u32 taken;                    /* a  by a vCPU in guest mode */
	u32 waiting;                  /* a  vCPUs that want to be there */
	const struct soft_vcpu *last; /* a  who had it last */
};

/* NULL: no memory. */
struct lockstep *lockstep_new(void);
void lockstep_free(struct lockstep *l);

/* Emit the call of tr_helper_block() at a block's entry. Flags that were saved still are, afterwards. */
void lockstep_emit_hook(struct front *f);
/*
 * The functions below do nothing where sv is not in lockstep (sv->tr.lockstep is NULL). x86_state is exact.
 *
 * Instruction k of b comes next; b NULL: the predicted block has been left at its end. flags: the arithmetic flags that
 * state->rflags has. False: a difference, reported. The prediction is used up.
 */
bool lockstep_check(struct soft_vcpu *sv, const struct soft_block *b, unsigned k, u64 flags);
/* Predict b from instruction k on. */
void lockstep_predict(struct soft_vcpu *sv, const struct soft_block *b, unsigned k);
/* Linear addresses lead elsewhere. */
void lockstep_flush(struct soft_vcpu *sv);
/* Guest memory could not be reached: undo a prediction that was under way. */
void lockstep_abandoned(struct soft_vcpu *sv);

/*
 * Before and after guest mode. False: there is a request to serve first, another vCPU may be waiting for that.
 * lockstep_turn_ends: a block more; true: others wait, and this turn has been long enough.
 */
bool lockstep_take_turn(struct soft_vcpu *sv);
void lockstep_end_turn(struct soft_vcpu *sv);
bool lockstep_turn_ends(struct soft_vcpu *sv);

#endif /* TRANSLATE_LOCKSTEP_H */
