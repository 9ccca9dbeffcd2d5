/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* One entry: everything the processor must know, the world switch, and the host's own state again. */
#include "vmx.h"

#define APIC_PAGE_TPR 0x80

/* --- events -------------------------------------------------------------------------------------------- */

static void prepare_event(struct vcpu *v)
{
	const struct x86_event *ev = &v->inject;
	u32 info = ev->vector | (u32)ev->type << INTR_TYPE_SHIFT | INTR_VALID;

	if (hwvm_injects_error(v, ev)) {
		info |= INTR_HAS_ERROR;
		vmwrite(ENTRY_ERROR_CODE, ev->error);
	}
	if (hwvm_is_soft(ev))
		vmwrite(ENTRY_INSN_LEN, ev->insn_len);
	vmwrite(ENTRY_INTR_INFO, info);
	hwvm_merge_payload(&v->state, ev);
}

/* What was injected is delivered, or comes back as the interrupted event. */
static void after_event(struct vcpu *v, bool failed)
{
	if (failed)
		vmwrite(ENTRY_INTR_INFO, 0);
	else
		v->inject_valid = false;
}

/* --- controls ------------------------------------------------------------------------------------------ */

static u64 disabled_exits(const struct vcpu *v)
{
	return __atomic_load_n(&v->vm->disabled_exits, __ATOMIC_ACQUIRE);
}

static u32 windows(const struct vcpu *v)
{
	u32 proc = v->want_irq_window ? PROC_INTR_WINDOW : 0;

	if (v->want_nmi_window)
		proc |= vmx_caps.virtual_nmis ? PROC_NMI_WINDOW : PROC_INTR_WINDOW;
	return proc;
}

static u32 processor_controls(const struct vcpu *v, const struct vmx_vcpu *vv)
{
	u32 proc = vmx_caps.proc | windows(v);

	if (v->single_step && vmx_caps.monitor_trap)
		proc |= PROC_MONITOR_TRAP;
	if (v->tsc_ratio != TSC_RATIO_ONE)
		proc |= PROC_RDTSC;
	if (vv->halts)
		proc &= ~PROC_HLT;
	if (disabled_exits(v) & KVM_X86_DISABLE_EXITS_MWAIT)
		proc &= ~(PROC_MWAIT | PROC_MONITOR);
	if (vv->apic_page)
		proc = (proc | PROC_TPR_SHADOW) & ~(PROC_CR8_LOAD | PROC_CR8_STORE);
	return proc;
}

static u32 secondary_controls(const struct vcpu *v, const struct vmx_vcpu *vv)
{
	u32 proc2 = vmx_caps.proc2;

	if (vv->vpid)
		proc2 |= PROC2_VPID;
	if (vv->notes)
		proc2 |= PROC2_PML;
	if (disabled_exits(v) & KVM_X86_DISABLE_EXITS_PAUSE)
		proc2 &= ~PROC2_PAUSE_LOOP;
	return proc2;
}

static u64 ept_pointer(const struct vcpu *v)
{
	return nested_root(v) | EPTP_WB | EPTP_WALK_4 | (vmx_of(v)->notes ? EPTP_DIRTY : 0);
}

/* All but the windows and the offset follows from settings, or from state that the guest has not changed by itself. */
static bool controls_change(const struct vcpu *v, const struct vmx_vcpu *vv)
{
	return vv->hw.settings || vv->in_smm != v->state.in_smm ||
	       vv->w.tsc_offset != (u64)__atomic_load_n(&v->tsc_offset, __ATOMIC_RELAXED);
}

static void prepare_windows(struct vcpu *v, struct vmx_vcpu *vv)
{
	if (likely(vv->irq_window == v->want_irq_window && vv->nmi_window == v->want_nmi_window))
		return;
	vv->irq_window = v->want_irq_window;
	vv->nmi_window = v->want_nmi_window;
	vmwrite_new(PROC_CONTROLS, &vv->w.proc, (vv->w.proc & ~(u64)(PROC_INTR_WINDOW | PROC_NMI_WINDOW)) | windows(v));
}

static u64 msr_bitmap(const struct vcpu *v, const struct vmx_vcpu *vv)
{
	if (__atomic_load_n(&v->vm->msr_filter, __ATOMIC_ACQUIRE))
		return vmx_msr_bitmap_all_pa;
	return vmx_msr_bitmap_open_pa[(vv->owns_spec_ctrl ? MAP_SPEC_CTRL : 0) | (v->has_pred_cmd ? MAP_PRED_CMD : 0) |
				      (disabled_exits(v) & KVM_X86_DISABLE_EXITS_CSTATE ? MAP_CSTATE : 0)];
}

static void prepare_controls(struct vcpu *v)
{
	struct vmx_vcpu *vv = vmx_of(v);

	vv->hw.settings = false;
	vv->irq_window = v->want_irq_window;
	vv->nmi_window = v->want_nmi_window;
	vv->in_smm = v->state.in_smm;
	vv->notes = vv->noted && nested_noted(v->vm);
	vv->halts = disabled_exits(v) & KVM_X86_DISABLE_EXITS_HLT;
	vv->unusual = vv->notes || vv->halts || vv->has_spec_ctrl || vmx_caps.renew_spec || !vmx_caps.virtual_nmis;
	vmwrite_new(PROC2_CONTROLS, &vv->w.proc2, secondary_controls(v, vv));
	vmwrite_new(PROC_CONTROLS, &vv->w.proc, processor_controls(v, vv));
	vmwrite_new(ENTRY_CONTROLS, &vv->w.entry, vmx_caps.entry | (v->state.efer & X86_EFER_LMA ? ENTRY_IA32E : 0));
	vmwrite_new(EXCEPTION_BITMAP, &vv->w.exceptions, HWVM_EXCEPTIONS | v->exc_intercept);
	vmwrite_new(TSC_OFFSET, &vv->w.tsc_offset, (u64)__atomic_load_n(&v->tsc_offset, __ATOMIC_RELAXED));
	vmwrite_new(EPT_POINTER, &vv->w.ept_pointer, ept_pointer(v));
	vmwrite_new(MSR_BITMAP, &vv->w.msr_bitmap, msr_bitmap(v, vv));
}

static void give_tpr(struct vcpu *v, struct vmx_vcpu *vv)
{
	u32 threshold;

	vv->tpr = lapic_tpr_shadow(v, &threshold);
	vv->apic_page[APIC_PAGE_TPR] = vv->tpr;
	vmwrite_new(TPR_THRESHOLD, &vv->w.tpr_threshold, threshold);
}

/* The guest may have changed its task priority. */
static void take_tpr(struct vcpu *v, const struct vmx_vcpu *vv)
{
	u8 tpr = vv->apic_page[APIC_PAGE_TPR];

	if (tpr != vv->tpr)
		lapic_set_tpr(v, tpr >> 4);
}

static void forget_translations(struct vcpu *v)
{
	struct vmx_vcpu *vv = vmx_of(v);

	/* Once it has been in system management mode there are two roots to forget. */
	if (v->state.in_smm)
		vv->two_roots = true;
	if (vv->hw.flush_nested)
		invept(vmx_caps.ept_vpid & EPT_CAP_INVEPT_ONE && !vv->two_roots ? INV_ONE : INV_ALL, ept_pointer(v));
	if (vv->hw.flush && vv->vpid)
		invvpid(vmx_caps.ept_vpid & VPID_CAP_INVVPID_ONE ? INV_ONE : INV_ALL, vv->vpid);
	vv->hw.flush = vv->hw.flush_nested = false;
}

/* --- what the hardware does not switch by itself -------------------------------------------------------- */

void vmx_load(struct vcpu *v)
{
	struct vmx_vcpu *vv = vmx_of(v);

	hwvm_load(v);
	hw_segments_save(&vv->segments);
	vv->host_msrs[AREA_KERNEL_GS_BASE].val = vv->segments.user_gs_base;
	vv->touched = true;
}

static u32 load_guest(struct vcpu *v, struct vmx_vcpu *vv, int cpu)
{
	u32 differs;

	vv->segments.ldt = read_ldt();
	vmwrite_new(HOST_FS_BASE, &vv->w.host_fs_base, vv->segments.fs_base);
	vmwrite_new(HOST_CR3, &vv->w.host_cr3, read_cr3());
	vmwrite_new(HOST_CR4, &vv->w.host_cr4, hw_cr4());
	differs = hwvm_load_guest(v, cpu);
	if (read_cr2() != v->state.cr2)
		write_cr2(v->state.cr2);
	return differs;
}

/* --- the entry ------------------------------------------------------------------------------------------- */

/* Pages that the guest has written to for the first time. The index is that of the next entry, below 0 when all are used. */
static void take_notes(struct vcpu *v, const struct vmx_vcpu *vv)
{
	unsigned next = (u16)(vmread(PML_INDEX) + 1);

	if (next == PML_ENTRIES)
		return;
	nested_mark(v, vv->noted + next, PML_ENTRIES - next);
	vmwrite(PML_INDEX, PML_ENTRIES - 1);
}

/*
 * Has the guest halted in guest mode, and nothing has happened to it since? Then it stays so; events wake it by being injected (SDM,
 * "Checks on Guest Non-Register State": not every state can be halted).
 */
static void give_activity(struct vcpu *v, struct vmx_vcpu *vv)
{
	const struct x86_state *s = &v->state;
	bool halted = vv->w.activity == ACTIVITY_HLT && !v->inject_valid && s->rip == vv->w.rip && !s->shadow &&
		      !(s->rflags & RFLAGS_TF) && !(vv->hw.dirty & STATE_SEG);

	vmwrite_new(GUEST_ACTIVITY, &vv->w.activity, halted ? ACTIVITY_HLT : ACTIVITY_ACTIVE);
}

/* What only some guests and processors need; after an exit before the event is forgotten. */
static void unusual_entry(struct vcpu *v, struct vmx_vcpu *vv)
{
	if (vv->w.activity)
		give_activity(v, vv);
	if (vv->has_spec_ctrl || vmx_caps.renew_spec)
		vmx_spec_ctrl(vv);
	if (!vmx_caps.virtual_nmis)
		vmx_nmi_entry(v);
}

static void unusual_exit(struct vcpu *v, struct vmx_vcpu *vv, const struct vm_exit *exit)
{
	if (vv->notes)
		take_notes(v, vv);
	if (vv->halts)
		vv->w.activity = vmread(GUEST_ACTIVITY);
	if (!vmx_caps.virtual_nmis)
		vmx_nmi_exit(v, exit);
}

static void flush_host(struct vmx_vcpu *vv)
{
	hw_flush(vv->touched);
	vv->touched = false;
}

/*
 * Exits after which the library reads guest memory, at addresses of the guest's choice, have touched more than registers (what goes to
 * user space comes back by vmx_load()).
 */
static bool touches(const struct vm_exit *exit)
{
	return exit->code == VM_EXIT_EMULATE || exit->code == VM_EXIT_MEMORY || exit->code == VM_EXIT_TASK_SWITCH ||
	       (exit->code == VM_EXIT_IO && exit->u.io.string);
}

/* True: vmx_serve_exit() is to follow. */
static bool run_guest(struct vcpu *v, struct vm_exit *exit, int cpu)
{
	struct vmx_vcpu *vv = vmx_of(v);
	bool entered, serve, counters;
	u32 differs;

	if (unlikely(vv->unusual))
		unusual_entry(v, vv);
	vmx_state_to_vmcs(v);
	if (unlikely(v->inject_valid))
		prepare_event(v);
	if (unlikely(controls_change(v, vv)))
		prepare_controls(v);
	else
		prepare_windows(v, vv);
	if (vv->apic_page)
		give_tpr(v, vv);
	if (unlikely(vv->hw.flush || vv->hw.flush_nested))
		forget_translations(v);
	differs = load_guest(v, vv, cpu);
	counters = hw_counters_stop();
	if (unlikely(vmx_caps.flush))
		flush_host(vv);
	entered = vmx_world_switch(v->state.gpr, vv->launched, &vv->host_rsp);
	v->state.cr2 = read_cr2();
	hw_segments_restore(&vv->segments);
	if (unlikely(counters))
		hw_counters_go();
	hwvm_load_host(differs, cpu);
	hwvm_left(v);
	if (unlikely(!entered)) {
		exit->code = VM_EXIT_FAIL_ENTRY;
		exit->hw_reason = vmread(INSTRUCTION_ERROR);
		exit->u.cpu = (u32)cpu;
		after_event(v, true);
		return false;
	}
	vmx_state_after_exit(v);
	serve = vmx_decode_exit(v, exit);
	/* SDM, "VM Entries": VMLAUNCH launches what it can enter; after a guest state that it cannot the VMCS is still clear. */
	vv->launched |= exit->code != VM_EXIT_FAIL_ENTRY;
	if (unlikely(vv->unusual))
		unusual_exit(v, vv, exit);
	if (unlikely(v->inject_valid))
		after_event(v, exit->code == VM_EXIT_FAIL_ENTRY);
	if (vv->apic_page)
		take_tpr(v, vv);
	return serve;
}

/*
 * Is single step done by a TF that this instruction or event would show to the guest, or lose: PUSHF, POPF, INT n, IRET, SYSCALL, SYSRET,
 * a frame?
 */
static bool shows_step(struct vcpu *v)
{
	struct x86_insn i;

	if (!v->single_step || vmx_caps.monitor_trap)
		return false;
	if (v->inject_valid)
		return true;
	vmx_get_state(v, STATE_ALL);
	if (hwvm_next_is_syscall(v))
		return true;
	if (x86_fetch_decode(&v->state, &i) != X86_OK || i.map)
		return false;
	return i.opcode == 0x9c || i.opcode == 0x9d || i.opcode == 0xcd || i.opcode == 0xcf;
}

/* The instruction library instead of the processor: the event, or one instruction. False: the processor shall run. */
static bool run_by_library(struct vcpu *v, struct vm_exit *exit)
{
	if (v->want_nmi_window && !vmx_caps.virtual_nmis && vmx_nmi_waits(v, exit))
		return true;
	if (!vmx_caps.unrestricted)
		vmx_get_state(v, STATE_SEG | STATE_CR);
	if (vmx_can_run(&v->state) && !shows_step(v))
		return false;
	if (!v->inject_valid) {
		exit->code = VM_EXIT_EMULATE;
		return true;
	}
	hwvm_deliver(v, exit);
	return true;
}

void vmx_enter(struct vcpu *v, struct vm_exit *exit)
{
	struct vmx_vcpu *vv = vmx_of(v);
	bool serve;
	int cpu;

	if (unlikely(vmx_caps.looks_first | v->single_step) && run_by_library(v, exit)) {
		vv->touched = true;
		return;
	}
	cpu = hwvm_enter_begin(v);
	if (cpu == HW_NO_CPU)
		return;
	if (!vmx_load_vmcs(vv, cpu)) {
		hwvm_left(v);
		hw_enter_end();
		vmx_unload(vv);
		return;
	}
	serve = run_guest(v, exit, cpu);
	hw_enter_end();
	if (serve)
		vmx_serve_exit(v, exit);
	if (unlikely(vmx_caps.flush))
		vv->touched |= touches(exit);
}
