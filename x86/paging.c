/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The walk of the guest's paging structures. SDM volume 3, "Paging"; APM volume 2, "Page Translation". */
#include "mem.h"
#include "x86.h"

/* Bits of a paging-structure entry that mean the same in all formats. */
#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_U (1ull << 2)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_G (1ull << 8)
#define PTE_NX (1ull << 63)

/* How the tables look under the current control registers. */
struct walk_format {
	u8 levels;     /* of table look-ups, the PAE directory pointers not counted */
	u8 entry_size; /* 4 or 8 */
	u8 index_bits; /* 10 or 9 */
	bool nx;       /* bit 63 is execute-disable */
	u64 addr_mask; /* physical address bits of an 8-byte entry */
	u64 reserved;  /* bits that must be 0 in every 8-byte entry */
};

static u64 phys_mask(const struct x86_state *s)
{
	return (1ull << s->maxphyaddr) - 1;
}

static void get_format(const struct x86_state *s, struct walk_format *f)
{
	f->nx = s->efer & X86_EFER_NXE;
	if (!(s->cr4 & CR4_PAE)) {
		*f = (struct walk_format){ .levels = 2, .entry_size = 4, .index_bits = 10 };
		return;
	}
	f->entry_size = 8;
	f->index_bits = 9;
	f->addr_mask = phys_mask(s) & X86_PAGE_MASK;
	f->reserved = ((1ull << 52) - 1) & ~phys_mask(s);
	if (!f->nx)
		f->reserved |= PTE_NX;
	if (s->efer & X86_EFER_LMA) {
		f->levels = s->cr4 & CR4_LA57 ? 5 : 4;
	} else {
		f->levels = 2;
		f->reserved |= 0x7ff0000000000000ull & ~PTE_NX;
	}
}

static enum x86_result read_entry(struct x86_state *s, u64 gpa, unsigned size, u64 *val)
{
	struct x86_ram ram;

	*val = 0;
	if (s->ops->ram) {
		if (!s->ops->ram(s, gpa, false, &ram))
			return X86_UNHANDLED;
		if (size == 8)
			*val = __atomic_load_n((u64 *)(ram.host + (gpa & ~X86_PAGE_MASK)), __ATOMIC_RELAXED);
		else
			*val = __atomic_load_n((u32 *)(ram.host + (gpa & ~X86_PAGE_MASK)), __ATOMIC_RELAXED);
		return X86_OK;
	}
	return s->ops->ram_read(s, gpa, val, size);
}

/* Page tables in read-only slots (firmware flash) keep their bits as they are, as KVM does. */
static enum x86_result set_bits(struct x86_state *s, u64 gpa, unsigned size, u64 old, u64 bits)
{
	struct x86_ram ram;
	void *p;
	u32 old32 = (u32)old;
	bool same;

	if (s->ops->ram_cmpxchg) {
		enum x86_result r = s->ops->ram_cmpxchg(s, gpa, old, old | bits, size);

		return r == X86_UNHANDLED ? X86_OK : r;
	}
	if (!s->ops->ram(s, gpa, true, &ram))
		return X86_UNHANDLED;
	if (ram.flags & RAM_READONLY)
		return X86_OK;
	p = ram.host + (gpa & ~X86_PAGE_MASK);
	if (size == 8)
		same = __atomic_compare_exchange_n((u64 *)p, &old, old | bits, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_RELAXED);
	else
		same = __atomic_compare_exchange_n((u32 *)p, &old32, old32 | (u32)bits, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_RELAXED);
	if (same && (ram.flags & RAM_NOTIFY))
		s->ops->ram_written(s, gpa, size);
	return same ? X86_OK : X86_RETRY;
}

/* Reserved bits of an 8-byte entry; level 1 is the page table. */
static u64 reserved_bits(const struct x86_state *s, const struct walk_format *f, u64 entry, unsigned level)
{
	u64 r = f->reserved;

	if (level >= 4)
		return r | PTE_PS;
	if (level == 1 || !(entry & PTE_PS))
		return r;
	if (level == 3)
		return x86_has(s, X86F_GBPAGES) ? r | 0x3fffe000ull : r | PTE_PS;
	return r | 0x1fe000ull;
}

struct walk {
	struct x86_state *s;
	struct walk_format f;
	unsigned mmu;
	enum x86_access acc;
	u64 lin;
	unsigned flags;
	u64 rights; /* AND of W and U over the levels; NX as an OR, kept apart */
	bool nx;
	struct x86_translation *t;
};

static enum x86_result page_fault(struct walk *w, u32 error)
{
	struct x86_state *s = w->s;

	if (!(w->flags & WALK_FAULT))
		return X86_FAULT;
	if (w->acc == ACC_WRITE)
		error |= PFERR_W;
	if (w->mmu >= MMU_USER)
		error |= PFERR_U;
	if (w->acc == ACC_EXEC && ((s->efer & X86_EFER_NXE && s->cr4 & CR4_PAE) || s->cr4 & CR4_SMEP))
		error |= PFERR_I;
	return x86_raise_pf(s, w->lin, error);
}

/* Do the accumulated rights allow the access? SDM, "Determination of Access Rights". */
static bool allowed(struct walk *w)
{
	const struct x86_state *s = w->s;
	bool user_mode = w->mmu >= MMU_USER;
	bool user_page = w->rights & PTE_U, writable = w->rights & PTE_W;
	struct x86_translation *t = w->t;

	t->user = user_page;
	t->exec = !w->nx && (user_mode ? user_page : !(user_page && s->cr4 & CR4_SMEP));
	t->writable = writable || (!user_mode && !(s->cr0 & CR0_WP));
	if (user_mode) {
		if (!user_page)
			return false;
	} else if (user_page && w->acc != ACC_EXEC && w->mmu == MMU_SUPER_SMAP && s->cr4 & CR4_SMAP) {
		return false;
	}
	if (w->acc == ACC_WRITE)
		return t->writable;
	return w->acc == ACC_EXEC ? t->exec : true;
}

/* The last entry has been found: permission, dirty bit, physical address. */
static enum x86_result finish(struct walk *w, u64 entry, u64 entry_gpa, unsigned shift, u64 frame)
{
	u64 page = 1ull << shift, want = PTE_A;
	enum x86_result r;

	if (!allowed(w))
		return page_fault(w, PFERR_P);
	if (w->acc == ACC_WRITE)
		want |= PTE_D;
	if (w->flags & WALK_SET_BITS && (entry & want) != want) {
		r = set_bits(w->s, entry_gpa, w->f.entry_size, entry, want);
		if (r != X86_OK)
			return r;
		entry |= want;
	}
	w->t->dirty = entry & PTE_D;
	w->t->global = entry & PTE_G && w->s->cr4 & CR4_PGE;
	w->t->page_size = page;
	w->t->gpa = (frame & ~(page - 1)) | (w->lin & (page - 1));
	return X86_OK;
}

/* Frame of a 4 MiB page, with the PSE-36 address bits. */
static u64 frame_4m(const struct x86_state *s, u64 entry)
{
	u64 high = (entry >> 13 & 0xff) << 32;

	return (entry & 0xffc00000) | (x86_has(s, X86F_PSE36) ? high & phys_mask(s) : 0);
}

static bool is_large(const struct walk *w, u64 entry, unsigned level)
{
	if (level == 1 || !(entry & PTE_PS))
		return false;
	return w->f.entry_size == 8 ? level <= 3 : (w->s->cr4 & CR4_PSE) != 0;
}

static enum x86_result walk_tables(struct walk *w, u64 table)
{
	struct x86_state *s = w->s;
	const struct walk_format *f = &w->f;
	unsigned level;

	for (level = f->levels; level; level--) {
		unsigned shift = 12 + (level - 1) * f->index_bits;
		u64 index = w->lin >> shift & ((1u << f->index_bits) - 1);
		u64 gpa = table + index * f->entry_size, entry;
		enum x86_result r = read_entry(s, gpa, f->entry_size, &entry);

		if (r == X86_HOST_FAULT)
			return r;
		if (r != X86_OK || !(entry & PTE_P))
			return page_fault(w, 0);
		if (f->entry_size == 8 && entry & reserved_bits(s, f, entry, level))
			return page_fault(w, PFERR_P | PFERR_RSVD);
		w->rights &= entry;
		w->nx |= f->nx && entry & PTE_NX;
		if (is_large(w, entry, level))
			return finish(w, entry, gpa, shift,
				      f->entry_size == 8 ? entry & f->addr_mask : frame_4m(s, entry));
		if (level == 1)
			return finish(w, entry, gpa, shift,
				      f->entry_size == 8 ? entry & f->addr_mask : entry & 0xfffff000);
		if (w->flags & WALK_SET_BITS && !(entry & PTE_A)) {
			r = set_bits(s, gpa, f->entry_size, entry, PTE_A);
			if (r != X86_OK)
				return r;
		}
		table = f->entry_size == 8 ? entry & f->addr_mask : entry & 0xfffff000;
	}
	return X86_UNHANDLED; /* not reached: level 1 always ends above */
}

static enum x86_result walk_once(struct walk *w)
{
	struct x86_state *s = w->s;

	get_format(s, &w->f);
	w->rights = PTE_W | PTE_U;
	w->nx = false;
	if (!(s->cr4 & CR4_PAE))
		return walk_tables(w, s->cr3 & 0xfffff000);
	if (s->efer & X86_EFER_LMA)
		return walk_tables(w, s->cr3 & w->f.addr_mask);
	/* PAE: the four directory pointers were read and checked when CR3 was loaded. */
	if (!(s->pdpte[w->lin >> 30 & 3] & PTE_P))
		return page_fault(w, 0);
	return walk_tables(w, s->pdpte[w->lin >> 30 & 3] & w->f.addr_mask);
}

enum x86_result x86_translate(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc, unsigned flags,
			      struct x86_translation *t)
{
	struct walk w = { .s = s, .mmu = mmu, .acc = acc, .lin = lin, .flags = flags, .t = t };
	enum x86_result r;

	if (!(s->cr0 & CR0_PG)) {
		*t = (struct x86_translation){ .gpa = (u32)lin,
					       .page_size = X86_PAGE_SIZE,
					       .writable = true,
					       .user = true,
					       .exec = true,
					       .dirty = true };
		return X86_OK;
	}
	if (s->ops->recall && s->ops->recall(s, mmu, lin, acc, t))
		return X86_OK;
	do {
		r = walk_once(&w); /* again if an entry changed while its bits were being set */
	} while (r == X86_RETRY);
	if (s->ops->remember && r == X86_OK && flags & WALK_SET_BITS)
		s->ops->remember(s, mmu, lin, acc, t);
	return r == X86_UNHANDLED ? page_fault(&w, 0) : r;
}
