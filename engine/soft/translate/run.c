/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Into generated code and out again: the dispatcher, helpers of generated code, code memory. */
#include "front.h"
#include "fpu.h"
#include "lockstep.h"
#include "trace.h"

/* --- flags ------------------------------------------------------------------------------------------------------- */

/* The saved form: AH = SF ZF 0 AF 0 PF 1 CF as LAHF gives them, AL = OF. */
static void flags_from_cell(struct x86_state *s)
{
	u64 cell = s->gen[GEN_FLAGS];

	s->rflags = (s->rflags & ~(u64)RFLAGS_ARITH) | (cell >> 8 & (RFLAGS_ARITH & 0xff)) | (cell & 1) << 11;
}

static void flags_to_cell(struct x86_state *s)
{
	s->gen[GEN_FLAGS] = (s->rflags & 0xff) << 8 | (s->rflags >> 11 & 1);
}

/* --- life ------------------------------------------------------------------------------------------------------------- */

void tr_reset(struct soft_vcpu *sv)
{
	struct tr_state *tr = &sv->tr;

	if (!tr->ready)
		return;
	tr->used = tr->stubs_end;
	tr->nr_cells = 1;
	tr->meta_used = 0;
	tr->nr_sites = 1;
	tr->end_sites = TR_MAX_SITES;
	tr->nr_blocks = 0;
	tr->full = false;
	tr_forget_targets(sv);
	tr->stat.flushes++;
	tr_trace_reset(sv);
}

static bool host_can(void)
{
	u32 r[4];

	host_cpuid(7, 0, r);
	return r[1] & BIT(8) && host_user_gs_base(); /* BMI2 */
}

static int alloc_all(struct soft_vcpu *sv)
{
	struct tr_state *tr = &sv->tr;
	int err = host_code_alloc(&tr->code, TR_CODE_SIZE);

	if (err)
		return err;
	tr->meta = host_alloc_pages(TR_META_SIZE);
	tr->site = host_alloc_pages(TR_MAX_SITES * sizeof(*tr->site));
	tr->order = host_alloc_pages(TR_MAX_BLOCKS * sizeof(*tr->order));
	if (!tr->meta || !tr->site || !tr->order)
		return -ENOMEM;
	tr->pairs = host_stack_alloc(PAIRS_SIZE);
	if (!tr->pairs)
		return -ENOMEM;
	err = tr_targets_init(sv);
	return err ? err : flat_init(sv);
}

int tr_probe(void)
{
	struct soft_vcpu *sv;
	int err;

	if (!host_can())
		return -ENOSYS;
	sv = host_alloc_pages(sizeof(*sv));
	if (!sv)
		return -ENOMEM;
	err = alloc_all(sv);
	tr_free(sv);
	host_free_pages(sv, sizeof(*sv));
	return err;
}

void tr_init(struct soft_vcpu *sv)
{
	struct tr_state *tr = &sv->tr;
	int err;

	tr->start = false;
	err = host_can() ? alloc_all(sv) : -ENOSYS;
	if (err) {
		host_log(LOG_INFO, "no translation on this host (%d): interpreting", err);
		tr_free(sv); /* clears wanted too */
		return;
	}
	tr_make_stubs(sv);
	tr_trace_stubs(sv);
	tr->ready = true;
	flat_forget_stack(sv);
	tr_reset(sv);
}

void tr_free(struct soft_vcpu *sv)
{
	struct tr_state *tr = &sv->tr;

	tr_trace_end(sv);
	flat_free(sv);
	host_code_free(&tr->code);
	host_free_pages(tr->meta, TR_META_SIZE);
	host_free_pages(tr->site, TR_MAX_SITES * sizeof(*tr->site));
	host_free_pages(tr->order, TR_MAX_BLOCKS * sizeof(*tr->order));
	tr_targets_free(sv);
	host_stack_free(tr->pairs, PAIRS_SIZE);
	lockstep_free(tr->lockstep);
	*tr = (struct tr_state){ 0 };
}

/* --- which blocks ------------------------------------------------------------------------------------------------------- */

static u8 fpu_level(const struct x86_state *s)
{
	if (s->cr0 & (CR0_TS | CR0_EM) || !(s->cr4 & CR4_OSFXSR))
		return TR_FPU_NONE;
	return s->cr4 & CR4_OSXSAVE && (s->xcr0 & 6) == 6 ? TR_FPU_AVX : TR_FPU_SSE;
}

/* Base 0, limit 4 GiB, and of a type that allows what code that uses it may do. */
static bool flat_segment(const struct x86_seg *seg, bool code)
{
	const u32 fixed = SEG_UNUSABLE | SEG_P | SEG_S | SEG_DB | SEG_TYPE_CODE | SEG_TYPE_RW | SEG_TYPE_DC;
	u32 want = SEG_P | SEG_S | SEG_TYPE_RW | (code ? SEG_TYPE_CODE | SEG_DB : 0);
	u32 care = code ? fixed & ~SEG_TYPE_DC : fixed & ~SEG_DB;

	return !seg->base && seg->limit == 0xffffffff && (seg->attr & care) == want;
}

/*
 * FS and GS may have a base: with 64 bytes of alignment no aligned access straddles offset 4 GiB. Code that uses others
 * finds a bit in the cell that makes the access miss, and is interpreted.
 */
static u64 no_inline_access(const struct x86_seg *seg)
{
	struct x86_seg flat = *seg;

	flat.base = 0;
	return flat_segment(&flat, false) && !(seg->base & 63) ? 0 : 1ull << 40;
}

/* Upper halves that are not zero only come from 64-bit mode; the interpreter keeps them as they are. */
static bool upper_halves_zero(const struct x86_state *s)
{
	const u64 *g = s->gpr;

	return !((g[0] | g[1] | g[2] | g[3] | g[4] | g[5] | g[6] | g[7]) >> 32);
}

static bool segments32_ok(struct x86_state *s)
{
	s->gen[GEN_NO_FS] = no_inline_access(&s->seg[SEG_FS]);
	s->gen[GEN_NO_GS] = no_inline_access(&s->seg[SEG_GS]);
	return flat_segment(&s->seg[SEG_CS], true) && flat_segment(&s->seg[SEG_DS], false) &&
	       flat_segment(&s->seg[SEG_ES], false) && flat_segment(&s->seg[SEG_SS], false) &&
	       s->seg[SEG_SS].attr & SEG_DB;
}

static bool mode_ok(struct x86_state *s)
{
	if (likely(s->mode == X86_MODE_LONG))
		return true;
	return s->mode == X86_MODE_PROT32 && segments32_ok(s) && upper_halves_zero(s);
}

/*
 * Generated code assumes 64-bit mode, or 32-bit mode with flat segments, and the FPU as it was; what changes the FPU's
 * level is rare, so all is dropped then. Alignment checks are the interpreter's.
 */
bool tr_context_ok(struct soft_vcpu *sv)
{
	struct x86_state *s = &sv->vcpu->state;
	struct tr_state *tr = &sv->tr;
	u8 level;

	if (!tr->wanted || !mode_ok(s) || s->watch_dr7 || s->mmu_index == MMU_USER_AC)
		return false;
	level = fpu_level(s);
	if (unlikely(level != tr->fpu_level)) {
		TR_COUNT(sv, drop[DROP_FPU]);
		tr->fpu_level = level;
		sv->flush_wanted = true;
		return false;
	}
	return !tr->full || (sv->flush_wanted = true, false);
}

/* A cell for the page's address. False: none is left (tr_state.full). */
static bool take_cell(struct tr_state *tr, struct soft_page *p)
{
	if (tr->nr_cells == TR_PAGE_CELLS) {
		tr->full = true;
		return false;
	}
	p->cell = tr->nr_cells++;
	return true;
}

/*
 * Most pages of code are only ever seen at one linear address, which is a constant in their translations then. Seen at
 * another one, a page gets translations that find its address in a cell, and keep it through further changes. False: no room.
 */
static bool note_address(struct soft_vcpu *sv, struct soft_page *p)
{
	u64 lin = sv->vcpu->state.rip & X86_PAGE_MASK;
	bool first = p->lin == LIN_NONE;

	if (likely(p->lin == lin))
		return true;
	soft_set_address(sv, p, lin);
	if (!first && !p->cell && sv->tr.ready) {
		TR_COUNT(sv, drop[DROP_ADDRESS]);
		if (!take_cell(&sv->tr, p))
			return false;
	}
	if (p->cell)
		((u64 *)sv->tr.code.rw)[p->cell] = lin;
	return true;
}

u64 tr_address_in(const struct soft_page *p)
{
	return p->cell ? TR_IN_CELL : p->lin;
}

/* What was hot before it was rewritten is taken for hot again, some times; then it has to show it. */
#define TRUST 3

static bool is_hot(struct soft_vcpu *sv, struct soft_block *b)
{
	if (b->trust) {
		b->trust--;
		return true;
	}
	if (++b->heat < sv->tr.hot)
		return false;
	b->trust = TRUST;
	return true;
}

bool tr_usable(struct soft_vcpu *sv, struct soft_block *b)
{
	if (unlikely(!note_address(sv, b->page)))
		return false;
	if (likely(b->tr && b->tr->lin == tr_address_in(b->page)))
		return true;
	if (!b->tr && !is_hot(sv, b))
		return false;
	b->heat = 0;
	if (unlikely(!sv->tr.ready)) {
		sv->tr.start = true;
		return false;
	}
	return tr_translate(sv, b);
}

static u64 table_cell(const struct tr_state *tr, unsigned mmu)
{
	return tr->flat[mmu][FLAT_READ].base | 12;
}

static u64 write_delta(const struct tr_state *tr, unsigned mmu)
{
	return (tr->flat[mmu][FLAT_WRITE].base - tr->flat[mmu][FLAT_READ].base) >> 3;
}

/* Put everything that generated code finds in cells in place for code at rip. */
static void set_cells(struct soft_vcpu *sv, const u8 *code)
{
	struct x86_state *s = &sv->vcpu->state;
	struct tr_state *tr = &sv->tr;
	unsigned mmu = s->mmu_index < MMU_USER_AC ? s->mmu_index : MMU_USER;

	if (unlikely(!s->fpu_live))
		soft_fpu_enter(s);
	flags_to_cell(s);
	s->gen[GEN_WRITE_DELTA] = write_delta(tr, mmu);
	s->gen[GEN_HASH] = (u64)(unsigned long)tr_targets_in_force(sv)->hash;
	s->gen[GEN_SOFT_VCPU] = (u64)(unsigned long)sv;
	if (unlikely(s->gen[GEN_TABLE] != table_cell(tr, mmu)))
		flat_forget_stack(sv);
	s->gen[GEN_TABLE] = table_cell(tr, mmu);
	mmu = s->cr4 & CR4_SMAP ? MMU_SUPER_SMAP : MMU_SUPER;
	s->gen[GEN_STAC_TABLE] = table_cell(tr, MMU_SUPER);
	s->gen[GEN_STAC_DELTA] = write_delta(tr, MMU_SUPER);
	s->gen[GEN_STAC_INDEX] = MMU_SUPER;
	s->gen[GEN_CLAC_TABLE] = table_cell(tr, mmu);
	s->gen[GEN_CLAC_DELTA] = write_delta(tr, mmu);
	s->gen[GEN_CLAC_INDEX] = mmu;
	s->gen[GEN_TARGET] = (u64)(unsigned long)code;
}

/* Is there anything that generated code does not look at? */
static bool must_leave(struct soft_vcpu *sv)
{
	struct vcpu *v = sv->vcpu;
	struct x86_state *s = &v->state;

	if (__atomic_load_n(&v->requests, __ATOMIC_RELAXED))
		return true;
	soft_end_resume(sv);
	return (v->want_irq_window && s->rflags & RFLAGS_IF) || (v->want_nmi_window && !s->nmi_blocked) ||
	       s->dr6_pending || s->shadow || s->rflags & (RFLAGS_TF | RFLAGS_RF | RFLAGS_VIP) || sv->flush_wanted ||
	       sv->breakpoints_stale || !tr_context_ok(sv);
}

/* --- helpers of generated code ---------------------------------------------------------------------------------------------- */

static u64 stop(struct soft_vcpu *sv, const struct tr_site *site, enum x86_result r, bool before)
{
	struct tr_state *tr = &sv->tr;

	tr->stop_site = *site;
	tr->stop_result = r;
	tr->stop_before = before;
	return TR_LEAVE;
}

static u64 insn_rip(const struct tr_site *site)
{
	return site->tr->block->page->lin + site->offset;
}

/* The block has ended by the instruction: go on where rip is now, if that is known to be translated. */
static u64 resume(struct soft_vcpu *sv, const struct tr_site *site)
{
	const u8 *code = must_leave(sv) ? NULL : tr_known_code(sv);

	if (!code)
		return stop(sv, site, X86_OK, false);
	set_cells(sv, code);
	sv->tr.stat.resumed++;
	return (u64)(unsigned long)code;
}

/* The instruction at rip by its routine, a repeated one to its end if nobody asks for anything. */
static enum x86_result execute(struct soft_vcpu *sv, const struct x86_insn *i)
{
	struct x86_state *s = &sv->vcpu->state;
	u64 rip = s->rip;
	enum x86_result r;

	do {
		s->rip = rip + i->len;
		r = i->exec(s, i);
	} while (r == X86_REPEAT && !s->dr6_pending && !__atomic_load_n(&sv->vcpu->requests, __ATOMIC_RELAXED));
	if (r != X86_OK && r != X86_EXIT)
		s->rip = rip;
	return r;
}

/* Execute the site's instruction by its routine. */
u64 tr_helper_exec(struct soft_vcpu *sv, u32 n)
{
	struct tr_site *site = &sv->tr.site[n];
	struct vcpu *v = sv->vcpu;
	struct x86_state *s = &v->state;
	const struct x86_insn *i = &site->tr->block->insn[site->insn];
	u64 rip = insn_rip(site);
	u8 mmu = s->mmu_index;
	enum x86_result r;

	sv->tr.stat.helper_calls++;
	TR_COUNT(sv, helper[i->op]);
	flags_from_cell(s);
	sv->running = NULL;
	sv->running_rip = rip;
	s->rip = rip;
	if (unlikely(sv->tr.lockstep) && !lockstep_check(sv, site->tr->block, site->insn, RFLAGS_ARITH))
		return stop(sv, site, X86_UNHANDLED, false);
	s->end_block = false;
	r = execute(sv, i);
	if (r != X86_OK)
		return stop(sv, site, r, false);
	if (s->end_block || s->dr6_pending || s->mmu_index != mmu ||
	    i->flags & (INSN_BRANCH | INSN_END | INSN_SHADOW) ||
	    (site->tr->block->mode == X86_MODE_PROT32 && !segments32_ok(s)))
		return resume(sv, site);
	if (unlikely(sv->tr.lockstep))
		lockstep_predict(sv, site->tr->block, site->insn + 1u);
	if (!s->fpu_live)
		soft_fpu_enter(s);
	flags_to_cell(s);
	return TR_GO_ON;
}

u64 tr_helper_block(struct soft_vcpu *sv, u32 n)
{
	struct tr_site *site = &sv->tr.site[n];
	struct x86_state *s = &sv->vcpu->state;

	flags_from_cell(s);
	s->rip = insn_rip(site);
	if (!lockstep_check(sv, NULL, 0, site->tr->live & 1 ? RFLAGS_ARITH : 0))
		return stop(sv, site, X86_UNHANDLED, false);
	lockstep_predict(sv, site->tr->block, 0);
	if (lockstep_turn_ends(sv))
		vcpu_request(sv->vcpu, REQ_PAUSE);
	if (!s->fpu_live)
		soft_fpu_enter(s);
	flags_to_cell(s);
	return TR_GO_ON;
}

/* The interpreter takes the one instruction that generated code could not. Results as of tr_run. */
static enum x86_result interpret(struct soft_vcpu *sv, const struct x86_insn *i)
{
	struct x86_state *s = &sv->vcpu->state;

	sv->tr.stat.interpreted++;
	TR_COUNT(sv, fallback[FALLBACK_ACCESS]);
	TR_COUNT(sv, interpreted[i->op]);
	sv->running = NULL;
	sv->running_rip = s->rip;
	s->end_block = false;
	return execute(sv, i);
}

/* The instruction of the site, in front of which flags that are dead are not known. */
static enum x86_result interpret_site(struct soft_vcpu *sv, const struct tr_site *site)
{
	const struct x86_insn *i = &site->tr->block->insn[site->insn];

	sv->tr.flags_unknown = !(site->tr->live >> (site->insn + 1u) & 1) && !(tr_flag_effect(i) & FE_KILL);
	return interpret(sv, i);
}

/*
 * The interpreter takes a store that must be noticed (a JIT at work, mostly): no need to leave for it. Lockstep looks at it
 * where it leaves.
 */
static u64 store_noticed(struct soft_vcpu *sv, const struct tr_site *site, u64 lin)
{
	struct x86_state *s = &sv->vcpu->state;
	enum x86_result r;

	if (unlikely(sv->tr.counters))
		tr_count_miss(sv, lin, true);
	if (site->flags_saved)
		flags_from_cell(s);
	s->rip = insn_rip(site);
	r = interpret_site(sv, site);
	return r == X86_OK ? resume(sv, site) : stop(sv, site, r, false);
}

u64 tr_helper_miss(struct soft_vcpu *sv, u32 n, u64 lin)
{
	struct tr_site *site = &sv->tr.site[n];
	struct x86_state *s = &sv->vcpu->state;

	sv->tr.stat.misses++;
	if (site->write && !site->group && !sv->tr.lockstep && x86_tlb_noticed(s, s->mmu_index, lin))
		return store_noticed(sv, site, lin);
	if (flat_fill(sv, lin, site->write)) {
		if (unlikely(!s->fpu_live))
			soft_fpu_enter(s);
		return TR_GO_ON;
	}
	sv->tr.stat.unfillable++;
	if (unlikely(sv->tr.counters))
		tr_count_miss(sv, lin, site->write);
	return stop(sv, site, X86_OK, true);
}

/* --- the dispatcher ------------------------------------------------------------------------------------------------------------ */

static const u8 *link_entry(const struct tr_site *site, const struct tr_block *t)
{
	if (site->flags_saved)
		return t->saved;
	return site->backward ? t->kick : t->native;
}

static void patch_link(struct tr_state *tr, const struct tr_site *site, const struct tr_block *t)
{
	u8 *at = site->jump;
	s64 rel = link_entry(site, t) - (at + (tr->code.rx - tr->code.rw) + 4);

	*(x86_mem32 *)at = (u32)rel;
	tr->stat.links++;
}

/* The block at rip, if generated code can go on there. */
static struct soft_block *next_block(struct soft_vcpu *sv)
{
	struct x86_state *s = &sv->vcpu->state;
	struct soft_block *b;

	if (must_leave(sv))
		return NULL;
	if (soft_find_block(sv, s->rip, &b) != X86_OK || sv->flush_wanted)
		return NULL; /* faults are raised by the caller, who looks again */
	return tr_usable(sv, b) ? b : NULL;
}

/* The entry for saved flags at rip, which look-ups will find from now on. NULL as of next_block. */
static const u8 *next_code(struct soft_vcpu *sv)
{
	struct soft_block *b = next_block(sv);

	if (!b)
		return NULL;
	tr_add_target(sv, b);
	return b->tr->saved;
}

/* After an instruction that was executed outside: mostly the code behind it is known. */
static const u8 *go_on(struct soft_vcpu *sv)
{
	const u8 *code = must_leave(sv) ? NULL : tr_known_code(sv);

	return code ? code : next_code(sv);
}

/* Lockstep: see lockstep_check. False: *r says so. */
static bool agreed(struct soft_vcpu *sv, const struct soft_block *b, unsigned k, u64 flags, enum x86_result *r)
{
	if (likely(!sv->tr.lockstep) || lockstep_check(sv, b, k, flags))
		return true;
	*r = X86_UNHANDLED;
	return false;
}

/* A near branch to an address that is not canonical faults itself: the stack back to what it was. */
static void undo_branch(struct x86_state *s, const struct x86_insn *i)
{
	if (i->op == X86_OP_RET_NEAR) {
		s->gpr[X86_RSP] -= 8 + (i->nr_operands ? (u16)i->imm : 0);
	} else if (i->op == X86_OP_CALL_NEAR) {
		x86_write_linear(s, s->mmu_index, SEG_SS, s->gpr[X86_RSP], &s->gen[GEN_OVERWRITTEN], 8);
		s->gpr[X86_RSP] += 8;
	}
}

/*
 * Generated code has been left where the flags are dead, and were not saved: what waits now would push them. The interpreter
 * goes on to where they are known again, in this block or the next.
 */
static enum x86_result find_flags(struct soft_vcpu *sv)
{
	struct soft_block *b;
	enum x86_result r = X86_OK;
	unsigned blocks, k;

	for (blocks = 0; blocks < 2; blocks++) {
		if (soft_find_block(sv, sv->vcpu->state.rip, &b) != X86_OK)
			return X86_OK; /* a fault is raised by the caller, who looks again */
		for (k = 0; k < b->nr; k++) {
			r = interpret(sv, &b->insn[k]);
			if (r != X86_OK || sv->vcpu->state.end_block || tr_flag_effect(&b->insn[k]) & FE_KILL)
				return r;
		}
	}
	return r;
}

static const u8 *looked_up(struct soft_vcpu *sv, enum x86_result *r)
{
	struct x86_state *s = &sv->vcpu->state;

	flags_from_cell(s);
	sv->tr.flags_unknown =
		false; /* by store_noticed, long ago: an indirect branch is left with the flags that there are */
	s->rip = s->gen[GEN_R13];
	sv->tr.stat.lookups++;
	if (!agreed(sv, NULL, 0, RFLAGS_ARITH, r))
		return NULL;
	return next_code(sv);
}

#define LOST_MAX 4

/*
 * Where code without groups goes on in place of a group that is lost there, or NULL. From now on what is lost in the same way, by
 * crossing a page or by one that is missed, goes there directly.
 */
static const u8 *without_group(struct soft_vcpu *sv, const struct tr_site *site, bool missed)
{
	struct tr_state *tr = &sv->tr;
	struct soft_block *b = site->tr->block;
	const u8 *to;

	/* Lockstep looks at whole blocks. Older code of the block (soft_set_address) is on its way out. */
	if (tr->lockstep || b->tr != site->tr || must_leave(sv))
		return NULL;
	if (b->lost < LOST_MAX) {
		b->lost++;
		return NULL;
	}
	to = tr_plain_code(sv, b, site->insn);
	if (to && !(missed && site->miss_at == MISS_NONE)) {
		struct emit e = { .p = site->jump + (missed ? site->miss_at : 0), .to_rx = tr->code.rx - tr->code.rw };

		emit_jmp(&e, to);
	}
	return to;
}

/* Generated code left at a site; missed: by a helper that could not make a page accessible. */
static const u8 *left_at(struct soft_vcpu *sv, const struct tr_site *site, bool missed, enum x86_result *r)
{
	struct x86_state *s = &sv->vcpu->state;
	u64 reused = sv->tr.stat.reused;
	struct soft_block *b;
	const u8 *code;

	if (site->kind == SITE_INDIRECT && x86_canonical(s, s->gen[GEN_R13]))
		return looked_up(sv, r);
	if (site->kind == SITE_INDIRECT)
		undo_branch(s, &site->tr->block->insn[site->insn]);
	if (site->flags_saved || site->kind == SITE_LINK)
		flags_from_cell(s);
	if (site->kind != SITE_LINK) {
		s->rip = insn_rip(site);
		if (!agreed(sv, site->tr->block, site->insn, RFLAGS_ARITH, r))
			return NULL;
		code = site->group ? without_group(sv, site, missed) : NULL;
		if (code)
			return code;
		*r = interpret_site(sv, site);
		return *r == X86_OK ? go_on(sv) : NULL;
	}
	s->rip = insn_rip(site);
	if (!agreed(sv, NULL, 0, site->flags_dead ? 0 : RFLAGS_ARITH, r))
		return NULL;
	sv->tr.flags_unknown = site->flags_dead;
	b = next_block(sv);
	if (!b)
		return NULL;
	/* The site may have been stale, and be another's now. */
	if (reused == sv->tr.stat.reused && site->jump && !sv->tr.full && !b->page2)
		patch_link(&sv->tr, site, b->tr);
	return b->tr->saved;
}

static const u8 *unwound(struct soft_vcpu *sv, enum x86_result *r)
{
	struct tr_state *tr = &sv->tr;

	if (tr->stop_before)
		return left_at(sv, &tr->stop_site, true, r);
	*r = tr->stop_result;
	return *r == X86_OK ? next_code(sv) : NULL;
}

enum x86_result tr_run(struct soft_vcpu *sv, struct soft_block *b)
{
	const u8 *code = b->tr->saved;
	enum x86_result r = X86_OK;
	u32 n;

	while (code) {
		set_cells(sv, code);
		sv->tr.flags_unknown = false;
		n = sv->tr.enter();
		if (n == TR_EXIT_LOOKUP)
			code = looked_up(sv, &r);
		else if (n == TR_EXIT_UNWOUND)
			code = unwound(sv, &r);
		else
			code = left_at(sv, &sv->tr.site[n], false, &r);
	}
	/* Nothing may come before what the VMM is to see of this instruction: other vCPUs would see the two in the wrong order. */
	if (unlikely(sv->tr.flags_unknown) && r == X86_OK && !sv->vcpu->io.nr_writes)
		r = find_flags(sv);
	return r;
}

/* --- faults of the host in generated code ------------------------------------------------------------------------------------------ */

static struct tr_block *block_at(const struct tr_state *tr, const u8 *rip)
{
	u32 low = 0, high = tr->nr_blocks;

	while (low < high) {
		u32 mid = (low + high) / 2;

		if (tr->order[mid]->end <= rip)
			low = mid + 1;
		else
			high = mid;
	}
	return low < tr->nr_blocks && rip >= tr->order[low]->body ? tr->order[low] : NULL;
}

/* The stack pointer is so far from canonical that the index of its page is no address. */
static void fix_stack_look_up(struct soft_vcpu *sv, const struct host_fault *f)
{
	struct tr_state *tr = &sv->tr;

	tr->stop_site = tr->site[sv->vcpu->state.gen[GEN_SITE]];
	tr->stop_before = true;
	*f->r12 = TR_EXIT_UNWOUND;
	*f->rip = (u64)(unsigned long)tr->exit_saved;
}

/*
 * A guest instruction itself has faulted: a page of guest memory that is gone, a non-canonical address, an unmasked
 * x87 or SSE exception. Nothing of it is done; the interpreter executes it and finds out what it is.
 */
bool tr_fixup(struct soft_vcpu *sv, const struct host_fault *f)
{
	struct tr_state *tr = &sv->tr;
	const u8 *rip = (const u8 *)(unsigned long)*f->rip;
	struct tr_block *t;
	unsigned k, n;

	if (!tr->ready || rip < tr->thunk_stack_read || rip >= tr->code.rx + tr->used)
		return false;
	if (rip < tr->code.rx + tr->stubs_end) {
		fix_stack_look_up(sv, f);
		return true;
	}
	t = block_at(tr, rip);
	if (!t || rip >= t->body + t->offset[t->nr])
		return false;
	for (k = 0; k + 1 < t->nr && rip >= t->body + t->offset[k + 1]; k++)
		;
	/* Whichever exit is taken, it leaves the flags in the cell. */
	tr->stop_site = (struct tr_site){ .tr = t, .insn = (u16)k, .kind = SITE_INSN, .flags_saved = true };
	tr->stop_site.offset = (u16)(t->block->gpa & ~X86_PAGE_MASK);
	for (n = 0; n < k; n++)
		tr->stop_site.offset += t->block->insn[n].len;
	tr->stop_before = true;
	/* At the host's own REP, not at a look-up in front of it. */
	if (t->block->insn[k].flags & INSN_STRING && *rip == 0xf3) {
		*f->rip = (u64)(unsigned long)tr->exit_string;
		return true;
	}
	*f->r12 = TR_EXIT_UNWOUND;
	*f->rip = (u64)(unsigned long)(t->saved_in >> k & 1 ? tr->exit_saved : tr->exit_native);
	return true;
}
