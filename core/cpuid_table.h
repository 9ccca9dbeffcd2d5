/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The CPUID feature bits that guests can be offered: one row per bit (cpuid_table.c). */
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

#endif /* CORE_CPUID_TABLE_H */
