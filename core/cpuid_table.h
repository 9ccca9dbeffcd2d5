/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * CPUID in core: the feature bits that guests can be offered, one row per bit (cpuid_table.c); what is offered of them
 * (cpuid_supported.c); a vCPU's own (cpuid.c).
 */
#ifndef CORE_CPUID_TABLE_H
#define CORE_CPUID_TABLE_H

#include "vcpu.h"

enum cpuid_reg { OUT_EAX, OUT_EBX, OUT_ECX, OUT_EDX };

enum cpuid_offer {
	OFFER_HOST,		/* if the host has it */
	OFFER_HOST_AVX,		/* if the host has it and lets guests have the AVX state */
	OFFER_HOST_XSAVE,	/* if the host has it and its operating system uses XSAVE */
	OFFER_ALWAYS,		/* done in software: on every host */
	OFFER_INTEL,		/* likewise, but only where the vendor is not AMD */
	OFFER_SOFT,		/* where guests run in software, whatever the host is */
	OFFER_SPECULATION,	/* if the host has it and the engine lets guests control speculation */
	OFFER_NEVER,		/* not offered; works if user space sets it all the same */
};

#define NO_X86F X86F_COUNT

struct cpuid_bit {
	u32 leaf;
	u8 subleaf, reg, bit;
	u8 offer;		/* enum cpuid_offer */
	u8 feature;		/* enum x86_feature that it gives the instruction library, or NO_X86F */
};

extern const struct cpuid_bit cpuid_bits[];
extern const u32 cpuid_nr_bits;

bool cpuid_bit_offered(const struct cpuid_bit *b, const struct engine_ops *engine);
/* The vendor in leaf 0's registers: AMD or a licensee. */
bool cpuid_vendor_is_amd(u32 ebx, u32 ecx, u32 edx);

#define CPUID_MAX_ENTRIES 256
static inline unsigned long cpuid_entries_of(unsigned long arg)
{
	return arg + offsetof(struct kvm_cpuid2, entries);
}

/* The paravirtual leaves. */
#define PV_SIGNATURE 0x40000000
#define PV_FEATURES 0x40000001
extern const u32 cpuid_pv_signature[3];

#define XCR0_X87_SSE 3ull
#define XCR0_AVX 4ull
#define XCR0_AVX512 0xe0ull
#define XCR0_ALL (XCR0_X87_SSE | XCR0_AVX | XCR0_AVX512)

#endif /* CORE_CPUID_TABLE_H */
