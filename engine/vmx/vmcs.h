/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The virtual machine control structure: its fields and their bits, exit reasons and capability MSRs (SDM, "Virtual Machine Control Structures" and appendices "Field Encoding in VMCS", "VMX Basic Exit Reasons", "VMX
 * Capability Reporting Facility"). world.S includes it too.
 */
#ifndef VMX_VMCS_H
#define VMX_VMCS_H

#define HOST_RSP 0x6c14

#ifndef __ASSEMBLY__
#include <host/types.h>

enum vmcs_field {
	/* 16 bits */
	VPID = 0x0000,
	GUEST_ES_SEL = 0x0800, /* in the order of enum x86_segreg, then LDTR, TR */
	GUEST_LDTR_SEL = 0x080c,
	GUEST_TR_SEL = 0x080e,
	HOST_ES_SEL = 0x0c00,
	HOST_CS_SEL = 0x0c02,
	HOST_SS_SEL = 0x0c04,
	HOST_DS_SEL = 0x0c06,
	HOST_FS_SEL = 0x0c08,
	HOST_GS_SEL = 0x0c0a,
	HOST_TR_SEL = 0x0c0c,
	PML_INDEX = 0x0812,
	/* 64 bits */
	MSR_BITMAP = 0x2004,
	EXIT_MSR_STORE = 0x2006,
	EXIT_MSR_LOAD = 0x2008,
	ENTRY_MSR_LOAD = 0x200a,
	PML_ADDRESS = 0x200e,
	TSC_OFFSET = 0x2010,
	VIRTUAL_APIC_PAGE = 0x2012,
	EPT_POINTER = 0x201a,
	XSS_EXIT_BITMAP = 0x202c,
	GUEST_PHYSICAL_ADDRESS = 0x2400,
	VMCS_LINK = 0x2800,
	GUEST_DEBUGCTL = 0x2802,
	GUEST_PAT = 0x2804,
	GUEST_EFER = 0x2806,
	GUEST_PDPTE0 = 0x280a,
	HOST_PAT = 0x2c00,
	HOST_EFER = 0x2c02,
	/* 32 bits */
	PIN_CONTROLS = 0x4000,
	PROC_CONTROLS = 0x4002,
	EXCEPTION_BITMAP = 0x4004,
	PF_ERROR_MASK = 0x4006,
	PF_ERROR_MATCH = 0x4008,
	CR3_TARGET_COUNT = 0x400a,
	EXIT_CONTROLS = 0x400c,
	EXIT_MSR_STORE_COUNT = 0x400e,
	EXIT_MSR_LOAD_COUNT = 0x4010,
	ENTRY_CONTROLS = 0x4012,
	ENTRY_MSR_LOAD_COUNT = 0x4014,
	ENTRY_INTR_INFO = 0x4016,
	ENTRY_ERROR_CODE = 0x4018,
	ENTRY_INSN_LEN = 0x401a,
	TPR_THRESHOLD = 0x401c,
	PROC2_CONTROLS = 0x401e,
	PAUSE_GAP = 0x4020,
	PAUSE_WINDOW = 0x4022,
	INSTRUCTION_ERROR = 0x4400,
	EXIT_REASON = 0x4402,
	EXIT_INTR_INFO = 0x4404,
	EXIT_INTR_ERROR = 0x4406,
	IDT_VECTORING_INFO = 0x4408,
	IDT_VECTORING_ERROR = 0x440a,
	EXIT_INSN_LEN = 0x440c,
	GUEST_ES_LIMIT = 0x4800,
	GUEST_LDTR_LIMIT = 0x480c,
	GUEST_TR_LIMIT = 0x480e,
	GUEST_GDTR_LIMIT = 0x4810,
	GUEST_IDTR_LIMIT = 0x4812,
	GUEST_ES_ATTR = 0x4814,
	GUEST_CS_ATTR = 0x4816,
	GUEST_LDTR_ATTR = 0x4820,
	GUEST_TR_ATTR = 0x4822,
	GUEST_INTERRUPTIBILITY = 0x4824,
	GUEST_ACTIVITY = 0x4826,
	GUEST_SYSENTER_CS = 0x482a,
	HOST_SYSENTER_CS = 0x4c00,
	/* natural width */
	CR0_MASK = 0x6000,
	CR4_MASK = 0x6002,
	CR0_SHADOW = 0x6004,
	CR4_SHADOW = 0x6006,
	EXIT_QUALIFICATION = 0x6400,
	GUEST_LINEAR_ADDRESS = 0x640a,
	GUEST_CR0 = 0x6800,
	GUEST_CR3 = 0x6802,
	GUEST_CR4 = 0x6804,
	GUEST_ES_BASE = 0x6806,
	GUEST_LDTR_BASE = 0x6812,
	GUEST_TR_BASE = 0x6814,
	GUEST_GDTR_BASE = 0x6816,
	GUEST_IDTR_BASE = 0x6818,
	GUEST_DR7 = 0x681a,
	GUEST_RSP = 0x681c,
	GUEST_RIP = 0x681e,
	GUEST_RFLAGS = 0x6820,
	GUEST_PENDING_DEBUG = 0x6822,
	GUEST_SYSENTER_ESP = 0x6824,
	GUEST_SYSENTER_EIP = 0x6826,
	HOST_CR0 = 0x6c00,
	HOST_CR3 = 0x6c02,
	HOST_CR4 = 0x6c04,
	HOST_FS_BASE = 0x6c06,
	HOST_GS_BASE = 0x6c08,
	HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c,
	HOST_IDTR_BASE = 0x6c0e,
	HOST_SYSENTER_ESP = 0x6c10,
	HOST_SYSENTER_EIP = 0x6c12,
	HOST_RIP = 0x6c16,
};

/* Pin-based controls */
#define PIN_INTR (1u << 0)
#define PIN_NMI (1u << 3)
#define PIN_VIRTUAL_NMIS (1u << 5)

/* Primary and secondary processor-based controls */
#define PROC_INTR_WINDOW (1u << 2)
#define PROC_TSC_OFFSET (1u << 3)
#define PROC_HLT (1u << 7)
#define PROC_INVLPG (1u << 9)
#define PROC_MWAIT (1u << 10)
#define PROC_RDPMC (1u << 11)
#define PROC_RDTSC (1u << 12)
#define PROC_CR3_LOAD (1u << 15)
#define PROC_CR3_STORE (1u << 16)
#define PROC_CR8_LOAD (1u << 19)
#define PROC_CR8_STORE (1u << 20)
#define PROC_TPR_SHADOW (1u << 21)
#define PROC_NMI_WINDOW (1u << 22)
#define PROC_MOV_DR (1u << 23)
#define PROC_IO (1u << 24)
#define PROC_MONITOR_TRAP (1u << 27)
#define PROC_MSR_BITMAP (1u << 28)
#define PROC_MONITOR (1u << 29)
#define PROC_SECONDARY (1u << 31)
#define PROC2_EPT (1u << 1)
#define PROC2_RDTSCP (1u << 3)
#define PROC2_VPID (1u << 5)
#define PROC2_WBINVD (1u << 6)
#define PROC2_UNRESTRICTED (1u << 7)
#define PROC2_PAUSE_LOOP (1u << 10)
#define PROC2_INVPCID (1u << 12)
#define PROC2_PML (1u << 17)
#define PROC2_XSAVES (1u << 20)

#define EXIT_SAVE_DEBUG (1u << 2)
#define EXIT_HOST_64 (1u << 9)
#define EXIT_SAVE_PAT (1u << 18)
#define EXIT_LOAD_PAT (1u << 19)
#define EXIT_LOAD_EFER (1u << 21)
#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_IA32E (1u << 9)
#define ENTRY_LOAD_PAT (1u << 14)
#define ENTRY_LOAD_EFER (1u << 15)

/* Entry and exit interruption information, IDT-vectoring information */
#define INTR_TYPE(i) (((i) >> 8) & 7)
#define INTR_TYPE_SHIFT 8
#define INTR_HAS_ERROR (1u << 11)
#define INTR_NMI_UNBLOCKED (1u << 12) /* exits: an IRET had ended the blocking of NMIs */
#define INTR_VALID (1u << 31)

#define BLOCKING_STI (1u << 0)
#define BLOCKING_MOV_SS (1u << 1)
#define BLOCKING_NMI (1u << 3)

#define ACTIVITY_ACTIVE 0u
#define ACTIVITY_HLT 1u

#define PENDING_DEBUG_BREAKPOINT (1u << 12)
#define PENDING_DEBUG_BS (1u << 14)

/* Exit qualification of EPT violations; of accesses to CRs, DRs and ports, and task switches. */
#define EPT_WRITE (1u << 1)
#define EPT_EXEC (1u << 2)
#define EPT_PRESENT (7u << 3)
#define EPT_GLA_VALID (1u << 7)
#define EPT_NMI_UNBLOCKED (1u << 12)
#define CR_NR(q) ((q)&15)
#define CR_TYPE(q) (((q) >> 4) & 3)
#define CR_GPR(q) (((q) >> 8) & 15)
#define CR_LMSW(q) ((u16)((q) >> 16))
enum { CR_WRITE, CR_READ, CR_CLTS, CR_LMSW_TYPE };
#define DR_NR(q) ((q)&7)
#define DR_READ (1u << 4)
#define IO_SIZE(q) (((q)&7) + 1)
#define IO_IN (1u << 3)
#define IO_STRING (1u << 4)
#define IO_REP (1u << 5)
#define IO_PORT(q) ((u16)((q) >> 16))
#define TASK_SEL(q) ((u16)(q))
#define TASK_WHY(q) (((q) >> 30) & 3)

#define EPTP_WB 6ull
#define EPTP_WALK_4 (3ull << 3)
#define EPTP_DIRTY (1ull << 6) /* accessed and dirty bits are in use */
#define EPT_LEAF_DIRTY (1ull << 9)
#define EPT_LEAF_UC (0ull << 3) /* memory type of a page: uncached... */
#define EPT_LEAF_WB (6ull << 3) /* write back... */
#define EPT_LEAF_IGNORE_PAT (1ull << 6)

enum {
	X_EXCEPTION_NMI = 0,
	X_INTR = 1,
	X_TRIPLE_FAULT = 2,
	X_INIT = 3,
	X_SIPI = 4,
	X_INTR_WINDOW = 7,
	X_NMI_WINDOW = 8,
	X_TASK_SWITCH = 9,
	X_CPUID = 10,
	X_GETSEC = 11,
	X_HLT = 12,
	X_INVD = 13,
	X_INVLPG = 14,
	X_RDPMC = 15,
	X_RDTSC = 16,
	X_RSM = 17,
	X_VMCALL = 18,
	X_VMCLEAR = 19,
	X_VMXON = 27,
	X_CR = 28,
	X_DR = 29,
	X_IO = 30,
	X_RDMSR = 31,
	X_WRMSR = 32,
	X_INVALID_STATE = 33,
	X_MSR_LOADING = 34,
	X_MWAIT = 36,
	X_MONITOR_TRAP = 37,
	X_MONITOR = 39,
	X_PAUSE = 40,
	X_MC_AT_ENTRY = 41,
	X_TPR = 43,
	X_EPT_VIOLATION = 48,
	X_EPT_MISCONFIG = 49,
	X_INVEPT = 50,
	X_RDTSCP = 51,
	X_INVVPID = 53,
	X_WBINVD = 54,
	X_XSETBV = 55,
	X_RDRAND = 57,
	X_INVPCID = 58,
	X_VMFUNC = 59,
	X_PML_FULL = 62,
};
#define X_REASON(r) ((u16)(r))
#define X_ENTRY_FAILED (1u << 31)

/* The page-modification log is filled from its last entry down. */
#define PML_ENTRIES 512

#define MSR_ARCH_CAPABILITIES 0x10au
/*
 * SDM, "IA32_ARCH_CAPABILITIES": what a processor is not open to, and what its VERW, IBRS and return predictor do: RDCL_NO, IBRS_ALL,
 * RSBA, SSB_NO, MDS_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, FB_CLEAR, RRSBA, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, RFDS_CLEAR, ITS_NO.
 */
#define ARCH_CAP_FOR_GUESTS                                                                                            \
	(BIT(0) | BIT(1) | BIT(2) | BIT(4) | BIT(5) | BIT(8) | BIT(13) | BIT(14) | BIT(15) | BIT(17) | BIT(19) |       \
	 BIT(20) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | 1ull << 62)
#define MSR_FEATURE_CONTROL 0x3au
#define FEATURE_LOCKED (1u << 0)
#define FEATURE_VMXON (1u << 2)
#define MSR_VMX_BASIC 0x480u
#define MSR_VMX_PIN 0x481u
#define MSR_VMX_PROC 0x482u
#define MSR_VMX_EXIT 0x483u
#define MSR_VMX_ENTRY 0x484u
#define MSR_VMX_CR0_FIXED0 0x486u
#define MSR_VMX_CR0_FIXED1 0x487u
#define MSR_VMX_CR4_FIXED0 0x488u
#define MSR_VMX_CR4_FIXED1 0x489u
#define MSR_VMX_PROC2 0x48bu
#define MSR_VMX_EPT_VPID 0x48cu
#define MSR_VMX_TRUE_PIN 0x48du
#define MSR_VMX_TRUE_PROC 0x48eu
#define MSR_VMX_TRUE_EXIT 0x48fu
#define MSR_VMX_TRUE_ENTRY 0x490u
#define VMX_BASIC_TRUE (1ull << 55)
#define EPT_CAP_WALK_4 (1ull << 6)
#define EPT_CAP_WB (1ull << 14)
#define EPT_CAP_2M (1ull << 16)
#define EPT_CAP_INVEPT (1ull << 20)
#define EPT_CAP_DIRTY (1ull << 21)
#define EPT_CAP_INVEPT_ONE (1ull << 25)
#define EPT_CAP_INVEPT_ALL (1ull << 26)
#define VPID_CAP_INVVPID (1ull << 32)
#define VPID_CAP_INVVPID_ONE (1ull << 41)
#define VPID_CAP_INVVPID_ALL (1ull << 42)
enum { INV_ONE = 1, INV_ALL = 2 };

/* An area of MSRs that the processor loads or stores. */
struct vmx_msr {
	u32 index, reserved;
	u64 val;
};

#endif /* __ASSEMBLY__ */
#endif /* VMX_VMCS_H */
