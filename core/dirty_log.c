/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The log of dirty pages: a bit per page, set by whoever lets a vCPU write to the page, cleared by user space's ioctls. With
 * dirty rings (dirty_ring.c) the same bit says that a ring has the page.
 */
#include "vcpu.h"

#define PAGE_SHIFT 12

void memslot_mark_dirty(struct vcpu *v, struct memslot *slot, u64 gpa)
{
	u64 page, bit, *word;

	if (!slot->dirty)
		return;
	page = (gpa - slot->gpa) >> PAGE_SHIFT;
	word = &slot->dirty[page / 64];
	bit = 1ull << (page % 64);
	/* Most writes go to pages that are already marked: do not take the cache line for them. */
	if (__atomic_load_n(word, __ATOMIC_SEQ_CST) & bit)
		return;
	if (!(__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST) & bit) && v->ring.entry)
		dirty_ring_push(v, slot, page);
}

/*
 * Cleared bits are reported, or were reported before, and user space copies the pages after the ioctl. So a
 * write that is not marked again is harmless until here: from here on each write to a cleared page is
 * marked, because no vCPU holds a write permission any more that it got before the clearing.
 */
void dirty_flush(struct vm *vm)
{
	vm_request_all(vm, REQ_WRITE_FLUSH);
	host_srcu_synchronize(&vm->srcu);
}

/* The slot of a dirty-log ioctl; under slots_lock. */
static int dirty_slot(struct vm *vm, u32 slot, struct memslot **out)
{
	if (slot >> 16 >= VM_ADDRESS_SPACES || (slot & 0xffff) >= VM_USER_MEM_SLOTS)
		return -EINVAL;
	*out = memslots_by_id(vm->slots[slot >> 16], slot & 0xffff);
	return *out && (*out)->dirty ? 0 : -ENOENT;
}

static int get_dirty_locked(struct vm *vm, const struct kvm_dirty_log *log)
{
	struct memslot *slot;
	bool flush = false;
	u64 words, i;
	int r = dirty_slot(vm, log->slot, &slot);

	if (r)
		return r;
	words = memslot_bitmap_words(slot);
	if (__atomic_load_n(&vm->dirty_in_engine, __ATOMIC_ACQUIRE))
		host_srcu_synchronize(&vm->srcu);
	for (i = 0; i < words; i++) {
		u64 bits = __atomic_load_n(&slot->dirty[i], __ATOMIC_SEQ_CST);

		/* With manual protection only KVM_CLEAR_DIRTY_LOG clears. */
		if (bits && !vm->dirty_protect_flags) {
			bits = __atomic_exchange_n(&slot->dirty[i], 0, __ATOMIC_SEQ_CST);
			flush = true;
		}
		slot->dirty_snapshot[i] = bits;
	}
	if (flush)
		dirty_flush(vm);
	return host_copy_to_user((void *)(unsigned long)log->dirty_bitmap, slot->dirty_snapshot, words * sizeof(u64));
}

int vm_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log)
{
	int r;

	if (vm_dirty_ring_size(vm))
		return -ENXIO;
	host_mutex_lock(&vm->slots_lock);
	r = get_dirty_locked(vm, log);
	host_mutex_unlock(&vm->slots_lock);
	return r;
}

static int clear_dirty_locked(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	struct memslot *slot;
	bool flush = false;
	u64 *dirty;
	u64 words = (log->num_pages + 63ull) / 64, i;
	int r;

	if (log->slot >> 16 >= VM_ADDRESS_SPACES || (log->slot & 0xffff) >= VM_USER_MEM_SLOTS || log->first_page & 63)
		return -EINVAL;
	r = dirty_slot(vm, log->slot, &slot);
	if (r)
		return r;
	if (log->first_page > slot->npages || log->num_pages > slot->npages - log->first_page ||
	    (log->num_pages < slot->npages - log->first_page && log->num_pages & 63))
		return -EINVAL;
	r = host_copy_from_user(slot->dirty_snapshot, (void *)(unsigned long)log->dirty_bitmap, words * sizeof(u64));
	if (r)
		return r;
	dirty = slot->dirty + log->first_page / 64;
	for (i = 0; i < words; i++) {
		u64 mask = slot->dirty_snapshot[i];

		if (mask && __atomic_fetch_and(&dirty[i], ~mask, __ATOMIC_SEQ_CST) & mask)
			flush = true;
	}
	if (flush)
		dirty_flush(vm);
	return 0;
}

int vm_clear_dirty_log(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	int r;

	if (vm_dirty_ring_size(vm))
		return -ENXIO;
	host_mutex_lock(&vm->slots_lock);
	r = clear_dirty_locked(vm, log);
	host_mutex_unlock(&vm->slots_lock);
	return r;
}
