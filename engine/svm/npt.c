/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Nested page tables: guest-physical to host-physical, one set for each VM, built from the memory slots as the guest touches its
 * memory (APM volume 2, "Nested Paging"). Four levels, 4 KiB pages.
 *
 * Pages are not pinned. What the address space takes back is announced by unmap_hva: the entries go, every CPU in guest mode is made
 * to leave, and until unmap_hva_done nothing is entered. Entries that were looked up before are recognised by the sequence, or by
 * the generation of the memory slots, which every user compares first: tables of an older generation are thrown away.
 */
#include "svm.h"

#define LEVELS 4
#define ENTRIES 512
#define MAX_GPA (1ull << 48)

/* Nested walks are user accesses. */
#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_LOGGED (1ull << 9) /* ours: the slot has a dirty log */
#define PTE_ADDR 0x000ffffffffff000ull

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

/* All entries for [first, last] in a table of this level; true if one has changed. Tables stay until the VM ends. */
static bool change_range(u64 *table, unsigned level, u64 first, u64 last, enum range_op op)
{
	unsigned i, from = index_at(first, level), to = index_at(last, level);
	u64 span = 1ull << (12 + 9 * level);
	bool changed = false;

	for (i = from; i <= to; i++) {
		if (!level) {
			changed |= change_entry(&table[i], op);
		} else if (table[i] & PTE_P) {
			u64 lo = i == from ? first & (span - 1) : 0, hi = i == to ? last & (span - 1) : span - 1;

			changed |= change_range(table_of(table[i]), level - 1, lo, hi, op);
		}
	}
	return changed;
}

static bool change_all(struct svm_vm *sv, enum range_op op)
{
	return change_range(sv->root, LEVELS - 1, 0, MAX_GPA - 1, op);
}

/* Every vCPU takes a new ASID before its next entry, and none is in guest mode with the old one on return. */
static void flush_all(struct vm *vm)
{
	u32 i, nr = vm_nr_vcpus(vm);

	__atomic_fetch_add(&vm->stat.remote_tlb_flush, 1, __ATOMIC_RELAXED);
	for (i = 0; i < nr; i++)
		vcpu_request(vm->vcpu[i], REQ_TLB_FLUSH);
	for (i = 0; i < nr; i++) {
		struct svm_vcpu *v = svm_of(vm->vcpu[i]);
		int cpu = __atomic_load_n(&v->guest_cpu, __ATOMIC_SEQ_CST);

		if (cpu != HW_NO_CPU)
			hw_wait_cpu(cpu);
	}
}

/* Tables of older slots are void. Under lock, in a srcu section; true: flush. */
static bool follow_slots(struct vm *vm, struct svm_vm *sv)
{
	u64 generation = vm_slots(vm, 0)->generation;

	if (sv->slots_generation == generation)
		return false;
	sv->slots_generation = generation;
	sv->nr_logged = 0;
	return change_all(sv, OP_CLEAR);
}

void npt_slots_changed(struct vm *vm)
{
	struct svm_vm *sv = svm_vm_of(vm);
	int idx = host_srcu_read_lock(&vm->srcu);
	bool flush;

	hw_lock(sv->lock);
	flush = follow_slots(vm, sv);
	hw_unlock(sv->lock);
	host_srcu_read_unlock(&vm->srcu, idx);
	if (flush)
		flush_all(vm);
}

void npt_write_protect(struct vm *vm)
{
	struct svm_vm *sv = svm_vm_of(vm);

	hw_lock(sv->lock);
	if (sv->nr_logged)
		change_all(sv, OP_PROTECT_LOGGED);
	sv->nr_logged = 0;
	hw_unlock(sv->lock);
}

static bool clear_hva(struct svm_vm *sv, const struct memslot *slot, u64 hva, u64 size)
{
	u64 slot_size = slot->npages << 12, from, to;

	if (hva >= slot->hva + slot_size || hva + size <= slot->hva)
		return false;
	from = hva > slot->hva ? hva - slot->hva : 0;
	to = hva + size < slot->hva + slot_size ? hva + size - slot->hva : slot_size;
	if (slot->gpa + from >= MAX_GPA)
		return false;
	to += slot->gpa;
	return change_range(sv->root, LEVELS - 1, slot->gpa + from, (to < MAX_GPA ? to : MAX_GPA) - 1, OP_CLEAR);
}

void npt_unmap_hva(struct vm *vm, u64 hva, u64 size)
{
	struct svm_vm *sv = svm_vm_of(vm);
	int idx = host_srcu_read_lock(&vm->srcu);
	struct memslots *slots = vm_slots(vm, 0);
	bool flush;
	u32 i;

	hw_lock(sv->lock);
	sv->invalidating++;
	sv->sequence++;
	flush = follow_slots(vm, sv);
	for (i = 0; i < slots->nr; i++)
		flush |= clear_hva(sv, slots->slot[i], hva, size);
	hw_unlock(sv->lock);
	host_srcu_read_unlock(&vm->srcu, idx);
	if (flush)
		flush_all(vm);
}

void npt_unmap_hva_done(struct vm *vm)
{
	struct svm_vm *sv = svm_vm_of(vm);

	hw_lock(sv->lock);
	sv->sequence++;
	sv->invalidating--;
	hw_unlock(sv->lock);
}

/* --- filling ------------------------------------------------------------------------------------------- */

static bool fill_cache(struct svm_vcpu *v)
{
	while (v->nr_cache < TABLE_CACHE) {
		void *page = hw_page_alloc();

		if (!page)
			return false;
		v->cache[v->nr_cache++] = page;
	}
	return true;
}

void npt_cache_free(struct svm_vcpu *v)
{
	while (v->nr_cache)
		hw_pages_free(v->cache[--v->nr_cache], 0);
}

/* The entry of the lowest level for gpa, with tables from the cache on the way. Under lock. */
static u64 *entry_for(struct svm_vm *sv, struct svm_vcpu *v, u64 gpa)
{
	u64 *table = sv->root;
	unsigned level;

	for (level = LEVELS - 1; level; level--) {
		u64 *e = &table[index_at(gpa, level)];

		if (!(*e & PTE_P)) {
			void *page = v->cache[--v->nr_cache];

			__atomic_store_n(e, hw_pa(page) | PTE_P | PTE_W | PTE_U, __ATOMIC_RELEASE);
		}
		table = table_of(*e);
	}
	return &table[index_at(gpa, 0)];
}

/* Under lock. The mark in the log comes after the entry: whoever clears it then, finds the entry to protect. */
static void enter_page(struct svm_vm *sv, struct svm_vcpu *v, struct memslot *slot, u64 gpa,
		       const struct hw_user_page *page, bool write)
{
	u64 *pte = entry_for(sv, v, gpa), val = page->pa | PTE_P | PTE_U;
	bool logged = slot->dirty;

	if (logged)
		val |= PTE_LOGGED;
	if (!(slot->flags & KVM_MEM_READONLY) && page->writable && (write || !logged))
		val |= PTE_W;
	__atomic_store_n(pte, val, __ATOMIC_RELEASE);
	if (logged && val & PTE_W) {
		sv->nr_logged++;
		memslot_mark_dirty(slot, gpa);
	}
}

enum npt_result npt_fault(struct vcpu *vcpu, u64 gpa, bool write)
{
	struct svm_vm *sv = svm_vm_of(vcpu->vm);
	struct svm_vcpu *v = svm_of(vcpu);
	struct memslots *slots = vm_slots(vcpu->vm, 0);
	struct memslot *slot = memslots_find(slots, gpa);
	struct hw_user_page page;
	bool current_slots;
	u64 sequence;
	int err;

	if (!slot || (write && slot->flags & KVM_MEM_READONLY))
		return NPT_MMIO;
	if (gpa >= MAX_GPA || !fill_cache(v))
		return NPT_FAULT;
	hw_lock(sv->lock);
	sequence = sv->sequence;
	hw_unlock(sv->lock);
	err = hw_user_page_get((slot->hva + (gpa - slot->gpa)) & X86_PAGE_MASK, write, &page);
	if (err)
		return err == -EAGAIN || err == -EINTR ? NPT_AGAIN : NPT_FAULT;
	hw_lock(sv->lock);
	/* A reader of old slots leaves its section first; new slots void the tables first (REQ_TLB_FLUSH is on its way). */
	current_slots = slots->generation == sv->slots_generation && slots == vm_slots(vcpu->vm, 0);
	if (current_slots && !sv->invalidating && sv->sequence == sequence)
		enter_page(sv, v, slot, gpa, &page, write);
	hw_unlock(sv->lock);
	hw_user_page_put(&page);
	if (!current_slots)
		vcpu_request(vcpu, REQ_TLB_FLUSH);
	return current_slots ? NPT_OK : NPT_AGAIN;
}

/* --- life ------------------------------------------------------------------------------------------------ */

int npt_create(struct vm *vm)
{
	struct svm_vm *sv = svm_vm_of(vm);

	sv->lock = hw_lock_create();
	sv->root = hw_page_alloc();
	sv->slots_generation = vm_slots(vm, 0)->generation;
	return sv->lock && sv->root ? 0 : -ENOMEM;
}

static void free_tables(u64 *table, unsigned level)
{
	unsigned i;

	for (i = 0; level && i < ENTRIES; i++)
		if (table[i] & PTE_P)
			free_tables(table_of(table[i]), level - 1);
	hw_pages_free(table, 0);
}

void npt_destroy(struct vm *vm)
{
	struct svm_vm *sv = svm_vm_of(vm);

	if (sv->root)
		free_tables(sv->root, LEVELS - 1);
	hw_lock_destroy(sv->lock);
}
