/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Local APICs: registers, priorities, timers, IPIs, x2APIC. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/chips.h"
#include "../lib/guest.h"
#include "../lib/signals.h"

static struct cpu *start(struct guest_code code)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);

	lapic_enable(cpu);
	guest_start(cpu, GUEST_LONG, code);
	guest_log(cpu->machine)->silent = 1;
	return cpu;
}

TEST(lapic_state_round_trip)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);

	check_eq(lapic_read(cpu, APIC_SVR), 0xff);
	check_eq(lapic_read(cpu, 0x30) & 0xff, 0x14);
	check_eq(lapic_read(cpu, APIC_LVT_TIMER), 0x10000);
	lapic_write(cpu, APIC_SVR, 0x1f0);
	check_eq(lapic_read(cpu, APIC_SVR), 0x1f0);
	lapic_write(cpu, APIC_TPR, 0x50);
	check_eq(lapic_read(cpu, APIC_TPR), 0x50);
	check_eq(cpu_sregs(cpu).cr8, 5);
	check_error(kt_ioctl(cpu->kt, KVM_GET_LAPIC, NULL), EFAULT);
	check_error(kt_ioctl(cpu->kt, KVM_SET_LAPIC, NULL), EFAULT);
}

TEST(lapic_ioctls_without_irqchip)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_lapic_state state = { 0 };

	check_error(kt_ioctl(cpu->kt, KVM_GET_LAPIC, &state), EINVAL);
	check_error(kt_ioctl(cpu->kt, KVM_SET_LAPIC, &state), EINVAL);
}

GUEST(self_ipi, 64,
      "mov ebx, 0xfee00000\n mov dword ptr [rbx + 0x300], 0x40041\n"
      "sti\n nop\n nop\n cli\n out 0x80, al\n"
      "mov dword ptr [rbx + 0xb0], 0\n" DONE);

TEST(lapic_self_ipi_and_eoi)
{
	struct cpu *cpu = start(self_ipi);

	cpu_run_to_out(cpu, 0x80);
	check_eq(guest_log(cpu->machine)->count, 1);
	check_eq(guest_log(cpu->machine)->event[0].vector, 0x41);
	check(lapic_bit(cpu, APIC_ISR, 0x41));
	check(!lapic_bit(cpu, APIC_IRR, 0x41));
	cpu_run_to_done(cpu);
	check(!lapic_bit(cpu, APIC_ISR, 0x41));
}

/* 0x45 waits behind TPR 0x40; 0x51 does not. */
GUEST(tpr, 64,
      "mov ebx, 0xfee00000\n mov dword ptr [rbx + 0x80], 0x40\n"
      "mov dword ptr [rbx + 0x300], 0x40045\n sti\n nop\n nop\n cli\n out 0x80, al\n"
      "mov dword ptr [rbx + 0x300], 0x40051\n sti\n nop\n nop\n cli\n mov eax, [rbx + 0xa0]\n out 0x81, eax\n"
      "mov dword ptr [rbx + 0xb0], 0\n xor eax, eax\n mov cr8, rax\n"
      "mov eax, [rbx + 0x80]\n out 0x82, eax\n sti\n nop\n nop\n cli\n" DONE);

TEST(lapic_priorities)
{
	struct cpu *cpu = start(tpr);
	struct guest_event_log *log = guest_log(cpu->machine);

	cpu_run_to_out(cpu, 0x80);
	check_eq(log->count, 0);
	check(lapic_bit(cpu, APIC_IRR, 0x45));
	/* PPR: the class of the vector in service. */
	check_eq(cpu_run_to_out(cpu, 0x81), 0x50);
	check_eq(log->count, 1);
	check_eq(log->event[0].vector, 0x51);
	/* CR8 and TPR are one register. */
	check_eq(cpu_run_to_out(cpu, 0x82), 0);
	cpu_run_to_done(cpu);
	check_eq(log->count, 2);
	check_eq(log->event[1].vector, 0x45);
}

GUEST(timer_one_shot, 64,
      "mov ebx, 0xfee00000\n mov dword ptr [rbx + 0x3e0], 0x0b\n mov dword ptr [rbx + 0x320], 0x60\n"
      "mov dword ptr [rbx + 0x380], 1000\n sti\n 1: hlt\n cmp qword ptr [0x19000], 0\n je 1b\n cli\n"
      "mov eax, [rbx + 0x390]\n out 0xd0, eax\n");

TEST(lapic_timer_one_shot)
{
	struct cpu *cpu = start(timer_one_shot);

	check_eq(cpu_run_to_done(cpu), 0);
	check_eq(guest_log(cpu->machine)->count, 1);
	check_eq(guest_log(cpu->machine)->event[0].vector, 0x60);
}

GUEST(sleeper, 64, "sti\n 1: hlt\n cmp qword ptr [0x19000], 0\n je 1b\n cli\n" DONE);

/* Restored at zero: nobody knows whether its interrupt came before the state was saved, so it comes (again). */
TEST(lapic_timer_restored_run_out_fires)
{
	struct cpu *cpu = start(sleeper);

	lapic_write(cpu, APIC_LVT_TIMER, 0x60);
	lapic_write(cpu, APIC_TIMER_INIT, 1000);
	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->count, 1);
	check_eq(guest_log(cpu->machine)->event[0].vector, 0x60);
}

GUEST(timer_periodic, 64,
      "mov ebx, 0xfee00000\n mov dword ptr [rbx + 0x3e0], 0x0b\n mov dword ptr [rbx + 0x320], 0x20061\n"
      "mov dword ptr [rbx + 0x380], 1000000\n sti\n 1: hlt\n cmp qword ptr [0x19000], 5\n jb 1b\n cli\n"
      "mov dword ptr [rbx + 0x320], 0x10061\n" DONE);

TEST(lapic_timer_periodic)
{
	struct cpu *cpu = start(timer_periodic);

	guest_log(cpu->machine)->eoi = 1;
	cpu_run_to_done(cpu);
	check(guest_log(cpu->machine)->count >= 5);
	check_eq(guest_log(cpu->machine)->event[4].vector, 0x61);
}

/* Spinning, not halted: the timer must also end guest code that never exits. */
GUEST(timer_spin, 64,
      "mov ebx, 0xfee00000\n mov dword ptr [rbx + 0x3e0], 0x0b\n mov dword ptr [rbx + 0x320], 0x62\n"
      "mov dword ptr [rbx + 0x380], 100000\n sti\n 1: cmp qword ptr [0x19000], 0\n je 1b\n cli\n" DONE);

TEST(lapic_timer_interrupts_a_spinning_guest)
{
	struct cpu *cpu = start(timer_spin);

	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->event[0].vector, 0x62);
}

GUEST(timer_deadline, 64,
      "mov ebx, 0xfee00000\n mov dword ptr [rbx + 0x320], 0x40063\n mfence\n"
      "rdtsc\n shl rdx, 32\n or rax, rdx\n add rax, 200000\n mov rdx, rax\n shr rdx, 32\n"
      "mov ecx, 0x6e0\n wrmsr\n"
      "sti\n 1: hlt\n cmp qword ptr [0x19000], 0\n je 1b\n cli\n"
      "mov ecx, 0x6e0\n rdmsr\n or eax, edx\n out 0xd0, eax\n");

/* TSC-deadline mode must be offered by CPUID; afterwards the MSR reads zero. */
TEST(lapic_timer_tsc_deadline)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);

	REQUIRE_CAP(machine, KVM_CAP_TSC_DEADLINE_TIMER);
	cpuid_find(cpuid, 1, 0)->ecx |= 1u << 24;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	lapic_enable(cpu);
	guest_start(cpu, GUEST_LONG, timer_deadline);
	guest_log(machine)->silent = 1;
	check_eq(cpu_run_to_done(cpu), 0);
	check_eq(guest_log(machine)->count, 1);
	check_eq(guest_log(machine)->event[0].vector, 0x63);
}

/* Whoever saves a vCPU that does not run finds the deadline, or the interrupt, also if it passes in between. */
TEST(lapic_timer_deadline_passes_outside)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	uint64_t deadline = 0, now, end;

	REQUIRE_CAP(machine, KVM_CAP_TSC_DEADLINE_TIMER);
	cpuid_find(cpuid, 1, 0)->ecx |= 1u << 24;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	lapic_enable(cpu);
	guest_start(cpu, GUEST_LONG, sleeper);
	guest_log(machine)->silent = 1;
	lapic_write(cpu, APIC_LVT_TIMER, 0x40063);
	/* A tenth of a second: it must not have passed before it is set. */
	cpu_get_msr(cpu, 0x10, &now);
	end = now + (uint64_t)kt_ioctl(cpu->kt, KVM_GET_TSC_KHZ, NULL) * 100;
	cpu_set_msr(cpu, 0x6e0, end);
	check(!lapic_bit(cpu, APIC_IRR, 0x63));
	do {
		usleep(20000);
		cpu_get_msr(cpu, 0x10, &now);
	} while (now <= end);
	cpu_get_msr(cpu, 0x6e0, &deadline);
	check_eq(deadline, end);
	cpu_run_to_done(cpu);
	check_eq(guest_log(machine)->count, 1);
	check_eq(guest_log(machine)->event[0].vector, 0x63);
	cpu_get_msr(cpu, 0x6e0, &deadline);
	check_eq(deadline, 0);
}

GUEST(x2apic, 64,
      "mov ecx, 0x1b\n rdmsr\n or eax, 0xc00\n wrmsr\n"
      "mov ecx, 0x802\n rdmsr\n out 0x80, eax\n"
      "mov ecx, 0x80f\n mov eax, 0x1ff\n xor edx, edx\n wrmsr\n"
      "mov ecx, 0x83f\n mov eax, 0x44\n wrmsr\n"
      "sti\n nop\n nop\n cli\n"
      "mov ecx, 0x80b\n xor eax, eax\n wrmsr\n"
      "mov ecx, 0x830\n mov eax, 0x45\n mov edx, 2\n wrmsr\n"
      "sti\n nop\n nop\n cli\n" DONE);

TEST(lapic_x2apic_msrs)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *cpu;
	struct guest_event_log *log = guest_log(machine);

	cpu_new(machine, 0);
	cpu = cpu_new(machine, 2);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_MP_STATE, &(struct kvm_mp_state){ .mp_state = KVM_MP_STATE_RUNNABLE }));
	guest_start(cpu, GUEST_LONG, x2apic);
	log->silent = 1;
	check_eq(cpu_run_to_out(cpu, 0x80), 2);
	cpu_run_to_done(cpu);
	check_eq(log->count, 2);
	check_eq(log->event[0].vector, 0x44);
	check_eq(log->event[1].vector, 0x45);
}

GUEST(x2apic_off, 64, "mov ecx, 0x802\n rdmsr\n" DONE);

TEST(lapic_x2apic_msrs_fault_in_xapic_mode)
{
	struct cpu *cpu = start(x2apic_off);

	guest_log(cpu->machine)->silent = 0;
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
}

/*
 * Bring-up as an operating system does it: INIT, SIPI to page 2, real-mode trampoline. Interrupts are enabled where a guest
 * spins: Bochs does not leave it otherwise.
 */
GUEST(bring_up, 64,
      "sti\n mov ebx, 0xfee00000\n mov dword ptr [rbx + 0x310], 0x01000000\n"
      "mov dword ptr [rbx + 0x300], 0x4500\n mov dword ptr [rbx + 0x300], 0x4602\n"
      "1: cmp byte ptr [0x9000], 0x5a\n jne 1b\n" DONE);
GUEST(trampoline, 16, "mov ax, cs\n mov [0x9002], ax\n mov byte ptr [0x9000], 0x5a\n cli\n 1: hlt\n jmp 1b\n");

struct waiter {
	struct cpu *cpu;
	bool stop;
};

/* A vCPU that waits for its SIPI leaves KVM_RUN with EAGAIN whenever that state changes. */
static void *run_halted(void *opaque)
{
	struct waiter *waiter = opaque;
	int ret;

	do
		ret = cpu_run(waiter->cpu);
	while ((ret == -EAGAIN || ret == -EINTR) && !__atomic_load_n(&waiter->stop, __ATOMIC_ACQUIRE));
	return NULL;
}

/* Kick until it has noticed. */
static void stop_waiter(struct waiter *waiter, pthread_t thread)
{
	__atomic_store_n(&waiter->stop, true, __ATOMIC_RELEASE);
	while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
		pthread_kill(thread, SIGUSR1);
		usleep(1000);
	}
}

TEST(smp_init_sipi_bring_up)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *first = cpu_new(machine, 0), *second = cpu_new(machine, 1);
	struct waiter waiter = { .cpu = second };
	struct kvm_mp_state state;
	pthread_t thread;

	signal_handle(SIGUSR1);
	lapic_enable(first);
	guest_start(first, GUEST_LONG, bring_up);
	memcpy(machine->mem + 0x2000, trampoline.start, (size_t)(trampoline.end - trampoline.start));
	check_eq(pthread_create(&thread, NULL, run_halted, &waiter), 0);
	cpu_run_to_done(first);
	check_eq(*(uint16_t *)(machine->mem + 0x9002), 0x200);
	/* The second one now halts in the kernel until it is kicked. */
	stop_waiter(&waiter, thread);
	check_ok(kt_ioctl(second->kt, KVM_GET_MP_STATE, &state));
	check_eq(state.mp_state, KVM_MP_STATE_HALTED);
	check_ok(kt_ioctl(first->kt, KVM_GET_MP_STATE, &state));
	check_eq(state.mp_state, KVM_MP_STATE_RUNNABLE);
}

GUEST(ipi_sender, 64,
      "sti\n mov ebx, 0xfee00000\n mov ecx, 100\n"
      "1: mov eax, [0x9000]\n mov dword ptr [rbx + 0x310], 0x01000000\n"
      "mov dword ptr [rbx + 0x300], 0x4042\n"
      "2: cmp [0x9000], eax\n je 2b\n dec ecx\n jnz 1b\n mov byte ptr [0x9010], 1\n" DONE);
GUEST(ipi_receiver, 64, "mov ebx, 0xfee00000\n sti\n 1: hlt\n cmp byte ptr [0x9010], 0\n je 1b\n cli\n" DONE);

static void *receive(void *opaque)
{
	cpu_run_to_done((struct cpu *)opaque);
	return NULL;
}

/* A hundred IPIs, each waited for, to a vCPU that halts in between. */
GUEST(ipi_handler, 64,
      "push rax\n lock inc dword ptr [0x9000]\n mov eax, 0xfee000b0\n"
      "mov dword ptr [rax], 0\n pop rax\n iretq\n");

TEST(smp_ipis)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *sender = cpu_new(machine, 0), *receiver = cpu_new(machine, 1);
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs;
	pthread_t thread;

	lapic_enable(sender);
	lapic_enable(receiver);
	check_ok(kt_ioctl(receiver->kt, KVM_SET_MP_STATE, &state));
	guest_start(receiver, GUEST_LONG, ipi_receiver);
	guest_start(sender, GUEST_LONG, ipi_sender);
	/* The receiver's code beside the sender's, and one handler that counts. */
	memcpy(machine->mem + 0x3000, ipi_receiver.start, (size_t)(ipi_receiver.end - ipi_receiver.start));
	memcpy(machine->mem + 0x4000, ipi_handler.start, (size_t)(ipi_handler.end - ipi_handler.start));
	guest_idt(machine, GUEST_LONG, 0x42, 0x4000);
	regs = cpu_regs(receiver);
	regs.rip = 0x3000;
	cpu_set_regs(receiver, &regs);
	check_eq(pthread_create(&thread, NULL, receive, receiver), 0);
	cpu_run_to_done(sender);
	check_eq(*(uint32_t *)(machine->mem + GUEST_DATA), 100);
	/* Wake it a last time, so that it sees the flag. */
	check_ok(signal_msi(machine, 0xfee01000, 0x42));
	pthread_join(thread, NULL);
}

TEST(lapic_disabled_accepts_nothing)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *cpu = cpu_new(machine, 0);

	check_eq(signal_msi(machine, 0xfee00000, 0x50), 0);
	check(!lapic_bit(cpu, APIC_IRR, 0x50));
	lapic_enable(cpu);
	check_eq(signal_msi(machine, 0xfee00000, 0x50), 1);
	check(lapic_bit(cpu, APIC_IRR, 0x50));
}
