/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The walks that the instruction library has done lately (x86_ops.recall). The guest changes its tables and flushes its TLB without
 * an exit, so a walk is remembered with the entries that it has read, and recalled only if they are all still in place: a few loads
 * instead of a walk. Four- and five-level tables only: kernels of today run on these.
 */
#include "hwvm.h"

static struct hwvm_walk *walk_at(struct hwvm_vcpu *hv, u64 lin, unsigned acc)
{
	return &hv->walks.at[(lin / X86_PAGE_SIZE + 3 * acc) % HWVM_WALKS];
}

/* What x86_translate() looks at. */
#define WALK_CR0 (CR0_PG | CR0_WP)
#define WALK_CR4 (CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_SMEP | CR4_SMAP)

static struct hwvm_walk_key make_key(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc)
{
	struct vcpu *v = state_vcpu(s);

	return (struct hwvm_walk_key){
		.page = (lin & X86_PAGE_MASK) | (u64)v->state.in_smm << 8 | mmu << 4 | acc,
		.slots = vm_slots(v->vm, v->state.in_smm)->generation,
		.cr0 = s->cr0 & WALK_CR0,
		.cr3 = s->cr3,
		.cr4 = s->cr4 & WALK_CR4,
		.efer = s->efer,
	};
}

static bool same_key(const struct hwvm_walk_key *a, const struct hwvm_walk_key *b)
{
	return a->page == b->page && a->slots == b->slots && a->cr0 == b->cr0 && a->cr3 == b->cr3 && a->cr4 == b->cr4 &&
	       a->efer == b->efer;
}

bool hwvm_recall(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc, struct x86_translation *t)
{
	struct hwvm_walks *all = &hwvm_of(state_vcpu(s))->walks;
	struct hwvm_walk *w = walk_at(hwvm_of(state_vcpu(s)), lin, acc);

	all->reading = false;
	if (!(s->efer & X86_EFER_LMA))
		return false;
	all->key = make_key(s, mmu, lin, acc);
	if (w->nr && same_key(&w->key, &all->key) && hw_words_same(w->word, w->nr)) {
		*t = w->t;
		t->gpa |= lin & ~X86_PAGE_MASK;
		return true;
	}
	all->reading = true;
	all->nr = 0;
	return false;
}

void hwvm_remember(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc, const struct x86_translation *t)
{
	struct hwvm_vcpu *hv = hwvm_of(state_vcpu(s));
	struct hwvm_walk *w = walk_at(hv, lin, acc);

	if (!hv->walks.reading)
		return;
	hv->walks.reading = false;
	w->key = hv->walks.key;
	w->nr = hv->walks.nr;
	memcpy(w->word, hv->walks.word, w->nr * sizeof(w->word[0]));
	w->t = *t;
	w->t.gpa &= X86_PAGE_MASK;
}

void hwvm_forget_walks(struct hwvm_vcpu *hv)
{
	unsigned i;

	for (i = 0; i < HWVM_WALKS; i++)
		hv->walks.at[i].nr = 0;
}

/* An entry that the walk in progress has read. */
static void note_entry(struct vcpu *v, u64 gpa, u64 val)
{
	struct hwvm_walks *all = &hwvm_of(v)->walks;
	struct memslot *slot = memslots_find(vm_slots(v->vm, v->state.in_smm), gpa);

	if (!slot || all->nr == HWVM_WALK_WORDS) {
		all->reading = false;
		return;
	}
	all->word[all->nr++] = (struct hw_word){ .user = slot->hva + (gpa - slot->gpa), .val = val };
}

enum x86_result hwvm_ram_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	struct vcpu *v = state_vcpu(s);
	enum x86_result r = core_x86_ops.ram_read(s, gpa, buf, size);

	if (unlikely(hwvm_of(v)->walks.reading) && r == X86_OK)
		note_entry(v, gpa, *(const u64 *)buf);
	return r;
}

/* The walk sets an accessed or dirty bit: what it has read is not what is there any more. */
enum x86_result hwvm_ram_cmpxchg(struct x86_state *s, u64 gpa, u64 old, u64 val, unsigned size)
{
	hwvm_of(state_vcpu(s))->walks.reading = false;
	return core_x86_ops.ram_cmpxchg(s, gpa, old, val, size);
}
