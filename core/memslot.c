/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Memory slots. Each change builds a new sorted snapshot of its address space, publishes it, makes every
 * vCPU leave guest mode and waits until no reader can hold the old one; only then the old slot is freed.
 * The dirty bitmap moves from an old memslot to the one that replaces it, so that a reader which still
 * holds the old one marks in the right place.
 */
#include "vcpu.h"

#define PAGE_SHIFT 12
#define PAGE_BYTES (1ull << PAGE_SHIFT)
#define MAX_SLOT_PAGES ((1ull << 31) - 1)
#define MAX_GPA_BITS 52

struct memslot *memslots_find(const struct memslots *slots, u64 gpa)
{
	u32 lo = 0, hi = slots->nr;
	struct memslot *s;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (slots->slot[mid]->gpa <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	s = slots->slot[lo - 1];
	return gpa - s->gpa < s->npages << PAGE_SHIFT ? s : NULL;
}

/* --- dirty bitmaps --------------------------------------------------------------------------------- */

static void bitmap_free(u64 *bitmap, u64 words)
{
	/* Both bitmaps of a slot are one allocation. */
	if (bitmap)
		host_free_pages(bitmap, words * 2 * sizeof(u64));
}

/* Give slot its bitmap: that of the slot it replaces, or a new one. */
static int bitmap_prepare(struct vm *vm, struct memslot *slot, const struct memslot *old)
{
	u64 words = memslot_bitmap_words(slot), i;

	if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	if (old && old->dirty) {
		slot->dirty = old->dirty;
		slot->dirty_snapshot = old->dirty_snapshot;
		return 0;
	}
	slot->dirty = host_alloc_pages(words * 2 * sizeof(u64));
	if (!slot->dirty)
		return -ENOMEM;
	slot->dirty_snapshot = slot->dirty + words;
	/* With rings a set bit says that a ring has the page: none has yet. */
	if (!vm->dirty_ring_size && vm->dirty_protect_flags & KVM_DIRTY_LOG_INITIALLY_SET) {
		for (i = 0; i < words; i++)
			slot->dirty[i] = ~0ull;
		if (slot->npages % 64)
			slot->dirty[words - 1] = (1ull << (slot->npages % 64)) - 1;
	}
	return 0;
}

/* --- changes --------------------------------------------------------------------------------------- */

struct memslot *memslots_by_id(const struct memslots *slots, u16 id)
{
	u32 i;

	for (i = 0; i < slots->nr; i++)
		if (slots->slot[i]->id == id)
			return slots->slot[i];
	return NULL;
}

/* A copy of old without the slot del and with add in its place in the order. */
static struct memslots *snapshot_change(const struct memslots *old, const struct memslot *del, struct memslot *add)
{
	u32 nr = old->nr - (del ? 1 : 0) + (add ? 1 : 0), from, to = 0;
	struct memslots *s = host_alloc(sizeof(*s) + nr * sizeof(s->slot[0]));

	if (!s)
		return NULL;
	s->generation = old->generation + 1;
	s->nr = nr;
	for (from = 0; from < old->nr; from++) {
		if (add && add->gpa < old->slot[from]->gpa) {
			s->slot[to++] = add;
			add = NULL;
		}
		if (old->slot[from] != del)
			s->slot[to++] = old->slot[from];
	}
	if (add)
		s->slot[to] = add;
	return s;
}

static void slot_destroy(struct vm *vm, struct memslot *slot, bool keep_bitmap)
{
	if (vm->engine->slot_free)
		vm->engine->slot_free(vm, slot);
	if (!keep_bitmap)
		bitmap_free(slot->dirty, memslot_bitmap_words(slot));
	host_free(slot);
}

/*
 * Replace old (or nothing) by add (or nothing). Under slots_lock. On failure add still belongs to the
 * caller.
 */
static int slots_replace(struct vm *vm, unsigned as_id, struct memslot *old, struct memslot *add)
{
	struct memslots *before = vm->slots[as_id], *after;
	bool inherited;
	int r;

	if (add) {
		r = bitmap_prepare(vm, add, old);
		if (r)
			return r;
	}
	inherited = add && old && add->dirty && add->dirty == old->dirty;
	r = -ENOMEM;
	after = snapshot_change(before, old, add);
	if (!after)
		goto no_snapshot;
	if (add && vm->engine->slot_create) {
		r = vm->engine->slot_create(vm, add);
		if (r)
			goto no_engine;
	}

	if (vm->engine->slots_change)
		vm->engine->slots_change(vm, old, add, after->generation);
	__atomic_store_n(&vm->slots[as_id], after, __ATOMIC_SEQ_CST);
	vm->nr_slot_pages += (add ? add->npages : 0) - (old ? old->npages : 0);
	__atomic_fetch_add(&vm->stat.mmu_slots_changed, 1, __ATOMIC_RELAXED);
	vm_request_all(vm, vm->engine->slots_change ? REQ_PAUSE : REQ_TLB_FLUSH);
	host_srcu_synchronize(&vm->srcu);
	host_free(before);
	if (old)
		slot_destroy(vm, old, inherited);
	return 0;

no_engine:
	host_free(after);
no_snapshot:
	if (add && !inherited) {
		bitmap_free(add->dirty, memslot_bitmap_words(add));
		add->dirty = NULL;
	}
	return r;
}

static bool region_valid(const struct kvm_userspace_memory_region *r)
{
	u64 as_id = r->slot >> 16, id = r->slot & 0xffff;

	if (r->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return false;
	if ((r->memory_size | r->guest_phys_addr | r->userspace_addr) & (PAGE_BYTES - 1))
		return false;
	if (!host_user_range_ok(r->userspace_addr, r->memory_size))
		return false;
	if (as_id >= VM_ADDRESS_SPACES || id >= VM_USER_MEM_SLOTS)
		return false;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return false;
	return r->memory_size >> PAGE_SHIFT <= MAX_SLOT_PAGES;
}

static bool overlaps(const struct memslots *slots, const struct kvm_userspace_memory_region *r, u16 id)
{
	u32 i;

	for (i = 0; i < slots->nr; i++) {
		const struct memslot *s = slots->slot[i];

		if (s->id != id && s->gpa < r->guest_phys_addr + r->memory_size &&
		    r->guest_phys_addr < s->gpa + (s->npages << PAGE_SHIFT))
			return true;
	}
	return false;
}

static int region_set_locked(struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	unsigned as_id = r->slot >> 16;
	u16 id = r->slot & 0xffff;
	struct memslots *slots = vm->slots[as_id];
	struct memslot *old = memslots_by_id(slots, id), *new;
	bool place_changes = !old || old->gpa != r->guest_phys_addr;
	int err;

	if (!r->memory_size)
		return old ? slots_replace(vm, as_id, old, NULL) : -EINVAL;
	if (old) {
		if (r->userspace_addr != old->hva || r->memory_size >> PAGE_SHIFT != old->npages ||
		    ((r->flags ^ old->flags) & KVM_MEM_READONLY))
			return -EINVAL;
		if (!place_changes && r->flags == old->flags)
			return 0;
	}
	if (place_changes) {
		if (overlaps(slots, r, id))
			return -EEXIST;
		if ((r->guest_phys_addr + r->memory_size - 1) >> MAX_GPA_BITS)
			return -EINVAL;
	}

	new = host_alloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->gpa = r->guest_phys_addr;
	new->npages = r->memory_size >> PAGE_SHIFT;
	new->hva = r->userspace_addr;
	new->flags = r->flags;
	new->id = id;
	new->as_id = (u16)as_id;
	err = slots_replace(vm, as_id, old, new);
	if (err)
		host_free(new);
	return err;
}

int vm_set_memory_region(struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	int err;

	if (!region_valid(r))
		return -EINVAL;
	host_mutex_lock(&vm->slots_lock);
	err = region_set_locked(vm, r);
	host_mutex_unlock(&vm->slots_lock);
	return err;
}

void vm_free_memslots(struct vm *vm)
{
	unsigned as_id;
	u32 i;

	for (as_id = 0; as_id < VM_ADDRESS_SPACES; as_id++) {
		struct memslots *slots = vm->slots[as_id];

		if (!slots)
			continue;
		for (i = 0; i < slots->nr; i++)
			slot_destroy(vm, slots->slot[i], false);
		host_free(slots);
		vm->slots[as_id] = NULL;
	}
}

/* --- access by core itself -------------------------------------------------------------------------- */

/* writer: whose ring reports what is written; NULL: a read. */
static int guest_access(struct vm *vm, struct vcpu *writer, u64 gpa, void *buf, u32 len)
{
	while (len) {
		u32 in_page = (u32)(PAGE_BYTES - (gpa & (PAGE_BYTES - 1)));
		u32 n = len < in_page ? len : in_page;
		struct memslot *slot = memslots_find(vm_slots(vm, 0), gpa);
		void *user;
		int r;

		if (!slot || (writer && slot->flags & KVM_MEM_READONLY))
			return -EFAULT;
		user = (void *)(unsigned long)(slot->hva + (gpa - slot->gpa));
		r = writer ? host_copy_to_user(user, buf, n) : host_copy_from_user(buf, user, n);
		if (r)
			return r;
		if (writer)
			memslot_mark_dirty(writer, slot, gpa);
		gpa += n;
		buf = (u8 *)buf + n;
		len -= n;
	}
	return 0;
}

int vm_peek_guest(struct vm *vm, u64 gpa, u8 *val)
{
	struct memslot *slot = memslots_find(vm_slots(vm, 0), gpa);

	return slot ? host_peek_user(val, (void *)(unsigned long)(slot->hva + (gpa - slot->gpa)), 1) : -EFAULT;
}

int vm_read_guest(struct vm *vm, u64 gpa, void *buf, u32 len)
{
	return guest_access(vm, NULL, gpa, buf, len);
}

int vcpu_write_guest(struct vcpu *v, u64 gpa, const void *buf, u32 len)
{
	return guest_access(v->vm, v, gpa, (void *)(unsigned long)buf, len);
}

int vcpu_cmpxchg_guest(struct vcpu *v, u64 gpa, u64 old, u64 val, unsigned size)
{
	struct memslot *slot = memslots_find(vm_slots(v->vm, 0), gpa);
	int r;

	if (!slot || slot->flags & KVM_MEM_READONLY)
		return -EFAULT;
	r = host_cmpxchg_user((void *)(unsigned long)(slot->hva + (gpa - slot->gpa)), old, val, size);
	if (!r)
		memslot_mark_dirty(v, slot, gpa);
	return r;
}
