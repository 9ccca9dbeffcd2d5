/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Where branches lead: the hash tables from linear addresses to generated code, and what empties them. */
#include "soft.h"
#include "trace.h"

/* What entry n holds in place of an address: the low bits of none that is looked up there. */
static u64 nowhere(u32 n)
{
	return ~(u64)n;
}

static void clear_entry(struct tr_targets *t, u32 n)
{
	struct hash_entry *h = &t->hash[n];

	h->lin = h->lin32 = nowhere(n);
	h->code = NULL;
}

int tr_targets_init(struct soft_vcpu *sv)
{
	unsigned k, n;

	for (k = 0; k < 2; k++) {
		struct tr_targets *t = &sv->tr.targets[k];

		t->hash = host_alloc_pages(HASH_ENTRIES * sizeof(*t->hash));
		t->used = host_alloc_pages(HASH_ENTRIES * sizeof(*t->used));
		if (!t->hash || !t->used)
			return -ENOMEM;
		for (n = 0; n < HASH_ENTRIES; n++)
			clear_entry(t, n);
	}
	return 0;
}

void tr_targets_free(struct soft_vcpu *sv)
{
	unsigned k;

	for (k = 0; k < 2; k++) {
		struct tr_targets *t = &sv->tr.targets[k];

		host_free_pages(t->hash, HASH_ENTRIES * sizeof(*t->hash));
		host_free_pages(t->used, HASH_ENTRIES * sizeof(*t->used));
	}
}

/* --- entries --------------------------------------------------------------------------------------------------------- */

static void empty(struct tr_targets *t)
{
	u32 n;

	for (n = 0; n < t->nr; n++)
		clear_entry(t, t->used[n]);
	t->nr = 0;
}

void tr_empty_stale(struct tr_state *tr)
{
	if (likely(!(tr->targets_stale | tr->targets_stale_nonglobal)))
		return;
	if (unlikely(tr->counters))
		tr->counters->hash_emptied++;
	if (tr->targets_stale || tr->targets_local) {
		empty(&tr->targets[0]);
		tr->targets_local = false;
	}
	empty(&tr->targets[1]);
	tr->targets_stale = tr->targets_stale_nonglobal = false;
}

static void insert(struct tr_targets *table, u64 lin, struct tr_block *t)
{
	u32 index = lin & (HASH_ENTRIES - 1);
	struct hash_entry *h = &table->hash[index];

	if (!h->code)
		table->used[table->nr++] = index;
	*h = (struct hash_entry){
		.lin = lin, .lin32 = nowhere(index), .code = t->saved, .page_base = lin & X86_PAGE_MASK
	};
	if (t->block->mode != X86_MODE_LONG) {
		h->lin32 = lin;
		h->lin = nowhere(index);
	}
	t->slots |= t->slot && t->slot != h && t->slot->code == t->saved;
	t->slot = h;
}

static bool global_code(struct x86_state *s, u64 lin)
{
	struct x86_translation t;

	return x86_translate(s, MMU_SUPER, lin, ACC_EXEC, 0, &t) == X86_OK && t.global;
}

void tr_add_target(struct soft_vcpu *sv, struct soft_block *b)
{
	struct x86_state *s = &sv->vcpu->state;
	struct tr_state *tr = &sv->tr;
	unsigned user = s->cpl == 3;

	if (tr->targets_stale | tr->targets_stale_nonglobal)
		return;
	if (!user && !tr->targets_local)
		tr->targets_local = !global_code(s, s->rip) || (b->page2 && !global_code(s, s->rip + b->len));
	insert(&tr->targets[user], s->rip, b->tr);
}

const u8 *tr_known_code(struct soft_vcpu *sv)
{
	struct x86_state *s = &sv->vcpu->state;
	struct tr_state *tr = &sv->tr;
	const struct hash_entry *h = &tr->targets[s->cpl == 3].hash[s->rip & (HASH_ENTRIES - 1)];

	tr_empty_stale(tr);
	return (likely(s->mode == X86_MODE_LONG) ? h->lin : h->lin32) == s->rip ? h->code : NULL;
}

/* --- what makes entries wrong -------------------------------------------------------------------------------------------- */

void tr_forget_targets(struct soft_vcpu *sv)
{
	sv->tr.targets_stale = true;
}

/* The number of the entry t->slot, by the address in it. */
static u32 slot_index(const struct tr_block *t)
{
	return (t->slot->page_base | (t->block->gpa & ~X86_PAGE_MASK)) & (HASH_ENTRIES - 1);
}

void tr_forget_block(struct soft_vcpu *sv, struct tr_block *t)
{
	if (t->slots)
		tr_forget_targets(sv);
	else if (t->slot && t->slot->code == t->saved)
		t->slot->lin = t->slot->lin32 = nowhere(slot_index(t)); /* it stays in the list */
}

static unsigned half(u64 lin)
{
	return lin >> 63 ? 0 : 1;
}

static u64 *filter_word(struct soft_vcpu *sv, u64 lin, u64 *bit)
{
	u64 hash = (lin >> 12) * 0x9e3779b97f4a7c15ull >> (64 - PAGE_FILTER_BITS);

	*bit = 1ull << (hash & 63);
	return &sv->tr.targets[half(lin)].page_filter[hash >> 6];
}

/* The filter also covers the jump cache of blocks (soft_find_block). */
void tr_note_page(struct soft_vcpu *sv, u64 lin)
{
	u64 bit, *word = filter_word(sv, lin, &bit);

	*word |= bit;
	sv->tr.targets[half(lin)].noted = true;
}

static void clear_filter(struct tr_targets *t)
{
	if (t->noted)
		memset(t->page_filter, 0, sizeof(t->page_filter));
	t->noted = false;
}

bool tr_flush_targets(struct soft_vcpu *sv, enum x86_flush what, u64 lin)
{
	struct tr_state *tr = &sv->tr;
	u64 bit;

	if (what == X86_FLUSH_PAGE && !(*filter_word(sv, lin, &bit) & bit))
		return false;
	if (what == X86_FLUSH_NONGLOBAL) {
		tr->targets_stale_nonglobal = true;
	} else {
		tr->targets_stale = true;
		clear_filter(&tr->targets[0]);
	}
	clear_filter(&tr->targets[1]);
	return true;
}
