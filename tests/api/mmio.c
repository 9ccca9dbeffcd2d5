/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory-mapped I/O exits: sizes, splits, and how KVM_RUN completes them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/guest.h"
#include "../lib/signals.h"

static void expect_write(struct cpu *cpu, uint64_t address, uint32_t len, uint64_t value)
{
	struct kvm_run *run = cpu->run;
	uint64_t data = 0;

	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check_eq(run->mmio.phys_addr, address);
	check_eq(run->mmio.is_write, 1);
	check_eq(run->mmio.len, len);
	memcpy(&data, run->mmio.data, len);
	check_eq(data, value);
}

static void expect_read(struct cpu *cpu, uint64_t address, uint32_t len, uint64_t answer)
{
	struct kvm_run *run = cpu->run;

	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check_eq(run->mmio.phys_addr, address);
	check_eq(run->mmio.is_write, 0);
	check_eq(run->mmio.len, len);
	memcpy(run->mmio.data, &answer, len);
}

static struct cpu *start(enum guest_mode mode, struct guest_code code)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, mode, code);
	return cpu;
}

static uint64_t data_word(struct cpu *cpu, unsigned int index)
{
	return ((uint64_t *)(cpu->machine->mem + GUEST_DATA))[index];
}

GUEST(write_sizes, 64,
      "mov ebx, 0xd0000000\n mov rax, 0x1122334455667788\n"
      "mov [rbx], al\n mov [rbx + 2], ax\n mov [rbx + 4], eax\n mov [rbx + 8], rax\n"
      "mov byte ptr [rbx + 1], 0x5a\n mov dword ptr [rbx + 16], 0x12345678\n"
      "mov qword ptr [rbx + 24], -2\n mov [rbx + 32], ah\n" DONE);

TEST(mmio_write_sizes)
{
	struct cpu *cpu = start(GUEST_LONG, write_sizes);

	expect_write(cpu, 0xd0000000, 1, 0x88);
	expect_write(cpu, 0xd0000002, 2, 0x7788);
	expect_write(cpu, 0xd0000004, 4, 0x55667788);
	expect_write(cpu, 0xd0000008, 8, 0x1122334455667788);
	expect_write(cpu, 0xd0000001, 1, 0x5a);
	expect_write(cpu, 0xd0000010, 4, 0x12345678);
	expect_write(cpu, 0xd0000018, 8, 0xfffffffffffffffe);
	expect_write(cpu, 0xd0000020, 1, 0x77);
	cpu_run_to_done(cpu);
}

GUEST(read_sizes, 64,
      "mov ebx, 0xd0000000\n"
      "mov rax, -1\n mov al, [rbx]\n mov [0x9000], rax\n"
      "mov rax, -1\n mov ax, [rbx + 2]\n mov [0x9008], rax\n"
      "mov rax, -1\n mov eax, [rbx + 4]\n mov [0x9010], rax\n"
      "mov rax, [rbx + 8]\n mov [0x9018], rax\n"
      "movzx eax, word ptr [rbx + 2]\n mov [0x9020], rax\n"
      "movsx rax, byte ptr [rbx]\n mov [0x9028], rax\n"
      "movsxd rax, dword ptr [rbx + 4]\n mov [0x9030], rax\n" DONE);

TEST(mmio_read_sizes)
{
	struct cpu *cpu = start(GUEST_LONG, read_sizes);

	expect_read(cpu, 0xd0000000, 1, 0x88);
	expect_read(cpu, 0xd0000002, 2, 0x7788);
	expect_read(cpu, 0xd0000004, 4, 0x55667788);
	expect_read(cpu, 0xd0000008, 8, 0x1122334455667788);
	expect_read(cpu, 0xd0000002, 2, 0xffee);
	expect_read(cpu, 0xd0000000, 1, 0x80);
	expect_read(cpu, 0xd0000004, 4, 0x80000001);
	cpu_run_to_done(cpu);
	check_eq(data_word(cpu, 0), 0xffffffffffffff88);
	check_eq(data_word(cpu, 1), 0xffffffffffff7788);
	check_eq(data_word(cpu, 2), 0x55667788);
	check_eq(data_word(cpu, 3), 0x1122334455667788);
	check_eq(data_word(cpu, 4), 0xffee);
	check_eq(data_word(cpu, 5), 0xffffffffffffff80);
	check_eq(data_word(cpu, 6), 0xffffffff80000001);
}

GUEST(modify, 64,
      "mov ebx, 0xd0000000\n mov eax, 1\n"
      "add [rbx], eax\n pushfq\n pop qword ptr [0x9000]\n"
      "xchg eax, [rbx + 4]\n mov [0x9008], rax\n"
      "lock or dword ptr [rbx + 8], 0x10\n"
      "test dword ptr [rbx + 12], 0x80\n setnz [0x9010]\n"
      "push qword ptr [rbx + 16]\n pop qword ptr [0x9018]\n" DONE);

TEST(mmio_read_modify_write)
{
	struct cpu *cpu = start(GUEST_LONG, modify);

	expect_read(cpu, 0xd0000000, 4, 0xffffffff);
	expect_write(cpu, 0xd0000000, 4, 0);
	expect_read(cpu, 0xd0000004, 4, 0x1234);
	expect_write(cpu, 0xd0000004, 4, 1);
	expect_read(cpu, 0xd0000008, 4, 0x01);
	expect_write(cpu, 0xd0000008, 4, 0x11);
	expect_read(cpu, 0xd000000c, 4, 0x80);
	expect_read(cpu, 0xd0000010, 8, 0xfeedfacecafebeef);
	cpu_run_to_done(cpu);
	/* CF, PF, AF and ZF of 0xffffffff + 1. */
	check_eq(data_word(cpu, 0) & 0x8d5, 0x55);
	check_eq(data_word(cpu, 1), 0x1234);
	check_eq(data_word(cpu, 2), 1);
	check_eq(data_word(cpu, 3), 0xfeedfacecafebeef);
}

GUEST(string_to, 64, "cld\n mov esi, 0x9000\n mov edi, 0xd0000000\n mov ecx, 3\n rep movsd\n" DONE);

TEST(mmio_rep_movs_to)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint32_t words[3] = { 0x11111111, 0x22222222, 0x33333333 };

	memcpy(cpu->machine->mem + GUEST_DATA, words, sizeof(words));
	guest_start(cpu, GUEST_LONG, string_to);
	for (uint32_t i = 0; i < 3; i++)
		expect_write(cpu, 0xd0000000 + i * 4, 4, words[i]);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rcx, 0);
	check_eq(cpu_regs(cpu).rsi, GUEST_DATA + 12);
	check_eq(cpu_regs(cpu).rdi, 0xd000000c);
}

GUEST(string_from, 64, "cld\n mov edi, 0x9000\n mov esi, 0xd0000000\n mov ecx, 3\n rep movsw\n" DONE);

TEST(mmio_rep_movs_from)
{
	struct cpu *cpu = start(GUEST_LONG, string_from);

	for (uint32_t i = 0; i < 3; i++)
		expect_read(cpu, 0xd0000000 + i * 2, 2, 0xa000 + i);
	cpu_run_to_done(cpu);
	check_eq(data_word(cpu, 0), 0xa002a001a000);
}

GUEST(string_both, 64, "cld\n mov esi, 0xd0000000\n mov edi, 0xd0001000\n mov ecx, 2\n rep movsb\n" DONE);

TEST(mmio_rep_movs_between)
{
	struct cpu *cpu = start(GUEST_LONG, string_both);

	for (uint32_t i = 0; i < 2; i++) {
		expect_read(cpu, 0xd0000000 + i, 1, 0x30 + i);
		expect_write(cpu, 0xd0001000 + i, 1, 0x30 + i);
	}
	cpu_run_to_done(cpu);
}

GUEST(string_store, 64, "std\n mov eax, 0x99\n mov edi, 0xd0000002\n mov ecx, 3\n rep stosb\n cld\n" DONE);

TEST(mmio_rep_stos_backward)
{
	struct cpu *cpu = start(GUEST_LONG, string_store);

	for (uint32_t i = 0; i < 3; i++)
		expect_write(cpu, 0xd0000002 - i, 1, 0x99);
	cpu_run_to_done(cpu);
}

GUEST(vector_move, 64,
      "mov ebx, 0xd0000000\n movdqu xmm0, [0x9000]\n movdqu [rbx], xmm0\n"
      "movdqu xmm1, [rbx + 16]\n movdqu [0x9010], xmm1\n" DONE);

TEST(mmio_16_bytes)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint64_t words[2] = { 0x0102030405060708, 0x1112131415161718 };

	memcpy(cpu->machine->mem + GUEST_DATA, words, sizeof(words));
	guest_start(cpu, GUEST_LONG, vector_move);
	expect_write(cpu, 0xd0000000, 8, words[0]);
	expect_write(cpu, 0xd0000008, 8, words[1]);
	expect_read(cpu, 0xd0000010, 8, 0xaaaa);
	expect_read(cpu, 0xd0000018, 8, 0xbbbb);
	cpu_run_to_done(cpu);
	check_eq(data_word(cpu, 2), 0xaaaa);
	check_eq(data_word(cpu, 3), 0xbbbb);
}

GUEST(vector_parts, 64,
      "mov ebx, 0xd0000000\n movdqu xmm3, [0x9000]\n movaps xmm12, xmm3\n"
      "movhps [rbx], xmm3\n movlpd [rbx], xmm12\n movss [rbx], xmm3\n movq [rbx], xmm12\n movd [rbx], xmm3\n"
      "movhpd xmm3, [rbx]\n movdqu [0x9010], xmm3\n"
      "movlps xmm12, [rbx]\n movdqu [0x9020], xmm12\n"
      "movss xmm3, [rbx]\n movdqu [0x9030], xmm3\n"
      "movsd xmm12, [rbx]\n movdqu [0x9040], xmm12\n" DONE);

static void expect_vector(struct cpu *cpu, unsigned int at, uint64_t low, uint64_t high)
{
	check_eq(data_word(cpu, at / 8), low);
	check_eq(data_word(cpu, at / 8 + 1), high);
}

/* Moves of a part of a register, and what becomes of the rest. */
TEST(mmio_parts_of_vectors)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint64_t words[2] = { 0x0102030405060708, 0x1112131415161718 };

	memcpy(cpu->machine->mem + GUEST_DATA, words, sizeof(words));
	guest_start(cpu, GUEST_LONG, vector_parts);
	expect_write(cpu, 0xd0000000, 8, words[1]);
	expect_write(cpu, 0xd0000000, 8, words[0]);
	expect_write(cpu, 0xd0000000, 4, (uint32_t)words[0]);
	expect_write(cpu, 0xd0000000, 8, words[0]);
	expect_write(cpu, 0xd0000000, 4, (uint32_t)words[0]);
	expect_read(cpu, 0xd0000000, 8, 0xaaaa);
	expect_read(cpu, 0xd0000000, 8, 0xbbbb);
	expect_read(cpu, 0xd0000000, 4, 0xcccc);
	expect_read(cpu, 0xd0000000, 8, 0xdddd);
	cpu_run_to_done(cpu);
	expect_vector(cpu, 0x10, words[0], 0xaaaa);
	expect_vector(cpu, 0x20, 0xbbbb, words[1]);
	expect_vector(cpu, 0x30, 0xcccc, 0);
	expect_vector(cpu, 0x40, 0xdddd, 0);
}

GUEST(mmx_moves, 64,
      "mov ebx, 0xd0000000\n fninit\n movq mm5, [0x9000]\n"
      "movq [rbx], mm5\n movd [rbx], mm5\n movntq [rbx], mm5\n"
      "movq mm2, [rbx]\n movq [0x9010], mm2\n movd mm2, [rbx]\n movq [0x9018], mm2\n emms\n"
      "mov word ptr [0x9008], 0\n fldcw [0x9008]\n fldz\n fldz\n fdivp st(1), st\n" /* pending: invalid operation */
      "mmx_moves_fault: movq [rbx], mm2\n" DONE);
GUEST_LABEL(mmx_moves_fault);

/* MMX registers and device memory; with an x87 exception pending the move faults and the device sees nothing. */
TEST(mmio_mmx)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint64_t word = 0x0102030405060708;
	struct guest_event *event = guest_log(cpu->machine)->event;

	memcpy(cpu->machine->mem + GUEST_DATA, &word, sizeof(word));
	guest_start(cpu, GUEST_LONG, mmx_moves);
	expect_write(cpu, 0xd0000000, 8, word);
	expect_write(cpu, 0xd0000000, 4, (uint32_t)word);
	expect_write(cpu, 0xd0000000, 8, word);
	expect_read(cpu, 0xd0000000, 8, 0x1111222233334444);
	expect_read(cpu, 0xd0000000, 4, 0xcccc);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 16);
	check_eq(event->rip, GUEST_ADDRESS(mmx_moves, mmx_moves_fault));
	check_eq(data_word(cpu, 2), 0x1111222233334444);
	check_eq(data_word(cpu, 3), 0xcccc);
}

GUEST(wide_vector, 64,
      "mov eax, 0x406a0\n mov cr4, rax\n"
      "mov ebx, 0xd0000000\n vmovdqu ymm9, [0x9000]\n vmovdqu [rbx], ymm9\n"
      "vmovups ymm1, [rbx]\n vmovups [0x9020], ymm1\n"
      "vmovdqu xmm1, [rbx]\n vmovups [0x9040], ymm1\n"
      "vmovhps xmm9, xmm9, [rbx]\n vmovups [0x9060], ymm9\n" DONE);

TEST(mmio_32_bytes)
{
	struct machine *machine = machine_new(0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t words[4] = { 0x0102030405060708, 0x1112131415161718, 0x2122232425262728, 0x3132333435363738 };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .value = 7 } } };
	unsigned int i;

	if (!(cpuid_find(cpuid, 1, 0)->ecx & 1u << 28))
		test_skip("no AVX");
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	memcpy(machine->mem + GUEST_DATA, words, sizeof(words));
	guest_start(cpu, GUEST_LONG, wide_vector);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_XCRS, &xcrs));
	for (i = 0; i < 4; i++)
		expect_write(cpu, 0xd0000000 + 8 * i, 8, words[i]);
	for (i = 0; i < 4; i++)
		expect_read(cpu, 0xd0000000 + 8 * i, 8, 0xa000 + i);
	for (i = 0; i < 2; i++)
		expect_read(cpu, 0xd0000000 + 8 * i, 8, 0xb000 + i);
	expect_read(cpu, 0xd0000000, 8, 0xc000);
	cpu_run_to_done(cpu);
	expect_vector(cpu, 0x20, 0xa000, 0xa001);
	expect_vector(cpu, 0x30, 0xa002, 0xa003);
	expect_vector(cpu, 0x40, 0xb000, 0xb001);
	expect_vector(cpu, 0x50, 0, 0);
	expect_vector(cpu, 0x60, words[0], 0xc000);
	expect_vector(cpu, 0x70, 0, 0);
}

GUEST(split_pages, 64,
      "mov ebx, 0xd0000ffd\n mov rax, 0x1122334455667788\n"
      "mov [rbx], rax\n mov ecx, [rbx]\n mov [0x9000], rcx\n" DONE);

TEST(mmio_split_over_two_pages)
{
	struct cpu *cpu = start(GUEST_LONG, split_pages);

	expect_write(cpu, 0xd0000ffd, 3, 0x667788);
	expect_write(cpu, 0xd0001000, 5, 0x1122334455);
	expect_read(cpu, 0xd0000ffd, 3, 0xccbbaa);
	expect_read(cpu, 0xd0001000, 1, 0xdd);
	cpu_run_to_done(cpu);
	check_eq(data_word(cpu, 0), 0xddccbbaa);
}

GUEST(split_slot, 64,
      "mov ebx, 0x3ffffd\n mov rax, 0x1122334455667788\n"
      "mov [rbx], rax\n mov rcx, [rbx]\n mov [0x9000], rcx\n" DONE);

/* The first bytes are memory of the slot, the others lie behind its end. */
TEST(mmio_split_over_slot_end)
{
	struct cpu *cpu = start(GUEST_LONG, split_slot);
	uint8_t *end = cpu->machine->mem + MACHINE_MEMORY;

	expect_write(cpu, 0x400000, 5, 0x1122334455);
	expect_read(cpu, 0x400000, 5, 0x9988776655);
	cpu_run_to_done(cpu);
	check_eq(end[-3], 0x88);
	check_eq(end[-2], 0x77);
	check_eq(end[-1], 0x66);
	check_eq(data_word(cpu, 0), 0x9988776655667788);
}

GUEST(split_front, 64,
      "mov ebx, 0x4fffffe\n mov rax, 0x1122334455667788\n"
      "mov [rbx], rax\n mov rcx, [rbx]\n mov [0x9000], rcx\n" DONE);

/* The other way round: I/O first, then the slot's first bytes. */
TEST(mmio_split_over_slot_start)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *second = host_memory(PAGE_SIZE);
	uint64_t stored;

	check_ok(memory_slot(machine, 1, 0, 0x5000000, PAGE_SIZE, second));
	guest_start(cpu, GUEST_LONG, split_front);
	expect_write(cpu, 0x4fffffe, 2, 0x7788);
	expect_read(cpu, 0x4fffffe, 2, 0xffff);
	cpu_run_to_done(cpu);
	memcpy(&stored, second, 8);
	check_eq(stored, 0x112233445566);
	check_eq(data_word(cpu, 0), 0x112233445566ffff);
}

TEST(mmio_read_completed_by_immediate_exit)
{
	struct cpu *cpu = start(GUEST_LONG, read_sizes);
	struct kvm_regs regs;

	REQUIRE_CAP(cpu->machine, KVM_CAP_IMMEDIATE_EXIT);
	expect_read(cpu, 0xd0000000, 1, 0x88);
	cpu->run->immediate_exit = 1;
	check_error(cpu_run(cpu), EINTR);
	regs = cpu_regs(cpu);
	check_eq(regs.rax, 0xffffffffffffff88);
	check_eq(regs.rip, GUEST_CODE + 14);
	check_error(cpu_run(cpu), EINTR);
	cpu->run->immediate_exit = 0;
	expect_read(cpu, 0xd0000002, 2, 0x7788);
}

TEST(mmio_read_completed_with_a_signal_pending)
{
	struct cpu *cpu = start(GUEST_LONG, read_sizes);

	expect_read(cpu, 0xd0000000, 1, 0x88);
	signal_pend_for_run(cpu, SIGUSR1);
	check_error(cpu_run(cpu), EINTR);
	check_exit(cpu, KVM_EXIT_INTR);
	check_eq(cpu_regs(cpu).rax, 0xffffffffffffff88);
	check(signal_is_pending(SIGUSR1));
	signal_take(SIGUSR1);
	expect_read(cpu, 0xd0000002, 2, 0x7788);
}

TEST(mmio_write_completed_by_immediate_exit)
{
	struct cpu *cpu = start(GUEST_LONG, write_sizes);

	REQUIRE_CAP(cpu->machine, KVM_CAP_IMMEDIATE_EXIT);
	expect_write(cpu, 0xd0000000, 1, 0x88);
	cpu->run->immediate_exit = 1;
	check_error(cpu_run(cpu), EINTR);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 17);
	cpu->run->immediate_exit = 0;
	expect_write(cpu, 0xd0000002, 2, 0x7788);
}

/* The pieces of a split access belong together: immediate_exit takes effect after the last. */
TEST(mmio_split_completed_by_immediate_exit)
{
	struct cpu *cpu = start(GUEST_LONG, split_pages);

	REQUIRE_CAP(cpu->machine, KVM_CAP_IMMEDIATE_EXIT);
	expect_write(cpu, 0xd0000ffd, 3, 0x667788);
	cpu->run->immediate_exit = 1;
	expect_write(cpu, 0xd0001000, 5, 0x1122334455);
	check_error(cpu_run(cpu), EINTR);
	cpu->run->immediate_exit = 0;
	expect_read(cpu, 0xd0000ffd, 3, 0xccbbaa);
	cpu->run->immediate_exit = 1;
	expect_read(cpu, 0xd0001000, 1, 0xdd);
	check_error(cpu_run(cpu), EINTR);
	check_eq(cpu_regs(cpu).rcx, 0xddccbbaa);
	cpu->run->immediate_exit = 0;
	cpu_run_to_done(cpu);
}

/* A signal, too, is noticed only after the last piece. */
TEST(mmio_split_completed_with_a_signal_pending)
{
	struct cpu *cpu = start(GUEST_LONG, split_pages);

	expect_write(cpu, 0xd0000ffd, 3, 0x667788);
	signal_pend_for_run(cpu, SIGUSR1);
	expect_write(cpu, 0xd0001000, 5, 0x1122334455);
	check_error(cpu_run(cpu), EINTR);
	check_exit(cpu, KVM_EXIT_INTR);
	signal_take(SIGUSR1);
	expect_read(cpu, 0xd0000ffd, 3, 0xccbbaa);
}

GUEST(prot_access, 32, "mov ebx, 0xd0000000\n mov eax, [ebx]\n mov [ebx + 4], ax\n" DONE);

TEST(mmio_protected_mode)
{
	struct cpu *cpu = start(GUEST_PROT, prot_access);

	expect_read(cpu, 0xd0000000, 4, 0x1234);
	expect_write(cpu, 0xd0000004, 2, 0x1234);
	cpu_run_to_done(cpu);
}

GUEST(real_access, 16, "mov ax, 0xa000\n mov es, ax\n mov ax, es:[2]\n mov es:[4], al\n" DONE);

/* Real mode with the VGA hole as its I/O. */
TEST(mmio_real_mode)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct cpu *cpu = cpu_new(machine, 0);

	machine->mem = host_memory(MACHINE_MEMORY);
	check_ok(memory_slot(machine, 0, 0, 0, 0xa0000, machine->mem));
	guest_start(cpu, GUEST_REAL, real_access);
	expect_read(cpu, 0xa0002, 2, 0x55aa);
	expect_write(cpu, 0xa0004, 1, 0xaa);
	cpu_run_to_done(cpu);
}

GUEST(cmpxchg_access, 64,
      "mov ebx, 0xd0000000\n mov eax, 5\n mov ecx, 9\n lock cmpxchg [rbx], ecx\n"
      "setz [0x9000]\n mov [0x9008], rax\n" DONE);

TEST(mmio_cmpxchg_equal)
{
	struct cpu *cpu = start(GUEST_LONG, cmpxchg_access);

	expect_read(cpu, 0xd0000000, 4, 5);
	expect_write(cpu, 0xd0000000, 4, 9);
	cpu_run_to_done(cpu);
	check_eq(data_word(cpu, 0), 1);
	check_eq(data_word(cpu, 1), 5);
}

GUEST(jump_out, 64, "mov ebx, 0xd0000000\n jmp rbx\n");

/* Code cannot be fetched from user space's registers: an emulation failure, not a loop. */
TEST(mmio_instruction_fetch_fails)
{
	struct cpu *cpu = start(GUEST_LONG, jump_out);

	cpu_run_to(cpu, KVM_EXIT_INTERNAL_ERROR);
	check_eq(cpu->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	check_eq(cpu_regs(cpu).rip, 0xd0000000);
}

GUEST(page_table_hole, 64, "mov ebx, 0x40000000\n mov eax, [rbx]\n" DONE);

/* A present translation to user space's registers by way of another virtual address. */
TEST(mmio_through_paging)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, page_table_hole);
	*guest_pde(cpu->machine, 0x40000000) = 0xd0000000 | 0x87;
	expect_read(cpu, 0xd0000000, 4, 0x77);
	cpu_run_to_done(cpu);
}

/* The same access again and again, while what leads to it changes without an exit: the page tables, the bytes of the instruction. */
GUEST(remapped_data, 64,
      "mov ebx, 0xd0000000\n mov ecx, 4\n"
      "1: mov [rbx], ecx\n xor qword ptr [rsi], 0x200000\n invlpg [rbx]\n dec ecx\n jnz 1b\n" DONE);

static void point_rsi_to_pde(struct cpu *cpu, uint64_t address)
{
	struct kvm_regs regs = cpu_regs(cpu);

	regs.rsi = (uint64_t)((uint8_t *)guest_pde(cpu->machine, address) - cpu->machine->mem);
	cpu_set_regs(cpu, &regs);
}

TEST(mmio_after_a_change_of_its_mapping)
{
	struct cpu *cpu = start(GUEST_LONG, remapped_data);

	point_rsi_to_pde(cpu, GUEST_HOLE);
	for (unsigned int n = 4; n; n--)
		expect_write(cpu, GUEST_HOLE + (n % 2 ? 0x200000 : 0), 4, n);
	cpu_run_to_done(cpu);
}

GUEST(made_read_only, 64,
      "mov ebx, 0xd0000000\n mov rax, cr0\n bts rax, 16\n mov cr0, rax\n"
      "mov [rbx], ecx\n mov [rbx], ecx\n and qword ptr [rsi], ~2\n invlpg [rbx]\n"
      "made_read_only_fault: mov [rbx], ecx\n" DONE);
GUEST_LABEL(made_read_only_fault);

TEST(mmio_after_its_page_became_read_only)
{
	struct cpu *cpu = start(GUEST_LONG, made_read_only);
	struct guest_event_log *log = guest_log(cpu->machine);

	log->skip = 2;
	log->silent = 1;
	point_rsi_to_pde(cpu, GUEST_HOLE);
	expect_write(cpu, GUEST_HOLE, 4, 0);
	expect_write(cpu, GUEST_HOLE, 4, 0);
	cpu_run_to_done(cpu);
	check_eq(log->count, 1);
	check_eq(log->event[0].vector, 14);
	check_eq(log->event[0].error, 3);
	check_eq(log->event[0].cr2, GUEST_HOLE);
	check_eq(log->event[0].rip, GUEST_ADDRESS(made_read_only, made_read_only_fault));
}

/* mov [rbx], ecx and mov [rbx], edx in turn, in place; ebx stays. */
GUEST(rewritten, 64,
      "mov ebx, 0xd0000000\n mov ecx, 4\n mov edx, 100\n"
      "1: mov [rbx], ecx\n xor byte ptr [rip + 1b + 1], 0x18\n dec ecx\n jnz 1b\n" DONE);

TEST(mmio_by_rewritten_code)
{
	struct cpu *cpu = start(GUEST_LONG, rewritten);

	for (unsigned int n = 4; n; n--)
		expect_write(cpu, GUEST_HOLE, 4, n % 2 ? 100 : n);
	cpu_run_to_done(cpu);
}

/* The page that the code is in becomes another: mov [rbx], ecx; ret; and the longer mov [rbx+4], edx; ret. */
GUEST(remapped_code, 64,
      "mov ebx, 0xd0000000\n mov ecx, 4\n mov edx, 100\n"
      "1: mov eax, 0x200000\n call rax\n xor qword ptr [rsi], 0x200000\n invlpg [0x200000]\n dec ecx\n jnz 1b\n" DONE);

TEST(mmio_by_remapped_code)
{
	struct cpu *cpu = start(GUEST_LONG, remapped_code);

	memcpy(cpu->machine->mem + 0x200000, "\x89\x0b\xc3", 3);
	memcpy(cpu->machine->mem, "\x89\x53\x04\xc3", 4);
	point_rsi_to_pde(cpu, 0x200000);
	for (unsigned int n = 4; n; n--)
		expect_write(cpu, GUEST_HOLE + (n % 2 ? 4 : 0), 4, n % 2 ? 100 : n);
	cpu_run_to_done(cpu);
}

/* As a lock is let go behind a doorbell: the store is not there before user space has had the write. No flags live in between. */
GUEST(write_then_store, 64,
      "mov ebx, 0xd0000000\n mov esi, 0x9000\n mov ecx, 100\n"
      "1: mov [rbx], ecx\n mov [rsi], ecx\n mov [rsi + 8], ecx\n cmp ecx, 50\n dec ecx\n jnz 1b\n" DONE);

TEST(mmio_write_comes_before_the_next_store)
{
	struct cpu *cpu = start(GUEST_LONG, write_then_store);

	for (uint64_t n = 100; n > 0; n--) {
		expect_write(cpu, 0xd0000000, 4, n);
		check_eq(data_word(cpu, 0), n == 100 ? 0 : n + 1);
	}
	cpu_run_to_done(cpu);
	check_eq(data_word(cpu, 1), 1);
}

GUEST(device_stack, 64,
      "mov esp, 0xd0000100\n device_stack_ud: ud2\n" DONE "device_stack_nmi: nop\n" DONE
      "device_stack_handler: mov rax, [rsp]\n mov [0x9000], rax\n add qword ptr [rsp], 2\n iretq\n");
GUEST_LABEL(device_stack_ud);
GUEST_LABEL(device_stack_nmi);
GUEST_LABEL(device_stack_handler);

/* RIP, CS, RFLAGS, RSP, SS below an aligned end, pushed in any order; what the handler reads and writes of it; IRETQ. */
static void expect_frame(struct cpu *cpu, uint32_t rip, uint32_t next)
{
	struct kvm_sregs sregs = cpu_sregs(cpu);
	const uint64_t frame[5] = { rip, sregs.cs.selector, cpu_regs(cpu).rflags, 0xd0000100, sregs.ss.selector };
	uint64_t pushed[5] = { 0 };
	unsigned int i, n;

	for (n = 0; n < 5; n++) {
		cpu_run_to(cpu, KVM_EXIT_MMIO);
		check_eq(cpu->run->mmio.is_write, 1);
		check_eq(cpu->run->mmio.len, 8);
		i = (cpu->run->mmio.phys_addr - 0xd00000d8) / 8;
		check(i < 5);
		memcpy(&pushed[i], cpu->run->mmio.data, 8);
	}
	/* RF is in the frame of a fault. */
	pushed[2] &= ~0x10000ull;
	check(!memcmp(pushed, frame, sizeof(frame)));
	expect_read(cpu, 0xd00000d8, 8, rip);
	expect_read(cpu, 0xd00000d8, 8, rip);
	expect_write(cpu, 0xd00000d8, 8, rip + 2);
	for (i = 0; i < 5; i++)
		expect_read(cpu, 0xd00000d8 + i * 8, 8, i ? frame[i] : next);
	cpu_run_to_done(cpu);
	check_eq(data_word(cpu, 0), rip);
	check_eq(cpu_regs(cpu).rsp, 0xd0000100);
}

/* The delivery of an event pushes its frame to device memory. */
TEST(mmio_stack_of_an_event)
{
	struct cpu *cpu = start(GUEST_LONG, device_stack);
	uint32_t ud = GUEST_ADDRESS(device_stack, device_stack_ud), nmi = GUEST_ADDRESS(device_stack, device_stack_nmi);

	guest_idt(cpu->machine, GUEST_LONG, 6, GUEST_ADDRESS(device_stack, device_stack_handler));
	guest_idt(cpu->machine, GUEST_LONG, 2, GUEST_ADDRESS(device_stack, device_stack_handler));
	expect_frame(cpu, ud, ud + 2);
	check_ok(kt_ioctl(cpu->kt, KVM_NMI, NULL));
	expect_frame(cpu, nmi, nmi);
}
