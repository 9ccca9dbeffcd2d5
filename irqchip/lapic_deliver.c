/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Interrupt messages: whom they address (SDM, "Determining IPI Destination"), and what a LAPIC does with one. */
#include "chips.h"

#define BROADCAST_XAPIC 0xffu
#define BROADCAST_X2APIC 0xffffffffu
#define DFR_FLAT 0xfu
#define DFR_CLUSTER 0x0u
#define FIRST_LEGAL_VECTOR 16

enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

/* --- destinations ----------------------------------------------------------------------------- */

static bool is_broadcast(const struct lapic *a, u32 dest)
{
	return dest == (apic_x2apic(a) ? BROADCAST_X2APIC : BROADCAST_XAPIC);
}

static bool matches_physical(struct lapic *a, u32 dest)
{
	if (is_broadcast(a, dest))
		return true;
	/* An id that does not fit an xAPIC register is reachable all the same. */
	if (apic_x2apic(a) || dest > 0xff)
		return dest == a->v->id;
	return dest == apic_get(a, APIC_ID) >> 24;
}

static bool matches_logical(struct lapic *a, u32 dest)
{
	u32 ldr = apic_get(a, APIC_LDR);

	if (is_broadcast(a, dest))
		return true;
	if (apic_x2apic(a))
		return ldr >> 16 == dest >> 16 && ldr & dest & 0xffff;
	ldr >>= 24;
	switch (apic_get(a, APIC_DFR) >> 28) {
	case DFR_FLAT: return ldr & dest;
	case DFR_CLUSTER: return ldr >> 4 == dest >> 4 && ldr & dest & 0xf;
	default: return false;
	}
}

/* A device's 0xff addresses all, unless user space has said that ids are 32 bits wide (KVM_CAP_X2APIC_API). */
static u32 effective_dest(struct lapic *a, const struct lapic *from, u32 dest)
{
	u64 flags = __atomic_load_n(&a->v->vm->x2apic_flags, __ATOMIC_RELAXED);

	if (!from && dest == BROADCAST_XAPIC && apic_x2apic(a) && !(flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK))
		return BROADCAST_X2APIC;
	return dest;
}

bool lapic_matches(struct lapic *a, const struct lapic *from, const struct lapic_message *m)
{
	u32 dest;

	switch (m->shorthand) {
	case SHORTHAND_SELF: return a == from;
	case SHORTHAND_ALL: return true;
	case SHORTHAND_OTHERS: return a != from;
	}
	dest = effective_dest(a, from, m->dest);
	return m->logical ? matches_logical(a, dest) : matches_physical(a, dest);
}

struct vcpu *lapic_find(struct vm *vm, u32 apic_id)
{
	u32 i, nr = vm_nr_vcpus(vm);

	for (i = 0; i < nr; i++) {
		struct lapic *a = vm->vcpu[i]->lapic;

		if (a && apic_hw_enabled(a) && matches_physical(a, apic_id) && !is_broadcast(a, apic_id))
			return vm->vcpu[i];
	}
	return NULL;
}

/* --- acceptance ------------------------------------------------------------------------------- */

void lapic_error(struct lapic *a, u32 bit)
{
	if (!(__atomic_fetch_or(&a->errors, bit, __ATOMIC_SEQ_CST) & bit))
		lapic_local(a, APIC_LVTERR);
}

static bool accept_fixed(struct lapic *a, const struct lapic_message *m)
{
	u32 bit = BIT(m->vector & 31);
	u32 *tmr = apic_vector_word(a, APIC_TMR, m->vector);

	if (m->trig_level && !m->level)
		return false;
	if (!apic_hw_enabled(a) || !apic_sw_enabled(a))
		return false;
	if (m->vector < FIRST_LEGAL_VECTOR)
		lapic_error(a, APIC_ESR_RECEIVE_ILLEGAL);
	if (m->trig_level)
		__atomic_fetch_or(tmr, bit, __ATOMIC_SEQ_CST);
	else if (__atomic_load_n(tmr, __ATOMIC_RELAXED) & bit)
		__atomic_fetch_and(tmr, ~bit, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(apic_vector_word(a, APIC_IRR, m->vector), bit, __ATOMIC_SEQ_CST);
	wake_vcpu(a->v);
	return true;
}

static void latch(struct lapic *a, u32 keep, u32 event)
{
	u32 old = __atomic_load_n(&a->events, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(&a->events, &old, (old & keep) | event, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED))
		;
	vcpu_request(a->v, REQ_APIC | REQ_EVENT);
	vcpu_kick(a->v);
}

/* Did a accept the message? */
static bool accept(struct lapic *a, const struct lapic_message *m)
{
	switch (m->delivery) {
	case DELIVER_LOWEST: __atomic_fetch_add(&a->arb, 1, __ATOMIC_RELAXED); return accept_fixed(a, m);
	case DELIVER_FIXED: return accept_fixed(a, m);
	case DELIVER_SMI:
		vcpu_request(a->v, REQ_SMI);
		vcpu_kick(a->v);
		return true;
	case DELIVER_NMI: vcpu_queue_nmi(a->v); return true;
	case DELIVER_INIT:
		if (m->trig_level && !m->level)
			return false; /* the de-assert of old processors: nothing to do */
		/* A start-up message that came before the INIT is lost. */
		latch(a, 0, LAPIC_INIT);
		return true;
	case DELIVER_STARTUP:
		__atomic_store_n(&a->sipi_vector, m->vector, __ATOMIC_RELEASE);
		latch(a, ~0u, LAPIC_SIPI);
		return true;
	default: return false; /* ExtINT: the PIC is asked by irq_pending(); 3 is reserved */
	}
}

/* Addressed LAPIC with the fewest lowest-priority interrupts so far: round robin. */
static struct lapic *choose_lowest(struct vm *vm, const struct lapic *from, const struct lapic_message *m)
{
	struct lapic *best = NULL;
	u32 i, nr = vm_nr_vcpus(vm);

	for (i = 0; i < nr; i++) {
		struct lapic *a = vm->vcpu[i]->lapic;

		if (!a || !apic_hw_enabled(a) || !apic_sw_enabled(a) || !lapic_matches(a, from, m))
			continue;
		if (!best || (s32)(__atomic_load_n(&a->arb, __ATOMIC_RELAXED) -
				   __atomic_load_n(&best->arb, __ATOMIC_RELAXED)) < 0)
			best = a;
	}
	return best;
}

int lapic_deliver(struct vm *vm, struct vcpu *sender, const struct lapic_message *m)
{
	struct lapic *from = sender ? sender->lapic : NULL, *best;
	struct lapic_message copy = *m;
	u32 i, nr = vm_nr_vcpus(vm);
	int accepted = 0;

	if (m->delivery == DELIVER_LOWEST || m->redir_hint) {
		copy.delivery = DELIVER_LOWEST;
		/* A physical broadcast has no lowest priority. */
		if (m->logical || m->dest != BROADCAST_XAPIC) {
			best = choose_lowest(vm, from, m);
			return best && accept(best, &copy);
		}
		copy.delivery = DELIVER_FIXED;
	}
	for (i = 0; i < nr; i++) {
		struct lapic *a = vm->vcpu[i]->lapic;

		if (!a || !apic_hw_enabled(a) || !lapic_matches(a, from, m))
			continue;
		accepted += accept(a, &copy);
	}
	return accepted;
}

bool lapic_local(struct lapic *a, unsigned lvt)
{
	u32 entry = apic_get(a, lvt);
	struct lapic_message m = {
		.vector = entry & 0xff,
		.delivery = APIC_LVT_MODE(entry),
		.level = true,
		.trig_level = entry & APIC_LVT_LEVEL,
	};
	bool accepted;

	if (!apic_hw_enabled(a) || entry & APIC_LVT_MASKED)
		return false;
	accepted = accept(a, &m);
	/* SDM, "Local Vector Table": the performance counter's entry masks itself. */
	if (accepted && lvt == APIC_LVTPC)
		apic_set(a, lvt, entry | APIC_LVT_MASKED);
	return accepted;
}

/* --- inter-processor interrupts --------------------------------------------------------------- */

#define ICR_LOGICAL (1u << 11)
#define ICR_BUSY (1u << 12)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)

void lapic_write_icr(struct lapic *a, u32 low, u32 high)
{
	struct lapic_message m = {
		.dest = apic_x2apic(a) ? high : high >> 24,
		.vector = low & 0xff,
		.delivery = low >> 8 & 7,
		.logical = low & ICR_LOGICAL,
		.level = low & ICR_ASSERT,
		.trig_level = low & ICR_LEVEL,
		.shorthand = low >> 18 & 3,
	};

	/* Delivery is immediate: the busy bit never shows. */
	apic_set(a, APIC_ICR, low & ~ICR_BUSY);
	apic_set(a, APIC_ICR2, high);
	if (m.vector < FIRST_LEGAL_VECTOR && (m.delivery == DELIVER_FIXED || m.delivery == DELIVER_LOWEST))
		lapic_error(a, APIC_ESR_SEND_ILLEGAL);
	lapic_deliver(a->v->vm, a->v, &m);
}
