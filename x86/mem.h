/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Guest memory as instructions reach it: segmentation, the translation cache (TLB), the page walk.
 *
 * There is one gate. An access goes (segment, offset) -> linear -> TLB probe, inline here; on a miss
 * x86_mem_slow() in mem.c checks, walks the guest's page tables (paging.c), sets accessed and dirty
 * bits, asks ops->ram() for the host address and either does the access or fills the TLB. What is not
 * RAM goes to ops->mmio_read/mmio_write in pieces of at most 8 bytes that never cross a page.
 *
 * Order inside one instruction: all reads and all permission checks first, then writes; a write to MMIO
 * is queued by ops and performed by user space after the instruction. An instruction whose read is
 * X86_PENDING is executed again from its start when the data is there; ops then answers the same reads
 * from what it recorded. Therefore: no routine changes guest-visible state before its last read and its
 * last check that may fail.
 */
#ifndef X86_MEM_H
#define X86_MEM_H

#include "insn.h"

enum x86_mmu_index {
	MMU_SUPER,      /* CPL < 3, user pages reachable (CR4.SMAP = 0 or RFLAGS.AC = 1) */
	MMU_SUPER_SMAP, /* CPL < 3 or implicit supervisor access, SMAP enforced */
	MMU_USER,       /* CPL 3 */
	MMU_USER_AC,    /* CPL 3 with alignment checks: never filled, every access is slow */
	MMU_INDEX_COUNT
};

enum x86_access { ACC_READ, ACC_WRITE, ACC_EXEC, ACC_COUNT };

/*
 * One TLB entry. A tag is the linear page address | the TLB's generation for that kind of access (low 12 bits); it
 * matches only if that kind of access is allowed without any side effect. Unused: TLB_NO_TAG.
 * host address = linear address + addend.
 */
struct x86_tlb_entry {
	u64 tag[ACC_COUNT];
	u64 addend;
};

#define TLB_BITS 12
#define TLB_SIZE (1u << TLB_BITS)
#define TLB_NO_TAG 0ull /* no generation is 0: zeroed memory is an empty TLB */

/* Where a page leads that may be written but not cached for writing (RAM_NOTIFY): saves the walk, not the question. */
struct x86_tlb_walk {
	u64 tag; /* as of an entry */
	u64 gpa; /* of the page */
	unsigned mmu;
};
#define TLB_WALKS 16

struct x86_tlb {
	u64 generation;       /* 1..0xfff; a flush of everything increments it */
	u64 write_generation; /* likewise, in the tags for ACC_WRITE; a flush of the permissions to write does, too */
	/*
	 * Large pages are cached in 4 KiB pieces. For each half of the address space, the range that covers all
	 * those cached now: flushing a page inside it flushes everything. first > last: none.
	 */
	struct {
		u64 first, last;
	} large[2];
	struct x86_tlb_walk walk[TLB_WALKS];
	struct x86_tlb_entry entry[MMU_INDEX_COUNT][TLB_SIZE];
};

#define X86_PAGE_SIZE 4096ull
#define X86_PAGE_MASK (~(X86_PAGE_SIZE - 1))

/* Flush everything, also global pages. O(1) but for one time in 4095, as is x86_tlb_flush_write. */
void x86_tlb_flush(struct x86_tlb *tlb);
/* Flush one linear page in all modes (and everything, if large pages cached around it). */
void x86_tlb_flush_page(struct x86_tlb *tlb, u64 lin);
/* Drop the write permission of every entry: pages may have become code or dirty-logged. */
void x86_tlb_flush_write(struct x86_tlb *tlb);
/* Is lin on a page whose stores, as far as is known, all have to be noticed (RAM_NOTIFY)? */
bool x86_tlb_noticed(const struct x86_state *s, unsigned mmu, u64 lin);
/*
 * The host address of size bytes there, within the page, and their GPA: whoever stores there calls ops->ram_written
 * afterwards. NULL: not known, or no longer so.
 */
u8 *x86_noticed(struct x86_state *s, unsigned mmu, u64 lin, unsigned size, u64 *gpa);
/* Start empty: with memory of any content, or, without touching it, with memory that is all zero. */
void x86_tlb_init(struct x86_tlb *tlb);
void x86_tlb_init_zeroed(struct x86_tlb *tlb);

/*
 * Host memory behind one guest-physical page, as ops->ram() finds it.
 */
#define RAM_READONLY BIT(0) /* writes go to ops->mmio_write */
#define RAM_NOTIFY BIT(1)   /* call ops->ram_written after each write; do not cache for writing */
#define RAM_LOGGED BIT(2)   /* writes must be announced by ram(write = true): dirty log in use */
struct x86_ram {
	u8 *host; /* host address of the page's first byte */
	u32 flags;
};

/* --- segmentation ------------------------------------------------------------------------------ */

/*
 * Check an access of size bytes at seg:off and give the linear address. seg is an enum x86_segreg.
 * In 64-bit mode only FS and GS have a base and only canonicality is checked. Faults are #SS(0) for
 * SEG_SS (and RSP/RBP based addresses, which decode with SEG_SS), else #GP(0).
 */
enum x86_result x86_linear_slow(struct x86_state *s, unsigned seg, u64 off, unsigned size, enum x86_access acc,
				u64 *lin);

static inline bool x86_canonical(const struct x86_state *s, u64 a)
{
	unsigned bits = s->cr4 & CR4_LA57 ? 57 : 48;

	return (u64)((s64)(a << (64 - bits)) >> (64 - bits)) == a;
}

static inline enum x86_result x86_linear(struct x86_state *s, unsigned seg, u64 off, unsigned size, enum x86_access acc,
					 u64 *lin)
{
	if (likely(s->mode == X86_MODE_LONG)) {
		/* Non-canonical addresses never hit the TLB; the slow path faults on them. */
		*lin = seg == SEG_FS || seg == SEG_GS ? off + s->seg[seg].base : off;
		return X86_OK;
	}
	return x86_linear_slow(s, seg, off, size, acc, lin);
}

/* The effective address (offset) of the instruction's memory operand, truncated to the address size. */
static inline u64 x86_ea(const struct x86_state *s, const struct x86_insn *i)
{
	u64 a = i->disp;

	if (i->base < 16)
		a += s->gpr[i->base];
	else if (i->base == X86_REG_RIP)
		a += s->rip; /* rip is already that of the next instruction, see x86.h */
	if (i->index < 16)
		a += s->gpr[i->index] << i->scale;
	if (i->adsize == 8)
		return a;
	return i->adsize == 4 ? (u32)a : (u16)a;
}

/* --- access ------------------------------------------------------------------------------------ */

/* A value in guest memory: any alignment, may be changed by others at any time. */
typedef u16 __attribute__((may_alias, aligned(1))) x86_mem16;
typedef u32 __attribute__((may_alias, aligned(1))) x86_mem32;
typedef u64 __attribute__((may_alias, aligned(1))) x86_mem64;

#define X86_RACY __attribute__((no_sanitize("thread"), no_sanitize("alignment")))

/* The tag of an entry that allows such an access to lin now. */
static inline u64 x86_tlb_tag(const struct x86_tlb *tlb, u64 lin, enum x86_access acc)
{
	return (lin & X86_PAGE_MASK) | (acc == ACC_WRITE ? tlb->write_generation : tlb->generation);
}

static inline u8 *x86_tlb_probe(struct x86_state *s, unsigned mmu, u64 lin, unsigned size, enum x86_access acc)
{
	struct x86_tlb *tlb = s->tlb;
	struct x86_tlb_entry *e;

	if (!tlb)
		return NULL;
	e = &tlb->entry[mmu][(lin >> 12) & (TLB_SIZE - 1)];
	if (likely(e->tag[acc] == x86_tlb_tag(tlb, lin, acc) && (lin & ~X86_PAGE_MASK) + size <= X86_PAGE_SIZE))
		return (u8 *)(unsigned long)(lin + e->addend);
	return NULL;
}

/*
 * Linear accesses of size bytes (any size up to 4096; may cross pages) with the permissions of mmu.
 * seg only chooses between #SS and #GP for non-canonical addresses. X86_OK, X86_FAULT, X86_PENDING,
 * X86_HOST_FAULT. A write that crosses pages checks both before it changes either.
 */
enum x86_result x86_read_linear(struct x86_state *s, unsigned mmu, unsigned seg, u64 lin, void *buf, unsigned size);
enum x86_result x86_write_linear(struct x86_state *s, unsigned mmu, unsigned seg, u64 lin, const void *buf,
				 unsigned size);
/* Would a write (read) of size bytes fault? Sets accessed/dirty bits as the access itself would. */
enum x86_result x86_probe_linear(struct x86_state *s, unsigned mmu, unsigned seg, u64 lin, unsigned size,
				 enum x86_access acc);

/* Load a zero-extended value of 1, 2, 4 or 8 bytes from seg:off with the current privilege. */
X86_RACY static inline enum x86_result x86_load(struct x86_state *s, unsigned seg, u64 off, unsigned size, u64 *val)
{
	u64 lin;
	u8 *p;
	enum x86_result r = x86_linear(s, seg, off, size, ACC_READ, &lin);

	if (unlikely(r != X86_OK))
		return r;
	p = x86_tlb_probe(s, s->mmu_index, lin, size, ACC_READ);
	if (likely(p)) {
		switch (size) {
		case 1: *val = *(volatile u8 *)p; break;
		case 2: *val = *(volatile x86_mem16 *)p; break;
		case 4: *val = *(volatile x86_mem32 *)p; break;
		default: *val = *(volatile x86_mem64 *)p; break;
		}
		return X86_OK;
	}
	*val = 0;
	return x86_read_linear(s, s->mmu_index, seg, lin, val, size);
}

X86_RACY static inline enum x86_result x86_store(struct x86_state *s, unsigned seg, u64 off, unsigned size, u64 val)
{
	u64 lin;
	u8 *p;
	enum x86_result r = x86_linear(s, seg, off, size, ACC_WRITE, &lin);

	if (unlikely(r != X86_OK))
		return r;
	p = x86_tlb_probe(s, s->mmu_index, lin, size, ACC_WRITE);
	if (likely(p)) {
		switch (size) {
		case 1: *(volatile u8 *)p = (u8)val; break;
		case 2: *(volatile x86_mem16 *)p = (u16)val; break;
		case 4: *(volatile x86_mem32 *)p = (u32)val; break;
		default: *(volatile x86_mem64 *)p = val; break;
		}
		return X86_OK;
	}
	return x86_write_linear(s, s->mmu_index, seg, lin, &val, size);
}

/*
 * Read-modify-write. begin checks write permission and gives a pointer on which the routine runs its
 * operation (a locked one for LOCK); end completes it. Between begin and end nothing may fail or
 * access guest memory. ptr is the guest's memory itself where it is plain RAM within one page, so that
 * locked operations are atomic between vCPU threads; otherwise it is the bounce buffer, loaded by begin
 * and stored by end (MMIO; page-crossing operands, where atomicity across pages is not given: see
 * docs/status.md). x86_rmw_cancel instead of end: nothing is written.
 */
struct x86_rmw {
	void *ptr;
	u64 lin;
	u64 gpa; /* valid if notify */
	u8 size;
	bool bounce, notify;
	u8 buf[64] __aligned(16);
};
enum x86_result x86_rmw_begin_slow(struct x86_state *s, unsigned seg, u64 lin, unsigned size, struct x86_rmw *m);
enum x86_result x86_rmw_end_slow(struct x86_state *s, struct x86_rmw *m);

static inline enum x86_result x86_rmw_begin(struct x86_state *s, unsigned seg, u64 off, unsigned size,
					    struct x86_rmw *m)
{
	u64 lin;
	enum x86_result r = x86_linear(s, seg, off, size, ACC_WRITE, &lin);

	if (unlikely(r != X86_OK))
		return r;
	m->bounce = m->notify = false;
	m->ptr = x86_tlb_probe(s, s->mmu_index, lin, size, ACC_WRITE);
	return likely(m->ptr) ? X86_OK : x86_rmw_begin_slow(s, seg, lin, size, m);
}

static inline enum x86_result x86_rmw_end(struct x86_state *s, struct x86_rmw *m)
{
	return likely(!m->bounce && !m->notify) ? X86_OK : x86_rmw_end_slow(s, m);
}

/* --- translation ------------------------------------------------------------------------------- */

#define WALK_SET_BITS BIT(0) /* set accessed and dirty bits in the guest's tables */
#define WALK_FAULT BIT(1)    /* on failure fill s->fault with the #PF */

struct x86_translation {
	u64 gpa;
	u64 page_size;                            /* 4 KiB, 2/4 MiB, 1 GiB; of the guest's mapping */
	bool writable, user, exec, global, dirty; /* what the tables allow; dirty: D is set */
};

/*
 * Walk the guest's paging structures for lin under the current CR0/CR3/CR4/EFER with the rights of mmu.
 * Without paging it is the identity. X86_OK; X86_FAULT (page fault; s->fault only with WALK_FAULT, else s
 * is untouched); X86_HOST_FAULT. SDM, "Paging".
 */
enum x86_result x86_translate(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc, unsigned flags,
			      struct x86_translation *t);

#endif /* X86_MEM_H */
