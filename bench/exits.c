/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The cost of an exit in instructions of the host, from guest to guest. Each row is a guest that does one thing n times and says
 * that it is through; it runs with two different n, and the difference of the least counts is what n more of that thing cost.
 *
 * The time-stamp counter must count instructions: QEMU with -icount shift=0, or Bochs with one CPU. Elsewhere the figures are
 * cycles. The guest's own instructions (2 to 10 a turn) are part of the count.
 *
 * usage: as the API tests (tests/lib/harness.h); a line "exit NAME COUNT" for each row
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "../tests/lib/chips.h"
#include "../tests/lib/guest.h"

#define FEW 4u
#define MANY 36u
/* Runs short enough that most see no timer tick; the least count has none. */
#define RUNS 15

#define PORT_USER 0xe5
#define MSR_TSC_ADJUST 0x3b
#define VECTOR 0x40
#define FRESH 0x1000000u /* guest-physical, outside the machine's own memory */

/* What a row is made of. The guest's loop counter is r12. */
struct row {
	const char *name;
	struct cpu *cpu;
	struct guest_code code;
	void (*before)(struct row *row); /* each run, not counted; may be NULL */
	void (*served)(struct row *row); /* each exit to user space but the last, counted; may be NULL */
	void *memory;                    /* of the row's own slot */
};

static void run_once(struct cpu *cpu)
{
	if (ioctl(kt_fd(cpu->kt), KVM_RUN, 0))
		fail("KVM_RUN: %m");
}

/* Until the guest is through. */
static void run_to_done(struct row *row)
{
	struct kvm_run *run = row->cpu->run;

	for (;;) {
		run_once(row->cpu);
		if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_DONE)
			return;
		if (row->served)
			row->served(row);
		else if (run->exit_reason != KVM_EXIT_IO && run->exit_reason != KVM_EXIT_MMIO)
			fail("%s: exit %s", row->name, exit_name(run->exit_reason));
	}
}

static uint64_t count_one(struct row *row, unsigned int n)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2, .r12 = n };
	unsigned int aux;
	uint64_t start;

	if (row->before)
		row->before(row);
	cpu_set_regs(row->cpu, &regs);
	start = __rdtscp(&aux);
	run_to_done(row);
	return __rdtscp(&aux) - start;
}

static uint64_t least(struct row *row, unsigned int n)
{
	uint64_t best = ~0ull;

	for (int i = 0; i < RUNS; i++) {
		uint64_t count = count_one(row, n);

		best = count < best ? count : best;
	}
	return best;
}

static void measure(struct row *row)
{
	uint64_t few, many;

	guest_start(row->cpu, GUEST_LONG, row->code);
	count_one(row, MANY);
	few = least(row, FEW);
	many = least(row, MANY);
	if (many <= few)
		fail("%u turns cost %llu, %u cost %llu", FEW, (unsigned long long)few, MANY, (unsigned long long)many);
	printf("exit %s %llu\n", row->name, (unsigned long long)((many - few + (MANY - FEW) / 2) / (MANY - FEW)));
}

/* One CPU with the processor's own CPUID. */
static struct cpu *new_cpu(unsigned int flags)
{
	struct machine *machine = machine_new(flags);
	struct cpu *cpu = cpu_new(machine, 0);

	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid_supported(machine)));
	return cpu;
}

#define TURN "1:\n"
#define AGAIN "dec r12\n jnz 1b\n" DONE

/* A row that is one guest program: its name, what the machine has, the code. */
#define ROW(id, text, flags, assembly)                                                                                 \
	GUEST(code_##id, 64, assembly);                                                                                \
	TEST(exit_##id)                                                                                                \
	{                                                                                                              \
		struct row row = { .name = text, .cpu = new_cpu(flags), .code = code_##id };                           \
                                                                                                                       \
		measure(&row);                                                                                         \
	}

ROW(empty_loop, "empty-loop", 0, TURN AGAIN)
ROW(cpuid, "cpuid", 0, TURN "xor eax, eax\n cpuid\n" AGAIN)

GUEST(hypercall, 64, TURN "mov eax, 1000\n vmcall\n" AGAIN);
GUEST(hypercall_amd, 64, TURN "mov eax, 1000\n vmmcall\n" AGAIN);
TEST(exit_hypercall)
{
	struct row row = { .name = "hypercall", .cpu = new_cpu(0) };

	row.code = __builtin_cpu_is("intel") ? hypercall : hypercall_amd;
	measure(&row);
}

ROW(msr_read, "msr-read", MACHINE_IRQCHIP, TURN "mov ecx, 0x1b\n rdmsr\n" AGAIN)
ROW(msr_write, "msr-write", MACHINE_IRQCHIP, "mov ecx, 0x3b\n xor eax, eax\n xor edx, edx\n" TURN "wrmsr\n" AGAIN)
/* CR4.MCE: a bit that is nobody's to give to a guest. */
ROW(cr4_write, "cr4-write", 0, "mov rax, cr4\n" TURN "xor rax, 0x40\n mov cr4, rax\n" AGAIN)
ROW(port_read_in_place, "port-read-in-place", MACHINE_IRQCHIP, TURN "in al, 0x21\n" AGAIN)
ROW(port_write_in_place, "port-write-in-place", MACHINE_IRQCHIP, "mov al, 0xff\n" TURN "out 0x21, al\n" AGAIN)
ROW(port_write_to_user, "port-write-to-user", 0, TURN "out 0xe5, al\n" AGAIN)
ROW(port_read_to_user, "port-read-to-user", 0, TURN "in al, 0xe5\n" AGAIN)
ROW(lapic_read, "lapic-read", MACHINE_IRQCHIP, "mov esi, 0xfee00020\n" TURN "mov eax, [rsi]\n" AGAIN)
ROW(lapic_write, "lapic-write", MACHINE_IRQCHIP, "mov esi, 0xfee00380\n xor eax, eax\n" TURN "mov [rsi], eax\n" AGAIN)
ROW(ioapic_read, "ioapic-read", MACHINE_IRQCHIP, "mov esi, 0xfec00010\n" TURN "mov eax, [rsi]\n" AGAIN)
ROW(mmio_write_to_user, "mmio-write-to-user", 0, "mov esi, 0xd0000000\n" TURN "mov [rsi], eax\n" AGAIN)
ROW(mmio_read_to_user, "mmio-read-to-user", 0, "mov esi, 0xd0000000\n" TURN "mov eax, [rsi]\n" AGAIN)

/* --- interrupts ---------------------------------------------------------------------------------------------- */

GUEST(halt, 64, TURN "hlt\n" AGAIN);
static void halt_served(struct row *row)
{
	if (row->cpu->run->exit_reason != KVM_EXIT_HLT)
		fail("exit %s", exit_name(row->cpu->run->exit_reason));
}

TEST(exit_hlt_to_user)
{
	struct row row = { .name = "hlt-to-user", .cpu = new_cpu(0), .code = halt, .served = halt_served };

	measure(&row);
}

/* The window is asked for in the exit of an OUT, whose cost is in the count. */
GUEST(window, 64, TURN "out 0xe5, al\n sti\n nop\n cli\n" AGAIN);
static void window_served(struct row *row)
{
	row->cpu->run->request_interrupt_window = row->cpu->run->exit_reason != KVM_EXIT_IRQ_WINDOW_OPEN;
}

TEST(exit_interrupt_window_to_user)
{
	struct row row = {
		.name = "port-write-and-window-to-user", .cpu = new_cpu(0), .code = window, .served = window_served
	};

	measure(&row);
}

/*
 * An IPI to itself while interrupts are off, then the window, the interrupt and its EOI. In rsi the LAPIC; it is in
 * physical mode with id 0.
 */
GUEST(self_ipi, 64,
      "mov esi, 0xfee00000\n" TURN "mov dword ptr [rsi + 0x300], 0x40040\n sti\n nop\n cli\n" AGAIN
      "self_ipi_handler: mov dword ptr [rsi + 0xb0], 0\n iretq\n");
GUEST_LABEL(self_ipi_handler);

TEST(exit_self_ipi)
{
	struct row row = { .name = "self-ipi-window-eoi", .cpu = new_cpu(MACHINE_IRQCHIP), .code = self_ipi };

	guest_start(row.cpu, GUEST_LONG, row.code);
	lapic_enable(row.cpu);
	guest_idt(row.cpu->machine, GUEST_LONG, VECTOR, GUEST_ADDRESS(self_ipi, self_ipi_handler));
	measure(&row);
}

/*
 * Two vCPUs on one CPU of the host: each wakes the other by an IPI and halts. A turn is two wake-ups: two IPIs, two
 * halts, two interrupts with EOI, two changes of thread. r13: the ICR's upper half; r12: the turns, endless in the second.
 */
GUEST(ping, 64,
      "mov esi, 0xfee00000\n"
      "cmp r13d, 0\n je 2f\n"
      "1: mov [rsi + 0x310], r13d\n mov dword ptr [rsi + 0x300], 0x4040\n sti\n hlt\n cli\n" AGAIN
      "2: sti\n hlt\n cli\n mov [rsi + 0x310], r13d\n mov dword ptr [rsi + 0x300], 0x4040\n jmp 2b\n"
      "ping_handler: mov dword ptr [rsi + 0xb0], 0\n iretq\n");
GUEST_LABEL(ping_handler);

static void *pong(void *cpu)
{
	run_once(cpu);
	return NULL;
}

TEST(exit_hlt_wakeup)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *cpu[2] = { cpu_new(machine, 0), cpu_new(machine, 1) };
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	uint64_t few = ~0ull, many = ~0ull;
	pthread_t thread;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	check(!sched_setaffinity(0, sizeof(one), &one));
	for (unsigned int i = 0; i < 2; i++) {
		guest_start(cpu[i], GUEST_LONG, ping);
		lapic_enable(cpu[i]);
		check_ok(kt_ioctl(cpu[i]->kt, KVM_SET_MP_STATE, &runnable));
	}
	guest_idt(machine, GUEST_LONG, VECTOR, GUEST_ADDRESS(ping, ping_handler));
	check(!pthread_create(&thread, NULL, pong, cpu[1]));
	for (int i = 0; i < 2 * RUNS; i++) {
		unsigned int n = i % 2 ? MANY : FEW, aux;
		struct kvm_regs regs = { .rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2, .r12 = n, .r13 = 1 << 24 };
		uint64_t start, count, *best = i % 2 ? &many : &few;

		cpu_set_regs(cpu[0], &regs);
		start = __rdtscp(&aux);
		cpu_run_to_done(cpu[0]);
		count = __rdtscp(&aux) - start;
		*best = count < *best ? count : *best;
	}
	printf("exit hlt-ipi-wakeup %llu\n", (unsigned long long)((many - few) / (MANY - FEW) / 2));
	/* The other thread ends with the process. */
	fflush(stdout);
	_exit(0);
}

/* --- memory -------------------------------------------------------------------------------------------------- */

GUEST(touch, 64, "mov esi, 0x1000000\n" TURN "mov [rsi], rsi\n add rsi, 0x1000\n" AGAIN);

static struct row memory_row(const char *name, uint32_t flags)
{
	struct row row = { .name = name, .cpu = new_cpu(0), .code = touch };

	row.memory = host_memory(MANY * PAGE_SIZE);
	madvise(row.memory, MANY * PAGE_SIZE, MADV_NOHUGEPAGE);
	check_ok(memory_slot(row.cpu->machine, 1, flags, FRESH, MANY * PAGE_SIZE, row.memory));
	return row;
}

static void fresh_before(struct row *row)
{
	check(!madvise(row->memory, MANY * PAGE_SIZE, MADV_DONTNEED));
}

TEST(exit_fresh_page)
{
	struct row row = memory_row("page-fresh-in-the-host", 0);

	row.before = fresh_before;
	measure(&row);
}

static void unmapped_before(struct row *row)
{
	memset(row->memory, 1, MANY * PAGE_SIZE);
	check_ok(memory_slot(row->cpu->machine, 1, 0, FRESH, 0, row->memory));
	check_ok(memory_slot(row->cpu->machine, 1, 0, FRESH, MANY * PAGE_SIZE, row->memory));
}

TEST(exit_present_page)
{
	struct row row = memory_row("page-present-in-the-host", 0);

	row.before = unmapped_before;
	measure(&row);
}

static void logged_before(struct row *row)
{
	uint64_t bitmap[(MANY + 63) / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	check_ok(kt_ioctl(row->cpu->machine->vm, KVM_GET_DIRTY_LOG, &log));
}

TEST(exit_logged_page)
{
	struct row row = memory_row("first-write-after-dirty-log", KVM_MEM_LOG_DIRTY_PAGES);

	row.before = logged_before;
	measure(&row);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
