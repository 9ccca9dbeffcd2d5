/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <sys/mman.h>
#include "vm_tests.h"

struct fixture fx;

static int count_slot(struct vm *vm, struct memslot *slot)
{
	fx.slots_live++;
	slot->engine = &fx;
	return 0;
}

static void uncount_slot(struct vm *vm, struct memslot *slot)
{
	assert_ptr_equal(slot->engine, &fx);
	fx.slots_live--;
}

static int make_vcpu(struct vcpu *v)
{
	return 0;
}

static void drop_vcpu(struct vcpu *v)
{
}

static const struct engine_ops counting_engine = {
	.name = "counting",
	.caps = { .soft = true, .xcr0 = 7 },
	.vcpu_create = make_vcpu,
	.vcpu_destroy = drop_vcpu,
	.slot_create = count_slot,
	.slot_free = uncount_slot,
};

int fixture_setup(void **state)
{
	fx = (struct fixture){ 0 };
	fx.ram = mmap(NULL, RAM_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(fx.ram, MAP_FAILED);
	assert_int_equal(vm_create(&counting_engine, 0, &fx.vm), 0);
	return 0;
}

int fixture_teardown(void **state)
{
	if (fx.v)
		vcpu_put(fx.v);
	vm_put(fx.vm);
	assert_int_equal(fx.slots_live, 0);
	munmap(fx.ram, RAM_PAGES * PAGE);
	return 0;
}

void fixture_vcpu(void)
{
	assert_int_equal(vcpu_create(fx.vm, 0, &fx.v), 0);
}

long vm_call(u32 cmd, const void *arg)
{
	return vm_call_int(cmd, (unsigned long)arg);
}

long vm_call_int(u32 cmd, unsigned long arg)
{
	struct object made;

	return vm_ioctl(fx.vm, cmd, arg, &made);
}

long sys_call(u32 cmd, const void *arg)
{
	struct object made;

	return system_ioctl(&counting_engine, cmd, (unsigned long)arg, &made);
}

long set_slot(u32 slot, u64 gpa, u64 pages, u64 ram_page, u32 flags)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = pages * PAGE,
		.userspace_addr = (u64)(fx.ram + ram_page * PAGE),
	};

	return vm_call(KVM_SET_USER_MEMORY_REGION, &r);
}

int main(void)
{
	return vm_memslot_tests() + vm_bus_tests() + vm_cpuid_tests() + vm_msr_tests() + vm_clock_tests() +
		       vm_ioctl_tests() !=
	       0;
}
