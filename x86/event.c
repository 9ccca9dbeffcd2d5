/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Events: delivery through the interrupt table, escalation, and the way back (IRET).
 * SDM volume 3, "Interrupt and Exception Handling", "8086 Emulation"; volume 2, INT n and IRET.
 */
#include "desc.h"

/* --- classification -------------------------------------------------------------------------------- */

enum exc_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT };

static enum exc_class class_of(unsigned vector)
{
	switch (vector) {
	case X86_EXC_DE:
	case X86_EXC_TS:
	case X86_EXC_NP:
	case X86_EXC_SS:
	case X86_EXC_GP:
	case X86_EXC_CP: return CLASS_CONTRIBUTORY;
	case X86_EXC_PF:
	case X86_EXC_VE: return CLASS_PAGE_FAULT;
	default: return CLASS_BENIGN;
	}
}

enum x86_result x86_combine_events(const struct x86_event *first, const struct x86_event *second, struct x86_event *out)
{
	enum exc_class a, b;

	*out = *second;
	/* Interrupts and software events are benign: what happens on the way to their handler stands alone. */
	if (first->type != X86_EVENT_EXC || second->type != X86_EVENT_EXC)
		return X86_OK;
	if (first->vector == X86_EXC_DF)
		return X86_SHUTDOWN;
	a = class_of(first->vector);
	b = class_of(second->vector);
	if (b == CLASS_BENIGN || a == CLASS_BENIGN || (a == CLASS_CONTRIBUTORY && b == CLASS_PAGE_FAULT))
		return X86_OK;
	*out = (struct x86_event){ .type = X86_EVENT_EXC, .vector = X86_EXC_DF, .has_error = true };
	return X86_OK;
}

/* INT n, INT3, INTO: checked against the gate's DPL. */
static bool is_software(const struct x86_event *ev)
{
	return ev->type == X86_EVENT_SOFT_INT || ev->type == X86_EVENT_SOFT_EXC;
}

bool x86_pushes_rf(const struct x86_event *ev)
{
	const u32 not_fault = BIT(X86_EXC_DB) | BIT(X86_EXC_NMI) | BIT(X86_EXC_BP) | BIT(X86_EXC_OF) | BIT(X86_EXC_DF) |
			      BIT(X86_EXC_MC);

	return ev->type == X86_EVENT_EXC && ev->vector < 32 && !(not_fault >> ev->vector & 1);
}

static u64 pushed_flags(const struct x86_state *s, const struct x86_event *ev)
{
	return s->rflags | (x86_pushes_rf(ev) ? RFLAGS_RF : 0);
}

/* --- real mode, and virtual-8086 mode without a monitor ------------------------------------------------ */

/* Push FLAGS, CS, IP and enter the handler of vector in the table of real mode at linear address base. */
static enum x86_result enter_ivt(struct x86_state *s, const struct x86_event *ev, u64 base, u64 flags)
{
	u64 word[3] = { flags, s->seg[SEG_CS].sel, x86_next_rip(s, ev->insn_len) };
	struct x86_stack st;
	enum x86_result r;
	u64 target;

	r = x86_read_sys(s, base + ev->vector * 4, 4, &target);
	if (r != X86_OK)
		return r;
	x86_current_stack(s, &st);
	r = x86_push_frame(s, &st, word, 3, 2, 0);
	if (r != X86_OK)
		return r;
	x86_set_sp(s, st.sp, false);
	x86_commit_cs_real(s, target >> 16, target & 0xffff);
	return X86_OK;
}

static enum x86_result deliver_real(struct x86_state *s, const struct x86_event *ev)
{
	enum x86_result r;

	if (ev->vector * 4 + 3 > s->idt.limit)
		return x86_raise_error(s, X86_EXC_GP, ev->vector * 8 + 2);
	r = enter_ivt(s, ev, s->idt.base, s->rflags);
	if (r == X86_OK)
		x86_set_rflags(s, s->rflags & ~(u64)(RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF));
	return r;
}

/*
 * INT n in virtual-8086 mode: may it go on (*redirect: to the 8086 program's own handler)? SDM, "Interrupt
 * and Exception Handling in Virtual-8086 Mode", the table of methods.
 */
static enum x86_result vm86_int_method(struct x86_state *s, unsigned vector, bool *redirect)
{
	enum x86_result r;
	u64 iomap, bits;

	*redirect = false;
	if (s->cr4 & CR4_VME) {
		if (!(SEG_TYPE(s->tr.attr) & 8) || s->tr.limit < 103)
			return x86_raise_error(s, X86_EXC_GP, 0);
		r = x86_read_sys(s, s->tr.base + 102, 2, &iomap);
		if (r != X86_OK)
			return r;
		/* The redirection bit map is the 32 bytes below the I/O permission bit map. */
		iomap += vector / 8;
		if (iomap < 32 || iomap - 32 > s->tr.limit)
			return x86_raise_error(s, X86_EXC_GP, 0);
		r = x86_read_sys(s, s->tr.base + iomap - 32, 1, &bits);
		if (r != X86_OK)
			return r;
		*redirect = !(bits >> (vector & 7) & 1);
	}
	if (!*redirect && x86_iopl(s) < 3)
		return x86_raise_error(s, X86_EXC_GP, 0);
	return X86_OK;
}

static enum x86_result deliver_redirected(struct x86_state *s, const struct x86_event *ev)
{
	u64 flags = s->rflags, clear = RFLAGS_TF | RFLAGS_RF;
	enum x86_result r;

	if (x86_iopl(s) < 3) {
		/* The program sees its virtual interrupt flag as IF, and IOPL 3. */
		flags = (flags & ~(u64)RFLAGS_IF) | RFLAGS_IOPL | (flags & RFLAGS_VIF ? RFLAGS_IF : 0);
		clear |= RFLAGS_VIF;
	} else {
		clear |= RFLAGS_IF;
	}
	r = enter_ivt(s, ev, 0, flags);
	if (r == X86_OK)
		x86_set_rflags(s, s->rflags & ~clear);
	return r;
}

/* --- protected mode ---------------------------------------------------------------------------------- */

struct gate {
	u64 offset;
	u16 sel;
	u8 type; /* enum x86_sys_type */
	u8 ist;
	u8 word; /* bytes of each pushed value */
};

static enum x86_result read_gate(struct x86_state *s, const struct x86_event *ev, struct gate *g)
{
	unsigned size = x86_lma(s) ? 16 : 8;
	u32 err = ev->vector * 8 + 2;
	u64 at = s->idt.base + ev->vector * size, raw, high = 0;
	enum x86_result r;
	u8 access;
	bool ok;

	if (ev->vector * size + size - 1 > s->idt.limit)
		return x86_raise_error(s, X86_EXC_GP, err);
	r = x86_read_sys(s, at, 8, &raw);
	if (r == X86_OK && size == 16)
		r = x86_read_sys(s, at + 8, 8, &high);
	if (r != X86_OK)
		return r;
	access = raw >> 40;
	g->type = access & 0xf;
	ok = !(access & SEG_S);
	if (size == 16)
		ok &= g->type == SYS_INT_GATE || g->type == SYS_TRAP_GATE;
	else
		ok &= g->type == SYS_TASK_GATE || (g->type & 7) == SYS_INT_GATE16 || (g->type & 7) == SYS_TRAP_GATE16;
	if (!ok || (is_software(ev) && SEG_DPL(access) < s->cpl))
		return x86_raise_error(s, X86_EXC_GP, err);
	if (!(access & SEG_P))
		return x86_raise_error(s, X86_EXC_NP, err);
	g->sel = raw >> 16;
	g->offset = (raw & 0xffff) | (raw >> 32 & 0xffff0000) | high << 32;
	g->ist = size == 16 ? raw >> 32 & 7 : 0;
	g->word = size == 16 ? 8 : g->type & 8 ? 4 : 2;
	if (g->word == 2)
		g->offset &= 0xffff;
	return X86_OK;
}

/* The handler's code segment, and the level it runs at. */
static enum x86_result check_handler(struct x86_state *s, const struct gate *g, struct x86_desc *d, unsigned *cpl)
{
	enum x86_result r = x86_read_code(s, g->sel, X86_EXC_GP, d);
	unsigned dpl;

	if (r != X86_OK)
		return r;
	dpl = x86_desc_dpl(d);
	*cpl = x86_desc_conforming(d) ? s->cpl : dpl;
	if (dpl > s->cpl || (x86_lma(s) && !(x86_desc_attr(d) & SEG_L)))
		return x86_raise_error(s, X86_EXC_GP, SEL_ERR(g->sel));
	/* Virtual-8086 mode is left to level 0 only. */
	if (s->mode == X86_MODE_VM86 && *cpl != 0)
		return x86_raise_error(s, X86_EXC_GP, SEL_ERR(g->sel));
	return x86_check_code(s, d, X86_EXC_GP);
}

static unsigned build_frame(struct x86_state *s, const struct x86_event *ev, bool with_stack, u64 *word)
{
	unsigned n = 0;

	if (s->mode == X86_MODE_VM86) {
		word[n++] = s->seg[SEG_GS].sel;
		word[n++] = s->seg[SEG_FS].sel;
		word[n++] = s->seg[SEG_DS].sel;
		word[n++] = s->seg[SEG_ES].sel;
	}
	if (with_stack) {
		word[n++] = s->seg[SEG_SS].sel;
		word[n++] = s->gpr[X86_RSP];
	}
	word[n++] = pushed_flags(s, ev);
	word[n++] = s->seg[SEG_CS].sel;
	word[n++] = x86_next_rip(s, ev->insn_len);
	if (ev->has_error)
		word[n++] = ev->error;
	return n;
}

static enum x86_result pick_stack(struct x86_state *s, const struct gate *g, unsigned cpl, struct x86_stack *st)
{
	enum x86_result r = X86_OK;
	bool inner = cpl < s->cpl;

	if (inner || g->ist)
		r = x86_tss_stack(s, cpl, g->ist, st);
	else
		x86_current_stack(s, st);
	if (r != X86_OK || !x86_lma(s))
		return r;
	if (!inner)
		st->ss = s->seg[SEG_SS];
	/* Also without a switch the frame of a 64-bit handler is aligned, and all of RSP is used. */
	st->is64 = true;
	st->sp &= ~15ull;
	return X86_OK;
}

static void enter_handler(struct x86_state *s, const struct gate *g, const struct x86_desc *cs, unsigned cpl,
			  const struct x86_stack *st)
{
	u64 clear = RFLAGS_TF | RFLAGS_NT | RFLAGS_VM | RFLAGS_RF;
	bool vm86 = s->mode == X86_MODE_VM86;

	if (!(g->type & 1))
		clear |= RFLAGS_IF;
	if (vm86) {
		x86_seg_null(&s->seg[SEG_GS], 0);
		x86_seg_null(&s->seg[SEG_FS], 0);
		x86_seg_null(&s->seg[SEG_DS], 0);
		x86_seg_null(&s->seg[SEG_ES], 0);
	}
	s->rflags &= ~clear;
	x86_commit_cs(s, cs, cpl, g->offset);
	x86_commit_stack(s, st);
}

static enum x86_result deliver_gate(struct x86_state *s, const struct x86_event *ev, const struct gate *g)
{
	struct x86_stack st;
	struct x86_desc cs;
	unsigned cpl, n;
	enum x86_result r = check_handler(s, g, &cs, &cpl);
	u64 word[10];
	bool inner;

	if (r != X86_OK)
		return r;
	inner = cpl < s->cpl;
	r = pick_stack(s, g, cpl, &st);
	if (r == X86_OK)
		r = x86_check_target(s, &cs, g->offset);
	if (r != X86_OK)
		return r;
	n = build_frame(s, ev, inner || x86_lma(s), word);
	r = x86_push_frame(s, &st, word, n, g->word, inner ? SEL_ERR(st.ss.sel) : 0);
	if (r == X86_OK)
		enter_handler(s, g, &cs, cpl, &st);
	return r;
}

static enum x86_result deliver_protected(struct x86_state *s, const struct x86_event *ev)
{
	u64 rip = s->rip;
	bool switched = false;
	struct gate g = { 0 };
	enum x86_result r;

	if (s->mode == X86_MODE_VM86 && ev->type == X86_EVENT_SOFT_INT) {
		bool redirect;

		r = vm86_int_method(s, ev->vector, &redirect);
		if (r != X86_OK)
			return r;
		if (redirect)
			return deliver_redirected(s, ev);
	}
	r = read_gate(s, ev, &g);
	if (r != X86_OK)
		return r;
	if (g.type != SYS_TASK_GATE)
		return deliver_gate(s, ev, &g);
	/* The old task resumes behind a software interrupt, and restarts a faulting instruction with RF. */
	s->rip = x86_next_rip(s, ev->insn_len);
	if (x86_pushes_rf(ev))
		s->rflags |= RFLAGS_RF;
	r = x86_switch_task(s, g.sel, TASK_GATE, ev->has_error, ev->error, &switched);
	if (r != X86_OK && !switched) {
		s->rip = rip;
		if (x86_pushes_rf(ev))
			s->rflags &= ~(u64)RFLAGS_RF;
	}
	return r;
}

/* --- delivery ------------------------------------------------------------------------------------------ */

/* What the processor records of an exception before it looks for the handler. */
static void record_exception(struct x86_state *s, const struct x86_event *ev)
{
	if (ev->type != X86_EVENT_EXC)
		return;
	if (ev->vector == X86_EXC_PF) {
		s->cr2 = ev->cr2;
	} else if (ev->vector == X86_EXC_DB) {
		s->dr6 = (s->dr6 & ~0xfull) | ev->cr2;
		s->dr7 &= ~(u64)DR7_GD;
	}
}

static enum x86_result deliver_once(struct x86_state *s, const struct x86_event *ev)
{
	enum x86_result r;

	record_exception(s, ev);
	r = s->mode == X86_MODE_REAL ? deliver_real(s, ev) : deliver_protected(s, ev);
	/* EXT: the fault happened while delivering something that the program did not ask for. */
	if (r == X86_FAULT && !is_software(ev) && s->fault.vector >= X86_EXC_TS && s->fault.vector <= X86_EXC_GP)
		s->fault.error |= 1;
	return r;
}

enum x86_result x86_deliver(struct x86_state *s, const struct x86_event *ev)
{
	struct x86_event cur = *ev, next;
	enum x86_result r;

	/* Each turn escalates: benign, contributory, page fault, #DF, shutdown. */
	while ((r = deliver_once(s, &cur)) == X86_FAULT) {
		r = x86_combine_events(&cur, &s->fault, &next);
		if (r != X86_OK)
			return r;
		/* CR2 is loaded when a page fault is found, even one that ends in #DF. */
		record_exception(s, &s->fault);
		cur = next;
	}
	if (r != X86_OK)
		return r;
	s->shadow = 0;
	if (cur.type == X86_EVENT_NMI)
		s->nmi_blocked = true;
	return X86_OK;
}

/* --- software events ------------------------------------------------------------------------------------ */

static enum x86_result software_event(struct x86_state *s, const struct x86_insn *i, enum x86_event_type type,
				      unsigned vector)
{
	s->fault = (struct x86_event){ .type = type, .vector = vector, .insn_len = i->len };
	return X86_FAULT;
}

enum x86_result x86_exec_int(struct x86_state *s, const struct x86_insn *i)
{
	return software_event(s, i, X86_EVENT_SOFT_INT, (u8)i->imm);
}

enum x86_result x86_exec_int3(struct x86_state *s, const struct x86_insn *i)
{
	return software_event(s, i, X86_EVENT_SOFT_EXC, X86_EXC_BP);
}

enum x86_result x86_exec_int1(struct x86_state *s, const struct x86_insn *i)
{
	return software_event(s, i, X86_EVENT_PRIV_EXC, X86_EXC_DB);
}

enum x86_result x86_exec_into(struct x86_state *s, const struct x86_insn *i)
{
	return s->rflags & RFLAGS_OF ? software_event(s, i, X86_EVENT_SOFT_EXC, X86_EXC_OF) : X86_OK;
}

/* --- IRET -------------------------------------------------------------------------------------------------- */

struct iret_frame {
	u64 ip, cs, flags, sp, ss;
	unsigned size; /* bytes of each word */
};

#define IRET_FLAGS16                                                                                                   \
	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF | RFLAGS_DF | RFLAGS_OF | RFLAGS_NT)

/* Words first..first+n-1 of the frame, in the order of the struct. */
static enum x86_result read_frame(struct x86_state *s, struct iret_frame *f, unsigned first, unsigned n)
{
	u64 *word[] = { &f->ip, &f->cs, &f->flags, &f->sp, &f->ss };
	unsigned k;

	for (k = first; k < first + n; k++) {
		enum x86_result r = x86_stack_peek(s, k * f->size, f->size, word[k]);

		if (r != X86_OK)
			return r;
	}
	f->cs = (u16)f->cs;
	return X86_OK;
}

static void write_flags(struct x86_state *s, u64 val, u64 mask)
{
	x86_set_rflags(s, (s->rflags & ~mask) | (val & mask));
}

/* Real mode, and virtual-8086 mode with IOPL 3: mask is what may change. */
static enum x86_result iret_8086(struct x86_state *s, const struct iret_frame *f, u64 mask)
{
	if (f->ip > s->seg[SEG_CS].limit)
		return x86_raise_error(s, X86_EXC_GP, 0);
	x86_add_sp(s, 3 * f->size);
	x86_commit_cs_real(s, f->cs, f->ip);
	write_flags(s, f->flags, mask);
	return X86_OK;
}

static enum x86_result iret_vm86(struct x86_state *s, struct iret_frame *f)
{
	u64 mask = IRET_FLAGS16 | (f->size > 2 ? RFLAGS_RF | RFLAGS_AC | RFLAGS_ID : 0);

	if (x86_iopl(s) == 3)
		return iret_8086(s, f, mask | RFLAGS_IF);
	if (f->size != 2 || !(s->cr4 & CR4_VME))
		return x86_raise_error(s, X86_EXC_GP, 0);
	if (f->flags & RFLAGS_TF || (f->flags & RFLAGS_IF && s->rflags & RFLAGS_VIP))
		return x86_raise_error(s, X86_EXC_GP, 0);
	if (f->flags & RFLAGS_IF)
		f->flags |= RFLAGS_VIF;
	return iret_8086(s, f, mask | RFLAGS_VIF);
}

static enum x86_result iret_to_vm86(struct x86_state *s, struct iret_frame *f)
{
	static const u8 segs[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	enum x86_result r = read_frame(s, f, 3, 2);
	u64 sel[4];
	unsigned k;

	for (k = 0; r == X86_OK && k < 4; k++)
		r = x86_stack_peek(s, (5 + k) * f->size, f->size, &sel[k]);
	if (r != X86_OK)
		return r;
	if (f->ip > 0xffff)
		return x86_raise_error(s, X86_EXC_GP, 0);
	for (k = 0; k < 4; k++)
		x86_seg_vm86(&s->seg[segs[k]], sel[k]);
	x86_seg_vm86(&s->seg[SEG_SS], f->ss);
	x86_seg_vm86(&s->seg[SEG_CS], f->cs);
	s->gpr[X86_RSP] = (u32)f->sp;
	s->rip = f->ip;
	s->cpl = 3;
	x86_set_rflags(s, f->flags | RFLAGS_VM);
	return X86_OK;
}

static enum x86_result iret_task(struct x86_state *s)
{
	enum x86_result r;
	u64 link;

	if (x86_lma(s))
		return x86_raise_error(s, X86_EXC_GP, 0);
	r = x86_read_sys(s, s->tr.base, 2, &link);
	if (r == X86_OK)
		r = x86_task_switch(s, link, TASK_IRET, false, 0);
	if (r == X86_OK)
		s->keep_rf = true;
	return r;
}

static enum x86_result iret_protected(struct x86_state *s, struct iret_frame *f)
{
	u64 mask = IRET_FLAGS16 | (f->size > 2 ? RFLAGS_RF | RFLAGS_AC | RFLAGS_ID : 0);
	struct x86_desc cs;
	struct x86_seg ss = s->seg[SEG_SS];
	bool outer, with_stack, is64;
	enum x86_result r;
	unsigned cpl;

	if (f->flags & RFLAGS_VM && s->cpl == 0 && f->size == 4 && !x86_lma(s))
		return iret_to_vm86(s, f);
	r = x86_prepare_return_cs(s, f->cs, X86_EXC_GP, &cs);
	if (r != X86_OK)
		return r;
	cpl = SEL_RPL(f->cs);
	outer = cpl > s->cpl;
	/* 64-bit code always pops a stack pointer. */
	with_stack = outer || s->mode == X86_MODE_LONG;
	if (with_stack) {
		r = read_frame(s, f, 3, 2);
		if (r == X86_OK)
			r = x86_prepare_return_ss(s, f->ss, &cs, &ss);
	}
	if (r == X86_OK)
		r = x86_check_target(s, &cs, f->ip);
	if (r != X86_OK)
		return r;
	if (s->cpl <= x86_iopl(s))
		mask |= RFLAGS_IF;
	if (s->cpl == 0)
		mask |= RFLAGS_IOPL | (f->size > 2 ? RFLAGS_VIF | RFLAGS_VIP : 0);
	is64 = x86_lma(s) && x86_desc_attr(&cs) & SEG_L;
	if (!with_stack)
		x86_add_sp(s, 3 * f->size);
	x86_commit_cs(s, &cs, cpl, f->ip);
	if (with_stack) {
		s->seg[SEG_SS] = ss;
		x86_set_sp(s, f->sp, is64);
	}
	if (outer)
		x86_drop_inner_segments(s, cpl);
	write_flags(s, f->flags, mask);
	return X86_OK;
}

static enum x86_result iret(struct x86_state *s, struct iret_frame *f)
{
	enum x86_result r;

	if (!x86_real_or_vm86(s) && s->rflags & RFLAGS_NT)
		return iret_task(s);
	r = read_frame(s, f, 0, 3);
	if (r != X86_OK)
		return r;
	if (s->mode == X86_MODE_REAL)
		return iret_8086(s, f, f->size == 2 ? 0x7fd5 : 0x257fd5);
	return s->mode == X86_MODE_VM86 ? iret_vm86(s, f) : iret_protected(s, f);
}

enum x86_result x86_exec_iret(struct x86_state *s, const struct x86_insn *i)
{
	struct iret_frame f = { .size = i->opsize };
	enum x86_result r = iret(s, &f);

	if (r == X86_OK && f.size > 2)
		s->keep_rf = true;
	/* IRET ends NMI blocking even if it faults (SDM, "Handling Multiple NMIs"). */
	if (s->nmi_blocked && (r == X86_OK || r == X86_FAULT)) {
		s->nmi_blocked = false;
		if (s->ops->events_enabled)
			s->ops->events_enabled(s);
	}
	return r;
}
