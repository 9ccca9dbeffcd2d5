/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The virtual machine control block and its numbers (APM volume 2, "Secure Virtual Machine" and appendices "VMCB Layout",
 * "SVM Intercept Exit Codes").
 */
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

#include <host/types.h>

struct vmcb_seg {
	u16 sel;
	u16 attr; /* bits 0-7: descriptor byte 5; 8-11: AVL, L, D/B, G */
	u32 limit;
	u64 base;
};

struct vmcb {
	/* control area */
	u16 cr_read, cr_write, dr_read, dr_write; /* 000 */
	u32 exceptions;                           /* 008 */
	u32 intercept3, intercept4, intercept5;   /* 00c */
	u8 reserved1[0x3c - 0x18];
	u16 pause_threshold, pause_count; /* 03c */
	u64 iopm_pa, msrpm_pa;            /* 040 */
	u64 tsc_offset;                   /* 050 */
	u32 asid;                         /* 058 */
	u8 tlb_control;
	u8 reserved2[3];
	u64 vint;           /* 060 */
	u64 int_state;      /* 068 */
	u64 exit_code;      /* 070 */
	u64 info1, info2;   /* 078 */
	u64 exit_int_info;  /* 088 */
	u64 nested_control; /* 090 */
	u8 reserved3[0xa8 - 0x98];
	u64 event_inj;  /* 0a8 */
	u64 nested_cr3; /* 0b0 */
	u64 virt_ext;   /* 0b8 */
	u32 clean;      /* 0c0 */
	u32 reserved4;
	u64 next_rip;      /* 0c8 */
	u8 insn_bytes[16]; /* 0d0 */
	u8 reserved5[0x400 - 0xe0];
	/* state save area */
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; /* 400 */
	u8 reserved6[0x4cb - 0x4a0];
	u8 cpl; /* 4cb */
	u32 reserved7;
	u64 efer; /* 4d0 */
	u8 reserved8[0x548 - 0x4d8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 548 */
	u8 reserved9[0x5d8 - 0x580];
	u64 rsp; /* 5d8 */
	u64 reserved10[3];
	u64 rax;                                        /* 5f8 */
	u64 star, lstar, cstar, sfmask, kernel_gs_base; /* 600 */
	u64 sysenter_cs, sysenter_esp, sysenter_eip;    /* 628 */
	u64 cr2;                                        /* 640 */
	u8 reserved11[0x668 - 0x648];
	u64 pat;                                        /* 668 */
	u64 dbgctl, br_from, br_to, excp_from, excp_to; /* 670 */
	u8 reserved12[0x6e0 - 0x698];
	u64 spec_ctrl; /* 6e0 */
	u8 reserved13[0x1000 - 0x6e8];
};
_Static_assert(offsetof(struct vmcb, tlb_control) == 0x5c && offsetof(struct vmcb, event_inj) == 0xa8 &&
		       offsetof(struct vmcb, next_rip) == 0xc8 && offsetof(struct vmcb, es) == 0x400 &&
		       offsetof(struct vmcb, cpl) == 0x4cb && offsetof(struct vmcb, cr4) == 0x548 &&
		       offsetof(struct vmcb, rax) == 0x5f8 && offsetof(struct vmcb, pat) == 0x668 &&
		       offsetof(struct vmcb, spec_ctrl) == 0x6e0 && sizeof(struct vmcb) == 0x1000,
	       "VMCB layout");

/* intercept3 */
enum {
	I3_INTR = 1u << 0,
	I3_NMI = 1u << 1,
	I3_SMI = 1u << 2,
	I3_INIT = 1u << 3,
	I3_VINTR = 1u << 4,
	I3_RDTSC = 1u << 14,
	I3_RDPMC = 1u << 15,
	I3_PUSHF = 1u << 16,
	I3_POPF = 1u << 17,
	I3_CPUID = 1u << 18,
	I3_RSM = 1u << 19,
	I3_IRET = 1u << 20,
	I3_INTN = 1u << 21,
	I3_INVD = 1u << 22,
	I3_PAUSE = 1u << 23,
	I3_HLT = 1u << 24,
	I3_INVLPGA = 1u << 26,
	I3_IOIO = 1u << 27,
	I3_MSR = 1u << 28,
	I3_TASK_SWITCH = 1u << 29,
	I3_SHUTDOWN = 1u << 31,
};
/* intercept4 */
enum {
	I4_VMRUN = 1u << 0,
	I4_VMMCALL = 1u << 1,
	I4_VMLOAD = 1u << 2,
	I4_VMSAVE = 1u << 3,
	I4_STGI = 1u << 4,
	I4_CLGI = 1u << 5,
	I4_SKINIT = 1u << 6,
	I4_RDTSCP = 1u << 7,
	I4_WBINVD = 1u << 9,
	I4_MONITOR = 1u << 10,
	I4_MWAIT = 1u << 11,
	I4_MWAIT_ARMED = 1u << 12,
	I4_XSETBV = 1u << 13,
	I4_RDPRU = 1u << 14,
};

/* clean: what of the VMCB the processor may still hold (APM volume 2, "VMCB Clean Field"); bits of parts we have changed are 0. */
enum {
	CLEAN_CONTROLS = 1u << 0, /* intercepts, TSC offset */
	CLEAN_MAPS = 1u << 1,     /* addresses of the I/O and MSR maps */
	CLEAN_ASID = 1u << 2,
	CLEAN_VINT = 1u << 3,
	CLEAN_NESTED = 1u << 4,   /* nested control and CR3, PAT */
	CLEAN_CR = 1u << 5,       /* CR0, CR3, CR4, EFER */
	CLEAN_DR = 1u << 6,       /* DR6, DR7 */
	CLEAN_TABLES = 1u << 7,   /* GDTR, IDTR */
	CLEAN_SEGMENTS = 1u << 8, /* ES, CS, SS, DS, CPL */
	CLEAN_CR2 = 1u << 9,
	CLEAN_ALL = (1u << 10) - 1,
};

#define TLB_FLUSH_ALL 1

#define VINT_IRQ (1ull << 8)
#define VINT_PRIO_MAX (0xfull << 16)
#define VINT_IGNORE_TPR (1ull << 20)
#define VINT_MASKING (1ull << 24)

#define INT_SHADOW 1ull
#define NESTED_PAGING 1ull

#define EVENT_TYPE(e) (((e) >> 8) & 7)
#define EVENT_TYPE_SHIFT 8
#define EVENT_TYPE_SOFT 4
#define EVENT_HAS_ERROR (1ull << 11)
#define EVENT_VALID (1ull << 31)

enum {
	X_READ_CR0 = 0x00,
	X_WRITE_CR0 = 0x10,
	X_READ_DR0 = 0x20,
	X_WRITE_DR0 = 0x30,
	X_EXC0 = 0x40,
	X_INTR = 0x60,
	X_NMI,
	X_SMI,
	X_INIT,
	X_VINTR,
	X_RDTSC = 0x6e,
	X_RDPMC,
	X_PUSHF,
	X_POPF,
	X_CPUID = 0x72,
	X_RSM,
	X_IRET,
	X_INTN,
	X_INVD = 0x76,
	X_PAUSE,
	X_HLT,
	X_INVLPG,
	X_INVLPGA,
	X_IOIO,
	X_MSR,
	X_TASK_SWITCH,
	X_SHUTDOWN = 0x7f,
	X_VMRUN,
	X_VMMCALL,
	X_VMLOAD,
	X_VMSAVE,
	X_STGI,
	X_CLGI,
	X_SKINIT,
	X_RDTSCP,
	X_ICEBP,
	X_WBINVD,
	X_MONITOR,
	X_MWAIT,
	X_MWAIT_ARMED,
	X_XSETBV,
	X_RDPRU,
	X_NPF = 0x400,
};
#define X_INVALID 0xffffffffu /* -1; emulators store only its low half */

/* info1 of X_IOIO, of X_NPF, info2 of X_TASK_SWITCH */
#define IO_IN (1u << 0)
#define IO_STRING (1u << 2)
#define IO_REP (1u << 3)
#define IO_SIZE(i) (((i) >> 4) & 7)
#define IO_PORT(i) ((u16)((i) >> 16))
#define NPF_PRESENT (1u << 0)
#define NPF_WRITE (1u << 1)
#define NPF_EXEC (1u << 4)
#define TASK_INFO_IRET (1ull << 36)
#define TASK_INFO_JMP (1ull << 38)
#define TASK_INFO_ERROR (1ull << 44)

#define SVM_MSR_TSC_RATIO 0xc0000104u /* 8.32 fixed point */
#define SVM_MSR_VM_CR 0xc0010114u
#define SVM_MSR_HSAVE_PA 0xc0010117u
#define VM_CR_SVMDIS (1u << 4)

#endif /* SVM_VMCB_H */
