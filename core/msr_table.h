/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* MSRs as data (msr_table.c), interpreted by msr.c. */
#ifndef CORE_MSR_TABLE_H
#define CORE_MSR_TABLE_H

#include "parts.h"

enum msr_where {
	AT_NOWHERE,	/* only the functions know; without a read function it is write-only */
	AT_VCPU,	/* a u64 in struct vcpu, at offset */
	AT_MSRS,	/* a u64 in struct msr_state, at offset; RESET sets value */
	CONSTANT,	/* reads give value */
};

#define MSR_SAVED BIT(0)	/* in KVM_GET_MSR_INDEX_LIST, with the processor's MSRs */
#define MSR_EMULATED BIT(1)	/* in KVM_GET_MSR_INDEX_LIST, after them */
#define MSR_INTEL BIT(2)	/* exists only on hosts that are not AMD */
#define MSR_AMD BIT(3)		/* exists only on AMD hosts */
#define MSR_HOST_ONLY BIT(4)	/* #GP for the guest */
#define MSR_GUEST_RO BIT(5)	/* writes by the guest are #GP */
#define MSR_GUEST_IGNORED BIT(6)	/* writes by the guest do nothing */
#define MSR_WRITE_IGNORED BIT(7)	/* all writes do nothing */
#define MSR_CANONICAL BIT(8)	/* values that are no canonical address are #GP */

struct msr_desc {
	u32 first, last;
	u16 flags;
	u8 where;		/* enum msr_where */
	u8 state;		/* AT_VCPU: STATE_* that the engine may hold */
	u8 pv;			/* paravirtual: feature bit + 1, looked at under v->pv_enforce */
	u32 offset;
	u64 value;		/* constant, or value after RESET */
	u64 writable;		/* bits that a written value may have; others are #GP */
	/* Instead of plain storage. enum msr_result. */
	int (*read)(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host);
	int (*write)(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host);
	/* KVM_GET_MSRS on the system fd: what user space may choose; NULL: not a feature MSR */
	u64 (*feature)(const struct engine_ops *engine);
};

/* Sorted by first, without overlap. */
extern const struct msr_desc msr_table[];
extern const u32 msr_table_size;

const struct msr_desc *msr_find(u32 index);
bool msr_exists(const struct msr_desc *d);	/* on this host's vendor */
/* The plain storage of an MSR that has one. */
u64 *msr_storage(struct vcpu *v, const struct msr_desc *d);

#endif /* CORE_MSR_TABLE_H */
