/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Segmentation: limit and type checks, descriptors, loading of segment registers, stacks.
 * SDM volume 3, "Protected-Mode Memory Management" and "Protection".
 */
#include "desc.h"

/* --- access checks ------------------------------------------------------------------------------- */

bool x86_seg_limit_ok(const struct x86_seg *seg, u64 off, unsigned size)
{
	u64 last = off + size - 1;

	if ((seg->attr & (SEG_S | SEG_TYPE_CODE | SEG_TYPE_DC)) == (SEG_S | SEG_TYPE_DC))
		return off > seg->limit && last <= (seg->attr & SEG_DB ? 0xffffffffull : 0xffffull);
	return last <= seg->limit;
}

static bool type_ok(const struct x86_seg *seg, enum x86_access acc)
{
	if ((seg->attr & (SEG_UNUSABLE | SEG_P)) != SEG_P)
		return false;
	switch (acc) {
	case ACC_WRITE: return (seg->attr & (SEG_TYPE_CODE | SEG_TYPE_RW)) == SEG_TYPE_RW;
	case ACC_READ: return (seg->attr & (SEG_TYPE_CODE | SEG_TYPE_RW)) != SEG_TYPE_CODE;
	default: return true;
	}
}

static enum x86_result seg_fault(struct x86_state *s, unsigned seg)
{
	return x86_raise_error(s, seg == SEG_SS ? X86_EXC_SS : X86_EXC_GP, 0);
}

enum x86_result x86_linear_slow(struct x86_state *s, unsigned seg, u64 off, unsigned size, enum x86_access acc,
				u64 *lin)
{
	const struct x86_seg *sr = &s->seg[seg];

	if (!size)
		size = 1;
	if (s->mode == X86_MODE_LONG) {
		*lin = seg >= SEG_FS && seg != SEG_NONE ? off + sr->base : off;
		if (!x86_canonical(s, *lin) || !x86_canonical(s, *lin + size - 1))
			return seg_fault(s, seg);
		return X86_OK;
	}
	if (seg == SEG_NONE) {
		*lin = (u32)off;
		return X86_OK;
	}
	*lin = (u32)(sr->base + off);
	/* The cached access rights are not looked at in real and virtual-8086 mode, but the limit is. */
	if (unlikely(!x86_real_or_vm86(s) && !type_ok(sr, acc)))
		return seg_fault(s, seg);
	return likely(x86_seg_limit_ok(sr, off, size)) ? X86_OK : seg_fault(s, seg);
}

enum x86_result x86_read_sys(struct x86_state *s, u64 lin, unsigned size, u64 *val)
{
	/* Outside 64-bit mode linear addresses are 32 bits wide; system tables wrap there too. */
	if (!x86_lma(s))
		lin = (u32)lin;
	*val = 0;
	return x86_read_linear(s, x86_sys_mmu(s), SEG_NONE, lin, val, size);
}

/* --- descriptors --------------------------------------------------------------------------------- */

u32 x86_desc_limit(const struct x86_desc *d)
{
	u32 limit = (d->raw & 0xffff) | (d->raw >> 32 & 0xf0000);

	return d->raw >> 55 & 1 ? limit << 12 | 0xfff : limit;
}

/* The table that holds sel, and whether offset + size fits there. */
static bool table_of(const struct x86_state *s, u16 sel, unsigned off, unsigned size, u64 *base)
{
	u64 limit;

	if (sel & SEL_TI) {
		if (s->ldt.attr & SEG_UNUSABLE || x86_null_sel(s->ldt.sel))
			return false;
		*base = s->ldt.base;
		limit = s->ldt.limit;
	} else {
		*base = s->gdt.base;
		limit = s->gdt.limit;
	}
	return (u64)off + size - 1 <= limit;
}

enum x86_result x86_read_desc(struct x86_state *s, u16 sel, unsigned vec, struct x86_desc *d)
{
	unsigned off = sel & 0xfff8;
	u64 base;

	if (!table_of(s, sel, off, 8, &base))
		return x86_raise_error(s, vec, SEL_ERR(sel));
	d->sel = sel;
	d->high = 0;
	d->lin = base + off;
	return x86_read_sys(s, d->lin, 8, &d->raw);
}

enum x86_result x86_desc_high(struct x86_state *s, unsigned vec, struct x86_desc *d)
{
	unsigned off = d->sel & 0xfff8;
	enum x86_result r;
	u64 base;

	if (!table_of(s, d->sel, off, 16, &base))
		return x86_raise_error(s, vec, SEL_ERR(d->sel));
	r = x86_read_sys(s, d->lin + 8, 8, &d->high);
	if (r != X86_OK)
		return r;
	/* The type field of the second half must be zero: it cannot be used as a descriptor of its own. */
	if (d->high >> 40 & 0x1f)
		return x86_raise_error(s, vec, SEL_ERR(d->sel));
	return X86_OK;
}

/* access byte = (access byte | set) & ~clear, atomically where memory is plain RAM */
X86_RACY static enum x86_result desc_rmw(struct x86_state *s, struct x86_desc *d, u8 set, u8 clear)
{
	u64 lin = d->lin + 5;
	u8 mmu = s->mmu_index;
	struct x86_rmw m;
	enum x86_result r = X86_OK;

	if (!x86_lma(s))
		lin = (u32)lin;
	m.bounce = m.notify = false;
	s->mmu_index = x86_sys_mmu(s);
	m.ptr = x86_tlb_probe(s, s->mmu_index, lin, 1, ACC_WRITE);
	if (!m.ptr)
		r = x86_rmw_begin_slow(s, SEG_NONE, lin, 1, &m);
	if (r == X86_OK) {
		if (set)
			__atomic_fetch_or((u8 *)m.ptr, set, __ATOMIC_SEQ_CST);
		if (clear)
			__atomic_fetch_and((u8 *)m.ptr, (u8)~clear, __ATOMIC_SEQ_CST);
		r = x86_rmw_end(s, &m);
	}
	s->mmu_index = mmu;
	return r;
}

enum x86_result x86_desc_set(struct x86_state *s, struct x86_desc *d, u8 bits)
{
	d->raw |= (u64)bits << 40;
	return desc_rmw(s, d, bits, 0);
}

enum x86_result x86_desc_clear(struct x86_state *s, struct x86_desc *d, u8 bits)
{
	d->raw &= ~((u64)bits << 40);
	return desc_rmw(s, d, 0, bits);
}

enum x86_result x86_desc_mark_accessed(struct x86_state *s, struct x86_desc *d)
{
	if (likely(x86_desc_type(d) & SEG_TYPE_ACCESSED))
		return X86_OK;
	return x86_desc_set(s, d, SEG_TYPE_ACCESSED);
}

void x86_desc_to_seg(const struct x86_desc *d, u16 sel, struct x86_seg *out)
{
	out->sel = sel;
	out->base = x86_desc_base(d);
	out->limit = x86_desc_limit(d);
	out->attr = x86_desc_attr(d);
}

/* --- segment register contents --------------------------------------------------------------------- */

void x86_seg_null(struct x86_seg *seg, u16 sel)
{
	seg->sel = sel;
	seg->base = 0;
	seg->limit = 0;
	seg->attr = SEG_UNUSABLE;
}

void x86_seg_real(struct x86_seg *seg, u16 sel)
{
	if (seg->attr & SEG_UNUSABLE)
		seg->limit = 0xffff;
	/*
	 * Read-write data, CS too (which is why VM entry allows that type there). The limit stays as protected mode has
	 * left it ("unreal" mode).
	 */
	seg->attr = (seg->attr & (SEG_G | SEG_DB | SEG_L | SEG_AVL)) | SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED;
	seg->sel = sel;
	seg->base = (u64)sel << 4;
}

void x86_seg_vm86(struct x86_seg *seg, u16 sel)
{
	seg->sel = sel;
	seg->base = (u64)sel << 4;
	seg->limit = 0xffff;
	seg->attr = SEG_P | SEG_S | 3 << SEG_DPL_SHIFT | SEG_TYPE_RW | SEG_TYPE_ACCESSED;
}

void x86_seg_flat_code(struct x86_seg *seg, u16 sel, unsigned dpl, bool long_code)
{
	seg->sel = sel;
	seg->base = 0;
	seg->limit = 0xffffffff;
	seg->attr = SEG_G | SEG_P | SEG_S | SEG_TYPE_CODE | SEG_TYPE_RW | SEG_TYPE_ACCESSED | dpl << SEG_DPL_SHIFT |
		    (long_code ? SEG_L : SEG_DB);
}

void x86_seg_flat_stack(struct x86_seg *seg, u16 sel, unsigned dpl)
{
	seg->sel = sel;
	seg->base = 0;
	seg->limit = 0xffffffff;
	seg->attr = SEG_G | SEG_DB | SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED | dpl << SEG_DPL_SHIFT;
}

/* SS in IA-32e mode after a switch to an inner level: null, but with the new DPL. */
static void seg_null_stack(struct x86_seg *seg, unsigned dpl)
{
	x86_seg_null(seg, dpl);
	seg->attr |= dpl << SEG_DPL_SHIFT;
}

static enum x86_result null_segment(struct x86_state *s, unsigned seg, u16 sel, unsigned cpl, unsigned vec,
				    struct x86_seg *out)
{
	if (seg == SEG_SS) {
		/* Only 64-bit code below CPL 3 may run with a null stack segment. */
		if (s->mode != X86_MODE_LONG || cpl == 3 || SEL_RPL(sel) != cpl)
			return x86_raise_error(s, vec, 0);
		seg_null_stack(out, cpl);
		out->sel = sel;
		return X86_OK;
	}
	x86_seg_null(out, sel);
	return X86_OK;
}

/* Data segments are reachable if DPL >= CPL and RPL; stack segments need all three equal. */
static bool data_ok(const struct x86_desc *d, unsigned seg, unsigned cpl)
{
	u32 attr = x86_desc_attr(d);
	unsigned dpl = SEG_DPL(attr), rpl = SEL_RPL(d->sel);

	if (!(attr & SEG_S))
		return false;
	if (seg == SEG_SS)
		return (attr & (SEG_TYPE_CODE | SEG_TYPE_RW)) == SEG_TYPE_RW && dpl == cpl && rpl == cpl;
	if ((attr & (SEG_TYPE_CODE | SEG_TYPE_RW)) == SEG_TYPE_CODE)
		return false;
	if ((attr & (SEG_TYPE_CODE | SEG_TYPE_DC)) == (SEG_TYPE_CODE | SEG_TYPE_DC))
		return true;
	return dpl >= cpl && dpl >= rpl;
}

enum x86_result x86_prepare_segment(struct x86_state *s, unsigned seg, u16 sel, unsigned cpl, unsigned vec,
				    struct x86_seg *out)
{
	struct x86_desc d;
	enum x86_result r;

	if (x86_null_sel(sel))
		return null_segment(s, seg, sel, cpl, vec, out);
	r = x86_read_desc(s, sel, vec, &d);
	if (r != X86_OK)
		return r;
	if (!data_ok(&d, seg, cpl))
		return x86_raise_error(s, vec, SEL_ERR(sel));
	if (!(x86_desc_attr(&d) & SEG_P))
		return x86_raise_error(s, seg == SEG_SS ? X86_EXC_SS : X86_EXC_NP, SEL_ERR(sel));
	r = x86_desc_mark_accessed(s, &d);
	if (r == X86_OK)
		x86_desc_to_seg(&d, sel, out);
	return r;
}

enum x86_result x86_load_segment(struct x86_state *s, unsigned seg, u16 sel)
{
	struct x86_seg new;
	enum x86_result r;

	if (s->mode == X86_MODE_REAL) {
		x86_seg_real(&s->seg[seg], sel);
		return X86_OK;
	}
	if (s->mode == X86_MODE_VM86) {
		x86_seg_vm86(&s->seg[seg], sel);
		return X86_OK;
	}
	r = x86_prepare_segment(s, seg, sel, s->cpl, X86_EXC_GP, &new);
	if (r == X86_OK)
		s->seg[seg] = new;
	return r;
}

enum x86_result x86_prepare_ldt(struct x86_state *s, u16 sel, unsigned vec, struct x86_seg *out)
{
	struct x86_desc d;
	enum x86_result r;

	if (x86_null_sel(sel)) {
		x86_seg_null(out, sel);
		return X86_OK;
	}
	if (sel & SEL_TI)
		return x86_raise_error(s, vec, SEL_ERR(sel));
	r = x86_read_desc(s, sel, vec, &d);
	if (r != X86_OK)
		return r;
	if ((x86_desc_attr(&d) & (SEG_S | 0xf)) != SYS_LDT)
		return x86_raise_error(s, vec, SEL_ERR(sel));
	/* A task switch reports an absent LDT as #TS, LLDT as #NP. */
	if (!(x86_desc_attr(&d) & SEG_P))
		return x86_raise_error(s, vec == X86_EXC_TS ? X86_EXC_TS : X86_EXC_NP, SEL_ERR(sel));
	if (x86_lma(s)) {
		r = x86_desc_high(s, vec, &d);
		if (r != X86_OK)
			return r;
	}
	x86_desc_to_seg(&d, sel, out);
	out->base |= d.high << 32;
	if (x86_lma(s) && !x86_canonical(s, out->base))
		return x86_raise_error(s, vec, SEL_ERR(sel));
	return X86_OK;
}

/* --- code segments ------------------------------------------------------------------------------- */

enum x86_result x86_read_code(struct x86_state *s, u16 sel, unsigned vec, struct x86_desc *d)
{
	enum x86_result r;

	if (x86_null_sel(sel))
		return x86_raise_error(s, vec, 0);
	r = x86_read_desc(s, sel, vec, d);
	if (r == X86_OK && !x86_desc_code(d))
		return x86_raise_error(s, vec, SEL_ERR(sel));
	return r;
}

enum x86_result x86_check_code(struct x86_state *s, struct x86_desc *d, unsigned vec)
{
	u32 attr = x86_desc_attr(d);

	if (x86_lma(s) && (attr & (SEG_L | SEG_DB)) == (SEG_L | SEG_DB))
		return x86_raise_error(s, vec, SEL_ERR(d->sel));
	if (!(attr & SEG_P))
		return x86_raise_error(s, X86_EXC_NP, SEL_ERR(d->sel));
	return x86_desc_mark_accessed(s, d);
}

enum x86_result x86_check_target(struct x86_state *s, const struct x86_desc *d, u64 rip)
{
	bool ok;

	if (x86_lma(s) && x86_desc_attr(d) & SEG_L)
		ok = x86_canonical(s, rip);
	else
		ok = rip <= x86_desc_limit(d);
	return ok ? X86_OK : x86_raise_error(s, X86_EXC_GP, 0);
}

enum x86_result x86_prepare_return_cs(struct x86_state *s, u16 sel, unsigned vec, struct x86_desc *d)
{
	enum x86_result r = x86_read_code(s, sel, vec, d);
	unsigned rpl = SEL_RPL(sel), dpl;

	if (r != X86_OK)
		return r;
	dpl = x86_desc_dpl(d);
	/* A task switch may go to any level; returns only outwards. */
	if ((vec != X86_EXC_TS && rpl < s->cpl) || (x86_desc_conforming(d) ? dpl > rpl : dpl != rpl))
		return x86_raise_error(s, vec, SEL_ERR(sel));
	return x86_check_code(s, d, vec);
}

enum x86_result x86_prepare_return_ss(struct x86_state *s, u16 sel, const struct x86_desc *cs, struct x86_seg *out)
{
	unsigned cpl = SEL_RPL(cs->sel);

	if (!x86_null_sel(sel))
		return x86_prepare_segment(s, SEG_SS, sel, cpl, X86_EXC_GP, out);
	if (!x86_lma(s) || !(x86_desc_attr(cs) & SEG_L) || cpl == 3 || SEL_RPL(sel) != cpl)
		return x86_raise_error(s, X86_EXC_GP, 0);
	seg_null_stack(out, cpl);
	return X86_OK;
}

void x86_commit_cs(struct x86_state *s, const struct x86_desc *d, unsigned cpl, u64 rip)
{
	x86_desc_to_seg(d, (d->sel & 0xfffc) | cpl, &s->seg[SEG_CS]);
	s->rip = rip;
	x86_set_cpl(s, cpl);
}

void x86_commit_cs_real(struct x86_state *s, u16 sel, u64 rip)
{
	if (s->mode == X86_MODE_VM86)
		x86_seg_vm86(&s->seg[SEG_CS], sel);
	else
		x86_seg_real(&s->seg[SEG_CS], sel);
	s->rip = rip;
}

/* --- stacks ---------------------------------------------------------------------------------------- */

void x86_current_stack(const struct x86_state *s, struct x86_stack *st)
{
	st->ss = s->seg[SEG_SS];
	st->sp = s->gpr[X86_RSP];
	st->cpl = s->cpl;
	st->is64 = s->mode == X86_MODE_LONG;
}

static enum x86_result tss_stack64(struct x86_state *s, unsigned dpl, unsigned ist, struct x86_stack *st)
{
	/* SDM, "64-Bit TSS": RSP0-2 at 4, IST1-7 at 36. */
	unsigned off = ist ? 28 + 8 * ist : 4 + 8 * dpl;

	if (off + 7 > s->tr.limit)
		return x86_raise_error(s, X86_EXC_TS, SEL_ERR(s->tr.sel));
	seg_null_stack(&st->ss, dpl);
	st->is64 = true;
	return x86_read_sys(s, s->tr.base + off, 8, &st->sp);
}

enum x86_result x86_tss_stack(struct x86_state *s, unsigned dpl, unsigned ist, struct x86_stack *st)
{
	bool tss32 = SEG_TYPE(s->tr.attr) & 8;
	unsigned off = tss32 ? 4 + 8 * dpl : 2 + 4 * dpl;
	unsigned word = tss32 ? 4 : 2;
	enum x86_result r;
	u64 sel;

	st->cpl = dpl;
	if (x86_lma(s))
		return tss_stack64(s, dpl, ist, st);
	st->is64 = false;
	if (off + word + 1 > s->tr.limit)
		return x86_raise_error(s, X86_EXC_TS, SEL_ERR(s->tr.sel));
	r = x86_read_sys(s, s->tr.base + off, word, &st->sp);
	if (r == X86_OK)
		r = x86_read_sys(s, s->tr.base + off + word, 2, &sel);
	if (r != X86_OK)
		return r;
	/* A null selector here is #TS; x86_prepare_segment() says so outside 64-bit mode. */
	return x86_prepare_segment(s, SEG_SS, sel, dpl, X86_EXC_TS, &st->ss);
}

/* The linear address of one word of a stack, or #SS(err). */
static enum x86_result stack_linear(struct x86_state *s, const struct x86_stack *st, u64 sp, unsigned size, u32 err,
				    u64 *lin)
{
	bool ok;

	if (st->is64) {
		*lin = sp;
		ok = x86_canonical(s, sp) && x86_canonical(s, sp + size - 1);
	} else {
		*lin = (u32)(st->ss.base + sp);
		ok = !(st->ss.attr & SEG_UNUSABLE) && x86_seg_limit_ok(&st->ss, sp, size);
	}
	return ok ? X86_OK : x86_raise_error(s, X86_EXC_SS, err);
}

/* The linear address of the k-th word that is pushed. */
static u64 word_linear(const struct x86_stack *st, unsigned k, unsigned size)
{
	u64 sp = (st->sp - (u64)(k + 1) * size) & x86_stack_mask(st);

	return st->is64 ? sp : (u32)(st->ss.base + sp);
}

/* Would a push fault? Checked in the order of the pushes, so that CR2 is what the processor reports. */
static enum x86_result probe_words(struct x86_state *s, const struct x86_stack *st, unsigned mmu, unsigned n,
				   unsigned size)
{
	enum x86_result r = X86_OK;
	unsigned k;

	for (k = 0; k < n && r == X86_OK; k++)
		r = x86_probe_linear(s, mmu, SEG_SS, word_linear(st, k, size), size, ACC_WRITE);
	return r;
}

static enum x86_result push_one_by_one(struct x86_state *s, const struct x86_stack *st, unsigned mmu, const u64 *word,
				       unsigned n, unsigned size)
{
	enum x86_result r = probe_words(s, st, mmu, n, size);
	unsigned k;

	for (k = 0; k < n && r == X86_OK; k++)
		r = x86_write_linear(s, mmu, SEG_SS, word_linear(st, k, size), &word[k], size);
	return r;
}

enum x86_result x86_push_frame(struct x86_state *s, struct x86_stack *st, const u64 *word, unsigned n, unsigned size,
			       u32 err)
{
	u64 mask = x86_stack_mask(st), sp = st->sp, end = (st->sp - (u64)n * size) & mask, lin = 0;
	unsigned mmu = x86_cpl_mmu(s, st->cpl);
	u8 buf[X86_FRAME_MAX * 4]; /* 64-bit frames have no parameters: at most six words */
	enum x86_result r;
	unsigned k;

	for (k = 0; k < n; k++) {
		sp = (sp - size) & mask;
		r = stack_linear(s, st, sp, size, err, &lin);
		if (r != X86_OK)
			return r;
		memcpy(buf + (n - 1 - k) * size, &word[k], size);
	}
	/* lin is now that of the lowest word. A frame that wraps around its segment or 4 GiB goes word by word. */
	if (end + n * size - 1 <= mask && end + n * size - 1 >= end && (st->is64 || lin + n * size - 1 <= 0xffffffff))
		r = x86_write_linear(s, mmu, SEG_SS, lin, buf, n * size);
	else
		r = push_one_by_one(s, st, mmu, word, n, size);
	/* The block is checked from its lowest address on: name the word that faults first. */
	if (r == X86_FAULT)
		probe_words(s, st, mmu, n, size);
	if (r == X86_OK)
		st->sp = (st->sp & ~mask) | end;
	return r;
}

enum x86_result x86_stack_peek(struct x86_state *s, unsigned off, unsigned size, u64 *val)
{
	u64 sp = (s->gpr[X86_RSP] + off) & x86_addr_mask(x86_stack_size(s));

	return x86_load(s, SEG_SS, sp, size, val);
}

void x86_set_sp(struct x86_state *s, u64 sp, bool is64)
{
	if (is64)
		s->gpr[X86_RSP] = sp;
	else if (s->seg[SEG_SS].attr & SEG_DB)
		s->gpr[X86_RSP] = (u32)sp;
	else
		s->gpr[X86_RSP] = (s->gpr[X86_RSP] & ~0xffffull) | (u16)sp;
}

void x86_commit_stack(struct x86_state *s, const struct x86_stack *st)
{
	s->seg[SEG_SS] = st->ss;
	x86_set_sp(s, st->sp, st->is64);
}

void x86_drop_inner_segments(struct x86_state *s, unsigned cpl)
{
	static const u8 segs[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	unsigned k;

	for (k = 0; k < ARRAY_SIZE(segs); k++) {
		struct x86_seg *sr = &s->seg[segs[k]];
		bool conforming = (sr->attr & (SEG_TYPE_CODE | SEG_TYPE_DC)) == (SEG_TYPE_CODE | SEG_TYPE_DC);

		/* Null selectors 1 to 3 become 0 too, but a null FS or GS keeps the base that an MSR gave it. */
		if (sr->attr & SEG_UNUSABLE)
			sr->sel = 0;
		else if (!conforming && SEG_DPL(sr->attr) < cpl)
			x86_seg_null(sr, 0);
	}
}
