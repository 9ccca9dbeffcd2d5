/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Which guest pages hold decoded code, and what stores into them cause. See soft.h. */
#include "soft.h"
#include "trace.h"

/* Stores to a marked page that hit no code before the mark is given up. */
#define QUIET_STORES 64

/*
 * A VM may have tens of thousands of slots of few pages: a mapping for each would use up the process's mappings
 * (vm.max_map_count), which the program needs for the slots' memory.
 */
#define LARGE_TABLE 4096

int soft_slot_create(struct vm *vm, struct memslot *slot)
{
	struct soft_slot *ss = host_alloc(sizeof(*ss));

	if (!ss)
		return -ENOMEM;
	ss->size = slot->npages * sizeof(*ss->page);
	ss->page = ss->size >= LARGE_TABLE ? host_alloc_pages(ss->size) : host_alloc(ss->size);
	if (!ss->page) {
		host_free(ss);
		return -ENOMEM;
	}
	slot->engine = ss;
	return 0;
}

void soft_slot_free(struct vm *vm, struct memslot *slot)
{
	struct soft_slot *ss = slot->engine;

	if (!ss)
		return;
	if (ss->size >= LARGE_TABLE)
		host_free_pages(ss->page, ss->size);
	else
		host_free(ss->page);
	host_free(ss);
	slot->engine = NULL;
}

static struct memslot *slot_at(struct vcpu *v, u64 gpa)
{
	return memslots_find(vm_slots(v->vm, v->state.in_smm), gpa);
}

static struct code_page *page_of(struct memslot *slot, u64 gpa)
{
	struct soft_slot *ss = slot->engine;

	return &ss->page[(gpa - slot->gpa) >> 12];
}

bool soft_ram(struct x86_state *s, u64 gpa, bool write, struct x86_ram *out)
{
	struct vcpu *v = state_vcpu(s);
	struct memslot *slot = slot_at(v, gpa);

	if (!slot)
		return false;
	out->host = (u8 *)(unsigned long)(slot->hva + ((gpa - slot->gpa) & X86_PAGE_MASK));
	out->flags = 0;
	if (slot->flags & KVM_MEM_READONLY)
		out->flags |= RAM_READONLY;
	else if (write)
		memslot_mark_dirty(v, slot, gpa);
	if (slot->dirty)
		out->flags |= RAM_LOGGED;
	if (__atomic_load_n(&page_of(slot, gpa)->marked, __ATOMIC_SEQ_CST))
		out->flags |= RAM_NOTIFY;
	return true;
}

/* Stores to code pages and the making of blocks are rare and short: one bit of the page is enough of a lock. */
static void lock_page(struct code_page *p)
{
	while (__atomic_exchange_n(&p->locked, 1, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void unlock_page(struct code_page *p)
{
	__atomic_store_n(&p->locked, 0, __ATOMIC_RELEASE);
}

/*
 * Generated code of a page must not be reached any more: here the caller has seen to it, elsewhere it is so after the next
 * look at requests.
 */
static void code_changed(struct vcpu *self)
{
	struct soft_vcpu *sv = self->engine_vcpu;
	struct soft_vm *svm = self->vm->engine_vm;
	u32 i, nr = vm_nr_vcpus(self->vm);
	u64 old;

	if (!svm->translate)
		return;
	old = __atomic_fetch_add(&svm->code_changes, 1, __ATOMIC_SEQ_CST);
	/* This vCPU knows of this change; of others only if it has noticed them before. */
	if (sv->code_changes == old)
		sv->code_changes = old + 1;
	for (i = 0; i < nr; i++)
		if (self->vm->vcpu[i] != self)
			vcpu_request(self->vm->vcpu[i], REQ_PAUSE);
}

void soft_invalidate_page(struct vcpu *v, struct code_page *p)
{
	lock_page(p);
	p->code = (struct granules){ 0 };
	__atomic_store_n(&p->generation, p->generation + 1, __ATOMIC_RELEASE);
	unlock_page(p);
	TR_COUNT((struct soft_vcpu *)v->engine_vcpu, drop[DROP_DMA]);
	tr_forget_targets(v->engine_vcpu);
	code_changed(v);
}

static bool hits_code(const struct code_page *p, u64 gpa, unsigned size)
{
	unsigned n;

	for (n = 0; n < GRANULE_WORDS; n++)
		if (p->code.word[n] & granule_bits(gpa, size, n))
			return true;
	return false;
}

/*
 * The store is done when this is called; soft_mark_code sets its granules and takes the generation under the same lock
 * before the bytes are read. So either the bytes read are the new ones, or the generation moves afterwards.
 */
void soft_ram_written(struct x86_state *s, u64 gpa, unsigned size)
{
	struct memslot *slot = slot_at(state_vcpu(s), gpa);
	struct code_page *p;

	if (!slot)
		return;
	p = page_of(slot, gpa);
	lock_page(p);
	if (hits_code(p, gpa, size)) {
		p->code = (struct granules){ 0 };
		p->quiet = 0;
		__atomic_store_n(&p->generation, p->generation + 1, __ATOMIC_RELEASE);
		if (p->crossed)
			tr_forget_targets(soft_of(s));
		else
			soft_drop_page(soft_of(s), gpa, p);
		p->crossed = false;
		code_changed(state_vcpu(s));
		TR_COUNT(soft_of(s), drop[DROP_STORE]);
		s->end_block = true;
	} else if (granules_none(&p->code) && p->marked == CODE_PAGE_MARKED && ++p->quiet >= QUIET_STORES) {
		p->quiet = 0;
		__atomic_store_n(&p->marked, CODE_PAGE_PLAIN, __ATOMIC_SEQ_CST);
	}
	unlock_page(p);
}

void soft_drop_writes(struct vcpu *v)
{
	struct soft_vcpu *sv = v->engine_vcpu;

	x86_tlb_flush_write(&sv->tlb);
	if (sv->tr.ready)
		flat_flush_write(sv);
}

/*
 * Wait until every other vCPU has dropped its write permissions: it is out of guest mode (and serves the request
 * before it enters again) or has cleared the request. Our own such request is served meanwhile, so that two vCPUs
 * can wait for each other.
 */
static void wait_for_write_flush(struct vcpu *self)
{
	struct vm *vm = self->vm;
	u32 i, nr = vm_nr_vcpus(vm);

	for (i = 0; i < nr; i++) {
		struct vcpu *v = vm->vcpu[i];
		unsigned spins = 0;

		if (v == self)
			continue;
		while (__atomic_load_n(&v->mode, __ATOMIC_SEQ_CST) == VCPU_IN_GUEST &&
		       __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQ_WRITE_FLUSH) {
			if (vcpu_take_request(self, REQ_WRITE_FLUSH))
				soft_drop_writes(self);
			if (++spins > 200)
				host_resched();
			else
				__builtin_ia32_pause();
		}
	}
}

/* Of the page at that host address; other vCPUs drop all of theirs. */
static void stop_unnoticed_writes(struct vcpu *self, u64 host)
{
	struct soft_vcpu *sv = self->engine_vcpu;
	struct vm *vm = self->vm;
	u32 i, nr = vm_nr_vcpus(vm);

	x86_tlb_flush_write(&sv->tlb);
	if (sv->tr.ready)
		flat_forget_writes_to(sv, host);
	if (nr == 1)
		return;
	for (i = 0; i < nr; i++) {
		if (vm->vcpu[i] == self)
			continue;
		vcpu_request(vm->vcpu[i], REQ_WRITE_FLUSH);
	}
	wait_for_write_flush(self);
}

struct code_page *soft_mark_code(struct vcpu *v, u64 gpa, unsigned len, u32 *generation)
{
	struct memslot *slot = slot_at(v, gpa);
	struct code_page *p;
	u8 was;

	if (!slot)
		return NULL;
	p = page_of(slot, gpa);
	lock_page(p);
	was = p->marked;
	if (was == CODE_PAGE_PLAIN)
		__atomic_store_n(&p->marked, CODE_PAGE_MARKING, __ATOMIC_SEQ_CST);
	granules_add(&p->code, gpa, len);
	*generation = p->generation;
	unlock_page(p);
	if (was != CODE_PAGE_MARKED) {
		stop_unnoticed_writes(v, slot->hva + ((gpa - slot->gpa) & X86_PAGE_MASK));
		lock_page(p);
		/* If a store has hit it since, the mark may have been given up, and permissions to write be out again. */
		if (p->generation == *generation)
			__atomic_store_n(&p->marked, CODE_PAGE_MARKED, __ATOMIC_SEQ_CST);
		unlock_page(p);
	}
	return p;
}
