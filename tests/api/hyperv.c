/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Hyper-V's enlightenments: CPUID leaves, the partition's MSRs, its clock, hypercalls. */
#include <errno.h>
#include <string.h>

#include "../lib/chips.h"
#include "../lib/guest.h"
#include "../lib/hyperv.h"

#define HV_OS_ID 0x40000000
#define HV_HYPERCALL 0x40000001
#define HV_VP_INDEX 0x40000002
#define HV_REF_COUNT 0x40000020
#define HV_REF_TSC 0x40000021
#define HV_TSC_FREQUENCY 0x40000022
#define HV_CRASH_CTL 0x40000105

TEST(hyperv_cpuid)
{
	struct machine *machine = machine_new(0);
	struct kvm_cpuid2 *hv = hyperv_leaves(machine), few = { .nent = 1 };
	struct kvm_cpuid_entry2 *e;

	check_error(kt_ioctl(machine->sys, KVM_GET_SUPPORTED_HV_CPUID, &few), E2BIG);
	e = cpuid_find(hv, 0x40000001, 0);
	check(e && e->eax == 0x31237648);
	e = cpuid_find(hv, 0x40000003, 0);
	check(e && (e->eax & 0x262) == 0x262); /* clocks, hypercalls, VP index */
	e = cpuid_find(hv, 0x40000004, 0);
	check(e && (e->eax & 0xc24) == 0xc24); /* relaxed timing, flushes, IPIs */
}

GUEST(hv_hidden, 64, "mov ecx, 0x40000000\n rdmsr\n hlt\n");

TEST(hyperv_only_where_cpuid_says_so)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t value = 1;

	hyperv_leaves(machine);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid_supported(machine)));
	guest_start(cpu, GUEST_LONG, hv_hidden);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(cpu_get_msr(cpu, HV_OS_ID, &value), 1);
	check_eq(value, 0);
}

/* Give the guest's name, get the page, call through it. */
GUEST(hv_calls, 64,
      "mov ecx, 0x40000001\n mov eax, 0x21001\n xor edx, edx\n wrmsr\n rdmsr\n mov ebx, eax\n" DONE
      "mov ecx, 0x40000000\n mov eax, 1\n mov edx, 0x81000000\n wrmsr\n"
      "mov ecx, 0x40000001\n mov eax, 0x21001\n xor edx, edx\n wrmsr\n"
      "mov esi, 0x21000\n mov ecx, 8\n call rsi\n mov rbx, rax\n"
      "mov ecx, 0xbeef\n call rsi\n mov rbp, rax\n" DONE
      "mov ecx, 0x40000000\n xor eax, eax\n xor edx, edx\n wrmsr\n mov ecx, 0x40000001\n rdmsr\n mov ebx, eax\n" DONE
      "hlt\n");

TEST(hyperv_hypercalls)
{
	struct cpu *cpu = hyperv_cpu(0, hv_calls);

	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 0); /* not before the guest has a name */
	check_eq(cpu->machine->mem[0x21000], 0);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 0);
	check_eq(cpu_regs(cpu).rbp, 2); /* no such call */
	check_eq(cpu->machine->mem[0x21003], 0xc3);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx & 1, 0);
}

/* Counter, then page (scale and offset applied to the TSC), then counter. */
GUEST(hv_clock, 64,
      "mov ecx, 0x40000021\n mov eax, 0x21001\n xor edx, edx\n wrmsr\n" DONE
      "1: mov ecx, 0x40000020\n rdmsr\n shl rdx, 32\n or rax, rdx\n mov r8, rax\n"
      "rdtsc\n shl rdx, 32\n or rax, rdx\n mul qword ptr [0x21008]\n add rdx, [0x21010]\n mov r9, rdx\n"
      "mov ecx, 0x40000020\n rdmsr\n shl rdx, 32\n or rax, rdx\n mov r10, rax\n" DONE "jmp 1b\n");

TEST(hyperv_reference_time)
{
	struct cpu *cpu = hyperv_cpu(0, hv_clock);
	struct kvm_clock_data clock = { .clock = 3600ull * 1000000000 };
	uint64_t frequency = 0;
	struct kvm_regs regs;
	uint32_t sequence;

	check_eq(cpu_get_msr(cpu, HV_TSC_FREQUENCY, &frequency), 1);
	check(frequency > 1000000);
	cpu_run_to_done(cpu);
	memcpy(&sequence, cpu->machine->mem + 0x21000, 4);
	check(sequence != 0);
	for (int i = 0; i < 3; i++) {
		cpu_run_to_done(cpu);
		regs = cpu_regs(cpu);
		check(regs.r8 <= regs.r9 && regs.r9 <= regs.r10);
	}
	check(regs.r10 < 3600ull * 10000000);
	/* The clock is set: the page follows, under another number. */
	check_ok(kt_ioctl(cpu->machine->vm, KVM_SET_CLOCK, &clock));
	cpu_run_to_done(cpu);
	cpu_run_to_done(cpu);
	regs = cpu_regs(cpu);
	check(regs.r8 <= regs.r9 && regs.r9 <= regs.r10 && regs.r8 >= 3600ull * 10000000);
	check(memcmp(&sequence, cpu->machine->mem + 0x21000, 4) != 0);
}

GUEST(hv_crash, 64,
      "mov ecx, 0x40000100\n mov eax, 0xdead\n xor edx, edx\n wrmsr\n"
      "mov ecx, 0x40000105\n xor eax, eax\n mov edx, 0x80000000\n wrmsr\n"
      "mov ecx, 0x40000003\n mov eax, 1\n xor edx, edx\n wrmsr\n" DONE "hlt\n");

TEST(hyperv_crash_and_reset)
{
	struct cpu *cpu = hyperv_cpu(0, hv_crash);
	uint64_t value = 0;

	cpu_run_to(cpu, KVM_EXIT_SYSTEM_EVENT);
	check_eq(cpu->run->system_event.type, KVM_SYSTEM_EVENT_CRASH);
	check_eq(cpu_get_msr(cpu, 0x40000100, &value), 1);
	check_eq(value, 0xdead);
	cpu_run_to(cpu, KVM_EXIT_SYSTEM_EVENT);
	check_eq(cpu->run->system_event.type, KVM_SYSTEM_EVENT_RESET);
	/* The instruction has retired. */
	cpu_run_to_done(cpu);
}

/* The LAPIC by MSRs, in xAPIC mode: task priority, self IPI, EOI. */
GUEST(hv_apic, 64,
      "mov ecx, 0x40000072\n mov eax, 0x20\n xor edx, edx\n wrmsr\n rdmsr\n mov ebx, eax\n"
      "mov ecx, 0x40000071\n mov eax, 0x40060\n wrmsr\n sti\n nop\n cli\n"
      "mov ecx, 0x40000070\n xor eax, eax\n wrmsr\n" DONE "hlt\n");

TEST(hyperv_apic_by_msrs)
{
	struct cpu *cpu = hyperv_cpu(MACHINE_IRQCHIP, hv_apic);

	lapic_enable(cpu);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x60);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 0x20);
	check_eq(lapic_read(cpu, APIC_TPR), 0x20);
	check(!lapic_bit(cpu, APIC_ISR, 0x60));
}

GUEST(hv_index, 64, "mov ecx, 0x40000002\n rdmsr\n mov ebx, eax\n" DONE "wrmsr\n hlt\n");

TEST(hyperv_vp_index)
{
	struct cpu *cpu = hyperv_cpu(0, hv_index);

	check_eq(cpu_set_msr(cpu, HV_VP_INDEX, 5), 1);
	check_eq(cpu_set_msr(cpu, HV_VP_INDEX, 1 << 20), 0);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 5);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
}

/* KVM_CAP_HYPERV_ENFORCE_CPUID: an MSR needs its bit, not only the interface. */
TEST(hyperv_enforced_cpuid)
{
	struct cpu *cpu = hyperv_cpu(0, hv_index);
	struct kvm_enable_cap enforce = { .cap = KVM_CAP_HYPERV_ENFORCE_CPUID, .args = { 1 } };
	struct kvm_cpuid2 *cpuid = cpuid_supported(cpu->machine);
	struct kvm_cpuid_entry2 *e;

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_ENFORCE_CPUID);
	cpuid->nent = 256; /* its room */
	check_ok(kt_ioctl(cpu->kt, KVM_GET_CPUID2, cpuid));
	e = cpuid_find(cpuid, 0x40000003, 0);
	check(e);
	e->eax &= ~0x40u;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	check_ok(kt_ioctl(cpu->kt, KVM_ENABLE_CAP, &enforce));
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
}

GUEST(hv_runtime, 64,
      "mov ecx, 0x40000010\n rdmsr\n shl rdx, 32\n or rax, rdx\n mov rbx, rax\n mov esi, 3000000\n 1: dec esi\n jnz "
      "1b\n"
      "rdmsr\n shl rdx, 32\n or rax, rdx\n sub rax, rbx\n mov rbp, rax\n" DONE "wrmsr\n hlt\n");

TEST(hyperv_vp_runtime)
{
	struct cpu *cpu = hyperv_cpu(0, hv_runtime);

	cpu_run_to_done(cpu);
	check(cpu_regs(cpu).rbp > 0);
	check(cpu_regs(cpu).rbx > 0);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(cpu_set_msr(cpu, 0x40000010, 0), 1);
}

/* Buffers, a command that user space answers, the page of what waits; then a hypercall, which is refused until it is chosen. */
GUEST(hv_debug, 64,
      "xor edx, edx\n mov ecx, 0x400000f3\n mov eax, 0x23000\n wrmsr\n inc ecx\n mov eax, 0x24000\n wrmsr\n"
      "mov ecx, 0x400000f1\n mov eax, 0x5a\n wrmsr\n inc ecx\n rdmsr\n mov ebx, eax\n"
      "mov ecx, 0x400000f5\n mov eax, 0x25000\n wrmsr\n" DONE
      "mov ecx, 0x40000000\n mov eax, 1\n mov edx, 0x81000000\n wrmsr\n"
      "mov ecx, 0x40000001\n mov eax, 0x21001\n xor edx, edx\n wrmsr\n"
      "mov esi, 0x21000\n mov ecx, 0x6b\n call rsi\n mov rbx, rax\n" DONE
      "mov ecx, 0x400000ff\n mov eax, 4\n xor edx, edx\n wrmsr\n mov ecx, 0x69\n mov edx, 0x26000\n call rsi\n" DONE
      "hlt\n");

TEST(hyperv_debugger)
{
	struct cpu *cpu = hyperv_cpu(0, hv_debug);
	const struct kvm_hyperv_exit *e = &cpu->run->hyperv;

	if (!cpuid_find(hyperv_leaves(cpu->machine), 0x40000082, 0))
		skip("the target has no synthetic debugger");
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	check_eq(e->type, KVM_EXIT_HYPERV_SYNDBG);
	check_eq(e->u.syndbg.msr, 0x400000f1);
	check_eq(e->u.syndbg.control, 0x5a);
	check_eq(e->u.syndbg.send_page, 0x23000);
	check_eq(e->u.syndbg.recv_page, 0x24000);
	cpu->run->hyperv.u.syndbg.status = 0x77;
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	check_eq(e->u.syndbg.msr, 0x400000f5);
	check_eq(e->u.syndbg.pending_page, 0x25000);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 0x77);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rbx, 8);
	cpu_run_to(cpu, KVM_EXIT_HYPERV);
	check_eq(e->type, KVM_EXIT_HYPERV_HCALL);
	check_eq(e->u.hcall.input, 0x69);
	check_eq(e->u.hcall.params[0], 0x26000);
}
