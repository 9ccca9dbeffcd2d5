/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What has no file of its own: TPR exits, boot CPU, old ioctls, hypercalls, page walks by KVM_TRANSLATE. */
#include <errno.h>
#include <linux/kvm_para.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/chips.h"
#include "../lib/guest.h"

GUEST(tpr_writes, 64,
      "mov eax, 5\n mov cr8, rax\n mov eax, 9\n mov cr8, rax\n mov eax, 3\n mov cr8, rax\n"
      "mov rax, cr8\n out 0x80, al\n" DONE);

/* Without a LAPIC in the kernel, user space hears of a TPR that is lowered, not of one that rises. */
TEST(tpr_lowered_exits_without_irqchip)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, tpr_writes);
	cpu_run_to(cpu, KVM_EXIT_SET_TPR);
	check_eq(cpu->run->cr8, 3);
	check_eq(cpu_run_to_out(cpu, 0x80), 3);
	cpu_run_to_done(cpu);
}

TEST(tpr_stays_in_the_kernel_with_irqchip)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);

	guest_start(cpu, GUEST_LONG, tpr_writes);
	check_eq(cpu_run_to_out(cpu, 0x80), 3);
	check_eq(cpu->run->cr8, 3);
	check_eq(lapic_read(cpu, APIC_TPR), 0x30);
}

TEST(boot_cpu_id)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *first, *second;
	struct kvm_mp_state state;

	check_ok(kt_ioctl_int(machine->vm, KVM_SET_BOOT_CPU_ID, 1));
	first = cpu_new(machine, 0);
	second = cpu_new(machine, 1);
	check_ok(kt_ioctl(first->kt, KVM_GET_MP_STATE, &state));
	check_eq(state.mp_state, KVM_MP_STATE_UNINITIALIZED);
	check_ok(kt_ioctl(second->kt, KVM_GET_MP_STATE, &state));
	check_eq(state.mp_state, KVM_MP_STATE_RUNNABLE);
	check(cpu_sregs(second).apic_base & 0x100);
	check(!(cpu_sregs(first).apic_base & 0x100));
	check_error(kt_ioctl_int(machine->vm, KVM_SET_BOOT_CPU_ID, 0), EBUSY);
}

TEST(one_reg_is_not_x86)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_one_reg reg = { .id = KVM_REG_X86 | KVM_REG_SIZE_U64 };

	check_error(kt_ioctl(cpu->kt, KVM_GET_ONE_REG, &reg), EINVAL);
	check_error(kt_ioctl(cpu->kt, KVM_SET_ONE_REG, &reg), EINVAL);
}

GUEST(cpuid_leaf, 64,
      "mov eax, 0x40000000\n xor ecx, ecx\n cpuid\n mov [0x9000], ebx\n"
      "mov eax, 1\n cpuid\n mov [0x9004], ecx\n" DONE);

/* The guest's CPUID is the table, with the bits that follow its own state kept up to date. */
TEST(cpuid_answers_from_the_table)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint32_t *seen = (uint32_t *)(cpu->machine->mem + GUEST_DATA);
	struct kvm_cpuid2 *cpuid = cpuid_supported(cpu->machine);
	struct kvm_sregs sregs;

	cpuid_find(cpuid, KVM_CPUID_SIGNATURE, 0)->ebx = 0x12345678;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	guest_start(cpu, GUEST_LONG, cpuid_leaf);
	cpu_run_to_done(cpu);
	check_eq(seen[0], 0x12345678);
	check_eq(seen[1] & 1u << 27, 0); /* OSXSAVE follows CR4 */
	sregs = cpu_sregs(cpu);
	if (!(cpuid_find(cpuid, 1, 0)->ecx & 1u << 26))
		skip("no XSAVE");
	guest_start(cpu, GUEST_LONG, cpuid_leaf);
	sregs = cpu_sregs(cpu);
	sregs.cr4 |= 1u << 18;
	cpu_set_sregs(cpu, &sregs);
	cpu_run_to_done(cpu);
	check_eq(seen[1] & 1u << 27, 1u << 27);
}

TEST(cpuid_may_not_change_after_run)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(cpu->machine);

	cpuid_find(cpuid, 1, 0)->ebx &= 0x00ffffff;
	guest_start(cpu, GUEST_LONG, cpuid_leaf);
	cpu_run_to_done(cpu);
	/* The same table is taken, as hotplug and reset do it; another one is not. */
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	cpuid_find(cpuid, 1, 0)->ecx ^= 1u << 0;
	check_error(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid), EINVAL);
}

GUEST(tsc_adjust, 64,
      "mov ecx, 0x3b\n rdmsr\n mov [0x9000], eax\n mov eax, 0x10000000\n xor edx, edx\n wrmsr\n rdmsr\n"
      "mov [0x9004], eax\n" DONE);

TEST(msr_tsc_adjust)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(cpu->machine);
	uint32_t *seen = (uint32_t *)(cpu->machine->mem + GUEST_DATA);
	uint64_t before, after;

	if (!(cpuid_find(cpuid, 7, 0) && cpuid_find(cpuid, 7, 0)->ebx & 2))
		skip("the target offers no TSC_ADJUST");
	guest_start(cpu, GUEST_LONG, tsc_adjust);
	check_eq(cpu_get_msr(cpu, 0x10, &before), 1);
	cpu_run_to_done(cpu);
	check_eq(seen[0], 0);
	check_eq(seen[1], 0x10000000);
	/* The TSC moved with it. */
	check_eq(cpu_get_msr(cpu, 0x10, &after), 1);
	check(after - before >= 0x10000000);
}

#define NOWHERE ~0ull

static uint64_t translate(struct cpu *cpu, uint64_t address)
{
	struct kvm_translation translation = { .linear_address = address };

	check_ok(kt_ioctl(cpu->kt, KVM_TRANSLATE, &translation));
	return translation.valid ? translation.physical_address : NOWHERE;
}

GUEST(stop32, 32, "hlt\n");

static struct cpu *paging_cpu(struct machine *machine, uint64_t cr3, uint64_t cr4)
{
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_sregs sregs;

	guest_start(cpu, GUEST_PROT, stop32);
	sregs = cpu_sregs(cpu);
	sregs.cr3 = cr3;
	sregs.cr4 |= cr4;
	sregs.cr0 |= 0x80000000;
	cpu_set_sregs(cpu, &sregs);
	return cpu;
}

/* 32-bit paging: a 4 MiB page and a 4 KiB page. */
TEST(translate_32_bit_paging)
{
	struct machine *machine = machine_new(0);
	uint32_t *directory = (uint32_t *)(machine->mem + 0x30000);
	uint32_t *table = (uint32_t *)(machine->mem + 0x31000);
	struct cpu *cpu;

	directory[0] = 0x83;
	directory[1] = 0x31003;
	table[2] = 0x5003;
	cpu = paging_cpu(machine, 0x30000, 0x10);
	check_eq(translate(cpu, 0x123456), 0x123456);
	check_eq(translate(cpu, 0x402abc), 0x5abc);
	check_eq(translate(cpu, 0x403000), NOWHERE);
	check_eq(translate(cpu, 0x800000), NOWHERE);
}

/* PAE paging: four directory pointers, a 2 MiB page and a 4 KiB page. */
TEST(translate_pae_paging)
{
	struct machine *machine = machine_new(0);
	uint64_t *pointers = (uint64_t *)(machine->mem + 0x30020);
	uint64_t *directory = (uint64_t *)(machine->mem + 0x31000);
	uint64_t *table = (uint64_t *)(machine->mem + 0x32000);
	struct cpu *cpu;

	pointers[0] = 0x31001;
	directory[0] = 0x83;
	directory[1] = 0x32003;
	table[3] = 0x7003;
	cpu = paging_cpu(machine, 0x30020, 0x20);
	check_eq(translate(cpu, 0x123456), 0x123456);
	check_eq(translate(cpu, 0x203abc), 0x7abc);
	check_eq(translate(cpu, 0x204000), NOWHERE);
	check_eq(translate(cpu, 0x40000000), NOWHERE);
}

GUEST(kick_sender, 64, "mov eax, 5\n xor ebx, ebx\n mov ecx, 1\n vmmcall\n mov [0x9008], rax\n" DONE);
/* KVM_HC_KICK_CPU ends a halt even with interrupts off: the paravirtual spinlock's wake-up. */
TEST(hypercall_kick_cpu)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *sender = cpu_new(machine, 0), *sleeper = cpu_new(machine, 1);
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_HALTED };
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	bool offered = cpuid_find(cpuid, KVM_CPUID_FEATURES, 0)->eax & 1u << KVM_FEATURE_PV_UNHALT;

	if (!offered)
		skip("the target offers no PV_UNHALT");
	lapic_enable(sleeper);
	check_ok(kt_ioctl(sleeper->kt, KVM_SET_MP_STATE, &state));
	guest_start(sender, GUEST_LONG, kick_sender);
	cpu_run_to_done(sender);
	check_eq(*(uint64_t *)(machine->mem + 0x9008), 0);
	check_ok(kt_ioctl(sleeper->kt, KVM_GET_MP_STATE, &state));
	check_eq(state.mp_state, KVM_MP_STATE_RUNNABLE);
}

GUEST(ipi_sender, 64,
      "mov eax, 10\n mov ebx, 2\n xor ecx, ecx\n xor edx, edx\n mov esi, 0x40\n vmmcall\n mov [0x9008], rax\n"
      "mov eax, 10\n mov ebx, 6\n mov edx, 0xffffffff\n vmmcall\n mov [0x9010], rax\n" DONE);

/* KVM_HC_SEND_IPI: a bitmap of APIC ids from the lowest on; ids do not wrap at the end of 32 bits. */
TEST(hypercall_send_ipi)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *sender = cpu_new(machine, 0), *receiver = cpu_new(machine, 1);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	bool offered = cpuid_find(cpuid, KVM_CPUID_FEATURES, 0)->eax & 1u << KVM_FEATURE_PV_SEND_IPI;

	if (!offered)
		skip("the target offers no PV_SEND_IPI");
	lapic_enable(sender);
	lapic_enable(receiver);
	guest_start(sender, GUEST_LONG, ipi_sender);
	cpu_run_to_done(sender);
	check_eq(*(uint64_t *)(machine->mem + 0x9008), 1);
	check_eq(lapic_bit(receiver, APIC_IRR, 0x40), 1);
	check_eq(*(uint64_t *)(machine->mem + 0x9010), 0);
	check_eq(lapic_bit(sender, APIC_IRR, 0x40), 0);
}

TEST(x2apic_api_cap)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct kvm_enable_cap enable = { .cap = KVM_CAP_X2APIC_API, .args = { 1ull << 20 } };

	REQUIRE_CAP(machine, KVM_CAP_X2APIC_API);
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), EINVAL);
	machine_enable_cap(machine, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS);
}

TEST(tsc_khz_of_the_vm)
{
	struct machine *machine = machine_new(0);
	struct kt *vcpu;
	int khz;

	if (machine_cap(machine, KVM_CAP_VM_TSC_CONTROL) <= 0)
		skip("the target has no KVM_CAP_VM_TSC_CONTROL");
	khz = kt_ioctl(machine->vm, KVM_GET_TSC_KHZ, NULL);
	check(khz > 100000);
	check_ok(kt_ioctl_int(machine->vm, KVM_SET_TSC_KHZ, (unsigned long)khz / 2));
	check_ok(kt_make(machine->vm, KVM_CREATE_VCPU, NULL, &vcpu));
	check_eq(kt_ioctl(vcpu, KVM_GET_TSC_KHZ, NULL), khz / 2);
}
