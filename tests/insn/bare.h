/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * bare.h - one instruction on the bare CPU, in user mode.
 *
 * Code and data lie at fixed addresses below 2 GiB, so that 64-bit and 32-bit code reach them. The data
 * area is three pages, the last read-only, with nothing mapped around it. The code page is full of INT3;
 * the instruction stands in its middle, so whatever it does ends in a trap. Registers get in and out
 * through the signal frames of two traps.
 */
#ifndef INSN_BARE_H
#define INSN_BARE_H

#include "insn_test.h"

#define CODE_PAGE 0x10001000ull
#define CODE_AT (CODE_PAGE + 0x800)
#define DATA_AT 0x20001000ull
#define DATA_SIZE 0x3000u
#define DATA_WRITABLE 0x2000u
#define DATA_END (DATA_AT + DATA_SIZE)

/* x87, SSE and AVX state in the standard XSAVE format; a multiple of 64 bytes. */
#define VECTOR_STATE_SIZE 832

struct cpu_regs {
	u64 gpr[16];
	u64 rip, rflags;
	u8 vector[VECTOR_STATE_SIZE] __aligned(64);
};

#define VECTOR_NONE 0xffu /* the instruction completed */
#define VECTOR_ODD 0xfeu  /* the library did not know what to do: error holds its enum x86_result */

#define VECTOR_LOOP 0xfdu /* the bare CPU did not come back */

struct cpu_result {
	struct cpu_regs regs;
	unsigned vector; /* of the exception */
	u32 error;
	u64 cr2; /* of a page fault */
	u16 sel[SEG_COUNT];
};

/* Where in the XSAVE area things are. */
#define XSAVE_MXCSR 24
#define XSAVE_ST 32
#define XSAVE_XMM 160
#define XSAVE_SOFTWARE 464
#define XSAVE_HEADER 512
#define XSAVE_YMM 576

/* Map the areas, install handlers. False: not possible here. */
bool bare_init(void);
/* The data area and the code page as the test writes them. */
u8 *bare_data(void);
u8 *bare_code(void);
/* FS and GS bases of this process. */
u64 bare_fs_base(void);
u64 bare_gs_base(void);

/*
 * The segments of 16-bit code, entries of this process's LDT: code at CODE_PAGE (so that CODE_AT is offset 0x800), data
 * and stack at DATA_AT. They vary, to test limits. False: the kernel does not allow it.
 */
#define CODE16_SEL 0x07
#define DATA16_SEL 0x0f
#define STACK16_SEL 0x17

struct segment16 {
	u32 limit; /* bytes or pages, less 1 */
	bool pages;
	bool expand_down;
	bool big; /* D/B */
};
bool bare_segments(const struct segment16 *data, const struct segment16 *stack);

/*
 * Entries TEST_LDT_FREE to TEST_LDT_ENTRIES - 1 of the LDT are the test's. Privilege level 3, accessed and AVL set, as the kernel makes them. False: not
 * allowed.
 */
#define TEST_LDT_FREE 3
#define TEST_LDT_ENTRIES 32
struct ldt_entry {
	u32 base, limit;
	u8 contents; /* 0 data, 1 data that expands down, 2 code, 3 conforming code */
	bool read_exec_only, absent, big, pages;
};
bool bare_set_ldt(unsigned n, const struct ldt_entry *e);
/* Can instructions that load FS and GS be run? */
bool bare_can_load_fs(void);

/* Run the code at regs->rip with bits 64, 32 or 16. vectors: load and store vector and x87 registers, too. */
void bare_run(unsigned bits, const struct cpu_regs *regs, bool vectors, struct cpu_result *out);

#endif /* INSN_BARE_H */
