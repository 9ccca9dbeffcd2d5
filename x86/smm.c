/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * System management mode: the way in (SMI), the way out (RSM) and the save area at SMBASE + 0xfe00.
 *
 * APM volume 2, "System-Management Mode"; SDM, "System Management Mode". The area has the layout that Linux's KVM writes whatever
 * the vendor: AMD's of 64 bits if the guest's CPUID offers long mode, else the one of 32 bits that both vendors know. The revision
 * says that SMBASE can be relocated and I/O not be restarted. The two fields that the manuals leave to the processor and that are
 * used here hold the interrupt shadow, where later kernels keep it.
 */
#include "internal.h"

#define AREA 0xfe00u /* from SMBASE; offsets below are from here */
#define AREA_SIZE 0x200u
#define ENTRY_RIP 0x8000u

struct area {
	u8 at[AREA_SIZE];
};

static void put(struct area *a, unsigned offset, u64 val, unsigned size)
{
	memcpy(a->at + (offset & (AREA_SIZE - 1)), &val, size);
}

static u64 get(const struct area *a, unsigned offset, unsigned size)
{
	u64 val = 0;

	memcpy(&val, a->at + (offset & (AREA_SIZE - 1)), size);
	return val;
}

/* --- access to SMRAM ------------------------------------------------------------------------------------ */

static enum x86_result area_page(struct x86_state *s, u64 gpa, u8 *buf, unsigned size, bool write)
{
	enum x86_result r;
	struct x86_ram ram;

	if (write && s->ops->ram_write) {
		r = s->ops->ram_write(s, gpa, buf, size);
		if (r == X86_OK && s->ops->ram_written)
			s->ops->ram_written(s, gpa, size);
		return r;
	}
	if (!write && s->ops->ram_read)
		return s->ops->ram_read(s, gpa, buf, size);
	if (!s->ops->ram(s, gpa & X86_PAGE_MASK, write, &ram) || (write && ram.flags & RAM_READONLY))
		return X86_UNHANDLED;
	if (write)
		memcpy(ram.host + (gpa & ~X86_PAGE_MASK), buf, size);
	else
		memcpy(buf, ram.host + (gpa & ~X86_PAGE_MASK), size);
	return X86_OK;
}

/* X86_OK, X86_UNHANDLED (no RAM there), X86_HOST_FAULT. SMBASE need not be aligned. */
static enum x86_result access_area(struct x86_state *s, struct area *a, bool write)
{
	u64 gpa = (u32)(s->smbase + AREA);
	unsigned in_page = X86_PAGE_SIZE - (gpa & ~X86_PAGE_MASK), first = in_page < AREA_SIZE ? in_page : AREA_SIZE;
	enum x86_result r = area_page(s, gpa, a->at, first, write);

	if (r == X86_OK && first < AREA_SIZE)
		r = area_page(s, gpa + first, a->at + first, AREA_SIZE - first, write);
	return r;
}

/* --- the layout of 64 bits ------------------------------------------------------------------------------- */

enum {
	S64_SEG = 0x7e00, /* ES CS SS DS FS GS, in the order of their numbers; 16 bytes each */
	S64_GDTR = 0x7e60,
	S64_LDTR = 0x7e70,
	S64_IDTR = 0x7e80,
	S64_TR = 0x7e90,
	S64_AUTO_HALT = 0x7ec9,
	S64_SHADOW = 0x7ecb,
	S64_EFER = 0x7ed0,
	S64_REVISION = 0x7efc,
	S64_SMBASE = 0x7f00,
	S64_CR4 = 0x7f48,
	S64_CR3 = 0x7f50,
	S64_CR0 = 0x7f58,
	S64_DR7 = 0x7f60,
	S64_DR6 = 0x7f68,
	S64_RFLAGS = 0x7f70,
	S64_RIP = 0x7f78,
	S64_GPR = 0x7ff8, /* RAX; the others below */
};
#define REVISION_64 0x20064u

static u32 saved_attr(const struct x86_seg *seg)
{
	return (seg->attr & SEG_UNUSABLE ? seg->attr & ~SEG_P : seg->attr) & 0xf0ff;
}

static u32 loaded_attr(u32 attr)
{
	return attr & SEG_P ? attr & 0xf0ff : (attr & 0xf0ff) | SEG_UNUSABLE;
}

static void put_seg64(struct area *a, unsigned offset, const struct x86_seg *seg)
{
	put(a, offset, seg->sel, 2);
	put(a, offset + 2, saved_attr(seg), 2);
	put(a, offset + 4, seg->limit, 4);
	put(a, offset + 8, seg->base, 8);
}

static struct x86_seg get_seg64(const struct area *a, unsigned offset)
{
	return (struct x86_seg){ .sel = (u16)get(a, offset, 2),
				 .attr = loaded_attr((u32)get(a, offset + 2, 2)),
				 .limit = (u32)get(a, offset + 4, 4),
				 .base = get(a, offset + 8, 8) };
}

static void put_table64(struct area *a, unsigned offset, const struct x86_table *t)
{
	put(a, offset + 4, t->limit, 4);
	put(a, offset + 8, t->base, 8);
}

static struct x86_table get_table64(const struct area *a, unsigned offset)
{
	return (struct x86_table){ .limit = (u16)get(a, offset + 4, 4), .base = get(a, offset + 8, 8) };
}

static void save64(const struct x86_state *s, struct area *a)
{
	unsigned n;

	for (n = 0; n < 16; n++)
		put(a, S64_GPR - 8 * n, s->gpr[n], 8);
	put(a, S64_RIP, s->rip, 8);
	put(a, S64_RFLAGS, s->rflags, 8);
	put(a, S64_DR6, s->dr6, 8);
	put(a, S64_DR7, s->dr7, 8);
	put(a, S64_CR0, s->cr0, 8);
	put(a, S64_CR3, s->cr3, 8);
	put(a, S64_CR4, s->cr4, 8);
	put(a, S64_EFER, s->efer, 8);
	put(a, S64_SMBASE, s->smbase, 4);
	put(a, S64_REVISION, REVISION_64, 4);
	put(a, S64_SHADOW, s->shadow, 1);
	for (n = 0; n < SEG_COUNT; n++)
		put_seg64(a, S64_SEG + 16 * n, &s->seg[n]);
	put_seg64(a, S64_LDTR, &s->ldt);
	put_seg64(a, S64_TR, &s->tr);
	put_table64(a, S64_GDTR, &s->gdt);
	put_table64(a, S64_IDTR, &s->idt);
}

static void load64(struct x86_state *s, const struct area *a)
{
	unsigned n;

	for (n = 0; n < 16; n++)
		s->gpr[n] = get(a, S64_GPR - 8 * n, 8);
	s->rip = get(a, S64_RIP, 8);
	s->rflags = get(a, S64_RFLAGS, 8);
	s->dr6 = get(a, S64_DR6, 8);
	s->dr7 = get(a, S64_DR7, 8);
	s->smbase = get(a, S64_SMBASE, 4);
	s->shadow = (u8)get(a, S64_SHADOW, 1);
	for (n = 0; n < SEG_COUNT; n++)
		s->seg[n] = get_seg64(a, S64_SEG + 16 * n);
	s->ldt = get_seg64(a, S64_LDTR);
	s->tr = get_seg64(a, S64_TR);
	s->gdt = get_table64(a, S64_GDTR);
	s->idt = get_table64(a, S64_IDTR);
}

/* --- the layout of 32 bits ------------------------------------------------------------------------------- */

enum {
	S32_REVISION = 0x7efc,
	S32_SMBASE = 0x7ef8,
	S32_AUTO_HALT = 0x7f02,
	S32_CR4 = 0x7f14,
	S32_SHADOW = 0x7f1a,
	S32_DS_FS_GS = 0x7f2c, /* 12 bytes each: attributes, limit, base */
	S32_IDT_LIMIT = 0x7f54,
	S32_IDT_BASE = 0x7f58,
	S32_TR = 0x7f5c,
	S32_GDT_LIMIT = 0x7f70,
	S32_GDT_BASE = 0x7f74,
	S32_LDT = 0x7f78,
	S32_ES_CS_SS = 0x7f84,
	S32_SEG_SEL = 0x7fa8, /* 4 bytes each */
	S32_LDT_SEL = 0x7fc0,
	S32_TR_SEL = 0x7fc4,
	S32_DR7 = 0x7fc8,
	S32_DR6 = 0x7fcc,
	S32_GPR = 0x7fd0,
	S32_EIP = 0x7ff0,
	S32_EFLAGS = 0x7ff4,
	S32_CR3 = 0x7ff8,
	S32_CR0 = 0x7ffc,
};
#define REVISION_32 0x20000u

static void put_seg32(struct area *a, unsigned offset, unsigned sel_offset, const struct x86_seg *seg)
{
	put(a, sel_offset, seg->sel, 4);
	/* As in the second half of a descriptor. */
	put(a, offset, (u64)saved_attr(seg) << 8, 4);
	put(a, offset + 4, seg->limit, 4);
	put(a, offset + 8, seg->base, 4);
}

static struct x86_seg get_seg32(const struct area *a, unsigned offset, unsigned sel_offset)
{
	return (struct x86_seg){ .sel = (u16)get(a, sel_offset, 2),
				 .attr = loaded_attr((u32)get(a, offset, 4) >> 8),
				 .limit = (u32)get(a, offset + 4, 4),
				 .base = get(a, offset + 8, 4) };
}

static unsigned seg32_offset(unsigned n)
{
	return n < SEG_DS ? S32_ES_CS_SS + 12 * n : S32_DS_FS_GS + 12 * (n - SEG_DS);
}

static void save32(const struct x86_state *s, struct area *a)
{
	unsigned n;

	for (n = 0; n < 8; n++)
		put(a, S32_GPR + 4 * n, s->gpr[n], 4);
	put(a, S32_EIP, s->rip, 4);
	put(a, S32_EFLAGS, s->rflags, 4);
	put(a, S32_DR6, s->dr6, 4);
	put(a, S32_DR7, s->dr7, 4);
	put(a, S32_CR0, s->cr0, 4);
	put(a, S32_CR3, s->cr3, 4);
	put(a, S32_CR4, s->cr4, 4);
	put(a, S32_SMBASE, s->smbase, 4);
	put(a, S32_REVISION, REVISION_32, 4);
	put(a, S32_SHADOW, s->shadow, 1);
	for (n = 0; n < SEG_COUNT; n++)
		put_seg32(a, seg32_offset(n), S32_SEG_SEL + 4 * n, &s->seg[n]);
	put_seg32(a, S32_LDT, S32_LDT_SEL, &s->ldt);
	put_seg32(a, S32_TR, S32_TR_SEL, &s->tr);
	put(a, S32_GDT_LIMIT, s->gdt.limit, 4);
	put(a, S32_GDT_BASE, s->gdt.base, 4);
	put(a, S32_IDT_LIMIT, s->idt.limit, 4);
	put(a, S32_IDT_BASE, s->idt.base, 4);
}

static void load32(struct x86_state *s, const struct area *a)
{
	unsigned n;

	for (n = 0; n < 8; n++)
		s->gpr[n] = get(a, S32_GPR + 4 * n, 4);
	s->rip = get(a, S32_EIP, 4);
	s->rflags = get(a, S32_EFLAGS, 4);
	s->dr6 = get(a, S32_DR6, 4);
	s->dr7 = get(a, S32_DR7, 4);
	s->smbase = get(a, S32_SMBASE, 4);
	s->shadow = (u8)get(a, S32_SHADOW, 1);
	for (n = 0; n < SEG_COUNT; n++)
		s->seg[n] = get_seg32(a, seg32_offset(n), S32_SEG_SEL + 4 * n);
	s->ldt = get_seg32(a, S32_LDT, S32_LDT_SEL);
	s->tr = get_seg32(a, S32_TR, S32_TR_SEL);
	s->gdt = (struct x86_table){ .base = get(a, S32_GDT_BASE, 4), .limit = (u16)get(a, S32_GDT_LIMIT, 4) };
	s->idt = (struct x86_table){ .base = get(a, S32_IDT_BASE, 4), .limit = (u16)get(a, S32_IDT_LIMIT, 4) };
}

/* --- in -------------------------------------------------------------------------------------------------- */

void x86_set_smm(struct x86_state *s, bool in_smm)
{
	if (s->in_smm == in_smm)
		return;
	s->in_smm = in_smm;
	x86_flush_all(s);
	if (s->ops->smm_changed)
		s->ops->smm_changed(s);
}

/* Real-address mode with segments of 4 GiB, interrupts off, no debugging (SDM, "SMM Handler Execution Environment"). */
static void enter_state(struct x86_state *s, bool lm)
{
	const u32 data = SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED | SEG_G;
	unsigned n;

	s->smm_inside_nmi = s->nmi_blocked;
	s->nmi_blocked = true;
	s->rflags = RFLAGS_FIXED;
	s->rip = ENTRY_RIP;
	s->shadow = 0;
	s->cr0 &= ~(u64)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
	s->cr4 = 0;
	if (lm)
		s->efer = 0;
	s->idt = (struct x86_table){ 0 };
	s->dr7 = DR7_FIXED1;
	for (n = 0; n < SEG_COUNT; n++)
		s->seg[n] = (struct x86_seg){ .limit = 0xffffffff, .attr = data };
	s->seg[SEG_CS].sel = (u16)(s->smbase >> 4);
	s->seg[SEG_CS].base = s->smbase;
}

enum x86_result x86_enter_smm(struct x86_state *s, bool from_halt)
{
	bool lm = x86_has(s, X86F_LM);
	enum x86_result r;
	struct area a;

	memset(&a, 0, sizeof(a));
	if (lm)
		save64(s, &a);
	else
		save32(s, &a);
	put(&a, lm ? S64_AUTO_HALT : S32_AUTO_HALT, from_halt, 1);
	s->in_smm = true;
	r = access_area(s, &a, true);
	s->in_smm = false;
	/* What is written where there is no RAM is lost, as any write: the handler cannot return then. */
	if (r == X86_HOST_FAULT)
		return r;
	enter_state(s, lm);
	x86_set_cpl(s, 0);
	x86_set_smm(s, true);
	if (s->ops->mode_changed)
		s->ops->mode_changed(s);
	return X86_OK;
}

/* --- out --------------------------------------------------------------------------------------------------- */

/* Control registers that no MOV could make: shutdown (SDM, "Exiting From SMM"; APM, "Leaving SMM"). */
static bool valid_control(const struct x86_state *s, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
	if (cr0 >> 32 || (cr0 & CR0_PG && !(cr0 & CR0_PE)) || (cr0 & CR0_NW && !(cr0 & CR0_CD)))
		return false;
	if (cr4 & ~x86_cr4_valid(s) || efer & ~x86_efer_valid(s))
		return false;
	if (!(cr0 & CR0_PG && efer & X86_EFER_LME))
		return !(cr4 & CR4_PCIDE);
	return cr4 & CR4_PAE && !(cr3 >> s->maxphyaddr);
}

static bool load_control(struct x86_state *s, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
	bool lma = cr0 & CR0_PG && efer & X86_EFER_LME;

	if (!valid_control(s, cr0, cr3, cr4, efer))
		return false;
	/* The directory pointers are read from what the processor sees outside. */
	if (cr0 & CR0_PG && cr4 & CR4_PAE && !lma && x86_load_pdptes(s, cr3) != X86_OK)
		return false;
	s->cr0 = cr0 | CR0_ET;
	s->cr3 = cr3;
	s->cr4 = cr4;
	s->efer = (efer & ~(u64)X86_EFER_LMA) | (lma ? X86_EFER_LMA : 0);
	return true;
}

static unsigned loaded_cpl(const struct x86_state *s)
{
	if (!(s->cr0 & CR0_PE))
		return 0;
	return s->rflags & RFLAGS_VM ? 3 : SEG_DPL(s->seg[SEG_SS].attr);
}

static enum x86_result leave_with(struct x86_state *s, const struct area *a, bool lm)
{
	u64 cr0 = lm ? get(a, S64_CR0, 8) : get(a, S32_CR0, 4);
	u64 cr3 = lm ? get(a, S64_CR3, 8) : get(a, S32_CR3, 4);
	u64 cr4 = lm ? get(a, S64_CR4, 8) : get(a, S32_CR4, 4);
	/* The layout of 32 bits has no EFER: it is as the handler leaves it. */
	u64 efer = lm ? get(a, S64_EFER, 8) : s->efer;
	bool halt = get(a, lm ? S64_AUTO_HALT : S32_AUTO_HALT, 1) & 1;

	if (!s->smm_inside_nmi)
		s->nmi_blocked = false;
	s->smm_inside_nmi = false;
	x86_set_smm(s, false);
	if (!load_control(s, cr0, cr3, cr4, efer))
		return X86_SHUTDOWN;
	if (lm)
		load64(s, a);
	else
		load32(s, a);
	s->rflags = (s->rflags & RFLAGS_VALID) | RFLAGS_FIXED;
	s->dr6 = (s->dr6 & 0xffffffff) | DR6_FIXED1;
	s->dr7 = (s->dr7 & 0xffffffff) | DR7_FIXED1;
	s->shadow &= X86_SHADOW_STI | X86_SHADOW_MOV_SS;
	s->keep_rf = s->rflags & RFLAGS_RF;
	s->halted = halt;
	x86_set_cpl(s, loaded_cpl(s));
	if (s->ops->mode_changed)
		s->ops->mode_changed(s);
	return X86_EXIT;
}

enum x86_result x86_exec_rsm(struct x86_state *s, const struct x86_insn *i)
{
	enum x86_result r;
	struct area a;

	if (!s->in_smm)
		return x86_raise(s, X86_EXC_UD);
	r = access_area(s, &a, false);
	if (r != X86_OK)
		return r == X86_UNHANDLED ? X86_SHUTDOWN : r;
	return leave_with(s, &a, x86_has(s, X86F_LM));
}
