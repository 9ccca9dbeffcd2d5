/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* KVM_RUN itself: halts, shutdown, signals, immediate_exit, failed entries. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/guest.h"
#include "../lib/signals.h"

GUEST(halt, 64, "mov eax, 1\n hlt\n mov eax, 2\n" DONE);

TEST(run_hlt_exits_without_irqchip)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, halt);
	cpu_run_to(cpu, KVM_EXIT_HLT);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 6);
	check_eq(cpu_regs(cpu).rax, 1);
	check_eq(cpu_run_to_done(cpu), 2);
}

/* With LAPICs in the kernel a halt stays there, and only a signal ends it. */
TEST(run_hlt_stays_with_irqchip)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	struct signal_kicker kicker;
	struct kvm_mp_state state;

	guest_start(cpu, GUEST_LONG, halt);
	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, NULL);
	while (cpu_regs(cpu).rip != GUEST_CODE + 6) {
		check_error(cpu_run(cpu), EINTR);
		check_exit(cpu, KVM_EXIT_INTR);
	}
	check_error(cpu_run(cpu), EINTR);
	signal_kicker_stop(&kicker);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_MP_STATE, &state));
	check_eq(state.mp_state, KVM_MP_STATE_HALTED);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 6);
	state.mp_state = KVM_MP_STATE_RUNNABLE;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_MP_STATE, &state));
	check_eq(cpu_run_to_done(cpu), 2);
}

GUEST(triple_fault, 64, "ud2\n");

TEST(run_triple_fault_is_shutdown)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_sregs sregs;

	guest_start(cpu, GUEST_LONG, triple_fault);
	sregs = cpu_sregs(cpu);
	sregs.idt.limit = 0;
	cpu_set_sregs(cpu, &sregs);
	cpu_run_to(cpu, KVM_EXIT_SHUTDOWN);
}

GUEST(halts_inside, 64, "sti\n nop\n halts_inside_here: hlt\n jmp halts_inside_here\n");
GUEST_LABEL(halts_inside_here);

/*
 * KVM_CAP_X86_DISABLE_EXITS: HLT halts in guest mode, where only a signal ends KVM_RUN; an interrupt wakes the guest. What the host
 * interrupts may (AMD-V) go on behind the HLT.
 */
TEST(run_hlt_without_exit)
{
	struct machine *machine = machine_new(0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS, .args = { KVM_X86_DISABLE_EXITS_HLT } };
	struct signal_kicker kicker;
	struct cpu *cpu;

	if (!(machine_cap(machine, KVM_CAP_X86_DISABLE_EXITS) & KVM_X86_DISABLE_EXITS_HLT))
		skip("the target does not let a guest halt");
	check_ok(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &cap));
	cpu = cpu_new(machine, 0);
	guest_start(cpu, GUEST_LONG, halts_inside);
	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, NULL);
	do
		check_error(cpu_run(cpu), EINTR);
	while (cpu_regs(cpu).rip < GUEST_ADDRESS(halts_inside, halts_inside_here));
	for (int i = 0; i < 3; i++) {
		check_error(cpu_run(cpu), EINTR);
		check_exit(cpu, KVM_EXIT_INTR);
	}
	signal_kicker_stop(&kicker);
	check_ok(kt_ioctl(cpu->kt, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = 0x30 }));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x30);
}

/* With interrupts on, which only helps the host: see tests/machine/differences-kvm-intel.txt. */
GUEST(spin, 64, "sti\n 1: inc qword ptr [0x9000]\n jmp 1b\n");

TEST(run_signal_ends_a_spinning_guest)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct signal_kicker kicker;
	uint64_t *count = (uint64_t *)(cpu->machine->mem + GUEST_DATA), before;

	guest_start(cpu, GUEST_LONG, spin);
	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, count);
	do {
		check_error(cpu_run(cpu), EINTR);
		check_exit(cpu, KVM_EXIT_INTR);
	} while (!*count);
	before = *count;
	do
		check_error(cpu_run(cpu), EINTR);
	while (*count == before);
	signal_kicker_stop(&kicker);
	check(signal_count >= 2);
	check(cpu_regs(cpu).rip >= GUEST_CODE && cpu_regs(cpu).rip <= GUEST_CODE + 9);
}

GUEST(spin_tight, 64, "mov dword ptr [0x9000], 1\n 1: jmp 1b\n");

/* A loop of one instruction that touches no memory, with interrupts off: still preemptible. */
TEST(run_signal_ends_a_tight_loop)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint32_t *flag = (uint32_t *)(cpu->machine->mem + GUEST_DATA);
	struct signal_kicker kicker;

	guest_start(cpu, GUEST_LONG, spin_tight);
	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, flag);
	do
		check_error(cpu_run(cpu), EINTR);
	while (!*flag);
	check_error(cpu_run(cpu), EINTR);
	signal_kicker_stop(&kicker);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE + 11);
}

TEST(run_signal_with_sa_restart_returns_too)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct sigaction action;
	struct signal_kicker kicker;

	guest_start(cpu, GUEST_LONG, spin);
	signal_handle(SIGUSR1);
	check_eq(sigaction(SIGUSR1, NULL, &action), 0);
	action.sa_flags |= SA_RESTART;
	check_eq(sigaction(SIGUSR1, &action, NULL), 0);
	signal_kicker_start(&kicker, SIGUSR1, cpu->machine->mem + GUEST_DATA);
	check_error(cpu_run(cpu), EINTR);
	signal_kicker_stop(&kicker);
}

TEST(run_immediate_exit)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	REQUIRE_CAP(cpu->machine, KVM_CAP_IMMEDIATE_EXIT);
	guest_start(cpu, GUEST_LONG, halt);
	cpu->run->immediate_exit = 1;
	check_error(cpu_run(cpu), EINTR);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE);
	cpu->run->immediate_exit = 0;
	cpu_run_to(cpu, KVM_EXIT_HLT);
}

static struct kvm_run *kicked_run;

static void set_immediate_exit(int signal)
{
	(void)signal;
	kicked_run->immediate_exit = 1;
}

/* QEMU's kick: the handler sets immediate_exit, whichever side of KVM_RUN it hits. */
TEST(run_immediate_exit_set_by_a_handler)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct sigaction action = { .sa_handler = set_immediate_exit };
	struct signal_kicker kicker;

	REQUIRE_CAP(cpu->machine, KVM_CAP_IMMEDIATE_EXIT);
	kicked_run = cpu->run;
	guest_start(cpu, GUEST_LONG, spin);
	check_eq(sigaction(SIGUSR1, &action, NULL), 0);
	signal_kicker_start(&kicker, SIGUSR1, NULL);
	for (int i = 0; i < 50; i++) {
		check_error(cpu_run(cpu), EINTR);
		cpu->run->immediate_exit = 0;
	}
	signal_kicker_stop(&kicker);
}

TEST(run_signal_mask_keeps_the_signal_pending)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, spin);
	signal_pend_for_run(cpu, SIGUSR1);
	for (int i = 0; i < 3; i++) {
		check_error(cpu_run(cpu), EINTR);
		check_exit(cpu, KVM_EXIT_INTR);
		check(signal_is_pending(SIGUSR1));
	}
	check_eq(signal_count, 0);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE);
}

/* The reverse: a signal that the thread takes, but that KVM_RUN's mask blocks, does not end it. */
TEST(run_signal_mask_blocks)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	sigset_t blocked;

	guest_start(cpu, GUEST_LONG, halt);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	check_ok(signal_mask_for_run(cpu, &blocked));
	signal_handle(SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	pthread_kill(pthread_self(), SIGUSR1);
	cpu_run_to(cpu, KVM_EXIT_HLT);
	check_eq(signal_count, 0);
	check(signal_is_pending(SIGUSR1));
	pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
	check_eq(signal_count, 1);
}

/* A signal that the thread blocks itself is no reason to leave. */
TEST(run_blocked_signal_does_not_end_it)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	sigset_t blocked;

	guest_start(cpu, GUEST_LONG, halt);
	signal_handle(SIGUSR1);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	pthread_kill(pthread_self(), SIGUSR1);
	cpu_run_to(cpu, KVM_EXIT_HLT);
	check(signal_is_pending(SIGUSR1));
}

TEST(run_signal_mask_removed)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	sigset_t set;

	guest_start(cpu, GUEST_LONG, halt);
	signal_pend_for_run(cpu, SIGUSR1);
	check_ok(signal_mask_for_run(cpu, NULL));
	/* Blocked by the thread, and nobody unblocks it now. */
	cpu_run_to(cpu, KVM_EXIT_HLT);
	sigemptyset(&set);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	check(sigismember(&set, SIGUSR1));
}

/* A failed entry leaves the vCPU as it was; above all there is nothing of the host's in it. */
TEST(run_failed_entry_changes_nothing)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_sregs sregs, after;
	struct kvm_regs regs, regs_after;

	guest_start(cpu, GUEST_LONG, halt);
	sregs = cpu_sregs(cpu);
	/* Both 64-bit and 32-bit code. */
	sregs.cs.db = 1;
	if (kt_ioctl(cpu->kt, KVM_SET_SREGS, &sregs) == -EINVAL)
		skip("the target refuses the state instead of failing to enter it");
	sregs = cpu_sregs(cpu);
	regs = cpu_regs(cpu);
	cpu_run_to(cpu, KVM_EXIT_FAIL_ENTRY);
	after = cpu_sregs(cpu);
	regs_after = cpu_regs(cpu);
	check(!memcmp(&sregs, &after, sizeof(sregs)));
	check(!memcmp(&regs, &regs_after, sizeof(regs)));
	sregs.cs.db = 0;
	cpu_set_sregs(cpu, &sregs);
	cpu_run_to(cpu, KVM_EXIT_HLT);
}

/* In a process of its own: a guest that spins with every signal blocked that can be named. */
static void run_with_everything_blocked(uint32_t *running)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	sigset_t all;

	guest_start(cpu, GUEST_LONG, spin);
	sigfillset(&all);
	check_ok(signal_mask_for_run(cpu, &all));
	*running = 1;
	for (;;)
		cpu_run(cpu);
}

TEST(run_killed_whatever_is_blocked)
{
	uint32_t *running = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0, waited;
	pid_t pid;

	check(running != MAP_FAILED);
	pid = fork();
	check(pid >= 0);
	if (!pid)
		run_with_everything_blocked(running);
	while (!*(volatile uint32_t *)running)
		check_eq(waitpid(pid, &status, WNOHANG), 0);
	usleep(100000);
	check_ok(kill(pid, SIGKILL));
	for (waited = 0; waitpid(pid, &status, WNOHANG) == 0; waited++) {
		check(waited < 3000);
		usleep(10000);
	}
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(run_signal_mask_errors)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct {
		struct kvm_signal_mask header;
		uint8_t set[16];
	} mask = { .header.len = 16 };

	check_error(kt_ioctl(cpu->kt, KVM_SET_SIGNAL_MASK, &mask), EINVAL);
	mask.header.len = 4;
	check_error(kt_ioctl(cpu->kt, KVM_SET_SIGNAL_MASK, &mask), EINVAL);
	check_error(kt_ioctl(cpu->kt, KVM_SET_SIGNAL_MASK, (void *)8), EFAULT);
}

TEST(run_takes_no_argument)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, halt);
	check_error(kt_ioctl_int(cpu->kt, KVM_RUN, 1), EINVAL);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE);
}

/* What user space stores into the output fields of kvm_run is not believed. */
TEST(run_page_spoilt_by_user_space)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, halt);
	memset(cpu->run, 0xff, cpu->run_size);
	cpu->run->immediate_exit = 0;
	cpu->run->request_interrupt_window = 0;
	cpu->run->cr8 = 0;
	cpu->run->kvm_valid_regs = 0;
	cpu->run->kvm_dirty_regs = 0;
	cpu_run_to(cpu, KVM_EXIT_HLT);
	check_eq(cpu_run_to_done(cpu), 2);
}

/* Without a LAPIC in the kernel CR8 is an input, and checked. */
TEST(run_cr8_is_checked)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, halt);
	cpu->run->cr8 = 16;
	check_error(cpu_run(cpu), EINVAL);
	check_eq(cpu_regs(cpu).rip, GUEST_CODE);
	cpu->run->cr8 = 5;
	cpu_run_to(cpu, KVM_EXIT_HLT);
	check_eq(cpu->run->cr8, 5);
	check_eq(cpu_sregs(cpu).cr8, 5);
}

TEST(run_sync_regs_invalid_bits)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, halt);
	cpu->run->kvm_valid_regs = 1ull << 40;
	check_error(cpu_run(cpu), EINVAL);
	cpu->run->kvm_valid_regs = 0;
	cpu->run->kvm_dirty_regs = 1ull << 40;
	check_error(cpu_run(cpu), EINVAL);
	cpu->run->kvm_dirty_regs = 0;
	cpu_run_to(cpu, KVM_EXIT_HLT);
}

struct parallel {
	struct cpu *cpu;
	pthread_t thread;
};

static void *run_until_done(void *opaque)
{
	struct parallel *parallel = opaque;

	cpu_run_to_done(parallel->cpu);
	return NULL;
}

/*
 * Ping-pong through memory: each vCPU waits for the other's store, ten thousand times. [0x9000] is
 * the turn; the vCPU's number arrives in EBX.
 */
GUEST(ping_pong, 64,
      "sti\n mov ecx, 2000\n"
      "1: cmp [0x9000], ebx\n je 2f\n pause\n jmp 1b\n"
      "2: mov eax, ebx\n xor eax, 1\n mov [0x9000], eax\n"
      "dec ecx\n jnz 1b\n" DONE);

TEST(run_two_vcpus_in_parallel)
{
	struct machine *machine = machine_new(0);
	struct parallel parallel[2];

	for (unsigned int i = 0; i < 2; i++) {
		struct kvm_regs regs;

		parallel[i].cpu = cpu_new(machine, i);
		guest_start(parallel[i].cpu, GUEST_LONG, ping_pong);
		regs = cpu_regs(parallel[i].cpu);
		regs.rbx = i;
		cpu_set_regs(parallel[i].cpu, &regs);
	}
	for (int i = 0; i < 2; i++)
		check_eq(pthread_create(&parallel[i].thread, NULL, run_until_done, &parallel[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(parallel[i].thread, NULL);
	check_eq(*(uint32_t *)(machine->mem + GUEST_DATA), 0);
}

GUEST(locked_count, 64,
      "mov ecx, 20000\n"
      "1: lock inc dword ptr [0x9000]\n mov eax, 1\n lock xadd [0x9004], eax\n"
      "2: mov eax, [0x9008]\n lea edx, [rax + 1]\n lock cmpxchg [0x9008], edx\n jne 2b\n"
      "dec ecx\n jnz 1b\n" DONE);

TEST(run_locked_operations_are_atomic)
{
	struct machine *machine = machine_new(0);
	uint32_t *counters = (uint32_t *)(machine->mem + GUEST_DATA);
	struct parallel parallel[3];

	for (unsigned int i = 0; i < 3; i++) {
		parallel[i].cpu = cpu_new(machine, i);
		guest_start(parallel[i].cpu, GUEST_LONG, locked_count);
	}
	for (int i = 0; i < 3; i++)
		check_eq(pthread_create(&parallel[i].thread, NULL, run_until_done, &parallel[i]), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(parallel[i].thread, NULL);
	for (int i = 0; i < 3; i++)
		check_eq(counters[i], 60000);
}

/* A vCPU may move between threads from one KVM_RUN to the next. */
static void *run_to_halt(void *opaque)
{
	struct cpu *cpu = opaque;

	cpu_run_to(cpu, KVM_EXIT_HLT);
	return NULL;
}

TEST(run_vcpu_moves_between_threads)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	pthread_t thread;

	guest_start(cpu, GUEST_LONG, halt);
	check_eq(pthread_create(&thread, NULL, run_to_halt, cpu), 0);
	pthread_join(thread, NULL);
	check_eq(cpu_run_to_done(cpu), 2);
}
