/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Decoded instructions, cached by guest-physical address and mode. See soft.h. */
#include "soft.h"

#define ARENA_SIZE (24u << 20)

int soft_blocks_init(struct soft_vcpu *sv)
{
	sv->arena_size = ARENA_SIZE;
	sv->arena = host_alloc_pages(sv->arena_size);
	sv->context = 1;
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
	sv->context++;
	soft_stubs_reset(sv);
	tr_reset(sv);
	sv->stat.blocks_flushed++;
}

static u32 hash_gpa(u64 gpa, u8 mode)
{
	return (u32)((gpa ^ (u64)mode << 40) * 0x9e3779b97f4a7c15ull >> (64 - BLOCK_HASH_BITS));
}

static struct soft_block **page_bucket(struct soft_vcpu *sv, u64 gpa)
{
	return &sv->page_bucket[(gpa >> 12) & ((1 << PAGE_HASH_BITS) - 1)];
}

static bool same_bytes(const u8 *a, const u8 *b, unsigned len)
{
	for (; len >= 8; a += 8, b += 8, len -= 8)
		if (*(const x86_mem64 *)a != *(const x86_mem64 *)b)
			return false;
	while (len--)
		if (*a++ != *b++)
			return false;
	return true;
}

/* Bytes of the block in its first page. */
static unsigned first_part(const struct soft_block *b)
{
	unsigned left = X86_PAGE_SIZE - (b->gpa & ~X86_PAGE_MASK);

	return b->len < left ? b->len : left;
}

/* Is the block what memory holds now? */
X86_RACY static bool block_valid(struct soft_vcpu *sv, struct soft_block *b)
{
	unsigned first;

	if (unlikely(__atomic_load_n(&b->page->generation, __ATOMIC_ACQUIRE) != b->generation))
		return false;
	if (unlikely(b->page2) && __atomic_load_n(&b->page2->generation, __ATOMIC_ACQUIRE) != b->generation2)
		return false;
	if (likely(b->epoch == sv->epoch))
		return true;
	sv->stat.blocks_checked++;
	first = first_part(b);
	if (!same_bytes(b->host, b->code, first) ||
	    (b->page2 && !same_bytes(b->host2, b->code + first, b->len - first)))
		return false;
	b->epoch = sv->epoch;
	return true;
}

bool soft_check_page(struct soft_vcpu *sv, struct soft_block *b)
{
	u32 *epoch = &sv->page_epoch[(b->gpa >> 12) & ((1 << PAGE_HASH_BITS) - 1)];
	struct soft_block *o;

	if (likely(*epoch == sv->epoch))
		return true;
	for (o = *page_bucket(sv, b->gpa); o; o = o->page_next) {
		if (!o->tr || o->page2 || o->page != b->page || o->generation != b->generation)
			continue;
		if (!block_valid(sv, o)) {
			soft_invalidate_page(sv->vcpu, b->page);
			return false;
		}
	}
	/* The bucket's epoch speaks for all pages in it. */
	for (o = *page_bucket(sv, b->gpa); o; o = o->page_next)
		if (o->page != b->page && o->tr && !o->page2 && !block_valid(sv, o))
			soft_invalidate_page(sv->vcpu, o->page);
	*epoch = sv->epoch;
	return true;
}

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

static void unlink_block(struct soft_vcpu *sv, struct soft_block *b)
{
	struct soft_block **p = &sv->bucket[hash_gpa(b->gpa, b->mode)];

	while (*p && *p != b)
		p = &(*p)->next;
	if (*p)
		*p = b->next;
	for (p = page_bucket(sv, b->gpa); *p && *p != b; p = &(*p)->page_next)
		;
	if (*p)
		*p = b->page_next;
	sv->stat.blocks_stale++;
}

static void enter_block(struct soft_vcpu *sv, struct soft_block *b)
{
	u32 bucket = hash_gpa(b->gpa, b->mode);

	b->next = sv->bucket[bucket];
	sv->bucket[bucket] = b;
	b->page_next = *page_bucket(sv, b->gpa);
	*page_bucket(sv, b->gpa) = b;
	sv->stat.blocks_made++;
}

#define BLOCK_ROOM (sizeof(struct soft_block) + BLOCK_MAX_INSNS * (sizeof(struct x86_insn) + X86_MAX_INSN_LEN) + 16)

/* The start of a block of what is at gpa, in its first page. The page is marked for avail bytes. NULL: not RAM. */
static struct soft_block *begin_block(struct soft_vcpu *sv, u64 gpa, const u8 *host, unsigned avail)
{
	struct soft_block *b;

	if (sv->arena_used + BLOCK_ROOM > sv->arena_size)
		soft_flush_blocks(sv);
	b = (void *)(sv->arena + sv->arena_used);
	/* Mark first, then read: a store in between moves the generation. */
	*b = (struct soft_block){ .gpa = gpa, .host = host, .epoch = sv->epoch, .mode = sv->vcpu->state.mode };
	b->page = soft_mark_code(sv->vcpu, gpa, avail < 64 ? avail : 64, &b->generation);
	return b->page ? b : NULL;
}

/* What begin_block has begun has nr instructions: keep it. */
static void keep_block(struct soft_vcpu *sv, struct soft_block *b, unsigned nr, unsigned len)
{
	b->nr = nr;
	b->len = len;
	arena_take(sv, sizeof(*b) + nr * sizeof(struct x86_insn));
	memmove(&b->insn[nr], b->code, len);
	b->code = (u8 *)&b->insn[nr];
	arena_take(sv, len);
	enter_block(sv, b);
}

/*
 * Decode up to the page's end from a private copy of the bytes, so that what is decoded and what is compared later are
 * the same even if somebody writes meanwhile. *crosses: not even one instruction ends in the page.
 */
static struct soft_block *make_block(struct soft_vcpu *sv, u64 gpa, const u8 *host, bool *crosses)
{
	struct vcpu *v = sv->vcpu;
	struct x86_state *s = &v->state;
	unsigned left = X86_PAGE_SIZE - (gpa & ~X86_PAGE_MASK), avail = left, len = 0, nr = 0;
	enum x86_decode_result r = X86_DECODE_OK;
	struct soft_block *b;
	struct x86_insn next;
	u32 later;

	if (avail > BLOCK_MAX_INSNS * X86_MAX_INSN_LEN)
		avail = BLOCK_MAX_INSNS * X86_MAX_INSN_LEN;
	*crosses = false;
	b = begin_block(sv, gpa, host, avail);
	if (!b)
		return NULL;
	b->code = (u8 *)&b->insn[BLOCK_MAX_INSNS];
	memcpy(b->code, host, avail);
	while (nr < BLOCK_MAX_INSNS && len < avail) {
		struct x86_insn *i = &b->insn[nr];

		i->native = NULL;
		r = x86_decode(i, b->code + len, avail - len, s->mode, s);
		if (r != X86_DECODE_OK)
			break;
		nr++;
		len += i->len;
		if (i->flags & (INSN_BRANCH | INSN_END | INSN_SHADOW))
			break;
	}
	if (!nr) {
		*crosses = r == X86_DECODE_MORE;
		return NULL;
	}
	if (len < left && left - len < X86_MAX_INSN_LEN)
		b->before_crossing = x86_decode(&next, b->code + len, left - len, s->mode, s) == X86_DECODE_MORE;
	if (len > 64)
		soft_mark_code(v, gpa, len, &later); /* the first generation stays the one that counts */
	keep_block(sv, b, nr, len);
	return b;
}

/* The block of the one instruction that starts at gpa and goes on at gpa2, in the next page. */
static struct soft_block *make_crossing(struct soft_vcpu *sv, u64 gpa, const u8 *host, u64 gpa2, const u8 *host2)
{
	struct x86_state *s = &sv->vcpu->state;
	unsigned first = X86_PAGE_SIZE - (gpa & ~X86_PAGE_MASK);
	struct soft_block *b = begin_block(sv, gpa, host, first);
	struct x86_insn *i;

	if (!b)
		return NULL;
	b->page2 = soft_mark_code(sv->vcpu, gpa2, X86_MAX_INSN_LEN - 1, &b->generation2);
	if (!b->page2)
		return NULL;
	b->host2 = host2;
	b->code = (u8 *)&b->insn[BLOCK_MAX_INSNS];
	memcpy(b->code, host, first);
	memcpy(b->code + first, host2, X86_MAX_INSN_LEN);
	i = &b->insn[0];
	if (x86_decode(i, b->code, X86_MAX_INSN_LEN, s->mode, s) != X86_DECODE_OK || i->len <= first)
		return NULL;
	i->native = NULL;
	keep_block(sv, b, 1, i->len);
	return b;
}

static struct soft_block *lookup(struct soft_vcpu *sv, u64 gpa, const u8 *host, u8 mode)
{
	struct soft_block *b;

	for (b = sv->bucket[hash_gpa(gpa, mode)]; b; b = b->next)
		if (b->gpa == gpa && b->mode == mode)
			break;
	if (b && (b->host != host || !block_valid(sv, b))) {
		unlink_block(sv, b);
		b = NULL;
	}
	return b;
}

/* Translate for fetching; fills the exec side of the TLB by the way the data side is filled. */
static enum x86_result fetch_page(struct x86_state *s, u64 lin, u64 *gpa, const u8 **host)
{
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
	tr_note_page(soft_of(s), lin);
	*gpa = t.gpa;
	*host = ram.host + (t.gpa & ~X86_PAGE_MASK);
	return X86_OK;
}

/* What decides where a linear address leads: TLB state, mode, user or supervisor. */
static u64 context_key(const struct soft_vcpu *sv)
{
	const struct x86_state *s = &sv->vcpu->state;

	return sv->context << 8 | (u64)s->mode << 1 | (s->cpl == 3);
}

/* *b: a block that starts at lin, or NULL. It, or a new one, becomes what goes on in the page that is the next one now. */
static enum x86_result find_crossing(struct soft_vcpu *sv, u64 lin, u64 gpa, const u8 *host, struct soft_block **b)
{
	struct x86_state *s = &sv->vcpu->state;
	u64 lin2 = (lin | ~X86_PAGE_MASK) + 1, gpa2;
	const u8 *host2;
	enum x86_result r = fetch_page(s, s->mode == X86_MODE_LONG ? lin2 : (u32)lin2, &gpa2, &host2);

	if (r != X86_OK)
		return r;
	if (*b && (*b)->host2 != host2) {
		unlink_block(sv, *b);
		*b = NULL;
	}
	if (!*b)
		*b = make_crossing(sv, gpa, host, gpa2, host2);
	return X86_OK;
}

enum x86_result soft_find_block(struct soft_vcpu *sv, u64 lin, struct soft_block **out)
{
	struct x86_state *s = &sv->vcpu->state;
	struct jump_entry *j = &sv->jump[(lin ^ lin >> JUMP_CACHE_BITS) & ((1 << JUMP_CACHE_BITS) - 1)];
	struct soft_block *b;
	bool crosses = false;
	const u8 *host;
	u64 gpa;
	enum x86_result r;

	if (likely(j->lin == lin && j->key == context_key(sv) && block_valid(sv, j->block))) {
		*out = j->block;
		return X86_OK;
	}
	r = fetch_page(s, lin, &gpa, &host);
	if (r != X86_OK)
		return r;
	b = lookup(sv, gpa, host, s->mode);
	if (!b)
		b = make_block(sv, gpa, host, &crosses);
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
	j->key = context_key(sv); /* may have been flushed */
	j->block = b;
	*out = b;
	return X86_OK;
}
