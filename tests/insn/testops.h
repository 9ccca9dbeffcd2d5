/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * testops.h - the library in the same situation as the bare CPU of bare.h: user mode under a 64-bit kernel, the same
 * pages at the same addresses with the same rights, everything else not mapped.
 */
#ifndef INSN_TESTOPS_H
#define INSN_TESTOPS_H

#include "bare.h"

enum lib_variant {
	LIB_PLAIN, /* general routines, no TLB: every access goes through the gate's slow path */
	LIB_FAST,  /* specialised routines and the TLB */
	LIB_VARIANTS
};

struct lib_cpu;

/* NULL: out of memory. */
struct lib_cpu *lib_new(void);
u8 *lib_data(struct lib_cpu *cpu);
u8 *lib_code(struct lib_cpu *cpu);
struct x86_state *lib_state(struct lib_cpu *cpu);
/* Forget cached translations. */
void lib_flush(struct lib_cpu *cpu);
/* Segments for 64, 32 or 16 bits. Before lib_run and before decoding with lib_state(). */
void lib_mode(struct lib_cpu *cpu, unsigned bits);
/* For 16 bits: the segments of bare_segments(). */
void lib_segments(struct lib_cpu *cpu, const struct segment16 *data, const struct segment16 *stack);
/* An entry of the LDT, as bare_set_ldt(). The GDT is as Linux has it. */
void lib_set_ldt(struct lib_cpu *cpu, unsigned n, const struct ldt_entry *e);
/* Run the instruction at regs->rip to its end. */
void lib_run(struct lib_cpu *cpu, enum lib_variant variant, const struct cpu_regs *regs, bool vectors,
	     struct cpu_result *out);

/* What ops->ram_cmpxchg does where memory is at hand; size 4 or 8. */
enum x86_result lib_cmpxchg(void *at, u64 old, u64 val, unsigned size);

#endif /* INSN_TESTOPS_H */
