/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Hyper-V's hypercalls: events and messages, interrupts to sets of processors, flushes of translations. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/chips.h"
#include "../lib/hyperv.h"

#define INPUT 0x22000u
#define CONNECTION 5u

enum { SUCCESS = 0, INVALID_INPUT = 3, INVALID_ALIGNMENT = 4 };

/* rcx, rdx, r8 are the test's; each call's result comes in rbx. */
GUEST(hv_call, 64,
      "push rcx\n push rdx\n mov ecx, 0x40000000\n mov eax, 1\n mov edx, 0x81000000\n wrmsr\n"
      "mov ecx, 0x40000001\n mov eax, 0x21001\n xor edx, edx\n wrmsr\n pop rdx\n pop rcx\n"
      "1: mov esi, 0x21000\n call rsi\n mov rbx, rax\n" DONE "jmp 1b\n");

static struct cpu *calling_cpu(void)
{
	struct cpu *cpu = hyperv_cpu(MACHINE_IRQCHIP, hv_call);
	struct kvm_enable_cap enable = { .cap = KVM_CAP_HYPERV_SYNIC2 };

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_SYNIC2);
	check_ok(kt_ioctl(cpu->kt, KVM_ENABLE_CAP, &enable));
	return cpu;
}

static void set_call(struct cpu *cpu, uint64_t control, uint64_t in, uint64_t out)
{
	struct kvm_regs regs = cpu_regs(cpu);

	regs.rcx = control;
	regs.rdx = in;
	regs.r8 = out;
	cpu_set_regs(cpu, &regs);
}

static uint64_t call(struct cpu *cpu, uint64_t control, uint64_t in, uint64_t out)
{
	set_call(cpu, control, in, out);
	cpu_run_to_done(cpu);
	return cpu_regs(cpu).rbx;
}

static void put_input(struct cpu *cpu, const uint64_t *words, unsigned int n)
{
	memcpy(cpu->machine->mem + INPUT, words, n * sizeof(*words));
}

/* --- messages and events -------------------------------------------------------------------------------------- */

#define SIGNAL_EVENT 0x5du
#define POST_MESSAGE 0x5cu
#define FAST 0x10000u

TEST(hyperv_post_message_is_user_spaces)
{
	struct cpu *cpu = calling_cpu();
	const struct kvm_hyperv_exit *e = &cpu->run->hyperv;

	set_call(cpu, POST_MESSAGE, INPUT, 0x1234);
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	check_eq(e->type, KVM_EXIT_HYPERV_HCALL);
	check_eq(e->u.hcall.input, POST_MESSAGE);
	check_eq(e->u.hcall.params[0], INPUT);
	check_eq(e->u.hcall.params[1], 0x1234);
	cpu->run->hyperv.u.hcall.result = 19;
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 19);
	/* No list, no header. */
	check_eq(call(cpu, POST_MESSAGE | 1ull << 32, INPUT, 0), INVALID_INPUT);
	check_eq(call(cpu, POST_MESSAGE | 1ull << 17, INPUT, 0), INVALID_INPUT);
	check_eq(call(cpu, POST_MESSAGE | 1ull << 27, INPUT, 0), INVALID_INPUT);
}

TEST(hyperv_post_message_without_synic)
{
	struct cpu *cpu = hyperv_cpu(MACHINE_IRQCHIP, hv_call);

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_SYNIC2);
	check_eq(call(cpu, POST_MESSAGE, INPUT, 0), INVALID_INPUT);
}

static int connect(struct cpu *cpu, uint32_t id, int fd, uint32_t flags)
{
	struct kvm_hyperv_eventfd args = { .conn_id = id, .fd = fd, .flags = flags };

	return kt_ioctl(cpu->machine->vm, KVM_HYPERV_EVENTFD, &args);
}

TEST(hyperv_eventfd_errors)
{
	struct cpu *cpu = calling_cpu();
	int fd = eventfd(0, EFD_NONBLOCK);

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_EVENTFD);
	check_error(connect(cpu, 1u << 24, fd, 0), EINVAL);
	check_error(connect(cpu, 1, fd, 2), EINVAL);
	check_error(connect(cpu, 1, -1, 0), EBADF);
	check_error(connect(cpu, 1, fd, KVM_HYPERV_EVENTFD_DEASSIGN), ENOENT);
	check_ok(connect(cpu, 1, fd, 0));
	check_ok(connect(cpu, 2, fd, 0));
	check_error(connect(cpu, 1, fd, 0), EEXIST);
	check_ok(connect(cpu, 1, -1, KVM_HYPERV_EVENTFD_DEASSIGN));
	check_ok(connect(cpu, 1, fd, 0));
}

TEST(hyperv_signal_event)
{
	struct cpu *cpu = calling_cpu();
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t word = CONNECTION, count = 0;

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_EVENTFD);
	check_ok(connect(cpu, CONNECTION, fd, 0));
	check_eq(call(cpu, SIGNAL_EVENT | FAST, CONNECTION, 0), SUCCESS);
	put_input(cpu, &word, 1);
	check_eq(call(cpu, SIGNAL_EVENT, INPUT, 0), SUCCESS);
	check_eq(read(fd, &count, sizeof(count)), 8);
	check_eq(count, 2);
	check_eq(call(cpu, SIGNAL_EVENT, INPUT + 4, 0), INVALID_ALIGNMENT);
	check_eq(call(cpu, SIGNAL_EVENT | FAST, 1ull << 48, 0), INVALID_INPUT);
	/* Another flag, another connection, and one that is gone: user space's. */
	set_call(cpu, SIGNAL_EVENT | FAST, CONNECTION | 1ull << 32, 0);
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	cpu_run_to_done(cpu);
	set_call(cpu, SIGNAL_EVENT | FAST, CONNECTION + 1, 0);
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	check_eq(cpu->run->hyperv.u.hcall.params[0], CONNECTION + 1);
	cpu_run_to_done(cpu);
	check_ok(connect(cpu, CONNECTION, -1, KVM_HYPERV_EVENTFD_DEASSIGN));
	set_call(cpu, SIGNAL_EVENT | FAST, CONNECTION, 0);
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	check_eq(read(fd, &count, sizeof(count)), -1);
}

/* --- interrupts -------------------------------------------------------------------------------------------------- */

#define SEND_IPI 0xbu
#define SEND_IPI_EX 0x15u

static struct cpu *second_cpu(struct cpu *cpu)
{
	struct cpu *other = cpu_new(cpu->machine, 1);

	hyperv_show(other);
	lapic_enable(cpu);
	lapic_enable(other);
	return other;
}

/* Who has the vector: bit i for vCPU i. */
static unsigned int have(struct cpu *cpu, struct cpu *other, unsigned int vector)
{
	return (unsigned int)lapic_bit(cpu, APIC_IRR, vector) | (unsigned int)lapic_bit(other, APIC_IRR, vector) << 1;
}

TEST(hyperv_send_ipi)
{
	struct cpu *cpu = calling_cpu(), *other = second_cpu(cpu);
	uint64_t words[4] = { 0x52, 2 };

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_SEND_IPI);
	check_eq(call(cpu, SEND_IPI | FAST, 0x51, 2), SUCCESS);
	check_eq(have(cpu, other, 0x51), 2);
	put_input(cpu, words, 2);
	check_eq(call(cpu, SEND_IPI, INPUT, 0), SUCCESS);
	check_eq(have(cpu, other, 0x52), 2);
	check_eq(call(cpu, SEND_IPI | FAST, 0xf, 2), INVALID_INPUT);
	check_eq(call(cpu, SEND_IPI | FAST, 0x100, 2), INVALID_INPUT);
	check_eq(call(cpu, SEND_IPI | FAST, 1ull << 32 | 0x53, 2), INVALID_INPUT);
	check_eq(call(cpu, SEND_IPI, ~0ull - 0xfff, 0), INVALID_INPUT);
	check_eq(have(cpu, other, 0x53), 0);
	/* By VP index, not by APIC id. */
	check_eq(cpu_set_msr(other, 0x40000002, 70), 1);
	check_eq(call(cpu, SEND_IPI | FAST, 0x54, ~0ull), SUCCESS);
	check_eq(have(cpu, other, 0x54), 1);
}

TEST(hyperv_send_ipi_to_sparse_sets)
{
	struct cpu *cpu = calling_cpu(), *other = second_cpu(cpu);
	/* vector; format, mask of banks, banks */
	uint64_t sparse[] = { 0x61, 0, 1ull << 1 | 1ull << 63, 1ull << 6, ~0ull }, all[] = { 0x62, 1, 0 };
	struct kvm_fpu fpu;

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_SEND_IPI);
	check_eq(cpu_set_msr(other, 0x40000002, 70), 1);
	put_input(cpu, sparse, 5);
	check_eq(call(cpu, SEND_IPI_EX | 2u << 17, INPUT, 0), SUCCESS);
	check_eq(have(cpu, other, 0x61), 2);
	/* As many words of header as banks. */
	check_eq(call(cpu, SEND_IPI_EX | 1u << 17, INPUT, 0), INVALID_INPUT);
	put_input(cpu, all, 3);
	check_eq(call(cpu, SEND_IPI_EX, INPUT, 0), SUCCESS);
	check_eq(have(cpu, other, 0x62), 3);
	/* Nobody: success, whatever the vector. */
	check_eq(call(cpu, SEND_IPI_EX | FAST, 0, 0), SUCCESS);
	/* In registers: format in r8, mask and bank in xmm0. */
	check_ok(kt_ioctl(cpu->kt, KVM_GET_FPU, &fpu));
	memcpy(fpu.xmm[0], (uint64_t[]){ 2, 1ull << 6 }, 16);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_FPU, &fpu));
	check_eq(call(cpu, SEND_IPI_EX | FAST | 1u << 17, 0x63, 0), SUCCESS);
	check_eq(have(cpu, other, 0x63), 2);
}

/* --- flushes ------------------------------------------------------------------------------------------------------ */

#define FLUSH_SPACE 2u
#define FLUSH_LIST 3u
#define FLUSH_SPACE_EX 0x13u
#define FLUSH_LIST_EX 0x14u

/*
 * Reads what is at 6 MiB until it is told to report; then once more. It flushes nothing. Interrupts are enabled for Bochs, which does
 * not leave guests that spin without.
 */
GUEST(hv_reader, 64,
      "sti\n 1: mov rbx, [0x600000]\n inc qword ptr [0x23008]\n cmp dword ptr [0x23000], 0\n je 1b\n"
      "mov rbx, [0x600000]\n" DONE "hlt\n");

static void *read_on(void *arg)
{
	struct cpu *cpu = arg;

	cpu_run_to_done(cpu);
	return NULL;
}

/* 6 MiB is mapped to memory at 4 MiB, then, while the other vCPU uses that, to 2 MiB; the call makes it see. */
static void expect_flush(uint64_t control, const uint64_t *words, unsigned int n, uint64_t result)
{
	struct cpu *cpu = calling_cpu(), *other = second_cpu(cpu);
	uint8_t *mem = cpu->machine->mem, *high = host_memory(2 << 20);
	volatile uint64_t *rounds = (volatile uint64_t *)(mem + 0x23008);
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs;
	pthread_t thread;

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_TLBFLUSH);
	check_ok(memory_slot(cpu->machine, 1, 0, 4 << 20, 2 << 20, high));
	*(uint64_t *)high = 0x4444;
	*(uint64_t *)(mem + (2 << 20)) = 0x2222;
	put_input(cpu, words, n);
	memcpy(mem + 0x6000, hv_reader.start, (size_t)(hv_reader.end - hv_reader.start));
	guest_start(other, GUEST_LONG, hv_call);
	regs = cpu_regs(other);
	regs.rip = 0x6000;
	cpu_set_regs(other, &regs);
	check_ok(kt_ioctl(other->kt, KVM_SET_MP_STATE, &runnable));
	*guest_pde(cpu->machine, 6 << 20) = 4 << 20 | 0xe3;
	check_eq(pthread_create(&thread, NULL, read_on, other), 0);
	while (*rounds < 1000)
		usleep(100);
	__atomic_store_n(guest_pde(cpu->machine, 6 << 20), 2 << 20 | 0xe3, __ATOMIC_SEQ_CST);
	check_eq(call(cpu, control, INPUT, 0), result);
	__atomic_store_n((uint32_t *)(mem + 0x23000), 1, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	check_eq(cpu_regs(other).rbx, 0x2222);
}

TEST(hyperv_flush_address_space)
{
	expect_flush(FLUSH_SPACE, (uint64_t[]){ 0, 2, 2 }, 3, SUCCESS);
}

TEST(hyperv_flush_all_processors)
{
	expect_flush(FLUSH_SPACE, (uint64_t[]){ 0, 3, 0 }, 3, SUCCESS);
}

TEST(hyperv_flush_list)
{
	expect_flush(FLUSH_LIST | 1ull << 32, (uint64_t[]){ 0, 2, 2, 0x600000 }, 4, 1ull << 32);
}

TEST(hyperv_flush_address_space_of_a_sparse_set)
{
	expect_flush(FLUSH_SPACE_EX | 1u << 17, (uint64_t[]){ 0, 2, 0, 1, 2 }, 5, SUCCESS);
}

TEST(hyperv_flush_list_of_all)
{
	expect_flush(FLUSH_LIST_EX | 2ull << 32, (uint64_t[]){ 0, 2, 1, 0, 0x600000, 0x601000 }, 6, 2ull << 32);
}

TEST(hyperv_flush_errors)
{
	struct cpu *cpu = calling_cpu();

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_TLBFLUSH);
	check_eq(call(cpu, FLUSH_SPACE | 1ull << 32, INPUT, 0), INVALID_INPUT);
	check_eq(call(cpu, FLUSH_SPACE | 1u << 17, INPUT, 0), INVALID_INPUT);
	check_eq(call(cpu, FLUSH_LIST, INPUT, 0), INVALID_INPUT);
	check_eq(call(cpu, FLUSH_LIST | 1ull << 32 | 1ull << 48, INPUT, 0), INVALID_INPUT);
	check_eq(call(cpu, FLUSH_SPACE, 1ull << 40, 0), INVALID_INPUT);
	/* More banks than registers hold. */
	check_eq(call(cpu, FLUSH_SPACE_EX | FAST | 1u << 17, 0, 0), INVALID_INPUT);
}
