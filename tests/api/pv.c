/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Paravirtual pages other than the clock's, and machine checks told by interrupt. */
#include <errno.h>
#include <linux/kvm_para.h>
#include <string.h>

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
