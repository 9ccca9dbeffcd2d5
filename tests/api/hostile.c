/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Hostile callers: bad pointers, bad objects, wrong orders, and what they leave behind. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../lib/guest.h"
#include "../lib/ioctls.h"

#define KERNEL_ADDRESS ((void *)0xffff888000000000ul)
#define NON_CANONICAL ((void *)0x8000000000000000ul)

struct targets {
	struct machine *machine;
	struct cpu *cpu;
	struct kt *objects[3]; /* by enum ioctl_object */
	uint8_t *hole;         /* an inaccessible page behind an accessible one */
	uint8_t *read_only;
};

static struct targets targets_new(void)
{
	struct targets targets = { .machine = machine_new(MACHINE_PIT) };

	targets.cpu = cpu_new(targets.machine, 0);
	targets.objects[IOCTL_SYSTEM] = targets.machine->sys;
	targets.objects[IOCTL_VM] = targets.machine->vm;
	targets.objects[IOCTL_VCPU] = targets.cpu->kt;
	targets.hole = host_memory(2 * PAGE_SIZE) + PAGE_SIZE;
	check_ok(mprotect(targets.hole, PAGE_SIZE, PROT_NONE));
	targets.read_only = host_memory(PAGE_SIZE);
	check_ok(mprotect(targets.read_only, PAGE_SIZE, PROT_READ));
	return targets;
}

static void expect_fault(struct targets *targets, const struct ioctl_info *info, void *pointer, const char *what)
{
	int ret = kt_ioctl(targets->objects[info->object], info->request, pointer);

	if (ret != -EFAULT)
		fail("%s with %s: %s, not EFAULT", info->name, what, ret < 0 ? test_errno_name(-ret) : "success");
}

TEST(hostile_pointers)
{
	struct targets targets = targets_new();

	for (unsigned int i = 0; i < ioctl_count; i++) {
		const struct ioctl_info *info = &ioctl_table[i];

		if (!info->size || info->skip_pointer_test)
			continue;
		if (!info->null_is_valid)
			expect_fault(&targets, info, NULL, "NULL");
		expect_fault(&targets, info, (void *)16, "a pointer into the zero page");
		expect_fault(&targets, info, targets.hole, "an inaccessible page");
		expect_fault(&targets, info, KERNEL_ADDRESS, "a kernel address");
		expect_fault(&targets, info, NON_CANONICAL, "a non-canonical address");
		if (info->size > 1)
			expect_fault(&targets, info, targets.hole - 1, "all but one byte inaccessible");
	}
}

/* Results that cannot be stored: EFAULT, and the process goes on. */
TEST(hostile_read_only_results)
{
	struct targets targets = targets_new();

	for (unsigned int i = 0; i < ioctl_count; i++) {
		const struct ioctl_info *info = &ioctl_table[i];

		if (info->direction == IOCTL_OUT && !info->skip_pointer_test)
			expect_fault(&targets, info, targets.read_only, "a read-only page");
	}
}

/* An ioctl of one object on the others: refused, nothing dereferenced. */
TEST(hostile_wrong_object)
{
	struct targets targets = targets_new();

	for (unsigned int i = 0; i < ioctl_count; i++) {
		const struct ioctl_info *info = &ioctl_table[i];

		for (int object = 0; object < 3; object++) {
			int ret;

			if (info->objects_mask & 1u << object || object == (int)info->object)
				continue;
			ret = kt_ioctl(targets.objects[object], info->request, targets.hole);
			if (ret != -EINVAL && ret != -ENOTTY)
				fail("%s on object %d: %d", info->name, object, ret);
		}
	}
}

/* Inner pointers and counts. */
TEST(hostile_inner_pointers)
{
	struct targets targets = targets_new();
	struct kvm_cpuid2 *cpuid = (void *)(targets.hole - sizeof(*cpuid));
	struct kvm_msrs *msrs = (void *)(targets.hole - sizeof(*msrs));
	struct kvm_msr_list *list = (void *)(targets.hole - sizeof(*list));
	struct kvm_irq_routing *routing = (void *)(targets.hole - sizeof(*routing));
	struct kvm_signal_mask *mask = (void *)(targets.hole - sizeof(*mask));

	memset(cpuid, 0, sizeof(*cpuid));
	cpuid->nent = 256;
	check_error(kt_ioctl(targets.machine->sys, KVM_GET_SUPPORTED_CPUID, cpuid), EFAULT);
	check_error(kt_ioctl(targets.cpu->kt, KVM_GET_CPUID2, cpuid), EFAULT);
	cpuid->nent = 10;
	check_error(kt_ioctl(targets.cpu->kt, KVM_SET_CPUID2, cpuid), EFAULT);
	memset(msrs, 0, sizeof(*msrs));
	msrs->nmsrs = 10;
	check_error(kt_ioctl(targets.cpu->kt, KVM_GET_MSRS, msrs), EFAULT);
	check_error(kt_ioctl(targets.cpu->kt, KVM_SET_MSRS, msrs), EFAULT);
	check_error(kt_ioctl(targets.machine->sys, KVM_GET_MSRS, msrs), EFAULT);
	list->nmsrs = 10000;
	check_error(kt_ioctl(targets.machine->sys, KVM_GET_MSR_INDEX_LIST, list), EFAULT);
	memset(routing, 0, sizeof(*routing));
	routing->nr = 4;
	check_error(kt_ioctl(targets.machine->vm, KVM_SET_GSI_ROUTING, routing), EFAULT);
	mask->len = 8;
	check_error(kt_ioctl(targets.cpu->kt, KVM_SET_SIGNAL_MASK, mask), EFAULT);
}

TEST(hostile_create_device)
{
	struct machine *machine = machine_new(0);
	struct kvm_create_device device = { .type = 0xdeadbeef };
	struct kt *made;

	check_error(kt_make(machine->vm, KVM_CREATE_DEVICE, &device, &made), ENODEV);
	device.type = KVM_DEV_TYPE_ARM_VGIC_V3;
	check_error(kt_make(machine->vm, KVM_CREATE_DEVICE, &device, &made), ENODEV);
	check_error(kt_make(machine->vm, KVM_CREATE_DEVICE, NULL, &made), EFAULT);
}

GUEST(one_out, 64, DONE "hlt\n");

/* Nothing is left of a vCPU that could not be given to the caller: its number is free. */
TEST(hostile_no_descriptor_for_a_vcpu)
{
	struct machine *machine = machine_new(0);
	struct rlimit limit, none;
	struct kt *made;

	if (!kt_has_fds())
		skip("the target's objects are no files");
	check_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	check_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	check_error(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)3, &made), EMFILE);
	check_error(kt_make(machine->vm, KVM_GET_STATS_FD, NULL, &made), EMFILE);
	check_error(kt_make(machine->sys, KVM_CREATE_VM, NULL, &made), EMFILE);
	check_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	check_ok(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)3, &made));
}

/* Objects outlive what they were made from. */
TEST(hostile_close_in_any_order)
{
	struct machine *machine = machine_new(MACHINE_PIT);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kt *stats;

	guest_start(cpu, GUEST_LONG, one_out);
	check_ok(kt_make(cpu->kt, KVM_GET_STATS_FD, NULL, &stats));
	kt_close(machine->sys);
	kt_close(machine->vm);
	cpu_run_to_done(cpu);
	kt_close(cpu->kt);
	check(kt_pread(stats, &(struct kvm_stats_header){ 0 }, sizeof(struct kvm_stats_header), 0) > 0);
}

TEST(hostile_run_without_cpuid)
{
	struct machine *machine = machine_new(0);
	struct cpu cpu = { .machine = machine };

	check_ok(kt_make(machine->vm, KVM_CREATE_VCPU, (void *)0, &cpu.kt));
	cpu.run_size = (size_t)kt_ioctl(machine->sys, KVM_GET_VCPU_MMAP_SIZE, NULL);
	cpu.run = kt_map(cpu.kt, cpu.run_size);
	/* Real mode needs nothing of it. */
	guest_start(&cpu, GUEST_REAL, (struct guest_code){ one_out_start, one_out_end });
	cpu_run_to_done(&cpu);
}

static unsigned int count_entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned int count = 0;

	check(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static unsigned int count_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int lines = 0;
	int c;

	check(maps);
	while ((c = fgetc(maps)) != EOF)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

/* A whole VM, run once, closed: again and again, without a descriptor or a mapping more. */
static void one_life(uint8_t *memory)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = PAGE_SIZE,
		.userspace_addr = (uintptr_t)memory,
	};
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2 };
	struct kt *sys, *vm, *vcpu;
	struct kvm_run *run;
	size_t size;

	check_ok(kt_open(&sys));
	check_ok(kt_make(sys, KVM_CREATE_VM, NULL, &vm));
	check_ok(kt_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
	check_ok(kt_make(vm, KVM_CREATE_VCPU, NULL, &vcpu));
	size = (size_t)kt_ioctl(sys, KVM_GET_VCPU_MMAP_SIZE, NULL);
	run = kt_map(vcpu, size);
	check_ok(kt_ioctl(vcpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	check_ok(kt_ioctl(vcpu, KVM_SET_SREGS, &sregs));
	check_ok(kt_ioctl(vcpu, KVM_SET_REGS, &regs));
	check_ok(kt_ioctl(vcpu, KVM_RUN, NULL));
	check_eq(run->exit_reason, KVM_EXIT_HLT);
	kt_close(vcpu);
	kt_close(vm);
	kt_close(sys);
}

TEST(hostile_nothing_is_left_behind)
{
	uint8_t *memory = host_memory(PAGE_SIZE);
	unsigned int fds, maps, threads;

	memory[0] = 0xf4; /* hlt */
	for (int i = 0; i < 5; i++)
		one_life(memory);
	fds = count_entries("/proc/self/fd");
	maps = count_maps();
	threads = count_entries("/proc/self/task");
	for (int i = 0; i < 30; i++)
		one_life(memory);
	check_eq(count_entries("/proc/self/fd"), fds);
	/* The allocator may move its boundaries; thirty lives must not show. */
	check(count_maps() < maps + 15);
	check_eq(count_entries("/proc/self/task"), threads);
}
