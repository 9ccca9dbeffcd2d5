/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guest debugging: the debugger's settings reach the engine, the guest's own registers stay what they are. */
#include "core_tests.h"

static void set_debug(u32 control, const u64 *regs)
{
	struct kvm_guest_debug d = { .control = control };

	if (regs)
		memcpy(d.arch.debugreg, regs, sizeof(d.arch.debugreg));
	assert_int_equal(fake_ioctl(KVM_SET_GUEST_DEBUG, &d), 0);
}

static void step_check_breakpoints(struct vcpu *v, struct vm_exit *exit)
{
	assert_int_equal(v->eff_db[0], 0x1111);
	assert_int_equal(v->eff_db[3], 0x4444);
	assert_int_equal(v->eff_dr7, 0xff);
	assert_true(v->exc_intercept & BIT(X86_EXC_DB));
	exit->code = VM_EXIT_EXCEPTION;
	exit->u.exc = (struct x86_event){ .type = X86_EVENT_EXC, .vector = X86_EXC_DB, .cr2 = 8 };
}

static void four_breakpoints_leave_the_guests_registers_alone(void **state)
{
	const u64 regs[8] = { 0x1111, 0x2222, 0x3333, 0x4444, 0, 0, 0, 0xff };
	struct kvm_debugregs guest = { .db = { 1, 2, 3, 4 }, .dr6 = 0xffff0ff0, .dr7 = 0x400 }, after;

	assert_int_equal(fake_ioctl(KVM_SET_DEBUGREGS, &guest), 0);
	set_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, regs);
	fake_script(step_check_breakpoints, NULL);
	fake_run_exits(KVM_EXIT_DEBUG);
	assert_int_equal(fake.run->debug.arch.exception, X86_EXC_DB);
	assert_int_equal(fake.run->debug.arch.pc, CODE);
	assert_int_equal(fake.run->debug.arch.dr6, 0xffff0ff8);
	assert_int_equal(fake.run->debug.arch.dr7, 0x4ff);
	assert_int_equal(fake_ioctl(KVM_GET_DEBUGREGS, &after), 0);
	assert_memory_equal(&after, &guest, sizeof(after));
}

static void step_check_off(struct vcpu *v, struct vm_exit *exit)
{
	assert_int_equal(v->eff_db[0], 1);
	assert_int_equal(v->eff_dr7, 0x401);
	assert_false(v->single_step);
	assert_int_equal(v->exc_intercept & (BIT(X86_EXC_DB) | BIT(X86_EXC_BP)), 0);
	step_hlt(v, exit);
}

static void switched_off_the_guests_registers_count_again(void **state)
{
	const u64 regs[8] = { 0x1111, 0x2222, 0x3333, 0x4444, 0, 0, 0, 0xff };
	struct kvm_debugregs guest = { .db = { 1 }, .dr6 = 0xffff0ff0, .dr7 = 0x401 };

	assert_int_equal(fake_ioctl(KVM_SET_DEBUGREGS, &guest), 0);
	set_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_SINGLESTEP, regs);
	set_debug(0, NULL);
	fake_script(step_check_off, NULL);
	fake_run_exits(KVM_EXIT_HLT);
}

static void step_stepped(struct vcpu *v, struct vm_exit *exit)
{
	assert_true(v->single_step);
	v->state.rip++;
	exit->code = VM_EXIT_DEBUG_STEP;
}

static void single_step_does_not_show_in_rflags(void **state)
{
	struct kvm_regs regs;

	set_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL);
	fake_script(step_stepped, NULL);
	fake_run_exits(KVM_EXIT_DEBUG);
	assert_int_equal(fake.run->debug.arch.pc, CODE + 1);
	assert_true(fake.run->debug.arch.dr6 & DR6_BS);
	assert_int_equal(fake_ioctl(KVM_GET_REGS, &regs), 0);
	assert_int_equal(regs.rflags & RFLAGS_TF, 0);
	assert_int_equal(fake.v->state.dr6 & DR6_BS, 0);
}

static void guests_own_tf_is_kept_under_single_step(void **state)
{
	struct kvm_regs regs;

	fake_set_rflags(RFLAGS_FIXED | RFLAGS_TF);
	set_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL);
	fake_script(step_stepped, NULL);
	fake_run_exits(KVM_EXIT_DEBUG);
	assert_int_equal(fake_ioctl(KVM_GET_REGS, &regs), 0);
	assert_true(regs.rflags & RFLAGS_TF);
}

static void step_over_io_reports_the_io_first(void **state)
{
	set_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL);
	CODE_BYTES(0xe6, 0x42); /* out 0x42, al */
	fake_script(step_emulate, NULL);
	fake_run_exits(KVM_EXIT_IO);
	fake_run_exits(KVM_EXIT_DEBUG);
	assert_int_equal(fake.run->debug.arch.pc, CODE + 2);
	assert_true(fake.run->debug.arch.dr6 & DR6_BS);
}

static void step_over_mmio_read_reports_the_read_first(void **state)
{
	fake_data_at_mmio();
	set_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL);
	CODE_BYTES(0xa0, 0x10, 0x00);
	fake_script(step_emulate, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	fake.run->mmio.data[0] = 7;
	fake_run_exits(KVM_EXIT_DEBUG);
	assert_int_equal(fake.run->debug.arch.pc, CODE + 3);
	assert_int_equal(fake.v->state.gpr[X86_RAX], 7);
}

static void step_over_mmio_write_reports_the_write_first(void **state)
{
	fake_data_at_mmio();
	set_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL);
	CODE_BYTES(0xa2, 0x10, 0x00); /* mov [0x10], al */
	fake_script(step_emulate, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	assert_int_equal(fake.run->mmio.is_write, 1);
	fake_run_exits(KVM_EXIT_DEBUG);
	assert_int_equal(fake.run->debug.arch.pc, CODE + 3);
	assert_true(fake.run->debug.arch.dr6 & DR6_BS);
}

static void emulated_instruction_with_tf_traps(void **state)
{
	fake_set_rflags(RFLAGS_FIXED | RFLAGS_TF);
	CODE_BYTES(0x90);
	fake_script(step_emulate, step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, X86_EXC_DB);
	assert_true(fake_delivered.cr2 & DR6_BS);
}

static void step_bp(struct vcpu *v, struct vm_exit *exit)
{
	assert_true(v->exc_intercept & BIT(X86_EXC_BP));
	exit->code = VM_EXIT_EXCEPTION;
	exit->u.exc = (struct x86_event){ .type = X86_EVENT_SOFT_EXC, .vector = X86_EXC_BP, .insn_len = 1 };
}

static void software_breakpoint_stops_at_its_instruction(void **state)
{
	set_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, NULL);
	fake_script(step_bp, NULL);
	fake_run_exits(KVM_EXIT_DEBUG);
	assert_int_equal(fake.run->debug.arch.exception, X86_EXC_BP);
	assert_int_equal(fake.run->debug.arch.pc, CODE);
}

static void injected_breakpoint_is_a_software_exception(void **state)
{
	set_debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP, NULL);
	fake_script(step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, X86_EXC_BP);
	assert_int_equal(fake_delivered.type, X86_EVENT_SOFT_EXC);
	assert_int_equal(fake_delivered.insn_len, 1);
}

static void injection_on_top_of_a_pending_exception_is_ebusy(void **state)
{
	struct x86_event ud = { .type = X86_EVENT_EXC, .vector = X86_EXC_UD };
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB };

	vcpu_queue_exception(fake.v, &ud);
	assert_int_equal(fake_ioctl(KVM_SET_GUEST_DEBUG, &d), -EBUSY);
}

int core_debug_tests(void)
{
	const struct CMUnitTest tests[] = {
		CORE_TEST(four_breakpoints_leave_the_guests_registers_alone),
		CORE_TEST(switched_off_the_guests_registers_count_again),
		CORE_TEST(single_step_does_not_show_in_rflags),
		CORE_TEST(guests_own_tf_is_kept_under_single_step),
		CORE_TEST(step_over_io_reports_the_io_first),
		CORE_TEST(step_over_mmio_read_reports_the_read_first),
		CORE_TEST(step_over_mmio_write_reports_the_write_first),
		CORE_TEST(emulated_instruction_with_tf_traps),
		CORE_TEST(software_breakpoint_stops_at_its_instruction),
		CORE_TEST(injected_breakpoint_is_a_software_exception),
		CORE_TEST(injection_on_top_of_a_pending_exception_is_ebusy),
	};

	return cmocka_run_group_tests_name("core: debugger", tests, NULL, NULL);
}
