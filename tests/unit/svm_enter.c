/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Entries: events and their way back, NMIs without hardware for them, ASIDs, clean bits, what guests share. */
#include "svm_fake.h"

#define INTR(v) (EVENT_VALID | (v))
#define NMI (EVENT_VALID | 2 << EVENT_TYPE_SHIFT | 2)
#define EXC(v) (EVENT_VALID | 3 << EVENT_TYPE_SHIFT | (v))
#define SOFT(v) (EVENT_VALID | 4 << EVENT_TYPE_SHIFT | (v))

/* --- events ----------------------------------------------------------------------------------------------------- */

/* INT 80h was being delivered when the host wanted something. */
static void step_int_80_interrupted(struct vmcb *c, u64 *gpr)
{
	c->exit_int_info = SOFT(0x80);
}

static void step_int_80_by_next_rip(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, SOFT(0x80));
	expect_eq(c->rip, CODE);
	expect_eq(svmt.next_rip, CODE + 2);
	c->exit_int_info = SOFT(0x80);
}

static void step_int_80_by_rip(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, SOFT(0x80));
	expect_eq(c->rip, CODE + 2);
	/* Once more: RIP is that of the instruction again next time. */
	c->exit_int_info = SOFT(0x80);
}

static void step_nothing_injected(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, 0);
	step_hlt(c, gpr);
}

/* Delivered: the handler is at CODE + 100h. */
static void step_int_80_delivered(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, SOFT(0x80));
	c->rip = CODE + 0x100;
	step_hlt(c, gpr);
}

static void software_interrupt_comes_back(u32 features, svm_step *again)
{
	struct kvm_regs r;

	svm_test_begin(features);
	svm_script(step_int_80_interrupted, again, again, step_int_80_delivered, step_nothing_injected, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	hwt_regs(&r);
	expect_eq(r.rip, CODE + 0x101);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void a_software_interrupt_returns_by_the_next_rip_field(void **state)
{
	software_interrupt_comes_back(HAS_NRIP, step_int_80_by_next_rip);
}

static void a_software_interrupt_returns_by_rip_without_that_field(void **state)
{
	software_interrupt_comes_back(0, step_int_80_by_rip);
}

static void step_page_fault_interrupted(struct vmcb *c, u64 *gpr)
{
	c->cr2 = 0x5678;
	c->exit_int_info = EXC(X86_EXC_PF) | EVENT_HAS_ERROR | 6ull << 32;
}

static void step_expects_page_fault(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, EXC(X86_EXC_PF) | EVENT_HAS_ERROR | 6ull << 32);
	expect_eq(c->cr2, 0x5678);
	step_hlt(c, gpr);
}

static void an_interrupted_exception_keeps_error_and_address(void **state)
{
	svm_test_begin(0);
	hwt_protected_mode();
	svm_script(step_page_fault_interrupted, step_expects_page_fault, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_expects_page_fault_without_error(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, EXC(X86_EXC_PF));
	step_hlt(c, gpr);
}

static void in_real_mode_no_error_is_pushed(void **state)
{
	svm_test_begin(0);
	svm_script(step_page_fault_interrupted, step_expects_page_fault_without_error, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

/* #GP while a #PF was being delivered: what the processor reports is both. */
static void step_gp_in_page_fault(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_EXC0 + X86_EXC_AC;
	c->info1 = 0;
	c->exit_int_info = EXC(X86_EXC_DF) | EVENT_HAS_ERROR;
}

static void a_fault_in_a_double_fault_is_a_shutdown(void **state)
{
	svm_test_begin(0);
	hwt_protected_mode();
	svm_script(step_gp_in_page_fault, NULL);
	hwt_run_exits(KVM_EXIT_SHUTDOWN);
}

static void step_int3_interrupted(struct vmcb *c, u64 *gpr)
{
	c->exit_int_info = EXC(X86_EXC_BP);
}

static void step_expects_int3(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, EXC(X86_EXC_BP));
	expect_eq(svmt.next_rip, CODE + 1);
	step_hlt(c, gpr);
}

static void int3_is_told_from_an_exception(void **state)
{
	svm_test_begin(HAS_NRIP);
	svm_script(step_int3_interrupted, step_expects_int3, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_int3_as_software_interrupt(struct vmcb *c, u64 *gpr)
{
	c->exit_int_info = SOFT(X86_EXC_BP);
}

/* QEMU's processor calls INT3 a software interrupt; what counts is the instruction. */
static void int3_is_told_from_int_n(void **state)
{
	svm_test_begin(HAS_NRIP);
	CODE_BYTES(0xcc, 0xf4);
	svm_script(step_int3_as_software_interrupt, step_expects_int3, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_expects_prefixed_int_80(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, SOFT(0x80));
	expect_eq(svmt.next_rip, CODE + 4);
	step_hlt(c, gpr);
}

static void prefixes_of_int_n_count(void **state)
{
	svm_test_begin(HAS_NRIP);
	CODE_BYTES(0x2e, 0x2e, 0xcd, 0x80, 0xf4);
	svm_script(step_int_80_interrupted, step_expects_prefixed_int_80, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

/* --- interrupts and their window ----------------------------------------------------------------------------------- */

static void step_window_wanted(struct vmcb *c, u64 *gpr)
{
	expect_true(c->intercept3 & I3_VINTR);
	expect_eq(c->vint, VINT_MASKING | VINT_IRQ | VINT_PRIO_MAX | VINT_IGNORE_TPR);
	expect_eq(c->event_inj, 0);
	c->rflags |= RFLAGS_IF;
	c->exit_code = X_VINTR;
}

static void step_interrupt_31(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, INTR(0x31));
	expect_true(!(c->intercept3 & I3_VINTR));
	expect_eq(c->vint, VINT_MASKING);
	c->rflags &= ~(u64)RFLAGS_IF;
	step_hlt(c, gpr);
}

static void an_interrupt_waits_for_its_window(void **state)
{
	struct kvm_interrupt irq = { .irq = 0x31 };

	svm_test_begin(0);
	expect_eq(hwt_vcpu_ioctl(KVM_INTERRUPT, &irq), 0);
	svm_script(step_window_wanted, step_interrupt_31, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

/* --- NMIs: the intercept of IRET tells when the next may come -------------------------------------------------------- */

static void step_first_nmi(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, NMI);
	expect_true(c->intercept3 & I3_IRET);
	/* Its handler is at CODE + 80h; IP, CS, FLAGS are on the stack. */
	c->rip = CODE + 0x80;
	c->rsp -= 6;
}

static void step_nmi_handler_runs(struct vmcb *c, u64 *gpr)
{
	/* A second one waits. */
	expect_eq(c->event_inj, 0);
	expect_true(c->intercept3 & I3_IRET);
	c->exit_code = X_IRET;
}

static void step_second_nmi(struct vmcb *c, u64 *gpr)
{
	/* The library has done the IRET. */
	expect_eq(c->rip, CODE + 0x20);
	expect_eq(c->rsp, 0x8000);
	expect_eq(c->event_inj, NMI);
	c->rip = CODE + 0x81;
	step_hlt(c, gpr);
}

static void the_next_nmi_comes_after_iret(void **state)
{
	u16 frame[3] = { CODE + 0x20, 0, 2 };

	svm_test_begin(0);
	hwt.ram[CODE + 0x80] = 0xcf; /* iret */
	__builtin_memcpy(hwt.ram + 0x8000 - 6, frame, sizeof(frame));
	expect_eq(hwt_vcpu_ioctl(KVM_NMI, NULL), 0);
	expect_eq(hwt_vcpu_ioctl(KVM_NMI, NULL), 0);
	svm_script(step_first_nmi, step_nmi_handler_runs, step_second_nmi, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_no_nmi_yet(struct vmcb *c, u64 *gpr)
{
	/* The library has executed the instruction in the shadow: nothing else tells when it ends. */
	expect_eq(c->rip, CODE + 1);
	expect_eq(c->event_inj, NMI);
	step_hlt(c, gpr);
}

static void an_nmi_waits_for_the_end_of_a_shadow(void **state)
{
	struct kvm_vcpu_events e;

	svm_test_begin(0);
	CODE_BYTES(0x90);
	expect_eq(hwt_vcpu_ioctl(KVM_GET_VCPU_EVENTS, &e), 0);
	e.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	e.nmi.pending = 1;
	e.flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_VCPU_EVENTS, &e), 0);
	svm_script(step_no_nmi_yet, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

#define UD_HANDLER (CODE + 0x100)

static void step_nmi_at_the_handler(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->rip, UD_HANDLER);
	expect_eq(c->event_inj, NMI);
	step_hlt(c, gpr);
}

/* No window opens at the first instruction of the exception's handler: the library has delivered that. */
static void an_nmi_comes_right_behind_an_exception(void **state)
{
	const u32 vector = UD_HANDLER;
	struct kvm_vcpu_events e;

	svm_test_begin(0);
	memcpy(hwt.ram + 4 * X86_EXC_UD, &vector, sizeof(vector));
	expect_eq(hwt_vcpu_ioctl(KVM_GET_VCPU_EVENTS, &e), 0);
	e.exception.injected = 1;
	e.exception.nr = X86_EXC_UD;
	e.nmi.pending = 1;
	e.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_VCPU_EVENTS, &e), 0);
	svm_script(step_nmi_at_the_handler, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

/* --- a debugger's steps ------------------------------------------------------------------------------------------------ */

static void step_stepped_pushf(struct vmcb *c, u64 *gpr)
{
	expect_true(c->rflags & RFLAGS_TF);
	expect_eq(c->intercept3 & (I3_PUSHF | I3_POPF | I3_INTN | I3_IRET), I3_PUSHF | I3_POPF | I3_INTN | I3_IRET);
	c->exit_code = X_PUSHF;
}

static void step_without_a_debugger(struct vmcb *c, u64 *gpr)
{
	expect_true(!(c->rflags & RFLAGS_TF));
	expect_eq(c->intercept3 & (I3_PUSHF | I3_POPF | I3_INTN | I3_IRET), 0);
	step_hlt(c, gpr);
}

static void single_step_is_not_seen_by_pushf(void **state)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };

	svm_test_begin(0);
	CODE_BYTES(0x9c);
	expect_eq(hwt_vcpu_ioctl(KVM_SET_GUEST_DEBUG, &d), 0);
	svm_script(step_stepped_pushf, step_without_a_debugger, NULL);
	hwt_run_exits(KVM_EXIT_DEBUG);
	expect_eq(hwt.run->debug.arch.pc, CODE + 1);
	expect_eq(*(u16 *)(hwt.ram + 0x7ffe), 2);
	d.control = 0;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_GUEST_DEBUG, &d), 0);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_breakpoint_hit(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->dr7 & 0xff, 2);
	expect_true(c->exceptions & BIT(X86_EXC_DB));
	c->dr6 = DR6_FIXED1 | 1;
	c->exit_code = X_EXC0 + X86_EXC_DB;
}

static void a_debuggers_breakpoint_is_reported(void **state)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP };

	svm_test_begin(0);
	d.arch.debugreg[0] = CODE;
	d.arch.debugreg[7] = 2;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_GUEST_DEBUG, &d), 0);
	svm_script(step_breakpoint_hit, NULL);
	hwt_run_exits(KVM_EXIT_DEBUG);
	expect_eq(hwt.run->debug.arch.dr6 & 0xf, 1);
	expect_eq(hwt.run->debug.arch.pc, CODE);
}

/* --- address spaces and what the processor may still know ----------------------------------------------------------------- */

static u32 seen_asid, seen_clean;

static void step_look(struct vmcb *c, u64 *gpr)
{
	seen_asid = c->asid;
	seen_clean = c->clean;
	step_hlt(c, gpr);
}

static void look(void)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2 };

	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	svm_script(step_look, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void what_has_not_changed_is_clean(void **state)
{
	struct kvm_sregs s;

	svm_test_begin(HAS_NRIP);
	look();
	expect_eq(seen_clean, 0);
	look();
	expect_eq(seen_clean, CLEAN_ALL);
	expect_eq(hwt_vcpu_ioctl(KVM_GET_SREGS, &s), 0);
	s.idt.base = 0x3000;
	s.cr2 = 0x1234;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_SREGS, &s), 0);
	look();
	expect_eq(seen_clean & (CLEAN_TABLES | CLEAN_SEGMENTS | CLEAN_CR2), 0);
	expect_eq(svmt.c->idtr.base, 0x3000);
	look();
	expect_eq(seen_clean, CLEAN_ALL);
}

static void another_cpu_knows_nothing(void **state)
{
	u32 first;

	svm_test_begin(HAS_NRIP);
	look();
	first = seen_asid;
	look();
	expect_eq(seen_asid, first);
	cpu0.cpu = 1;
	look();
	expect_eq(seen_clean, 0);
	look();
	expect_eq(seen_clean, CLEAN_ALL);
	/* Back: the ASID of the other CPU says nothing there. */
	cpu0.cpu = 0;
	look();
	expect_eq(seen_clean, 0);
	expect_true(seen_asid != first);
}

static unsigned flushes, reused;
static u32 last_asid;

static void step_asid(struct vmcb *c, u64 *gpr)
{
	flushes += c->tlb_control == TLB_FLUSH_ALL;
	/* One that was in use before the last flush. */
	reused += c->asid <= last_asid && c->tlb_control != TLB_FLUSH_ALL;
	last_asid = c->asid;
	step_hlt(c, gpr);
}

static void used_up_asids_flush(void **state)
{
	struct kvm_sregs s;
	unsigned i;

	svm_test_begin(HAS_NRIP);
	flushes = reused = last_asid = 0;
	for (i = 0; i < 3 * 15 + 1; i++) {
		struct kvm_regs r = { .rip = CODE, .rflags = 2 };

		/* Other translations each time. */
		expect_eq(hwt_vcpu_ioctl(KVM_GET_SREGS, &s), 0);
		s.cr3 = (u64)i << 12;
		expect_eq(hwt_vcpu_ioctl(KVM_SET_SREGS, &s), 0);
		expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
		svm_script(step_asid, NULL);
		hwt_run_exits(KVM_EXIT_HLT);
	}
	/* 16 ASIDs, 0 is the host's; the first use of the CPU flushes, too. */
	expect_eq(flushes, 4);
	expect_eq(reused, 0);
}

static void a_cpu_that_was_off_knows_nothing(void **state)
{
	svm_test_begin(HAS_NRIP);
	look();
	/* Suspended, or offline, meanwhile. */
	svm_cpu_off();
	expect_eq(svm_cpu_on(), 0);
	look();
	expect_eq(seen_clean, 0);
}

static void guests_do_not_steer_each_others_branches(void **state)
{
	unsigned before;

	svm_test_begin(HAS_NRIP);
	look();
	before = cpu0.barriers;
	expect_true(before > 0);
	look();
	expect_eq(cpu0.barriers, before);
	cpu0.cpu = 1;
	look();
	expect_eq(cpu0.barriers, before + 1);
}

/* --- the guest's TSC ---------------------------------------------------------------------------------------------------- */

static u64 ratio_in_guest;

static void step_scaled_by_the_processor(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->intercept3 & I3_RDTSC, 0);
	expect_eq(c->intercept4 & I4_RDTSCP, 0);
	ratio_in_guest = cpu0.tsc_ratio[cpu0.cpu];
	step_hlt(c, gpr);
}

static u64 ratio_at(unsigned times)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2 };

	expect_eq(hwt_vcpu_ioctl_int(KVM_SET_TSC_KHZ, host_tsc_khz() * times), 0);
	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	svm_script(step_scaled_by_the_processor, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	return ratio_in_guest;
}

static void the_processor_scales_the_tsc(void **state)
{
	svm_test_begin(HAS_TSC_RATIO);
	expect_eq(cpu0.tsc_ratio[0], TSC_RATIO_ONE);
	expect_eq(ratio_at(2), 2 * TSC_RATIO_ONE);
	cpu0.cpu = 1;
	expect_eq(ratio_at(3), 3 * TSC_RATIO_ONE);
	cpu0.cpu = 0;
	expect_eq(ratio_at(1), TSC_RATIO_ONE);
	expect_eq(ratio_at(5), 5 * TSC_RATIO_ONE);
	/* The host's own again with the last VM: svm_test_end(). */
}

static u64 tsc_before;

static void step_rdtsc_intercepted(struct vmcb *c, u64 *gpr)
{
	expect_true(c->intercept3 & I3_RDTSC && c->intercept4 & I4_RDTSCP);
	tsc_before = vcpu_read_tsc(hwt.v);
	c->exit_code = X_RDTSC;
}

static void step_tsc_read(struct vmcb *c, u64 *gpr)
{
	u64 tsc = gpr[X86_RDX] << 32 | (u32)c->rax, after = vcpu_read_tsc(hwt.v);

	expect_true(tsc >= tsc_before && tsc <= after);
	expect_eq(c->rip, CODE + 2);
	step_hlt(c, gpr);
}

static void without_a_ratio_reading_the_tsc_is_intercepted(void **state)
{
	svm_test_begin(0);
	CODE_BYTES(0x0f, 0x31); /* rdtsc */
	expect_eq(hwt_vcpu_ioctl_int(KVM_SET_TSC_KHZ, host_tsc_khz() * 2), 0);
	svm_script(step_rdtsc_intercepted, step_tsc_read, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.tsc_ratio[0], 0);
}

/* --- speculation controls -------------------------------------------------------------------------------------------------- */

/* As the guest's CPUID would have it, on a processor that has everything. */
static void offer(u64 spec_ctrl_bits, bool pred_cmd)
{
	hwt.v->spec_ctrl_bits = spec_ctrl_bits;
	hwt.v->has_pred_cmd = pred_cmd;
	vcpu_request(hwt.v, REQ_SETTINGS);
}

static bool intercepted(const struct vmcb *c, u32 msr)
{
	const u8 *map = hw_va(c->msrpm_pa);

	return map[msr / 4] >> (msr % 4 * 2) & 3;
}

static bool spec_ctrl_intercepted, pred_cmd_intercepted, lstar_intercepted;
static u64 spec_ctrl_in_vmcb;

static void step_look_at_maps(struct vmcb *c, u64 *gpr)
{
	spec_ctrl_intercepted = intercepted(c, X86_MSR_SPEC_CTRL);
	pred_cmd_intercepted = intercepted(c, X86_MSR_PRED_CMD);
	/* 0xc0000000 begins at 2 KiB. */
	lstar_intercepted = intercepted(c, (X86_MSR_LSTAR & 0x1fff) + 0x2000);
	spec_ctrl_in_vmcb = c->spec_ctrl;
	step_hlt(c, gpr);
}

static void look_at_maps(void)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2 };

	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	svm_script(step_look_at_maps, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void a_guest_without_the_bits_has_the_hosts_value(void **state)
{
	u64 val = 0;

	svm_test_begin(0);
	cpu0.spec_ctrl = 2;
	offer(0, false);
	look_at_maps();
	expect_true(spec_ctrl_intercepted && pred_cmd_intercepted && !lstar_intercepted);
	expect_eq(cpu0.spec_ctrl_in_guest, 2);
	expect_eq(vcpu_get_msr(hwt.v, X86_MSR_SPEC_CTRL, &val, false), MSR_INVALID);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_SPEC_CTRL, 0, false), MSR_INVALID);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_PRED_CMD, 1, false), MSR_INVALID);
}

static void spec_ctrl_is_switched_by_hand(void **state)
{
	u64 val = 0;

	svm_test_begin(0);
	cpu0.spec_ctrl = 2;
	offer(5, false);
	look_at_maps();
	expect_true(spec_ctrl_intercepted);
	expect_eq(cpu0.spec_ctrl_in_guest, 0);
	expect_eq(cpu0.spec_ctrl, 2);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_SPEC_CTRL, 8, false), MSR_INVALID);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_SPEC_CTRL, 5, false), MSR_OK);
	look_at_maps();
	expect_eq(cpu0.spec_ctrl_in_guest, 5);
	expect_eq(cpu0.spec_ctrl, 2);
	expect_eq(vcpu_get_msr(hwt.v, X86_MSR_SPEC_CTRL, &val, false), MSR_OK);
	expect_eq(val, 5);
}

static void step_guest_writes_spec_ctrl(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->spec_ctrl, 1);
	c->spec_ctrl = 4;
	step_hlt(c, gpr);
}

static void spec_ctrl_is_switched_by_the_processor(void **state)
{
	u64 val = 0;

	svm_test_begin(HAS_V_SPEC_CTRL);
	cpu0.spec_ctrl = 2;
	offer(5, false);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_SPEC_CTRL, 1, false), MSR_OK);
	svm_engine.put_state(hwt.v, STATE_MSR);
	look_at_maps();
	expect_true(!spec_ctrl_intercepted && pred_cmd_intercepted);
	expect_eq(spec_ctrl_in_vmcb, 1);
	/* The processor joins it with the guest's. */
	expect_eq(cpu0.spec_ctrl_in_guest, 2);
	svm_script(step_guest_writes_spec_ctrl, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	svm_engine.get_state(hwt.v, STATE_MSR);
	expect_eq(vcpu_get_msr(hwt.v, X86_MSR_SPEC_CTRL, &val, false), MSR_OK);
	expect_eq(val, 4);
}

static void barriers_are_the_guests_own(void **state)
{
	unsigned before;

	svm_test_begin(0);
	offer(0, true);
	look_at_maps();
	expect_true(!pred_cmd_intercepted && spec_ctrl_intercepted);
	before = cpu0.barriers;
	look_at_maps();
	expect_eq(cpu0.barriers, before);
	/* Where a filter has looked at it. */
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_PRED_CMD, 2, false), MSR_INVALID);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_PRED_CMD, 1, false), MSR_OK);
	look_at_maps();
	expect_eq(cpu0.barriers, before + 1);
	look_at_maps();
	expect_eq(cpu0.barriers, before + 1);
}

/* --- KVM_CAP_X86_DISABLE_EXITS ------------------------------------------------------------------------------------------ */

static void step_expects_native_hlt(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->intercept3 & I3_HLT, 0);
	expect_eq(c->intercept4 & (I4_MONITOR | I4_MWAIT), I4_MONITOR | I4_MWAIT);
	c->exit_code = X_SHUTDOWN;
}

static void step_expects_all_native(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->intercept3 & I3_HLT, 0);
	expect_eq(c->intercept4 & (I4_MONITOR | I4_MWAIT), 0);
	c->exit_code = X_SHUTDOWN;
}

static void what_is_not_to_leave_is_not_intercepted(void **state)
{
	svm_test_begin(0);
	svm_script(step_expects_native_hlt, step_expects_all_native, NULL);
	__atomic_store_n(&hwt.vm->disabled_exits, KVM_X86_DISABLE_EXITS_HLT, __ATOMIC_RELEASE);
	vcpu_request(hwt.v, REQ_SETTINGS);
	hwt_run_exits(KVM_EXIT_SHUTDOWN);
	__atomic_store_n(&hwt.vm->disabled_exits, KVM_X86_DISABLE_VALID_EXITS, __ATOMIC_RELEASE);
	vcpu_request(hwt.v, REQ_SETTINGS);
	hwt_run_exits(KVM_EXIT_SHUTDOWN);
}

/* --- what the processor does not switch --------------------------------------------------------------------------- */

static void step_debugctl_is_0(struct vmcb *c, u64 *gpr)
{
	expect_eq(cpu0.debugctl, 0);
	step_hlt(c, gpr);
}

static void debugctl_is_the_hosts_again(void **state)
{
	svm_test_begin(0);
	svm_script(step_debugctl_is_0, step_debugctl_is_0, NULL);
	cpu0.debugctl = 0x4001;
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.debugctl, 0x4001);
	cpu0.debugctl = 0;
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.debugctl, 0);
}

int svm_enter_tests(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_software_interrupt_returns_by_the_next_rip_field, svm_test_end),
		cmocka_unit_test_teardown(a_software_interrupt_returns_by_rip_without_that_field, svm_test_end),
		cmocka_unit_test_teardown(an_interrupted_exception_keeps_error_and_address, svm_test_end),
		cmocka_unit_test_teardown(in_real_mode_no_error_is_pushed, svm_test_end),
		cmocka_unit_test_teardown(a_fault_in_a_double_fault_is_a_shutdown, svm_test_end),
		cmocka_unit_test_teardown(int3_is_told_from_an_exception, svm_test_end),
		cmocka_unit_test_teardown(int3_is_told_from_int_n, svm_test_end),
		cmocka_unit_test_teardown(prefixes_of_int_n_count, svm_test_end),
		cmocka_unit_test_teardown(an_interrupt_waits_for_its_window, svm_test_end),
		cmocka_unit_test_teardown(the_next_nmi_comes_after_iret, svm_test_end),
		cmocka_unit_test_teardown(an_nmi_waits_for_the_end_of_a_shadow, svm_test_end),
		cmocka_unit_test_teardown(an_nmi_comes_right_behind_an_exception, svm_test_end),
		cmocka_unit_test_teardown(single_step_is_not_seen_by_pushf, svm_test_end),
		cmocka_unit_test_teardown(a_debuggers_breakpoint_is_reported, svm_test_end),
		cmocka_unit_test_teardown(what_has_not_changed_is_clean, svm_test_end),
		cmocka_unit_test_teardown(another_cpu_knows_nothing, svm_test_end),
		cmocka_unit_test_teardown(used_up_asids_flush, svm_test_end),
		cmocka_unit_test_teardown(a_cpu_that_was_off_knows_nothing, svm_test_end),
		cmocka_unit_test_teardown(guests_do_not_steer_each_others_branches, svm_test_end),
		cmocka_unit_test_teardown(the_processor_scales_the_tsc, svm_test_end),
		cmocka_unit_test_teardown(a_guest_without_the_bits_has_the_hosts_value, svm_test_end),
		cmocka_unit_test_teardown(spec_ctrl_is_switched_by_hand, svm_test_end),
		cmocka_unit_test_teardown(spec_ctrl_is_switched_by_the_processor, svm_test_end),
		cmocka_unit_test_teardown(barriers_are_the_guests_own, svm_test_end),
		cmocka_unit_test_teardown(without_a_ratio_reading_the_tsc_is_intercepted, svm_test_end),
		cmocka_unit_test_teardown(what_is_not_to_leave_is_not_intercepted, svm_test_end),
		cmocka_unit_test_teardown(debugctl_is_the_hosts_again, svm_test_end),
	};

	return cmocka_run_group_tests_name("svm: entries", tests, NULL, NULL);
}
