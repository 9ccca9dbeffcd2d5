/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* lockstep_data.h - a prediction, for lockstep.c, which makes and compares it, and lockstep_report.c, which shows it. */
#ifndef TRANSLATE_LOCKSTEP_DATA_H
#define TRANSLATE_LOCKSTEP_DATA_H

#include "soft.h"
#include "fpu_state.h"
#include "lockstep.h"

#define STORE_BYTES 64 /* the largest plain operand */
#define MAX_STORES 256

struct lockstep_store {
	u64 gpa;
	u8 *host;
	u8 len;
	u8 insn;
	u8 old[STORE_BYTES]; /* in front of the store */
	u8 new[STORE_BYTES]; /* at the end of the instruction */
};

/* What is looked at of the vector state. */
struct lockstep_fpu {
	struct x86_fxregs fx;
	u8 ymmh[16][16];
};

/* State in front of an instruction. */
struct lockstep_point {
	u64 gpr[16], rip, rflags;
	u64 undefined; /* arithmetic flags that the predicted instructions have left undefined */
	u8 fpu;        /* index in lockstep.fpu */
};

struct lockstep {
	bool turn;     /* this vCPU is the one that may run, */
	u32 turn_left; /* for so many blocks if others wait */
	bool pending;  /* there is a prediction */
	bool running;  /* it is being made */
	bool failed;
	bool flush;
	bool hit_code; /* the instruction has stored to a page that holds code */
	bool has_fpu;
	const struct soft_block *block;
	unsigned first, done; /* instructions [first, done) are predicted */
	bool complete;        /* to the end of the block: after is valid */
	struct lockstep_point point[BLOCK_MAX_INSNS + 1];
	struct lockstep_fpu fpu[BLOCK_MAX_INSNS + 1];
	unsigned nr_fpu;
	struct lockstep_store store[MAX_STORES];
	unsigned nr_stores;
	struct x86_state before, after;
	struct x86_xsave xsave_before;
	const struct x86_ops *ops; /* the engine's, while running */
	struct x86_ops own_ops;
	u64 generation; /* of the engine's TLB when tlb was last flushed */
	struct x86_tlb tlb;
	struct {
		u64 blocks, checks, instructions, unchecked;
	} stat;
};

/* Arithmetic flags that mean something in front of instruction k (k may be nr). */
u64 lockstep_live_flags(const struct soft_block *b, unsigned k);
bool lockstep_memory_equal(const struct lockstep *l, unsigned n, unsigned k);

/* lockstep_report.c: say what differs in front of instruction k (nr: behind the block). */
void lockstep_report(struct soft_vcpu *sv, unsigned k);

#endif /* TRANSLATE_LOCKSTEP_DATA_H */
