/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Debuggers: steps by the monitor trap flag, and by RFLAGS.TF where there is none. */
#include "vmx_fake.h"

static void debug(u32 control, u64 dr0, u64 dr7)
{
	struct kvm_guest_debug d = { .control = control, .arch.debugreg = { [0] = dr0, [7] = dr7 } };

	expect_eq(hwt_vcpu_ioctl(KVM_SET_GUEST_DEBUG, &d), 0);
}

#define STEP (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)

static void expect_stop(u64 pc, u64 dr6)
{
	hwt_run_exits(KVM_EXIT_DEBUG);
	expect_eq(hwt.run->debug.arch.exception, X86_EXC_DB);
	expect_eq(hwt.run->debug.arch.pc, pc);
	expect_eq(hwt.run->debug.arch.dr6, DR6_FIXED1 | dr6);
}

static void set_flags(u64 flags)
{
	struct kvm_regs r;

	hwt_regs(&r);
	r.rflags |= flags;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
}

static u64 flags(void)
{
	struct kvm_regs r;

	hwt_regs(&r);
	return r.rflags;
}

/* An instruction of one byte, and the exit behind it. */
static void step_one_byte(u64 *gpr)
{
	expect_true(fake_field(PROC_CONTROLS) & PROC_MONITOR_TRAP);
	fake_set(GUEST_RIP, fake_field(GUEST_RIP) + 1);
	fake_exit(X_MONITOR_TRAP, 0, 0);
}

static void step_without_tf(u64 *gpr)
{
	expect_true(!(fake_field(GUEST_RFLAGS) & RFLAGS_TF));
	step_one_byte(gpr);
}

static void step_not_trapped(u64 *gpr)
{
	expect_true(!(fake_field(PROC_CONTROLS) & PROC_MONITOR_TRAP));
	step_hlt(gpr);
}

static void steps_need_no_tf(void **state)
{
	vmx_test_begin();
	vmx_script(step_without_tf, step_without_tf, step_not_trapped, NULL);
	debug(STEP, 0, 0);
	expect_stop(CODE + 1, DR6_BS);
	expect_stop(CODE + 2, DR6_BS);
	debug(0, 0, 0);
	hwt_run_exits(KVM_EXIT_HLT);
}

/* PUSHF and its like run natively: there is nothing that they could show. */
static void pushf_is_the_processors(void **state)
{
	vmx_test_begin();
	CODE_BYTES(0x9c, 0x9d);
	vmx_script(step_without_tf, step_without_tf, NULL);
	debug(STEP, 0, 0);
	expect_stop(CODE + 1, DR6_BS);
	expect_stop(CODE + 2, DR6_BS);
}

static void step_delivery(u64 *gpr)
{
	expect_true(fake_field(ENTRY_INTR_INFO) & INTR_VALID);
	expect_true(!(fake_field(GUEST_RFLAGS) & RFLAGS_TF));
	fake_set(GUEST_RIP, CODE + 0x100);
	fake_exit(X_MONITOR_TRAP, 0, 0);
}

/* The processor stops before the handler's first instruction, the step ends behind it. */
static void the_delivery_of_an_interrupt_is_no_step(void **state)
{
	struct kvm_interrupt irq = { .irq = 0x30 };

	vmx_test_begin();
	set_flags(RFLAGS_IF);
	vmx_script(step_delivery, step_without_tf, NULL);
	debug(STEP, 0, 0);
	expect_eq(hwt_vcpu_ioctl(KVM_INTERRUPT, &irq), 0);
	expect_stop(CODE + 0x101, DR6_BS);
}

static void step_mov_ss(u64 *gpr)
{
	step_one_byte(gpr);
	fake_set(GUEST_INTERRUPTIBILITY, BLOCKING_MOV_SS);
}

static void step_behind_mov_ss(u64 *gpr)
{
	expect_eq(fake_field(GUEST_INTERRUPTIBILITY), BLOCKING_MOV_SS);
	step_one_byte(gpr);
	fake_set(GUEST_INTERRUPTIBILITY, 0);
}

static void mov_ss_ends_with_the_next_instruction(void **state)
{
	vmx_test_begin();
	vmx_script(step_mov_ss, step_behind_mov_ss, NULL);
	debug(STEP, 0, 0);
	expect_stop(CODE + 2, DR6_BS);
}

static void step_with_own_tf(u64 *gpr)
{
	expect_true(fake_field(GUEST_RFLAGS) & RFLAGS_TF);
	expect_eq(fake_field(GUEST_PENDING_DEBUG), 0);
	step_one_byte(gpr);
	fake_set(GUEST_PENDING_DEBUG, PENDING_DEBUG_BS);
}

/* The guest's own trap is part of the debugger's step, and its TF stays. */
static void the_guests_tf_is_its_own(void **state)
{
	vmx_test_begin();
	set_flags(RFLAGS_TF);
	vmx_script(step_with_own_tf, step_with_own_tf, NULL);
	debug(STEP, 0, 0);
	expect_stop(CODE + 1, DR6_BS);
	expect_true(flags() & RFLAGS_TF);
	expect_stop(CODE + 2, DR6_BS);
	debug(0, 0, 0);
	expect_true(flags() & RFLAGS_TF);
}

static void step_watched_write(u64 *gpr)
{
	step_one_byte(gpr);
	fake_set(GUEST_PENDING_DEBUG, 1 | PENDING_DEBUG_BREAKPOINT);
}

static void step_nothing_waits(u64 *gpr)
{
	expect_eq(fake_field(GUEST_PENDING_DEBUG), 0);
	step_one_byte(gpr);
}

static void a_watchpoint_ends_the_same_step(void **state)
{
	vmx_test_begin();
	vmx_script(step_watched_write, step_nothing_waits, NULL);
	debug(STEP | KVM_GUESTDBG_USE_HW_BP, 0x8000, 0xd0401);
	expect_stop(CODE + 1, DR6_BS | 1);
	expect_stop(CODE + 2, DR6_BS);
}

/* --- without it -------------------------------------------------------------------------------------------------- */

static void step_by_tf(u64 *gpr)
{
	expect_true(!(fake_field(PROC_CONTROLS) & PROC_MONITOR_TRAP));
	expect_true(fake_field(GUEST_RFLAGS) & RFLAGS_TF);
	fake_set(GUEST_RIP, fake_field(GUEST_RIP) + 1);
	fake_exit(X_EXCEPTION_NMI, DR6_BS, 0);
	fake_set(EXIT_INTR_INFO, INTR_VALID | X86_EVENT_EXC << INTR_TYPE_SHIFT | X86_EXC_DB);
}

static void steps_by_tf(void)
{
	vmx_test_begin();
	CODE_BYTES(0x90, 0x9c, 0x90);
	vmx_script(step_by_tf, step_by_tf, NULL);
	debug(STEP, 0, 0);
	expect_stop(CODE + 1, DR6_BS);
	/* PUSHF is the library's. */
	expect_stop(CODE + 2, DR6_BS);
	expect_eq(*(u16 *)(hwt.ram + 0x7ffe) & RFLAGS_TF, 0);
	expect_stop(CODE + 3, DR6_BS);
	expect_true(!(flags() & RFLAGS_TF));
}

static void a_processor_without_it_steps_by_tf(void **state)
{
	fake_vmx_reset();
	fake_lacks(MSR_VMX_PROC, PROC_MONITOR_TRAP);
	steps_by_tf();
}

static void it_can_be_left_out(void **state)
{
	fake_vmx_reset();
	vmxt.options.monitor_trap = false;
	steps_by_tf();
}

int vmx_debug_tests(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(steps_need_no_tf, vmx_test_end),
		cmocka_unit_test_teardown(pushf_is_the_processors, vmx_test_end),
		cmocka_unit_test_teardown(the_delivery_of_an_interrupt_is_no_step, vmx_test_end),
		cmocka_unit_test_teardown(mov_ss_ends_with_the_next_instruction, vmx_test_end),
		cmocka_unit_test_teardown(the_guests_tf_is_its_own, vmx_test_end),
		cmocka_unit_test_teardown(a_watchpoint_ends_the_same_step, vmx_test_end),
		cmocka_unit_test_teardown(a_processor_without_it_steps_by_tf, vmx_test_end),
		cmocka_unit_test_teardown(it_can_be_left_out, vmx_test_end),
	};

	return cmocka_run_group_tests_name("vmx: debuggers", tests, NULL, NULL);
}
