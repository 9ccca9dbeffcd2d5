/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <string.h>
#include "vm_tests.h"

static void system_ioctls(void **state)
{
	struct kvm_device_attr attr = { .attr = KVM_X86_XCOMP_GUEST_SUPP };
	struct vm *vm;
	u64 val = 0;

	assert_int_equal(sys_call(KVM_GET_API_VERSION, NULL), 12);
	assert_int_equal(sys_call(KVM_GET_API_VERSION, (void *)1), -EINVAL);
	assert_int_equal(sys_call(KVM_GET_VCPU_MMAP_SIZE, NULL), 3 * PAGE);
	assert_int_equal(sys_call(KVM_X86_GET_MCE_CAP_SUPPORTED, &val), 0);
	assert_int_equal(val, mce_supported_cap);
	attr.addr = (u64)&val;
	assert_int_equal(sys_call(KVM_GET_DEVICE_ATTR, &attr), 0);
	assert_true(val == cpuid_supported_xcr0() && val & 1);
	assert_int_equal(sys_call(KVM_HAS_DEVICE_ATTR, &attr), 0);
	attr.group = 1;
	assert_int_equal(sys_call(KVM_HAS_DEVICE_ATTR, &attr), -ENXIO);
	assert_int_equal(sys_call(KVM_RUN, NULL), -EINVAL);
	assert_int_equal(vm_create(fx.vm->engine, 1, &vm), -EINVAL);
}

static void unknown_and_dead(void **state)
{
	assert_int_equal(vm_call_int(KVM_RUN, 0), -ENOTTY);
	assert_int_equal(vm_call_int(KVM_MEMORY_ENCRYPT_OP, 0), -ENOTTY);
	fx.vm->dead = true;
	assert_int_equal(vm_call_int(KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), -EIO);
	fx.vm->dead = false;
}

static void settings_before_vcpus(void **state)
{
	struct kvm_enable_cap ids = { .cap = KVM_CAP_MAX_VCPU_ID, .args = { 2 } };
	u64 addr = 0xfeffc000;

	assert_int_equal(vm_call_int(KVM_SET_TSS_ADDR, 0xfffbd000), 0);
	assert_int_equal(vm_call_int(KVM_SET_TSS_ADDR, 0xffffe000), -EINVAL);
	assert_int_equal(vm_call_int(KVM_SET_NR_MMU_PAGES, 63), -EINVAL);
	assert_int_equal(vm_call_int(KVM_SET_NR_MMU_PAGES, 64), 0);
	assert_int_equal(vm_call_int(KVM_GET_NR_MMU_PAGES, 0), 64);
	assert_int_equal(vm_call_int(KVM_SET_BOOT_CPU_ID, 1ul << 32), -EINVAL);
	assert_int_equal(vm_call_int(KVM_SET_BOOT_CPU_ID, 3), 0);
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &ids), -EINVAL); /* the boot CPU's would not fit */
	assert_int_equal(vm_call(KVM_SET_IDENTITY_MAP_ADDR, &addr), 0);
	fixture_vcpu();
	assert_int_equal(vm_call_int(KVM_SET_BOOT_CPU_ID, 3), -EBUSY);
	assert_int_equal(vm_call(KVM_SET_IDENTITY_MAP_ADDR, &addr), -EINVAL);
	assert_int_equal(vm_call_int(KVM_SET_TSC_KHZ, 1000000), 0);
	assert_int_equal(vm_call_int(KVM_GET_TSC_KHZ, 0), 1000000);
}

static void capabilities(void **state)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API, .args = { 3 } };

	assert_int_equal(vm_call_int(KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), 1);
	assert_int_equal(sys_call(KVM_CHECK_EXTENSION, (void *)KVM_CAP_COALESCED_MMIO), 2);
	assert_int_equal(sys_call(KVM_CHECK_EXTENSION, (void *)KVM_CAP_NESTED_STATE), 0);
	assert_int_equal(sys_call(KVM_CHECK_EXTENSION, (void *)0xffffffff00000003), 0);
	assert_true(sys_call(KVM_CHECK_EXTENSION, (void *)KVM_CAP_XSAVE2) >= 4096);
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), 0);
	assert_int_equal(fx.vm->x2apic_flags, 3);
	cap.args[0] = 4;
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), -EINVAL);
	cap.args[0] = 1;
	cap.flags = 1;
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), -EINVAL);
	cap = (struct kvm_enable_cap){ .cap = KVM_CAP_MAX_VCPU_ID, .args = { 9 } };
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), 0);
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), 0);
	cap.args[0] = 10;
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), -EINVAL);
	cap.cap = KVM_CAP_HYPERV;
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), -EINVAL);
}

static void no_device_types(void **state)
{
	struct kvm_create_device cd = { .type = KVM_DEV_TYPE_VFIO };

	assert_int_equal(vm_call(KVM_CREATE_DEVICE, &cd), -ENODEV);
}

static void pmu_filter_is_checked(void **state)
{
	struct kvm_pmu_event_filter f = { .action = KVM_PMU_EVENT_DENY };

	assert_int_equal(vm_call(KVM_SET_PMU_EVENT_FILTER, &f), 0);
	f.action = 7;
	assert_int_equal(vm_call(KVM_SET_PMU_EVENT_FILTER, &f), -EINVAL);
	f.action = 0;
	f.nevents = 301;
	assert_int_equal(vm_call(KVM_SET_PMU_EVENT_FILTER, &f), -E2BIG);
}

/* Walk the file as a reader of the format does, in one piece and byte by byte. */
static void statistics(void **state)
{
	static u8 whole[16384], bytes[16384];
	struct kvm_stats_header *h = (void *)whole;
	struct object made;
	long n, i;
	u32 d;
	bool found = false;

	fixture_vcpu();
	fx.v->stat->halt_exits = 77;
	assert_int_equal(stats_open(fx.vm, fx.v, &made.stats), 0);
	made.type = OBJ_STATS;
	n = stats_read(made.stats, whole, sizeof(whole), 0);
	assert_true(n > (long)sizeof(*h));
	assert_int_equal(n, h->data_offset + h->num_desc * 8);
	for (i = 0; i < n; i++)
		assert_int_equal(stats_read(made.stats, bytes + i, 1, i), 1);
	assert_memory_equal(whole, bytes, n);
	assert_int_equal(stats_read(made.stats, bytes, 1, n), 0);
	assert_int_equal(stats_read(made.stats, bytes, 1, -1), -EINVAL);
	assert_string_equal((char *)whole + h->id_offset, "kvm-anykvm/vcpu-0");
	for (d = 0; d < h->num_desc; d++) {
		struct kvm_stats_desc *s = (void *)(whole + h->desc_offset + d * (sizeof(*s) + h->name_size));

		assert_int_equal(s->size, 1);
		assert_true(s->name[0] && strnlen(s->name, h->name_size) < h->name_size);
		if (!strcmp(s->name, "halt_exits")) {
			assert_int_equal(*(u64 *)(whole + h->data_offset + s->offset), 77);
			found = true;
		}
	}
	assert_true(found);
	object_put(&made);
}

int vm_ioctl_tests(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(system_ioctls), VM_TEST(unknown_and_dead), VM_TEST(settings_before_vcpus),
		VM_TEST(capabilities),  VM_TEST(no_device_types),  VM_TEST(pmu_filter_is_checked),
		VM_TEST(statistics),
	};

	return cmocka_run_group_tests_name("system and VM ioctls", tests, NULL, NULL);
}
