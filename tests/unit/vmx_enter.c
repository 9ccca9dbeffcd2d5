/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Entries and exits: events and their way back, windows, what the processor refuses, the VMCS's life. */
#include "vmx_fake.h"

#define INFO(type, v) (INTR_VALID | (u32)(type) << INTR_TYPE_SHIFT | (v))

static void set_if(void)
{
	struct kvm_regs r;

	hwt_regs(&r);
	r.rflags |= RFLAGS_IF;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
}

static void interrupt(u32 vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	expect_eq(hwt_vcpu_ioctl(KVM_INTERRUPT, &irq), 0);
}

/* --- events ----------------------------------------------------------------------------------------------------- */

static void step_delivery_interrupted(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_INTR_INFO), INFO(X86_EVENT_INTR, 0x30));
	fake_set(IDT_VECTORING_INFO, INFO(X86_EVENT_INTR, 0x30));
}

static void step_delivered(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_INTR_INFO), INFO(X86_EVENT_INTR, 0x30));
	step_hlt(gpr);
}

static void step_nothing_injected(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_INTR_INFO) & INTR_VALID, 0);
	step_hlt(gpr);
}

static void an_interrupted_interrupt_comes_again_once(void **state)
{
	vmx_test_begin();
	set_if();
	interrupt(0x30);
	vmx_script(step_delivery_interrupted, step_delivery_interrupted, step_delivered, step_nothing_injected, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	hwt_run_exits(KVM_EXIT_HLT);
}

/* INT n keeps its length: the address that it pushes is behind it. */
static void step_int_80_interrupted(u64 *gpr)
{
	fake_set(IDT_VECTORING_INFO, INFO(X86_EVENT_SOFT_INT, 0x80));
	fake_set(EXIT_INSN_LEN, 3);
}

static void step_int_80(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_INTR_INFO), INFO(X86_EVENT_SOFT_INT, 0x80));
	expect_eq(fake_field(ENTRY_INSN_LEN), 3);
	expect_eq(fake_field(GUEST_RIP), CODE);
	step_hlt(gpr);
}

static void a_software_interrupt_keeps_its_length(void **state)
{
	vmx_test_begin();
	vmx_script(step_int_80_interrupted, step_int_80, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_page_fault_interrupted(u64 *gpr)
{
	vmxt.cr2 = 0x5678;
	fake_set(IDT_VECTORING_INFO, INFO(X86_EVENT_EXC, X86_EXC_PF) | INTR_HAS_ERROR);
	fake_set(IDT_VECTORING_ERROR, 6);
}

static void step_page_fault_again(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_INTR_INFO), INFO(X86_EVENT_EXC, X86_EXC_PF) | INTR_HAS_ERROR);
	expect_eq(fake_field(ENTRY_ERROR_CODE), 6);
	expect_eq(vmxt.cr2, 0x5678);
	step_hlt(gpr);
}

static void an_interrupted_exception_keeps_error_and_address(void **state)
{
	vmx_test_begin();
	hwt_protected_mode();
	vmx_script(step_page_fault_interrupted, step_page_fault_again, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_window_wanted(u64 *gpr)
{
	expect_true(fake_field(PROC_CONTROLS) & PROC_INTR_WINDOW);
	expect_eq(fake_field(ENTRY_INTR_INFO) & INTR_VALID, 0);
	fake_set(GUEST_RFLAGS, fake_field(GUEST_RFLAGS) | RFLAGS_IF);
	fake_exit(X_INTR_WINDOW, 0, 0);
}

static void step_delivered_without_window(u64 *gpr)
{
	expect_true(!(fake_field(PROC_CONTROLS) & PROC_INTR_WINDOW));
	step_delivered(gpr);
}

static void an_interrupt_waits_for_its_window(void **state)
{
	vmx_test_begin();
	interrupt(0x30);
	vmx_script(step_window_wanted, step_delivered_without_window, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

/* --- NMIs -------------------------------------------------------------------------------------------------------- */

static void step_nmi(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_INTR_INFO), INFO(X86_EVENT_NMI, 2));
	fake_set(GUEST_INTERRUPTIBILITY, BLOCKING_NMI);
	step_hlt(gpr);
}

static void step_nmi_window_wanted(u64 *gpr)
{
	expect_true(fake_field(PROC_CONTROLS) & PROC_NMI_WINDOW);
	expect_true(fake_field(GUEST_INTERRUPTIBILITY) & BLOCKING_NMI);
	/* IRET */
	fake_set(GUEST_INTERRUPTIBILITY, 0);
	fake_exit(X_NMI_WINDOW, 0, 0);
}

static void the_next_nmi_comes_after_iret(void **state)
{
	vmx_test_begin();
	expect_eq(hwt_vcpu_ioctl(KVM_NMI, NULL), 0);
	vmx_script(step_nmi, step_nmi_window_wanted, step_nmi, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(hwt_vcpu_ioctl(KVM_NMI, NULL), 0);
	hwt_run_exits(KVM_EXIT_HLT);
}

/* --- NMIs without the processor's help ------------------------------------------------------------------------------- */

static void step_plain_nmi(u64 *gpr)
{
	expect_true(!(fake_field(PIN_CONTROLS) & PIN_VIRTUAL_NMIS));
	expect_true(!(fake_field(PROC_CONTROLS) & PROC_NMI_WINDOW));
	expect_eq(fake_field(ENTRY_INTR_INFO), INFO(X86_EVENT_NMI, 2));
	/* Blocking by NMI is the processor's own then, and nothing of ours. */
	fake_set(GUEST_INTERRUPTIBILITY, BLOCKING_NMI);
	step_hlt(gpr);
}

static void step_plain_window_wanted(u64 *gpr)
{
	expect_true(!(fake_field(PROC_CONTROLS) & PROC_NMI_WINDOW));
	expect_true(fake_field(PROC_CONTROLS) & PROC_INTR_WINDOW);
	expect_eq(fake_field(GUEST_INTERRUPTIBILITY), 0);
	fake_set(GUEST_RFLAGS, fake_field(GUEST_RFLAGS) | RFLAGS_IF);
	fake_exit(X_INTR_WINDOW, 0, 0);
}

static void begin_without_virtual_nmis(void)
{
	fake_vmx_reset();
	fake_lacks(MSR_VMX_PIN, PIN_VIRTUAL_NMIS);
	fake_lacks(MSR_VMX_PROC, PROC_NMI_WINDOW);
	vmx_test_begin();
	expect_eq(hwt_vcpu_ioctl(KVM_NMI, NULL), 0);
}

static bool nmi_masked(void)
{
	struct kvm_vcpu_events e;

	expect_eq(hwt_vcpu_ioctl(KVM_GET_VCPU_EVENTS, &e), 0);
	return e.nmi.masked;
}

static void enabled_interrupts_end_an_nmi(void **state)
{
	begin_without_virtual_nmis();
	vmx_script(step_plain_nmi, step_plain_window_wanted, step_plain_nmi, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_true(nmi_masked());
	expect_eq(hwt_vcpu_ioctl(KVM_NMI, NULL), 0);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_true(nmi_masked());
}

/* A host interrupt, a second later. */
static void step_second_passes(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_INTR_INFO) & INTR_VALID, 0);
	vmx_of(hwt.v)->nmi_since -= 1000000001ull;
}

static void so_does_a_second(void **state)
{
	begin_without_virtual_nmis();
	vmx_script(step_plain_nmi, step_intr, step_second_passes, step_plain_nmi, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(hwt_vcpu_ioctl(KVM_NMI, NULL), 0);
	hwt_run_exits(KVM_EXIT_HLT);
}

/* The library executes the instruction in the shadow. */
static void an_nmi_waits_for_the_end_of_a_shadow(void **state)
{
	struct kvm_vcpu_events e;

	begin_without_virtual_nmis();
	CODE_BYTES(0x90);
	expect_eq(hwt_vcpu_ioctl(KVM_GET_VCPU_EVENTS, &e), 0);
	e.flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
	e.nmi.pending = 1;
	e.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_VCPU_EVENTS, &e), 0);
	vmx_script(step_plain_nmi, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(hwt.v->state.rip, CODE + 2);
}

#define UD_HANDLER (CODE + 0x100)

static void step_nmi_at_the_handler(u64 *gpr)
{
	expect_eq(fake_field(GUEST_RIP), UD_HANDLER);
	step_plain_nmi(gpr);
}

/* The library has delivered the exception. */
static void an_nmi_comes_right_behind_an_exception(void **state)
{
	const u32 vector = UD_HANDLER;
	struct kvm_vcpu_events e;

	begin_without_virtual_nmis();
	memcpy(hwt.ram + 4 * X86_EXC_UD, &vector, sizeof(vector));
	expect_eq(hwt_vcpu_ioctl(KVM_GET_VCPU_EVENTS, &e), 0);
	e.exception.injected = 1;
	e.exception.nr = X86_EXC_UD;
	e.flags = 0;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_VCPU_EVENTS, &e), 0);
	vmx_script(step_nmi_at_the_handler, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_host_nmi(u64 *gpr)
{
	fake_exit(X_EXCEPTION_NMI, 0, 0);
	fake_set(EXIT_INTR_INFO, INFO(X86_EVENT_NMI, 2));
}

static void step_host_machine_check(u64 *gpr)
{
	fake_exit(X_EXCEPTION_NMI, 0, 0);
	fake_set(EXIT_INTR_INFO, INFO(X86_EVENT_EXC, X86_EXC_MC));
}

static void the_hosts_nmis_and_machine_checks_are_the_hosts(void **state)
{
	vmx_test_begin();
	vmx_script(step_host_nmi, step_host_machine_check, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.nmis, 1);
	expect_eq(cpu0.machine_checks, 1);
}

/* --- what goes wrong ----------------------------------------------------------------------------------------------- */

/* The VMCS itself was refused: its error number reaches user space, the interrupt waits. */
static void a_refused_entry_is_reported(void **state)
{
	vmx_test_begin();
	set_if();
	interrupt(0x30);
	vmx_script(step_hlt, step_delivered, NULL);
	vmxt.refuses = true;
	cpu0.cpu = 1;
	hwt_run_exits(KVM_EXIT_FAIL_ENTRY);
	expect_eq(hwt.run->fail_entry.hardware_entry_failure_reason, 7);
	expect_eq(hwt.run->fail_entry.cpu, 1);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_invalid_state(u64 *gpr)
{
	fake_exit(X_ENTRY_FAILED | X_INVALID_STATE, 0, 0);
}

static void an_invalid_state_is_reported(void **state)
{
	vmx_test_begin();
	set_if();
	interrupt(0x30);
	vmx_script(step_invalid_state, step_delivered, NULL);
	cpu0.cpu = 1;
	hwt_run_exits(KVM_EXIT_FAIL_ENTRY);
	expect_eq(hwt.run->fail_entry.hardware_entry_failure_reason, 0x80000021);
	expect_eq(hwt.run->fail_entry.cpu, 1);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_unknown(u64 *gpr)
{
	fake_exit(60, 0, 0);
}

static void an_unknown_exit_is_reported(void **state)
{
	vmx_test_begin();
	vmx_script(step_unknown, NULL);
	hwt_run_exits(KVM_EXIT_UNKNOWN);
	expect_eq(hwt.run->hw.hardware_exit_reason, 60);
}

/* --- speculation controls -------------------------------------------------------------------------------------------- */

/* As the guest's CPUID would have it, on a processor that has everything. */
static void offer(u64 spec_ctrl_bits, bool pred_cmd)
{
	hwt.v->spec_ctrl_bits = spec_ctrl_bits;
	hwt.v->has_pred_cmd = pred_cmd;
	vcpu_request(hwt.v, REQ_SETTINGS);
}

static bool intercepted(u32 msr, bool write)
{
	const u8 *map = hw_va(fake_field(MSR_BITMAP));

	return map[(write ? 0x800 : 0) + (msr >> 31 ? 0x400 : 0) + (msr & 0x1fff) / 8] >> (msr % 8) & 1;
}

static bool spec_ctrl_intercepted;

static void step_look(u64 *gpr)
{
	spec_ctrl_intercepted = intercepted(X86_MSR_SPEC_CTRL, true);
	expect_eq(spec_ctrl_intercepted, intercepted(X86_MSR_SPEC_CTRL, false));
	expect_true(intercepted(X86_MSR_PRED_CMD, false));
	expect_eq(intercepted(X86_MSR_PRED_CMD, true), !hwt.v->has_pred_cmd);
	expect_true(!intercepted(X86_MSR_LSTAR, true) && !intercepted(X86_MSR_LSTAR, false));
	step_hlt(gpr);
}

static void look(void)
{
	vmx_script(step_look, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.spec_ctrl, 2);
}

static u64 guests_spec_ctrl(void)
{
	u64 val = 0;

	vmx_engine.get_state(hwt.v, STATE_MSR);
	expect_eq(vcpu_get_msr(hwt.v, X86_MSR_SPEC_CTRL, &val, false), MSR_OK);
	return val;
}

static void a_guest_without_the_bits_has_the_hosts_value(void **state)
{
	vmx_test_begin();
	cpu0.spec_ctrl = 2;
	offer(0, false);
	look();
	expect_true(spec_ctrl_intercepted);
	expect_eq(cpu0.spec_ctrl_in_guest, 2);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_SPEC_CTRL, 0, false), MSR_INVALID);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_PRED_CMD, 1, false), MSR_INVALID);
}

static void step_guest_writes_spec_ctrl(u64 *gpr)
{
	expect_eq(cpu0.spec_ctrl, 5);
	cpu0.spec_ctrl = 4;
	step_look(gpr);
}

/* Its accesses exit until it has set a bit; then the processor loads and stores it. The host's is there again after each exit. */
static void a_guest_has_its_own_spec_ctrl(void **state)
{
	vmx_test_begin();
	cpu0.spec_ctrl = 2;
	offer(5, true);
	look();
	expect_true(spec_ctrl_intercepted);
	expect_eq(cpu0.spec_ctrl_in_guest, 0);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_SPEC_CTRL, 8, false), MSR_INVALID);
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_SPEC_CTRL, 5, false), MSR_OK);
	vmx_engine.put_state(hwt.v, STATE_MSR);
	vmx_script(step_guest_writes_spec_ctrl, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_true(!spec_ctrl_intercepted);
	expect_eq(cpu0.spec_ctrl, 2);
	expect_eq(guests_spec_ctrl(), 4);
	look();
	expect_eq(cpu0.spec_ctrl_in_guest, 4);
}

static void step_same_value(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_MSR_LOAD_COUNT), AREA_ALWAYS);
	expect_eq(fake_field(EXIT_MSR_STORE_COUNT), hwt.v->spec_ctrl ? AREA_SIZE : AREA_ALWAYS);
	expect_eq(fake_field(EXIT_MSR_LOAD_COUNT), hwt.v->spec_ctrl ? AREA_SIZE : AREA_ALWAYS);
	step_hlt(gpr);
}

/* What is the same on both sides is not loaded; what the guest may have written is stored all the same. */
static void the_same_value_is_not_switched(void **state)
{
	vmx_test_begin();
	offer(5, true);
	vmx_script(step_same_value, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	cpu0.spec_ctrl = 1;
	expect_eq(vcpu_set_msr(hwt.v, X86_MSR_SPEC_CTRL, 1, false), MSR_OK);
	vmx_engine.put_state(hwt.v, STATE_MSR);
	vmx_script(step_same_value, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_renewed(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_MSR_LOAD_COUNT), AREA_ALWAYS);
	expect_eq(fake_field(EXIT_MSR_STORE_COUNT), AREA_ALWAYS);
	expect_eq(fake_field(EXIT_MSR_LOAD_COUNT), AREA_SIZE);
	step_hlt(gpr);
}

/* A host with IBRS has its value written at each exit, also of a guest that has none of its own. */
static void a_host_renews_its_spec_ctrl(void **state)
{
	fake_vmx_reset();
	cpu0.renewed = true;
	vmx_test_begin();
	cpu0.spec_ctrl = 1;
	vmx_script(step_renewed, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.spec_ctrl_in_guest, 1);
	expect_eq(cpu0.spec_ctrl, 1);
}

static void step_counters_stand(u64 *gpr)
{
	expect_true(cpu0.counters_stand);
	step_hlt(gpr);
}

static void what_the_host_counts_stands_still(void **state)
{
	vmx_test_begin();
	cpu0.counters_run = true;
	vmx_script(step_counters_stand, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_true(!cpu0.counters_stand);
}

static void step_debugctl_is_0(u64 *gpr)
{
	expect_eq(cpu0.debugctl, 0);
	expect_eq(fake_field(GUEST_DEBUGCTL), 0);
	step_hlt(gpr);
}

static void debugctl_is_the_hosts_again(void **state)
{
	vmx_test_begin();
	vmx_script(step_debugctl_is_0, step_debugctl_is_0, NULL);
	cpu0.debugctl = 0x4001;
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.debugctl, 0x4001);
	cpu0.debugctl = 0;
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.debugctl, 0);
}

static void step_invlpg(u64 *gpr)
{
	fake_exit(X_INVLPG, 0, 3);
}

static void the_host_is_flushed_before_each_entry(void **state)
{
	fake_vmx_reset();
	cpu0.wants_flush = 1;
	vmx_test_begin();
	vmx_script(step_intr, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.flushes, 2);
	/* User space has run; the interrupt is for the host to notice. */
	expect_eq(cpu0.touched, 1);
	CODE_BYTES(0xf4, 0x0f, 0x01, 0x38); /* hlt; invlpg [bx + si] */
	vmx_script(step_invlpg, step_intr, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.flushes, 5);
	expect_eq(cpu0.touched, 3);
}

static void nothing_is_flushed_unasked(void **state)
{
	vmx_test_begin();
	vmx_script(step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.flushes, 0);
}

static void no_memory_for_the_flush_is_no_engine(void **state)
{
	fake_vmx_reset();
	cpu0.wants_flush = -ENOMEM;
	expect_error(vmx_module_init(&vmxt.options), ENOMEM);
	expect_eq(cpu0.pages, 0);
}

/* RDCL_NO and MDS_NO hold for guests, the energy filtering control (bit 11) is not offered. */
static void guests_know_what_the_processor_is_not_open_to(void **state)
{
	fake_vmx_reset();
	vmxt.arch_capabilities = BIT(0) | BIT(5) | BIT(11);
	vmx_test_begin();
	expect_eq(*vmx_engine.caps.arch_capabilities, BIT(0) | BIT(5));
}

/* --- exits that user space has turned off ------------------------------------------------------------------------------ */

static void step_halts_in_guest_mode(u64 *gpr)
{
	expect_true(!(fake_field(PROC_CONTROLS) & (PROC_HLT | PROC_MWAIT | PROC_MONITOR)));
	expect_true(!intercepted(0x3fd, false) && intercepted(0x3fd, true));
	expect_eq(fake_field(GUEST_ACTIVITY), ACTIVITY_ACTIVE);
	fake_set(GUEST_ACTIVITY, ACTIVITY_HLT);
}

/* A host interrupt. */
static void step_still_halted(u64 *gpr)
{
	expect_eq(fake_field(GUEST_ACTIVITY), ACTIVITY_HLT);
	expect_eq(vcpu_queue_interrupt(hwt.v, 0x30), 0);
}

static void step_woken(u64 *gpr)
{
	expect_eq(fake_field(ENTRY_INTR_INFO), INFO(X86_EVENT_INTR, 0x30));
	expect_eq(fake_field(GUEST_ACTIVITY), ACTIVITY_ACTIVE);
	fake_exit(60, 0, 0);
}

static void a_guest_halts_in_guest_mode(void **state)
{
	vmx_test_begin();
	__atomic_store_n(&hwt.vm->disabled_exits, KVM_X86_DISABLE_VALID_EXITS, __ATOMIC_RELEASE);
	set_if();
	vmx_script(step_halts_in_guest_mode, step_still_halted, step_woken, NULL);
	hwt_run_exits(KVM_EXIT_UNKNOWN);
}

static void step_runs_on(u64 *gpr)
{
	expect_eq(fake_field(GUEST_ACTIVITY), ACTIVITY_ACTIVE);
	fake_exit(60, 0, 0);
}

static void step_halts_and_ends(u64 *gpr)
{
	fake_set(GUEST_ACTIVITY, ACTIVITY_HLT);
	fake_exit(60, 0, 0);
}

/* User space has made it go on elsewhere. */
static void another_rip_ends_the_halt(void **state)
{
	struct kvm_regs r;

	vmx_test_begin();
	__atomic_store_n(&hwt.vm->disabled_exits, KVM_X86_DISABLE_EXITS_HLT, __ATOMIC_RELEASE);
	vmx_script(step_halts_and_ends, step_runs_on, NULL);
	hwt_run_exits(KVM_EXIT_UNKNOWN);
	hwt_regs(&r);
	r.rip += 0x10;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	hwt_run_exits(KVM_EXIT_UNKNOWN);
}

/* --- which VMCS is where -------------------------------------------------------------------------------------------- */

/* The made-up processor insists on VMLAUNCH after VMCLEAR and on VMRESUME otherwise. */
static void a_vcpu_moves_between_processors(void **state)
{
	unsigned before;

	vmx_test_begin();
	vmx_script(step_hlt, step_hlt, step_hlt, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	hwt_run_exits(KVM_EXIT_HLT);
	before = vmxt.flushes;
	cpu0.cpu = 1;
	hwt_run_exits(KVM_EXIT_HLT);
	expect_true(vmxt.flushes > before);
	cpu0.cpu = 0;
	hwt_run_exits(KVM_EXIT_HLT);
}

int vmx_enter_tests(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_interrupted_interrupt_comes_again_once, vmx_test_end),
		cmocka_unit_test_teardown(a_software_interrupt_keeps_its_length, vmx_test_end),
		cmocka_unit_test_teardown(an_interrupted_exception_keeps_error_and_address, vmx_test_end),
		cmocka_unit_test_teardown(an_interrupt_waits_for_its_window, vmx_test_end),
		cmocka_unit_test_teardown(the_next_nmi_comes_after_iret, vmx_test_end),
		cmocka_unit_test_teardown(enabled_interrupts_end_an_nmi, vmx_test_end),
		cmocka_unit_test_teardown(so_does_a_second, vmx_test_end),
		cmocka_unit_test_teardown(an_nmi_waits_for_the_end_of_a_shadow, vmx_test_end),
		cmocka_unit_test_teardown(an_nmi_comes_right_behind_an_exception, vmx_test_end),
		cmocka_unit_test_teardown(the_hosts_nmis_and_machine_checks_are_the_hosts, vmx_test_end),
		cmocka_unit_test_teardown(a_refused_entry_is_reported, vmx_test_end),
		cmocka_unit_test_teardown(an_invalid_state_is_reported, vmx_test_end),
		cmocka_unit_test_teardown(an_unknown_exit_is_reported, vmx_test_end),
		cmocka_unit_test_teardown(a_guest_without_the_bits_has_the_hosts_value, vmx_test_end),
		cmocka_unit_test_teardown(a_guest_has_its_own_spec_ctrl, vmx_test_end),
		cmocka_unit_test_teardown(the_same_value_is_not_switched, vmx_test_end),
		cmocka_unit_test_teardown(a_host_renews_its_spec_ctrl, vmx_test_end),
		cmocka_unit_test_teardown(what_the_host_counts_stands_still, vmx_test_end),
		cmocka_unit_test_teardown(debugctl_is_the_hosts_again, vmx_test_end),
		cmocka_unit_test_teardown(the_host_is_flushed_before_each_entry, vmx_test_end),
		cmocka_unit_test_teardown(nothing_is_flushed_unasked, vmx_test_end),
		cmocka_unit_test_teardown(no_memory_for_the_flush_is_no_engine, vmx_test_end),
		cmocka_unit_test_teardown(guests_know_what_the_processor_is_not_open_to, vmx_test_end),
		cmocka_unit_test_teardown(a_guest_halts_in_guest_mode, vmx_test_end),
		cmocka_unit_test_teardown(another_rip_ends_the_halt, vmx_test_end),
		cmocka_unit_test_teardown(a_vcpu_moves_between_processors, vmx_test_end),
	};

	return cmocka_run_group_tests_name("vmx: entries", tests, NULL, NULL);
}
