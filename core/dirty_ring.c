/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Dirty rings: each vCPU tells user space which pages it has begun to write to, in memory that both see (Linux,
 * "Documentation/virt/kvm/api.rst", KVM_CAP_DIRTY_LOG_RING).
 *
 * A page's bit in slot->dirty is set while a ring has it, from its first write to the reset of its entry, so that a page is
 * pushed once however often an engine reports it. The reset clears the bit and takes the write permissions away.
 *
 * KVM_RUN ends before a ring is full: from RESERVE free entries on. What an engine still writes until it looks at its requests goes
 * there. Should even these be used up, the page waits in slot->dirty_snapshot, which has no other use then, for the next KVM_RUN
 * that finds room.
 */
#include "vcpu.h"

#define ENTRY_BYTES ((u32)sizeof(struct kvm_dirty_gfn))
#define PAGE_BYTES 4096u
#define RESERVE 256u

int vm_enable_dirty_ring(struct vm *vm, u32 bytes)
{
	if (!bytes || bytes & (bytes - 1) || bytes < PAGE_BYTES)
		return -EINVAL;
	if (bytes > DIRTY_RING_MAX_BYTES)
		return -E2BIG;
	if (vm->dirty_ring_size || vm->nr_vcpus)
		return -EINVAL;
	__atomic_store_n(&vm->dirty_ring_size, (u32)bytes, __ATOMIC_RELEASE);
	return 0;
}

void dirty_ring_init(struct vcpu *v, void *memory, u32 bytes)
{
	struct dirty_ring *ring = &v->ring;

	host_lock_init(&ring->lock);
	ring->entry = memory;
	ring->size = bytes / ENTRY_BYTES;
	ring->limit = ring->size - (RESERVE < ring->size / 2 ? RESERVE : ring->size / 2);
}

void dirty_ring_destroy(struct vcpu *v)
{
	if (v->ring.entry)
		host_lock_destroy(&v->ring.lock);
}

/* --- in ----------------------------------------------------------------------------------------------- */

static u32 used(const struct dirty_ring *ring)
{
	return ring->pushed - __atomic_load_n(&ring->reset, __ATOMIC_ACQUIRE);
}

/* Under lock. False: no room. */
static bool put(struct dirty_ring *ring, const struct memslot *slot, u64 page)
{
	struct kvm_dirty_gfn *e = &ring->entry[ring->pushed & (ring->size - 1)];

	if (used(ring) >= ring->size)
		return false;
	e->slot = (u32)slot->as_id << 16 | slot->id;
	e->offset = page;
	__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_DIRTY, __ATOMIC_RELEASE);
	ring->pushed++;
	return true;
}

static void leave_waiting(struct dirty_ring *ring, struct memslot *slot, u64 word, u64 bits)
{
	__atomic_fetch_or(&slot->dirty_snapshot[word], bits, __ATOMIC_SEQ_CST);
	__atomic_store_n(&ring->waiting, true, __ATOMIC_SEQ_CST);
}

void dirty_ring_push(struct vcpu *v, struct memslot *slot, u64 page)
{
	struct dirty_ring *ring = &v->ring;
	unsigned long state = host_lock_acquire(&ring->lock);
	bool there = put(ring, slot, page), full = used(ring) >= ring->limit;

	host_lock_release(&ring->lock, state);
	if (!there)
		leave_waiting(ring, slot, page / 64, 1ull << (page % 64));
	if (full)
		vcpu_request(v, REQ_DIRTY_RING);
}

/* Under lock. Gives the bits that did not go in. */
static u64 put_bits(struct dirty_ring *ring, const struct memslot *slot, u64 word, u64 bits)
{
	while (bits && put(ring, slot, word * 64 + (u64)__builtin_ctzll(bits)))
		bits &= bits - 1;
	return bits;
}

static void take_slot(struct dirty_ring *ring, struct memslot *slot)
{
	u64 words = memslot_bitmap_words(slot), i, bits;
	unsigned long state;

	for (i = 0; i < words; i++) {
		if (!__atomic_load_n(&slot->dirty_snapshot[i], __ATOMIC_RELAXED))
			continue;
		bits = __atomic_exchange_n(&slot->dirty_snapshot[i], 0, __ATOMIC_SEQ_CST);
		state = host_lock_acquire(&ring->lock);
		bits = put_bits(ring, slot, i, bits);
		host_lock_release(&ring->lock, state);
		if (bits)
			leave_waiting(ring, slot, i, bits);
	}
}

/* The pages that wait, of whichever vCPU: who finds them takes them. */
static void take_waiting(struct vcpu *v)
{
	unsigned as_id;
	u32 i;

	__atomic_store_n(&v->ring.waiting, false, __ATOMIC_SEQ_CST);
	for (as_id = 0; as_id < VM_ADDRESS_SPACES; as_id++) {
		const struct memslots *slots = vm_slots(v->vm, as_id);

		for (i = 0; i < slots->nr; i++)
			if (slots->slot[i]->dirty)
				take_slot(&v->ring, slots->slot[i]);
	}
}

bool dirty_ring_full(struct vcpu *v)
{
	struct dirty_ring *ring = &v->ring;
	unsigned long state;
	bool full;

	/* First: whoever fills the ring from here on asks again. */
	if (!vcpu_take_request(v, REQ_DIRTY_RING))
		return false;
	if (__atomic_load_n(&ring->waiting, __ATOMIC_SEQ_CST))
		take_waiting(v);
	state = host_lock_acquire(&ring->lock);
	full = used(ring) >= ring->limit;
	host_lock_release(&ring->lock, state);
	if (full)
		vcpu_request(v, REQ_DIRTY_RING);
	return full;
}

/* --- out ---------------------------------------------------------------------------------------------- */

/* What stands in an entry is user space's word: it may be of a slot that is gone, or never was. Under slots_lock. */
static struct memslot *slot_of_entry(struct vm *vm, u32 id, u64 offset)
{
	struct memslot *slot;

	if (id >> 16 >= VM_ADDRESS_SPACES)
		return NULL;
	slot = memslots_by_id(vm->slots[id >> 16], (u16)id);
	return slot && slot->dirty && offset < slot->npages ? slot : NULL;
}

/* User space may have harvested an entry before put() has counted it: what it has seen when it calls, counts. */
static u32 pushed(struct dirty_ring *ring)
{
	unsigned long state = host_lock_acquire(&ring->lock);
	u32 n = ring->pushed;

	host_lock_release(&ring->lock, state);
	return n;
}

/* How many entries were harvested. Under slots_lock. */
static u32 reset(struct vm *vm, struct dirty_ring *ring)
{
	u32 end = pushed(ring), begin = ring->reset, n;

	for (n = begin; n != end; n++) {
		struct kvm_dirty_gfn *e = &ring->entry[n & (ring->size - 1)];
		struct memslot *slot;
		u64 page;

		if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_RESET))
			break;
		page = __atomic_load_n(&e->offset, __ATOMIC_RELAXED);
		slot = slot_of_entry(vm, __atomic_load_n(&e->slot, __ATOMIC_RELAXED), page);
		__atomic_store_n(&e->flags, 0, __ATOMIC_RELAXED);
		if (slot)
			__atomic_fetch_and(&slot->dirty[page / 64], ~(1ull << (page % 64)), __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&ring->reset, n, __ATOMIC_RELEASE);
	return n - begin;
}

int vm_reset_dirty_rings(struct vm *vm)
{
	u32 i, count = 0;

	if (!vm_dirty_ring_size(vm))
		return -EINVAL;
	host_mutex_lock(&vm->slots_lock);
	for (i = 0; i < vm_nr_vcpus(vm); i++)
		count += reset(vm, &vm->vcpu[i]->ring);
	if (count)
		dirty_flush(vm);
	host_mutex_unlock(&vm->slots_lock);
	return (int)count;
}
