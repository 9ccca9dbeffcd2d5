/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Architectural constants: register numbers, control-register and flag bits, exception vectors,
 * MSR numbers. Source: Intel SDM volume 3 (chapters "System Architecture Overview", "Interrupt and
 * Exception Handling") and volume 4; AMD APM volume 2. Names differ from Linux's on purpose, so
 * that both sets can meet in one translation unit.
 */
#ifndef X86_REGS_H
#define X86_REGS_H

#include <host/types.h>

enum x86_gpr {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
};

/* Instruction-encoding order; SEG_NONE marks "no override / no segment base in use". */
enum x86_segreg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT, SEG_NONE = SEG_COUNT };

#define RFLAGS_CF (1u << 0)
#define RFLAGS_FIXED (1u << 1)
#define RFLAGS_PF (1u << 2)
#define RFLAGS_AF (1u << 4)
#define RFLAGS_ZF (1u << 6)
#define RFLAGS_SF (1u << 7)
#define RFLAGS_TF (1u << 8)
#define RFLAGS_IF (1u << 9)
#define RFLAGS_DF (1u << 10)
#define RFLAGS_OF (1u << 11)
#define RFLAGS_IOPL (3u << 12)
#define RFLAGS_IOPL_SHIFT 12
#define RFLAGS_NT (1u << 14)
#define RFLAGS_RF (1u << 16)
#define RFLAGS_VM (1u << 17)
#define RFLAGS_AC (1u << 18)
#define RFLAGS_VIF (1u << 19)
#define RFLAGS_VIP (1u << 20)
#define RFLAGS_ID (1u << 21)
#define RFLAGS_ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
#define RFLAGS_VALID 0x3f7fd7u

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_MCE (1u << 6)
#define CR4_PGE (1u << 7)
#define CR4_PCE (1u << 8)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP (1u << 11)
#define CR4_LA57 (1u << 12)
#define CR4_VMXE (1u << 13)
#define CR4_SMXE (1u << 14)
#define CR4_FSGSBASE (1u << 16)
#define CR4_PCIDE (1u << 17)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define CR4_PKE (1u << 22)
#define CR4_CET (1u << 23)

#define X86_EFER_SCE (1u << 0)
#define X86_EFER_LME (1u << 8)
#define X86_EFER_LMA (1u << 10)
#define X86_EFER_NXE (1u << 11)
#define X86_EFER_SVME (1u << 12)
#define X86_EFER_FFXSR (1u << 14)
#define X86_EFER_AIBRSE (1u << 21)

enum x86_exc {
	X86_EXC_DE,
	X86_EXC_DB,
	X86_EXC_NMI,
	X86_EXC_BP,
	X86_EXC_OF,
	X86_EXC_BR,
	X86_EXC_UD,
	X86_EXC_NM,
	X86_EXC_DF,
	X86_EXC_CSO,
	X86_EXC_TS,
	X86_EXC_NP,
	X86_EXC_SS,
	X86_EXC_GP,
	X86_EXC_PF,
	X86_EXC_15,
	X86_EXC_MF,
	X86_EXC_AC,
	X86_EXC_MC,
	X86_EXC_XM,
	X86_EXC_VE,
	X86_EXC_CP,
};

/* Page-fault error code bits. */
#define PFERR_P (1u << 0)
#define PFERR_W (1u << 1)
#define PFERR_U (1u << 2)
#define PFERR_RSVD (1u << 3)
#define PFERR_I (1u << 4)
#define PFERR_PK (1u << 5)

/* DR6: bits that read as one, and the trap bits. DR7: fixed bit, enables, GD. */
#define DR6_FIXED1 0xffff0ff0u
#define DR6_B(n) (1u << (n))
#define DR6_BD (1u << 13)
#define DR6_BS (1u << 14)
#define DR6_BT (1u << 15)
#define DR7_FIXED1 (1u << 10)
#define DR7_ENABLE(n) (3u << (2 * (n)))
#define DR7_ENABLE_ANY 0xffu
#define DR7_GD (1u << 13)
#define DR7_TYPE(dr7, n) (((dr7) >> (16 + 4 * (n))) & 3) /* 0 exec, 1 write, 2 I/O, 3 rw */
#define DR7_LEN(dr7, n) (((dr7) >> (18 + 4 * (n))) & 3)  /* 0: 1, 1: 2, 2: 8, 3: 4 bytes */

#define X86_MSR_TSC 0x10
#define X86_MSR_APIC_BASE 0x1b
#define X86_MSR_SYSENTER_CS 0x174
#define X86_MSR_SYSENTER_ESP 0x175
#define X86_MSR_SYSENTER_EIP 0x176
#define X86_MSR_SPEC_CTRL 0x48
#define X86_MSR_PRED_CMD 0x49
#define X86_MSR_DEBUGCTL 0x1d9
#define X86_MSR_PAT 0x277
#define X86_MSR_TSC_DEADLINE 0x6e0
#define X86_MSR_EFER 0xc0000080u
#define X86_MSR_STAR 0xc0000081u
#define X86_MSR_LSTAR 0xc0000082u
#define X86_MSR_CSTAR 0xc0000083u
#define X86_MSR_SFMASK 0xc0000084u
#define X86_MSR_FS_BASE 0xc0000100u
#define X86_MSR_GS_BASE 0xc0000101u
#define X86_MSR_KERNEL_GS_BASE 0xc0000102u
#define X86_MSR_TSC_AUX 0xc0000103u
#define X86_MSR_XSS 0xda0u

#endif /* X86_REGS_H */
