/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Port, memory and MSR accesses that user space completes: exit formats and continuations. */
#include <signal.h>
#include "core_tests.h"

static u8 *pio_data(void)
{
	return (u8 *)fake.run + fake.run->io.data_offset;
}

static u64 rax(void)
{
	return fake.v->state.gpr[X86_RAX];
}

static void expect_mmio(u64 gpa, u32 len, bool write)
{
	assert_int_equal(fake.run->mmio.phys_addr, gpa);
	assert_int_equal(fake.run->mmio.len, len);
	assert_int_equal(fake.run->mmio.is_write, write);
}

static void out_has_its_data_in_the_pio_page(void **state)
{
	CODE_BYTES(0xe6, 0x42); /* out 0x42, al */
	fake.v->state.gpr[X86_RAX] = 0x1234a5;
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_IO);
	assert_int_equal(fake.run->io.direction, KVM_EXIT_IO_OUT);
	assert_int_equal(fake.run->io.port, 0x42);
	assert_int_equal(fake.run->io.size, 1);
	assert_int_equal(fake.run->io.count, 1);
	assert_int_equal(fake.run->io.data_offset, KVM_PIO_PAGE_OFFSET * 4096);
	assert_int_equal(*pio_data(), 0xa5);
	assert_int_equal(fake.v->state.rip, CODE);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->state.rip, CODE + 3);
}

static void out_is_not_sent_again_by_its_completion(void **state)
{
	CODE_BYTES(0xe6, 0x42);
	fake_script(step_emulate, NULL);
	fake_run_exits(KVM_EXIT_IO);
	fake.run->immediate_exit = 1;
	assert_int_equal(fake_run(), -EINTR);
	assert_int_equal(fake.v->state.rip, CODE + 2);
	assert_int_equal(fake.v->stat->io_exits, 1);
	fake.run->immediate_exit = 0;
}

static void out_to_7e_has_advanced_rip_already(void **state)
{
	CODE_BYTES(0xe6, 0x7e);
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_IO);
	assert_int_equal(fake.v->state.rip, CODE + 2);
	fake_run_exits(KVM_EXIT_HLT);
}

static void in_is_completed_at_the_next_run(void **state)
{
	CODE_BYTES(0x66, 0xe5, 0x70); /* in eax, 0x70 */
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_IO);
	assert_int_equal(fake.run->io.direction, KVM_EXIT_IO_IN);
	assert_int_equal(fake.run->io.size, 4);
	assert_int_equal(fake.v->state.rip, CODE);
	memcpy(pio_data(), "\x78\x56\x34\x12", 4);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(rax(), 0x12345678);
	assert_int_equal(fake.v->state.rip, CODE + 4);
}

static void in_is_completed_even_with_immediate_exit(void **state)
{
	CODE_BYTES(0xec); /* in al, dx */
	fake.v->state.gpr[X86_RDX] = 0x3f8;
	fake_script(step_emulate, NULL);
	fake_run_exits(KVM_EXIT_IO);
	assert_int_equal(fake.run->io.port, 0x3f8);
	*pio_data() = 0x5a;
	fake.run->immediate_exit = 1;
	assert_int_equal(fake_run(), -EINTR);
	assert_int_equal(rax() & 0xff, 0x5a);
	assert_int_equal(fake.v->state.rip, CODE + 1);
	fake.run->immediate_exit = 0;
}

static void answer_of_an_instruction_that_is_gone_is_dropped(void **state)
{
	struct kvm_regs regs;

	CODE_BYTES(0xe4, 0x10, 0xf4); /* in al, 0x10; hlt */
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_IO);
	assert_int_equal(fake_ioctl(KVM_GET_REGS, &regs), 0);
	regs.rip = CODE + 2;
	regs.rax = 0x77;
	assert_int_equal(fake_ioctl(KVM_SET_REGS, &regs), 0);
	*pio_data() = 0x5a;
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(rax(), 0x77);
	assert_int_equal(fake.v->state.rip, CODE + 3);
}

/* The first element may go alone (its page is not known yet), the rest goes in batches. */
static void string_input_goes_in_batches(void **state)
{
	unsigned done = 0, exits = 0, n;

	CODE_BYTES(0xf3, 0x6c); /* rep insb */
	fake.v->state.gpr[X86_RCX] = 9;
	fake.v->state.gpr[X86_RDX] = 0x80;
	fake.v->state.gpr[X86_RDI] = 0x4000;
	fake_script(step_emulate, step_emulate, step_emulate, NULL);
	while (done < 9) {
		fake_run_exits(KVM_EXIT_IO);
		assert_int_equal(fake.run->io.size, 1);
		assert_int_equal(fake.run->io.direction, KVM_EXIT_IO_IN);
		for (n = 0; n < fake.run->io.count; n++)
			pio_data()[n] = 0x10 + done++;
		exits++;
	}
	assert_true(exits <= 2);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	for (n = 0; n < 9; n++)
		assert_int_equal(fake.ram[0x4000 + n], 0x10 + n);
	assert_int_equal(fake.v->state.gpr[X86_RCX], 0);
	assert_int_equal(fake.v->state.gpr[X86_RDI], 0x4009);
}

static void string_output_goes_in_batches(void **state)
{
	unsigned done = 0, exits = 0;

	CODE_BYTES(0xf3, 0x6e); /* rep outsb */
	memcpy(fake.ram + 0x4000, "goodbye", 7);
	fake.v->state.gpr[X86_RCX] = 7;
	fake.v->state.gpr[X86_RDX] = 0x80;
	fake.v->state.gpr[X86_RSI] = 0x4000;
	fake_script(step_emulate, step_emulate, step_emulate, NULL);
	while (done < 7) {
		fake_run_exits(KVM_EXIT_IO);
		assert_memory_equal(pio_data(), "goodbye" + done, fake.run->io.count);
		done += fake.run->io.count;
		exits++;
	}
	assert_int_equal(done, 7);
	assert_true(exits <= 2);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->state.gpr[X86_RCX], 0);
}

/* Shrinking the count in the registers must not make the library take more than the guest asks for. */
static void registers_may_change_under_a_string_input(void **state)
{
	struct kvm_regs regs;

	CODE_BYTES(0xf3, 0x6c);
	fake.v->state.gpr[X86_RCX] = 5;
	fake.v->state.gpr[X86_RDI] = 0x4000;
	fake_script(step_emulate, step_emulate, NULL);
	do {
		fake_run_exits(KVM_EXIT_IO);
		memset(pio_data(), 0xaa, 4096);
	} while (fake.run->io.count == 1);
	assert_int_equal(fake_ioctl(KVM_GET_REGS, &regs), 0);
	regs.rcx = 2;
	assert_int_equal(fake_ioctl(KVM_SET_REGS, &regs), 0);
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.ram[regs.rdi + 1], 0xaa);
	assert_int_equal(fake.ram[regs.rdi + 2], 0);
	assert_int_equal(fake.v->state.gpr[X86_RCX], 0);
}

static void mmio_read_is_completed_at_the_next_run(void **state)
{
	fake_data_at_mmio();
	CODE_BYTES(0xa1, 0x10, 0x00); /* mov ax, [0x10] */
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	expect_mmio(MMIO + 0x10, 2, false);
	memcpy(fake.run->mmio.data, "\x34\x12", 2);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(rax(), 0x1234);
	assert_int_equal(fake.v->stat->mmio_exits, 1);
}

static void mmio_read_is_completed_even_with_immediate_exit(void **state)
{
	fake_data_at_mmio();
	CODE_BYTES(0xa0, 0x10, 0x00); /* mov al, [0x10] */
	fake_script(step_emulate, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	fake.run->mmio.data[0] = 0x99;
	fake.run->immediate_exit = 1;
	assert_int_equal(fake_run(), -EINTR);
	assert_int_equal(rax(), 0x99);
	fake.run->immediate_exit = 0;
}

/* Slots may have changed while user space had the exit: the instruction must not run on old translations. */
static void completion_serves_flushes_first(void **state)
{
	unsigned before;

	fake_data_at_mmio();
	CODE_BYTES(0xa0, 0x10, 0x00);
	fake_script(step_emulate, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	vcpu_request(fake.v, REQ_TLB_FLUSH);
	before = fake.tlb_flushes;
	fake.run->immediate_exit = 1;
	assert_int_equal(fake_run(), -EINTR);
	assert_int_equal(fake.tlb_flushes, before + 1);
	fake.run->immediate_exit = 0;
}

static void ignore_signal(int sig)
{
}

static void mmio_read_is_completed_before_a_signal_ends_the_run(void **state)
{
	struct sigaction sa = { .sa_handler = ignore_signal };
	struct {
		struct kvm_signal_mask head;
		u64 set;
	} __packed mask = { { .len = 8 }, 0 };
	sigset_t usr2;

	fake_data_at_mmio();
	CODE_BYTES(0xa0, 0x10, 0x00);
	fake_script(step_emulate, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	fake.run->mmio.data[0] = 0x42;
	/* A signal that is pending already, and let through only while the guest runs. */
	sigaction(SIGUSR2, &sa, NULL);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	sigprocmask(SIG_BLOCK, &usr2, NULL);
	raise(SIGUSR2);
	assert_int_equal(fake_ioctl(KVM_SET_SIGNAL_MASK, &mask), 0);
	assert_int_equal(fake_run(), -EINTR);
	assert_int_equal(rax(), 0x42);
	sigprocmask(SIG_UNBLOCK, &usr2, NULL);
	assert_int_equal(fake_ioctl(KVM_SET_SIGNAL_MASK, NULL), 0);
}

static void read_over_two_mmio_pages_is_two_exits(void **state)
{
	fake_data_at_mmio();
	CODE_BYTES(0x66, 0xa1, 0xfd, 0x0f); /* mov eax, [0xffd] */
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	expect_mmio(MMIO + 0xffd, 3, false);
	memcpy(fake.run->mmio.data, "\x11\x22\x33", 3);
	fake_run_exits(KVM_EXIT_MMIO);
	expect_mmio(MMIO + 0x1000, 1, false);
	fake.run->mmio.data[0] = 0x44;
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(rax(), 0x44332211);
}

static void read_over_ram_and_mmio_asks_only_for_the_rest(void **state)
{
	struct kvm_sregs sregs;

	assert_int_equal(fake_ioctl(KVM_GET_SREGS, &sregs), 0);
	sregs.ds.base = RAM_SIZE - 0x1000;
	assert_int_equal(fake_ioctl(KVM_SET_SREGS, &sregs), 0);
	memcpy(fake.ram + RAM_SIZE - 2, "\x11\x22", 2);
	CODE_BYTES(0x66, 0xa1, 0xfe, 0x0f);
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	expect_mmio(RAM_SIZE, 2, false);
	memcpy(fake.run->mmio.data, "\x33\x44", 2);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(rax(), 0x44332211);
}

static void write_over_two_mmio_pages_is_two_exits_before_the_guest_goes_on(void **state)
{
	fake_data_at_mmio();
	CODE_BYTES(0x66, 0xa3, 0xfd, 0x0f); /* mov [0xffd], eax */
	fake.v->state.gpr[X86_RAX] = 0x44332211;
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	expect_mmio(MMIO + 0xffd, 3, true);
	assert_memory_equal(fake.run->mmio.data, "\x11\x22\x33\0\0\0\0\0", 8);
	/* With immediate_exit too: the second half is part of the same instruction. */
	fake.run->immediate_exit = 1;
	fake_run_exits(KVM_EXIT_MMIO);
	expect_mmio(MMIO + 0x1000, 1, true);
	assert_int_equal(fake.run->mmio.data[0], 0x44);
	assert_int_equal(fake.next, 1);
	assert_int_equal(fake_run(), -EINTR);
	fake.run->immediate_exit = 0;
	fake_run_exits(KVM_EXIT_HLT);
}

static void read_modify_write_reads_once_and_writes_once(void **state)
{
	fake_data_at_mmio();
	CODE_BYTES(0x01, 0x06, 0x20, 0x00); /* add [0x20], ax */
	fake.v->state.gpr[X86_RAX] = 0x0101;
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_MMIO);
	expect_mmio(MMIO + 0x20, 2, false);
	memcpy(fake.run->mmio.data, "\x34\x12", 2);
	fake_run_exits(KVM_EXIT_MMIO);
	expect_mmio(MMIO + 0x20, 2, true);
	assert_memory_equal(fake.run->mmio.data, "\x35\x13", 2);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->state.rip, CODE + 5);
}

static void repeated_store_reaches_user_space_in_order(void **state)
{
	unsigned n;

	fake_data_at_mmio();
	CODE_BYTES(0xf3, 0xab); /* rep stosw */
	fake.v->state.gpr[X86_RAX] = 0xbeef;
	fake.v->state.gpr[X86_RCX] = 3;
	fake.v->state.gpr[X86_RDI] = 0x40;
	fake_script(step_emulate, step_emulate, step_emulate, step_emulate, NULL);
	for (n = 0; n < 3; n++) {
		fake_run_exits(KVM_EXIT_MMIO);
		expect_mmio(MMIO + 0x40 + 2 * n, 2, true);
	}
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->state.gpr[X86_RCX], 0);
	assert_int_equal(fake.v->state.gpr[X86_RDI], 0x46);
}

/* MMIO to MMIO: each element is read, then written, before the next is read. */
static void repeated_move_between_devices_alternates(void **state)
{
	unsigned n;

	fake_data_at_mmio();
	CODE_BYTES(0xf3, 0xa4); /* rep movsb */
	fake.v->state.gpr[X86_RCX] = 2;
	fake.v->state.gpr[X86_RSI] = 0x100;
	fake.v->state.gpr[X86_RDI] = 0x200;
	fake_script(step_emulate, step_emulate, step_emulate, step_emulate, step_emulate, NULL);
	for (n = 0; n < 2; n++) {
		fake_run_exits(KVM_EXIT_MMIO);
		expect_mmio(MMIO + 0x100 + n, 1, false);
		fake.run->mmio.data[0] = 0x30 + n;
		fake_run_exits(KVM_EXIT_MMIO);
		expect_mmio(MMIO + 0x200 + n, 1, true);
		assert_int_equal(fake.run->mmio.data[0], 0x30 + n);
	}
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->state.gpr[X86_RCX], 0);
}

static void a_second_read_by_the_same_instruction_is_a_new_one(void **state)
{
	unsigned n;

	fake_data_at_mmio();
	CODE_BYTES(0xa0, 0x10, 0x00, 0xeb, 0xfb); /* again: mov al, [0x10]; jmp again */
	for (n = 0; n < 3; n++) {
		fake_script(step_emulate, step_emulate, NULL);
		fake_run_exits(KVM_EXIT_MMIO);
		fake.run->mmio.data[0] = 0x60 + n;
		fake.run->immediate_exit = 1;
		assert_int_equal(fake_run(), -EINTR);
		fake.run->immediate_exit = 0;
		assert_int_equal(rax() & 0xff, 0x60 + n);
		fake.v->state.rip = CODE;
	}
}

static void msr_that_user_space_wants_is_completed_by_it(void **state)
{
	fake.vm->user_msr_mask = KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL;
	CODE_BYTES(0x0f, 0x32); /* rdmsr */
	fake.v->state.gpr[X86_RCX] = 0xdeadbeef;
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_X86_RDMSR);
	assert_int_equal(fake.run->msr.index, 0xdeadbeef);
	assert_int_equal(fake.run->msr.reason, KVM_MSR_EXIT_REASON_UNKNOWN);
	fake.run->msr.data = 0x1122334455667788ull;
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(rax(), 0x55667788);
	assert_int_equal(fake.v->state.gpr[X86_RDX], 0x11223344);
}

static void msr_that_user_space_refuses_is_gp(void **state)
{
	fake.vm->user_msr_mask = KVM_MSR_EXIT_REASON_UNKNOWN;
	CODE_BYTES(0x0f, 0x30); /* wrmsr */
	fake.v->state.gpr[X86_RCX] = 0xdeadbeef;
	fake.v->state.gpr[X86_RAX] = 5;
	fake_script(step_emulate, step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_X86_WRMSR);
	assert_int_equal(fake.run->msr.data, 5);
	fake.run->msr.error = 1;
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, X86_EXC_GP);
}

static void unknown_msr_is_gp_by_itself(void **state)
{
	CODE_BYTES(0x0f, 0x32);
	fake.v->state.gpr[X86_RCX] = 0xdeadbeef;
	fake_script(step_emulate, step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, X86_EXC_GP);
	assert_int_equal(fake_delivered.has_error, 1);
}

static void hypercall_without_a_number_is_enosys(void **state)
{
	CODE_BYTES(0x0f, 0x01, 0xc1); /* vmcall */
	fake.v->state.gpr[X86_RAX] = 9999;
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(rax(), (u32)-1000);
}

static void the_other_vendors_hypercall_is_replaced_in_the_code(void **state)
{
	const u8 vmcall[3] = { 0x0f, 0x01, 0xc1 };

	CODE_BYTES(0x0f, 0x01, 0xd9); /* vmmcall */
	fake.v->state.vendor_amd = false;
	fake.v->state.gpr[X86_RAX] = 9999;
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_memory_equal(fake.ram + CODE, vmcall, sizeof(vmcall));
	assert_int_equal(rax(), (u32)-1000);
}

static void without_the_quirk_the_other_vendors_hypercall_is_ud(void **state)
{
	CODE_BYTES(0x0f, 0x01, 0xd9);
	fake.v->state.vendor_amd = false;
	fake.vm->disabled_quirks = KVM_X86_QUIRK_FIX_HYPERCALL_INSN;
	fake_script(step_emulate, step_deliver, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake_delivered.vector, X86_EXC_UD);
	assert_int_equal(fake.ram[CODE + 2], 0xd9);
}

static void range_hypercall_is_user_spaces_if_it_wants_it(void **state)
{
	fake.vm->exit_hypercall_mask = BIT(12); /* KVM_HC_MAP_GPA_RANGE */
	CODE_BYTES(0x0f, 0x01, 0xc1);
	fake.v->state.vendor_amd = false;
	fake.v->state.gpr[X86_RAX] = 12;
	fake.v->state.gpr[X86_RBX] = 0x4000;
	fake.v->state.gpr[X86_RCX] = 3;
	fake.v->state.gpr[X86_RDX] = 0x10;
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HYPERCALL);
	assert_int_equal(fake.run->hypercall.nr, 12);
	assert_int_equal(fake.run->hypercall.args[0], 0x4000);
	assert_int_equal(fake.run->hypercall.args[1], 3);
	assert_int_equal(fake.run->hypercall.args[2], 0x10);
	fake.run->hypercall.ret = 77;
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(rax(), 77);
	assert_int_equal(fake.v->state.rip, CODE + 4);
}

static void hypercalls_are_for_kernels(void **state)
{
	CODE_BYTES(0x0f, 0x01, 0xc1);
	fake.v->state.vendor_amd = false;
	fake.v->state.cpl = 3;
	fake.v->state.gpr[X86_RAX] = 1;
	fake_script(step_emulate, step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(rax(), (u32)-1); /* KVM_EPERM */
}

int core_io_tests(void)
{
	const struct CMUnitTest tests[] = {
		CORE_TEST(out_has_its_data_in_the_pio_page),
		CORE_TEST(out_is_not_sent_again_by_its_completion),
		CORE_TEST(out_to_7e_has_advanced_rip_already),
		CORE_TEST(in_is_completed_at_the_next_run),
		CORE_TEST(in_is_completed_even_with_immediate_exit),
		CORE_TEST(answer_of_an_instruction_that_is_gone_is_dropped),
		CORE_TEST(string_input_goes_in_batches),
		CORE_TEST(string_output_goes_in_batches),
		CORE_TEST(registers_may_change_under_a_string_input),
		CORE_TEST(mmio_read_is_completed_at_the_next_run),
		CORE_TEST(mmio_read_is_completed_even_with_immediate_exit),
		CORE_TEST(mmio_read_is_completed_before_a_signal_ends_the_run),
		CORE_TEST(completion_serves_flushes_first),
		CORE_TEST(read_over_two_mmio_pages_is_two_exits),
		CORE_TEST(read_over_ram_and_mmio_asks_only_for_the_rest),
		CORE_TEST(write_over_two_mmio_pages_is_two_exits_before_the_guest_goes_on),
		CORE_TEST(read_modify_write_reads_once_and_writes_once),
		CORE_TEST(repeated_store_reaches_user_space_in_order),
		CORE_TEST(repeated_move_between_devices_alternates),
		CORE_TEST(a_second_read_by_the_same_instruction_is_a_new_one),
		CORE_TEST(msr_that_user_space_wants_is_completed_by_it),
		CORE_TEST(msr_that_user_space_refuses_is_gp),
		CORE_TEST(unknown_msr_is_gp_by_itself),
		CORE_TEST(hypercall_without_a_number_is_enosys),
		CORE_TEST(the_other_vendors_hypercall_is_replaced_in_the_code),
		CORE_TEST(without_the_quirk_the_other_vendors_hypercall_is_ud),
		CORE_TEST(range_hypercall_is_user_spaces_if_it_wants_it),
		CORE_TEST(hypercalls_are_for_kernels),
	};

	return cmocka_run_group_tests_name("core: I/O", tests, NULL, NULL);
}
