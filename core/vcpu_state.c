/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Registers of a vCPU in the ABI's structures: general, special and debug registers, XCRs, MP state, translation. */
#include "irqchip.h"

#define APIC_BASE_BSP BIT(8)

/* --- general registers ---------------------------------------------------------------------------------- */

/* struct kvm_regs is in an order of its own: rax rbx rcx rdx rsi rdi rsp rbp r8-r15. */
static const u8 abi_order[16] = {
	X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RSP, X86_RBP,
	X86_R8,  X86_R9,  X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15,
};
_Static_assert(offsetof(struct kvm_regs, rip) == sizeof(u64) * ARRAY_SIZE(abi_order), "kvm_regs layout");

void vcpu_get_regs(struct vcpu *v, struct kvm_regs *r)
{
	u64 gpr[16];
	unsigned n;

	for (n = 0; n < 16; n++)
		gpr[n] = v->state.gpr[abi_order[n]];
	memcpy(r, gpr, sizeof(gpr));
	r->rip = v->state.rip;
	r->rflags = v->state.rflags;
}

/* CPL and mode from segments, CR0, EFER and RFLAGS. True: they are others than before. */
static bool update_privilege(struct x86_state *s)
{
	u8 cpl = s->cpl, mode = s->mode, mmu = s->mmu_index;

	if (!(s->cr0 & CR0_PE))
		s->cpl = 0;
	else if (s->rflags & RFLAGS_VM && !(s->efer & X86_EFER_LMA))
		s->cpl = 3;
	else
		s->cpl = SEG_DPL(s->seg[SEG_SS].attr);
	x86_update_mode(s);
	return cpl != s->cpl || mode != s->mode || mmu != s->mmu_index;
}

void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *r)
{
	struct x86_state *s = &v->state;
	u64 gpr[16];
	unsigned n;

	memcpy(gpr, r, sizeof(gpr));
	for (n = 0; n < 16; n++)
		s->gpr[abi_order[n]] = gpr[n];
	s->rip = r->rip;
	s->rflags = (r->rflags & RFLAGS_VALID) | RFLAGS_FIXED;
	v->ev.exc.pending = false;
	v->check_state = true;
	/* Engines forget translations when segments change: spare them that. */
	vcpu_put_state(v, update_privilege(s) ? STATE_GPR | STATE_SEG : STATE_GPR);
	vcpu_request(v, REQ_EVENT);
}

/* --- special registers ------------------------------------------------------------------------------------- */

static void get_segment(const struct x86_seg *seg, struct kvm_segment *out)
{
	bool usable = seg->attr & SEG_P && !(seg->attr & SEG_UNUSABLE);

	*out = (struct kvm_segment){
		.base = seg->base,
		.limit = seg->limit,
		.selector = seg->sel,
		.type = SEG_TYPE(seg->attr),
		.present = usable,
		.dpl = SEG_DPL(seg->attr),
		.db = (seg->attr & SEG_DB) != 0,
		.s = (seg->attr & SEG_S) != 0,
		.l = (seg->attr & SEG_L) != 0,
		.g = (seg->attr & SEG_G) != 0,
		.avl = (seg->attr & SEG_AVL) != 0,
		.unusable = !usable,
	};
}

/* Present and unusable exclude each other; user space is known to keep only the first. */
static void set_segment(struct x86_seg *seg, const struct kvm_segment *in)
{
	bool usable = in->present && !in->unusable;

	*seg = (struct x86_seg){ .base = in->base, .limit = in->limit, .sel = in->selector };
	seg->attr = (in->type & 15) | (in->s & 1) << 4 | (in->dpl & 3) << SEG_DPL_SHIFT | (in->avl & 1) << 12 |
		    (in->l & 1) << 13 | (in->db & 1) << 14 | (in->g & 1) << 15 | (usable ? SEG_P : SEG_UNUSABLE);
}

/* What struct kvm_sregs and kvm_sregs2 have in common is their beginning. */
_Static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags), "sregs layout");

static void get_common(struct vcpu *v, struct kvm_sregs *r)
{
	const struct x86_state *s = &v->state;

	get_segment(&s->seg[SEG_CS], &r->cs);
	get_segment(&s->seg[SEG_DS], &r->ds);
	get_segment(&s->seg[SEG_ES], &r->es);
	get_segment(&s->seg[SEG_FS], &r->fs);
	get_segment(&s->seg[SEG_GS], &r->gs);
	get_segment(&s->seg[SEG_SS], &r->ss);
	get_segment(&s->tr, &r->tr);
	get_segment(&s->ldt, &r->ldt);
	r->gdt = (struct kvm_dtable){ .base = s->gdt.base, .limit = s->gdt.limit };
	r->idt = (struct kvm_dtable){ .base = s->idt.base, .limit = s->idt.limit };
	r->cr0 = s->cr0;
	r->cr2 = s->cr2;
	r->cr3 = s->cr3;
	r->cr4 = s->cr4;
	r->cr8 = v->lapic ? lapic_get_tpr(v) : s->cr8;
	r->efer = s->efer;
	r->apic_base = v->apic_base;
}

void vcpu_get_sregs(struct vcpu *v, struct kvm_sregs *r)
{
	memset(r, 0, sizeof(*r));
	get_common(v, r);
	if (v->ev.irq.injected && !v->ev.irq.soft)
		r->interrupt_bitmap[v->ev.irq.nr / 64] |= 1ull << (v->ev.irq.nr % 64);
}

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & X86_EFER_LMA);
}

void vcpu_get_sregs2(struct vcpu *v, struct kvm_sregs2 *r)
{
	struct x86_state *s = &v->state;

	memset(r, 0, sizeof(*r));
	get_common(v, (struct kvm_sregs *)r);
	if (!pae_paging(s->cr0, s->cr4, s->efer))
		return;
	memcpy(r->pdptrs, s->pdpte, sizeof(r->pdptrs));
	r->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
}

static bool valid_modes(const struct vcpu *v, const struct kvm_sregs *r)
{
	if (!(r->efer & X86_EFER_LME && r->cr0 & CR0_PG))
		return !(r->efer & X86_EFER_LMA) && !r->cs.l;
	return r->cr4 & CR4_PAE && r->efer & X86_EFER_LMA && !(r->cr3 >> v->state.maxphyaddr);
}

static bool valid_sregs(const struct vcpu *v, const struct kvm_sregs *r)
{
	if (r->cr0 >> 32 || (r->cr0 & CR0_NW && !(r->cr0 & CR0_CD)) || (r->cr0 & CR0_PG && !(r->cr0 & CR0_PE)))
		return false;
	if (r->cr4 & ~x86_cr4_valid(&v->state))
		return false;
	return valid_modes(v, r);
}

/* QEMU of old did not end the halt state on reset. */
static void unhalt_after_reset(struct vcpu *v)
{
	const struct x86_state *s = &v->state;

	if (v->apic_base & APIC_BASE_BSP && s->rip == 0xfff0 && s->seg[SEG_CS].sel == 0xf000 &&
	    s->seg[SEG_CS].base == 0xffff0000 && !(s->cr0 & CR0_PE))
		__atomic_store_n(&v->mp_state, KVM_MP_STATE_RUNNABLE, __ATOMIC_RELAXED);
}

static void set_tpr(struct vcpu *v, u64 cr8)
{
	if (cr8 > 15)
		return;
	v->state.cr8 = cr8;
	if (v->lapic)
		lapic_set_tpr(v, cr8);
}

static void set_segments(struct x86_state *s, const struct kvm_sregs *r)
{
	set_segment(&s->seg[SEG_CS], &r->cs);
	set_segment(&s->seg[SEG_DS], &r->ds);
	set_segment(&s->seg[SEG_ES], &r->es);
	set_segment(&s->seg[SEG_FS], &r->fs);
	set_segment(&s->seg[SEG_GS], &r->gs);
	set_segment(&s->seg[SEG_SS], &r->ss);
	set_segment(&s->tr, &r->tr);
	set_segment(&s->ldt, &r->ldt);
}

static int set_common(struct vcpu *v, const struct kvm_sregs *r)
{
	struct x86_state *s = &v->state;

	if (!valid_sregs(v, r) || lapic_set_base(v, r->apic_base, true))
		return -EINVAL;
	s->idt = (struct x86_table){ .base = r->idt.base, .limit = r->idt.limit };
	s->gdt = (struct x86_table){ .base = r->gdt.base, .limit = r->gdt.limit };
	s->cr2 = r->cr2;
	s->cr3 = r->cr3;
	set_tpr(v, r->cr8);
	s->efer = r->efer;
	s->cr0 = r->cr0 | CR0_ET;
	s->cr4 = r->cr4;
	set_segments(s, r);
	update_privilege(s);
	unhalt_after_reset(v);
	return 0;
}

static void load_pdptes(struct vcpu *v)
{
	int idx;

	if (!pae_paging(v->state.cr0, v->state.cr4, v->state.efer))
		return;
	idx = host_srcu_read_lock(&v->vm->srcu);
	/* Bad entries are user space's business; they stay what they were. */
	x86_load_pdptes(&v->state, v->state.cr3);
	host_srcu_read_unlock(&v->vm->srcu, idx);
}

static void sregs_changed(struct vcpu *v)
{
	v->check_state = true;
	vcpu_put_state(v, STATE_ALL);
	vcpu_request(v, REQ_EVENT | REQ_SETTINGS);
}

static int first_vector(const u64 bitmap[4])
{
	unsigned n;

	for (n = 0; n < 4; n++)
		if (bitmap[n])
			return n * 64 + __builtin_ctzll(bitmap[n]);
	return -1;
}

int vcpu_set_sregs(struct vcpu *v, const struct kvm_sregs *r)
{
	u64 bitmap[4];
	int vector;

	if (set_common(v, r))
		return -EINVAL;
	load_pdptes(v);
	memcpy(bitmap, r->interrupt_bitmap, sizeof(bitmap));
	vector = first_vector(bitmap);
	if (vector >= 0) {
		v->ev.irq.injected = true;
		v->ev.irq.soft = false;
		v->ev.irq.nr = vector;
	}
	sregs_changed(v);
	return 0;
}

int vcpu_set_sregs2(struct vcpu *v, const struct kvm_sregs2 *r)
{
	bool pdptes = r->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;

	if (r->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (pdptes && !pae_paging(r->cr0, r->cr4, r->efer))
		return -EINVAL;
	if (set_common(v, (const struct kvm_sregs *)r))
		return -EINVAL;
	if (pdptes)
		memcpy(v->state.pdpte, r->pdptrs, sizeof(v->state.pdpte));
	else
		load_pdptes(v);
	sregs_changed(v);
	return 0;
}

/* --- debug registers ------------------------------------------------------------------------------------------ */

void vcpu_get_debugregs(struct vcpu *v, struct kvm_debugregs *d)
{
	memset(d, 0, sizeof(*d));
	memcpy(d->db, v->state.dr, sizeof(d->db));
	d->dr6 = v->state.dr6;
	d->dr7 = v->state.dr7;
}

int vcpu_set_debugregs(struct vcpu *v, const struct kvm_debugregs *d)
{
	if (d->flags || d->dr6 >> 32 || d->dr7 >> 32)
		return -EINVAL;
	memcpy(v->state.dr, d->db, sizeof(v->state.dr));
	v->state.dr6 = d->dr6;
	v->state.dr7 = d->dr7;
	vcpu_put_state(v, STATE_DR);
	vcpu_debug_update(v);
	return 0;
}

/* --- extended control registers ---------------------------------------------------------------------------------- */

void vcpu_get_xcrs(struct vcpu *v, struct kvm_xcrs *x)
{
	memset(x, 0, sizeof(*x));
	x->nr_xcrs = 1;
	x->xcrs[0].xcr = 0;
	x->xcrs[0].value = v->state.xcr0;
}

int vcpu_set_xcrs(struct vcpu *v, const struct kvm_xcrs *x)
{
	u32 n;

	if (x->nr_xcrs > KVM_MAX_XCRS || x->flags)
		return -EINVAL;
	for (n = 0; n < x->nr_xcrs; n++)
		if (x->xcrs[n].xcr == 0)
			break;
	if (n == x->nr_xcrs)
		return 0;
	if (x86_write_xcr(&v->state, 0, x->xcrs[n].value) != X86_OK)
		return -EINVAL;
	vcpu_put_state(v, STATE_CR);
	return 0;
}

/* --- MP state --------------------------------------------------------------------------------------------------- */

int vcpu_get_mp_state(struct vcpu *v, u32 *mp_state)
{
	int idx = host_srcu_read_lock(&v->vm->srcu);
	u32 state;

	vcpu_accept_apic_events(v);
	host_srcu_read_unlock(&v->vm->srcu, idx);
	state = __atomic_load_n(&v->mp_state, __ATOMIC_RELAXED);
	if ((state == KVM_MP_STATE_HALTED || state == KVM_MP_STATE_AP_RESET_HOLD) &&
	    __atomic_load_n(&v->pv_unhalted, __ATOMIC_RELAXED))
		state = KVM_MP_STATE_RUNNABLE;
	*mp_state = state;
	return 0;
}

int vcpu_set_mp_state(struct vcpu *v, u32 mp_state)
{
	switch (mp_state) {
	case KVM_MP_STATE_RUNNABLE: break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_AP_RESET_HOLD:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
		if (!v->lapic)
			return -EINVAL;
		break;
	default: return -EINVAL;
	}
	/* INIT is held back there: by KVM_SET_VCPU_EVENTS. */
	vcpu_collect_smi(v);
	if ((mp_state == KVM_MP_STATE_SIPI_RECEIVED || mp_state == KVM_MP_STATE_INIT_RECEIVED) &&
	    (v->state.in_smm || v->ev.smi_pending))
		return -EINVAL;
	if (mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
		mp_state = KVM_MP_STATE_INIT_RECEIVED;
		lapic_change_events(v, LAPIC_SIPI, 0);
	}
	__atomic_store_n(&v->mp_state, mp_state, __ATOMIC_RELAXED);
	v->state.halted = false;
	vcpu_request(v, REQ_EVENT);
	return 0;
}

/* --- translation ------------------------------------------------------------------------------------------------- */

void vcpu_translate(struct vcpu *v, struct kvm_translation *t)
{
	struct x86_translation found;
	int idx = host_srcu_read_lock(&v->vm->srcu);

	t->valid = x86_translate(&v->state, MMU_SUPER, t->linear_address, ACC_READ, 0, &found) == X86_OK;
	host_srcu_read_unlock(&v->vm->srcu, idx);
	t->physical_address = t->valid ? found.gpa : ~0ull;
	t->writeable = 1;
	t->usermode = 0;
}
