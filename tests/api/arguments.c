/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Arguments that ioctls refuse, and which of several reasons they name: what Linux's KVM answers (Documentation/virt/kvm/api.rst),
 * where no test of the ioctl itself does it.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/guest.h"

#define BAD ((void *)16)

static int enable(struct kt *object, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	return kt_ioctl(object, KVM_ENABLE_CAP, &enable);
}

/* --- KVM_ENABLE_CAP ---------------------------------------------------------------------------------------- */

TEST(arguments_vm_caps)
{
	static const struct {
		uint32_t cap;
		uint64_t arg;
	} refused[] = {
		{ KVM_CAP_DISABLE_QUIRKS2, 1ull << 31 },
		{ KVM_CAP_X2APIC_API, 4 },
		{ KVM_CAP_X86_DISABLE_EXITS, 1 << 4 },
		{ KVM_CAP_X86_USER_SPACE_MSR, 1 << 3 },
		{ KVM_CAP_X86_BUS_LOCK_EXIT, KVM_BUS_LOCK_DETECTION_OFF | KVM_BUS_LOCK_DETECTION_EXIT },
		{ KVM_CAP_X86_BUS_LOCK_EXIT, 4 },
		{ KVM_CAP_EXIT_HYPERCALL, 1 },
		{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 2 },
		{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_INITIALLY_SET },
		{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 4 },
		{ KVM_CAP_HALT_POLL, 1ull << 32 },
		{ KVM_CAP_MAX_VCPU_ID, 1ull << 32 },
		{ KVM_CAP_SPLIT_IRQCHIP, 4097 },
		{ KVM_CAP_X86_NOTIFY_VMEXIT, 1 << 2 },
		{ KVM_CAP_IRQCHIP, 0 }, /* there, but not to be enabled */
		{ 0x7fffffff, 0 },
	};
	struct machine *machine = machine_new(0);
	struct kvm_enable_cap flags = { .cap = KVM_CAP_X2APIC_API, .flags = 1, .args = { 3 } };

	for (unsigned int i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		int ret = enable(machine->vm, refused[i].cap, refused[i].arg);

		if (ret != -EINVAL)
			fail("capability %u with %#llx: %d", refused[i].cap, (unsigned long long)refused[i].arg, ret);
	}
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &flags), EINVAL);
}

TEST(arguments_split_irqchip_comes_once_and_first)
{
	struct machine *machine = machine_new(MACHINE_SPLIT), *late = machine_new(0);

	check_error(enable(machine->vm, KVM_CAP_SPLIT_IRQCHIP, 24), EEXIST);
	check_error(kt_ioctl(machine->vm, KVM_CREATE_IRQCHIP, NULL), EEXIST);
	check_ok(enable(machine_new(0)->vm, KVM_CAP_SPLIT_IRQCHIP, 4096));
	cpu_new(late, 0);
	check_error(enable(late->vm, KVM_CAP_SPLIT_IRQCHIP, 4097), EINVAL);
	check_error(enable(late->vm, KVM_CAP_SPLIT_IRQCHIP, 24), EEXIST);
	check_error(kt_ioctl(late->vm, KVM_CREATE_IRQCHIP, NULL), EINVAL);
}

TEST(arguments_max_vcpu_id)
{
	struct machine *machine = machine_new(0), *late = machine_new(0);
	struct kt *made;
	int max = machine_cap(machine, KVM_CAP_MAX_VCPU_ID);

	check_error(enable(machine->vm, KVM_CAP_MAX_VCPU_ID, (uint64_t)max + 1), EINVAL);
	check_ok(enable(machine->vm, KVM_CAP_MAX_VCPU_ID, 4));
	check_ok(enable(machine->vm, KVM_CAP_MAX_VCPU_ID, 4));
	check_error(enable(machine->vm, KVM_CAP_MAX_VCPU_ID, 5), EINVAL);
	check_error(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)4, &made), EINVAL);
	check_ok(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)3, &made));
	/* The first vCPU fixes it. */
	cpu_new(late, 0);
	check_error(enable(late->vm, KVM_CAP_MAX_VCPU_ID, 4), EINVAL);
	check_ok(enable(late->vm, KVM_CAP_MAX_VCPU_ID, (uint64_t)max));
}

TEST(arguments_vcpu_caps)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *cpu = cpu_new(machine, 0), *without = cpu_new(machine_new(0), 0);
	struct kvm_enable_cap flags = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .flags = 1 };

	check_error(kt_ioctl(cpu->kt, KVM_ENABLE_CAP, &flags), EINVAL);
	check_error(enable(cpu->kt, KVM_CAP_SPLIT_IRQCHIP, 24), EINVAL);
	check_error(enable(cpu->kt, 0x7fffffff, 0), EINVAL);
	check_error(enable(cpu->kt, KVM_CAP_HYPERV_SYNIC2, 1), EINVAL);
	check_error(enable(without->kt, KVM_CAP_HYPERV_SYNIC, 0), EINVAL);
	check_ok(enable(cpu->kt, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1));
}

/* --- the VM -------------------------------------------------------------------------------------------------- */

/* Of the number's 64 bits the lower half counts. */
TEST(arguments_vcpu_number)
{
	struct machine *machine = machine_new(0);
	struct kt *made;

	check_ok(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)(1ul << 32 | 2), &made));
	check_error(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)2, &made), EEXIST);
	check_error(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)0xffffffff, &made), EINVAL);
}

TEST(arguments_of_chips_that_are_not_there)
{
	struct machine *machine = machine_new(0);
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_pit_state pit;
	struct kvm_pit_state2 pit2;
	struct kvm_reinject_control reinject = { 0 };
	struct kvm_irq_level line = { .irq = 4 };
	struct kvm_irq_routing routing = { 0 };
	struct kvm_msi msi = { .address_lo = LAPIC_BASE };
	struct kvm_irqfd irqfd = { .fd = (uint32_t)eventfd(0, 0) };

	memset(&pit, 0, sizeof(pit));
	memset(&pit2, 0, sizeof(pit2));
	check_error(kt_ioctl(machine->vm, KVM_GET_IRQCHIP, &chip), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_SET_IRQCHIP, &chip), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_GET_PIT, &pit), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_SET_PIT, &pit), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_GET_PIT2, &pit2), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_SET_PIT2, &pit2), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_REINJECT_CONTROL, &reinject), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_IRQ_LINE, &line), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_IRQ_LINE_STATUS, &line), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_SET_GSI_ROUTING, &routing), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SIGNAL_MSI, &msi), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_RESET_DIRTY_RINGS, NULL), EINVAL);
	/* KVM_GET_PIT reads its argument first, KVM_GET_PIT2 does not. */
	check_error(kt_ioctl(machine->vm, KVM_GET_PIT, BAD), EFAULT);
	check_error(kt_ioctl(machine->vm, KVM_GET_PIT2, BAD), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_GET_IRQCHIP, BAD), EFAULT);
	check_error(kt_ioctl(machine->vm, KVM_IRQ_LINE, BAD), EFAULT);
	check_error(kt_ioctl(machine->vm, KVM_SET_GSI_ROUTING, BAD), EFAULT);
	close((int)irqfd.fd);
}

TEST(arguments_irqchip_state)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP), *split = machine_new(MACHINE_SPLIT);
	struct kvm_irqchip chip = { .chip_id = 3 };

	check_error(kt_ioctl(machine->vm, KVM_GET_IRQCHIP, &chip), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SET_IRQCHIP, &chip), EINVAL);
	chip.chip_id = KVM_IRQCHIP_IOAPIC;
	check_error(kt_ioctl(split->vm, KVM_GET_IRQCHIP, &chip), ENXIO);
}

static int route(struct machine *machine, const struct kvm_irq_routing_entry *entries, uint32_t nr)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[3];
	} routing = { .head.nr = nr };

	memcpy(routing.entries, entries, nr * sizeof(*entries));
	return kt_ioctl(machine->vm, KVM_SET_GSI_ROUTING, &routing);
}

TEST(arguments_routing)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP), *split = machine_new(MACHINE_SPLIT);
	struct kvm_irq_routing many = { .nr = 4097 }, flags = { .flags = 1 };
	struct kvm_irq_routing_entry e[3] = {
		{ .gsi = 5, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { KVM_IRQCHIP_PIC_MASTER, 5 } },
		{ .gsi = 5, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { KVM_IRQCHIP_IOAPIC, 5 } },
		{ .gsi = 6, .type = KVM_IRQ_ROUTING_MSI, .u.msi.address_lo = LAPIC_BASE },
	};

	check_error(kt_ioctl(machine->vm, KVM_SET_GSI_ROUTING, &many), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SET_GSI_ROUTING, &flags), EINVAL);
	check_ok(route(machine, e, 3));
	check_error(route(split, e, 1), EINVAL);
	check_ok(route(split, e + 2, 1));
	/* One chip takes a GSI once; a message keeps it for itself. */
	e[1].u.irqchip.irqchip = KVM_IRQCHIP_PIC_MASTER;
	check_error(route(machine, e, 2), EINVAL);
	e[2].gsi = 5;
	check_error(route(machine, e + 1, 2), EINVAL);
	e[1].u.irqchip.pin = 8;
	check_error(route(machine, e + 1, 1), EINVAL);
	e[1].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	e[1].u.irqchip.pin = 24;
	check_error(route(machine, e + 1, 1), EINVAL);
	e[1].u.irqchip.irqchip = 3;
	check_error(route(machine, e + 1, 1), EINVAL);
	e[0].flags = 1;
	check_error(route(machine, e, 1), EINVAL);
	e[2].flags = 2;
	check_error(route(machine, e + 2, 1), EINVAL);
	e[2].flags = 0;
	e[2].gsi = 4096;
	check_error(route(machine, e + 2, 1), EINVAL);
	e[2].gsi = 0;
	e[2].type = 99;
	check_error(route(machine, e + 2, 1), EINVAL);
}

/* A message to nobody is sent, and nobody has taken it. */
TEST(arguments_interrupt_for_nobody)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct kvm_msi msi = { .address_lo = LAPIC_BASE | 0xb2 << 12, .data = 0x41 };
	struct kvm_irq_level line = { .irq = 4, .level = 1 };
	struct kvm_irq_routing_entry e = { .gsi = 4,
					   .type = KVM_IRQ_ROUTING_IRQCHIP,
					   .u.irqchip = { KVM_IRQCHIP_IOAPIC, 4 } };
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	cpu_new(machine, 0);
	check_eq(kt_ioctl(machine->vm, KVM_SIGNAL_MSI, &msi), 0);
	check_ok(route(machine, &e, 1));
	check_ok(kt_ioctl(machine->vm, KVM_GET_IRQCHIP, &chip));
	chip.chip.ioapic.redirtbl[4].bits = 0x41 | 1 << 15 | 0xb2ull << 56; /* level-triggered */
	check_ok(kt_ioctl(machine->vm, KVM_SET_IRQCHIP, &chip));
	check_ok(kt_ioctl(machine->vm, KVM_IRQ_LINE_STATUS, &line));
	check_eq(line.status, 0);
	check_ok(kt_ioctl(machine->vm, KVM_GET_IRQCHIP, &chip));
	check(!chip.chip.ioapic.redirtbl[4].fields.remote_irr);
}

TEST(arguments_eventfds)
{
	struct machine *machine = machine_new(MACHINE_SPLIT);
	int event = eventfd(0, 0), pipes[2];
	struct kvm_irqfd irqfd = { .fd = (uint32_t)event, .flags = 1 << 2 };
	struct kvm_ioeventfd io = { .fd = event, .len = 4, .addr = ~0ull - 2 };
	struct kvm_msi msi = { .address_lo = LAPIC_BASE, .flags = 2 };

	check_ok(pipe(pipes));
	check_error(kt_ioctl(machine->vm, KVM_IRQFD, &irqfd), EINVAL);
	irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE; /* the user-space IOAPIC sees the EOI */
	irqfd.resamplefd = (uint32_t)event;
	check_error(kt_ioctl(machine->vm, KVM_IRQFD, &irqfd), EINVAL);
	irqfd.flags = 0;
	irqfd.fd = (uint32_t)-1;
	check_error(kt_ioctl(machine->vm, KVM_IRQFD, &irqfd), EBADF);
	irqfd.fd = (uint32_t)pipes[0];
	check_error(kt_ioctl(machine->vm, KVM_IRQFD, &irqfd), EINVAL);
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	check_error(kt_ioctl(machine->vm, KVM_IRQFD, &irqfd), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SIGNAL_MSI, &msi), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_IOEVENTFD, &io), EINVAL); /* wraps */
	io.addr = GUEST_HOLE;
	io.len = 3;
	check_error(kt_ioctl(machine->vm, KVM_IOEVENTFD, &io), EINVAL);
	io.len = 0;
	io.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
	check_error(kt_ioctl(machine->vm, KVM_IOEVENTFD, &io), EINVAL);
	io.flags = 1 << 5;
	check_error(kt_ioctl(machine->vm, KVM_IOEVENTFD, &io), EINVAL);
	io.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	check_error(kt_ioctl(machine->vm, KVM_IOEVENTFD, &io), ENOENT);
	io.fd = -1;
	check_error(kt_ioctl(machine->vm, KVM_IOEVENTFD, &io), EBADF);
	close(event);
	close(pipes[0]);
	close(pipes[1]);
}

TEST(arguments_small_settings)
{
	struct machine *machine = machine_new(0);
	struct kvm_coalesced_mmio_zone zone = { .addr = GUEST_HOLE, .size = 16, .pio = 2 };
	struct kvm_pmu_event_filter filter = { .action = 2 };
	struct kvm_clock_data clock = { .flags = 1 << 5 };
	uint64_t map = 0xfeffc000;

	check_error(kt_ioctl(machine->vm, KVM_REGISTER_COALESCED_MMIO, &zone), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_UNREGISTER_COALESCED_MMIO, &zone), EINVAL);
	check_error(kt_ioctl_int(machine->vm, KVM_SET_NR_MMU_PAGES, 63), EINVAL);
	check_error(kt_ioctl_int(machine->vm, KVM_SET_TSS_ADDR, 0xffffd001), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SET_CLOCK, &clock), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SET_PMU_EVENT_FILTER, &filter), EINVAL);
	filter.action = KVM_PMU_EVENT_DENY;
	filter.flags = 1 << 5;
	check_error(kt_ioctl(machine->vm, KVM_SET_PMU_EVENT_FILTER, &filter), EINVAL);
	filter.flags = 0;
	filter.nevents = 301;
	check_error(kt_ioctl(machine->vm, KVM_SET_PMU_EVENT_FILTER, &filter), E2BIG);
	check_error(kt_ioctl(machine->vm, KVM_MEMORY_ENCRYPT_OP, BAD), ENOTTY);
	cpu_new(machine, 0);
	check_error(kt_ioctl(machine->vm, KVM_SET_IDENTITY_MAP_ADDR, &map), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SET_IDENTITY_MAP_ADDR, BAD), EINVAL);
}

/* --- the vCPU ------------------------------------------------------------------------------------------------- */

TEST(arguments_cpuid)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry;
	} table = { .head.nent = 257, .entry = { .function = 0x80000008, .eax = 40 | 47 << 8 } };

	check_error(kt_ioctl(cpu->kt, KVM_SET_CPUID2, &table), E2BIG);
	check_error(kt_ioctl(cpu->kt, KVM_SET_CPUID, &table), E2BIG);
	/* Linear addresses have 48 or 57 bits. */
	table.head.nent = 1;
	check_error(kt_ioctl(cpu->kt, KVM_SET_CPUID2, &table), EINVAL);
	table.entry.eax = 40 | 48 << 8;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, &table));
	table.head.nent = 0;
	check_error(kt_ioctl(cpu->kt, KVM_GET_CPUID2, &table), E2BIG);
}

TEST(arguments_msrs)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_msrs msrs = { .nmsrs = 256 };

	check_error(kt_ioctl(cpu->kt, KVM_GET_MSRS, &msrs), E2BIG);
	check_error(kt_ioctl(cpu->kt, KVM_SET_MSRS, &msrs), E2BIG);
	check_error(kt_ioctl(machine->sys, KVM_GET_MSRS, &msrs), E2BIG);
	msrs.nmsrs = 0;
	check_ok(kt_ioctl(cpu->kt, KVM_GET_MSRS, &msrs));
}

TEST(arguments_machine_checks)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_x86_mce mce = { .status = 1ull << 63, .bank = 31 };
	uint64_t supported, cap;

	/* All banks until it is said how many. */
	check_eq(cpu_get_msr(cpu, 0x179, &cap), 1);
	check_eq(cap, 32);
	check_ok(kt_ioctl(cpu->kt, KVM_X86_SET_MCE, &mce));
	mce.bank = 32;
	check_error(kt_ioctl(cpu->kt, KVM_X86_SET_MCE, &mce), EINVAL);
	check_ok(kt_ioctl(cpu->machine->sys, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported));
	cap = 0;
	check_error(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, &cap), EINVAL);
	cap = 33;
	check_error(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, &cap), EINVAL);
	cap = 10 | 1ull << 30;
	check_error(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, &cap), EINVAL);
	cap = 10 | supported;
	check_ok(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, &cap));
	mce.bank = 10;
	check_error(kt_ioctl(cpu->kt, KVM_X86_SET_MCE, &mce), EINVAL);
	mce.bank = 9;
	mce.status = 0;
	check_error(kt_ioctl(cpu->kt, KVM_X86_SET_MCE, &mce), EINVAL);
}

TEST(arguments_vapic_page)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_vapic_addr address = { .vapic_addr = GUEST_HOLE };

	check_error(kt_ioctl(cpu->kt, KVM_SET_VAPIC_ADDR, &address), EINVAL);
	address.vapic_addr = MACHINE_MEMORY - 2;
	check_error(kt_ioctl(cpu->kt, KVM_SET_VAPIC_ADDR, &address), EINVAL);
	check_ok(memory_slot(machine, 1, KVM_MEM_READONLY, GUEST_HOLE, PAGE_SIZE, host_memory(PAGE_SIZE)));
	address.vapic_addr = GUEST_HOLE;
	check_error(kt_ioctl(cpu->kt, KVM_SET_VAPIC_ADDR, &address), EINVAL);
	address.vapic_addr = GUEST_DATA;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_VAPIC_ADDR, &address));
	address.vapic_addr = 0; /* off */
	check_ok(kt_ioctl(cpu->kt, KVM_SET_VAPIC_ADDR, &address));
}

TEST(arguments_tpr_reporting)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	struct kvm_tpr_access_ctl control = { .flags = 1 };

	check_error(kt_ioctl(cpu->kt, KVM_TPR_ACCESS_REPORTING, &control), EINVAL);
}

TEST(arguments_attributes)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t value;
	struct kvm_device_attr attr = { .group = 1, .addr = (uintptr_t)&value };

	check_error(kt_ioctl(cpu->kt, KVM_HAS_DEVICE_ATTR, &attr), ENXIO);
	check_error(kt_ioctl(cpu->kt, KVM_GET_DEVICE_ATTR, &attr), ENXIO);
	attr.attr = 1;
	attr.group = KVM_VCPU_TSC_CTRL;
	check_error(kt_ioctl(cpu->kt, KVM_SET_DEVICE_ATTR, &attr), ENXIO);
	attr.attr = KVM_VCPU_TSC_OFFSET;
	check_ok(kt_ioctl(cpu->kt, KVM_HAS_DEVICE_ATTR, &attr));
	attr.addr = 16;
	check_error(kt_ioctl(cpu->kt, KVM_GET_DEVICE_ATTR, &attr), EFAULT);
	check_error(kt_ioctl(cpu->kt, KVM_SET_DEVICE_ATTR, &attr), EFAULT);
	attr.attr = KVM_X86_XCOMP_GUEST_SUPP;
	attr.group = 1;
	check_error(kt_ioctl(machine->sys, KVM_GET_DEVICE_ATTR, &attr), ENXIO);
	attr.group = 0;
	check_error(kt_ioctl(machine->sys, KVM_GET_DEVICE_ATTR, &attr), EFAULT);
	attr.attr = 1;
	check_error(kt_ioctl(machine->sys, KVM_HAS_DEVICE_ATTR, &attr), ENXIO);
	/* The VM has none. */
	check_error(kt_ioctl(machine->vm, KVM_GET_DEVICE_ATTR, &attr), ENOTTY);
}

TEST(arguments_injected_debug_exception_finds_another)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB };
	struct kvm_vcpu_events events;

	REQUIRE_CAP(machine, KVM_CAP_X86_TRIPLE_FAULT_EVENT);
	machine_enable_cap(machine, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
	events = cpu_events(cpu);
	events.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	events.triple_fault.pending = 1;
	cpu_set_events(cpu, &events);
	check_error(kt_ioctl(cpu->kt, KVM_SET_GUEST_DEBUG, &debug), EBUSY);
	events.triple_fault.pending = 0;
	cpu_set_events(cpu, &events);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_GUEST_DEBUG, &debug));
	check_error(kt_ioctl(cpu->kt, KVM_SET_GUEST_DEBUG, &debug), EBUSY);
}

TEST(arguments_registers_and_clock)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_sregs2 sregs;

	check_error(kt_ioctl(cpu->kt, KVM_KVMCLOCK_CTRL, NULL), EINVAL);
	check_ok(kt_ioctl(cpu->kt, KVM_GET_SREGS2, &sregs));
	check_eq(sregs.flags, 0);
	sregs.flags = 2;
	check_error(kt_ioctl(cpu->kt, KVM_SET_SREGS2, &sregs), EINVAL);
	sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID; /* without PAE paging */
	check_error(kt_ioctl(cpu->kt, KVM_SET_SREGS2, &sregs), EINVAL);
}
