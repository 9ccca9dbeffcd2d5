/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Exits: by the table, in place or by user space; what nobody knows; failed entries; signals; counters. */
#include <signal.h>
#include "core_tests.h"

static void step_fail_entry(struct vcpu *v, struct vm_exit *exit)
{
	exit->code = VM_EXIT_FAIL_ENTRY;
	exit->hw_reason = 0x80000021;
}

static void failed_entry_is_reported_with_the_hardwares_reason(void **state)
{
	fake_script(step_fail_entry, NULL);
	fake_run_exits(KVM_EXIT_FAIL_ENTRY);
	assert_int_equal(fake.run->fail_entry.hardware_entry_failure_reason, 0x80000021);
}

/* Both 64-bit and 32-bit code: the state ioctl takes it, the engine never sees it. */
static void impossible_state_is_a_failed_entry(void **state)
{
	struct kvm_sregs s;

	assert_int_equal(fake_ioctl(KVM_GET_SREGS, &s), 0);
	s.cr0 = CR0_PE | CR0_PG;
	s.cr4 = CR4_PAE;
	s.efer = X86_EFER_LME | X86_EFER_LMA;
	s.cs.l = s.cs.db = 1;
	assert_int_equal(fake_ioctl(KVM_SET_SREGS, &s), 0);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_FAIL_ENTRY);
	assert_int_equal(fake.run->fail_entry.hardware_entry_failure_reason, 0x80000021);
	fake_run_exits(KVM_EXIT_FAIL_ENTRY);
	assert_int_equal(fake.next, 0);
	s.cs.db = 0;
	assert_int_equal(fake_ioctl(KVM_SET_SREGS, &s), 0);
	fake_run_exits(KVM_EXIT_HLT);
}

static void step_unknown(struct vcpu *v, struct vm_exit *exit)
{
	exit->code = VM_EXIT_UNKNOWN;
	exit->hw_reason = 77;
}

static void unknown_exit_is_reported_with_the_hardwares_reason(void **state)
{
	fake_script(step_unknown, NULL);
	fake_run_exits(KVM_EXIT_UNKNOWN);
	assert_int_equal(fake.run->hw.hardware_exit_reason, 77);
}

static void step_bad_code(struct vcpu *v, struct vm_exit *exit)
{
	exit->code = 1000;
	exit->hw_reason = 78;
}

static void exit_code_out_of_the_table_is_unknown(void **state)
{
	fake_script(step_bad_code, NULL);
	fake_run_exits(KVM_EXIT_UNKNOWN);
	assert_int_equal(fake.run->hw.hardware_exit_reason, 78);
}

static void hlt_goes_to_user_space_without_irqchip(void **state)
{
	fake_script(step_none, step_none, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->stat->exits, 3);
	assert_int_equal(fake.v->stat->halt_exits, 1);
	assert_int_equal(fake.v->stat->by_code[VM_EXIT_HLT], 1);
	assert_int_equal(fake.v->mp_state, KVM_MP_STATE_RUNNABLE);
}

static void step_shutdown(struct vcpu *v, struct vm_exit *exit)
{
	exit->code = VM_EXIT_SHUTDOWN;
}

static void triple_fault_is_shutdown(void **state)
{
	fake_script(step_shutdown, NULL);
	fake_run_exits(KVM_EXIT_SHUTDOWN);
}

static void step_host_fault(struct vcpu *v, struct vm_exit *exit)
{
	exit->code = VM_EXIT_HOST_FAULT;
}

static void unreachable_memory_is_efault(void **state)
{
	fake_script(step_host_fault, NULL);
	assert_int_equal(fake_run(), -EFAULT);
}

static void step_cpuid(struct vcpu *v, struct vm_exit *exit)
{
	exit->code = VM_EXIT_CPUID;
	exit->insn_len = 2;
}

static void cpuid_is_answered_in_place_from_the_table(void **state)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[2];
	} table = { { .nent = 2 },
		    { { .function = 0, .eax = 1, .ebx = 0x11223344 }, { .function = 1, .eax = 0x600 } } };

	assert_int_equal(fake_ioctl(KVM_SET_CPUID2, &table), 0);
	fake.v->state.gpr[X86_RAX] = 0;
	fake_script(step_cpuid, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->state.gpr[X86_RBX], 0x11223344);
	assert_int_equal(fake.v->state.rip, CODE + 3);
}

static void rip_advance_ends_the_shadow(void **state)
{
	fake.v->state.shadow = X86_SHADOW_STI;
	fake_script(step_cpuid, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->state.shadow, 0);
}

static void step_unhandled(struct vcpu *v, struct vm_exit *exit)
{
	exit->code = VM_EXIT_UNHANDLED;
}

static void emulation_failure_shows_the_instruction(void **state)
{
	CODE_BYTES(0x0f, 0x0a, 0xcc);
	fake_script(step_unhandled, NULL);
	fake_run_exits(KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(fake.run->emulation_failure.suberror, KVM_INTERNAL_ERROR_EMULATION);
	assert_int_equal(fake.run->emulation_failure.flags, KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
	assert_int_equal(fake.run->emulation_failure.insn_size, 15);
	assert_int_equal(fake.run->emulation_failure.insn_bytes[0], 0x0f);
	assert_int_equal(fake.run->emulation_failure.insn_bytes[2], 0xcc);
	assert_true(fake.run->emulation_failure.ndata >= 3);
}

static void emulation_failure_of_a_program_is_its_ud(void **state)
{
	/* CPL 3 without leaving real mode's simplicity: only the level matters here. */
	fake.v->state.cpl = 3;
	fake_script(step_unhandled, step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, X86_EXC_UD);
}

static volatile sig_atomic_t signals;
static void on_signal(int sig)
{
	signals++;
}

static void step_raise(struct vcpu *v, struct vm_exit *exit)
{
	raise(SIGUSR1);
}

static void signal_after_an_exit_handled_in_place_ends_the_run(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	signals = 0;
	fake_script(step_raise, NULL);
	assert_int_equal(fake_run(), -EINTR);
	assert_int_equal(fake.run->exit_reason, KVM_EXIT_INTR);
	assert_int_equal(fake.v->stat->signal_exits, 1);
	assert_int_equal(signals, 1);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
}

static void raise_once(void)
{
	fake.between_turns = NULL;
	raise(SIGUSR1);
}

/* It is blocked from then on, so it does not come again: a guest that spins would never be left. */
static void signal_behind_the_look_at_signals_ends_the_run(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	signals = 0;
	fake.between_turns = raise_once;
	fake_script(step_none, NULL);
	assert_int_equal(fake_run(), -EINTR);
	assert_int_equal(fake.v->stat->signal_exits, 1);
	assert_int_equal(signals, 1);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
}

static void immediate_exit_runs_nothing(void **state)
{
	fake.run->immediate_exit = 1;
	fake_script(step_hlt, NULL);
	assert_int_equal(fake_run(), -EINTR);
	assert_int_equal(fake.next, 0);
	fake.run->immediate_exit = 0;
}

static void step_request(struct vcpu *v, struct vm_exit *exit)
{
	vcpu_request(v, REQ_TLB_FLUSH | REQ_SETTINGS);
}

static void requests_are_served_before_the_next_entry(void **state)
{
	unsigned flushes = fake.tlb_flushes, settings;

	fake_script(step_none, step_request, step_hlt, NULL);
	settings = fake.settings_changed;
	fake_run_exits(KVM_EXIT_HLT);
	assert_true(fake.tlb_flushes > flushes);
	assert_true(fake.settings_changed > settings);
	assert_int_equal(fake.v->requests & (REQ_TLB_FLUSH | REQ_SETTINGS), 0);
}

static void run_takes_no_argument(void **state)
{
	assert_int_equal(fake_ioctl(KVM_RUN, (void *)1), -EINVAL);
}

static void unknown_ioctls_are_einval(void **state)
{
	assert_int_equal(fake_ioctl(_IOW(KVMIO, 0x87, char[40]), NULL), -EINVAL);
	assert_int_equal(fake_ioctl(KVM_GET_ONE_REG, NULL), -EINVAL);
	assert_int_equal(fake_ioctl(0x12345, NULL), -EINVAL);
}

int core_exit_tests(void)
{
	const struct CMUnitTest tests[] = {
		CORE_TEST(failed_entry_is_reported_with_the_hardwares_reason),
		CORE_TEST(impossible_state_is_a_failed_entry),
		CORE_TEST(unknown_exit_is_reported_with_the_hardwares_reason),
		CORE_TEST(exit_code_out_of_the_table_is_unknown),
		CORE_TEST(hlt_goes_to_user_space_without_irqchip),
		CORE_TEST(triple_fault_is_shutdown),
		CORE_TEST(unreachable_memory_is_efault),
		CORE_TEST(cpuid_is_answered_in_place_from_the_table),
		CORE_TEST(rip_advance_ends_the_shadow),
		CORE_TEST(emulation_failure_shows_the_instruction),
		CORE_TEST(emulation_failure_of_a_program_is_its_ud),
		CORE_TEST(signal_after_an_exit_handled_in_place_ends_the_run),
		CORE_TEST(signal_behind_the_look_at_signals_ends_the_run),
		CORE_TEST(immediate_exit_runs_nothing),
		CORE_TEST(requests_are_served_before_the_next_entry),
		CORE_TEST(run_takes_no_argument),
		CORE_TEST(unknown_ioctls_are_einval),
	};

	return cmocka_run_group_tests_name("core: exits", tests, NULL, NULL);
}
