/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A small guest for the tests of system instructions: RAM, descriptor tables, code in GNU assembler syntax, and
 * a loop that steps and delivers until HLT. Expected results come from the manuals.
 *
 * Every vector's handler is one HLT at SYS_HANDLER(v) (IRET tests overwrite it), so that a run that ends there shows
 * what has been delivered, with the frame on the stack.
 */
#ifndef SYS_ENV_H
#define SYS_ENV_H

#include "insn_test.h"

#define SYS_RAM 0x200000u
#define SYS_GDT 0x1000u
#define SYS_IDT 0x2000u
#define SYS_TSS 0x3000u /* 104 bytes and the I/O permission bit map */
#define SYS_TSS2 0x6000u
#define SYS_LDT 0x8000u
#define SYS_PAGE_TABLES 0x9000u /* PML4, PDPT, PD, PT (the first 2 MiB in 4 KiB pages) */
#define SYS_PT 0xc000u
#define SYS_CODE 0x10000u
#define SYS_STACK0 0x20000u /* top */
#define SYS_STACK3 0x30000u
#define SYS_IST1 0x38000u
#define SYS_HANDLERS 0x40000u
#define SYS_HANDLER(v) (SYS_HANDLERS + (v)*16u)
#define SYS_DATA 0x50000u

/* Selectors in the GDT. KERNEL_CS+8 = KERNEL_DS etc. as SYSCALL wants them. */
enum {
	KERNEL_CS = 0x08,
	KERNEL_DS = 0x10,
	USER_CS32 = 0x18,
	USER_DS = 0x20,
	USER_CS = 0x28,
	SEL_TSS = 0x30, /* 16 bytes in long mode */
	SEL_LDT = 0x40,
	SEL_TEST = 0x50, /* free for the test; also 0x58 ... */
	SEL_TSS2 = 0xa0,
};
#define GDT_ENTRIES 32

struct sys_env {
	struct x86_state s;
	struct x86_insn insn;
	u8 *ram;
	unsigned mode_changes, debug_changes, flushes, events;
	struct {
		u16 port;
		u8 size;
		u32 val;
	} last_out;
	u32 in_val;
	u64 msr[4]; /* index, value written; value read */
	u64 cr8;
};

/*
 * A test of the system instructions: run with the TLB, without it, and with RAM that is reached only by copying
 * (as in the kernel).
 */
#define SYS_TEST(fn, text)                                                                                             \
	static void fn##_body(void);                                                                                   \
	INSN_TEST(fn, text)                                                                                            \
	{                                                                                                              \
		sys_variants(fn##_body);                                                                               \
	}                                                                                                              \
	static void fn##_body(void)
void sys_variants(void (*body)(void));

/* Before each test: state after RESET, RAM zeroed. */
struct sys_env *sys_real(void);
/* Flat protected mode at CPL 0 or 3, all segments loaded, no paging. */
struct sys_env *sys_prot(unsigned cpl);
/* 64-bit mode, the first 2 MiB mapped to themselves (user accessible). */
struct sys_env *sys_long(unsigned cpl);
void sys_set_cpl(struct sys_env *e, unsigned cpl);

/* Descriptor words. type: the access byte without P and DPL (0x1b code, 0x13 data, 2, 9 ...). */
u64 sys_desc(u32 base, u32 limit, unsigned access, unsigned flags);
#define D_P 0x80u
#define D_DPL(n) ((n) << 5)
#define D_CODE 0x1bu /* execute, read, accessed */
#define D_DATA 0x13u /* read, write, accessed */
#define F_G 8u
#define F_DB 4u
#define F_L 2u
void sys_set_desc(struct sys_env *e, unsigned sel, u64 desc);
u64 sys_get_desc(struct sys_env *e, unsigned sel);
u64 sys_gate(u16 sel, u32 off, unsigned access);
/* Interrupt descriptor n: 8 bytes, in long mode 16 (off < 4 GiB). */
void sys_set_idt(struct sys_env *e, unsigned n, u64 gate);

u64 sys_read(struct sys_env *e, u32 addr, unsigned size);
void sys_write(struct sys_env *e, u32 addr, unsigned size, u64 val);
/* Word n of the stack (size bytes each) at the current SS:rSP. */
u64 sys_stack(struct sys_env *e, unsigned n, unsigned size);

/* Run at most max instructions from rip on; X86_EXIT: HLT was executed. */
enum x86_result sys_run(struct sys_env *e, unsigned max);
/* Copy code to addr, set rip there (relative to the CS base) and run it. */
void sys_load(struct sys_env *e, u32 addr, const u8 *start, const u8 *end);
enum x86_result sys_exec(struct sys_env *e, const u8 *start, const u8 *end);
#define SYS_EXEC(e, name) sys_exec(e, code_##name, code_##name##_end)
#define SYS_LOAD(e, addr, name) sys_load(e, addr, code_##name, code_##name##_end)

/* Guest code: a byte array code_<name> in Intel syntax, ended by HLT. bits: 16, 32, 64. Label 771: its start. */
#define SYS_CODE_DEF(name, bits, text)                                                                                 \
	asm(".pushsection .rodata\n.code" #bits "\n.intel_syntax noprefix\n.globl code_" #name "\ncode_" #name         \
	    ":\n771:\n" text "\n.globl code_" #name "_end\ncode_" #name "_end: .byte 0xf4\n"                           \
	    ".att_syntax prefix\n.code64\n.popsection\n");                                                             \
	extern const u8 code_##name[] __attribute__((visibility("hidden")));                                           \
	extern const u8 code_##name##_end[] __attribute__((visibility("hidden")))

/* Comparison with a KVM device (sys_kvm.c): around a run that ends with HLT. */
/* The rest of this test is not compared: a device may rightly do something else. */
void sys_no_reference(const char *reason);
bool sys_kvm_wanted(void);
bool sys_kvm_start(struct sys_env *e);
/* The same without a word if the device refuses the state. */
bool sys_kvm_takes(struct sys_env *e);
void sys_kvm_finish(struct sys_env *e, enum x86_result ours);

/* The run ended in the handler of vector v? */
#define EXPECT_VECTOR(e, v) sys_expect_vector(e, v, __LINE__)
#define EXPECT(cond)                                                                                                   \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			insn_fail("line %d: %s", __LINE__, #cond);                                                     \
	} while (0)
#define EXPECT_EQ(a, b) sys_expect_eq(a, b, #a, __LINE__)
void sys_expect_vector(struct sys_env *e, unsigned v, int line);
void sys_expect_eq(u64 a, u64 b, const char *text, int line);
/* Run name; expect vector v with error code err, pushed by a handler at CPL 0 with words of size bytes. */
#define EXPECT_FAULT(e, name, v, err, size)                                                                            \
	do {                                                                                                           \
		SYS_EXEC(e, name);                                                                                     \
		sys_expect_vector(e, v, __LINE__);                                                                     \
		sys_expect_eq(sys_stack(e, 0, size), err, #name ": error code", __LINE__);                             \
	} while (0)
/* It runs to its own HLT. */
#define EXPECT_DONE(e, name) sys_expect_done(e, code_##name, code_##name##_end, #name, __LINE__)
void sys_expect_done(struct sys_env *e, const u8 *start, const u8 *end, const char *name, int line);

#endif /* SYS_ENV_H */
