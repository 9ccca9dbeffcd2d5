/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Second-level page tables (NPT, EPT): guest-physical to host-physical, one set for each address space of a VM, built from
 * its memory slots as the guest touches its memory (APM volume 2, "Nested Paging"; SDM, "The Extended Page Table Mechanism (EPT)"). Four levels; pages of
 * 2 MiB where the host maps the memory so and no dirty log wants to know more, else of 4 KiB. On processors that a guest could stop by
 * code on large pages those cannot be executed: the first fetch splits one.
 *
 * Pages are not pinned. What the address space takes back is announced by unmap_hva: the entries go, every CPU in guest mode is made
 * to leave, and until unmap_hva_done nothing of that range is entered. A vCPU that looks a page up meanwhile has said which: what
 * hits that page makes it look again, and nothing else does, so that a host that takes pages back all the time holds up nobody.
 *
 * A dirty log: pages are entered without permission to write, and marked when the guest asks for it. Where the processor notes the
 * first write to a page (page-modification logging), they are entered writable but clean instead, and marked when the engine passes
 * on what was noted, after each exit. Dirty bits are the processor's to set at any time: they are cleared atomically.
 *
 * A change of the memory slots takes out, or protects, what the old slot covered before the new slots are published; pages that were
 * looked up by slots of another generation are not entered.
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
/* Ours. In an entry that maps a page: the slot has a dirty log; for a table: but for the log, a large page could be here. */
#define PTE_LOGGED (1ull << 11)
#define PTE_ADDR 0x000ffffffffff000ull
/* Ours: the process may write to the page, and so may the guest but for the log. What changes that takes the entry out. */
#define PTE_HOST_W (1ull << 52)

#define MAX_GOING 16
/* A fault whose page is taken back while it is looked up tries so often before the guest asks again. */
#define FAULT_TRIES 4

struct hva_range {
	u64 from, to;
};

struct nested {
	struct nested_format format; /* I */
	struct hw_lock *lock;        /* I  protects the rest, but for what has a letter: */
	u64 *root[VM_ADDRESS_SPACES];
	u64 *dead; /* tables that were taken out: free after a flush; linked by their first entry, which is not present */
	u64 slots_generation[VM_ADDRESS_SPACES]; /* of the memory slots that the tables are made from */
	u64 nr_logged; /* a  writable pages of slots with a dirty log that are marked in it (at most: some may be gone) */
	/*
	 * The processor itself notes what the guest writes to (format.dirty): on a vCPU's next entry if it does not yet; on all of
	 * them, so that logged pages may be writable before they are marked.
	 */
	u32 nr_logs; /* slots with a dirty log; changes under vm->slots_lock */
	bool noted;  /* a */
	bool all_noted;
	/* Between unmap_hva and unmap_hva_done; if they are too many, the rest are those within more. */
	struct hva_range going[MAX_GOING], more;
	u32 nr_going, nr_more;
};

static struct nested *nested_of(const struct vm *vm)
{
	return vm->engine_vm;
}

u64 nested_root(const struct vcpu *v)
{
	return hw_pa(nested_of(v->vm)->root[v->state.in_smm]);
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

enum range_op {
	OP_CLEAR,
	OP_PROTECT,        /* a dirty log begins */
	OP_PROTECT_LOGGED, /* or is cleared */
	OP_MERGE,          /* or ends: tables go where a large page could be */
};

/* The bits to take away from an entry of a present page. */
static u64 bits_to_clear(const struct nested *n, u64 old, enum range_op op)
{
	/* What the processor notes is pages of 4 KiB: large ones are split at the next write. */
	u64 permission = n->all_noted && !(old & PTE_LARGE) ? n->format.dirty : PTE_W;

	switch (op) {
	case OP_CLEAR: return ~0ull;
	case OP_PROTECT: return PTE_W;
	case OP_PROTECT_LOGGED: return old & PTE_LOGGED ? permission : 0;
	default: return 0;
	}
}

static bool change_entry(const struct nested *n, u64 *pte, enum range_op op)
{
	u64 old = *pte, clear = old & PTE_P ? bits_to_clear(n, old, op) : 0;

	if (!(old & clear))
		return false;
	if (op == OP_CLEAR)
		__atomic_store_n(pte, 0, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(pte, ~clear, __ATOMIC_RELAXED);
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

static bool table_goes(u64 entry, enum range_op op)
{
	return op == OP_CLEAR || (op == OP_MERGE && entry & PTE_LOGGED);
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
			changed |= change_entry(n, &table[i], op);
		} else if (level == 1 && !lo && hi == span - 1 && table_goes(table[i], op)) {
			take_out(n, &table[i]);
			changed = true;
		} else {
			changed |= change_range(n, table_of(table[i]), level - 1, lo, hi, op);
		}
	}
	return changed;
}

static bool change_all(struct nested *n, unsigned space, enum range_op op)
{
	return change_range(n, n->root[space], LEVELS - 1, 0, MAX_GPA - 1, op);
}

static bool change_slot(struct nested *n, const struct memslot *slot, enum range_op op)
{
	u64 to = slot->gpa + (slot->npages << 12);

	if (slot->gpa >= MAX_GPA)
		return false;
	return change_range(n, n->root[slot->as_id], LEVELS - 1, slot->gpa, (to < MAX_GPA ? to : MAX_GPA) - 1, op);
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

/* What was taken out under the lock is free once nobody can walk it any more. */
static u64 *dead_tables(struct nested *n)
{
	u64 *dead = n->dead;

	n->dead = NULL;
	return dead;
}

/* A slot whose place and memory change goes as a whole. */
static bool slot_changes(struct nested *n, const struct memslot *old, const struct memslot *add)
{
	bool same = add && add->gpa == old->gpa && add->hva == old->hva && add->npages == old->npages &&
		    !((add->flags ^ old->flags) & KVM_MEM_READONLY);

	if (!same)
		return change_slot(n, old, OP_CLEAR);
	if (add->dirty && !old->dirty)
		return change_slot(n, old, OP_PROTECT);
	if (!add->dirty && old->dirty)
		return change_slot(n, old, OP_MERGE);
	return false;
}

/*
 * The number of slots with a log has changed. Who enters after this asks nested_noted(); on all vCPUs that is so when flush_all()
 * has made them leave. Rings take one page at a time: there each first write is an exit.
 */
static void logs_change(struct vm *vm, struct nested *n, const struct memslot *old, const struct memslot *add)
{
	n->nr_logs += (add && add->dirty) - (u32)(old && old->dirty);
	if (!n->format.dirty || vm_dirty_ring_size(vm) || n->noted == (n->nr_logs != 0))
		return;
	hw_lock(n->lock);
	n->all_noted = false;
	hw_unlock(n->lock);
	__atomic_store_n(&n->noted, n->nr_logs != 0, __ATOMIC_RELEASE);
	__atomic_store_n(&vm->dirty_in_engine, n->noted, __ATOMIC_RELEASE);
	vm_request_all(vm, REQ_SETTINGS);
	flush_all(vm);
	hw_lock(n->lock);
	n->all_noted = n->noted;
	hw_unlock(n->lock);
}

void nested_vcpu_comes(struct vm *vm)
{
	struct nested *n = nested_of(vm);

	if (!vm_dirty_ring_size(vm))
		return;
	hw_lock(n->lock);
	n->noted = n->all_noted = false;
	hw_unlock(n->lock);
	__atomic_store_n(&vm->dirty_in_engine, false, __ATOMIC_RELEASE);
}

bool nested_noted(const struct vm *vm)
{
	return __atomic_load_n(&nested_of(vm)->noted, __ATOMIC_ACQUIRE);
}

void nested_mark(struct vcpu *v, const u64 *gpa, unsigned nr)
{
	struct memslots *slots = vm_slots(v->vm, v->state.in_smm);
	struct nested *n = nested_of(v->vm);
	unsigned i;

	for (i = 0; i < nr; i++) {
		struct memslot *slot = memslots_find(slots, gpa[i]);

		if (!slot || !slot->dirty)
			continue;
		__atomic_fetch_add(&n->nr_logged, 1, __ATOMIC_RELAXED);
		memslot_mark_dirty(v, slot, gpa[i]);
	}
}

void nested_slots_change(struct vm *vm, const struct memslot *old, const struct memslot *add, u64 generation)
{
	struct nested *n = nested_of(vm);
	bool flush = false;
	u64 *dead;

	logs_change(vm, n, old, add);
	hw_lock(n->lock);
	if (add)
		n->slots_generation[add->as_id] = generation;
	if (old) {
		n->slots_generation[old->as_id] = generation;
		flush = slot_changes(n, old, add);
	}
	dead = dead_tables(n);
	hw_unlock(n->lock);
	if (flush)
		flush_all(vm);
	free_dead(dead);
}

void nested_write_protect(struct vm *vm)
{
	struct nested *n = nested_of(vm);
	unsigned space;

	hw_lock(n->lock);
	if (__atomic_exchange_n(&n->nr_logged, 0, __ATOMIC_SEQ_CST))
		for (space = 0; space < VM_ADDRESS_SPACES; space++)
			change_all(n, space, OP_PROTECT_LOGGED);
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
	return change_range(n, n->root[slot->as_id], LEVELS - 1, slot->gpa + from, (to < MAX_GPA ? to : MAX_GPA) - 1,
			    OP_CLEAR);
}

/* --- what the address space takes back ------------------------------------------------------------------- */

static bool holds(const struct hva_range *r, u64 hva)
{
	return hva >= r->from && hva < r->to;
}

static bool is_going(const struct nested *n, u64 hva)
{
	u32 i;

	for (i = 0; i < n->nr_going; i++)
		if (holds(&n->going[i], hva))
			return true;
	return n->nr_more && holds(&n->more, hva);
}

static void going_add(struct nested *n, const struct hva_range *r)
{
	if (n->nr_going < MAX_GOING) {
		n->going[n->nr_going++] = *r;
		return;
	}
	if (!n->nr_more++) {
		n->more = *r;
		return;
	}
	if (r->from < n->more.from)
		n->more.from = r->from;
	if (r->to > n->more.to)
		n->more.to = r->to;
}

static void going_remove(struct nested *n, const struct hva_range *r)
{
	u32 i;

	for (i = 0; i < n->nr_going; i++) {
		if (n->going[i].from == r->from && n->going[i].to == r->to) {
			n->going[i] = n->going[--n->nr_going];
			return;
		}
	}
	n->nr_more--;
}

/* Pages that vCPUs are looking up. */
static void void_lookups(struct vm *vm, const struct hva_range *r)
{
	u32 i, nr = vm_nr_vcpus(vm);

	for (i = 0; i < nr; i++) {
		struct hwvm_vcpu *v = hwvm_of(vm->vcpu[i]);

		if (holds(r, v->lookup_hva))
			v->lookup_void = true;
	}
}

void nested_unmap_hva(struct vm *vm, u64 hva, u64 size)
{
	struct hva_range r = { hva, hva + size };
	struct nested *n = nested_of(vm);
	int idx = host_srcu_read_lock(&vm->srcu);
	struct memslots *slots;
	bool flush = false;
	unsigned space;
	u64 *dead;
	u32 i;

	hw_lock(n->lock);
	going_add(n, &r);
	void_lookups(vm, &r);
	/* Not before: slots that are published later have no entries yet. */
	for (space = 0; space < VM_ADDRESS_SPACES; space++) {
		slots = vm_slots(vm, space);
		for (i = 0; i < slots->nr; i++)
			flush |= clear_hva(n, slots->slot[i], hva, size);
	}
	dead = dead_tables(n);
	hw_unlock(n->lock);
	host_srcu_read_unlock(&vm->srcu, idx);
	if (flush)
		flush_all(vm);
	free_dead(dead);
}

void nested_unmap_hva_done(struct vm *vm, u64 hva, u64 size)
{
	struct hva_range r = { hva, hva + size };
	struct nested *n = nested_of(vm);

	hw_lock(n->lock);
	going_remove(n, &r);
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

/* The same translations by small pages, which may be executed. */
static void split(u64 *entry, u64 *table)
{
	u64 large = *entry;
	unsigned i;

	for (i = 0; i < ENTRIES; i++)
		table[i] = ((large & ~PTE_LARGE) | PTE_U) + ((u64)i << 12);
	__atomic_store_n(entry, hw_pa(table) | PTE_P | PTE_W | PTE_U, __ATOMIC_RELEASE);
}

/*
 * The entry for gpa at this level or, where smaller pages are in use already, at the lowest; with tables from the cache on the way.
 * mark: bits for the entry of the lowest table. Under lock.
 */
static u64 *entry_for(struct nested *n, struct hwvm_vcpu *v, unsigned space, u64 gpa, unsigned *level, u64 mark)
{
	u64 *table = n->root[space], *e;
	unsigned at;

	for (at = LEVELS - 1;; at--) {
		e = &table[index_at(gpa, at)];
		if (!at || (at == *level && !is_table(*e, at)))
			break;
		if (!(*e & PTE_P))
			__atomic_store_n(e, hw_pa(cached_table(v)) | PTE_P | PTE_W | PTE_U, __ATOMIC_RELEASE);
		else if (*e & PTE_LARGE)
			split(e, cached_table(v));
		if (at == 1)
			*e |= mark;
		table = table_of(*e);
	}
	*level = at;
	return e;
}

/* Could a large page map gpa: the host has one there, and the slot agrees with it in its place. */
static bool fits_large(const struct nested *n, const struct memslot *slot, u64 gpa, const struct hw_user_page *page)
{
	u64 from = gpa & ~(LARGE_SIZE - 1);

	return n->format.large && page->shift >= LARGE_SHIFT && !((slot->gpa ^ slot->hva) & (LARGE_SIZE - 1)) &&
	       from >= slot->gpa && from + LARGE_SIZE <= slot->gpa + (slot->npages << 12);
}

/* Under lock, after the entry has become writable: whoever clears the mark in the log then, finds the entry to protect. */
static void log_write(struct nested *n, struct vcpu *v, struct memslot *slot, u64 gpa)
{
	__atomic_fetch_add(&n->nr_logged, 1, __ATOMIC_RELAXED);
	memslot_mark_dirty(v, slot, gpa);
}

/* Under lock. */
static void enter_page(struct nested *n, struct vcpu *vcpu, struct memslot *slot, u64 gpa,
		       const struct hw_user_page *page, enum nested_access access)
{
	struct hwvm_vcpu *v = hwvm_of(vcpu);
	bool logged = slot->dirty, write = access == NESTED_WRITE;
	bool large = fits_large(n, slot, gpa, page) && !(access == NESTED_EXEC && n->format.small_code);
	unsigned level = large && !logged;
	u64 *pte = entry_for(n, v, slot->as_id, gpa, &level, large && logged ? PTE_LOGGED : 0);
	u64 val = page->pa | PTE_P | PTE_U | (page->ref ? n->format.leaf : n->format.device);

	if (level)
		val = (val & ~((LARGE_SIZE - 1) & PTE_ADDR) & ~(n->format.small_code ? PTE_U : 0)) | PTE_LARGE;
	if (!(slot->flags & KVM_MEM_READONLY) && page->writable)
		val |= PTE_HOST_W | (write || !logged || n->all_noted ? PTE_W : 0);
	if (logged)
		val |= PTE_LOGGED;
	/* Otherwise not to be noted. */
	if (!logged || (write && val & PTE_W))
		val |= n->format.dirty;
	__atomic_store_n(pte, val, __ATOMIC_RELEASE);
	if (logged && write && val & PTE_W)
		log_write(n, vcpu, slot, gpa);
}

/* The entry of a small page, or NULL. Under lock. */
static u64 *small_entry(struct nested *n, unsigned space, u64 gpa)
{
	u64 *table = n->root[space];
	unsigned at;

	for (at = LEVELS - 1; at; at--) {
		u64 entry = table[index_at(gpa, at)];

		if (!is_table(entry, at))
			return NULL;
		table = table_of(entry);
	}
	return &table[index_at(gpa, 0)];
}

/* A write that nothing but the log is in the way of: the page itself is known. */
static bool allow_write(struct vcpu *vcpu, struct memslots *slots, struct memslot *slot, u64 gpa)
{
	struct nested *n = nested_of(vcpu->vm);
	bool allowed = false;
	u64 *pte;

	hw_lock(n->lock);
	pte = slots->generation == n->slots_generation[slot->as_id] ? small_entry(n, slot->as_id, gpa) : NULL;
	if (pte && *pte & PTE_P && *pte & PTE_HOST_W) {
		allowed = true;
		__atomic_fetch_or(pte, PTE_W | n->format.dirty | (slot->dirty ? PTE_LOGGED : 0), __ATOMIC_RELEASE);
		if (slot->dirty)
			log_write(n, vcpu, slot, gpa);
	}
	hw_unlock(n->lock);
	return allowed;
}

static void lookup_begin(struct nested *n, struct hwvm_vcpu *v, u64 hva)
{
	hw_lock(n->lock);
	v->lookup_hva = hva;
	v->lookup_void = is_going(n, hva);
	hw_unlock(n->lock);
}

/* NESTED_AGAIN: the page or the slots went away meanwhile. */
static enum nested_result look_up(struct vcpu *vcpu, struct memslots *slots, struct memslot *slot, u64 gpa,
				  enum nested_access access)
{
	u64 hva = (slot->hva + (gpa - slot->gpa)) & X86_PAGE_MASK;
	struct nested *n = nested_of(vcpu->vm);
	struct hwvm_vcpu *v = hwvm_of(vcpu);
	struct hw_user_page page;
	bool valid;
	int err;

	lookup_begin(n, v, hva);
	err = hw_user_page_get(hva, access == NESTED_WRITE, &page);
	hw_lock(n->lock);
	valid = !err && !v->lookup_void && slots->generation == n->slots_generation[slot->as_id];
	if (valid)
		enter_page(n, vcpu, slot, gpa, &page, access);
	v->lookup_hva = NESTED_NO_HVA;
	hw_unlock(n->lock);
	if (!err)
		hw_user_page_put(&page);
	else if (err != -EAGAIN && err != -EINTR)
		return NESTED_FAULT;
	return valid ? NESTED_OK : NESTED_AGAIN;
}

enum nested_result nested_fault(struct vcpu *vcpu, u64 gpa, enum nested_access access)
{
	struct memslots *slots = vm_slots(vcpu->vm, vcpu->state.in_smm);
	struct memslot *slot = memslots_find(slots, gpa);
	enum nested_result r = NESTED_AGAIN;
	bool write = access == NESTED_WRITE;
	unsigned tries;

	if (!slot || (write && slot->flags & KVM_MEM_READONLY))
		return NESTED_MMIO;
	if (gpa >= MAX_GPA)
		return NESTED_FAULT;
	if (write && allow_write(vcpu, slots, slot, gpa))
		return NESTED_OK;
	for (tries = 0; r == NESTED_AGAIN && tries < FAULT_TRIES; tries++) {
		if (tries && __atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED) & ~(u32)REQ_TLB_FLUSH)
			break;
		if (!fill_cache(hwvm_of(vcpu)))
			return NESTED_FAULT;
		r = look_up(vcpu, slots, slot, gpa, access);
	}
	return r;
}

/* --- life ------------------------------------------------------------------------------------------------ */

int nested_create(struct vm *vm, const struct nested_format *format)
{
	struct nested *n = host_alloc(sizeof(*n));
	unsigned space;

	if (!n)
		return -ENOMEM;
	vm->engine_vm = n;
	n->format = *format;
	n->lock = hw_lock_create();
	for (space = 0; space < VM_ADDRESS_SPACES; space++) {
		n->root[space] = hw_page_alloc();
		n->slots_generation[space] = vm_slots(vm, space)->generation;
		if (!n->root[space])
			break;
	}
	if (n->lock && space == VM_ADDRESS_SPACES)
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
	unsigned space;

	for (space = 0; space < VM_ADDRESS_SPACES; space++)
		if (n->root[space])
			free_tables(n->root[space], LEVELS - 1);
	hw_lock_destroy(n->lock);
	host_free(n);
	vm->engine_vm = NULL;
}
