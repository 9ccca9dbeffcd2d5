/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The guest's state between struct x86_state and the VMCB. General registers move with every exit, the rest on demand. */
#include "svm.h"

/* VMCB attributes: descriptor bits 40-47 and 52-55 joined; ours are in place 0-7 and 12-15. */
static u16 to_attr(u32 attr)
{
	return attr & SEG_UNUSABLE ? 0 : (u16)((attr & 0xff) | (attr >> 4 & 0xf00));
}

static u32 from_attr(u16 attr)
{
	return (attr & 0xff) | (attr & 0xf00u) << 4;
}

static void to_seg(struct vmcb_seg *d, const struct x86_seg *s)
{
	d->sel = s->sel;
	d->attr = to_attr(s->attr);
	d->limit = s->limit;
	d->base = s->base;
}

static u32 seg_attr(const struct vmcb_seg *s)
{
	u32 attr = from_attr(s->attr);

	return attr & SEG_P ? attr : attr | SEG_UNUSABLE;
}

static void from_seg(struct x86_seg *d, const struct vmcb_seg *s)
{
	d->sel = s->sel;
	d->attr = seg_attr(s);
	d->limit = s->limit;
	d->base = s->base;
}

/* In the order of enum x86_segreg. */
static struct vmcb_seg *seg_of(struct vmcb *c, unsigned i)
{
	return &c->es + i;
}

/* As LTR leaves it there: the VMCB does not show that a TSS is busy (and an emulator refuses one that says so). */
static void put_tr(struct vmcb *c, const struct x86_state *s)
{
	to_seg(&c->tr, &s->tr);
	c->tr.attr &= (u16)~2u;
}

static void put_segments(struct vmcb *c, const struct x86_state *s)
{
	unsigned i;

	for (i = 0; i < SEG_COUNT; i++)
		to_seg(seg_of(c, i), &s->seg[i]);
	to_seg(&c->ldtr, &s->ldt);
	put_tr(c, s);
	c->gdtr.base = s->gdt.base;
	c->gdtr.limit = s->gdt.limit;
	c->idtr.base = s->idt.base;
	c->idtr.limit = s->idt.limit;
	c->cpl = s->cpl;
	c->clean &= ~(u32)(CLEAN_SEGMENTS | CLEAN_TABLES);
}

static void get_segments(struct x86_state *s, struct vmcb *c)
{
	unsigned i;

	for (i = 0; i < SEG_COUNT; i++)
		from_seg(&s->seg[i], seg_of(c, i));
	from_seg(&s->ldt, &c->ldtr);
	from_seg(&s->tr, &c->tr);
	/* See put_tr(). */
	if (s->tr.attr & SEG_P)
		s->tr.attr |= 2;
	s->gdt.base = c->gdtr.base;
	s->gdt.limit = (u16)c->gdtr.limit;
	s->idt.base = c->idtr.base;
	s->idt.limit = (u16)c->idtr.limit;
	/* SS need not keep its DPL in the VMCB; the rest of us takes CPL from there. */
	s->seg[SEG_SS].attr = (s->seg[SEG_SS].attr & ~(3u << SEG_DPL_SHIFT)) | (u32)c->cpl << SEG_DPL_SHIFT;
}

/* True if translations may differ. */
static bool put_control(struct vmcb *c, const struct x86_state *s)
{
	u64 efer = s->efer | X86_EFER_SVME;
	bool differs = c->cr0 != s->cr0 || c->cr3 != s->cr3 || c->cr4 != s->cr4 || c->efer != efer;

	c->cr0 = s->cr0;
	c->cr3 = s->cr3;
	c->cr4 = s->cr4;
	c->efer = efer;
	if (differs)
		c->clean &= ~(u32)CLEAN_CR;
	svm_set(c, cr2, s->cr2, CLEAN_CR2);
	return differs;
}

static void get_control(struct x86_state *s, const struct vmcb *c)
{
	/* Writes of the others are intercepted. */
	s->cr2 = c->cr2;
	s->cr3 = c->cr3;
	s->efer = c->efer & ~(u64)X86_EFER_SVME;
}

static void put_msrs(struct vmcb *c, struct vcpu *v)
{
	const struct x86_state *s = &v->state;

	c->star = s->star;
	c->lstar = s->lstar;
	c->cstar = s->cstar;
	c->sfmask = s->sfmask;
	c->kernel_gs_base = s->kernel_gs_base;
	c->sysenter_cs = s->sysenter_cs;
	c->sysenter_esp = s->sysenter_esp;
	c->sysenter_eip = s->sysenter_eip;
	svm_set(c, pat, s->pat, CLEAN_NESTED);
	c->spec_ctrl = svm_caps.v_spec_ctrl ? v->spec_ctrl : 0;
}

static void get_msrs(struct vcpu *v, const struct vmcb *c)
{
	struct x86_state *s = &v->state;

	if (svm_caps.v_spec_ctrl)
		v->spec_ctrl = c->spec_ctrl;
	s->star = c->star;
	s->lstar = c->lstar;
	s->cstar = c->cstar;
	s->sfmask = c->sfmask;
	s->kernel_gs_base = c->kernel_gs_base;
	s->sysenter_cs = c->sysenter_cs;
	s->sysenter_esp = c->sysenter_esp;
	s->sysenter_eip = c->sysenter_eip;
}

void svm_put_dr6(struct vcpu *v)
{
	struct vmcb *c = svm_of(v)->vmcb;
	/* The debugger's starts empty each time. */
	u64 dr6 = hwvm_debugger_owns_dr(v) ? DR6_FIXED1 : v->state.dr6;

	svm_set(c, dr6, dr6, CLEAN_DR);
}

void svm_state_to_vmcb(struct vcpu *v)
{
	struct svm_vcpu *sv = svm_of(v);
	struct x86_state *s = &v->state;
	struct vmcb *c = sv->vmcb;

	c->rax = s->gpr[X86_RAX];
	c->rsp = s->gpr[X86_RSP];
	c->rip = s->rip;
	c->rflags = hwvm_rflags(v);
	c->int_state = s->shadow ? INT_SHADOW : 0;
	if (sv->hw.dirty & STATE_SEG)
		put_segments(c, s);
	if (sv->hw.dirty & STATE_CR && put_control(c, s))
		sv->hw.flush = true;
	if (sv->hw.dirty & STATE_MSR)
		put_msrs(c, v);
	svm_set(c, dr7, v->eff_dr7 | DR7_FIXED1, CLEAN_DR);
	svm_put_dr6(v);
	sv->hw.dirty = 0;
}

void svm_state_after_exit(struct vcpu *v)
{
	struct svm_vcpu *sv = svm_of(v);
	struct x86_state *s = &v->state;
	struct vmcb *c = sv->vmcb;

	/* The guest has not run. An emulated processor may have left the host's state in the VMCB, which is nobody's business. */
	if (unlikely((u32)c->exit_code == X_INVALID)) {
		c->clean = 0;
		sv->hw.dirty = STATE_ALL & ~sv->hw.stale;
		return;
	}
	c->clean = CLEAN_ALL;
	s->gpr[X86_RAX] = c->rax;
	s->gpr[X86_RSP] = c->rsp;
	s->rip = c->rip;
	s->cpl = c->cpl;
	hwvm_set_rflags(v, c->rflags, seg_attr(&c->cs));
	/* Which of the two made it the hardware does not say. */
	s->shadow = c->int_state & INT_SHADOW ? X86_SHADOW_STI | X86_SHADOW_MOV_SS : 0;
	/* Never lazily: a debugger that comes now must not lose the guest's. */
	if (!hwvm_debugger_owns_dr(v))
		s->dr6 = c->dr6;
	sv->hw.stale = STATE_SEG | STATE_CR | STATE_MSR;
}

void svm_get_state(struct vcpu *v, u32 mask)
{
	struct svm_vcpu *sv = svm_of(v);
	struct x86_state *s = &v->state;
	u32 want = hwvm_wanted(v, mask);

	if (want & STATE_SEG)
		get_segments(s, sv->vmcb);
	if (want & STATE_CR)
		get_control(s, sv->vmcb);
	if (want & STATE_MSR)
		get_msrs(v, sv->vmcb);
	hwvm_got(v, want);
}

/* --- the parts that stay --------------------------------------------------------------------------------- */

void svm_vmcb_init(struct vcpu *v)
{
	struct svm_vcpu *sv = svm_of(v);
	struct vmcb *c = sv->vmcb;

	/* CR3 is the guest's own with nested paging, CR2 always; CR8 is the LAPIC's. */
	c->cr_read = BIT(8);
	c->cr_write = BIT(0) | BIT(4) | BIT(8);
	c->dr_read = c->dr_write = 0xffff;
	c->exceptions = HWVM_EXCEPTIONS;
	c->intercept3 = I3_INTR | I3_NMI | I3_SMI | I3_INIT | I3_RDPMC | I3_CPUID | I3_RSM | I3_INVD | I3_HLT |
			I3_INVLPGA | I3_IOIO | I3_MSR | I3_TASK_SWITCH | I3_SHUTDOWN;
	c->intercept4 = I4_VMRUN | I4_VMMCALL | I4_VMLOAD | I4_VMSAVE | I4_STGI | I4_CLGI | I4_SKINIT | I4_WBINVD |
			I4_MONITOR | I4_MWAIT | I4_XSETBV | I4_RDPRU;
	c->iopm_pa = hw_pa(svm_iopm);
	c->vint = VINT_MASKING;
	c->nested_control = NESTED_PAGING;
}
