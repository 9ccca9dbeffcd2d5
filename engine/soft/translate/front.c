/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Translation of one block: instruction after instruction. */
#include "front.h"
#include "lockstep.h"
#include "trace.h"

void tr_helper(struct front *f)
{
	struct tr_state *tr = &f->sv->tr;
	u32 site = tr_new_site(f, SITE_INSN);

	emit_mov_imm(&f->e, X86_R12, site);
	emit_call(&f->e, f->flags == FLAGS_SAVED ? tr->thunk_exec_saved : tr->thunk_exec);
	f->flags = FLAGS_NATIVE;
	f->ended = f->i->flags & (INSN_BRANCH | INSN_END | INSN_SHADOW);
}

/* VZEROUPPER and VZEROALL. In 32-bit code they leave half of the host's registers alone. */
static bool vzero(struct front *f)
{
	if (f->m32 || !tr_fpu_ok(f))
		return false;
	emit8(&f->e, 0xc5), emit8(&f->e, f->i->op == X86_OP_VZEROALL ? 0xfc : 0xf8), emit8(&f->e, 0x77);
	return true;
}

static void translate_insn(struct front *f)
{
	switch (f->i->op) {
	case X86_OP_VZEROUPPER:
	case X86_OP_VZEROALL:
		if (vzero(f))
			return;
		break;
	case X86_OP_NOP:
	case X86_OP_PREFETCH: f->keeps = f->caches = true; return;
	default:
		if (tr_branch(f) || tr_system(f) || tr_string(f) || tr_vector(f) || tr_copy(f))
			return;
	}
	tr_helper(f);
}

/* --- the block -------------------------------------------------------------------------------------------------- */

/* A look at requests at the block's start, where the flags are saved, or dead. */
static void leave_on_requests(struct front *f, bool flags_dead)
{
	u32 site = tr_new_site(f, SITE_LINK);

	f->sv->tr.site[site].flags_dead = flags_dead;
	tr_emit_test_requests(&f->e);
	tr_exit_if(f, emit_jcc(&f->e, COND_NE, emit_here(&f->e)), site, true);
}

/* The kick entry of a block that wants saved flags, or none. */
static void emit_kick(struct front *f)
{
	struct emit *e = &f->e;
	bool live = f->live & 1;

	f->tr->kick = emit_here(e);
	if (live)
		tr_emit_save(e);
	f->flags = live ? FLAGS_SAVED : FLAGS_NATIVE;
	leave_on_requests(f, !live);
}

/* The entries but the native one of a block that wants native flags: its code follows, or is jumped to. */
static void emit_native_kick(struct front *f)
{
	struct emit *e = &f->e;
	u8 *leave;
	u32 site;

	if (!f->tr->saved) {
		f->tr->saved = emit_here(e);
		tr_emit_restore(e);
	}
	f->flags = FLAGS_NATIVE;
	site = tr_new_site(f, SITE_LINK);
	f->tr->kick = emit_here(e);
	leave = tr_emit_leave_if_requests(e);
	tr_exit_if(f, leave, site, false);
}

static bool native_first(const struct front *f)
{
	return f->live & 1 && tr_first_form(f->b) == FLAGS_NATIVE;
}

/*
 * Entries. kick: for backward links, native flags, looks at requests. saved: flags in GEN_FLAGS. native.
 * Where flags are dead at the start all is simple; else they have to be put into the form that each part needs. A block that
 * would save them first is entered with saved flags, and the native entry is that at which they are saved.
 */
static void emit_entries(struct front *f)
{
	struct tr_block *t = f->tr;

	if (native_first(f)) {
		emit_native_kick(f);
		t->native = emit_here(&f->e);
		return;
	}
	emit_kick(f);
	t->saved = emit_here(&f->e);
	t->native = f->live & 1 ? t->kick : t->saved;
}

/*
 * Entries of a block that control falls into. It has been run less often than the block in front of it, so it is no loop's
 * head: what would stand in the way is emitted behind the chain (emit_far_entries).
 */
static void emit_chained_entries(struct front *f, enum flags_at from)
{
	struct emit *e = &f->e;
	struct tr_block *t = f->tr;

	if (!(f->live & 1)) {
		f->flags = FLAGS_NATIVE;
		t->saved = t->native = emit_here(e);
		return;
	}
	f->flags = tr_first_form(f->b);
	if (f->flags == FLAGS_SAVED) {
		if (from == FLAGS_NATIVE) {
			t->native = emit_here(e);
			tr_emit_save(e);
		}
		t->saved = emit_here(e);
	} else {
		if (from == FLAGS_SAVED) {
			t->saved = emit_here(e);
			tr_emit_restore(e);
		}
		t->native = emit_here(e);
	}
}

static void emit_far_entries(struct front *f)
{
	struct tr_block *t = f->tr;

	if (t->kick)
		return;
	f->k = 0;
	f->offset = f->b->gpa & ~X86_PAGE_MASK;
	if (native_first(f)) {
		emit_native_kick(f);
		emit_jmp(&f->e, t->native);
		return;
	}
	emit_kick(f);
	if (!t->native)
		t->native = t->kick;
	emit_jmp(&f->e, t->saved);
}

/* --- chains -------------------------------------------------------------------------------------------------------- */

/* Where the block keeps this translation. */
static struct tr_block **place_of(const struct front *f)
{
	return f->plain ? &f->b->plain : &f->b->tr;
}

/* NULL: no room. */
static struct tr_block *new_tr_block(struct tr_state *tr, const struct soft_block *b)
{
	struct tr_block *t = (void *)(tr->meta + tr->meta_used);
	size_t meta = (sizeof(*t) + (b->nr + 1u) * sizeof(t->offset[0]) + 15) & ~(size_t)15;

	if (tr->meta_used + meta > TR_META_SIZE || tr->nr_blocks == TR_MAX_BLOCKS)
		return NULL;
	tr->meta_used += meta;
	tr->order[tr->nr_blocks++] = t;
	return t;
}

/* t: to become its translation. */
static void begin_block(struct front *f, struct soft_vcpu *sv, struct soft_block *b, struct tr_block *t,
			const struct emit *e, bool plain)
{
	memset(f, 0, offsetof(struct front, slow));
	f->e = *e;
	f->sv = sv;
	f->b = b;
	f->tr = t;
	f->plain = plain;
	f->fixed = !b->page->cell;
	f->lin = b->page->lin;
	f->m32 = b->mode == X86_MODE_PROT32;
	f->word = f->m32 ? 4 : 8;
	f->offset = b->gpa & ~X86_PAGE_MASK;
	f->cached = NOREG;
	f->i = b->insn;
	*t = (struct tr_block){ .block = b, .page_offset = (u16)f->offset, .mode = b->mode, .crossing = b->page2 };
	t->lin = tr_address_in(b->page);
	if (plain)
		f->live = b->tr->live;
	else
		tr_liveness(f);
	t->live = f->live;
	tr_make_groups(f);
	*place_of(f) = t;
}

/* The head of a loop's turns: the flags are dead there. */
static void emit_repeat(struct front *f)
{
	f->held = 0;
	f->cached = NOREG;
	f->repeat = emit_here(&f->e);
	leave_on_requests(f, true);
}

static void emit_block(struct front *f)
{
	struct soft_block *b = f->b;
	struct tr_block *t = f->tr;

	if (unlikely(f->sv->tr.lockstep))
		lockstep_emit_hook(f);
	t->body = emit_here(&f->e);
	for (f->k = 0; f->k < b->nr && !f->ended; f->k++) {
		f->i = &b->insn[f->k];
		t->offset[f->k] = (u32)(emit_here(&f->e) - t->body);
		if (f->flags == FLAGS_SAVED) {
			t->saved_in |= 1u << f->k;
			t->saved_at |= 1u << f->k;
		}
		if (!f->k && tr_look_up_ahead(f))
			emit_repeat(f);
		tr_look_up_groups(f);
		f->keeps = f->caches = f->crosses = false;
		translate_insn(f);
		if (!f->keeps || f->crosses)
			f->held = 0;
		if (!f->caches || f->crosses)
			f->cached = NOREG;
		f->last_end = emit_here(&f->e);
		if (f->k + 1 == b->nr && !f->ended)
			tr_fall_through(f);
		f->offset += f->i->len;
	}
	t->offset[f->k] = (u32)(emit_here(&f->e) - t->body);
	t->nr = (u16)f->k;
	t->end = emit_here(&f->e);
}

static void emit_cold_parts(struct front *f)
{
	f->tr->cold = emit_here(&f->e);
	emit_far_entries(f);
	tr_emit_exits(f);
	tr_emit_slow_parts(f);
	tr_emit_indirect_exit(f);
	tr_emit_asides(f);
	f->tr->cold_end = emit_here(&f->e);
}

/* Nothing of the chain has been emitted. */
static void give_up(struct tr_state *tr, struct front *chain, unsigned n)
{
	while (n-- > 0) {
		*place_of(&chain[n]) = NULL;
		tr->meta_used = (size_t)((u8 *)chain[n].tr - tr->meta);
		tr->nr_blocks--;
	}
	tr->full = true;
}

#define CHAIN_MAX 4
/* No instruction takes more with all its parts, entries and exits (tests/translate looks), so room is looked at once. */
#define CHAIN_ROOM (CHAIN_MAX * BLOCK_MAX_INSNS * TR_INSN_ROOM)

/* --- over what was there ------------------------------------------------------------------------------------------- */

/* All from start on is t's. */
static void give_room(struct tr_state *tr, struct tr_block *t, const u8 *start, u32 first_site)
{
	t->start = start;
	t->room = (u32)(tr->code.rx + tr->used - start);
	t->first_site = first_site;
	t->end_site = tr->nr_sites;
}

/* Code that has been written through another linear address is fetched anew. SDM, "Self-Modifying Code"; IRET serializes. */
static void serialize(void)
{
	unsigned long stack, t;

	asm volatile("mov %%rsp, %0\n\t"
		     "lea -128(%%rsp), %%rsp\n\t" /* the red zone */
		     "mov %%ss, %k1\n\t"
		     "push %1\n\t"
		     "push %0\n\t"
		     "pushf\n\t"
		     "mov %%cs, %k1\n\t"
		     "push %1\n\t"
		     "lea 1f(%%rip), %1\n\t"
		     "push %1\n\t"
		     "iretq\n"
		     "1:"
		     : "=&r"(stack), "=&r"(t)
		     :
		     : "memory", "cc");
}

/* The code of t was emitted at from, for the place that it moves to. */
static void move_code(struct tr_state *tr, const struct tr_block *t, const u8 *from, size_t size)
{
	u8 *to = tr->code.rw + (t->start - tr->code.rx);
	u32 n;

	memcpy(to, from, size);
	for (n = t->first_site; n < t->end_site; n++)
		if (tr->site[n].jump)
			tr->site[n].jump += to - from;
	serialize();
}

/*
 * A JIT writes its next function, or the same one with another constant, where the last was: mostly the code of it fits where that
 * one's is, which is at hand in the caches. It is emitted behind all other code, as its size is known at the end only.
 * False: it does not fit.
 */
static bool translate_over(struct soft_vcpu *sv, struct soft_block *b, struct tr_block *t)
{
	struct tr_state *tr = &sv->tr;
	struct tr_block was = *t;
	u8 *from = tr->code.rw + tr->used;
	struct emit e = { .p = from, .to_rx = was.start - from };
	u32 sites = tr->nr_sites;
	struct front f;
	bool fits;

	if (!was.room || b->nr > was.nr || tr->used + CHAIN_ROOM > tr->code.size)
		return false;
	tr->nr_sites = was.first_site;
	tr->end_sites = was.end_site;
	begin_block(&f, sv, b, t, &e, false);
	f.last = true;
	emit_entries(&f);
	emit_block(&f);
	emit_cold_parts(&f);
	fits = !f.failed && f.e.p - from <= was.room;
	t->start = was.start;
	t->room = was.room;
	t->first_site = was.first_site;
	t->end_site = tr->nr_sites;
	tr->nr_sites = sites;
	tr->end_sites = TR_MAX_SITES;
	if (fits) {
		move_code(tr, t, from, (size_t)(f.e.p - from));
		t->end_site = was.end_site;
		tr->stat.blocks++;
		tr->stat.reused++;
		if (unlikely(tr->traces))
			tr_trace_block(sv, t);
	} else {
		*t = was;
		b->tr = NULL;
	}
	return fits;
}

/* --- a block and what follows it ----------------------------------------------------------------------------------- */

/* Blocks that control falls into are translated along, their code follows directly; but none of a plain one. */
static bool translate(struct soft_vcpu *sv, struct soft_block *b, bool plain)
{
	struct tr_state *tr = &sv->tr;
	struct front chain[CHAIN_MAX];
	struct emit e = { .p = tr->code.rw + tr->used, .to_rx = tr->code.rx - tr->code.rw };
	bool failed = tr->used + CHAIN_ROOM > tr->code.size;
	const u8 *start = emit_here(&e);
	u32 sites = tr->nr_sites;
	unsigned n = 0, k;

	while (b && !failed) {
		struct front *f = &chain[n];
		struct tr_block *t = new_tr_block(tr, b);

		failed = !t;
		if (failed)
			break;
		begin_block(f, sv, b, t, &e, plain);
		f->last = ++n == CHAIN_MAX || plain;
		if (n == 1)
			emit_entries(f);
		else
			emit_chained_entries(f, f[-1].flags);
		emit_block(f);
		e = f->e;
		b = f->next;
		failed = f->failed;
	}
	for (k = 0; k < n; k++) {
		chain[k].e = e;
		emit_cold_parts(&chain[k]);
		e = chain[k].e;
		failed |= chain[k].failed;
	}
	if (failed) {
		tr->nr_sites = sites;
		give_up(tr, chain, n);
		return false;
	}
	tr->used = ((size_t)(e.p - tr->code.rw) + 15) & ~(size_t)15;
	if (n == 1)
		give_room(tr, chain[0].tr, start, sites);
	tr->stat.blocks += n;
	tr->stat.bytes = tr->used;
	for (k = 0; unlikely(tr->traces) && k < n; k++)
		tr_trace_block(sv, chain[k].tr);
	return true;
}

bool tr_translate(struct soft_vcpu *sv, struct soft_block *b)
{
	struct tr_block *stale = b->stale;

	b->stale = NULL;
	return (stale && translate_over(sv, b, stale)) || translate(sv, b, false);
}

#define RESTORE_ROOM 64

const u8 *tr_plain_code(struct soft_vcpu *sv, struct soft_block *b, unsigned k)
{
	struct tr_state *tr = &sv->tr;
	struct emit e = { .p = tr->code.rw, .to_rx = tr->code.rx - tr->code.rw };
	const struct tr_block *t;
	const u8 *entry;

	if ((!b->plain || b->plain->lin != b->tr->lin) && !translate(sv, b, true))
		return NULL;
	t = b->plain;
	if (t->saved_at >> k & 1 || !(t->live >> k & 1))
		return t->body + t->offset[k];
	if (tr->used + RESTORE_ROOM > tr->code.size) {
		tr->full = true;
		return NULL;
	}
	e.p += tr->used;
	entry = emit_here(&e);
	tr_emit_restore(&e);
	emit_jmp(&e, t->body + t->offset[k]);
	tr->used = (size_t)(e.p - tr->code.rw);
	return entry;
}
