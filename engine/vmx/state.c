/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The guest's state between struct x86_state and the VMCS. General registers move with every exit, the rest on demand. */
#include "vmx.h"

/* Fields of segment i: the six in the order of enum x86_segreg, then LDTR and TR. */
#define SEG_FIELD(first, i) ((first) + 2 * (i))
#define ATTR_MASK 0x1f0ffu
#define TYPE_BUSY_TSS16 3u
#define TYPE_BUSY_TSS 11u

/* --- segments ------------------------------------------------------------------------------------------------------ */

static void put_seg(unsigned i, const struct x86_seg *s, u32 attr)
{
	vmwrite(SEG_FIELD(GUEST_ES_SEL, i), s->sel);
	vmwrite(SEG_FIELD(GUEST_ES_BASE, i), s->base);
	vmwrite(SEG_FIELD(GUEST_ES_LIMIT, i), s->limit);
	vmwrite(SEG_FIELD(GUEST_ES_ATTR, i), attr);
}

static void get_seg(unsigned i, struct x86_seg *s)
{
	s->sel = (u16)vmread(SEG_FIELD(GUEST_ES_SEL, i));
	s->base = vmread(SEG_FIELD(GUEST_ES_BASE, i));
	s->limit = (u32)vmread(SEG_FIELD(GUEST_ES_LIMIT, i));
	s->attr = (u32)vmread(SEG_FIELD(GUEST_ES_ATTR, i)) & ATTR_MASK;
}

/*
 * SDM, "Checks on Guest Segment Registers": descriptors that the processor has loaded are accessed, SS.DPL is the privilege level
 * even where SS is unusable, and in virtual-8086 mode the attributes are fixed.
 */
static u32 entry_attr(const struct x86_state *s, unsigned i)
{
	u32 attr = s->seg[i].attr & ATTR_MASK;

	if (s->rflags & RFLAGS_VM)
		return SEG_P | 3u << SEG_DPL_SHIFT | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED;
	if (i == SEG_SS)
		attr = (attr & ~(3u << SEG_DPL_SHIFT)) | (u32)s->cpl << SEG_DPL_SHIFT;
	if (!(attr & SEG_P))
		attr |= SEG_UNUSABLE;
	return attr & SEG_UNUSABLE ? attr & (SEG_UNUSABLE | 3u << SEG_DPL_SHIFT) : attr | SEG_TYPE_ACCESSED;
}

/* A task register is always there, and busy. */
static u32 tr_attr(const struct x86_state *s)
{
	u32 attr = s->tr.attr & ATTR_MASK;

	if (!(attr & SEG_P) || attr & SEG_UNUSABLE)
		return SEG_P | TYPE_BUSY_TSS;
	if (SEG_TYPE(attr) == (TYPE_BUSY_TSS16 & ~2u) || SEG_TYPE(attr) == TYPE_BUSY_TSS16)
		return (attr & ~0xfu) | (s->efer & X86_EFER_LMA ? TYPE_BUSY_TSS : TYPE_BUSY_TSS16);
	return (attr & ~0xfu) | TYPE_BUSY_TSS;
}

static void put_segments(const struct x86_state *s)
{
	unsigned i;

	for (i = 0; i < SEG_COUNT; i++)
		put_seg(i, &s->seg[i], entry_attr(s, i));
	put_seg(SEG_COUNT, &s->ldt, s->ldt.attr & SEG_P ? s->ldt.attr & ATTR_MASK : SEG_UNUSABLE);
	put_seg(SEG_COUNT + 1, &s->tr, tr_attr(s));
	vmwrite(GUEST_GDTR_BASE, s->gdt.base);
	vmwrite(GUEST_GDTR_LIMIT, s->gdt.limit);
	vmwrite(GUEST_IDTR_BASE, s->idt.base);
	vmwrite(GUEST_IDTR_LIMIT, s->idt.limit);
}

static void get_segments(struct x86_state *s)
{
	unsigned i;

	for (i = 0; i < SEG_COUNT; i++)
		get_seg(i, &s->seg[i]);
	get_seg(SEG_COUNT, &s->ldt);
	get_seg(SEG_COUNT + 1, &s->tr);
	s->gdt.base = vmread(GUEST_GDTR_BASE);
	s->gdt.limit = (u16)vmread(GUEST_GDTR_LIMIT);
	s->idt.base = vmread(GUEST_IDTR_BASE);
	s->idt.limit = (u16)vmread(GUEST_IDTR_LIMIT);
	s->cpl = SEG_DPL(s->seg[SEG_SS].attr);
}

/* What the mode and the privilege level follow from, without the rest. */
static void get_mode(struct x86_state *s)
{
	s->seg[SEG_CS].attr = (u32)vmread(GUEST_CS_ATTR) & ATTR_MASK;
	s->cpl = SEG_DPL(vmread(SEG_FIELD(GUEST_ES_ATTR, SEG_SS)));
}

/* --- control registers ------------------------------------------------------------------------------------------------ */

/* Bits that translations depend on. */
#define CR0_PAGING ((u64)(CR0_PE | CR0_WP | CR0_PG))
#define CR4_PAGING ((u64)(CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE))

/* SDM, "Guest/Host Masks and Read Shadows": the bits that are the guest's own, whose writes do not exit. */
#define CR0_OWNED ((u64)CR0_TS)

static u64 cr4_owned(const struct x86_state *s)
{
	return x86_has(s, X86F_PGE) ? CR4_PGE : 0;
}

static bool pae_paging(const struct x86_state *s)
{
	return s->cr0 & CR0_PG && s->cr4 & CR4_PAE && !(s->efer & X86_EFER_LMA);
}

static void put_control(struct vmx_vcpu *vv, const struct x86_state *s)
{
	u64 cr0 = (s->cr0 & ~(u64)(CR0_CD | CR0_NW)) | vmx_caps.cr0_fixed0, cr4 = s->cr4 | vmx_caps.cr4_fixed0;
	u64 owned = cr4_owned(s);
	unsigned i;

	if ((cr0 ^ vv->w.cr0) & CR0_PAGING || (cr4 ^ vv->w.cr4) & CR4_PAGING || s->cr3 != vv->w.cr3 ||
	    s->efer != vv->w.efer)
		vv->hw.flush = true;
	vmwrite_new(GUEST_CR0, &vv->w.cr0, cr0);
	vmwrite_new(CR0_SHADOW, &vv->w.cr0_shadow, s->cr0);
	vmwrite_new(GUEST_CR4, &vv->w.cr4, cr4);
	vmwrite_new(CR4_SHADOW, &vv->w.cr4_shadow, s->cr4);
	if (owned != vv->w.cr4_owned)
		vmwrite(CR4_MASK, ~owned);
	vv->w.cr4_owned = owned;
	vmwrite_new(GUEST_CR3, &vv->w.cr3, s->cr3);
	/* LMA is among the entry's controls. */
	if (s->efer != vv->w.efer)
		vv->hw.settings = true;
	vmwrite_new(GUEST_EFER, &vv->w.efer, s->efer);
	for (i = 0; pae_paging(s) && i < 4; i++)
		vmwrite(GUEST_PDPTE0 + 2 * i, s->pdpte[i]);
}

static void get_control(struct vmx_vcpu *vv, struct x86_state *s)
{
	unsigned i;

	vv->w.cr0 = vmread(GUEST_CR0);
	vv->w.cr4 = vmread(GUEST_CR4);
	vv->w.cr3 = vmread(GUEST_CR3);
	s->cr0 = (s->cr0 & ~CR0_OWNED) | (vv->w.cr0 & CR0_OWNED);
	s->cr4 = (s->cr4 & ~vv->w.cr4_owned) | (vv->w.cr4 & vv->w.cr4_owned);
	s->cr3 = vv->w.cr3;
	for (i = 0; pae_paging(s) && i < 4; i++)
		s->pdpte[i] = vmread(GUEST_PDPTE0 + 2 * i);
}

/* --- MSRs ---------------------------------------------------------------------------------------------------------------- */

static void put_msrs(struct vmx_vcpu *vv, const struct x86_state *s)
{
	vv->guest_msrs[AREA_SPEC_CTRL].val = vv->vcpu->spec_ctrl;
	vv->guest_msrs[AREA_STAR].val = s->star;
	vv->guest_msrs[AREA_LSTAR].val = s->lstar;
	vv->guest_msrs[AREA_SFMASK].val = s->sfmask;
	vv->guest_msrs[AREA_KERNEL_GS_BASE].val = s->kernel_gs_base;
	vmwrite(GUEST_SYSENTER_CS, s->sysenter_cs);
	vmwrite(GUEST_SYSENTER_ESP, s->sysenter_esp);
	vmwrite(GUEST_SYSENTER_EIP, s->sysenter_eip);
	vmwrite(GUEST_PAT, s->pat);
}

static void get_msrs(const struct vmx_vcpu *vv, struct x86_state *s)
{
	s->star = vv->guest_msrs[AREA_STAR].val;
	s->lstar = vv->guest_msrs[AREA_LSTAR].val;
	s->sfmask = vv->guest_msrs[AREA_SFMASK].val;
	s->kernel_gs_base = vv->guest_msrs[AREA_KERNEL_GS_BASE].val;
	vv->vcpu->spec_ctrl = vv->guest_msrs[AREA_SPEC_CTRL].val;
	s->sysenter_cs = vmread(GUEST_SYSENTER_CS);
	s->sysenter_esp = vmread(GUEST_SYSENTER_ESP);
	s->sysenter_eip = vmread(GUEST_SYSENTER_EIP);
}

/* --- what moves with every entry --------------------------------------------------------------------------------------- */

static u32 interruptibility(const struct x86_state *s)
{
	u32 blocking = s->nmi_blocked && vmx_caps.virtual_nmis ? BLOCKING_NMI : 0;

	if (!s->shadow)
		return blocking;
	/* Not both, and STI's only where interrupts are enabled (SDM, "Checks on Guest Non-Register State"). */
	if (s->shadow & X86_SHADOW_MOV_SS || !(s->rflags & RFLAGS_IF))
		return blocking | BLOCKING_MOV_SS;
	return blocking | BLOCKING_STI;
}

/*
 * Traps that the exit has interrupted come after the entry, if nothing has happened between. In an interrupt shadow single step
 * must be among them (SDM, "Checks on Guest Non-Register State").
 */
static u64 pending_debug(const struct vcpu *v, u64 rflags)
{
	const struct vmx_vcpu *vv = vmx_of(v);
	const struct x86_state *s = &v->state;
	u64 pending = s->rip == vv->w.rip && !v->inject_valid ? vv->pending_debug : 0;

	if (s->shadow & X86_SHADOW_MOV_SS && s->dr6_pending)
		pending |= (s->dr6_pending & 0xf) | PENDING_DEBUG_BREAKPOINT;
	if (!s->shadow)
		return pending;
	return rflags & RFLAGS_TF ? pending | PENDING_DEBUG_BS : pending & ~(u64)PENDING_DEBUG_BS;
}

static void put_dirty(struct vmx_vcpu *vv, const struct x86_state *s)
{
	if (vv->hw.dirty & STATE_SEG)
		put_segments(s);
	if (vv->hw.dirty & STATE_CR)
		put_control(vv, s);
	if (vv->hw.dirty & STATE_MSR)
		put_msrs(vv, s);
	vv->hw.dirty = 0;
}

void vmx_state_to_vmcs(struct vcpu *v)
{
	struct vmx_vcpu *vv = vmx_of(v);
	struct x86_state *s = &v->state;
	u64 rflags = hwvm_rflags(v);
	u64 blocking = interruptibility(s);
	u64 pending = unlikely(vv->pending_debug | s->shadow) ? pending_debug(v, rflags) : 0;

	vmwrite_new(GUEST_PENDING_DEBUG, &vv->w.pending_debug, pending);
	vv->pending_debug = 0;
	vmwrite_new(GUEST_RIP, &vv->w.rip, s->rip);
	vmwrite_new(GUEST_RSP, &vv->w.rsp, s->gpr[X86_RSP]);
	vmwrite_new(GUEST_RFLAGS, &vv->w.rflags, rflags);
	vmwrite_new(GUEST_DR7, &vv->w.dr7, (u32)v->eff_dr7 | DR7_FIXED1);
	vmwrite_new(GUEST_INTERRUPTIBILITY, &vv->w.interruptibility, blocking);
	if (vv->hw.dirty)
		put_dirty(vv, s);
}

void vmx_state_after_exit(struct vcpu *v)
{
	struct vmx_vcpu *vv = vmx_of(v);
	struct x86_state *s = &v->state;

	vv->w.rip = s->rip = vmread(GUEST_RIP);
	vv->w.rsp = s->gpr[X86_RSP] = vmread(GUEST_RSP);
	vv->w.rflags = vmread(GUEST_RFLAGS);
	vv->w.interruptibility = vmread(GUEST_INTERRUPTIBILITY);
	s->shadow = 0;
	if (vv->w.interruptibility & BLOCKING_STI)
		s->shadow = X86_SHADOW_STI;
	else if (vv->w.interruptibility & BLOCKING_MOV_SS)
		s->shadow = X86_SHADOW_MOV_SS;
	s->nmi_blocked = vv->w.interruptibility & BLOCKING_NMI;
	s->rflags = (vv->w.rflags | RFLAGS_FIXED) & ~(u64)(vv->hw.step_tf ? RFLAGS_TF : 0);
	vv->hw.stale = STATE_SEG | STATE_CR | STATE_MSR;
}

/* --- on demand -------------------------------------------------------------------------------------------------------------- */

/* Outside an entry: pinned to a CPU where the VMCS is current. False: virtualization is off, the machine is going down. */
static bool open_vmcs(struct vmx_vcpu *vv)
{
	int cpu = hw_pin();

	while (hw_virt_is_on()) {
		if (vmx_load_vmcs(vv, cpu))
			return true;
		hw_unpin();
		vmx_unload(vv);
		cpu = hw_pin();
	}
	hw_unpin();
	return false;
}

void vmx_get_state(struct vcpu *v, u32 mask)
{
	struct vmx_vcpu *vv = vmx_of(v);
	struct x86_state *s = &v->state;
	u32 want = hwvm_wanted(v, mask);

	if (!want || !open_vmcs(vv))
		return;
	if (want & STATE_SEG)
		get_segments(s);
	else if (want & STATE_CR && vv->hw.stale & STATE_SEG)
		get_mode(s);
	if (want & STATE_CR)
		get_control(vv, s);
	if (want & STATE_MSR)
		get_msrs(vv, s);
	hw_unpin();
	hwvm_got(v, want);
}

/* --- the parts that stay ------------------------------------------------------------------------------------------------------- */

/* SDM, "TSS Descriptor in 64-bit mode". */
static u64 tss_base(const struct hw_table *gdt, u16 sel)
{
	const u32 *d = (const u32 *)(unsigned long)(gdt->base + (sel & 0xfff8));

	return d[0] >> 16 | (d[1] & 0xff) << 16 | (d[1] & 0xff000000u) | (u64)d[2] << 32;
}

void vmx_host_state(struct vmx_vcpu *vv)
{
	struct hw_table gdt, idt;
	u16 cs, ss, tr;

	read_tables(&gdt, &idt);
	read_selectors(&cs, &ss, &tr);
	vv->segments.gdt = gdt;
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CS_SEL, cs);
	vmwrite(HOST_SS_SEL, ss & 0xfff8);
	vmwrite(HOST_TR_SEL, tr);
	vmwrite(HOST_TR_BASE, tss_base(&gdt, tr));
	vmwrite(HOST_GDTR_BASE, gdt.base);
	vmwrite(HOST_IDTR_BASE, idt.base);
	vmwrite(HOST_GS_BASE, hw_rdmsr(X86_MSR_GS_BASE));
	vmwrite(HOST_SYSENTER_CS, (u32)hw_rdmsr(X86_MSR_SYSENTER_CS));
	vmwrite(HOST_SYSENTER_ESP, hw_rdmsr(X86_MSR_SYSENTER_ESP));
	vmwrite(HOST_SYSENTER_EIP, hw_rdmsr(X86_MSR_SYSENTER_EIP));
	vmwrite(HOST_EFER, hw_rdmsr(X86_MSR_EFER));
	vmwrite(HOST_PAT, hw_rdmsr(X86_MSR_PAT));
	vv->host_msrs[AREA_STAR].val = hw_rdmsr(X86_MSR_STAR);
	vv->host_msrs[AREA_LSTAR].val = hw_rdmsr(X86_MSR_LSTAR);
	vv->host_msrs[AREA_SFMASK].val = hw_rdmsr(X86_MSR_SFMASK);
}

/* How many MSRs the processor switches: those that always are, and IA32_SPEC_CTRL. */
static void size_areas(struct vmx_vcpu *vv, bool load_guests, bool store_guests, bool load_hosts)
{
	vmwrite_new(ENTRY_MSR_LOAD_COUNT, &vv->w.entry_load, load_guests ? AREA_SIZE : AREA_ALWAYS);
	vmwrite_new(EXIT_MSR_STORE_COUNT, &vv->w.exit_store, store_guests ? AREA_SIZE : AREA_ALWAYS);
	vmwrite_new(EXIT_MSR_LOAD_COUNT, &vv->w.exit_load, load_hosts ? AREA_SIZE : AREA_ALWAYS);
}

/*
 * A guest has its own value of IA32_SPEC_CTRL, which the processor itself switches: nothing of the host's runs with the guest's. As
 * long as the guest has not set a bit its accesses exit, and where the host has set none either nothing is switched.
 */
void vmx_spec_ctrl(struct vmx_vcpu *vv)
{
	u64 host = hw_spec_ctrl(), guest = host;

	if (vv->has_spec_ctrl) {
		guest = vv->hw.dirty & STATE_MSR ? vv->vcpu->spec_ctrl : vv->guest_msrs[AREA_SPEC_CTRL].val;
		if (guest && !vv->owns_spec_ctrl)
			vv->owns_spec_ctrl = vv->hw.settings = true;
	}
	vv->host_msrs[AREA_SPEC_CTRL].val = host;
	size_areas(vv, guest != host, vv->owns_spec_ctrl, vv->owns_spec_ctrl || guest != host || vmx_caps.renew_spec);
}

static void init_areas(struct vmx_vcpu *vv)
{
	static const u32 index[AREA_SIZE] = { X86_MSR_STAR, X86_MSR_LSTAR, X86_MSR_SFMASK, X86_MSR_KERNEL_GS_BASE,
					      X86_MSR_SPEC_CTRL };
	unsigned i;

	for (i = 0; i < AREA_SIZE; i++)
		vv->guest_msrs[i].index = vv->host_msrs[i].index = index[i];
	vmwrite(ENTRY_MSR_LOAD, hw_pa(vv->guest_msrs));
	vmwrite(EXIT_MSR_STORE, hw_pa(vv->guest_msrs));
	vmwrite(EXIT_MSR_LOAD, hw_pa(vv->host_msrs));
	size_areas(vv, false, false, false);
}

/* Fields that struct vmx_written follows: what is 0 there must be 0 here. */
static void init_written(struct vmx_vcpu *vv)
{
	static const u16 zero[] = {
		GUEST_RIP,
		GUEST_RSP,
		GUEST_RFLAGS,
		GUEST_CR0,
		GUEST_CR3,
		GUEST_CR4,
		HOST_CR3,
		HOST_CR4,
		HOST_FS_BASE,
		TSC_OFFSET,
		MSR_BITMAP,
		GUEST_DR7,
		PROC_CONTROLS,
		PROC2_CONTROLS,
		ENTRY_CONTROLS,
		EXCEPTION_BITMAP,
		GUEST_INTERRUPTIBILITY,
		TPR_THRESHOLD,
		ENTRY_INTR_INFO,
		HOST_ES_SEL,
		HOST_DS_SEL,
		HOST_FS_SEL,
		HOST_GS_SEL,
		GUEST_PENDING_DEBUG,
		GUEST_EFER,
		CR0_SHADOW,
		CR4_SHADOW,
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(zero); i++)
		vmwrite(zero[i], 0);
	vmwrite(CR4_MASK, ~0ull);
}

/* A kernel that spins by PAUSE, PAUSE_GAP ticks of the TSC apart at most, for longer than PAUSE_WINDOW, leaves guest mode. */
static void init_pause_loop(void)
{
	vmwrite(PAUSE_GAP, 128);
	vmwrite(PAUSE_WINDOW, 4096);
}

void vmx_vmcs_init(struct vcpu *v)
{
	struct vmx_vcpu *vv = vmx_of(v);

	init_written(vv);
	if (vmx_caps.proc2 & PROC2_PAUSE_LOOP)
		init_pause_loop();
	vmwrite(PIN_CONTROLS, vmx_caps.pin);
	vmwrite(EXIT_CONTROLS, vmx_caps.exit);
	if (vmx_caps.proc2 & PROC2_XSAVES)
		vmwrite(XSS_EXIT_BITMAP, 0);
	vmwrite(PF_ERROR_MASK, 0);
	vmwrite(PF_ERROR_MATCH, 0);
	vmwrite(CR3_TARGET_COUNT, 0);
	vmwrite(CR0_MASK, ~CR0_OWNED);
	if (vv->vpid)
		vmwrite(VPID, vv->vpid);
	vmwrite(VMCS_LINK, ~0ull);
	vmwrite(GUEST_DEBUGCTL, 0);
	vmwrite(GUEST_ACTIVITY, 0);
	if (vv->apic_page)
		vmwrite(VIRTUAL_APIC_PAGE, hw_pa(vv->apic_page));
	if (vv->noted) {
		vmwrite(PML_ADDRESS, hw_pa(vv->noted));
		vmwrite(PML_INDEX, PML_ENTRIES - 1);
	}
	vmwrite(HOST_RIP, (u64)(unsigned long)vmx_guest_left);
	init_areas(vv);
}

/* --- without unrestricted guest -------------------------------------------------------------------------------------------------- */

static bool data_segment_ok(const struct x86_seg *s)
{
	if (!(s->attr & SEG_P) || s->attr & SEG_UNUSABLE)
		return true;
	if (!(s->attr & SEG_S))
		return false;
	/* Conforming code may be loaded with any privilege. */
	if ((s->attr & (SEG_TYPE_CODE | SEG_TYPE_DC)) == (SEG_TYPE_CODE | SEG_TYPE_DC))
		return true;
	return SEG_DPL(s->attr) >= (s->sel & 3u);
}

/*
 * Can the processor be in this state in guest mode? Without unrestricted guest it must have protection and paging, and
 * segments as protected mode loads them: between the switch of the mode and the reload of a register it may have others (SDM,
 * "Checks on Guest Segment Registers").
 */
bool vmx_can_run(const struct x86_state *s)
{
	const struct x86_seg *cs = &s->seg[SEG_CS], *ss = &s->seg[SEG_SS];
	unsigned i;

	if (vmx_caps.unrestricted)
		return true;
	if (!(s->cr0 & CR0_PE) || !(s->cr0 & CR0_PG))
		return false;
	if (s->rflags & RFLAGS_VM) {
		for (i = 0; i < SEG_COUNT; i++)
			if (s->seg[i].base != (u64)s->seg[i].sel << 4 || s->seg[i].limit != 0xffff)
				return false;
		return true;
	}
	if (!(cs->attr & SEG_TYPE_CODE) || (cs->sel & 3u) != s->cpl)
		return false;
	if (ss->attr & SEG_P && !(ss->attr & SEG_UNUSABLE) && (ss->sel & 3u) != (cs->sel & 3u))
		return false;
	for (i = 0; i < SEG_COUNT; i++)
		if (i != SEG_CS && i != SEG_SS && !data_segment_ok(&s->seg[i]))
			return false;
	return true;
}
