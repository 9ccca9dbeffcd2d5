/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Near branches, the stack, and how a block passes control on. */
#include "front.h"

#define REQUESTS (offsetof(struct vcpu, requests) - offsetof(struct vcpu, state))

static u64 linear_constant(const struct front *f, s64 offset)
{
	u64 lin = f->lin + (u64)offset;

	return f->m32 ? (u32)lin : lin;
}

static bool sign_extended(u64 value)
{
	return value == (u64)(s64)(s32)value;
}

void tr_linear(struct front *f, unsigned reg, s64 offset)
{
	if (f->fixed) {
		emit_mov_imm(&f->e, reg, linear_constant(f, offset));
		return;
	}
	emit_load_near(&f->e, reg, f->sv->tr.code.rx + 8 * f->b->page->cell);
	if (f->m32) {
		if (offset)
			emit_rm(&f->e, false, 0x8d, reg,
				(struct emit_mem){ .base = (u8)reg, .index = NOREG, .disp = (s32)offset });
		return;
	}
	if (offset == (s32)offset) {
		if (offset)
			emit_lea(&f->e, reg, (struct emit_mem){ .base = (u8)reg, .index = NOREG, .disp = (s32)offset });
		return;
	}
	emit_lea(&f->e, reg, (struct emit_mem){ .base = (u8)reg, .index = NOREG, .disp = 0x7fffffff });
	emit_lea(&f->e, reg, (struct emit_mem){ .base = (u8)reg, .index = NOREG, .disp = (s32)(offset - 0x7fffffff) });
}

/* cmp dword gs:[requests], 0 */
void tr_emit_test_requests(struct emit *e)
{
	emit8(e, 0x65), emit8(e, 0x83), emit8(e, 0x3c), emit8(e, 0x25);
	emit32(e, REQUESTS);
	emit8(e, 0);
}

/* jrcxz reaches a byte far, and leaves the flags alone. */
u8 *tr_emit_leave_if_requests(struct emit *e)
{
	u8 *leave;

	emit_mov_rr(e, X86_R12, X86_RCX);
	emit_rm(e, false, 0x8b, X86_RCX, GS_MEM(REQUESTS));
	emit8(e, 0xe3), emit8(e, 3 + 5);
	emit_mov_rr(e, X86_RCX, X86_R12);
	leave = emit_jmp(e, emit_here(e));
	emit_mov_rr(e, X86_RCX, X86_R12);
	return leave;
}

void tr_exit_if(struct front *f, u8 *jump, u32 site, bool saved)
{
	f->exit[f->nr_exits++] = (struct exit_part){ .jump = jump, .site = site, .saved = saved };
}

void tr_emit_exits(struct front *f)
{
	struct emit *e = &f->e;
	unsigned n;

	for (n = 0; n < f->nr_exits; n++) {
		const struct exit_part *x = &f->exit[n];

		emit_patch(e, x->jump, emit_here(e));
		emit_mov_imm(e, X86_R12, x->site);
		emit_jmp_far(e, x->saved ? f->sv->tr.exit_saved : f->sv->tr.exit_native);
	}
}

enum { ALWAYS = 16 };

/*
 * Go to the block at that offset of this page, on a condition or always. The jump first leads out, to the dispatcher, which
 * patches it when the target has been translated.
 */
static void link_to(struct front *f, unsigned cond, unsigned target)
{
	struct emit *e = &f->e;
	struct tr_state *tr = &f->sv->tr;
	bool backward = target <= f->offset, saved = f->flags == FLAGS_SAVED;
	u32 site;
	u8 *jump;

	if (f->repeat && target == (f->b->gpa & ~X86_PAGE_MASK)) {
		if (cond != ALWAYS)
			emit_jcc(e, cond, f->repeat);
		else
			emit_jmp(e, f->repeat);
		return;
	}
	site = tr_new_site(f, SITE_LINK);
	tr->site[site].offset = (u16)target;
	tr->site[site].backward = backward;
	tr->site[site].flags_dead = !f->landed && !(f->live >> f->b->nr & 1);
	if (backward && saved) {
		tr_emit_test_requests(e);
		tr_exit_if(f, emit_jcc(e, 5, emit_here(e)), site, saved);
	}
	if (cond != ALWAYS)
		jump = emit_jcc(e, cond, emit_here(e));
	else
		jump = f->calls ? emit_call_near(e, emit_here(e)) : emit_jmp(e, emit_here(e));
	tr->site[site].jump = jump;
	tr_exit_if(f, jump, site, saved);
}

void tr_emit_enter(struct emit *e, s32 disp, bool call, bool forward, const u8 *out, u8 *way[2])
{
	struct emit_mem entry = { .base = X86_R12, .index = NOREG };

	entry.disp = disp + (s32)offsetof(struct hash_entry, lin);
	emit_rm(e, true, 0x3b, X86_R13, entry); /* cmp r13, [r12 + lin] */
	way[0] = emit_jcc(e, COND_NE, out);
	way[1] = NULL;
	if (!forward) {
		tr_emit_test_requests(e);
		way[1] = emit_jcc(e, COND_NE, out);
	}
	entry.disp = disp + (s32)offsetof(struct hash_entry, code);
	emit_rm(e, false, 0xff, call ? 2 : 4, entry); /* call or jmp [r12 + code] */
}

/*
 * Go to the linear address in r13, by the hash table, whose entry is at r12 + disp. Flags are saved. A direct branch forward
 * needs no look at requests, as no loop consists of such alone (but where addresses wrap at 4 GiB).
 */
static void enter_by(struct front *f, s32 disp, bool indirect, bool forward)
{
	u8 *way[2];

	tr_emit_enter(&f->e, disp, f->calls, forward, f->sv->tr.exit_lookup, way);
	if (!f->m32 && indirect) {
		memcpy(f->indirect, way, sizeof(way));
		f->indirect_site = tr_new_site(f, SITE_INDIRECT);
	}
	f->ended = true;
}

static void look_up(struct front *f, bool indirect, bool forward)
{
	tr_save_flags_after(f);
	emit_hash_entry(&f->e);
	enter_by(f, 0, indirect, forward);
}

/* To that offset from the page's start, elsewhere. Where the page has one address the entry's place is known. */
static void look_up_offset(struct front *f, s64 target)
{
	bool forward = target > (s64)f->offset && !f->m32;

	tr_save_flags_after(f);
	tr_linear(f, X86_R13, target);
	if (!f->fixed) {
		look_up(f, false, forward);
		return;
	}
	emit_load(&f->e, X86_R12, GS_MEM(GEN(GEN_HASH)));
	enter_by(f, (s32)(hash_index(linear_constant(f, target)) << HASH_SHIFT), false, forward);
}

/* Is there an instruction that crosses the page's end, so far as is known? Such blocks are not linked to. */
static bool crossing_at(const struct front *f, s64 target)
{
	return f->b->before_crossing && target == (s64)((f->b->gpa & ~X86_PAGE_MASK) + f->b->len);
}

bool tr_linkable(const struct front *f, s64 target)
{
	return target >= 0 && target < (s64)X86_PAGE_SIZE && !crossing_at(f, target);
}

/* Out of line: the target may be no address at all, then the branch has to be undone (tr_run). */
void tr_emit_indirect_exit(struct front *f)
{
	if (!f->indirect[0])
		return;
	emit_patch(&f->e, f->indirect[0], emit_here(&f->e));
	emit_patch(&f->e, f->indirect[1], emit_here(&f->e));
	emit_mov_imm(&f->e, X86_R12, f->indirect_site);
	emit_jmp_far(&f->e, f->sv->tr.exit_saved);
}

/*
 * Let the code of the block at that offset follow, if it has none yet, so that control falls into it: past the look at requests,
 * and therefore never backward.
 */
static bool chain(struct front *f, unsigned target)
{
	struct soft_block *b;

	if (f->last || target <= f->offset)
		return false;
	b = soft_neighbour(f->sv, f->b, target);
	if (!b || b->tr)
		return false;
	f->next = b;
	f->ended = true;
	return true;
}

/* Control goes to that offset from the page's start, in it or elsewhere. */
static void go_to(struct front *f, s64 target)
{
	if (tr_linkable(f, target)) {
		link_to(f, ALWAYS, (unsigned)target);
	} else {
		look_up_offset(f, target);
	}
	f->ended = true;
}

/* The same at the end of the block's code. */
static void finally_go_to(struct front *f, s64 target)
{
	if (!tr_linkable(f, target) || !chain(f, (unsigned)target))
		go_to(f, target);
}

void tr_fall_through(struct front *f)
{
	finally_go_to(f, f->offset + f->i->len);
}

/* --- the stack ---------------------------------------------------------------------------------------------------- */

/* Stack slots, addresses of code and of the stack are f->word bytes wide. */
static void load_word(struct front *f, unsigned reg, struct emit_mem m)
{
	emit_rm(&f->e, !f->m32, 0x8b, reg, m);
}

static void store_word(struct front *f, unsigned reg, struct emit_mem m)
{
	emit_rm(&f->e, !f->m32, 0x89, reg, m);
}

/* The word that the immediate is when its sign is extended. */
static void store_immediate(struct front *f, u32 imm, struct emit_mem m)
{
	emit_rm(&f->e, !f->m32, 0xc7, 0, m);
	emit32(&f->e, imm);
}

static void lea_word(struct front *f, unsigned reg, unsigned base, s32 disp)
{
	emit_rm(&f->e, !f->m32, 0x8d, reg, (struct emit_mem){ .base = (u8)base, .index = NOREG, .disp = disp });
}

/*
 * Make the next stack slot writable; afterwards its host address is in r13 and r12 is free. The stack pointer moves by
 * pushed(), when nothing can fail any more.
 */
static void push_room(struct front *f)
{
	struct emit_mem m;

	tr_free_flags(f);
	lea_word(f, X86_R13, X86_R14, -f->word);
	m = tr_access_at(f, X86_R13, f->word, true);
	emit_lea(&f->e, X86_R13, m);
}

static void move_rsp(struct front *f, s32 delta)
{
	lea_word(f, X86_R14, X86_R14, delta);
}

#define AT_R13 ((struct emit_mem){ .base = X86_R13, .index = NOREG })

/* The slot that a push writes, and in *scratch the register of r12 and r13 that is free then. */
static struct emit_mem pushed_slot(struct front *f, u8 *scratch)
{
	struct emit_mem m;

	*scratch = X86_R13;
	if (tr_group_access(f, STACK, &m) || tr_lone_stack_access(f, -f->word, true, &m))
		return m;
	push_room(f);
	*scratch = X86_R12;
	return AT_R13;
}

/* The slot that the stack pointer, or another one in that host register, points to. */
static struct emit_mem top_slot(struct front *f, unsigned host)
{
	struct emit_mem m;

	if (tr_group_access(f, STACK, &m) || (host == X86_R14 && tr_lone_stack_access(f, 0, false, &m)))
		return m;
	return tr_access_at(f, host, f->word, false);
}

void tr_push_cell(struct front *f, enum gen_cell cell)
{
	u8 scratch;
	struct emit_mem m = pushed_slot(f, &scratch);

	emit_load(&f->e, scratch, GS_MEM(GEN(cell)));
	store_word(f, scratch, m);
	move_rsp(f, -f->word);
}

static bool push(struct front *f)
{
	const struct x86_insn *i = f->i;
	const struct x86_operand *o = &i->opnd[0];
	struct emit *e = &f->e;
	struct emit_mem m;
	u8 scratch, r;

	if (i->opsize != f->word)
		return false;
	if (o->kind == OPND_MEM) {
		m = tr_access(f, f->word, false);
		load_word(f, X86_R13, m);
		emit_store(e, X86_R13, GS_MEM(GEN(GEN_TARGET)));
		tr_push_cell(f, GEN_TARGET);
		return true;
	}
	m = pushed_slot(f, &scratch);
	if (o->kind == OPND_IMM) {
		store_immediate(f, (u32)i->imm, m);
	} else {
		r = tr_host_reg(o->reg);
		if (r == NOREG) {
			r = o->reg == f->cached ? X86_R13 : scratch;
			if (o->reg != f->cached)
				emit_load(e, scratch, GS_MEM(GPR(o->reg)));
		}
		store_word(f, r, m);
	}
	move_rsp(f, -f->word);
	f->keeps = true;
	return true;
}

static bool pop(struct front *f)
{
	const struct x86_insn *i = f->i;
	const struct x86_operand *o = &i->opnd[0];
	struct emit_mem m;
	u8 r;

	if (i->opsize != f->word || o->kind != OPND_GPR)
		return false;
	r = tr_host_reg(o->reg);
	m = top_slot(f, X86_R14);
	if (r == NOREG) {
		emit_load(&f->e, X86_R13, m);
		emit_store(&f->e, X86_R13, GS_MEM(GPR(o->reg)));
	} else {
		load_word(f, r, m);
	}
	if (o->reg != X86_RSP)
		move_rsp(f, f->word);
	f->keeps = true;
	return true;
}

static bool leave(struct front *f)
{
	if (f->i->opsize != f->word)
		return false;
	load_word(f, X86_R13, top_slot(f, X86_RBP));
	lea_word(f, X86_R14, X86_RBP, f->word);
	emit_mov_rr(&f->e, X86_RBP, X86_R13);
	f->keeps = true;
	return true;
}

/* --- branches --------------------------------------------------------------------------------------------------------- */

/* The offset in the page that a relative branch goes to. */
static s64 relative_target(const struct front *f)
{
	return (s64)f->offset + f->i->len + f->i->imm;
}

/* The target of an indirect branch to r13. Keeps flags, but for a memory operand's look-up. */
static void indirect_target(struct front *f)
{
	const struct x86_operand *o = &f->i->opnd[0];

	if (o->kind == OPND_MEM)
		load_word(f, X86_R13, tr_access(f, f->word, false));
	else if (tr_host_reg(o->reg) == NOREG)
		emit_load(&f->e, X86_R13, GS_MEM(GPR(o->reg)));
	else
		emit_mov_rr(&f->e, X86_R13, tr_host_reg(o->reg));
}

/*
 * Behind the host's CALL: the RET of the guest comes here, with its target in r13 and the flags saved. Mostly it is where the guest's
 * CALL said.
 */
static void land(struct front *f, s64 behind)
{
	const u8 *elsewhere = f->sv->tr.return_lookup;
	struct emit *e = &f->e;

	f->held = 0;
	f->flags = FLAGS_SAVED;
	f->ended = true;
	if (!tr_linkable(f, behind)) {
		emit_jmp(e, elsewhere);
		return;
	}
	if (f->fixed && sign_extended(linear_constant(f, behind))) {
		emit_alu_imm64(e, ALU_CMP, X86_R13, (s32)linear_constant(f, behind));
	} else {
		tr_linear(f, X86_R12, behind);
		emit_rr(e, true, 0x39, X86_R12, X86_R13); /* cmp r13, r12 */
	}
	emit_jcc(e, 5, elsewhere);
	f->landed = true;
	finally_go_to(f, behind);
}

/* To a relative call's target, or that in its cell. */
static void call_to(struct front *f, s64 target)
{
	f->calls = !f->m32;
	if (f->i->opnd[0].kind == OPND_REL) {
		if (f->m32)
			finally_go_to(f, target);
		else
			go_to(f, target);
	} else {
		tr_save_flags_after(f);
		emit_load(&f->e, X86_R13, GS_MEM(GEN(GEN_TARGET)));
		look_up(f, true, false);
	}
	f->calls = false;
}

static bool call(struct front *f)
{
	const struct x86_insn *i = f->i;
	bool relative = i->opnd[0].kind == OPND_REL;
	s64 behind = (s64)f->offset + i->len;
	struct emit_mem m;
	u8 scratch;

	if (i->opsize != f->word)
		return false;
	if (!relative) {
		indirect_target(f);
		emit_store(&f->e, X86_R13, GS_MEM(GEN(GEN_TARGET)));
	}
	m = pushed_slot(f, &scratch);
	if (!relative && !f->m32) {
		emit_load(&f->e, scratch, m);
		emit_store(&f->e, scratch, GS_MEM(GEN(GEN_OVERWRITTEN)));
	}
	if (!f->m32) /* the end of the host's stack is found before anything has been done */
		emit_load(&f->e, scratch, (struct emit_mem){ .base = X86_RSP, .index = NOREG, .disp = PAIRS_PROBE });
	if (f->fixed && (f->m32 || sign_extended(linear_constant(f, behind)))) {
		store_immediate(f, (u32)linear_constant(f, behind), m);
	} else {
		tr_linear(f, scratch, behind);
		store_word(f, scratch, m);
	}
	move_rsp(f, -f->word);
	call_to(f, relative ? relative_target(f) : 0);
	if (!f->m32)
		land(f, behind);
	return true;
}

static bool jump(struct front *f)
{
	if (f->i->opsize != f->word)
		return false;
	if (f->i->opnd[0].kind == OPND_REL) {
		finally_go_to(f, relative_target(f));
		return true;
	}
	indirect_target(f);
	look_up(f, true, false);
	return true;
}

/*
 * To the place behind the host's CALL that is due, with the guest's target in r13. There is no look at requests if that is the right
 * one: what goes on behind each call, never back by a jump or a call, comes to an end.
 */
static void return_to_pair(struct front *f)
{
	struct emit *e = &f->e;

	tr_save_flags_after(f);
	emit_rm(e, false, 0xc7, 0, GS_MEM(GEN(GEN_SITE)));
	emit32(e, tr_new_site(f, SITE_INDIRECT));
	emit8(e, 0xc3);
	f->ended = true;
}

static bool ret(struct front *f)
{
	if (f->i->opsize != f->word)
		return false;
	load_word(f, X86_R13, top_slot(f, X86_R14));
	move_rsp(f, f->word + (s32)(f->i->nr_operands ? (u16)f->i->imm : 0));
	if (f->m32)
		look_up(f, true, false);
	else
		return_to_pair(f);
	return true;
}

static bool conditional(struct front *f)
{
	enum flags_at flags;
	u8 *taken;

	if (f->i->opsize != f->word)
		return false;
	tr_native_flags(f);
	if (tr_linkable(f, relative_target(f))) {
		link_to(f, f->i->cond, (unsigned)relative_target(f));
		tr_fall_through(f);
		return true;
	}
	taken = emit_jcc(&f->e, f->i->cond, emit_here(&f->e));
	flags = f->flags;
	go_to(f, f->offset + f->i->len);
	f->flags = flags;
	emit_patch(&f->e, taken, emit_here(&f->e));
	finally_go_to(f, relative_target(f));
	return true;
}

/*
 * JCXZ, and LOOP, which is a decrement without flags and a JCXZ past the branch. The host's JECXZ and JRCXZ reach a byte
 * far: they jump over a jump.
 */
static bool count_jump(struct front *f)
{
	const struct x86_insn *i = f->i;
	bool loop = i->op == X86_OP_LOOP, wide = i->adsize == 8;
	struct emit *e = &f->e;
	enum flags_at flags = f->flags;
	u8 *other;

	if (i->opsize != f->word || i->adsize == 2)
		return false;
	if (loop)
		emit_rm(e, wide, 0x8d, X86_RCX, (struct emit_mem){ .base = X86_RCX, .index = NOREG, .disp = -1 });
	if (!wide)
		emit8(e, 0x67);
	emit8(e, 0xe3), emit8(e, 5); /* over the jmp rel32 */
	other = emit_jmp(e, emit_here(e));
	/* rcx is 0 here. */
	go_to(f, loop ? f->offset + i->len : relative_target(f));
	f->flags = flags;
	emit_patch(e, other, emit_here(e));
	go_to(f, loop ? relative_target(f) : f->offset + i->len);
	return true;
}

bool tr_branch(struct front *f)
{
	switch (f->i->op) {
	case X86_OP_JCC: return conditional(f);
	case X86_OP_JCXZ:
	case X86_OP_LOOP: return count_jump(f);
	case X86_OP_JMP_NEAR: return jump(f);
	case X86_OP_CALL_NEAR: return call(f);
	case X86_OP_RET_NEAR: return ret(f);
	case X86_OP_PUSH: return push(f);
	case X86_OP_POP: return pop(f);
	case X86_OP_LEAVE: return leave(f);
	default: return false;
	}
}
