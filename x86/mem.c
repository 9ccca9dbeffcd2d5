/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The slow path of the memory gate (mem.h), and the TLB. */
#include "mem.h"
#include "x86.h"

/* --- TLB ------------------------------------------------------------------------------------------ */

static void drop_tags(struct x86_tlb *tlb, bool write_only)
{
	unsigned m, i, a;

	for (m = 0; m < MMU_INDEX_COUNT; m++)
		for (i = 0; i < TLB_SIZE; i++)
			for (a = write_only ? ACC_WRITE : 0; a <= (write_only ? ACC_WRITE : ACC_COUNT - 1); a++)
				tlb->entry[m][i].tag[a] = TLB_NO_TAG;
}

static struct x86_tlb_walk *walk_slot(struct x86_tlb *tlb, u64 lin)
{
	return &tlb->walk[(lin >> 12) & (TLB_WALKS - 1)];
}

static void forget_large_pages(struct x86_tlb *tlb)
{
	tlb->large[0].first = tlb->large[1].first = ~0ull;
	tlb->large[0].last = tlb->large[1].last = 0;
}

void x86_tlb_init_zeroed(struct x86_tlb *tlb)
{
	tlb->generation = tlb->write_generation = 1;
	forget_large_pages(tlb);
}

void x86_tlb_init(struct x86_tlb *tlb)
{
	drop_tags(tlb, false);
	memset(tlb->walk, 0, sizeof(tlb->walk));
	x86_tlb_init_zeroed(tlb);
}

void x86_tlb_flush(struct x86_tlb *tlb)
{
	if (++tlb->generation == X86_PAGE_SIZE)
		x86_tlb_init(tlb);
	else
		x86_tlb_flush_write(tlb);
	forget_large_pages(tlb);
}

void x86_tlb_flush_write(struct x86_tlb *tlb)
{
	if (++tlb->write_generation == X86_PAGE_SIZE) {
		drop_tags(tlb, true);
		tlb->write_generation = 1;
	}
}

void x86_tlb_flush_page(struct x86_tlb *tlb, u64 lin)
{
	unsigned m, a;

	if (lin >= tlb->large[lin >> 63].first && lin <= tlb->large[lin >> 63].last) {
		x86_tlb_flush(tlb);
		return;
	}
	walk_slot(tlb, lin)->tag = TLB_NO_TAG;
	for (m = 0; m < MMU_INDEX_COUNT; m++) {
		struct x86_tlb_entry *e = &tlb->entry[m][(lin >> 12) & (TLB_SIZE - 1)];

		for (a = 0; a < ACC_COUNT; a++)
			if ((e->tag[a] & X86_PAGE_MASK) == (lin & X86_PAGE_MASK))
				e->tag[a] = TLB_NO_TAG;
	}
}

static void note_large_page(struct x86_tlb *tlb, u64 lin, u64 size)
{
	u64 first = lin & ~(size - 1), last = first + size - 1;
	unsigned half = lin >> 63;

	if (first < tlb->large[half].first)
		tlb->large[half].first = first;
	if (last > tlb->large[half].last)
		tlb->large[half].last = last;
}

static bool watched_page(const struct x86_state *s, u64 lin)
{
	unsigned n;

	for (n = 0; n < 4; n++)
		if (s->watch_dr7 & DR7_ENABLE(n) && (s->watch_addr[n] & X86_PAGE_MASK) == (lin & X86_PAGE_MASK))
			return true;
	return false;
}

static void tlb_fill(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc, const struct x86_translation *t,
		     const struct x86_ram *ram)
{
	struct x86_tlb *tlb = s->tlb;
	struct x86_tlb_entry *e;
	u64 tag, write_tag;

	if (!tlb || mmu == MMU_USER_AC)
		return;
	if (unlikely(s->watch_dr7) && acc != ACC_EXEC && watched_page(s, lin))
		return;
	tag = x86_tlb_tag(tlb, lin, ACC_READ);
	write_tag = x86_tlb_tag(tlb, lin, ACC_WRITE);
	e = &tlb->entry[mmu][(lin >> 12) & (TLB_SIZE - 1)];
	if (e->tag[ACC_READ] != tag && e->tag[ACC_WRITE] != write_tag && e->tag[ACC_EXEC] != tag)
		e->tag[ACC_READ] = e->tag[ACC_WRITE] = e->tag[ACC_EXEC] = TLB_NO_TAG;
	e->addend = (u64)(unsigned long)ram->host - (lin & X86_PAGE_MASK);
	if (acc == ACC_EXEC)
		e->tag[ACC_EXEC] = tag;
	else
		e->tag[ACC_READ] = tag;
	/* Writable and already dirty, nobody wants to hear of writes: spare the second miss. */
	if (acc != ACC_EXEC && t->writable && !(ram->flags & (RAM_READONLY | RAM_NOTIFY)) &&
	    (acc == ACC_WRITE || (t->dirty && !(ram->flags & RAM_LOGGED))))
		e->tag[ACC_WRITE] = write_tag;
	else if (acc == ACC_WRITE && t->writable && ram->flags & RAM_NOTIFY)
		*walk_slot(tlb, lin) = (struct x86_tlb_walk){ .tag = tag, .gpa = t->gpa & X86_PAGE_MASK, .mmu = mmu };
	if (t->page_size > X86_PAGE_SIZE)
		note_large_page(tlb, lin, t->page_size);
}

/* --- one page's part of an access -------------------------------------------------------------------- */

struct piece {
	u64 gpa;
	u8 *host;  /* of the first byte; NULL: not directly addressable */
	u32 flags; /* RAM_* */
	unsigned size;
};

static void check_watchpoints(struct x86_state *s, u64 lin, unsigned size, enum x86_access acc)
{
	static const u8 length[4] = { 1, 2, 8, 4 };
	unsigned n;

	for (n = 0; n < 4; n++) {
		unsigned type = DR7_TYPE(s->watch_dr7, n), len = length[DR7_LEN(s->watch_dr7, n)];
		u64 addr = s->watch_addr[n] & ~(u64)(len - 1);

		if (!(s->watch_dr7 & DR7_ENABLE(n)) || !(type == 3 || (type == 1 && acc == ACC_WRITE)))
			continue;
		if (lin >= addr + len || addr >= lin + size)
			continue;
		s->dr6_pending |= DR6_B(n);
		s->end_block = true;
	}
}

bool x86_tlb_noticed(const struct x86_state *s, unsigned mmu, u64 lin)
{
	const struct x86_tlb_walk *w;

	if (!s->tlb)
		return false;
	w = walk_slot(s->tlb, lin);
	return w->tag == x86_tlb_tag(s->tlb, lin, ACC_READ) && w->mmu == mmu;
}

/* A store to a page that is known to be noticed. False: not known, or no longer so. */
static bool map_noticed(struct x86_state *s, unsigned mmu, u64 lin, unsigned size, struct piece *p)
{
	struct x86_ram ram;
	u64 gpa;

	if (!x86_tlb_noticed(s, mmu, lin))
		return false;
	gpa = walk_slot(s->tlb, lin)->gpa | (lin & ~X86_PAGE_MASK);
	if (!s->ops->ram(s, gpa, true, &ram) || (ram.flags & (RAM_NOTIFY | RAM_READONLY)) != RAM_NOTIFY) {
		walk_slot(s->tlb, lin)->tag = TLB_NO_TAG;
		return false;
	}
	*p = (struct piece){ .gpa = gpa, .size = size, .flags = ram.flags, .host = ram.host + (gpa & ~X86_PAGE_MASK) };
	return true;
}

u8 *x86_noticed(struct x86_state *s, unsigned mmu, u64 lin, unsigned size, u64 *gpa)
{
	struct piece p;

	if (!s->tlb || !map_noticed(s, mmu, lin, size, &p))
		return NULL;
	*gpa = p.gpa;
	return p.host;
}

static enum x86_result map_piece(struct x86_state *s, unsigned mmu, u64 lin, unsigned size, enum x86_access acc,
				 struct piece *p)
{
	struct x86_translation t;
	struct x86_ram ram;
	enum x86_result r;

	if (acc == ACC_WRITE && map_noticed(s, mmu, lin, size, p))
		return X86_OK;
	r = x86_translate(s, mmu, lin, acc, WALK_SET_BITS | WALK_FAULT, &t);
	if (r != X86_OK)
		return r;
	*p = (struct piece){ .gpa = t.gpa, .size = size };
	if (!s->ops->ram || !s->ops->ram(s, t.gpa, acc == ACC_WRITE, &ram))
		return X86_OK;
	p->flags = ram.flags;
	if (acc == ACC_WRITE && ram.flags & RAM_READONLY)
		return X86_OK;
	p->host = ram.host + (t.gpa & ~X86_PAGE_MASK);
	tlb_fill(s, mmu, lin, acc, &t, &ram);
	return X86_OK;
}

/* The checks before translation: canonical form, alignment. */
static enum x86_result check_linear(struct x86_state *s, unsigned mmu, unsigned seg, u64 lin, unsigned size)
{
	if (s->efer & X86_EFER_LMA && s->mode == X86_MODE_LONG &&
	    (!x86_canonical(s, lin) || !x86_canonical(s, lin + size - 1)))
		return x86_raise_error(s, seg == SEG_SS ? X86_EXC_SS : X86_EXC_GP, 0);
	if (mmu == MMU_USER_AC && (size == 2 || size == 4 || size == 8) && lin & (size - 1))
		return x86_raise_error(s, X86_EXC_AC, 0);
	return X86_OK;
}

/*
 * Map an access of at most one page's size: one piece, or two where it crosses. Both are checked before the
 * caller touches either. Linear addresses below 4 GiB wrap there outside 64-bit mode.
 */
static enum x86_result map_access(struct x86_state *s, unsigned mmu, unsigned seg, u64 lin, unsigned size,
				  enum x86_access acc, struct piece p[2], unsigned *nr)
{
	unsigned first = X86_PAGE_SIZE - (lin & ~X86_PAGE_MASK);
	enum x86_result r = check_linear(s, mmu, seg, lin, size);

	if (r != X86_OK)
		return r;
	if (unlikely(s->watch_dr7) && acc != ACC_EXEC)
		check_watchpoints(s, lin, size, acc);
	*nr = size <= first ? 1 : 2;
	r = map_piece(s, mmu, lin, *nr == 1 ? size : first, acc, &p[0]);
	if (r != X86_OK || *nr == 1)
		return r;
	/* Compatibility mode reaches system tables and inner stacks above 4 GiB: those do not wrap. */
	if (s->mode != X86_MODE_LONG && lin <= 0xffffffffull)
		lin = (u32)(lin + first);
	else
		lin += first;
	return map_piece(s, mmu, lin, size - first, acc, &p[1]);
}

/* Copies that other vCPUs must not see torn where the size is that of a register. */
X86_RACY static void copy_racy(void *dst, const void *src, unsigned size)
{
	switch (size) {
	case 1: *(volatile u8 *)dst = *(const volatile u8 *)src; break;
	case 2: *(volatile x86_mem16 *)dst = *(const volatile x86_mem16 *)src; break;
	case 4: *(volatile x86_mem32 *)dst = *(const volatile x86_mem32 *)src; break;
	case 8: *(volatile x86_mem64 *)dst = *(const volatile x86_mem64 *)src; break;
	default: memcpy(dst, src, size); break; /* not the built-in: that calls libc, which uses vector registers */
	}
}

/*
 * Between the guest and buf, which is only read where acc is ACC_WRITE. One function for both directions: what is a page's
 * part, RAM or device is the same, and they must agree on it.
 */
static enum x86_result move_mmio(struct x86_state *s, u64 gpa, u8 *buf, unsigned size, enum x86_access acc)
{
	enum x86_result r = X86_OK;

	while (size && r == X86_OK) {
		unsigned n = size < 8 ? size : 8;

		r = acc == ACC_WRITE ? s->ops->mmio_write(s, gpa, buf, n) : s->ops->mmio_read(s, gpa, buf, n);
		gpa += n;
		buf += n;
		size -= n;
	}
	return r;
}

static void move_host(u8 *host, u8 *buf, unsigned size, enum x86_access acc)
{
	if (acc == ACC_WRITE)
		copy_racy(host, buf, size);
	else
		copy_racy(buf, host, size);
}

static enum x86_result move_piece(struct x86_state *s, const struct piece *p, u8 *buf, enum x86_access acc)
{
	bool write = acc == ACC_WRITE;
	enum x86_result r;

	if (p->host) {
		move_host(p->host, buf, p->size, acc);
		if (write && p->flags & RAM_NOTIFY)
			s->ops->ram_written(s, p->gpa, p->size);
		return X86_OK;
	}
	if (!s->ops->ram) {
		r = write ? s->ops->ram_write(s, p->gpa, buf, p->size) : s->ops->ram_read(s, p->gpa, buf, p->size);
		if (r != X86_UNHANDLED)
			return r;
	}
	return move_mmio(s, p->gpa, buf, p->size, acc);
}

static enum x86_result move_pieces(struct x86_state *s, const struct piece p[2], unsigned nr, u8 *buf,
				   enum x86_access acc)
{
	enum x86_result r = move_piece(s, &p[0], buf, acc);

	return r == X86_OK && nr == 2 ? move_piece(s, &p[1], buf + p[0].size, acc) : r;
}

static inline enum x86_result move_linear(struct x86_state *s, unsigned mmu, unsigned seg, u64 lin, u8 *buf,
					  unsigned size, enum x86_access acc)
{
	struct piece p[2];
	unsigned nr;
	u8 *host = x86_tlb_probe(s, mmu, lin, size, acc);
	enum x86_result r;

	if (host) {
		move_host(host, buf, size, acc);
		return X86_OK;
	}
	r = map_access(s, mmu, seg, lin, size, acc, p, &nr);
	return r == X86_OK ? move_pieces(s, p, nr, buf, acc) : r;
}

enum x86_result x86_read_linear(struct x86_state *s, unsigned mmu, unsigned seg, u64 lin, void *buf, unsigned size)
{
	return move_linear(s, mmu, seg, lin, buf, size, ACC_READ);
}

enum x86_result x86_write_linear(struct x86_state *s, unsigned mmu, unsigned seg, u64 lin, const void *buf,
				 unsigned size)
{
	return move_linear(s, mmu, seg, lin, (u8 *)buf, size, ACC_WRITE);
}

enum x86_result x86_probe_linear(struct x86_state *s, unsigned mmu, unsigned seg, u64 lin, unsigned size,
				 enum x86_access acc)
{
	struct piece p[2];
	unsigned nr;

	if (x86_tlb_probe(s, mmu, lin, size, acc))
		return X86_OK;
	return map_access(s, mmu, seg, lin, size, acc, p, &nr);
}

/* --- read-modify-write ------------------------------------------------------------------------------- */

enum x86_result x86_rmw_begin_slow(struct x86_state *s, unsigned seg, u64 lin, unsigned size, struct x86_rmw *m)
{
	struct piece p[2];
	unsigned nr;
	enum x86_result r = map_access(s, s->mmu_index, seg, lin, size, ACC_WRITE, p, &nr);

	if (r != X86_OK)
		return r;
	m->lin = lin;
	m->size = size;
	if (nr == 1 && p[0].host) {
		m->ptr = p[0].host;
		m->gpa = p[0].gpa;
		m->notify = p[0].flags & RAM_NOTIFY;
		return X86_OK;
	}
	m->bounce = true;
	m->ptr = m->buf;
	return move_pieces(s, p, nr, m->buf, ACC_READ);
}

enum x86_result x86_rmw_end_slow(struct x86_state *s, struct x86_rmw *m)
{
	if (m->bounce)
		return x86_write_linear(s, s->mmu_index, SEG_DS, m->lin, m->buf, m->size);
	if (m->notify)
		s->ops->ram_written(s, m->gpa, m->size);
	return X86_OK;
}
