/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Decoded instructions, cached by guest-physical address and mode. See soft.h. */
#include "soft.h"

#define ARENA_SIZE (256u << 20) /* for as many blocks as there is room for translations of (translate.h) */

int soft_blocks_init(struct soft_vcpu *sv)
{
	sv->arena_size = ARENA_SIZE;
	sv->arena = host_alloc_pages(sv->arena_size);
	sv->context = sv->global_context = 1;
	sv->epoch = 1;
	return sv->arena ? 0 : -ENOMEM;
}

void soft_blocks_free(struct soft_vcpu *sv)
{
	host_free_pages(sv->arena, sv->arena_size);
}

void soft_flush_blocks(struct soft_vcpu *sv)
{
	memset(sv->bucket, 0, sizeof(sv->bucket));
	memset(sv->page_bucket, 0, sizeof(sv->page_bucket));
	sv->arena_used = 0;
	sv->flush_wanted = false;
	soft_new_context(sv, true);
	soft_stubs_reset(sv);
	tr_reset(sv);
	sv->stat.blocks_flushed++;
}

/* How code is decoded, and in which address space it stands: what else than its address tells blocks apart. */
static u8 block_kind(const struct x86_state *s)
{
	return s->mode | (s->in_smm ? BLOCK_SMM : 0);
}

/* Blocks of a page stand near each other: code that follows is mostly what is looked for next. */
static u32 hash_gpa(u64 gpa, u8 kind)
{
	u64 page = (gpa >> 12 ^ (u64)kind << 40) * 0x9e3779b97f4a7c15ull >> (64 - BLOCK_HASH_BITS);

	return (u32)(page + (gpa & ~X86_PAGE_MASK) / 2) & ((1 << BLOCK_HASH_BITS) - 1);
}

/* --- pages ------------------------------------------------------------------------------------------- */

#define LINE 64u

static void *arena_take(struct soft_vcpu *sv, size_t size)
{
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (sv->arena_used + size > sv->arena_size)
		return NULL;
	p = sv->arena + sv->arena_used;
	sv->arena_used += size;
	return p;
}

X86_RACY static bool same_bytes(const u8 *a, const u8 *b, unsigned len)
{
	u64 different = 0;
	unsigned n;

	for (n = 0; n < len; n += 8)
		different |= *(const x86_mem64 *)(a + n) ^ *(const x86_mem64 *)(b + n);
	return !different;
}

/* Is what is in the copy the same in memory? */
static bool copy_valid(const struct soft_page *p)
{
	unsigned n, at;
	u64 left;

	for (n = 0; n < GRANULE_WORDS; n++) {
		for (left = p->copied.word[n]; left;) {
			unsigned first = (unsigned)__builtin_ctzll(left);
			bool line = first % 4 == 0 && (left >> first & 15) == 15;

			at = (n * 64 + first) * GRANULE;
			if (!same_bytes(p->copy + at, p->host + at, line ? LINE : GRANULE))
				return false;
			left &= ~((line ? 15ull : 1ull) << first);
		}
	}
	return true;
}

/* Blocks of the page's present generation are what memory holds. */
static bool page_valid(struct soft_vcpu *sv, struct soft_page *p)
{
	if (likely(p->epoch == sv->epoch))
		return true;
	sv->stat.pages_checked++;
	if (__atomic_load_n(&p->page->generation, __ATOMIC_ACQUIRE) == p->generation && !copy_valid(p)) {
		soft_invalidate_page(sv->vcpu, p->page);
		return false;
	}
	p->epoch = sv->epoch;
	return true;
}

static bool valid_in(struct soft_vcpu *sv, struct soft_page *p, u32 generation)
{
	return likely(__atomic_load_n(&p->page->generation, __ATOMIC_ACQUIRE) == generation) && page_valid(sv, p);
}

/* Is the block what memory holds now? */
static bool block_valid(struct soft_vcpu *sv, struct soft_block *b)
{
	return valid_in(sv, b->page, b->generation) && (likely(!b->page2) || valid_in(sv, b->page2, b->generation2));
}

static struct soft_page **page_bucket(struct soft_vcpu *sv, u64 gpa)
{
	return &sv->page_bucket[(gpa >> 12) & ((1 << PAGE_HASH_BITS) - 1)];
}

static struct soft_page *find_page(struct soft_vcpu *sv, u64 gpa, const u8 *host)
{
	struct soft_page *p = *page_bucket(sv, gpa);

	gpa &= X86_PAGE_MASK;
	host -= (unsigned long)host & ~X86_PAGE_MASK;
	while (p && (p->gpa != gpa || p->host != host || p->in_smm != sv->vcpu->state.in_smm))
		p = p->next;
	return p;
}

static struct soft_page *make_page(struct soft_vcpu *sv, u64 gpa, const u8 *host)
{
	struct soft_page *p = arena_take(sv, sizeof(*p)), **bucket = page_bucket(sv, gpa);

	p->gpa = gpa & X86_PAGE_MASK;
	p->host = host - ((unsigned long)host & ~X86_PAGE_MASK);
	p->in_smm = sv->vcpu->state.in_smm;
	p->copied = (struct granules){ 0 };
	p->page = NULL;
	p->lin = LIN_NONE;
	p->cell = 0;
	p->nr_targets = p->max_targets = 0;
	p->generation = 0;
	p->epoch = sv->epoch;
	p->next = *bucket;
	*bucket = p;
	return p;
}

/* Have those bytes in the copy, for good. */
static void copy_code(struct soft_page *p, unsigned offset, unsigned len)
{
	unsigned at;

	for (at = offset & ~(GRANULE - 1); at < offset + len; at += GRANULE)
		if (!(p->copied.word[at / GRANULE / 64] & 1ull << at / GRANULE % 64))
			memcpy(p->copy + at, p->host + at, GRANULE);
	granules_add(&p->copied, offset, len);
}

/* --- blocks ------------------------------------------------------------------------------------------ */

static void unlink_block(struct soft_vcpu *sv, struct soft_block *b)
{
	struct soft_block **p = &sv->bucket[hash_gpa(b->gpa, b->kind)];

	while (*p && *p != b)
		p = &(*p)->next;
	if (*p)
		*p = b->next;
	sv->stat.blocks_stale++;
}

static void forget_targets(struct soft_vcpu *sv, struct soft_page *p)
{
	tr_forget_page(sv, p);
	p->nr_targets = 0;
}

void soft_drop_page(struct soft_vcpu *sv, u64 gpa, const struct code_page *page)
{
	struct soft_page *p = *page_bucket(sv, gpa);

	for (; p; p = p->next)
		if (p->page == page)
			forget_targets(sv, p);
}

void soft_set_address(struct soft_vcpu *sv, struct soft_page *p, u64 lin)
{
	if (p->cell)
		tr_forget_page(sv, p);
	else
		forget_targets(sv, p);
	p->lin = lin;
}

/* In a list of the page, which moves to twice the room when it is full. */
bool soft_note_target(struct soft_vcpu *sv, struct soft_block *b)
{
	struct soft_page *p = b->page;
	u16 room = p->max_targets ? (u16)(2 * p->max_targets) : 8;
	struct soft_target *more;

	if (b->generation != p->generation)
		return false;
	if (b->tr->noted)
		return true;
	if (p->nr_targets == p->max_targets) {
		more = arena_take(sv, room * sizeof(*more));
		if (!more)
			return false;
		memcpy(more, p->target, p->nr_targets * sizeof(*more));
		p->target = more;
		p->max_targets = room;
	}
	p->target[p->nr_targets++] = (struct soft_target){
		.code = b->tr->saved, .offset = b->tr->page_offset, .mode = b->mode, .crossing = b->tr->crossing
	};
	b->tr->noted = true;
	return true;
}

#define BLOCK_ROOM                                                                                                     \
	(2 * sizeof(struct soft_page) + sizeof(struct soft_block) + BLOCK_MAX_INSNS * sizeof(struct x86_insn) + 64)

/* Make room for a block and its pages. True: by dropping all there were. */
static bool make_room(struct soft_vcpu *sv)
{
	if (sv->arena_used + BLOCK_ROOM <= sv->arena_size)
		return false;
	soft_flush_blocks(sv);
	return true;
}

/*
 * Len bytes at gpa in the page are code: they are marked first and copied then, so that a store in between moves the
 * generation. bytes: what they were decoded from. False: not RAM, or they are others now.
 */
static bool take_code(struct soft_vcpu *sv, struct soft_page *p, u64 gpa, const u8 *bytes, unsigned len)
{
	unsigned offset = gpa & ~X86_PAGE_MASK;
	u32 generation;

	if (!granules_none(&p->copied))
		page_valid(sv, p); /* what the copy has must be of this epoch */
	p->page = soft_mark_code(sv->vcpu, gpa, len, &generation);
	if (!p->page)
		return false;
	if (p->generation != generation || granules_none(&p->copied)) {
		p->copied = (struct granules){ 0 };
		/* Another vCPU may have changed it and not said so yet; what is in the tables leads to code that goes now. */
		forget_targets(sv, p);
		p->generation = generation;
		p->epoch = sv->epoch;
	}
	copy_code(p, offset, len);
	return !memcmp(p->copy + offset, bytes, len);
}

static struct soft_page *have_page(struct soft_vcpu *sv, u64 gpa, const u8 *host)
{
	return find_page(sv, gpa, host) ?: make_page(sv, gpa, host);
}

/* Code is decoded from a copy: others may change it at any time. */
X86_RACY static void read_code(u8 *bytes, const u8 *host, unsigned len)
{
	memcpy(bytes, host, len);
}

/* What b->insn has been decoded to is a block of the page, of its present generation. */
static void init_block(struct soft_vcpu *sv, struct soft_block *b, u64 gpa, struct soft_page *p, struct tr_block *stale)
{
	const struct x86_state *s = &sv->vcpu->state;

	b->gpa = gpa;
	b->page = p;
	b->generation = p->generation;
	b->page2 = NULL;
	b->mode = s->mode;
	b->kind = block_kind(s);
	b->tr = NULL;
	b->stale = stale;
	b->trust = stale ? b->trust : 0;
	b->heat = 0;
	b->plain = NULL;
	b->lost = 0;
	sv->stat.blocks_made++;
}

/* The block stands in the arena's free part: keep it, with that room for instructions. */
static void keep_block(struct soft_vcpu *sv, struct soft_block *b)
{
	u32 bucket = hash_gpa(b->gpa, b->kind);

	b->room = b->nr;
	arena_take(sv, sizeof(*b) + b->nr * sizeof(struct x86_insn));
	b->next = sv->bucket[bucket];
	sv->bucket[bucket] = b;
}

/* The first b->nr instructions are what they were, where the code has the same bytes. False: room was not enough. */
static bool decode_block(struct x86_state *s, struct soft_block *b, unsigned room, const u8 *code, unsigned avail,
			 enum x86_decode_result *r)
{
	unsigned len = 0, nr = 0;
	bool ended = false;

	*r = X86_DECODE_OK;
	while (nr < room && len < avail && !ended) {
		struct x86_insn *i = &b->insn[nr];

		if (nr >= b->nr || i->len > avail - len || memcmp(i->bytes, code + len, i->len)) {
			i->native = NULL;
			*r = x86_decode(i, code + len, avail - len, s->mode, s);
			if (*r != X86_DECODE_OK)
				break;
		}
		nr++;
		len += i->len;
		ended = i->flags & (INSN_BRANCH | INSN_END | INSN_SHADOW);
	}
	b->nr = nr;
	b->len = len;
	return ended || *r != X86_DECODE_OK || len >= avail || nr == BLOCK_MAX_INSNS;
}

/*
 * Decode up to the page's end from the page's copy of the bytes, so that what is decoded and what is compared later are
 * the same even if somebody writes meanwhile. *old: a block that was there before and is stale, or NULL; where the new one
 * fits it becomes that, else it is dropped. NULL: not RAM, nothing to decode, or the bytes changed under our hands;
 * *crosses: not even one instruction ends in the page.
 */
static struct soft_block *make_block(struct soft_vcpu *sv, u64 gpa, const u8 *host, struct soft_block *old,
				     bool *crosses)
{
	struct x86_state *s = &sv->vcpu->state;
	unsigned left = X86_PAGE_SIZE - (gpa & ~X86_PAGE_MASK), avail;
	u8 bytes[(BLOCK_MAX_INSNS + 1) * X86_MAX_INSN_LEN];
	enum x86_decode_result r;
	struct soft_block *b;
	struct x86_insn next;
	struct soft_page *p;

	if (make_room(sv))
		old = NULL;
	p = have_page(sv, gpa, host);
	avail = left < sizeof(bytes) ? left : sizeof(bytes);
	read_code(bytes, host, avail);
	b = old;
	if (!b || !decode_block(s, b, b->room, bytes, avail, &r)) {
		b = (void *)(sv->arena + sv->arena_used);
		b->nr = 0;
		decode_block(s, b, BLOCK_MAX_INSNS, bytes, avail, &r);
	}
	*crosses = !b->nr && r == X86_DECODE_MORE;
	if (old && (b != old || !b->nr))
		unlink_block(sv, old);
	if (!b->nr)
		return NULL;
	if (!take_code(sv, p, gpa, bytes, b->len)) {
		if (b == old)
			unlink_block(sv, old);
		return NULL;
	}
	init_block(sv, b, gpa, p, b != old ? NULL : b->tr ?: b->stale);
	b->before_crossing = left - b->len < X86_MAX_INSN_LEN && b->len < left &&
			     x86_decode(&next, bytes + b->len, left - b->len, s->mode, s) == X86_DECODE_MORE;
	if (b == old)
		sv->stat.blocks_stale++;
	else
		keep_block(sv, b);
	return b;
}

/* The block of the one instruction that starts at gpa and goes on at gpa2, in the next page. */
static struct soft_block *make_crossing(struct soft_vcpu *sv, u64 gpa, const u8 *host, u64 gpa2, const u8 *host2)
{
	struct x86_state *s = &sv->vcpu->state;
	unsigned first = X86_PAGE_SIZE - (gpa & ~X86_PAGE_MASK);
	u8 bytes[2 * X86_MAX_INSN_LEN];
	struct soft_page *p, *p2;
	struct soft_block *b;

	make_room(sv);
	p = have_page(sv, gpa, host);
	p2 = have_page(sv, gpa2, host2);
	read_code(bytes, host, first);
	read_code(bytes + first, host2, X86_MAX_INSN_LEN);
	b = (void *)(sv->arena + sv->arena_used);
	b->insn[0].native = NULL;
	if (x86_decode(&b->insn[0], bytes, X86_MAX_INSN_LEN, s->mode, s) != X86_DECODE_OK || b->insn[0].len <= first)
		return NULL;
	b->nr = 1;
	b->len = b->insn[0].len;
	if (!take_code(sv, p, gpa, bytes, first) || !take_code(sv, p2, gpa2, bytes + first, b->len - first))
		return NULL;
	init_block(sv, b, gpa, p, NULL);
	b->page2 = p2;
	p2->page->crossed = true;
	b->generation2 = p2->generation;
	b->before_crossing = false;
	keep_block(sv, b);
	return b;
}

/* The block at gpa, or NULL; then *old is one that was there and is stale, and which a new one may replace, or NULL. */
static struct soft_block *lookup(struct soft_vcpu *sv, u64 gpa, const u8 *host, struct soft_block **old)
{
	u8 kind = block_kind(&sv->vcpu->state);
	struct soft_block *b;

	*old = NULL;
	for (b = sv->bucket[hash_gpa(gpa, kind)]; b; b = b->next)
		if (b->gpa == gpa && b->kind == kind)
			break;
	if (!b)
		return NULL;
	if (b->page->host + (gpa & ~X86_PAGE_MASK) != host) {
		unlink_block(sv, b);
		return NULL;
	}
	if (likely(block_valid(sv, b)))
		return b;
	if (b->page2)
		unlink_block(sv, b);
	else
		*old = b;
	return NULL;
}

/* --- where linear addresses lead ---------------------------------------------------------------------- */

void soft_new_context(struct soft_vcpu *sv, bool all)
{
	sv->context++;
	sv->global_context += all;
}

/* What decides where a linear address leads: TLB state, mode, user or supervisor. */
static u64 context_key(const struct soft_vcpu *sv)
{
	const struct x86_state *s = &sv->vcpu->state;

	return sv->context << 10 | (u64)block_kind(s) << 2 | (s->cpl == 3);
}

#define KEY_GLOBAL 2u

/* The same for a global page, which survives a change of CR3. */
static u64 global_key(const struct soft_vcpu *sv)
{
	const struct x86_state *s = &sv->vcpu->state;

	return sv->global_context << 10 | (u64)block_kind(s) << 2 | KEY_GLOBAL | (s->cpl == 3);
}

static bool key_valid(const struct soft_vcpu *sv, u64 key)
{
	return key == (key & KEY_GLOBAL ? global_key(sv) : context_key(sv));
}

/* The page walk of a fetch; it sets accessed bits. */
static enum x86_result walk_for_fetch(struct soft_vcpu *sv, u64 lin, struct fetch_entry *e)
{
	struct x86_state *s = &sv->vcpu->state;
	struct x86_translation t;
	struct x86_ram ram;
	enum x86_result r;

	if (s->mode == X86_MODE_LONG && !x86_canonical(s, lin))
		return X86_UNHANDLED; /* the single step raises the right fault */
	r = x86_translate(s, s->cpl == 3 ? MMU_USER : MMU_SUPER, lin, ACC_EXEC, WALK_SET_BITS | WALK_FAULT, &t);
	if (r != X86_OK)
		return r;
	if (!s->ops->ram(s, t.gpa, false, &ram))
		return X86_UNHANDLED;
	tr_note_page(sv, lin);
	/* Only the upper half's pages are looked for among the global ones when a page is flushed (tr_flush_targets). */
	*e = (struct fetch_entry){ .lin = lin & X86_PAGE_MASK,
				   .key = t.global && lin >> 63 ? global_key(sv) : context_key(sv),
				   .gpa = t.gpa & X86_PAGE_MASK,
				   .host = ram.host,
				   .global = t.global };
	return X86_OK;
}

static enum x86_result fetch_entry(struct soft_vcpu *sv, u64 lin, struct fetch_entry **entry)
{
	struct fetch_entry *e = &sv->fetch[(lin >> 12 ^ lin >> 24) & ((1 << FETCH_BITS) - 1)];

	*entry = e;
	if (likely(e->lin == (lin & X86_PAGE_MASK) && key_valid(sv, e->key)))
		return X86_OK;
	return walk_for_fetch(sv, lin, e);
}

struct fetch_entry *soft_fetched(struct soft_vcpu *sv, u64 lin)
{
	struct fetch_entry *e;

	return fetch_entry(sv, lin, &e) == X86_OK ? e : NULL;
}

/* *b: a block that starts at lin, or NULL. It, or a new one, becomes what goes on in the page that is the next one now. */
static enum x86_result find_crossing(struct soft_vcpu *sv, u64 lin, u64 gpa, const u8 *host, struct soft_block **b)
{
	struct x86_state *s = &sv->vcpu->state;
	u64 lin2 = (lin | ~X86_PAGE_MASK) + 1;
	struct fetch_entry *e;
	enum x86_result r = fetch_entry(sv, s->mode == X86_MODE_LONG ? lin2 : (u32)lin2, &e);

	if (r != X86_OK)
		return r;
	if (*b && (*b)->page2->host != e->host) {
		unlink_block(sv, *b);
		*b = NULL;
	}
	if (!*b)
		*b = make_crossing(sv, gpa, host, e->gpa, e->host);
	return X86_OK;
}

enum x86_result soft_find_block(struct soft_vcpu *sv, u64 lin, struct soft_block **out)
{
	struct x86_state *s = &sv->vcpu->state;
	struct jump_entry *j = &sv->jump[(lin ^ lin >> JUMP_CACHE_BITS) & ((1 << JUMP_CACHE_BITS) - 1)];
	struct soft_block *b, *old;
	struct fetch_entry *e;
	bool crosses = false;
	const u8 *host;
	u64 gpa, key;
	enum x86_result r;

	/* Should reading code or page tables fail: no instruction is being executed. */
	sv->running = NULL;
	sv->running_rip = s->rip;
	if (likely(j->lin == lin && key_valid(sv, j->key) && block_valid(sv, j->block))) {
		*out = j->block;
		return X86_OK;
	}
	r = fetch_entry(sv, lin, &e);
	if (r != X86_OK)
		return r;
	gpa = e->gpa | (lin & ~X86_PAGE_MASK);
	host = e->host + (lin & ~X86_PAGE_MASK);
	key = e->key;
	b = lookup(sv, gpa, host, &old);
	if (!b)
		b = make_block(sv, gpa, host, old, &crosses);
	else
		crosses = b->page2;
	if (crosses) {
		r = find_crossing(sv, lin, gpa, host, &b);
		if (r != X86_OK)
			return r;
	}
	if (!b)
		return X86_UNHANDLED;
	j->lin = lin;
	j->key = b->page2 ? context_key(sv) : key;
	j->block = b;
	*out = b;
	return X86_OK;
}

struct soft_block *soft_neighbour(struct soft_vcpu *sv, const struct soft_block *b, unsigned offset)
{
	u64 gpa = (b->gpa & X86_PAGE_MASK) + offset;
	struct soft_block *n;

	for (n = sv->bucket[hash_gpa(gpa, b->kind)]; n; n = n->next)
		if (n->gpa == gpa && n->kind == b->kind && n->page == b->page && n->generation == b->generation &&
		    !n->page2)
			return n;
	return NULL;
}
