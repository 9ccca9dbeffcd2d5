/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Flags computed by the host: an instruction of the guest runs as the same instruction of the host,
 * between X86_FLAGS_LOAD and X86_FLAGS_SAVE, and the host's flags become the guest's. Bits that the manual
 * leaves undefined so get the host CPU's own values.
 *
 * Between the host's RFLAGS and C the six arithmetic flags travel in AX ("packed"): AH as LAHF and
 * SAHF have it, AL = OF. PUSHF would be five times slower.
 */
#ifndef X86_FLAGS_H
#define X86_FLAGS_H

#include "regs.h"

/* Packed flags in EAX -> host flags; destroys AL (OF = 1 makes 1 + 127 overflow). */
#define X86_FLAGS_LOAD "addb $0x7f, %%al\n\tsahf\n\t"
/* Host flags -> packed in AX; bits above are stale. */
#define X86_FLAGS_SAVE "\n\tlahf\n\tseto %%al"

static inline u32 x86_flags_pack(u64 rflags)
{
	return (u32)(rflags & 0xff) << 8 | ((u32)rflags >> 11 & 1);
}

/* AH carries the constant bit 1 as rflags does, and zeros in bits 3 and 5. */
static inline u64 x86_flags_merge(u64 rflags, u32 packed)
{
	return (rflags & ~0x8ffull) | (packed >> 8 & 0xff) | (packed & 1) << 11;
}

/* Only the flags of mask are taken from packed. */
static inline u64 x86_flags_merge_mask(u64 rflags, u32 packed, u64 mask)
{
	return (rflags & ~mask) | (x86_flags_merge(0, packed) & mask);
}

/* The condition cc of Jcc, SETcc, CMOVcc (SDM, "EFLAGS Condition Codes"). */
static inline bool x86_cond(u64 f, unsigned cc)
{
	bool r;

	switch (cc >> 1) {
	case 0: r = f & RFLAGS_OF; break;
	case 1: r = f & RFLAGS_CF; break;
	case 2: r = f & RFLAGS_ZF; break;
	case 3: r = f & (RFLAGS_CF | RFLAGS_ZF); break;
	case 4: r = f & RFLAGS_SF; break;
	case 5: r = f & RFLAGS_PF; break;
	case 6: r = (f >> 7 ^ f >> 11) & 1; break;
	default: r = ((f >> 7 ^ f >> 11) & 1) || (f & RFLAGS_ZF); break;
	}
	return r ^ (cc & 1);
}

#endif /* X86_FLAGS_H */
