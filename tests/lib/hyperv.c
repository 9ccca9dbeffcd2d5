/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "hyperv.h"

#include <stdlib.h>
#include <string.h>

#include "chips.h"

struct kvm_cpuid2 *hyperv_leaves(struct machine *machine)
{
	static union {
		struct kvm_cpuid2 head;
		char room[sizeof(struct kvm_cpuid2) + 32 * sizeof(struct kvm_cpuid_entry2)];
	} table;

	REQUIRE_CAP(machine, KVM_CAP_HYPERV_CPUID);
	REQUIRE_CAP(machine, KVM_CAP_SYS_HYPERV_CPUID);
	table.head.nent = 32;
	check_ok(kt_ioctl(machine->sys, KVM_GET_SUPPORTED_HV_CPUID, &table));
	return &table.head;
}

void hyperv_show(struct cpu *cpu)
{
	struct kvm_cpuid2 *cpuid = cpuid_supported(cpu->machine), *hv = hyperv_leaves(cpu->machine);
	struct kvm_cpuid_entry2 *features = cpuid_find(cpuid, 1, 0);
	uint32_t n, kept = 0;

	features->ebx = (features->ebx & 0x00ffffff) | cpu->id << 24;
	for (n = 0; n < cpuid->nent; n++)
		if (cpuid->entries[n].function >> 28 != 4)
			cpuid->entries[kept++] = cpuid->entries[n];
	check(kept + hv->nent <= 256);
	memcpy(&cpuid->entries[kept], hv->entries, hv->nent * sizeof(hv->entries[0]));
	cpuid->nent = kept + hv->nent;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
}

struct cpu *hyperv_cpu(unsigned int flags, struct guest_code code)
{
	struct cpu *cpu = cpu_new(machine_new(flags), 0);

	hyperv_show(cpu);
	guest_start(cpu, GUEST_LONG, code);
	return cpu;
}

struct cpu *hyperv_synic_cpu(struct guest_code code, uint32_t handler)
{
	struct cpu *cpu = hyperv_cpu(MACHINE_IRQCHIP, code);
	struct kvm_enable_cap enable = { .cap = KVM_CAP_HYPERV_SYNIC2 };

	REQUIRE_CAP(cpu->machine, KVM_CAP_HYPERV_SYNIC2);
	check_ok(kt_ioctl(cpu->kt, KVM_ENABLE_CAP, &enable));
	lapic_enable(cpu);
	guest_idt(cpu->machine, GUEST_LONG, 0x60, handler);
	return cpu;
}
