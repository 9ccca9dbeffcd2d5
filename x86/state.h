/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * struct x86_state: the architectural state of one logical processor, in neutral form.
 *
 * It is the state that instruction routines (x86/exec_*.c) read and change, that the state ioctls
 * show, and that hardware engines load from and store to a VMCS or VMCB. One thread at a time
 * owns it: the vCPU's thread, or the holder of the vCPU mutex while KVM_RUN is not active.
 *
 * Translated code addresses its first fields with 8-bit displacements: keep gpr, rip, rflags first.
 */
#ifndef X86_STATE_H
#define X86_STATE_H

#include "regs.h"

struct x86_ops;
struct x86_tlb;

/*
 * A segment register with its hidden part. attr has the layout of a VMCS access-rights field:
 * bits 0-3 type, 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable.
 * limit is in bytes, already scaled by G.
 */
struct x86_seg {
	u64 base;
	u32 limit;
	u32 attr;
	u16 sel;
};

#define SEG_TYPE(attr) ((attr)&0xf)
#define SEG_S (1u << 4)
#define SEG_DPL(attr) (((attr) >> 5) & 3)
#define SEG_DPL_SHIFT 5
#define SEG_P (1u << 7)
#define SEG_AVL (1u << 12)
#define SEG_L (1u << 13)
#define SEG_DB (1u << 14)
#define SEG_G (1u << 15)
#define SEG_UNUSABLE (1u << 16)
#define SEG_TYPE_ACCESSED 1u
#define SEG_TYPE_RW 2u /* data: writable; code: readable */
#define SEG_TYPE_DC 4u /* data: expand-down; code: conforming */
#define SEG_TYPE_CODE 8u

struct x86_table {
	u64 base;
	u16 limit;
};

/* Decoding mode: what the CS.L/CS.D bits, CR0.PE, RFLAGS.VM and EFER.LMA amount to. */
enum x86_mode {
	X86_MODE_REAL,   /* CR0.PE = 0 (16-bit default) */
	X86_MODE_VM86,   /* RFLAGS.VM = 1 */
	X86_MODE_PROT16, /* protected or compatibility mode, CS.D = 0 */
	X86_MODE_PROT32, /* protected or compatibility mode, CS.D = 1 */
	X86_MODE_LONG,   /* 64-bit mode */
};

/* What kind of event an x86_event is; the numbers are those of the VMCS and VMCB event fields. */
enum x86_event_type {
	X86_EVENT_INTR = 0, /* external interrupt */
	X86_EVENT_NMI = 2,
	X86_EVENT_EXC = 3,      /* hardware exception, by a fault or trap */
	X86_EVENT_SOFT_INT = 4, /* INT n */
	X86_EVENT_PRIV_EXC = 5, /* INT1 */
	X86_EVENT_SOFT_EXC = 6, /* INT3, INTO */
};

struct x86_event {
	u8 type; /* enum x86_event_type */
	u8 vector;
	bool has_error;
	u32 error;
	u64 cr2;     /* #PF: linear address. #DB: DR6 bits to merge */
	u8 insn_len; /* software events: bytes to add to rip for the pushed address */
};

/* Interrupt shadow (SDM, "Masking Exceptions and Interrupts When Switching Stacks"; STI). */
#define X86_SHADOW_STI 1
#define X86_SHADOW_MOV_SS 2

struct x86_state {
	u64 gpr[16];
	u64 rip;
	u64 rflags; /* always exact, bit 1 set */
	const struct x86_ops *ops;
	struct x86_tlb *tlb;       /* NULL: every access goes through ops (hardware engines) */
	struct x86_recent *recent; /* x86.h; NULL: every instruction is decoded anew */

	u8 cpl;              /* current privilege level; equals SS.DPL in protected mode */
	u8 mode;             /* enum x86_mode; kept by x86_update_mode() */
	u8 shadow;           /* X86_SHADOW_*; cleared when the next instruction retires */
	u8 mmu_index;        /* enum x86_mmu_index of ordinary data accesses; x86_update_mode() */
	bool nmi_blocked;    /* set by NMI delivery, cleared by IRET */
	bool halted;         /* set by HLT, cleared by the loop when an event wakes */
	bool keep_rf;        /* this instruction has loaded RF: x86_retire() leaves it (IRET, task switch) */
	bool end_block;      /* soft engine: leave the block after this instruction (a store hit translated
				 * code, a write to user space was queued, events may be deliverable) */
	bool trap_dr;        /* a debugger wants accesses to debug registers: #DB as by the guest's own DR7.GD */
	bool in_smm;         /* system management mode; changed by x86_set_smm() */
	bool smm_inside_nmi; /* in it: NMIs were blocked before */
	bool step_strings;   /* string instructions do one iteration, then X86_REPEAT (single step) */

	struct x86_event fault; /* valid after a routine returned X86_FAULT */
	u64 dr6_pending; /* DR6 bits of the traps that the current instruction has met (breakpoints, task, SYSRET's TF) */

	/*
	 * Data breakpoints in force (the guest's or a debugger's), in DR0-3/DR7 form; the soft engine keeps them.
	 * watch_dr7 = 0: none. Pages that hold one are never cached, so that every access passes mem.c.
	 */
	u64 watch_addr[4];
	u64 watch_dr7;

	struct x86_seg seg[SEG_COUNT];
	struct x86_seg ldt, tr;
	struct x86_table gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8; /* cr8: used only where ops->cr8 hooks are NULL */
	u64 efer;
	u64 xcr0;
	u64 dr[4], dr6, dr7;
	u64 pdpte[4]; /* PAE paging: loaded by mov cr3/cr0/cr4 (SDM, "PAE Paging") */

	u64 star, lstar, cstar, sfmask;
	u64 kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat;
	u64 tsc_aux;
	u64 smbase; /* 32 bits */

	/*
	 * What the guest's CPUID offers, as a bit set (enum x86_feature), recomputed by core when
	 * KVM_SET_CPUID2 changes it; the decoder's #UD and the CR4/EFER/XCR0 checks read it.
	 */
	u64 features[2];
	u8 maxphyaddr;     /* physical address bits of the guest */
	bool cpuid_faults; /* CPUID is #GP(0) but at CPL 0 and in system management mode (MSR_MISC_FEATURES_ENABLES) */
	bool vendor_amd;   /* SYSENTER/SYSCALL and near-branch operand-size rules differ */

	/* Cells of generated code (engine/soft/translate/translate.h, enum gen_cell). */
	u64 gen[40];

	/* x87 bookkeeping that the host's FPU cannot know (guest addresses), see native.h */
	u64 fpu_ip, fpu_dp;
	u16 fpu_cs, fpu_ds, fpu_op;

	/*
	 * Guest extended state in the standard (non-compacted) XSAVE format, 64-byte aligned, owned by
	 * the vCPU; its size covers xcr0_supported. While fpu_live is set the truth is in the host's
	 * registers and this area is stale (soft engine only).
	 */
	void *xsave;
	/*
	 * AVX-512 state, which a guest can have without the instructions: its bits of XCR0 if the guest's CPUID offers
	 * them, else 0; offsets of the components 5 to 7 in the standard format, in our area as in the guest's.
	 */
	u64 xcr0_avx512;
	u16 xsave_avx512[3];
	bool fpu_live;
	/* Soft engine, while fpu_live: the thread's own control words. */
	u16 host_fcw;
	u32 host_mxcsr;
};

/* CPU features that change what instructions exist or which bits may be set. */
enum x86_feature {
	X86F_FPU,
	X86F_VME,
	X86F_DE,
	X86F_PSE,
	X86F_TSC,
	X86F_MSR,
	X86F_PAE,
	X86F_CX8,
	X86F_SEP,
	X86F_PGE,
	X86F_CMOV,
	X86F_PSE36,
	X86F_CLFLUSH,
	X86F_MMX,
	X86F_FXSR,
	X86F_SSE,
	X86F_SSE2,
	X86F_SSE3,
	X86F_PCLMUL,
	X86F_MONITOR,
	X86F_SSSE3,
	X86F_FMA,
	X86F_CX16,
	X86F_PCID,
	X86F_SSE41,
	X86F_SSE42,
	X86F_X2APIC,
	X86F_MOVBE,
	X86F_POPCNT,
	X86F_AES,
	X86F_XSAVE,
	X86F_AVX,
	X86F_F16C,
	X86F_RDRAND,
	X86F_FSGSBASE,
	X86F_BMI1,
	X86F_AVX2,
	X86F_SMEP,
	X86F_BMI2,
	X86F_ERMS,
	X86F_INVPCID,
	X86F_RDSEED,
	X86F_ADX,
	X86F_SMAP,
	X86F_CLFLUSHOPT,
	X86F_CLWB,
	X86F_SHA,
	X86F_UMIP,
	X86F_PKU,
	X86F_LA57,
	X86F_RDPID,
	X86F_GFNI,
	X86F_VAES,
	X86F_VPCLMUL,
	X86F_XSAVEOPT,
	X86F_XSAVEC,
	X86F_XGETBV1,
	X86F_XSAVES,
	X86F_SYSCALL,
	X86F_NX,
	X86F_FXSR_OPT,
	X86F_AUTOIBRS,
	X86F_GBPAGES,
	X86F_RDTSCP,
	X86F_LM,
	X86F_LAHF_LM,
	X86F_LZCNT,
	X86F_SSE4A,
	X86F_PREFETCHW,
	X86F_FMA4,
	X86F_XOP,
	X86F_TBM,
	X86F_CLZERO,
	X86F_MOVDIRI,
	X86F_MOVDIR64B,
	X86F_SERIALIZE,
	X86F_AVX_VNNI,
	X86F_WBNOINVD,
	X86F_3DNOW,
	X86F_MCOMMIT,
	X86F_COUNT
};

static inline bool x86_has(const struct x86_state *s, enum x86_feature f)
{
	return s->features[f >> 6] >> (f & 63) & 1;
}

static inline bool x86_real_or_vm86(const struct x86_state *s)
{
	return s->mode <= X86_MODE_VM86;
}

static inline unsigned x86_iopl(const struct x86_state *s)
{
	return (s->rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT;
}

#endif /* X86_STATE_H */
