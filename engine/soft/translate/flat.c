/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The flat tables: host address minus guest address for every guest page, 0 where there is none. Generated code looks
 * them up in line; they are filled from the tagged TLB (x86/mem.h), which alone decides what may be cached.
 */
#include "soft.h"

static u64 *entry_of(const struct flat_table *t, u64 lin)
{
	return (u64 *)(unsigned long)(t->base + (u64)((s64)lin >> 12) * 8);
}

static void table_free(struct flat_table *t)
{
	if (t->reservation)
		host_unreserve(t->reservation, FLAT_BYTES);
	if (t->filled)
		host_free_pages(t->filled, FLAT_LIST * sizeof(u64));
	*t = (struct flat_table){ 0 };
}

static int table_init(struct flat_table *t)
{
	t->reservation = host_reserve(FLAT_BYTES);
	t->filled = host_alloc_pages(FLAT_LIST * sizeof(u64));
	if (!t->reservation || !t->filled) {
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

static void table_flush(struct flat_table *t)
{
	u32 i;

	if (t->nr_filled == FLAT_LIST)
		host_reserve_clear(t->reservation, FLAT_BYTES);
	else
		for (i = 0; i < t->nr_filled; i++)
			*entry_of(t, t->filled[i]) = 0;
	t->nr_filled = 0;
}

void flat_flush_write(struct soft_vcpu *sv)
{
	unsigned m;

	for (m = 0; m < MMU_USER_AC; m++)
		table_flush(&sv->tr.flat[m][FLAT_WRITE]);
}

void flat_flush(struct soft_vcpu *sv, bool all, u64 lin)
{
	struct tr_state *tr = &sv->tr;
	unsigned m, k;

	if (!all && tr->flat_generation == sv->tlb.generation) {
		for (m = 0; m < MMU_USER_AC; m++)
			for (k = 0; k < FLAT_KINDS; k++)
				if (tr->flat[m][k].nr_filled && *entry_of(&tr->flat[m][k], lin))
					*entry_of(&tr->flat[m][k], lin) = 0;
		return;
	}
	for (m = 0; m < MMU_USER_AC; m++)
		for (k = 0; k < FLAT_KINDS; k++)
			table_flush(&tr->flat[m][k]);
	tr->flat_generation = sv->tlb.generation;
}

bool flat_fill(struct soft_vcpu *sv, u64 lin, bool write)
{
	struct x86_state *s = &sv->vcpu->state;
	unsigned mmu = s->mmu_index;
	enum x86_access acc = write ? ACC_WRITE : ACC_READ;
	struct flat_table *t;
	u8 *host;

	if (mmu >= MMU_USER_AC || (s->mode == X86_MODE_LONG && !x86_canonical(s, lin)))
		return false;
	host = x86_tlb_probe(s, mmu, lin, 1, acc);
	if (!host) {
		/* Walk as the access would; a fault is raised by the interpreter, which executes the instruction again. */
		if (x86_probe_linear(s, mmu, SEG_DS, lin, 1, acc) != X86_OK)
			return false;
		host = x86_tlb_probe(s, mmu, lin, 1, acc);
		if (!host)
			return false;
	}
	t = &sv->tr.flat[mmu][write ? FLAT_WRITE : FLAT_READ];
	if (t->nr_filled == FLAT_LIST)
		table_flush(t);
	t->filled[t->nr_filled++] = lin & X86_PAGE_MASK;
	*entry_of(t, lin) = (u64)(unsigned long)host - lin;
	return true;
}
