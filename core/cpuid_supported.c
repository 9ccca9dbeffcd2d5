/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* CPUID that guests may be offered: KVM_GET_SUPPORTED_CPUID, and what the host's says of it. */
#include <linux/kvm_para.h>
#include "cpuid_table.h"
#include "parts.h"

#define MAX_BASIC_LEAF 0x1f
#define MAX_EXTENDED_LEAF 0x80000021
#define XSAVE_LEGACY_SIZE 576 /* legacy area and header */

/* Paravirtual features of leaf 0x40000001 that are there (clock.c, pv.c, msr_table.c, hypercall.c). */
#define PV_OFFERED                                                                                                     \
	(BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_NOP_IO_DELAY) | BIT(KVM_FEATURE_CLOCKSOURCE2) |                \
	 BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) | BIT(KVM_FEATURE_POLL_CONTROL) | BIT(KVM_FEATURE_PV_UNHALT) |        \
	 BIT(KVM_FEATURE_PV_SEND_IPI) | BIT(KVM_FEATURE_PV_SCHED_YIELD) | BIT(KVM_FEATURE_STEAL_TIME) |                \
	 BIT(KVM_FEATURE_PV_EOI) | BIT(KVM_FEATURE_PV_TLB_FLUSH) | BIT(KVM_FEATURE_ASYNC_PF) |                         \
	 BIT(KVM_FEATURE_ASYNC_PF_INT))

const u32 cpuid_pv_signature[3] = { 0x4b4d564b, 0x564b4d56, 0x0000004d }; /* KVMKVMKVM */

/* --- the host -------------------------------------------------------------------------------------- */

bool cpuid_vendor_is_amd(u32 ebx, u32 ecx, u32 edx)
{
	/* AuthenticAMD, HygonGenuine: the last four letters, in ECX, tell. */
	return (ebx == 0x68747541 && edx == 0x69746e65 && ecx == 0x444d4163) ||
	       (ebx == 0x6f677948 && edx == 0x6e65476e && ecx == 0x656e6975);
}

bool cpuid_host_is_amd(void)
{
	u32 r[4];

	host_cpuid(0, 0, r);
	return cpuid_vendor_is_amd(r[OUT_EBX], r[OUT_ECX], r[OUT_EDX]);
}

u64 cpuid_supported_xcr0(void)
{
	u32 r[4];

	/* OSXSAVE: an operating system that does not use XSAVE lets no guest have it, either: nothing would switch the state. */
	host_cpuid(1, 0, r);
	if (!(r[OUT_ECX] & BIT(27)))
		return 0;
	/*
	 * AVX-512: the state alone, for VMMs that take the host's XCR0 for the guest's. CPUID does not offer the instructions.
	 */
	if ((host_xcr0() & XCR0_ALL) == XCR0_ALL)
		return XCR0_ALL;
	return host_xcr0() & (XCR0_X87_SSE | XCR0_AVX);
}

u32 cpuid_xsave_size(u64 xcr0, bool compacted)
{
	u32 size = XSAVE_LEGACY_SIZE, r[4];
	unsigned i;

	for (i = 2; i < 63; i++) {
		u32 at;

		if (!(xcr0 >> i & 1))
			continue;
		host_cpuid(0xd, i, r);
		at = r[OUT_EBX];
		if (compacted)
			at = r[OUT_ECX] & 2 ? (size + 63) & ~63u : size;
		if (at + r[OUT_EAX] > size)
			size = at + r[OUT_EAX];
	}
	return size;
}

static bool host_has_leaf(u32 leaf)
{
	u32 r[4];

	host_cpuid(leaf & 0x80000000, 0, r);
	return r[OUT_EAX] >= leaf;
}

bool cpuid_bit_offered(const struct cpuid_bit *b, const struct engine_ops *engine)
{
	u32 r[4];

	switch ((enum cpuid_offer)b->offer) {
	case OFFER_NEVER: return false;
	case OFFER_ALWAYS: return true;
	case OFFER_INTEL: return !cpuid_host_is_amd();
	case OFFER_SOFT: return engine->caps.soft;
	case OFFER_HOST_AVX:
		if (!(cpuid_supported_xcr0() & XCR0_AVX))
			return false;
		break;
	case OFFER_HOST_XSAVE:
		if (!cpuid_supported_xcr0())
			return false;
		break;
	case OFFER_SPECULATION:
		if (!engine->caps.speculation)
			return false;
		break;
	case OFFER_HOST: break;
	}
	if (!host_has_leaf(b->leaf))
		return false;
	host_cpuid(b->leaf, b->subleaf, r);
	return r[b->reg] >> b->bit & 1;
}

struct table {
	const struct engine_ops *engine;
	struct kvm_cpuid_entry2 *e;
	u32 nr, max;
};

/* All offered bits of one register of a leaf. */
static u32 offered(const struct table *t, u32 leaf, u32 subleaf, enum cpuid_reg reg)
{
	u32 i, mask = 0;

	for (i = 0; i < cpuid_nr_bits; i++) {
		const struct cpuid_bit *b = &cpuid_bits[i];

		if (b->leaf == leaf && b->subleaf == subleaf && b->reg == reg && cpuid_bit_offered(b, t->engine))
			mask |= BIT(b->bit);
	}
	return mask;
}

/* --- KVM_GET_SUPPORTED_CPUID ------------------------------------------------------------------------- */

static bool leaf_is_indexed(u32 leaf)
{
	switch (leaf) {
	case 4:
	case 7:
	case 0xb:
	case 0xd:
	case 0xf:
	case 0x10:
	case 0x12:
	case 0x14:
	case 0x17:
	case 0x18:
	case 0x1d:
	case 0x1e:
	case 0x1f:
	case 0x8000001d: return true;
	default: return false;
	}
}

/*
 * Append a leaf with the host's values; NULL: the table is full. Hypervisor leaves and what the host lacks:
 * zeros.
 */
static struct kvm_cpuid_entry2 *add_leaf(struct table *t, u32 leaf, u32 subleaf)
{
	struct kvm_cpuid_entry2 *e;
	u32 r[4] = { 0 };

	if (t->nr == t->max)
		return NULL;
	e = &t->e[t->nr++];
	memset(e, 0, sizeof(*e));
	e->function = leaf;
	e->index = subleaf;
	if (leaf_is_indexed(leaf))
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	if ((leaf & 0xc0000000) != 0x40000000 && host_has_leaf(leaf))
		host_cpuid(leaf, subleaf, r);
	e->eax = r[0];
	e->ebx = r[1];
	e->ecx = r[2];
	e->edx = r[3];
	return e;
}

static void set_regs(struct kvm_cpuid_entry2 *e, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	e->eax = eax;
	e->ebx = ebx;
	e->ecx = ecx;
	e->edx = edx;
}

/* Caches: subleaves up to the first of type 0. */
static int add_caches(struct table *t, struct kvm_cpuid_entry2 *e)
{
	u32 leaf = e->function, i;

	for (i = 1; e->eax & 0x1f; i++) {
		e = add_leaf(t, leaf, i);
		if (!e)
			return -E2BIG;
	}
	return 0;
}

static int add_features7(struct table *t, struct kvm_cpuid_entry2 *e)
{
	u32 max = e->eax < 1 ? e->eax : 1;

	set_regs(e, max, offered(t, 7, 0, OUT_EBX), offered(t, 7, 0, OUT_ECX), offered(t, 7, 0, OUT_EDX));
	if (!max)
		return 0;
	e = add_leaf(t, 7, 1);
	if (!e)
		return -E2BIG;
	set_regs(e, offered(t, 7, 1, OUT_EAX), 0, 0, 0);
	return 0;
}

static int add_xsave(struct table *t, struct kvm_cpuid_entry2 *e)
{
	u64 xcr0 = cpuid_supported_xcr0();
	u32 size = cpuid_xsave_size(xcr0, false), i, eax;

	set_regs(e, (u32)xcr0, size, size, (u32)(xcr0 >> 32));
	if (!xcr0)
		return 0;
	e = add_leaf(t, 0xd, 1);
	if (!e)
		return -E2BIG;
	eax = offered(t, 0xd, 1, OUT_EAX);
	set_regs(e, eax, eax & BIT(1) ? cpuid_xsave_size(xcr0, true) : 0, 0, 0);
	for (i = 2; i < 63; i++) {
		if (!(xcr0 >> i & 1))
			continue;
		e = add_leaf(t, 0xd, i);
		if (!e)
			return -E2BIG;
		e->ecx &= 2; /* alignment in the compacted form; neither supervisor state nor XFD */
		e->edx = 0;
	}
	return 0;
}

static u32 max_extended_leaf(u32 host)
{
	/* From 0x8000001d on user space expects the leaves up to 0x80000021, which are partly made here. */
	return host >= 0x8000001d ? MAX_EXTENDED_LEAF : host;
}

static int add_supported(struct table *t, u32 leaf)
{
	struct kvm_cpuid_entry2 *e = add_leaf(t, leaf, 0);

	if (!e)
		return -E2BIG;
	switch (leaf) {
	case 0: e->eax = e->eax < MAX_BASIC_LEAF ? e->eax : MAX_BASIC_LEAF; return 0;
	case 1: set_regs(e, e->eax, e->ebx, offered(t, 1, 0, OUT_ECX), offered(t, 1, 0, OUT_EDX)); return 0;
	case 4:
	case 0x8000001d: return add_caches(t, e);
	case 6:
		set_regs(e, BIT(2), 0, 0, 0); /* the APIC timer runs always */
		return 0;
	case 7: return add_features7(t, e);
	case 0xb:
	case 0x1f:
		set_regs(e, 0, 0, 0, e->edx); /* no topology: user space knows it */
		return 0;
	case 0xd: return add_xsave(t, e);
	case PV_SIGNATURE:
		set_regs(e, PV_FEATURES, cpuid_pv_signature[0], cpuid_pv_signature[1], cpuid_pv_signature[2]);
		return 0;
	case PV_FEATURES: set_regs(e, PV_OFFERED, 0, 0, 0); return 0;
	case 0x80000000: e->eax = max_extended_leaf(e->eax); return 0;
	case 0x80000001:
		set_regs(e, e->eax, e->ebx & ~0x0fff0000u, offered(t, leaf, 0, OUT_ECX), offered(t, leaf, 0, OUT_EDX));
		return 0;
	case 0x80000006: e->edx &= ~0x30000u; return 0;
	case 0x80000007: set_regs(e, 0, 0, 0, offered(t, leaf, 0, OUT_EDX)); return 0;
	case 0x80000008:
		set_regs(e, (e->eax & 0xff) | 48 << 8, offered(t, leaf, 0, OUT_EBX), e->ecx & 0xf0ff, 0);
		return 0;
	case 0x80000019: set_regs(e, e->eax, e->ebx, 0, 0); return 0;
	case 0x8000001a: set_regs(e, e->eax & 7, 0, 0, 0); return 0;
	case 0x80000021: set_regs(e, offered(t, leaf, 0, OUT_EAX), 0, offered(t, leaf, 0, OUT_ECX), 0); return 0;
	case 2:
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
	case 0x80000005: return 0; /* names and caches, as the host has them */
	default: set_regs(e, 0, 0, 0, 0); return 0;
	}
}

static int add_range(struct table *t, u32 first)
{
	u32 index = t->nr, leaf, last;
	int r = add_supported(t, first);

	if (r)
		return r;
	last = t->e[index].eax;
	for (leaf = first + 1; leaf <= last && !r; leaf++)
		r = add_supported(t, leaf);
	return r;
}

static int fill_supported(struct table *t)
{
	static const u32 ranges[] = { 0, 0x80000000, PV_SIGNATURE };
	u32 i;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(ranges) && !r; i++)
		r = add_range(t, ranges[i]);
	return r;
}

/*
 * What works without the host having it: nothing beyond the supported table so far, so only the frame that
 * Linux gives.
 */
static int fill_emulated(struct table *t)
{
	static const u32 leaves[] = { 0, 1, 7 };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct kvm_cpuid_entry2 *e = add_leaf(t, leaves[i], 0);

		if (!e)
			return -E2BIG;
		set_regs(e, leaves[i] ? 0 : 7, 0, 0, 0);
	}
	return 0;
}

/* KVM_GET_EMULATED_CPUID wants clean padding. */
static int check_padding(unsigned long user, u32 nr)
{
	struct kvm_cpuid_entry2 e;
	u32 i;

	for (i = 0; i < nr; i++)
		if (host_copy_from_user(&e, (void *)(user + i * sizeof(e)), sizeof(e)) || e.padding[0] ||
		    e.padding[1] || e.padding[2])
			return -EINVAL;
	return 0;
}

int cpuid_supported_ioctl(const struct engine_ops *engine, unsigned long arg, bool emulated)
{
	struct kvm_cpuid2 head;
	struct table t = { .engine = engine };
	int r = 0;

	if (host_copy_from_user(&head, (void *)arg, sizeof(head)))
		return -EFAULT;
	if (!head.nent)
		return -E2BIG;
	t.max = head.nent < CPUID_MAX_ENTRIES ? head.nent : CPUID_MAX_ENTRIES;
	if (emulated)
		r = check_padding(cpuid_entries_of(arg), t.max);
	if (r)
		return r;
	t.e = host_alloc(t.max * sizeof(*t.e));
	if (!t.e)
		return -ENOMEM;
	r = emulated ? fill_emulated(&t) : fill_supported(&t);
	if (!r)
		r = host_copy_to_user((void *)cpuid_entries_of(arg), t.e, t.nr * sizeof(*t.e));
	if (!r) {
		head.nent = t.nr;
		r = host_copy_to_user((void *)arg, &head, sizeof(head));
	}
	host_free(t.e);
	return r;
}
