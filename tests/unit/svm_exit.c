/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Exits: with next-RIP saving and decode assists, and without; what nobody knows. */
#include "svm_fake.h"

/* --- next-RIP -------------------------------------------------------------------------------------------------- */

/* A length that the bytes at CODE do not have: only the processor can have said it. */
static void step_cpuid_of_5_bytes(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_CPUID;
	c->next_rip = c->rip + 5;
}

static void step_cpuid_says_nothing(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_CPUID;
}

static void step_cpuid_says_nonsense(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_CPUID;
	c->next_rip = c->rip + 16;
}

static u64 rip_after(svm_step *step)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2, .rsp = 0x8000 };

	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	svm_script(step, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	hwt_regs(&r);
	return r.rip;
}

static void the_next_rip_is_the_processors(void **state)
{
	svm_test_begin(HAS_NRIP);
	CODE_BYTES(0x0f, 0xa2); /* cpuid */
	expect_eq(rip_after(step_cpuid_of_5_bytes), CODE + 6);
	expect_eq(rip_after(step_cpuid_says_nothing), CODE + 3);
	expect_eq(rip_after(step_cpuid_says_nonsense), CODE + 3);
}

static void without_next_rip_the_field_is_not_looked_at(void **state)
{
	svm_test_begin(0);
	CODE_BYTES(0x0f, 0xa2);
	expect_eq(rip_after(step_cpuid_of_5_bytes), CODE + 3);
}

static void step_hlt_of_2_bytes(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_HLT;
	c->next_rip = c->rip + 2;
}

static void hlt_ends_where_the_processor_says(void **state)
{
	struct kvm_regs r;

	svm_test_begin(HAS_NRIP);
	svm_script(step_hlt_of_2_bytes, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	hwt_regs(&r);
	expect_eq(r.rip, CODE + 2);
}

/* --- decode assists -------------------------------------------------------------------------------------------------- */

#define MOV_CR (1ull << 63)

static void step_mov_cr0_rbx(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_WRITE_CR0;
	c->info1 = MOV_CR | X86_RBX;
	c->next_rip = c->rip + 3;
}

static u64 cr0_after(u64 rbx)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2, .rsp = 0x8000, .rbx = rbx };
	struct kvm_sregs s;

	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	svm_script(step_mov_cr0_rbx, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(hwt_vcpu_ioctl(KVM_GET_SREGS, &s), 0);
	hwt_regs(&r);
	expect_eq(r.rip, CODE + 4);
	return s.cr0;
}

static void mov_to_a_control_register_is_decoded_by_the_processor(void **state)
{
	svm_test_begin(HAS_NRIP | HAS_DECODE);
	expect_eq(cr0_after(CR0_ET | CR0_PE | CR0_TS), CR0_ET | CR0_PE | CR0_TS);
}

/* A register keeps upper halves from 64-bit code, which other code does not see. */
static void upper_halves_do_not_count_outside_64_bit_mode(void **state)
{
	svm_test_begin(HAS_NRIP | HAS_DECODE);
	hwt_protected_mode();
	expect_eq(cr0_after(0xdead00000000ull | CR0_ET | CR0_PE | CR0_TS), CR0_ET | CR0_PE | CR0_TS);
}

static void without_decode_assists_the_bytes_count(void **state)
{
	svm_test_begin(HAS_NRIP);
	CODE_BYTES(0x0f, 0x22, 0xc3); /* mov cr0, ebx */
	expect_eq(cr0_after(CR0_ET | CR0_PE), CR0_ET | CR0_PE);
}

static void step_not_a_mov(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_WRITE_CR0;
	c->info1 = X86_RBX;
	c->next_rip = c->rip + 2;
}

static void clts_is_not_taken_for_a_mov(void **state)
{
	struct kvm_sregs s;

	svm_test_begin(HAS_NRIP | HAS_DECODE);
	expect_eq(hwt_vcpu_ioctl(KVM_GET_SREGS, &s), 0);
	s.cr0 |= CR0_TS;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_SREGS, &s), 0);
	CODE_BYTES(0x0f, 0x06); /* clts */
	svm_script(step_not_a_mov, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(hwt_vcpu_ioctl(KVM_GET_SREGS, &s), 0);
	expect_true(!(s.cr0 & CR0_TS));
}

static void step_mov_dr3_rsi(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_WRITE_DR0 + 3;
	c->info1 = X86_RSI;
	c->next_rip = c->rip + 3;
}

static void step_mov_rdi_dr3(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_READ_DR0 + 3;
	c->info1 = X86_RDI;
	c->next_rip = c->rip + 3;
}

static void debug_registers_move_as_the_processor_says(void **state)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2, .rsi = 0x123456789abcull };

	svm_test_begin(HAS_NRIP | HAS_DECODE);
	hwt_protected_mode();
	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	svm_script(step_mov_dr3_rsi, step_mov_rdi_dr3, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	hwt_regs(&r);
	expect_eq(r.rdi, 0x56789abc);
	expect_eq(r.rip, CODE + 7);
}

/* --- ports --------------------------------------------------------------------------------------------------------------- */

static void step_out_2_to_1234(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_IOIO;
	c->info1 = 0x1234u << 16 | 2 << 4;
	c->info2 = c->rip + 3;
}

static void a_port_access_needs_no_bytes(void **state)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2, .rax = 0xabcd };

	svm_test_begin(0);
	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	svm_script(step_out_2_to_1234, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_IO);
	expect_eq(hwt.run->io.port, 0x1234);
	expect_eq(hwt.run->io.size, 2);
	expect_eq(hwt.run->io.direction, KVM_EXIT_IO_OUT);
	expect_eq(*(u16 *)((u8 *)hwt.run + hwt.run->io.data_offset), 0xabcd);
	hwt_run_exits(KVM_EXIT_HLT);
	hwt_regs(&r);
	expect_eq(r.rip, CODE + 4);
}

/* --- the rest --------------------------------------------------------------------------------------------------------------- */

static void step_refused(struct vmcb *c, u64 *gpr)
{
	c->exit_code = ~0ull;
}

static void step_refused_in_32_bits(struct vmcb *c, u64 *gpr)
{
	c->exit_code = 0xffffffff;
}

static void a_refused_vmcb_is_a_failed_entry(void **state)
{
	svm_test_begin(0);
	svm_script(step_refused, step_refused_in_32_bits, NULL);
	hwt_run_exits(KVM_EXIT_FAIL_ENTRY);
	expect_eq(hwt.run->fail_entry.hardware_entry_failure_reason, 0xffffffff);
	expect_eq(svmt.c->clean, 0);
	hwt_run_exits(KVM_EXIT_FAIL_ENTRY);
}

static void step_unknown(struct vmcb *c, u64 *gpr)
{
	c->exit_code = 0x403;
}

/* QEMU's leaves the host's state where the guest's was. */
static void step_refused_with_the_hosts_state(struct vmcb *c, u64 *gpr)
{
	c->exit_code = ~0ull;
	c->rip = c->rsp = c->rax = 0xffff888012345678;
	c->cr3 = 0x2590000;
	c->efer |= X86_EFER_LME | X86_EFER_LMA;
	c->cs.base = 0x100;
	c->cpl = 3;
}

static void step_as_it_was(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->rip, CODE);
	expect_eq(c->cr3, 0);
	expect_eq(c->efer, X86_EFER_SVME);
	expect_eq(c->cs.base, 0);
	expect_eq(c->cpl, 0);
	step_hlt(c, gpr);
}

static void a_refused_vmcb_changes_nothing(void **state)
{
	struct kvm_regs before, after;

	svm_test_begin(0);
	svm_script(step_refused_with_the_hosts_state, step_as_it_was, NULL);
	hwt_regs(&before);
	hwt_run_exits(KVM_EXIT_FAIL_ENTRY);
	hwt_regs(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	hwt_run_exits(KVM_EXIT_HLT);
}

static void an_unknown_code_is_reported(void **state)
{
	svm_test_begin(0);
	svm_script(step_unknown, NULL);
	hwt_run_exits(KVM_EXIT_UNKNOWN);
	expect_eq(hwt.run->hw.hardware_exit_reason, 0x403);
}

static void step_machine_check(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_EXC0 + X86_EXC_MC;
}

static void a_machine_check_is_the_hosts(void **state)
{
	svm_test_begin(0);
	svm_script(step_machine_check, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	expect_eq(cpu0.machine_checks, 1);
}

static void step_shutdown(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_SHUTDOWN;
}

static void a_triple_fault_is_a_shutdown(void **state)
{
	svm_test_begin(0);
	svm_script(step_shutdown, NULL);
	hwt_run_exits(KVM_EXIT_SHUTDOWN);
}

static void step_ud(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_EXC0 + X86_EXC_UD;
}

static void step_expects_ud(struct vmcb *c, u64 *gpr)
{
	expect_eq(c->event_inj, EVENT_VALID | 3 << EVENT_TYPE_SHIFT | X86_EXC_UD);
}

/* VMCALL is Intel's: the library does it; any other #UD is the guest's own. */
static void the_other_vendors_hypercall_is_no_ud(void **state)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2, .rax = 12345 };

	svm_test_begin(0);
	CODE_BYTES(0x0f, 0x01, 0xc1);
	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	svm_script(step_ud, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	hwt_regs(&r);
	expect_eq(r.rip, CODE + 4);
	expect_eq(r.rax, (u32)-1000); /* KVM_ENOSYS */
	r.rip = CODE;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	CODE_BYTES(0x0f, 0x0b);
	svm_script(step_ud, step_expects_ud, step_shutdown, NULL);
	hwt_run_exits(KVM_EXIT_SHUTDOWN);
}

static void step_vmrun(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_VMRUN;
}

static void a_guest_has_no_amd_v(void **state)
{
	svm_test_begin(0);
	svm_script(step_vmrun, step_expects_ud, step_shutdown, NULL);
	hwt_run_exits(KVM_EXIT_SHUTDOWN);
}

/* --- nested page faults ------------------------------------------------------------------------------------------------- */

static void step_npf_write(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_NPF;
	c->info1 = NPF_WRITE;
	c->info2 = 0x12345;
}

/* The entry that maps gpa, as the processor would walk there. */
static u64 npt_entry(const struct vmcb *c, u64 gpa)
{
	u64 entry = c->nested_cr3;
	int level;

	for (level = 3; level >= 0; level--) {
		entry = ((u64 *)hw_va(entry & 0xffffffffff000ull))[gpa >> (12 + 9 * level) & 511];
		if (!(entry & 1))
			return 0;
	}
	return entry;
}

static void step_mapped_then_hlt(struct vmcb *c, u64 *gpr)
{
	expect_eq(npt_entry(c, 0x12000) & 0xffffffffff007ull, ((u64)(unsigned long)hwt.ram + 0x12000) | 7);
	expect_eq(npt_entry(c, 0x13000), 0);
	step_hlt(c, gpr);
}

static void step_unmapped_then_hlt(struct vmcb *c, u64 *gpr)
{
	expect_eq(npt_entry(c, 0x12000), 0);
	step_hlt(c, gpr);
}

/* Between the two calls of the notifier a page is not entered, whatever the guest does; afterwards it is. */
static void memory_that_is_taken_back(void **state)
{
	u64 hva;
	u32 asid;

	svm_test_begin(0);
	hva = (unsigned long)hwt.ram + 0x12000;
	svm_script(step_npf_write, step_mapped_then_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	asid = svmt.c->asid;
	svm_engine.unmap_hva(hwt.vm, hva, 4096);
	svm_script(step_unmapped_then_hlt, step_npf_write, step_unmapped_then_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
	/* What the TLB knows of it is void. */
	expect_true(svmt.c->asid != asid);
	hwt_run_exits(KVM_EXIT_HLT);
	svm_engine.unmap_hva_done(hwt.vm, hva, 4096);
	svm_script(step_npf_write, step_mapped_then_hlt, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_npf_device(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_NPF;
	c->info1 = NPF_WRITE;
	c->info2 = 0xfe0;
	c->info2 += RAM_SIZE;
}

static void memory_that_is_none_is_a_devices(void **state)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2, .rax = 0x5a };
	struct kvm_sregs s;

	svm_test_begin(0);
	CODE_BYTES(0xa2, 0xe0, 0x0f); /* mov [0xfe0], al */
	expect_eq(hwt_vcpu_ioctl(KVM_GET_SREGS, &s), 0);
	s.ds.base = RAM_SIZE;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_SREGS, &s), 0);
	expect_eq(hwt_vcpu_ioctl(KVM_SET_REGS, &r), 0);
	svm_script(step_npf_device, step_hlt, NULL);
	hwt_run_exits(KVM_EXIT_MMIO);
	expect_eq(hwt.run->mmio.phys_addr, RAM_SIZE + 0xfe0);
	expect_eq(hwt.run->mmio.len, 1);
	expect_eq(hwt.run->mmio.data[0], 0x5a);
	hwt_run_exits(KVM_EXIT_HLT);
}

int svm_exit_tests(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_next_rip_is_the_processors, svm_test_end),
		cmocka_unit_test_teardown(without_next_rip_the_field_is_not_looked_at, svm_test_end),
		cmocka_unit_test_teardown(hlt_ends_where_the_processor_says, svm_test_end),
		cmocka_unit_test_teardown(mov_to_a_control_register_is_decoded_by_the_processor, svm_test_end),
		cmocka_unit_test_teardown(upper_halves_do_not_count_outside_64_bit_mode, svm_test_end),
		cmocka_unit_test_teardown(without_decode_assists_the_bytes_count, svm_test_end),
		cmocka_unit_test_teardown(clts_is_not_taken_for_a_mov, svm_test_end),
		cmocka_unit_test_teardown(debug_registers_move_as_the_processor_says, svm_test_end),
		cmocka_unit_test_teardown(a_port_access_needs_no_bytes, svm_test_end),
		cmocka_unit_test_teardown(a_refused_vmcb_is_a_failed_entry, svm_test_end),
		cmocka_unit_test_teardown(a_refused_vmcb_changes_nothing, svm_test_end),
		cmocka_unit_test_teardown(an_unknown_code_is_reported, svm_test_end),
		cmocka_unit_test_teardown(a_machine_check_is_the_hosts, svm_test_end),
		cmocka_unit_test_teardown(a_triple_fault_is_a_shutdown, svm_test_end),
		cmocka_unit_test_teardown(the_other_vendors_hypercall_is_no_ud, svm_test_end),
		cmocka_unit_test_teardown(a_guest_has_no_amd_v, svm_test_end),
		cmocka_unit_test_teardown(memory_that_is_taken_back, svm_test_end),
		cmocka_unit_test_teardown(memory_that_is_none_is_a_devices, svm_test_end),
	};

	return cmocka_run_group_tests_name("svm: exits", tests, NULL, NULL);
}
