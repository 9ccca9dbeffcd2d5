/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The system object: version, capabilities, VM creation, CPUID and MSR tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <asm/kvm_para.h>

#include "../lib/guest.h"
#include "../lib/machine.h"

TEST(system_api_version)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);

	check_eq(kt_ioctl(machine->sys, KVM_GET_API_VERSION, NULL), 12);
	check_error(kt_ioctl_int(machine->sys, KVM_GET_API_VERSION, 1), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_GET_API_VERSION, NULL), ENOTTY);
}

TEST(system_vcpu_mmap_size)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	int size = kt_ioctl(machine->sys, KVM_GET_VCPU_MMAP_SIZE, NULL);

	/* kvm_run, the port data page, and the coalesced ring where there is one. */
	check_eq(size % (int)PAGE_SIZE, 0);
	check(size >= (int)(2 * PAGE_SIZE));
	if (machine_cap(machine, KVM_CAP_COALESCED_MMIO) > 0)
		check(size >= (int)PAGE_SIZE * (machine_cap(machine, KVM_CAP_COALESCED_MMIO) + 1));
	check_error(kt_ioctl_int(machine->sys, KVM_GET_VCPU_MMAP_SIZE, 5), EINVAL);
}

TEST(system_create_vm_type)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct kt *vm;

	check_error(kt_make(machine->sys, KVM_CREATE_VM, (void *)77, &vm), EINVAL);
	check_ok(kt_make(machine->sys, KVM_CREATE_VM, NULL, &vm));
}

struct required_cap {
	int cap;
	const char *name;
};

/* What CLIENTS.md's clients give up without. */
static const struct required_cap required[] = {
#define CAP(name)                                                                                                      \
	{                                                                                                              \
		KVM_CAP_##name, "KVM_CAP_" #name                                                                       \
	}
	CAP(USER_MEMORY),
	CAP(DESTROY_MEMORY_REGION_WORKS),
	CAP(JOIN_MEMORY_REGIONS_WORKS),
	CAP(SET_TSS_ADDR),
	CAP(EXT_CPUID),
	CAP(MP_STATE),
	CAP(IRQ_ROUTING),
	CAP(MCE),
	CAP(PIT2),
	CAP(IRQCHIP),
	CAP(HLT),
	CAP(IRQ_INJECT_STATUS),
	CAP(GET_TSC_KHZ),
	CAP(IOEVENTFD),
	CAP(IRQFD),
	CAP(PIT_STATE2),
	CAP(ADJUST_CLOCK),
	CAP(DEBUGREGS),
	CAP(VCPU_EVENTS),
	CAP(XCRS),
	CAP(XSAVE),
	CAP(IMMEDIATE_EXIT),
	CAP(SET_IDENTITY_MAP_ADDR),
	CAP(SPLIT_IRQCHIP),
	CAP(TSC_DEADLINE_TIMER),
	CAP(USER_NMI),
};

/* What they use when it is there, and what the rest of these tests need. */
static const struct required_cap expected[] = {
	CAP(COALESCED_MMIO),
	CAP(SIGNAL_MSI),
	CAP(NR_VCPUS),
	CAP(MAX_VCPUS),
	CAP(MAX_VCPU_ID),
	CAP(NR_MEMSLOTS),
	CAP(XSAVE2),
	CAP(X2APIC_API),
	CAP(KVMCLOCK_CTRL),
	CAP(READONLY_MEM),
	CAP(SYNC_MMU),
	CAP(NOP_IO_DELAY),
	CAP(VAPIC),
	CAP(CLOCKSOURCE),
	CAP(SET_GUEST_DEBUG),
	CAP(IRQFD_RESAMPLE),
	CAP(IOEVENTFD_ANY_LENGTH),
	CAP(COALESCED_PIO),
	CAP(SYNC_REGS),
	CAP(MANUAL_DIRTY_LOG_PROTECT2),
	CAP(X86_USER_SPACE_MSR),
	CAP(X86_MSR_FILTER),
	CAP(SREGS2),
	CAP(BINARY_STATS_FD),
	CAP(ENABLE_CAP_VM),
	CAP(CHECK_EXTENSION_VM),
	CAP(TSC_CONTROL),
	CAP(INTERNAL_ERROR_DATA),
	CAP(GET_MSR_FEATURES),
	CAP(EXT_EMUL_CPUID),
	CAP(REINJECT_CONTROL),
#undef CAP
};

TEST(system_capabilities_clients_require)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);

	for (unsigned int i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		if (machine_cap(machine, required[i].cap) <= 0)
			fail("%s is missing on the VM", required[i].name);
		if (kt_ioctl_int(machine->sys, KVM_CHECK_EXTENSION, (unsigned long)required[i].cap) <= 0)
			fail("%s is missing on the system", required[i].name);
	}
}

TEST(system_capabilities_clients_use)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);

	for (unsigned int i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		/* A device without TSC scaling has no TSC_CONTROL. */
		if (expected[i].cap == KVM_CAP_TSC_CONTROL)
			continue;
		if (machine_cap(machine, expected[i].cap) <= 0)
			fail("%s is missing", expected[i].name);
	}
}

TEST(system_capability_values)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);

	check(machine_cap(machine, KVM_CAP_NR_MEMSLOTS) >= 509);
	check(machine_cap(machine, KVM_CAP_MAX_VCPUS) >= machine_cap(machine, KVM_CAP_NR_VCPUS));
	check_eq(machine_cap(machine, KVM_CAP_NR_VCPUS), sysconf(_SC_NPROCESSORS_ONLN));
	check(machine_cap(machine, KVM_CAP_MAX_VCPU_ID) >= machine_cap(machine, KVM_CAP_MAX_VCPUS));
	check(machine_cap(machine, KVM_CAP_MCE) >= 10);
	check_eq(machine_cap(machine, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2), 3);
	check_eq(machine_cap(machine, KVM_CAP_X2APIC_API) & 3, 3);
	check_eq(machine_cap(machine, KVM_CAP_SYNC_REGS) & 7, 7);
	check(machine_cap(machine, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_TSC_STABLE);
	check(machine_cap(machine, KVM_CAP_XSAVE2) >= (int)sizeof(struct kvm_xsave));
	check_eq(machine_cap(machine, 0x7fffffff), 0);
	check_eq(machine_cap(machine, -1), 0);
	check_eq(machine_cap(machine, KVM_CAP_PPC_HTM), 0);
}

TEST(system_unknown_ioctls)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct cpu *cpu = cpu_new(machine, 0);
	static const unsigned long unknown[] = { _IO(KVMIO, 0xfe), _IO(0x11, 0), 0, 0xffffffff };

	for (unsigned int i = 0; i < 4; i++) {
		int vm_error = kt_ioctl(machine->vm, unknown[i], NULL);

		check_error(kt_ioctl(machine->sys, unknown[i], NULL), EINVAL);
		check(vm_error == -ENOTTY || vm_error == -EINVAL);
		check_error(kt_ioctl(cpu->kt, unknown[i], NULL), EINVAL);
	}
	/* An ioctl of one object on another. */
	check_error(kt_ioctl(machine->sys, KVM_RUN, NULL), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_RUN, NULL), ENOTTY);
	check_error(kt_ioctl(cpu->kt, KVM_CREATE_IRQCHIP, NULL), EINVAL);
	/* Numbers that agree with a known one in their low bytes only. */
	check_error(kt_ioctl(cpu->kt, _IOW(KVMIO, 0xa3, char), NULL), EINVAL);
	check_error(kt_ioctl(cpu->kt, _IOR(KVMIO, 0x82, struct kvm_regs), NULL), EINVAL);
}

TEST(cpuid_supported_grows_until_it_fits)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct kvm_cpuid2 *fits = cpuid_supported(machine);
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
	uint32_t entries = fits->nent;

	check(entries > 10);
	for (uint32_t nent = 1; nent < entries; nent++) {
		cpuid->nent = nent;
		check_error(kt_ioctl(machine->sys, KVM_GET_SUPPORTED_CPUID, cpuid), E2BIG);
	}
	cpuid->nent = entries;
	check_ok(kt_ioctl(machine->sys, KVM_GET_SUPPORTED_CPUID, cpuid));
	check_eq(cpuid->nent, entries);
	cpuid->nent = 0;
	check_error(kt_ioctl(machine->sys, KVM_GET_SUPPORTED_CPUID, cpuid), E2BIG);
	check_error(kt_ioctl(machine->sys, KVM_GET_SUPPORTED_CPUID, NULL), EFAULT);
	free(cpuid);
}

TEST(cpuid_supported_contents)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct kvm_cpuid_entry2 *entry;

	entry = cpuid_find(cpuid, 0, 0);
	check(entry && entry->eax >= 1);
	entry = cpuid_find(cpuid, 1, 0);
	/* FPU TSC MSR PAE CX8 APIC SEP PGE CMOV FXSR SSE SSE2, the floor of x86-64. */
	check(entry && (entry->edx & 0x0700a371) == 0x0700a371);
	check(entry->ecx & 1u << 21); /* x2APIC is always offered */
	entry = cpuid_find(cpuid, 0x80000001, 0);
	check(entry && entry->edx & 1u << 29); /* long mode */
	check(entry->edx & 1u << 20);          /* NX */
	entry = cpuid_find(cpuid, 0x80000008, 0);
	check(entry && (entry->eax & 0xff) >= 36);
	entry = cpuid_find(cpuid, KVM_CPUID_SIGNATURE, 0);
	check(entry && !memcmp(&entry->ebx, "KVMKVMKVM\0\0\0", 12));
	check_eq(entry->eax, KVM_CPUID_FEATURES);
	entry = cpuid_find(cpuid, KVM_CPUID_FEATURES, 0);
	check(entry && entry->eax & 1u << KVM_FEATURE_CLOCKSOURCE2);
	check(entry->eax & 1u << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);
}

TEST(cpuid_emulated)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 64 * sizeof(cpuid->entries[0]));

	REQUIRE_CAP(machine, KVM_CAP_EXT_EMUL_CPUID);
	cpuid->nent = 64;
	check_ok(kt_ioctl(machine->sys, KVM_GET_EMULATED_CPUID, cpuid));
	/* Which features are emulated is the target's matter; that leaf 0 heads the list is not. */
	check(cpuid_find(cpuid, 0, 0));
	check(cpuid->nent < 64);
	cpuid->nent = 0;
	check_error(kt_ioctl(machine->sys, KVM_GET_EMULATED_CPUID, cpuid), E2BIG);
	free(cpuid);
}

TEST(cpuid_set_and_get)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct kvm_cpuid2 *back = calloc(1, sizeof(*back) + 256 * sizeof(back->entries[0]));

	cpuid_find(cpuid, 0x80000008, 0)->ebx = 0;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	/* Linux 6.1 leaves nent as it was, later ones store the count. */
	back->nent = cpuid->nent;
	check_ok(kt_ioctl(cpu->kt, KVM_GET_CPUID2, back));
	check_eq(back->nent, cpuid->nent);
	for (uint32_t i = 0; i < back->nent; i++) {
		check_eq(back->entries[i].function, cpuid->entries[i].function);
		check_eq(back->entries[i].index, cpuid->entries[i].index);
		check_eq(back->entries[i].flags, cpuid->entries[i].flags);
	}
	check_eq(cpuid_find(back, 0x80000008, 0)->ebx, 0);
	back->nent = 2;
	check_error(kt_ioctl(cpu->kt, KVM_GET_CPUID2, back), E2BIG);
	check_error(kt_ioctl(cpu->kt, KVM_SET_CPUID2, NULL), EFAULT);
	cpuid->nent = 257;
	check_error(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid), E2BIG);
	free(back);
}

TEST(msr_index_lists)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 1000 * sizeof(list->indices[0]));
	static const uint32_t wanted[] = { 0x10,       0x174, 0x175, 0x176, 0xc0000081, 0xc0000082, 0xc0000084,
					   0xc0000102, 0x277, 0x11,  0x12,  0x4b564d00, 0x4b564d01, 0x6e0 };

	list->nmsrs = 0;
	check_error(kt_ioctl(machine->sys, KVM_GET_MSR_INDEX_LIST, list), E2BIG);
	check(list->nmsrs > 10 && list->nmsrs <= 1000);
	check_ok(kt_ioctl(machine->sys, KVM_GET_MSR_INDEX_LIST, list));
	for (unsigned int w = 0; w < sizeof(wanted) / sizeof(wanted[0]); w++) {
		bool found = false;

		for (uint32_t i = 0; i < list->nmsrs; i++)
			found |= list->indices[i] == wanted[w];
		if (!found)
			fail("MSR %#x is not listed", wanted[w]);
	}
	list->nmsrs = 0;
	check_error(kt_ioctl(machine->sys, KVM_GET_MSR_FEATURE_INDEX_LIST, list), E2BIG);
	check(list->nmsrs <= 1000);
	check_ok(kt_ioctl(machine->sys, KVM_GET_MSR_FEATURE_INDEX_LIST, list));
	check_error(kt_ioctl(machine->sys, KVM_GET_MSR_INDEX_LIST, NULL), EFAULT);
	free(list);
}

/* Every listed MSR can be read, and set to what was read: QEMU's reset depends on it. */
TEST(msr_listed_are_readable_and_settable)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 1000 * sizeof(list->indices[0]));

	list->nmsrs = 1000;
	check_ok(kt_ioctl(cpu->machine->sys, KVM_GET_MSR_INDEX_LIST, list));
	for (uint32_t i = 0; i < list->nmsrs; i++) {
		uint64_t value;

		if (cpu_get_msr(cpu, list->indices[i], &value) != 1)
			fail("listed MSR %#x cannot be read", list->indices[i]);
		/* The Hyper-V and PMU ones depend on CPUID bits that are not set here. */
		if ((list->indices[i] >> 16) == 0x4000)
			continue;
		if (cpu_set_msr(cpu, list->indices[i], value) != 1)
			fail("listed MSR %#x cannot be set to its value %#llx", list->indices[i],
			     (unsigned long long)value);
	}
	free(list);
}

TEST(msr_feature_msrs_on_the_system)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 1000 * sizeof(list->indices[0]));
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msr = { .header.nmsrs = 1 };

	list->nmsrs = 1000;
	check_ok(kt_ioctl(machine->sys, KVM_GET_MSR_FEATURE_INDEX_LIST, list));
	for (uint32_t i = 0; i < list->nmsrs; i++) {
		msr.entry.index = list->indices[i];
		if (kt_ioctl(machine->sys, KVM_GET_MSRS, &msr) != 1)
			fail("feature MSR %#x cannot be read", list->indices[i]);
	}
	/* The others are not the system's. */
	msr.entry.index = 0xc0000080;
	check_eq(kt_ioctl(machine->sys, KVM_GET_MSRS, &msr), 0);
	check_error(kt_ioctl(machine->sys, KVM_SET_MSRS, &msr), EINVAL);
	free(list);
}

TEST(vcpu_ids)
{
	struct machine *machine = machine_new(0);
	struct kt *vcpu;
	unsigned long limit = (unsigned long)machine_cap(machine, KVM_CAP_MAX_VCPU_ID);

	check_ok(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)3, &vcpu));
	check_error(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)3, &vcpu), EEXIST);
	check_error(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)limit, &vcpu), EINVAL);
	check_error(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)-1ul, &vcpu), EINVAL);
	check_ok(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)0, &vcpu));
}

TEST(vcpu_reset_state)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_regs regs = cpu_regs(cpu);
	struct kvm_sregs sregs = cpu_sregs(cpu);
	struct kvm_debugregs debug;

	check_eq(regs.rip, 0xfff0);
	check_eq(regs.rflags, 2);
	check_eq(regs.rsp, 0);
	check_eq(sregs.cs.selector, 0xf000);
	check_eq(sregs.cs.base, 0xffff0000);
	check_eq(sregs.cs.limit, 0xffff);
	check_eq(sregs.ss.selector, 0);
	check_eq(sregs.cr0, 0x60000010);
	check_eq(sregs.cr3, 0);
	check_eq(sregs.cr4, 0);
	check_eq(sregs.efer, 0);
	check_eq(sregs.idt.limit, 0xffff);
	check_eq(sregs.gdt.limit, 0xffff);
	check_eq(sregs.apic_base, 0xfee00900);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_DEBUGREGS, &debug));
	check_eq(debug.dr6, 0xffff0ff0);
	check_eq(debug.dr7, 0x400);
}

GUEST(segments_and_cpuid, 64,
      "mov eax, ss\n mov fs, eax\n out 0x80, al\n xor eax, eax\n mov fs, eax\n cpuid\n mov eax, fs\n" DONE);

/* A register that the guest has loaded without an exit is not undone by an exit that needs little of the state. */
TEST(cpuid_keeps_segments)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, segments_and_cpuid);
	cpu_run_to_out(cpu, 0x80);
	check_eq(cpu_run_to_done(cpu) & 0xffff, 0);
}
