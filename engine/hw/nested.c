/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Second-level page tables (NPT, EPT): guest-physical to host-physical, one set for each VM, built from the memory slots as the
 * guest touches its memory (APM volume 2, "Nested Paging"; SDM, "The Extended Page Table Mechanism (EPT)"). Four levels; pages of
 * 2 MiB where the host maps the memory so and no dirty log wants to know more, else of 4 KiB.
 *
 * Pages are not pinned. What the address space takes back is announced by unmap_hva: the entries go, every CPU in guest mode is made
 * to leave, and until unmap_hva_done nothing is entered. Entries that were looked up before are recognised by the sequence, or by
 * the generation of the memory slots, which every user compares first: tables of an older generation are thrown away.
 */
#include "hwvm.h"

#define LEVELS 4
#define ENTRIES 512
#define MAX_GPA (1ull << 48)
#define LARGE_SHIFT 21
#define LARGE_SIZE (1ull << LARGE_SHIFT)

/*
 * The bits of both formats: present (EPT: readable), writable, user (nested walks are user accesses; EPT: executable), a large
 * page, and one that hardware ignores.
 */
#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_LARGE (1ull << 7)
#define PTE_LOGGED (1ull << 11) /* ours: the slot has a dirty log */
#define PTE_ADDR 0x000ffffffffff000ull

struct nested {
	u64 leaf;             /* I  bits of the format in entries that map a page */
	bool large;           /* I */
	struct hw_lock *lock; /* I  protects the rest: */
	u64 *root;
	u64 *dead; /* tables that were taken out: free after a flush; linked by their first entry, which is not present */
	u64 slots_generation; /* of the memory slots that the tables are made from */
	u32 invalidating;     /* ranges between unmap_hva and unmap_hva_done */
	u64 sequence;         /* of invalidations */
	u64 nr_logged;        /* writable pages of slots with a dirty log (at most: some may be gone) */
};

static struct nested *nested_of(const struct vm *vm)
{
	return vm->engine_vm;
}

u64 nested_root(const struct vm *vm)
{
	return hw_pa(nested_of(vm)->root);
}

static unsigned index_at(u64 gpa, unsigned level)
{
	return gpa >> (12 + 9 * level) & (ENTRIES - 1);
}

static u64 *table_of(u64 entry)
{
	return hw_va(entry & PTE_ADDR);
}

/* --- what is done to a range ------------------------------------------------------------------------- */

enum range_op { OP_CLEAR, OP_PROTECT_LOGGED };

static bool change_entry(u64 *pte, enum range_op op)
{
	u64 old = *pte;

	if (!(old & PTE_P))
		return false;
	if (op == OP_CLEAR)
		__atomic_store_n(pte, 0, __ATOMIC_RELAXED);
	else if ((old & (PTE_LOGGED | PTE_W)) == (PTE_LOGGED | PTE_W))
		__atomic_store_n(pte, old & ~PTE_W, __ATOMIC_RELAXED);
	else
		return false;
	return true;
}

static bool is_table(u64 entry, unsigned level)
{
	return level && entry & PTE_P && !(entry & PTE_LARGE);
}

/* An empty table goes, so that a large page can take its place. */
static void take_out(struct nested *n, u64 *entry)
{
	u64 *table = table_of(*entry);

	__atomic_store_n(entry, 0, __ATOMIC_RELAXED);
	/* A processor that still walks it finds nothing: addresses of pages have the low bits clear. */
	__atomic_store_n(&table[0], (u64)(unsigned long)n->dead, __ATOMIC_RELAXED);
	n->dead = table;
}

static void free_dead(u64 *table)
{
	while (table) {
		u64 *next = (u64 *)(unsigned long)table[0];

		hw_pages_free(table, 0);
		table = next;
	}
}

/* All entries for [first, last] in a table of this level; true if one has changed. Upper tables stay until the VM ends. */
static bool change_range(struct nested *n, u64 *table, unsigned level, u64 first, u64 last, enum range_op op)
{
	unsigned i, from = index_at(first, level), to = index_at(last, level);
	u64 span = 1ull << (12 + 9 * level);
	bool changed = false;

	for (i = from; i <= to; i++) {
		u64 lo = i == from ? first & (span - 1) : 0, hi = i == to ? last & (span - 1) : span - 1;

		if (!is_table(table[i], level)) {
			changed |= change_entry(&table[i], op);
			continue;
		}
		changed |= change_range(n, table_of(table[i]), level - 1, lo, hi, op);
		if (level == 1 && op == OP_CLEAR && !lo && hi == span - 1) {
			take_out(n, &table[i]);
			changed = true;
		}
	}
	return changed;
}

static bool change_all(struct nested *n, enum range_op op)
{
	return change_range(n, n->root, LEVELS - 1, 0, MAX_GPA - 1, op);
}

/* Every vCPU takes a new ASID before its next entry, and none is in guest mode with the old one on return. */
static void flush_all(struct vm *vm)
{
	u32 i, nr = vm_nr_vcpus(vm);

	__atomic_fetch_add(&vm->stat.remote_tlb_flush, 1, __ATOMIC_RELAXED);
	for (i = 0; i < nr; i++)
		vcpu_request(vm->vcpu[i], REQ_TLB_FLUSH);
	for (i = 0; i < nr; i++) {
		struct hwvm_vcpu *v = hwvm_of(vm->vcpu[i]);
		int cpu = __atomic_load_n(&v->guest_cpu, __ATOMIC_SEQ_CST);

		if (cpu != HW_NO_CPU)
			hw_wait_cpu(cpu);
	}
}

/* Tables of older slots are void. Under lock, in a srcu section; true: flush. */
static bool follow_slots(struct vm *vm, struct nested *n)
{
	u64 generation = vm_slots(vm, 0)->generation;

	if (n->slots_generation == generation)
		return false;
	n->slots_generation = generation;
	n->nr_logged = 0;
	return change_all(n, OP_CLEAR);
}

void nested_slots_changed(struct vm *vm)
{
	struct nested *n = nested_of(vm);
	int idx = host_srcu_read_lock(&vm->srcu);
	u64 *dead;
	bool flush;

	hw_lock(n->lock);
	flush = follow_slots(vm, n);
	dead = n->dead;
	n->dead = NULL;
	hw_unlock(n->lock);
	host_srcu_read_unlock(&vm->srcu, idx);
	if (flush)
		flush_all(vm);
	free_dead(dead);
}

void nested_write_protect(struct vm *vm)
{
	struct nested *n = nested_of(vm);

	hw_lock(n->lock);
	if (n->nr_logged)
		change_all(n, OP_PROTECT_LOGGED);
	n->nr_logged = 0;
	hw_unlock(n->lock);
}

static bool clear_hva(struct nested *n, const struct memslot *slot, u64 hva, u64 size)
{
	u64 slot_size = slot->npages << 12, from, to;

	if (hva >= slot->hva + slot_size || hva + size <= slot->hva)
		return false;
	from = hva > slot->hva ? hva - slot->hva : 0;
	to = hva + size < slot->hva + slot_size ? hva + size - slot->hva : slot_size;
	if (slot->gpa + from >= MAX_GPA)
		return false;
	to += slot->gpa;
	return change_range(n, n->root, LEVELS - 1, slot->gpa + from, (to < MAX_GPA ? to : MAX_GPA) - 1, OP_CLEAR);
}

void nested_unmap_hva(struct vm *vm, u64 hva, u64 size)
{
	struct nested *n = nested_of(vm);
	int idx = host_srcu_read_lock(&vm->srcu);
	struct memslots *slots = vm_slots(vm, 0);
	u64 *dead;
	bool flush;
	u32 i;

	hw_lock(n->lock);
	n->invalidating++;
	n->sequence++;
	flush = follow_slots(vm, n);
	for (i = 0; i < slots->nr; i++)
		flush |= clear_hva(n, slots->slot[i], hva, size);
	dead = n->dead;
	n->dead = NULL;
	hw_unlock(n->lock);
	host_srcu_read_unlock(&vm->srcu, idx);
	if (flush)
		flush_all(vm);
	free_dead(dead);
}

void nested_unmap_hva_done(struct vm *vm)
{
	struct nested *n = nested_of(vm);

	hw_lock(n->lock);
	n->sequence++;
	n->invalidating--;
	hw_unlock(n->lock);
}

/* --- filling ------------------------------------------------------------------------------------------- */

static bool fill_cache(struct hwvm_vcpu *v)
{
	while (v->nr_cache < NESTED_CACHE) {
		void *page = hw_page_alloc();

		if (!page)
			return false;
		v->cache[v->nr_cache++] = page;
	}
	return true;
}

void nested_cache_free(struct hwvm_vcpu *v)
{
	while (v->nr_cache)
		hw_pages_free(v->cache[--v->nr_cache], 0);
}

static u64 *cached_table(struct hwvm_vcpu *v)
{
	return v->cache[--v->nr_cache];
}

/* The same translations by small pages. */
static void split(u64 *entry, u64 *table)
{
	u64 large = *entry;
	unsigned i;

	for (i = 0; i < ENTRIES; i++)
		table[i] = (large & ~PTE_LARGE) + ((u64)i << 12);
	__atomic_store_n(entry, hw_pa(table) | PTE_P | PTE_W | PTE_U, __ATOMIC_RELEASE);
}

/*
 * The entry for gpa at this level or, where smaller pages are in use already, at the lowest; with tables from the cache on the way.
 * Under lock.
 */
static u64 *entry_for(struct nested *n, struct hwvm_vcpu *v, u64 gpa, unsigned *level)
{
	u64 *table = n->root, *e;
	unsigned at;

	for (at = LEVELS - 1;; at--) {
		e = &table[index_at(gpa, at)];
		if (!at || (at == *level && !is_table(*e, at)))
			break;
		if (!(*e & PTE_P))
			__atomic_store_n(e, hw_pa(cached_table(v)) | PTE_P | PTE_W | PTE_U, __ATOMIC_RELEASE);
		else if (*e & PTE_LARGE)
			split(e, cached_table(v));
		table = table_of(*e);
	}
	*level = at;
	return e;
}

/* 1 if a large page can map gpa: the host has one there, the slot agrees with it in its place, and pages are not logged. */
static unsigned level_for(const struct nested *n, const struct memslot *slot, u64 gpa, const struct hw_user_page *page)
{
	u64 from = gpa & ~(LARGE_SIZE - 1);

	return n->large && !slot->dirty && page->shift >= LARGE_SHIFT &&
	       !((slot->gpa ^ slot->hva) & (LARGE_SIZE - 1)) && from >= slot->gpa &&
	       from + LARGE_SIZE <= slot->gpa + (slot->npages << 12);
}

/* Under lock. The mark in the log comes after the entry: whoever clears it then, finds the entry to protect. */
static void enter_page(struct nested *n, struct hwvm_vcpu *v, struct memslot *slot, u64 gpa,
		       const struct hw_user_page *page, bool write)
{
	unsigned level = level_for(n, slot, gpa, page);
	u64 *pte = entry_for(n, v, gpa, &level), val = page->pa | PTE_P | PTE_U | n->leaf;
	bool logged = slot->dirty;

	if (level)
		val = (val & ~((LARGE_SIZE - 1) & PTE_ADDR)) | PTE_LARGE;
	if (logged)
		val |= PTE_LOGGED;
	if (!(slot->flags & KVM_MEM_READONLY) && page->writable && (write || !logged))
		val |= PTE_W;
	__atomic_store_n(pte, val, __ATOMIC_RELEASE);
	if (logged && val & PTE_W) {
		n->nr_logged++;
		memslot_mark_dirty(slot, gpa);
	}
}

enum nested_result nested_fault(struct vcpu *vcpu, u64 gpa, bool write)
{
	struct nested *n = nested_of(vcpu->vm);
	struct hwvm_vcpu *v = hwvm_of(vcpu);
	struct memslots *slots = vm_slots(vcpu->vm, 0);
	struct memslot *slot = memslots_find(slots, gpa);
	struct hw_user_page page;
	bool current_slots;
	u64 sequence;
	int err;

	if (!slot || (write && slot->flags & KVM_MEM_READONLY))
		return NESTED_MMIO;
	if (gpa >= MAX_GPA || !fill_cache(v))
		return NESTED_FAULT;
	hw_lock(n->lock);
	sequence = n->sequence;
	hw_unlock(n->lock);
	err = hw_user_page_get((slot->hva + (gpa - slot->gpa)) & X86_PAGE_MASK, write, &page);
	if (err)
		return err == -EAGAIN || err == -EINTR ? NESTED_AGAIN : NESTED_FAULT;
	hw_lock(n->lock);
	/* A reader of old slots leaves its section first; new slots void the tables first (REQ_TLB_FLUSH is on its way). */
	current_slots = slots->generation == n->slots_generation && slots == vm_slots(vcpu->vm, 0);
	if (current_slots && !n->invalidating && n->sequence == sequence)
		enter_page(n, v, slot, gpa, &page, write);
	hw_unlock(n->lock);
	hw_user_page_put(&page);
	if (!current_slots)
		vcpu_request(vcpu, REQ_TLB_FLUSH);
	return current_slots ? NESTED_OK : NESTED_AGAIN;
}

/* --- life ------------------------------------------------------------------------------------------------ */

int nested_create(struct vm *vm, u64 leaf, bool large)
{
	struct nested *n = host_alloc(sizeof(*n));

	if (!n)
		return -ENOMEM;
	vm->engine_vm = n;
	n->leaf = leaf;
	n->large = large;
	n->lock = hw_lock_create();
	n->root = hw_page_alloc();
	n->slots_generation = vm_slots(vm, 0)->generation;
	if (n->lock && n->root)
		return 0;
	nested_destroy(vm);
	return -ENOMEM;
}

static void free_tables(u64 *table, unsigned level)
{
	unsigned i;

	for (i = 0; i < ENTRIES; i++)
		if (is_table(table[i], level))
			free_tables(table_of(table[i]), level - 1);
	hw_pages_free(table, 0);
}

void nested_destroy(struct vm *vm)
{
	struct nested *n = nested_of(vm);

	if (n->root)
		free_tables(n->root, LEVELS - 1);
	hw_lock_destroy(n->lock);
	host_free(n);
	vm->engine_vm = NULL;
}
