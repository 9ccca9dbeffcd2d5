/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory operands in generated code. See translate.h for the scheme. */
#include "front.h"

u32 tr_new_site(struct front *f, enum tr_site_kind kind)
{
	struct tr_state *tr = &f->sv->tr;
	u32 n = tr->nr_sites;

	if (n == tr->end_sites) {
		f->failed = true;
		return 0;
	}
	tr->nr_sites++;
	tr->site[n] = (struct tr_site){ .tr = f->tr,
					.insn = (u16)f->k,
					.kind = kind,
					.offset = (u16)f->offset,
					.flags_saved = f->flags == FLAGS_SAVED };
	return n;
}

/* --- addresses --------------------------------------------------------------------------------------------------- */

static u8 address_reg(struct front *f, unsigned guest, u8 scratch)
{
	u8 host = tr_host_reg(guest);

	if (host != NOREG)
		return host;
	if (guest == f->cached)
		return X86_R13;
	emit_load(&f->e, scratch, GS_MEM(GPR(guest)));
	if (scratch == X86_R13)
		tr_uses_r13(f);
	return scratch;
}

void tr_address_regs(struct front *f, struct emit_mem *m, unsigned base, unsigned index)
{
	/* The index may be in r13 already. */
	bool there = index < 16 && index == f->cached && base != index;

	if (base < 16)
		m->base = address_reg(f, base, there ? X86_R12 : X86_R13);
	if (index < 16)
		m->index = address_reg(f, index, X86_R12);
}

void tr_address(struct front *f, unsigned dst)
{
	const struct x86_insn *i = f->i;
	struct emit_mem m = { .base = NOREG, .index = NOREG, .disp = (s32)i->disp };
	bool wide = i->adsize == 8;

	if (i->base == X86_REG_RIP) {
		tr_uses_r13(f);
		tr_linear(f, dst, (s64)f->offset + i->len + i->disp);
		if (!wide)
			emit_rr(&f->e, false, 0x89, dst, dst); /* mov r32, r32: truncate */
		return;
	}
	tr_address_regs(f, &m, i->base, i->index);
	if (i->index < 16)
		m.scale = i->scale;
	if (dst == X86_R13)
		tr_uses_r13(f);
	emit_rm(&f->e, wide, 0x8d, dst, m);
	if (i->adsize == 2)
		emit_rr(&f->e, false, 0x1b7, dst, dst); /* movzx r32, r16 */
}

/* Does the address consist of one register as it is? Then no lea is needed. */
static bool plain_register(const struct front *f, unsigned *reg)
{
	const struct x86_insn *i = f->i;

	if (i->base >= 16 || i->index < 16 || i->disp || i->adsize != f->word || i->seg >= SEG_FS ||
	    tr_host_reg(i->base) == NOREG)
		return false;
	*reg = tr_host_reg(i->base);
	return true;
}

/* --- the access ------------------------------------------------------------------------------------------------------ */

static unsigned alignment_mask(unsigned size)
{
	unsigned m = 1;

	while (m < size)
		m <<= 1;
	return m - 1;
}

/* Is it known now that the access does not cross a page, and is aligned if it must be? */
static bool known_inside_page(const struct front *f, unsigned size)
{
	const struct x86_insn *i = f->i;
	u64 offset = (u64)i->disp;

	if (i->seg >= SEG_FS || i->index < 16)
		return false;
	if (i->base == X86_REG_RIP && i->adsize == f->word)
		offset += f->offset + i->len;
	else if (i->base != X86_REG_NONE)
		return false;
	offset &= ~X86_PAGE_MASK;
	return offset + size <= X86_PAGE_SIZE && !(i->flags & INSN_ALIGNED && offset & alignment_mask(size));
}

void tr_compare_with_end(struct emit *e, unsigned ea, unsigned size)
{
	emit_rr(e, false, 0x89, ea, X86_R12);
	emit_alu_imm(e, ALU_AND, X86_R12, 0xfff);
	emit_alu_imm(e, ALU_CMP, X86_R12, 0x1000 - size);
}

/*
 * The check in front of an access that may cross a page: alignment, and out of line, if that is not given, the page. Vectors are
 * mostly not aligned where they need not be: the page at once.
 */
static void check_crossing(struct front *f, struct slow_part *p)
{
	struct emit *e = &f->e;

	p->page_checked = p->size >= 16 && !p->aligned_only;
	if (p->page_checked) {
		tr_compare_with_end(e, p->ea, p->size);
		p->to_cross = emit_jcc(e, 7, emit_here(e));
		return;
	}
	/* test ea8, size - 1 */
	emit8(e, (u8)(0x40 | (p->ea & 8 ? 1 : 0)));
	emit8(e, 0xf6);
	emit8(e, (u8)(0xc0 | (p->ea & 7)));
	emit8(e, (u8)alignment_mask(p->size));
	p->to_cross = emit_jcc(e, 5, emit_here(e));
}

struct slow_part *tr_new_slow_part(struct front *f, struct slow_part part, bool write)
{
	struct slow_part *p = &f->slow[f->nr_slow++];

	tr_uses_r13(f);
	*p = part;
	p->site = tr_new_site(f, SITE_INSN);
	f->sv->tr.site[p->site].write = write;
	f->sv->tr.site[p->site].group = part.group;
	return p;
}

/* The look-up itself: the operand is at [ea + r12]. */
static struct emit_mem look_up(struct front *f, struct slow_part *p, bool write)
{
	struct emit *e = &f->e;

	p->retry = emit_here(e);
	emit_look_up(e, p->ea, write);
	p->to_miss = emit_jcc(e, COND_E, emit_here(e));
	return (struct emit_mem){ .base = p->ea, .index = X86_R12, .disp = 1 }; /* flat.c */
}

bool tr_constant(const struct front *f, s64 offset, s32 *lin)
{
	s64 at = (s64)(f->lin + (u64)offset);

	*lin = (s32)at;
	return f->fixed && !f->m32 && at == *lin && *lin < 0x7fffffff;
}

/* [table + the page's entry]: the index is in the displacement. */
struct emit_mem tr_access_constant(struct front *f, s32 lin, bool write, bool group)
{
	struct emit *e = &f->e;
	struct slow_part *p =
		tr_new_slow_part(f, (struct slow_part){ .constant = true, .lin = lin, .group = group }, write);
	struct emit_mem table = { .base = X86_R15, .index = NOREG, .scale = 3, .disp = (lin >> 12) * 8 - 12 };

	p->retry = emit_here(e);
	if (write) {
		emit_load(e, X86_R12, GS_MEM(GEN(GEN_WRITE_DELTA)));
		table.index = X86_R12;
	}
	emit_load_entry(e, table);
	p->to_miss = emit_jcc(e, COND_E, emit_here(e));
	return (struct emit_mem){ .base = X86_R12, .index = NOREG, .disp = lin + 1 }; /* flat.c */
}

static struct emit_mem look_up_page(struct front *f, unsigned ea, unsigned size, bool write, bool inside)
{
	/* In the last: the offset could pass the limit of 4 GiB without crossing a page. Bases are aligned (tr_context_ok). */
	struct slow_part part = { .ea = (u8)ea,
				  .size = (u8)size,
				  .aligned_only = f->i->flags & INSN_ALIGNED || (f->m32 && f->i->seg >= SEG_FS) };
	struct slow_part *p;

	tr_free_flags(f);
	f->held = 0;
	p = tr_new_slow_part(f, part, write);
	if (size > 1 && !inside) {
		check_crossing(f, p);
		f->crosses = !p->aligned_only;
	}
	return look_up(f, p, write);
}

struct emit_mem tr_access_span(struct front *f, unsigned ea, unsigned span, bool write)
{
	struct emit *e = &f->e;
	struct slow_part *p = tr_new_slow_part(f, (struct slow_part){ .ea = (u8)ea, .group = true }, write);

	if (span) {
		/* The offset in the page, at the top of 32 bits. */
		emit_rr(e, false, 0x89, ea, X86_R12);
		emit_shift(e, false, SHIFT_SHL, X86_R12, 20);
		emit_alu_imm(e, ALU_CMP, X86_R12, (X86_PAGE_SIZE - span) << 20);
		p->to_cross = emit_jcc(e, 7, emit_here(e));
	}
	return look_up(f, p, write);
}

struct emit_mem tr_access_at(struct front *f, unsigned ea, unsigned size, bool write)
{
	return look_up_page(f, ea, size, write, false);
}

static void add_segment_base(struct front *f)
{
	unsigned seg = f->i->seg;

	emit_rm(&f->e, !f->m32, 0x03, X86_R13,
		GS_MEM(offsetof(struct x86_state, seg) + seg * sizeof(struct x86_seg) +
		       offsetof(struct x86_seg, base)));
	if (f->m32)
		emit_rm(&f->e, true, 0x0b, X86_R13, GS_MEM(GEN(seg == SEG_FS ? GEN_NO_FS : GEN_NO_GS))); /* or */
}

struct emit_mem tr_access(struct front *f, unsigned size, bool write)
{
	const struct x86_insn *i = f->i;
	unsigned ea = X86_R13;
	struct emit_mem m;
	s32 lin;

	if (tr_group_access(f, OPERAND, &m))
		return m;
	tr_free_flags(f);
	if (i->base == X86_REG_RIP && i->adsize == 8 && known_inside_page(f, size) &&
	    tr_constant(f, (s64)f->offset + i->len + i->disp, &lin)) {
		f->held = 0;
		return tr_access_constant(f, lin, write, false);
	}
	if (!plain_register(f, &ea)) {
		tr_address(f, X86_R13);
		if (i->seg == SEG_FS || i->seg == SEG_GS)
			add_segment_base(f);
	}
	return look_up_page(f, ea, size, write, known_inside_page(f, size));
}

void tr_leave_to_interpreter(struct front *f, u32 site)
{
	emit_mov_imm(&f->e, X86_R12, site);
	emit_jmp_far(&f->e, f->sv->tr.exit_saved);
}

/* The instruction's routine executes it as a whole, from where nothing of it has been done. */
static void execute_aside(struct front *f, u32 site)
{
	const struct tr_block *t = f->tr;
	unsigned next = f->sv->tr.site[site].insn + 1u;
	struct emit *e = &f->e;

	emit_mov_imm(e, X86_R12, site);
	emit_call(e, f->sv->tr.thunk_exec_saved);
	emit_jmp(e, next == t->nr ? f->last_end : t->body + t->offset[next]);
}

/* Unaligned, but within the page: back. */
static void cross_part(struct front *f, const struct slow_part *p)
{
	struct emit *e = &f->e;

	emit_patch(e, p->to_cross, emit_here(e));
	if (!p->aligned_only && !p->page_checked && !p->group) {
		tr_compare_with_end(e, p->ea, p->size);
		emit_jcc(e, 6, p->retry);
	}
	if (p->aligned_only || p->group)
		tr_leave_to_interpreter(f, p->site);
	else
		execute_aside(f, p->site);
}

static void miss_part(struct front *f, const struct slow_part *p)
{
	struct emit *e = &f->e;

	emit_patch(e, p->to_miss, emit_here(e));
	if (p->constant)
		emit_mov_imm(e, X86_R13, (u64)(s64)p->lin);
	else if (p->ea != X86_R13)
		emit_mov_rr(e, X86_R13, p->ea);
	emit_mov_imm(e, X86_R12, p->site);
	emit_call(e, f->sv->tr.thunk_miss);
	emit_jmp(e, p->retry);
}

void tr_emit_slow_parts(struct front *f)
{
	unsigned n;

	for (n = 0; n < f->nr_slow; n++) {
		struct tr_site *site = &f->sv->tr.site[f->slow[n].site];

		site->jump = f->slow[n].group ? f->e.p : NULL;
		if (f->slow[n].stack) {
			tr_emit_stack_part(f, &f->slow[n]);
			continue;
		}
		if (f->slow[n].to_cross)
			cross_part(f, &f->slow[n]);
		if (f->slow[n].group)
			site->miss_at = (u8)(f->e.p - site->jump);
		miss_part(f, &f->slow[n]);
	}
}
