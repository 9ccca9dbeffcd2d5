/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What a difference between interpreter and generated code looks like, on standard error. */
#include "optable.h"
#include "lockstep_data.h"

#define SAY(...) host_log(LOG_ERROR, "lockstep: " __VA_ARGS__)

static const char digits[] = "0123456789abcdef";

/* Hexadecimal text; at most 64 bytes. */
static const char *hex(char text[2 * STORE_BYTES + 1], const u8 *p, unsigned len)
{
	unsigned n;

	for (n = 0; n < len && n < STORE_BYTES; n++) {
		text[2 * n] = digits[p[n] >> 4];
		text[2 * n + 1] = digits[p[n] & 15];
	}
	text[2 * n] = 0;
	return text;
}

static void show_code(const struct tr_block *t, unsigned k)
{
	char text[2 * STORE_BYTES + 1];
	const u8 *p = t->body + t->offset[k], *end = t->body + t->offset[k + 1];

	for (; p < end; p += STORE_BYTES)
		SAY("      host %p %s", (const void *)p,
		    hex(text, p, end - p < STORE_BYTES ? (unsigned)(end - p) : STORE_BYTES));
}

static void show_block(const struct lockstep *l, unsigned k)
{
	const struct soft_block *b = l->block;
	char text[2 * STORE_BYTES + 1];
	u64 rip = l->before.rip;
	unsigned n;

	for (n = l->first; n < b->nr; n++) {
		const struct x86_insn *i = &b->insn[n];

		SAY("%s %llx %-30s %s", n == k ? "=>" : "  ", rip, hex(text, i->bytes, i->len), x86_op_name(i->op));
		if (b->tr && n < b->tr->nr)
			show_code(b->tr, n);
		rip += i->len;
	}
}

static void show_value(const char *name, u64 before, u64 interpreter, u64 translator)
{
	SAY("%s %-8s before %016llx interpreter %016llx translator %016llx", interpreter == translator ? "  " : "!!",
	    name, before, interpreter, translator);
}

static void show_registers(const struct lockstep *l, const struct x86_state *s, unsigned k)
{
	static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
	const struct lockstep_point *p = &l->point[k];
	unsigned n;

	for (n = 0; n < 16; n++)
		show_value(names[n], l->before.gpr[n], p->gpr[n], s->gpr[n]);
	show_value("rip", l->before.rip, p->rip, s->rip);
	show_value("rflags", l->before.rflags, p->rflags, s->rflags);
	if (lockstep_live_flags(l->block, k) == 0)
		SAY("   (the arithmetic flags are dead here)");
}

static void show_system(const struct x86_state *a, const struct x86_state *b)
{
	unsigned n;

	for (n = 0; n < SEG_COUNT; n++)
		if (a->seg[n].base != b->seg[n].base || a->seg[n].attr != b->seg[n].attr ||
		    a->seg[n].sel != b->seg[n].sel || a->seg[n].limit != b->seg[n].limit)
			SAY("!! segment %u: interpreter %x %llx %x %x, translator %x %llx %x %x", n, a->seg[n].sel,
			    a->seg[n].base, a->seg[n].limit, a->seg[n].attr, b->seg[n].sel, b->seg[n].base,
			    b->seg[n].limit, b->seg[n].attr);
	if (a->cpl != b->cpl || a->mode != b->mode || a->mmu_index != b->mmu_index || a->shadow != b->shadow)
		SAY("!! cpl, mode, mmu, shadow: interpreter %u %u %u %u, translator %u %u %u %u", a->cpl, a->mode,
		    a->mmu_index, a->shadow, b->cpl, b->mode, b->mmu_index, b->shadow);
	SAY("   cr0, cr2, cr3, cr4, efer: interpreter %llx %llx %llx %llx %llx, translator %llx %llx %llx %llx %llx",
	    a->cr0, a->cr2, a->cr3, a->cr4, a->efer, b->cr0, b->cr2, b->cr3, b->cr4, b->efer);
}

static void show_memory(const struct lockstep *l, unsigned k)
{
	char text[3][2 * STORE_BYTES + 1];
	unsigned n;

	for (n = 0; n < l->nr_stores && l->store[n].insn < k; n++) {
		const struct lockstep_store *e = &l->store[n];

		if (lockstep_memory_equal(l, n, k))
			continue;
		SAY("!! memory %llx, stored by instruction %u: before %s", e->gpa, e->insn,
		    hex(text[0], e->old, e->len));
		SAY("   interpreter %s", hex(text[1], e->new, e->len));
		SAY("   translator  %s", hex(text[2], e->host, e->len));
	}
}

static void show_fpu(const struct lockstep *l, struct x86_state *s, unsigned k)
{
	const struct lockstep_fpu *f = &l->fpu[l->point[k].fpu];
	const struct x86_xsave *x = s->xsave; /* put away by the comparison */
	char text[2][2 * STORE_BYTES + 1];
	unsigned n;

	if (!l->has_fpu || s->fpu_live)
		return;
	SAY("   x87 cw sw tw ip mxcsr: interpreter %x %x %x %llx %x, translator %x %x %x %llx %x", f->fx.fcw, f->fx.fsw,
	    f->fx.ftw, f->fx.fip, f->fx.mxcsr, x->fx.fcw, x->fx.fsw, x->fx.ftw, x->fx.fip, x->fx.mxcsr);
	for (n = 0; n < 8; n++)
		if (memcmp(f->fx.st[n], x->fx.st[n], 16))
			SAY("!! st%u: interpreter %s translator %s", n, hex(text[0], f->fx.st[n], 16),
			    hex(text[1], x->fx.st[n], 16));
	for (n = 0; n < 16; n++)
		if (memcmp(f->fx.xmm[n], x->fx.xmm[n], 16) || memcmp(f->ymmh[n], x->ymmh[n], 16))
			SAY("!! xmm%u: interpreter %s translator %s", n, hex(text[0], f->fx.xmm[n], 16),
			    hex(text[1], x->fx.xmm[n], 16));
}

void lockstep_report(struct soft_vcpu *sv, unsigned k)
{
	struct lockstep *l = sv->tr.lockstep;
	struct x86_state *s = &sv->vcpu->state;

	SAY("difference in the block at %llx (guest-physical %llx), mode %u, cpl %u, in front of instruction %u of %u",
	    l->before.rip, l->block->gpa, l->block->mode, l->before.cpl, k, l->block->nr);
	show_block(l, k);
	show_registers(l, s, k);
	if (k == l->block->nr)
		show_system(&l->after, s);
	show_memory(l, k);
	show_fpu(l, s, k);
}
