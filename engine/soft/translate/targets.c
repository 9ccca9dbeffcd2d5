/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Where branches lead: the hash tables from linear addresses to generated code, and what empties them. */
#include "soft.h"
#include "trace.h"

/* What entry n holds in place of an address: one that is looked up in another entry. */
static u64 nowhere(u32 n)
{
	return n ? 0 : 1;
}

static void clear_entry(struct tr_targets *t, u32 n)
{
	t->hash[n] = (struct hash_entry){ .lin = nowhere(n) };
}

/* Memory is zero at first: nobody looks for 0 but in entry 0. */
int tr_targets_init(struct soft_vcpu *sv)
{
	unsigned k;

	for (k = 0; k < 2; k++) {
		struct tr_targets *t = &sv->tr.targets[k];

		t->hash = host_alloc_pages(HASH_ENTRIES * sizeof(*t->hash));
		t->used = host_alloc_pages(HASH_ENTRIES * sizeof(*t->used));
		if (!t->hash || !t->used)
			return -ENOMEM;
		clear_entry(t, 0);
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
	t->emptied++;
}

static void empty_stale(struct tr_state *tr)
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

struct tr_targets *tr_targets_in_force(struct soft_vcpu *sv)
{
	const struct x86_state *s = &sv->vcpu->state;
	struct tr_targets *t = &sv->tr.targets[s->cpl == 3];

	empty_stale(&sv->tr);
	if (unlikely(t->mode != s->mode)) {
		empty(t);
		t->mode = s->mode;
	}
	return t;
}

static void insert(struct tr_targets *table, u64 lin, const u8 *code)
{
	u32 index = hash_index(lin);
	struct hash_entry *h = &table->hash[index];

	if (!h->code)
		table->used[table->nr++] = index;
	*h = (struct hash_entry){ .lin = lin, .code = code };
}

/* Is there nothing but global pages' code in the block? */
static bool global_code(struct soft_vcpu *sv, const struct soft_block *b, const struct fetch_entry *e)
{
	const struct fetch_entry *e2 = b->page2 ? soft_fetched(sv, sv->vcpu->state.rip + b->len) : e;

	return e && e2 && e->global && e2->global;
}

/*
 * The first look-up in a page since the table was emptied: most others of what was looked up there before will follow, and
 * each would cost a way out to the dispatcher. What other pages have in the table stays.
 */
static void insert_page(struct soft_vcpu *sv, struct tr_targets *table, const struct soft_page *p, u64 lin)
{
	unsigned n;

	TR_COUNT(sv, hash_pages);

	for (n = 0; n < p->nr_targets; n++) {
		const struct soft_target *t = &p->target[n];
		u64 at = (lin & X86_PAGE_MASK) | t->offset;

		if (t->mode != table->mode || t->crossing || table->hash[hash_index(at)].code)
			continue;
		insert(table, at, t->code);
		TR_COUNT(sv, hash_filled);
	}
}

void tr_add_target(struct soft_vcpu *sv, struct soft_block *b)
{
	struct x86_state *s = &sv->vcpu->state;
	struct tr_state *tr = &sv->tr;
	struct fetch_entry *e = soft_fetched(sv, s->rip);
	struct tr_targets *table = tr_targets_in_force(sv);

	if (s->cpl != 3 && !tr->targets_local)
		tr->targets_local = !global_code(sv, b, e);
	if (!soft_note_target(sv, b))
		return;
	insert(table, s->rip, b->tr->saved);
	if (e && e->filled != table->emptied && b->generation == b->page->generation) {
		insert_page(sv, table, b->page, s->rip);
		e->filled = table->emptied;
	}
}

const u8 *tr_known_code(struct soft_vcpu *sv)
{
	u64 rip = sv->vcpu->state.rip;
	const struct hash_entry *h = &tr_targets_in_force(sv)->hash[hash_index(rip)];

	return h->lin == rip ? h->code : NULL;
}

/* --- what makes entries wrong -------------------------------------------------------------------------------------------- */

void tr_forget_targets(struct soft_vcpu *sv)
{
	sv->tr.targets_stale = true;
}

/* Its entries stay in the list of those to empty. */
void tr_forget_page(struct soft_vcpu *sv, const struct soft_page *p)
{
	unsigned n, k;

	for (n = 0; n < p->nr_targets; n++) {
		u32 index = hash_index(p->lin | p->target[n].offset);

		for (k = 0; k < 2; k++)
			if (sv->tr.targets[k].hash[index].code == p->target[n].code)
				sv->tr.targets[k].hash[index].lin = nowhere(index);
	}
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

/* After a change of CR3 the filter of the lower half starts anew: 64-bit kernels have no global pages there. */
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
	if (what != X86_FLUSH_NONGLOBAL || sv->vcpu->state.mode == X86_MODE_LONG)
		clear_filter(&tr->targets[1]);
	return true;
}
