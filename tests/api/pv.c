/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Paravirtual pages other than the clock's, and machine checks told by interrupt. */
#include <errno.h>
#include <linux/kvm_para.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "../lib/chips.h"
#include "../lib/guest.h"

#define VECTOR 0x52
#define LAPIC_SPIV 0xf0
#define LAPIC_IRR 0x200
#define LAPIC_LVT_CMCI 0x2f0

static struct kvm_lapic_state get_lapic(struct cpu *cpu)
{
	struct kvm_lapic_state s;

	check_ok(kt_ioctl(cpu->kt, KVM_GET_LAPIC, &s));
	return s;
}

/* Set one register; the interface has the whole page. */
static void set_lapic(struct cpu *cpu, unsigned int offset, uint32_t value)
{
	struct kvm_lapic_state s = get_lapic(cpu);

	memcpy(s.regs + offset, &value, sizeof(value));
	check_ok(kt_ioctl(cpu->kt, KVM_SET_LAPIC, &s));
}

static bool waits(struct cpu *cpu, uint8_t vector)
{
	struct kvm_lapic_state s = get_lapic(cpu);
	uint32_t word;

	memcpy(&word, s.regs + LAPIC_IRR + vector / 32 * 16, sizeof(word));
	return word >> vector % 32 & 1;
}

GUEST(steal_guest, 64,
      "mov ecx, 0x4b564d03\n mov eax, 0x9001\n xor edx, edx\n wrmsr\n"
      "1: mov ecx, 100000\n 2: loop 2b\n out 0x80, al\n jmp 1b\n");

TEST(pv_steal_time)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct {
		uint64_t steal;
		uint32_t version, flags;
	} page;
	uint64_t value, last = 0;

	check_eq(kt_ioctl_int(cpu->machine->sys, KVM_CHECK_EXTENSION, KVM_CAP_STEAL_TIME), 1);
	guest_start(cpu, GUEST_LONG, steal_guest);
	memset(cpu->machine->mem + GUEST_DATA, 0, 64);
	for (int i = 0; i < 5; i++) {
		cpu_run_to_out(cpu, 0x80);
		memcpy(&page, cpu->machine->mem + GUEST_DATA, sizeof(page));
		check(page.version != 0 && page.version % 2 == 0);
		check(page.steal >= last);
		/* Nobody can have waited an hour. */
		check(page.steal < 3600000000000ull);
		last = page.steal;
	}
	check_eq(cpu_get_msr(cpu, MSR_KVM_STEAL_TIME, &value), 1);
	check_eq(value, 0x9001);
	/* Addresses are multiples of 64. */
	check_eq(cpu_set_msr(cpu, MSR_KVM_STEAL_TIME, 0x9003), 0);
	check_eq(cpu_set_msr(cpu, MSR_KVM_STEAL_TIME, 0), 1);
}

GUEST(apf_guest, 64,
      "mov ecx, 0x4b564d06\n mov eax, 0x52\n xor edx, edx\n wrmsr\n"
      "mov ecx, 0x4b564d02\n mov eax, 0x9009\n wrmsr\n"
      "out 0x80, al\n"
      "mov dword ptr [0x9004], 0\n mov ecx, 0x4b564d07\n mov eax, 1\n wrmsr\n" DONE);

/* Who turns it on is told that no page is missing: a guest may come from a host where some were. */
TEST(pv_async_page_faults)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	uint32_t token = 0;
	uint64_t value;

	set_lapic(cpu, LAPIC_SPIV, 0x1ff);
	guest_start(cpu, GUEST_LONG, apf_guest);
	memset(cpu->machine->mem + GUEST_DATA, 0, 64);
	cpu_run_to_out(cpu, 0x80);
	memcpy(&token, cpu->machine->mem + GUEST_DATA + 4, sizeof(token));
	check_eq(token, 0xffffffff);
	check(waits(cpu, VECTOR));
	cpu_run_to_done(cpu);
	/* Once. */
	memcpy(&token, cpu->machine->mem + GUEST_DATA + 4, sizeof(token));
	check_eq(token, 0);
	check_eq(cpu_get_msr(cpu, MSR_KVM_ASYNC_PF_EN, &value), 1);
	check_eq(value, 0x9009);
	check_eq(cpu_set_msr(cpu, MSR_KVM_ASYNC_PF_EN, 0x9019), 0);
	check_eq(cpu_set_msr(cpu, MSR_KVM_ASYNC_PF_INT, 0x100), 0);
}

/* Nothing to be told by: user space may only write zero. */
TEST(pv_async_page_faults_without_lapic)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint64_t value;

	check_eq(cpu_set_msr(cpu, MSR_KVM_ASYNC_PF_INT, 0x52), 0);
	check_eq(cpu_get_msr(cpu, MSR_KVM_ASYNC_PF_EN, &value), 1);
	check_eq(value, 0);
	check_eq(cpu_set_msr(cpu, MSR_KVM_ASYNC_PF_EN, 0x9009), 0);
	check_eq(cpu_set_msr(cpu, MSR_KVM_ASYNC_PF_EN, 0), 1);
}

TEST(pv_eoi_word)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	uint64_t value;

	check_eq(cpu_set_msr(cpu, MSR_KVM_PV_EOI_EN, 0x9001), 1);
	check_eq(cpu_get_msr(cpu, MSR_KVM_PV_EOI_EN, &value), 1);
	check_eq(value, 0x9001);
	check_eq(cpu_set_msr(cpu, MSR_KVM_PV_EOI_EN, 0x9003), 0);
}

/* SDM, "Corrected Machine Check Interrupt". Uncorrected without action: logged, and told where the bank asks for it. */
TEST(mce_cmci)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	struct kvm_x86_mce mce = { .status = 1ull << 63 | 1ull << 61, .addr = 0xdeadbeef, .bank = 2 };
	uint64_t caps, value;

	check_ok(kt_ioctl(cpu->machine->sys, KVM_X86_GET_MCE_CAP_SUPPORTED, &caps));
	if (!(caps & 1 << 10))
		test_skip("the target has no CMCI");
	/* Without it the bank's second control register does not take anything. */
	caps = (1 << 8) | 4;
	check_ok(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, &caps));
	check_eq(cpu_set_msr(cpu, 0x282, 1u << 30), 0);
	caps = (1 << 10) | 4;
	check_ok(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, &caps));
	set_lapic(cpu, LAPIC_SPIV, 0x1ff);
	set_lapic(cpu, LAPIC_LVT_CMCI, VECTOR);
	check_ok(kt_ioctl(cpu->kt, KVM_X86_SET_MCE, &mce));
	check(!waits(cpu, VECTOR));
	check_eq(cpu_set_msr(cpu, 0x282, 1u << 30 | 1), 1);
	check_eq(cpu_set_msr(cpu, 0x282, 1u << 31), 0);
	check_eq(cpu_set_msr(cpu, 0x284, 1u << 30), 0); /* no such bank */
	check_ok(kt_ioctl(cpu->kt, KVM_X86_SET_MCE, &mce));
	check(waits(cpu, VECTOR));
	check_eq(cpu_get_msr(cpu, 0x40a, &value), 1);
	check_eq(value, 0xdeadbeef);
}

/* --- flushes of a vCPU that sleeps (KVM_FEATURE_PV_TLB_FLUSH) ------------------------------------------------------- */

GUEST(pv_sleeper, 64,
      "mov ecx, 0x4b564d03\n mov eax, 0x9001\n xor edx, edx\n wrmsr\n mov rsi, [0x600000]\n sti\n hlt\n cli\n"
      "mov rbx, [0x600000]\n" DONE "hlt\n pv_sleeper_handler: iretq\n");
GUEST_LABEL(pv_sleeper_handler);

static void *sleep_and_wake(void *arg)
{
	cpu_run_to_done(arg);
	return NULL;
}

TEST(pv_flush_of_a_sleeping_vcpu)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_cpuid_entry2 *features = cpuid_find(cpuid_supported(machine), 0x40000001, 0);
	uint8_t *high = host_memory(2 << 20), *preempted = machine->mem + GUEST_DATA + 16;
	pthread_t thread;

	if (!features || !(features->eax & 1u << 9))
		skip("the target has no KVM_FEATURE_PV_TLB_FLUSH");
	lapic_enable(cpu);
	check_ok(memory_slot(machine, 1, 0, 4 << 20, 2 << 20, high));
	*(uint64_t *)high = 0x4444;
	*(uint64_t *)(machine->mem + (2 << 20)) = 0x2222;
	guest_start(cpu, GUEST_LONG, pv_sleeper);
	guest_idt(machine, GUEST_LONG, 0x60, GUEST_ADDRESS(pv_sleeper, pv_sleeper_handler));
	*guest_pde(machine, 6 << 20) = 4 << 20 | 0xe3;
	/* As another host would have left it. */
	*preempted = 1;
	check_eq(pthread_create(&thread, NULL, sleep_and_wake, cpu), 0);
	while (!__atomic_load_n((uint32_t *)(machine->mem + GUEST_DATA + 8), __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(preempted, __ATOMIC_SEQ_CST) != 1)
		usleep(100);
	__atomic_store_n(guest_pde(machine, 6 << 20), 2 << 20 | 0xe3, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(preempted, 2, __ATOMIC_SEQ_CST);
	check_eq(signal_msi(machine, 0xfee00000, 0x60), 1);
	pthread_join(thread, NULL);
	check_eq(cpu_regs(cpu).rsi, 0x4444);
	check_eq(cpu_regs(cpu).rbx, 0x2222);
	check_eq(*preempted, 0);
}
