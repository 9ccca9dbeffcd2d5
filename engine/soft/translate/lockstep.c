/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Predictions by the interpreter, and their comparison with what generated code did. See lockstep.h. */
#include "front.h"
#include "fpu.h"
#include "lockstep_data.h"

/* --- the interpreter's way out while it predicts --------------------------------------------------------------- */

static struct lockstep *of(struct x86_state *s)
{
	return soft_of(s)->tr.lockstep;
}

/* Every store passes here first; nothing is cached for writing, since every page seems to hold code. */
static bool logging_ram(struct x86_state *s, u64 gpa, bool write, struct x86_ram *out)
{
	struct lockstep *l = of(s);
	struct lockstep_store *e = &l->store[l->nr_stores];
	unsigned room = X86_PAGE_SIZE - (gpa & ~X86_PAGE_MASK);

	if ((write && l->nr_stores == MAX_STORES) || !soft_ram(s, gpa, write, out))
		return false;
	if (write && !(out->flags & RAM_READONLY)) {
		e->gpa = gpa;
		e->host = out->host + (gpa & ~X86_PAGE_MASK);
		e->len = room < STORE_BYTES ? (u8)room : STORE_BYTES;
		e->insn = (u8)l->done;
		memcpy(e->old, e->host, e->len);
		l->nr_stores++;
		l->hit_code |= !!(out->flags & RAM_NOTIFY);
	}
	out->flags |= RAM_NOTIFY;
	return true;
}

static void no_notice(struct x86_state *s, u64 gpa, unsigned size)
{
}

/* Accessed and dirty bits: set for good. */
static enum x86_result set_table_bits(struct x86_state *s, u64 gpa, u64 old, u64 val, unsigned size)
{
	struct x86_ram ram;
	u32 old32 = (u32)old;
	void *p;
	bool same;

	if (!soft_ram(s, gpa, true, &ram) || ram.flags & RAM_READONLY)
		return X86_UNHANDLED;
	p = ram.host + (gpa & ~X86_PAGE_MASK);
	if (size == 8)
		same = __atomic_compare_exchange_n((u64 *)p, &old, val, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	else
		same = __atomic_compare_exchange_n((u32 *)p, &old32, (u32)val, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_RELAXED);
	if (same && ram.flags & RAM_NOTIFY)
		soft_ram_written(s, gpa, size);
	return same ? X86_OK : X86_RETRY;
}

static enum x86_result not_twice_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	return X86_UNHANDLED;
}

static enum x86_result not_twice_write(struct x86_state *s, u64 gpa, const void *buf, unsigned size)
{
	return X86_UNHANDLED;
}

static enum x86_result not_twice_in(struct x86_state *s, u16 port, unsigned size, void *buf, unsigned count,
				    unsigned *done)
{
	return X86_UNHANDLED;
}

static enum x86_result not_twice_out(struct x86_state *s, u16 port, unsigned size, const void *buf, unsigned count,
				     unsigned *done)
{
	return X86_UNHANDLED;
}

static enum x86_result not_twice_rdmsr(struct x86_state *s, u32 msr, u64 *val)
{
	return X86_UNHANDLED;
}

static enum x86_result not_twice_wrmsr(struct x86_state *s, u32 msr, u64 val)
{
	return X86_UNHANDLED;
}

static enum x86_result not_twice(struct x86_state *s)
{
	return X86_UNHANDLED;
}

static enum x86_result not_twice_hypercall(struct x86_state *s, const struct x86_insn *i)
{
	return X86_UNHANDLED;
}

static void quiet_flush(struct x86_state *s, enum x86_flush what, u64 lin)
{
	of(s)->flush = true;
}

static void quiet(struct x86_state *s)
{
}

static void make_ops(struct lockstep *l, const struct x86_ops *engine)
{
	struct x86_ops *o = &l->own_ops;

	*o = *engine;
	o->ram = logging_ram;
	o->ram_written = no_notice;
	o->ram_cmpxchg = set_table_bits;
	o->mmio_read = not_twice_read;
	o->mmio_write = not_twice_write;
	o->in = not_twice_in;
	o->out = not_twice_out;
	o->rdmsr = not_twice_rdmsr;
	o->wrmsr = not_twice_wrmsr;
	o->hlt = not_twice;
	o->mwait = not_twice;
	o->hypercall = not_twice_hypercall;
	o->pause = NULL;
	o->tlb_flushed = quiet_flush;
	o->mode_changed = quiet;
	o->debug_changed = quiet;
	o->known = NULL;
	o->events_enabled = quiet;
}

/* --- life ----------------------------------------------------------------------------------------------------- */

struct lockstep *lockstep_new(void)
{
	struct lockstep *l = host_alloc_pages(sizeof(*l));

	if (l)
		x86_tlb_init_zeroed(&l->tlb);
	return l;
}

void lockstep_free(struct lockstep *l)
{
	if (!l)
		return;
	host_log(LOG_INFO, "lockstep: %llu blocks, %llu comparisons, %llu instructions predicted, %llu unchecked",
		 l->stat.blocks, l->stat.checks, l->stat.instructions, l->stat.unchecked);
	host_free_pages(l, sizeof(*l));
}

void lockstep_flush(struct soft_vcpu *sv)
{
	if (sv->tr.lockstep)
		sv->tr.lockstep->flush = true;
}

#define MXCSR_FLAGS 0x3fu

/* --- vector state ------------------------------------------------------------------------------------------------ */

static void put_away(struct x86_state *s)
{
	if (s->fpu_live)
		soft_fpu_leave(s);
}

static void get_fpu(struct x86_state *s, struct lockstep_fpu *f)
{
	const struct x86_xsave *x = s->xsave;

	put_away(s);
	f->fx = x->fx;
	f->fx.fdp = f->fx.fop = 0;
	memset(f->fx.reserved2, 0, sizeof(f->fx.reserved2));
	memcpy(f->ymmh, x->ymmh, sizeof(f->ymmh));
	if (!(x->xstate_bv & XFEATURE_AVX))
		memset(f->ymmh, 0, sizeof(f->ymmh));
}

static bool any_fpu(const struct soft_block *b, unsigned k)
{
	for (; k < b->nr; k++)
		if (b->insn[k].flags & INSN_FPU)
			return true;
	return false;
}

/* --- prediction ------------------------------------------------------------------------------------------------------ */

static bool predictable(const struct x86_insn *i)
{
	unsigned n;

	switch (i->op) {
	case X86_OP_CPUID:
	case X86_OP_RDTSC:
	case X86_OP_RDTSCP:
	case X86_OP_RDRAND:
	case X86_OP_RDSEED: return false;
	default: break;
	}
	if (i->flags & INSN_STRING)
		return false;
	for (n = 0; n < i->nr_operands; n++)
		if (i->opnd[n].kind == OPND_MEM && i->opnd[n].size > STORE_BYTES)
			return false;
	/* XSAVE and its relatives, FXSAVE, x87 environments: operands of no plain size. */
	return !(i->flags & INSN_STORE) || !(i->flags & INSN_FPU) || i->flags & INSN_NATIVE;
}

/* Two host instructions that do the same (imul with two and with three operands) differ in flags that are undefined. */
static u64 undefined_after(u64 before, const struct x86_insn *i)
{
	unsigned effect = tr_flag_effect(i);

	if (effect & FE_KILL)
		before = 0;
	return effect & (FE_KILL | FE_PARTIAL) ? before | x86_op_undefined[i->op] : before;
}

/* Does the result depend on flags that both sides may have left differently? */
static bool reads_undefined(const struct x86_insn *i, u64 undefined)
{
	switch (i->op) {
	case X86_OP_LAHF:
	case X86_OP_PUSHF:
	case X86_OP_DAA:
	case X86_OP_DAS:
	case X86_OP_AAA:
	case X86_OP_AAS: break;
	default: undefined &= ~(u64)RFLAGS_AF;
	}
	return undefined && tr_flag_effect(i) & FE_READ;
}

static void note_point(struct lockstep *l, struct x86_state *s, unsigned k, bool fpu_changed)
{
	struct lockstep_point *p = &l->point[k];

	memcpy(p->gpr, s->gpr, sizeof(p->gpr));
	p->rip = s->rip;
	p->rflags = s->rflags;
	p->undefined = k > l->first ? undefined_after(l->point[k - 1].undefined, &l->block->insn[k - 1]) : 0;
	if (l->has_fpu && fpu_changed)
		get_fpu(s, &l->fpu[l->nr_fpu++]);
	p->fpu = (u8)(l->nr_fpu - 1);
}

static void begin(struct soft_vcpu *sv, const struct soft_block *b, unsigned k)
{
	struct lockstep *l = sv->tr.lockstep;
	struct x86_state *s = &sv->vcpu->state;

	if (l->flush || l->generation != sv->tlb.generation)
		x86_tlb_flush(&l->tlb);
	l->flush = false;
	l->generation = sv->tlb.generation;
	l->block = b;
	l->first = l->done = k;
	l->nr_stores = l->nr_fpu = 0;
	l->complete = l->hit_code = false;
	l->has_fpu = any_fpu(b, k);
	if (l->has_fpu) {
		put_away(s);
		memcpy(&l->xsave_before, s->xsave, sizeof(l->xsave_before));
	}
	l->before = *s;
	l->ops = s->ops;
	if (!l->own_ops.ram)
		make_ops(l, s->ops);
	s->ops = &l->own_ops;
	s->tlb = &l->tlb;
	l->running = true;
}

/* Memory and state as they were. */
static void end(struct soft_vcpu *sv)
{
	struct lockstep *l = sv->tr.lockstep;
	struct x86_state *s = &sv->vcpu->state;
	unsigned n;

	for (n = l->nr_stores; n-- > 0;)
		memcpy(l->store[n].host, l->store[n].old, l->store[n].len);
	if (l->has_fpu) {
		put_away(s);
		memcpy(s->xsave, &l->xsave_before, sizeof(l->xsave_before));
	}
	l->before.fpu_live = s->fpu_live;
	*s = l->before;
	l->running = false;
}

static void run(struct lockstep *l, struct x86_state *s)
{
	const struct soft_block *b = l->block;
	unsigned n, stores;
	enum x86_result r;
	u8 shadow;
	u64 rip;

	note_point(l, s, l->done, true);
	while (l->done < b->nr && !l->hit_code) {
		const struct x86_insn *i = &b->insn[l->done];

		if (!predictable(i) || reads_undefined(i, l->point[l->done].undefined))
			return;
		rip = s->rip;
		stores = l->nr_stores;
		shadow = s->shadow;
		s->rip = rip + i->len;
		r = i->exec(s, i);
		if (r != X86_OK)
			return;
		x86_retire(s, shadow);
		for (n = stores; n < l->nr_stores; n++)
			memcpy(l->store[n].new, l->store[n].host, l->store[n].len);
		l->done++;
		note_point(l, s, l->done, i->flags & INSN_FPU);
	}
	l->complete = l->done == b->nr;
}

void lockstep_predict(struct soft_vcpu *sv, const struct soft_block *b, unsigned k)
{
	struct lockstep *l = sv->tr.lockstep;
	struct x86_state *s = &sv->vcpu->state;

	if (!l || k >= b->nr)
		return;
	begin(sv, b, k);
	run(l, s);
	if (l->complete)
		l->after = *s;
	end(sv);
	l->stat.blocks++;
	l->stat.instructions += l->done - l->first;
	l->pending = true;
}

void lockstep_abandoned(struct soft_vcpu *sv)
{
	struct lockstep *l = sv->tr.lockstep;

	if (!l)
		return;
	if (l->running) {
		end(sv);
		sv->running = NULL;
		sv->running_rip = sv->vcpu->state.rip;
	}
	l->pending = false;
}

/* --- comparison ---------------------------------------------------------------------------------------------------------- */

u64 lockstep_live_flags(const struct soft_block *b, unsigned k)
{
	return b->tr && !(b->tr->live >> k & 1) ? 0 : RFLAGS_ARITH;
}

/* The byte of store n belongs to a later store as well, by an instruction in front of k. */
static bool stored_later(const struct lockstep *l, unsigned n, unsigned at, unsigned k)
{
	const u8 *p = l->store[n].host + at;

	for (n++; n < l->nr_stores && l->store[n].insn < k; n++)
		if (p >= l->store[n].host && p < l->store[n].host + l->store[n].len)
			return true;
	return false;
}

/* Is what store n of the prediction left, by the time of instruction k, what memory holds? */
bool lockstep_memory_equal(const struct lockstep *l, unsigned n, unsigned k)
{
	const struct lockstep_store *e = &l->store[n];
	unsigned at;

	for (at = 0; at < e->len; at++)
		if (e->new[at] != e->host[at] && !stored_later(l, n, at, k))
			return false;
	return true;
}

static bool same_memory(const struct lockstep *l, unsigned k)
{
	unsigned n;

	for (n = 0; n < l->nr_stores && l->store[n].insn < k; n++)
		if (!lockstep_memory_equal(l, n, k))
			return false;
	return true;
}

static u64 wrapped(const struct x86_state *s, u64 rip)
{
	return s->mode == X86_MODE_LONG ? rip : (u32)rip;
}

static bool same_registers(const struct lockstep *l, const struct x86_state *s, unsigned k, u64 flags)
{
	const struct lockstep_point *p = &l->point[k];

	return !memcmp(p->gpr, s->gpr, sizeof(p->gpr)) && wrapped(s, p->rip) == wrapped(s, s->rip) &&
	       !((p->rflags ^ s->rflags) & (~(u64)RFLAGS_ARITH | flags));
}

static bool same_segment(const struct x86_seg *a, const struct x86_seg *b)
{
	return a->base == b->base && a->limit == b->limit && a->attr == b->attr && a->sel == b->sel;
}

/* The state beside the general registers, at the end of a block. */
static bool same_system(const struct x86_state *a, const struct x86_state *b)
{
	unsigned n;

	for (n = 0; n < SEG_COUNT; n++)
		if (!same_segment(&a->seg[n], &b->seg[n]))
			return false;
	return a->cpl == b->cpl && a->mode == b->mode && a->mmu_index == b->mmu_index && a->cr0 == b->cr0 &&
	       a->cr2 == b->cr2 && a->cr3 == b->cr3 && a->cr4 == b->cr4 && a->efer == b->efer && a->xcr0 == b->xcr0 &&
	       a->kernel_gs_base == b->kernel_gs_base && a->nmi_blocked == b->nmi_blocked && a->shadow == b->shadow;
}

/* An instruction that raised an exception has set flags in MXCSR, and has switched to MMX registers if it uses them. */
static void accept_exception(const struct x86_insn *i, struct lockstep_fpu *expected, const struct lockstep_fpu *now)
{
	unsigned n;

	expected->fx.mxcsr = (expected->fx.mxcsr & ~MXCSR_FLAGS) | (now->fx.mxcsr & MXCSR_FLAGS);
	for (n = 0; n < i->nr_operands; n++) {
		if (i->opnd[n].kind != OPND_MMX)
			continue;
		expected->fx.fsw = now->fx.fsw;
		expected->fx.ftw = now->fx.ftw;
		memcpy(expected->fx.st, now->fx.st, sizeof(now->fx.st));
	}
}

static bool same_fpu(struct lockstep *l, struct x86_state *s, unsigned k)
{
	struct lockstep_fpu now, *expected;

	if (!l->has_fpu)
		return true;
	expected = &l->fpu[l->point[k].fpu];
	get_fpu(s, &now);
	if (k < l->block->nr && l->block->insn[k].flags & (INSN_SSE | INSN_VEX))
		accept_exception(&l->block->insn[k], expected, &now);
	return !memcmp(&now, expected, sizeof(now));
}

bool lockstep_check(struct soft_vcpu *sv, const struct soft_block *b, unsigned k, u64 flags)
{
	struct lockstep *l = sv->tr.lockstep;
	struct x86_state *s = &sv->vcpu->state;

	if (!l)
		return true;
	if (l->failed)
		return false;
	if (!l->pending)
		return true;
	l->pending = false;
	if (!b)
		k = l->block->nr;
	if ((b && b != l->block) || k < l->first || k > l->done) {
		l->stat.unchecked++;
		return true;
	}
	l->stat.checks++;
	flags &= lockstep_live_flags(l->block, k) & ~l->point[k].undefined;
	if (same_registers(l, s, k, flags) && same_memory(l, k) && same_fpu(l, s, k) &&
	    (k < l->block->nr || same_system(s, &l->after)))
		return true;
	l->failed = true;
	lockstep_report(sv, k);
	return false;
}

/* --- generated code's side -------------------------------------------------------------------------------------------------- */

void lockstep_emit_hook(struct front *f)
{
	emit_mov_imm(&f->e, X86_R12, tr_new_site(f, SITE_INSN));
	emit_call(&f->e, f->flags == FLAGS_SAVED ? f->sv->tr.thunk_lockstep_saved : f->sv->tr.thunk_lockstep);
}
