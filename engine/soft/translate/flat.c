/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The flat tables: host address minus guest address minus 1 for every guest page, 0 where there is none (host and guest
 * addresses may be the same, as gVisor's are; but none is the other's successor). Generated code looks them up in line; they are filled from the tagged TLB (x86/mem.h), which alone decides what may be cached.
 */
#include "soft.h"

static u64 *entry_of(const struct flat_table *t, u64 lin)
{
	return (u64 *)(unsigned long)(t->base + (u64)((s64)lin >> 12) * 8);
}

static void table_free(struct flat_table *t)
{
	unsigned g;

	if (t->reservation)
		host_unreserve(t->reservation, FLAT_BYTES);
	for (g = 0; g < ARRAY_SIZE(t->list); g++)
		if (t->list[g].page)
			host_free_pages(t->list[g].page, FLAT_LIST * sizeof(u64));
	*t = (struct flat_table){ 0 };
}

static int table_init(struct flat_table *t)
{
	unsigned g;

	t->reservation = host_reserve(FLAT_BYTES);
	for (g = 0; g < ARRAY_SIZE(t->list); g++)
		t->list[g].page = host_alloc_pages(FLAT_LIST * sizeof(u64));
	if (!t->reservation || !t->list[0].page || !t->list[1].page) {
		table_free(t);
		return -ENOMEM;
	}
	t->base = (u64)(unsigned long)t->reservation + FLAT_BYTES / 2;
	return 0;
}

int flat_init(struct soft_vcpu *sv)
{
	unsigned m, k;
	int err = 0;

	for (m = 0; m < MMU_USER_AC && !err; m++)
		for (k = 0; k < FLAT_KINDS && !err; k++)
			err = table_init(&sv->tr.flat[m][k]);
	if (err)
		flat_free(sv);
	return err;
}

void flat_free(struct soft_vcpu *sv)
{
	unsigned m, k;

	for (m = 0; m < MMU_USER_AC; m++)
		for (k = 0; k < FLAT_KINDS; k++)
			table_free(&sv->tr.flat[m][k]);
}

static void list_flush(struct flat_table *t, struct flat_list *l)
{
	u32 i;

	for (i = 0; i < l->nr; i++)
		*entry_of(t, l->page[i]) = 0;
	l->nr = 0;
}

static void table_flush(struct flat_table *t, enum x86_flush what)
{
	list_flush(t, &t->list[0]);
	if (what == X86_FLUSH_ALL)
		list_flush(t, &t->list[1]);
}

void flat_forget_stack(struct soft_vcpu *sv)
{
	sv->vcpu->state.gen[GEN_STACK_PAGE] = NO_STACK_PAGE;
}

void flat_flush_write(struct soft_vcpu *sv)
{
	unsigned m;

	flat_forget_stack(sv);
	for (m = 0; m < MMU_USER_AC; m++)
		table_flush(&sv->tr.flat[m][FLAT_WRITE], X86_FLUSH_ALL);
}

/* Longer lists are flushed: to look at each page would take longer than to fill again what is in use. */
#define FORGET_MAX 64

static void list_forget(struct flat_table *t, struct flat_list *l, u64 host)
{
	u32 i;

	if (l->nr > FORGET_MAX) {
		list_flush(t, l);
		return;
	}
	for (i = 0; i < l->nr; i++) {
		u64 *entry = entry_of(t, l->page[i]);

		if (*entry + l->page[i] + 1 == host)
			*entry = 0;
	}
}

void flat_forget_writes_to(struct soft_vcpu *sv, u64 host)
{
	const u64 *gen = sv->vcpu->state.gen;
	unsigned m, g;

	if (gen[GEN_STACK_PAGE] + gen[GEN_STACK_ADDEND] == host)
		flat_forget_stack(sv);
	for (m = 0; m < MMU_USER_AC; m++) {
		struct flat_table *t = &sv->tr.flat[m][FLAT_WRITE];

		for (g = 0; g < ARRAY_SIZE(t->list); g++)
			list_forget(t, &t->list[g], host);
	}
}

void flat_flush(struct soft_vcpu *sv, enum x86_flush what, u64 lin)
{
	struct tr_state *tr = &sv->tr;
	unsigned m, k;

	tr->flat_generation = sv->tlb.generation;
	if (what != X86_FLUSH_PAGE || sv->vcpu->state.gen[GEN_STACK_PAGE] == (lin & X86_PAGE_MASK))
		flat_forget_stack(sv);
	for (m = 0; m < MMU_USER_AC; m++) {
		for (k = 0; k < FLAT_KINDS; k++) {
			struct flat_table *t = &tr->flat[m][k];

			if (what != X86_FLUSH_PAGE)
				table_flush(t, what);
			else if (t->list[0].nr + t->list[1].nr && *entry_of(t, lin))
				*entry_of(t, lin) = 0;
		}
	}
}

/* Global pages, which survive a change of CR3, are the kernel's; 64-bit kernels have the upper half. */
static bool is_global(struct x86_state *s, u64 lin, enum x86_access acc)
{
	struct x86_translation t;

	if (s->mode == X86_MODE_LONG ? !(lin >> 63) : s->mmu_index == MMU_USER || !(s->cr4 & CR4_PGE))
		return false;
	return x86_translate(s, s->mmu_index, lin, acc, 0, &t) == X86_OK && t.global;
}

/* Is there a table for the current mmu_index, and an entry for lin in it? */
static bool has_entry(const struct x86_state *s, u64 lin)
{
	return s->mmu_index < MMU_USER_AC && (s->mode == X86_MODE_LONG ? x86_canonical(s, lin) : !(lin >> 32));
}

bool flat_fill(struct soft_vcpu *sv, u64 lin, bool write)
{
	struct x86_state *s = &sv->vcpu->state;
	unsigned mmu = s->mmu_index;
	enum x86_access acc = write ? ACC_WRITE : ACC_READ;
	struct flat_table *t;
	struct flat_list *l;
	u8 *host;

	if (!has_entry(s, lin))
		return false;
	host = x86_tlb_probe(s, mmu, lin, 1, acc);
	if (!host && write && x86_tlb_noticed(s, mmu, lin))
		return false;
	if (!host) {
		/* Walk as the access would; a fault is raised by the interpreter, which executes the instruction again. */
		if (x86_probe_linear(s, mmu, SEG_DS, lin, 1, acc) != X86_OK)
			return false;
		host = x86_tlb_probe(s, mmu, lin, 1, acc);
		if (!host)
			return false;
	}
	t = &sv->tr.flat[mmu][write ? FLAT_WRITE : FLAT_READ];
	l = &t->list[is_global(s, lin, acc)];
	if (l->nr == FLAT_LIST)
		list_flush(t, l);
	l->page[l->nr++] = lin & X86_PAGE_MASK;
	*entry_of(t, lin) = (u64)(unsigned long)host - lin - 1;
	return true;
}

u8 *flat_known(struct soft_vcpu *sv, u64 lin, bool write)
{
	const struct x86_state *s = &sv->vcpu->state;
	const struct flat_table *t;

	if (!has_entry(s, lin))
		return NULL;
	t = &sv->tr.flat[s->mmu_index][write ? FLAT_WRITE : FLAT_READ];
	if (!*entry_of(t, lin) && !flat_fill(sv, lin, write))
		return NULL;
	return (u8 *)(unsigned long)(*entry_of(t, lin) + lin + 1);
}
