/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Instructions on descriptors and descriptor tables. SDM volume 2, LGDT, LLDT, LTR, SGDT, LAR, LSL, VERR, ARPL.
 */
#include "desc.h"
#include "operand.h"

static enum x86_result gp0(struct x86_state *s)
{
	return x86_raise_error(s, X86_EXC_GP, 0);
}

/* SGDT, SIDT, SLDT, STR are hidden from user code by CR4.UMIP. */
static enum x86_result check_umip(struct x86_state *s)
{
	return s->cr4 & CR4_UMIP && s->cpl > 0 ? gp0(s) : X86_OK;
}

/* --- GDTR and IDTR ----------------------------------------------------------------------------------------- */

static unsigned table_bytes(const struct x86_state *s)
{
	return s->mode == X86_MODE_LONG ? 10 : 6;
}

static enum x86_result load_table(struct x86_state *s, const struct x86_insn *i, struct x86_table *t)
{
	unsigned size = table_bytes(s);
	enum x86_result r = x86_need_cpl0(s);
	u64 lin, base = 0;
	u8 buf[10];

	if (r == X86_OK)
		r = x86_linear(s, i->seg, x86_ea(s, i), size, ACC_READ, &lin);
	if (r == X86_OK)
		r = x86_read_linear(s, s->mmu_index, i->seg, lin, buf, size);
	if (r != X86_OK)
		return r;
	memcpy(&base, buf + 2, size - 2);
	if (size == 10 && !x86_canonical(s, base))
		return gp0(s);
	if (size == 6 && i->opsize == 2)
		base &= 0xffffff;
	t->base = base;
	memcpy(&t->limit, buf, 2);
	return X86_OK;
}

static enum x86_result store_table(struct x86_state *s, const struct x86_insn *i, const struct x86_table *t)
{
	unsigned size = table_bytes(s);
	enum x86_result r = check_umip(s);
	u64 lin, base = t->base;
	u8 buf[10];

	if (r == X86_OK)
		r = x86_linear(s, i->seg, x86_ea(s, i), size, ACC_WRITE, &lin);
	if (r != X86_OK)
		return r;
	if (size == 6 && i->opsize == 2)
		base &= 0xffffff;
	memcpy(buf, &t->limit, 2);
	memcpy(buf + 2, &base, size - 2);
	return x86_write_linear(s, s->mmu_index, i->seg, lin, buf, size);
}

enum x86_result x86_exec_lgdt(struct x86_state *s, const struct x86_insn *i)
{
	return load_table(s, i, &s->gdt);
}

enum x86_result x86_exec_lidt(struct x86_state *s, const struct x86_insn *i)
{
	return load_table(s, i, &s->idt);
}

enum x86_result x86_exec_sgdt(struct x86_state *s, const struct x86_insn *i)
{
	return store_table(s, i, &s->gdt);
}

enum x86_result x86_exec_sidt(struct x86_state *s, const struct x86_insn *i)
{
	return store_table(s, i, &s->idt);
}

/* --- LDTR and TR -------------------------------------------------------------------------------------------- */

static enum x86_result store_selector(struct x86_state *s, const struct x86_insn *i, u16 sel)
{
	enum x86_result r;

	if (x86_real_or_vm86(s))
		return x86_raise(s, X86_EXC_UD);
	r = check_umip(s);
	return r == X86_OK ? x86_put_opnd(s, i, 0, sel) : r;
}

enum x86_result x86_exec_sldt(struct x86_state *s, const struct x86_insn *i)
{
	return store_selector(s, i, s->ldt.sel);
}

enum x86_result x86_exec_str(struct x86_state *s, const struct x86_insn *i)
{
	return store_selector(s, i, s->tr.sel);
}

static enum x86_result system_selector(struct x86_state *s, const struct x86_insn *i, u64 *sel)
{
	enum x86_result r;

	if (x86_real_or_vm86(s))
		return x86_raise(s, X86_EXC_UD);
	r = x86_need_cpl0(s);
	return r == X86_OK ? x86_get_opnd(s, i, 0, sel) : r;
}

enum x86_result x86_exec_lldt(struct x86_state *s, const struct x86_insn *i)
{
	struct x86_seg ldt;
	enum x86_result r;
	u64 sel;

	r = system_selector(s, i, &sel);
	if (r == X86_OK)
		r = x86_prepare_ldt(s, sel, X86_EXC_GP, &ldt);
	if (r == X86_OK)
		s->ldt = ldt;
	return r;
}

enum x86_result x86_exec_ltr(struct x86_state *s, const struct x86_insn *i)
{
	const u8 busy = SYS_TSS_BUSY ^ SYS_TSS;
	struct x86_desc d;
	enum x86_result r;
	u64 sel, base;
	unsigned type;

	r = system_selector(s, i, &sel);
	if (r != X86_OK)
		return r;
	if (x86_null_sel(sel))
		return gp0(s);
	if (sel & SEL_TI)
		return x86_raise_error(s, X86_EXC_GP, SEL_ERR(sel));
	r = x86_read_desc(s, sel, X86_EXC_GP, &d);
	if (r != X86_OK)
		return r;
	type = x86_desc_attr(&d) & (SEG_S | 0xf);
	if (type != SYS_TSS && (type != SYS_TSS16 || x86_lma(s)))
		return x86_raise_error(s, X86_EXC_GP, SEL_ERR(sel));
	if (!(x86_desc_attr(&d) & SEG_P))
		return x86_raise_error(s, X86_EXC_NP, SEL_ERR(sel));
	if (x86_lma(s)) {
		r = x86_desc_high(s, X86_EXC_GP, &d);
		if (r != X86_OK)
			return r;
	}
	base = x86_desc_base(&d) | d.high << 32;
	if (x86_lma(s) && !x86_canonical(s, base))
		return x86_raise_error(s, X86_EXC_GP, SEL_ERR(sel));
	r = x86_desc_set(s, &d, busy);
	if (r != X86_OK)
		return r;
	x86_desc_to_seg(&d, sel, &s->tr);
	s->tr.base = base;
	return X86_OK;
}

/* --- looking at descriptors ------------------------------------------------------------------------------------ */

/*
 * The descriptor that the selector in operand n names, for LAR, LSL, VERR, VERW: they report what would fault
 * as ZF = 0 (*valid). Faults are those of the memory accesses.
 */
static enum x86_result look_up(struct x86_state *s, const struct x86_insn *i, unsigned n, struct x86_desc *d,
			       bool *valid)
{
	enum x86_result r;
	u64 sel;

	*valid = false;
	if (x86_real_or_vm86(s))
		return x86_raise(s, X86_EXC_UD);
	r = x86_get_opnd(s, i, n, &sel);
	if (r != X86_OK || x86_null_sel(sel))
		return r;
	r = x86_read_desc(s, sel, X86_EXC_GP, d);
	if (r == X86_FAULT && s->fault.vector == X86_EXC_GP)
		return X86_OK;
	if (r != X86_OK)
		return r;
	/* Conforming code is visible from everywhere. */
	*valid = (x86_desc_code(d) && x86_desc_conforming(d)) ||
		 (x86_desc_dpl(d) >= s->cpl && x86_desc_dpl(d) >= SEL_RPL(sel));
	return X86_OK;
}

static void set_zf(struct x86_state *s, bool zf)
{
	s->rflags = (s->rflags & ~(u64)RFLAGS_ZF) | (zf ? RFLAGS_ZF : 0);
}

static bool readable(u32 attr)
{
	return attr & SEG_S && (attr & (SEG_TYPE_CODE | SEG_TYPE_RW)) != SEG_TYPE_CODE;
}

static bool writable(u32 attr)
{
	return attr & SEG_S && (attr & (SEG_TYPE_CODE | SEG_TYPE_RW)) == SEG_TYPE_RW;
}

static enum x86_result verify(struct x86_state *s, const struct x86_insn *i, bool (*allows)(u32 attr))
{
	struct x86_desc d;
	bool valid;
	enum x86_result r = look_up(s, i, 0, &d, &valid);

	if (r == X86_OK)
		set_zf(s, valid && allows(x86_desc_attr(&d)));
	return r;
}

enum x86_result x86_exec_verr(struct x86_state *s, const struct x86_insn *i)
{
	return verify(s, i, readable);
}

enum x86_result x86_exec_verw(struct x86_state *s, const struct x86_insn *i)
{
	return verify(s, i, writable);
}

/* Is a system descriptor type in the set that the instruction accepts? Sets are bit masks over the types. */
static bool type_in(const struct x86_state *s, const struct x86_desc *d, u32 legacy, u32 ia32e)
{
	if (x86_desc_attr(d) & SEG_S)
		return true;
	return (x86_lma(s) ? ia32e : legacy) >> x86_desc_type(d) & 1;
}

enum x86_result x86_exec_lar(struct x86_state *s, const struct x86_insn *i)
{
	const u32 ia32e = BIT(SYS_LDT) | BIT(SYS_TSS) | BIT(SYS_TSS_BUSY) | BIT(SYS_CALL_GATE);
	const u32 legacy = ia32e | BIT(SYS_TSS16) | BIT(SYS_TSS16_BUSY) | BIT(SYS_CALL_GATE16) | BIT(SYS_TASK_GATE);
	struct x86_desc d;
	bool valid;
	enum x86_result r = look_up(s, i, 1, &d, &valid);

	if (r != X86_OK)
		return r;
	valid = valid && type_in(s, &d, legacy, ia32e);
	if (valid)
		x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, d.raw >> 32 & 0x00ffff00);
	set_zf(s, valid);
	return X86_OK;
}

enum x86_result x86_exec_lsl(struct x86_state *s, const struct x86_insn *i)
{
	const u32 ia32e = BIT(SYS_LDT) | BIT(SYS_TSS) | BIT(SYS_TSS_BUSY);
	struct x86_desc d;
	bool valid;
	enum x86_result r = look_up(s, i, 1, &d, &valid);

	if (r != X86_OK)
		return r;
	valid = valid && type_in(s, &d, ia32e | BIT(SYS_TSS16) | BIT(SYS_TSS16_BUSY), ia32e);
	if (valid)
		x86_write_gpr(s, i->opnd[0].reg, i->opnd[0].size, x86_desc_limit(&d));
	set_zf(s, valid);
	return X86_OK;
}

enum x86_result x86_exec_arpl(struct x86_state *s, const struct x86_insn *i)
{
	struct x86_place dst;
	enum x86_result r;
	u64 src;
	u16 sel;

	if (x86_real_or_vm86(s))
		return x86_raise(s, X86_EXC_UD);
	r = x86_get_opnd(s, i, 1, &src);
	if (r == X86_OK)
		r = x86_place_begin(s, i, 0, &dst);
	if (r != X86_OK)
		return r;
	sel = x86_peek(dst.ptr, 2);
	if (SEL_RPL(sel) < SEL_RPL(src))
		x86_poke(dst.ptr, 2, (sel & 0xfffc) | SEL_RPL(src));
	set_zf(s, SEL_RPL(sel) < SEL_RPL(src));
	return x86_place_end(s, &dst);
}
