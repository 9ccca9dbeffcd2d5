/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Task switches. SDM volume 3, "Task Management". */
#include "desc.h"

/* Where things are in a TSS: SDM, "Task-State Segment" and "16-Bit Task-State Segment". */
struct tss_layout {
	u8 size; /* bytes that must be within the limit */
	u8 word; /* bytes of a register */
	u8 ip;   /* IP, FLAGS, eight registers, then the segment selectors */
	u8 nr_segs;
	u8 ldt;
};

static const struct tss_layout layout16 = { .size = 44, .word = 2, .ip = 14, .nr_segs = 4, .ldt = 42 };
static const struct tss_layout layout32 = { .size = 104, .word = 4, .ip = 32, .nr_segs = 6, .ldt = 96 };

#define TSS_CR3 28
#define TSS_TRAP 100
#define TSS_MAX 104
#define TYPE_BUSY 2u
#define DR7_LOCAL 0x155u /* L0-L3, LE */

static const struct tss_layout *layout_of(unsigned type)
{
	return type & 8 ? &layout32 : &layout16;
}

struct task_switch {
	enum x86_task_reason why;
	struct x86_desc old_desc, new_desc;
	const struct tss_layout *old, *new;
	u8 image[TSS_MAX]; /* the new TSS as it was read */
};

static u32 get(const struct task_switch *t, unsigned off, unsigned size)
{
	u32 val = 0;

	memcpy(&val, t->image + off, size);
	return val;
}

/* The n-th word behind IP: 0 IP, 1 FLAGS, 2-9 registers, 10... selectors in encoding order. */
static u32 get_word(const struct task_switch *t, unsigned n)
{
	return get(t, t->new->ip + n * t->new->word, t->new->word);
}

static enum x86_result check_new_tss(struct x86_state *s, struct task_switch *t, u16 sel)
{
	unsigned vec = t->why == TASK_IRET ? X86_EXC_TS : X86_EXC_GP;
	struct x86_desc *d = &t->new_desc;
	enum x86_result r;
	bool busy;

	if (sel & SEL_TI)
		return x86_raise_error(s, vec, SEL_ERR(sel));
	r = x86_read_desc(s, sel, vec, d);
	if (r != X86_OK)
		return r;
	busy = x86_desc_type(d) & TYPE_BUSY;
	if (x86_desc_attr(d) & SEG_S || (x86_desc_type(d) & ~(8u | TYPE_BUSY)) != SYS_TSS16 ||
	    busy != (t->why == TASK_IRET))
		return x86_raise_error(s, vec, SEL_ERR(sel));
	if (!(x86_desc_attr(d) & SEG_P))
		return x86_raise_error(s, X86_EXC_NP, SEL_ERR(sel));
	t->new = layout_of(x86_desc_type(d));
	if (x86_desc_limit(d) < t->new->size - 1u)
		return x86_raise_error(s, X86_EXC_TS, SEL_ERR(sel));
	return x86_read_linear(s, x86_sys_mmu(s), SEG_NONE, x86_desc_base(d), t->image, t->new->size);
}

/* Will the new task return to the old one by IRET? */
static bool is_nested(const struct task_switch *t)
{
	return t->why == TASK_CALL || t->why == TASK_GATE;
}

/* Every memory access of the switch up to the point of no return, as a check. */
static enum x86_result probe_all(struct x86_state *s, const struct task_switch *t)
{
	const struct {
		u64 lin;
		unsigned size;
	} writes[] = {
		{ s->tr.base, t->old->size },
		{ t->old_desc.lin, 8 },
		{ t->new_desc.lin, 8 },
		{ x86_desc_base(&t->new_desc), 2 }, /* the back link, of nested tasks only */
	};
	unsigned k, n = is_nested(t) ? 4 : 3;

	for (k = 0; k < n; k++) {
		enum x86_result r =
			x86_probe_linear(s, x86_sys_mmu(s), SEG_NONE, writes[k].lin, writes[k].size, ACC_WRITE);
		if (r != X86_OK)
			return r;
	}
	return X86_OK;
}

/* The registers of the task that ends go into its TSS. */
static enum x86_result save_old(struct x86_state *s, const struct task_switch *t)
{
	const struct tss_layout *l = t->old;
	unsigned n = 0, k, size = (10 + l->nr_segs) * l->word;
	u64 flags = s->rflags;
	u8 buf[16 * 4];
	u32 word[16];

	if (t->why == TASK_IRET)
		flags &= ~(u64)RFLAGS_NT;
	if (t->why != TASK_GATE)
		flags &= ~(u64)RFLAGS_RF;
	word[n++] = s->rip;
	word[n++] = flags;
	for (k = 0; k < 8; k++)
		word[n++] = s->gpr[k];
	for (k = 0; k < l->nr_segs; k++)
		word[n++] = s->seg[k].sel;
	for (k = 0; k < n; k++)
		memcpy(buf + k * l->word, &word[k], l->word);
	return x86_write_linear(s, x86_sys_mmu(s), SEG_NONE, s->tr.base + l->ip, buf, size);
}

static enum x86_result update_links(struct x86_state *s, struct task_switch *t)
{
	enum x86_result r = X86_OK;
	u16 link = s->tr.sel;

	if (is_nested(t))
		r = x86_write_linear(s, x86_sys_mmu(s), SEG_NONE, x86_desc_base(&t->new_desc), &link, 2);
	if (r == X86_OK && !is_nested(t))
		r = x86_desc_clear(s, &t->old_desc, TYPE_BUSY);
	if (r == X86_OK && t->why != TASK_IRET)
		r = x86_desc_set(s, &t->new_desc, TYPE_BUSY);
	return r;
}

/* A segment register before its descriptor is checked: the selector shows, the segment is not usable. */
static void set_selectors(struct x86_state *s, const struct task_switch *t)
{
	unsigned k;

	for (k = 0; k < SEG_COUNT; k++)
		x86_seg_null(&s->seg[k], k < t->new->nr_segs ? get_word(t, 10 + k) : 0);
	x86_seg_null(&s->ldt, get(t, t->new->ldt, 2));
}

static enum x86_result load_cr3(struct x86_state *s, const struct task_switch *t)
{
	enum x86_result r = X86_OK;
	u32 cr3;

	if (t->new != &layout32 || !(s->cr0 & CR0_PG))
		return X86_OK;
	cr3 = get(t, TSS_CR3, 4);
	if (s->cr4 & CR4_PAE)
		r = x86_load_pdptes(s, cr3);
	s->cr3 = cr3;
	x86_flush_nonglobal(s);
	return r;
}

/* Registers that need no check. From here on the new task is the current one. */
static enum x86_result load_new(struct x86_state *s, struct task_switch *t)
{
	u64 flags = get_word(t, 1);
	enum x86_result r;
	unsigned k;

	x86_desc_to_seg(&t->new_desc, t->new_desc.sel, &s->tr);
	s->tr.attr |= TYPE_BUSY;
	s->cr0 |= CR0_TS;
	s->dr7 &= ~(u64)DR7_LOCAL;
	if (s->ops->debug_changed)
		s->ops->debug_changed(s);
	if (is_nested(t))
		flags |= RFLAGS_NT;
	r = load_cr3(s, t);
	for (k = 0; k < 8; k++)
		s->gpr[k] = get_word(t, 2 + k);
	s->rip = get_word(t, 0);
	set_selectors(s, t);
	if (t->new->word == 2)
		flags &= 0xffff;
	s->cpl = flags & RFLAGS_VM ? 3 : SEL_RPL(s->seg[SEG_CS].sel);
	x86_set_rflags(s, flags);
	x86_update_mode(s);
	return r;
}

/* The segments, checked in the context of the new task. */
static enum x86_result load_segments(struct x86_state *s)
{
	static const u8 order[] = { SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS };
	u16 sel = s->seg[SEG_CS].sel;
	enum x86_result r = x86_prepare_ldt(s, s->ldt.sel, X86_EXC_TS, &s->ldt);
	struct x86_desc cs;
	unsigned k;

	if (r != X86_OK)
		return r;
	if (s->rflags & RFLAGS_VM) {
		for (k = 0; k < SEG_COUNT; k++)
			x86_seg_vm86(&s->seg[k], s->seg[k].sel);
		return s->rip <= 0xffff ? X86_OK : x86_raise_error(s, X86_EXC_GP, 0);
	}
	r = x86_prepare_return_cs(s, sel, X86_EXC_TS, &cs);
	if (r != X86_OK)
		return r;
	x86_commit_cs(s, &cs, SEL_RPL(sel), s->rip);
	for (k = 0; k < ARRAY_SIZE(order); k++) {
		struct x86_seg *sr = &s->seg[order[k]];

		r = x86_prepare_segment(s, order[k], sr->sel, s->cpl, X86_EXC_TS, sr);
		if (r != X86_OK)
			return r;
	}
	return x86_check_target(s, &cs, s->rip);
}

static enum x86_result push_error(struct x86_state *s, const struct task_switch *t, u32 error)
{
	struct x86_stack st;
	u64 word = error;
	enum x86_result r;

	x86_current_stack(s, &st);
	r = x86_push_frame(s, &st, &word, 1, t->new->word, 0);
	if (r == X86_OK)
		x86_set_sp(s, st.sp, false);
	return r;
}

enum x86_result x86_switch_task(struct x86_state *s, u16 tss_sel, enum x86_task_reason why, bool has_error, u32 error,
				bool *switched)
{
	struct task_switch t = { .why = why, .old = layout_of(SEG_TYPE(s->tr.attr)) };
	enum x86_result r;

	*switched = false;
	r = check_new_tss(s, &t, tss_sel);
	if (r == X86_OK)
		r = x86_read_desc(s, s->tr.sel, X86_EXC_TS, &t.old_desc);
	if (r == X86_OK)
		r = probe_all(s, &t);
	if (r == X86_OK)
		r = save_old(s, &t);
	if (r == X86_OK)
		r = update_links(s, &t);
	if (r != X86_OK)
		return r;
	*switched = true;
	r = load_new(s, &t);
	if (r == X86_OK)
		r = load_segments(s);
	if (r == X86_OK && has_error)
		r = push_error(s, &t, error);
	if (s->ops->mode_changed)
		s->ops->mode_changed(s);
	if (r == X86_OK && t.new == &layout32 &&get(&t, TSS_TRAP, 2) & 1)
		s->dr6_pending |= DR6_BT;
	return r;
}

enum x86_result x86_task_switch(struct x86_state *s, u16 tss_sel, enum x86_task_reason why, bool has_error, u32 error)
{
	bool switched;
	enum x86_result r = x86_switch_task(s, tss_sel, why, has_error, error, &switched);

	/* The instruction that switched is done; what the new task's state is at fault for belongs to that task. */
	if (r == X86_FAULT && switched) {
		struct x86_event ev = s->fault;

		r = x86_deliver(s, &ev);
	}
	return r;
}

enum x86_result x86_far_to_task(struct x86_state *s, const struct x86_desc *d, enum x86_task_reason why)
{
	unsigned dpl = x86_desc_dpl(d);
	u16 sel = d->sel;
	enum x86_result r;

	if (dpl < s->cpl || dpl < SEL_RPL(d->sel))
		return x86_raise_error(s, X86_EXC_GP, SEL_ERR(d->sel));
	if (x86_desc_type(d) == SYS_TASK_GATE) {
		if (!(x86_desc_attr(d) & SEG_P))
			return x86_raise_error(s, X86_EXC_NP, SEL_ERR(d->sel));
		sel = d->raw >> 16;
	}
	r = x86_task_switch(s, sel, why, false, 0);
	if (r == X86_OK)
		s->keep_rf = true;
	return r;
}
