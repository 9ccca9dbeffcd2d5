/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../cli/kvmnames.h"

#define TSS_ADDRESS 0xfffbd000ul /* for KVM_SET_TSS_ADDR: three pages below 4 GiB */
#define IDENTITY_MAP_ADDRESS 0xfffbc000ul
#define MAX_CPUID_ENTRIES 256

void *host_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap of %zu bytes: %s", size, strerror(errno));
	return memory;
}

int memory_slot(struct machine *machine, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return kt_ioctl(machine->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

int machine_cap(struct machine *machine, int cap)
{
	return kt_ioctl_int(machine->vm, KVM_CHECK_EXTENSION, (unsigned long)cap);
}

void require_cap(struct machine *machine, int cap, const char *name)
{
	if (machine_cap(machine, cap) <= 0)
		skip("the target has no %s", name);
}

void machine_enable_cap(struct machine *machine, uint32_t cap, uint64_t arg0)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg0 } };

	check_ok(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable));
}

struct machine *machine_new(unsigned int flags)
{
	static struct machine machines[4];
	static int used;
	struct machine *machine;

	check(used < 4);
	machine = &machines[used++];
	if (flags & MACHINE_PIT)
		flags |= MACHINE_IRQCHIP;
	check_ok(kt_open(&machine->sys));
	check_ok(kt_make(machine->sys, KVM_CREATE_VM, 0, &machine->vm));
	check_ok(kt_ioctl_int(machine->vm, KVM_SET_TSS_ADDR, TSS_ADDRESS));
	if (!(flags & MACHINE_EMPTY)) {
		machine->mem = host_memory(MACHINE_MEMORY);
		check_ok(memory_slot(machine, 0, 0, 0, MACHINE_MEMORY, machine->mem));
	}
	if (flags & MACHINE_IRQCHIP)
		check_ok(kt_ioctl(machine->vm, KVM_CREATE_IRQCHIP, NULL));
	if (flags & MACHINE_PIT) {
		struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

		check_ok(kt_ioctl(machine->vm, KVM_CREATE_PIT2, &config));
	}
	if (flags & MACHINE_SPLIT) {
		REQUIRE_CAP(machine, KVM_CAP_SPLIT_IRQCHIP);
		machine_enable_cap(machine, KVM_CAP_SPLIT_IRQCHIP, 24);
	}
	return machine;
}

struct kvm_cpuid2 *cpuid_supported(struct machine *machine)
{
	struct kvm_cpuid2 *cpuid = host_memory(sizeof(*cpuid) + MAX_CPUID_ENTRIES * sizeof(cpuid->entries[0]));

	cpuid->nent = MAX_CPUID_ENTRIES;
	check_ok(kt_ioctl(machine->sys, KVM_GET_SUPPORTED_CPUID, cpuid));
	return cpuid;
}

struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function != function)
			continue;
		if (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == index)
			return entry;
	}
	return NULL;
}

struct cpu *cpu_new(struct machine *machine, unsigned int id)
{
	static struct cpu cpus[16];
	static int used;
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct kvm_cpuid_entry2 *features = cpuid_find(cpuid, 1, 0);
	struct cpu *cpu;
	int size;

	check(used < 16);
	cpu = &cpus[used++];
	cpu->machine = machine;
	cpu->id = id;
	check_ok(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)(uintptr_t)id, &cpu->kt));
	size = kt_ioctl(machine->sys, KVM_GET_VCPU_MMAP_SIZE, NULL);
	check_ok(size);
	cpu->run_size = (size_t)size;
	cpu->run = kt_map(cpu->kt, cpu->run_size);
	check(cpu->run);
	check(features);
	features->ebx = (features->ebx & 0x00ffffff) | id << 24;
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	return cpu;
}

struct kvm_regs cpu_regs(struct cpu *cpu)
{
	struct kvm_regs regs;

	check_ok(kt_ioctl(cpu->kt, KVM_GET_REGS, &regs));
	return regs;
}

void cpu_set_regs(struct cpu *cpu, const struct kvm_regs *regs)
{
	struct kvm_regs copy = *regs;

	check_ok(kt_ioctl(cpu->kt, KVM_SET_REGS, &copy));
}

struct kvm_sregs cpu_sregs(struct cpu *cpu)
{
	struct kvm_sregs sregs;

	check_ok(kt_ioctl(cpu->kt, KVM_GET_SREGS, &sregs));
	return sregs;
}

void cpu_set_sregs(struct cpu *cpu, const struct kvm_sregs *sregs)
{
	struct kvm_sregs copy = *sregs;

	check_ok(kt_ioctl(cpu->kt, KVM_SET_SREGS, &copy));
}

struct kvm_vcpu_events cpu_events(struct cpu *cpu)
{
	struct kvm_vcpu_events events;

	check_ok(kt_ioctl(cpu->kt, KVM_GET_VCPU_EVENTS, &events));
	return events;
}

void cpu_set_events(struct cpu *cpu, const struct kvm_vcpu_events *events)
{
	struct kvm_vcpu_events copy = *events;

	check_ok(kt_ioctl(cpu->kt, KVM_SET_VCPU_EVENTS, &copy));
}

struct one_msr {
	struct kvm_msrs header;
	struct kvm_msr_entry entry;
};

int cpu_get_msr(struct cpu *cpu, uint32_t index, uint64_t *value)
{
	struct one_msr msr = { .header.nmsrs = 1, .entry.index = index };
	int ret = kt_ioctl(cpu->kt, KVM_GET_MSRS, &msr);

	*value = msr.entry.data;
	return ret;
}

int cpu_set_msr(struct cpu *cpu, uint32_t index, uint64_t value)
{
	struct one_msr msr = { .header.nmsrs = 1, .entry = { .index = index, .data = value } };

	return kt_ioctl(cpu->kt, KVM_SET_MSRS, &msr);
}

const char *exit_name(uint32_t exit_reason)
{
	const char *name = kvm_exit_name(exit_reason);

	return name ? name : "other";
}

/* What an unexpected exit says about itself, in at most size bytes. */
static void describe_exit(struct cpu *cpu, char *text, size_t size)
{
	struct kvm_run *run = cpu->run;
	struct kvm_regs regs = cpu_regs(cpu);
	int used =
		snprintf(text, size, "%s (%u) at rip %#llx", exit_name(run->exit_reason), run->exit_reason, regs.rip);

	if (used < 0 || (size_t)used >= size)
		return;
	text += used;
	size -= (size_t)used;
	if (run->exit_reason == KVM_EXIT_IO)
		snprintf(text, size, ", %s port %#x size %u count %u", run->io.direction ? "out" : "in", run->io.port,
			 run->io.size, run->io.count);
	else if (run->exit_reason == KVM_EXIT_MMIO)
		snprintf(text, size, ", %s %#llx len %u", run->mmio.is_write ? "write" : "read", run->mmio.phys_addr,
			 run->mmio.len);
	else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		snprintf(text, size, ", suberror %u", run->internal.suberror);
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		snprintf(text, size, ", hardware reason %#llx", run->fail_entry.hardware_entry_failure_reason);
	else if (run->exit_reason == KVM_EXIT_UNKNOWN)
		snprintf(text, size, ", hardware reason %#llx", run->hw.hardware_exit_reason);
}

void check_exit_at(struct cpu *cpu, uint32_t exit_reason, const char *file, int line)
{
	char text[200];

	if (cpu->run->exit_reason == exit_reason)
		return;
	describe_exit(cpu, text, sizeof(text));
	test_fail(file, line, "exit %s, not %s", text, exit_name(exit_reason));
}

int cpu_run(struct cpu *cpu)
{
	return kt_ioctl(cpu->kt, KVM_RUN, NULL);
}

void cpu_run_to_at(struct cpu *cpu, uint32_t exit_reason, const char *file, int line)
{
	int ret = cpu_run(cpu);

	if (ret < 0)
		test_fail(file, line, "KVM_RUN: %s", test_errno_name(-ret));
	check_exit_at(cpu, exit_reason, file, line);
}

uint32_t cpu_run_to_out_at(struct cpu *cpu, uint16_t port, const char *file, int line)
{
	struct kvm_run *run = cpu->run;
	uint32_t value = 0;
	char text[200];

	cpu_run_to_at(cpu, KVM_EXIT_IO, file, line);
	if (run->io.direction != KVM_EXIT_IO_OUT || run->io.port != port || run->io.count != 1) {
		describe_exit(cpu, text, sizeof(text));
		test_fail(file, line, "exit %s, not an OUT to port %#x", text, port);
	}
	memcpy(&value, io_data(cpu), run->io.size);
	return value;
}

/* --- statistics ------------------------------------------------------------------------------------- */

static void *read_stats(struct kt *stats, size_t size, long long offset)
{
	void *data = calloc(1, size + 1);

	check_eq(kt_pread(stats, data, size, offset), (long)size);
	return data;
}

uint64_t stat_value(struct kt *object, const char *wanted, bool *found)
{
	struct kvm_stats_header *header;
	struct kt *stats;
	uint64_t value = 0;
	uint8_t *descriptors;
	char *id;
	size_t size;

	*found = false;
	check_ok(kt_make(object, KVM_GET_STATS_FD, NULL, &stats));
	header = read_stats(stats, sizeof(*header), 0);
	check_eq(header->flags, 0);
	check(header->name_size > 0 && header->num_desc > 0);
	check(header->id_offset >= sizeof(*header));
	check(header->desc_offset >= header->id_offset + header->name_size);
	id = read_stats(stats, header->name_size, header->id_offset);
	check_eq(strncmp(id, "kvm-", 4), 0);
	size = sizeof(struct kvm_stats_desc) + header->name_size;
	descriptors = read_stats(stats, size * header->num_desc, header->desc_offset);
	for (uint32_t i = 0; i < header->num_desc; i++) {
		struct kvm_stats_desc *desc = (void *)(descriptors + i * size);
		uint64_t *data;

		check((desc->flags & KVM_STATS_TYPE_MASK) <= KVM_STATS_TYPE_MAX);
		check(desc->size > 0);
		check(strnlen(desc->name, header->name_size) < header->name_size);
		data = read_stats(stats, desc->size * 8ul, (long long)header->data_offset + desc->offset);
		if (!strcmp(desc->name, wanted)) {
			*found = true;
			value = data[0];
		}
		free(data);
	}
	/* At the end there is nothing more to read. */
	check_eq(kt_pread(stats, id, 1, 1ll << 30), 0);
	free(descriptors);
	free(id);
	free(header);
	kt_close(stats);
	return value;
}
