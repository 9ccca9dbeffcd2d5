/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The one table of CPUID feature bits: what guests are offered, and which feature of the instruction
 * library each stands for. A bit without a row is never offered (AVX-512, PKU, MPX, SGX, TSX, LA57,
 * VMX, SVM, PMU). Sources: SDM volume 2, "CPUID - CPU Identification"; AMD APM volume
 * 3, appendix E.
 */
#include "cpuid_table.h"

#define ROW(leaf, sub, reg, bit, offer, f) { leaf, sub, OUT_##reg, bit, OFFER_##offer, f }
#define F(reg, bit, name) ROW(LEAF, SUB, reg, bit, HOST, X86F_##name)
#define AVX(reg, bit, name) ROW(LEAF, SUB, reg, bit, HOST_AVX, X86F_##name)
#define XS(reg, bit, name) ROW(LEAF, SUB, reg, bit, HOST_XSAVE, X86F_##name)
#define PLAIN(reg, bit) ROW(LEAF, SUB, reg, bit, HOST, NO_X86F)
#define SPECULATION(reg, bit) ROW(LEAF, SUB, reg, bit, SPECULATION, NO_X86F)

const struct cpuid_bit cpuid_bits[] = {
#define LEAF 1
#define SUB 0
	F(EDX, 0, FPU), F(EDX, 1, VME), F(EDX, 2, DE), F(EDX, 3, PSE), F(EDX, 4, TSC), F(EDX, 5, MSR),
		F(EDX, 6, PAE),
	PLAIN(EDX, 7),				/* MCE */
	F(EDX, 8, CX8),
	PLAIN(EDX, 9),				/* APIC */
	F(EDX, 11, SEP),
	PLAIN(EDX, 12),				/* MTRR */
	F(EDX, 13, PGE),
	PLAIN(EDX, 14),				/* MCA */
	F(EDX, 15, CMOV),
	PLAIN(EDX, 16),				/* PAT */
	F(EDX, 17, PSE36), F(EDX, 19, CLFLUSH), F(EDX, 23, MMX), F(EDX, 24, FXSR), F(EDX, 25, SSE),
		F(EDX, 26, SSE2),
	PLAIN(EDX, 27),				/* self snoop */
	F(ECX, 0, SSE3), F(ECX, 1, PCLMUL),
	ROW(LEAF, SUB, ECX, 3, NEVER, X86F_MONITOR),
	F(ECX, 9, SSSE3), AVX(ECX, 12, FMA), F(ECX, 13, CX16), F(ECX, 17, PCID), F(ECX, 19, SSE41),
	F(ECX, 20, SSE42),
	ROW(LEAF, SUB, ECX, 21, ALWAYS, X86F_X2APIC),
	F(ECX, 22, MOVBE), F(ECX, 23, POPCNT), F(ECX, 25, AES), XS(ECX, 26, XSAVE), AVX(ECX, 28, AVX),
		AVX(ECX, 29, F16C),
	F(ECX, 30, RDRAND),
#undef LEAF
#define LEAF 7
	F(EBX, 0, FSGSBASE),
	ROW(LEAF, SUB, EBX, 1, ALWAYS, NO_X86F),	/* TSC_ADJUST */
	F(EBX, 3, BMI1), AVX(EBX, 5, AVX2),
	PLAIN(EBX, 6),				/* x87 data pointer updated on exceptions only */
	F(EBX, 7, SMEP), F(EBX, 8, BMI2), F(EBX, 9, ERMS), F(EBX, 10, INVPCID),
	PLAIN(EBX, 13),				/* FPU CS and DS are zero */
	F(EBX, 18, RDSEED), F(EBX, 19, ADX), F(EBX, 20, SMAP), F(EBX, 23, CLFLUSHOPT), F(EBX, 24, CLWB),
		F(EBX, 29, SHA),
	F(ECX, 2, UMIP), F(ECX, 8, GFNI), AVX(ECX, 9, VAES), AVX(ECX, 10, VPCLMUL), F(ECX, 22, RDPID),
	F(ECX, 27, MOVDIRI), F(ECX, 28, MOVDIR64B),
	PLAIN(EDX, 4),				/* fast short REP MOV */
	F(EDX, 14, SERIALIZE),
	SPECULATION(EDX, 26), SPECULATION(EDX, 27), SPECULATION(EDX, 31),	/* IBRS and IBPB, STIBP, SSBD */
	ROW(LEAF, SUB, EDX, 29, INTEL, NO_X86F),	/* IA32_ARCH_CAPABILITIES */
#undef SUB
#define SUB 1
	AVX(EAX, 4, AVX_VNNI),
#undef LEAF
#define LEAF 0xd
	XS(EAX, 0, XSAVEOPT), XS(EAX, 1, XSAVEC), XS(EAX, 2, XGETBV1), XS(EAX, 3, XSAVES),
#undef LEAF
#undef SUB
#define LEAF 0x80000001
#define SUB 0
	PLAIN(EDX, 0), PLAIN(EDX, 1), PLAIN(EDX, 2), PLAIN(EDX, 3), PLAIN(EDX, 4), PLAIN(EDX, 5),
		PLAIN(EDX, 6),
	PLAIN(EDX, 7), PLAIN(EDX, 8), PLAIN(EDX, 9), PLAIN(EDX, 12), PLAIN(EDX, 13), PLAIN(EDX, 14),
		PLAIN(EDX, 15),
	PLAIN(EDX, 16), PLAIN(EDX, 17), PLAIN(EDX, 23), PLAIN(EDX, 24),	/* AMD: as leaf 1 */
	F(EDX, 11, SYSCALL), F(EDX, 20, NX),
	PLAIN(EDX, 22),				/* AMD's extensions to MMX, part of SSE */
	F(EDX, 25, FXSR_OPT), F(EDX, 26, GBPAGES), F(EDX, 27, RDTSCP), F(EDX, 29, LM),
	F(ECX, 0, LAHF_LM),
	PLAIN(ECX, 1),				/* CMP_LEGACY */
	F(ECX, 5, LZCNT), F(ECX, 6, SSE4A),
	PLAIN(ECX, 7),				/* misaligned SSE */
	F(ECX, 8, PREFETCHW),
	PLAIN(ECX, 9),				/* OSVW */
	PLAIN(ECX, 22),				/* topology extensions */
#undef LEAF
#define LEAF 0x80000007
	PLAIN(EDX, 8),				/* invariant TSC */
#undef LEAF
#define LEAF 0x80000008
	F(EBX, 0, CLZERO),
	PLAIN(EBX, 2),				/* XRSTOR restores error pointers */
	F(EBX, 9, WBNOINVD),
	SPECULATION(EBX, 12), SPECULATION(EBX, 14), SPECULATION(EBX, 15),	/* IBPB, IBRS, STIBP */
	SPECULATION(EBX, 17), SPECULATION(EBX, 24), SPECULATION(EBX, 26),	/* STIBP always on, SSBD, SSB_NO */
	SPECULATION(EBX, 28),			/* PSFD */
#undef LEAF
#define LEAF 0x80000021
	PLAIN(EAX, 0),				/* no nested data breakpoints */
	PLAIN(EAX, 2),				/* LFENCE serialises */
	PLAIN(EAX, 6),				/* null selectors clear the base */
	/*
	 * What a guest does against its processor's speculation (retpolines, safe returns, VERW) costs it time, and in software
	 * does nothing: its branches and returns are not the host's. docs/status.md says what that means.
	 */
	ROW(LEAF, SUB, EAX, 8, SOFT, X86F_AUTOIBRS),
	ROW(LEAF, SUB, EAX, 9, ALWAYS, NO_X86F),	/* no SMM_CTL MSR */
	ROW(LEAF, SUB, EAX, 29, SOFT, NO_X86F),	/* SRSO_NO: speculative return stack overflow */
	ROW(LEAF, SUB, ECX, 1, SOFT, NO_X86F),	/* TSA_SQ_NO, TSA_L1_NO: transient scheduler attacks */
	ROW(LEAF, SUB, ECX, 2, SOFT, NO_X86F),
#undef LEAF
#undef SUB
};

const u32 cpuid_nr_bits = ARRAY_SIZE(cpuid_bits);
