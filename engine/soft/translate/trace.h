/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * trace.h - what the translator tells whoever works on it: counters, generated code, names for profiles. All is off, and
 * costs a test of a pointer in slow paths, unless the environment asks for it (host.h, "traces").
 *
 * The format of translations, one line each; numbers hexadecimal without prefix:
 *	B RIP GPA MODE NR	a block: linear address at translation, guest-physical address, enum x86_mode, instructions
 *	E HOST BYTES		host code of its entries
 *	I RIP BYTES NAME	a guest instruction
 *	H HOST BYTES		its host code (nothing: it needs none)
 *	S HOST BYTES		out-of-line parts
 *	F			everything has been dropped
 * anykvm-translations (tools/) disassembles it.
 */
#ifndef TRANSLATE_TRACE_H
#define TRANSLATE_TRACE_H

#include "soft.h"
#include "optable.h"

/* Why an access that generated code cannot do in line is the interpreter's. */
enum tr_miss_cause { MISS_FAULT, MISS_MMIO, MISS_CODE_PAGE, MISS_READ_ONLY, MISS_OTHER, MISS_CAUSES };
/* Why all blocks, or those of a page, are dropped. */
enum tr_drop_cause {
	DROP_STORE,   /* the guest has stored into code */
	DROP_DMA,     /* memory is not what was decoded */
	DROP_FULL,    /* code memory, sites, stubs; the FPU's state has changed */
	DROP_FPU,     /* the FPU has become usable or unusable */
	DROP_SLOTS,   /* slots, CPUID or state from outside */
	DROP_ADDRESS, /* a page of code is at a second linear address */
	DROP_CAUSES
};
/* Why a block, or an instruction, is run by the interpreter. */
enum tr_fallback {
	FALLBACK_COLD,    /* a block not translated yet */
	FALLBACK_CONTEXT, /* mode, segments, watchpoints, alignment checks */
	FALLBACK_STEP,    /* single steps: shadows, flags, breakpoints, no block possible */
	FALLBACK_ACCESS,  /* an instruction of generated code: absent page, MMIO, crossing, host fault */
	FALLBACKS
};

struct tr_counters {
	u64 miss[MISS_CAUSES];
	u64 drop[DROP_CAUSES];
	u64 fallback[FALLBACKS];
	u64 flush[X86_FLUSH_PAGE + 1]; /* of the TLB, by enum x86_flush */
	u64 hash_emptied, hash_pages, hash_filled;
	u64 helper[X86_OP_COUNT];
	u64 interpreted[X86_OP_COUNT]; /* single instructions of generated code */
};

#define TR_COUNT(sv, what)                                                                                             \
	do {                                                                                                           \
		if (unlikely((sv)->tr.counters))                                                                       \
			(sv)->tr.counters->what++;                                                                     \
	} while (0)

/* At a vCPU's creation: start what is asked for. Nothing depends on it: no error. tr_free ends it. */
void tr_trace_start(struct soft_vcpu *sv);
void tr_trace_end(struct soft_vcpu *sv);
/* An access at lin, which flat_fill refused. */
void tr_count_miss(struct soft_vcpu *sv, u64 lin, bool write);
/* A block has been translated; x86_state.rip is in its page. */
void tr_trace_block(struct soft_vcpu *sv, const struct tr_block *t);
/* The stubs, of which the ways in and out are made. */
void tr_trace_stubs(struct soft_vcpu *sv);
void tr_trace_reset(struct soft_vcpu *sv);

#endif /* TRANSLATE_TRACE_H */
