/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <linux/kvm_para.h>
#include "msr_table.h"
#include "vm_tests.h"

static u64 get(u32 index, bool host)
{
	u64 val = 0xdead;

	assert_int_equal(vcpu_get_msr(fx.v, index, &val, host), MSR_OK);
	return val;
}

#define CHECK_SET(index, val, host, r) assert_int_equal(vcpu_set_msr(fx.v, index, val, host), r)

static void table_is_sorted(void **state)
{
	u32 i;

	for (i = 0; i < msr_table_size; i++) {
		const struct msr_desc *d = &msr_table[i];

		assert_true(d->first <= d->last);
		if (i)
			assert_true(d[-1].last < d->first);
		if (d->flags & (MSR_SAVED | MSR_EMULATED) || d->feature)
			assert_true(d->first == d->last);
		if (d->where == AT_MSRS)
			assert_true(d->offset + 8 <= sizeof(struct msr_state));
		assert_ptr_equal(msr_find(d->first), d);
		assert_ptr_equal(msr_find(d->last), d);
	}
	assert_null(msr_find(0x2));
	assert_null(msr_find(0xffffffff));
}

static struct {
	struct kvm_msr_list head;
	u32 index[512];
} list;

/* What is listed can be read by user space, and written back as read: VMMs save and restore it. */
static void listed_can_be_saved_and_restored(void **state)
{
	u32 i;

	fixture_vcpu();
	list.head.nmsrs = 1;
	assert_int_equal(sys_call(KVM_GET_MSR_INDEX_LIST, &list), -E2BIG);
	assert_int_equal(sys_call(KVM_GET_MSR_INDEX_LIST, &list), 0);
	assert_true(list.head.nmsrs > 25);
	for (i = 0; i < list.head.nmsrs; i++)
		CHECK_SET(list.index[i], get(list.index[i], true), true, MSR_OK);
	list.head.nmsrs = 512;
	assert_int_equal(sys_call(KVM_GET_MSR_FEATURE_INDEX_LIST, &list), 0);
	assert_true(list.head.nmsrs >= 2);
	for (i = 0; i < list.head.nmsrs; i++) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry e;
		} one = { { 1, 0 }, { list.index[i], 0, 0 } };

		assert_int_equal(sys_call(KVM_GET_MSRS, &one), 1);
		CHECK_SET(list.index[i], one.e.data, true, MSR_OK);
	}
}

static void guest_and_host_rules(void **state)
{
	fixture_vcpu();
	CHECK_SET(0x12345, 0, true, MSR_UNKNOWN);
	CHECK_SET(X86_MSR_LSTAR, 1ull << 47, false, MSR_INVALID);
	CHECK_SET(X86_MSR_LSTAR, 0xffff800000000000, false, MSR_OK);
	assert_int_equal(fx.v->state.lstar, 0xffff800000000000);
	CHECK_SET(X86_MSR_GS_BASE, 0x7fff00000000, false, MSR_OK);
	assert_int_equal(fx.v->state.seg[SEG_GS].base, 0x7fff00000000);
	CHECK_SET(X86_MSR_PAT, 2, false, MSR_INVALID);
	CHECK_SET(X86_MSR_PAT, 0x0407050600070106, false, MSR_OK);
	CHECK_SET(0x8b, 1234, true, MSR_OK);
	CHECK_SET(0x8b, 0, false, MSR_OK);
	assert_int_equal(get(0x8b, false), 1234);
	CHECK_SET(0xc1, 5, false, MSR_OK); /* ignored */
	assert_int_equal(get(0xc1, false), 0);
	CHECK_SET(0xfe, 0, true, MSR_UNKNOWN); /* read-only */
	assert_int_equal(get(0xfe, false), 0x508);
	CHECK_SET(X86_MSR_EFER, 1 << 8, true, MSR_OK);
	CHECK_SET(X86_MSR_EFER, 1 << 1, true, MSR_INVALID);
	CHECK_SET(0xce, 0xff00, true, MSR_OK);
	CHECK_SET(0xce, 0, false, MSR_INVALID);
	assert_int_equal(get(0xce, false), 0xff00);
	CHECK_SET(0x1a0, get(0x1a0, false) ^ (1 << 12), false, MSR_INVALID);
	CHECK_SET(0x1a0, get(0x1a0, false) | 1, false, MSR_OK);
	CHECK_SET(0xc0010015, 1 << 6, false, MSR_OK);
	CHECK_SET(0xc0010015, 1 << 24, false, MSR_OK);
	CHECK_SET(0xc0010015, 1 << 0, false, MSR_INVALID);
	CHECK_SET(0x800, 0, true, MSR_INVALID); /* no LAPIC here */
	CHECK_SET(0xda0, 1, true, MSR_INVALID);
}

static void mtrrs(void **state)
{
	fixture_vcpu();
	fx.v->state.maxphyaddr = 40;
	CHECK_SET(0x200, 0x80000006, false, MSR_OK);
	CHECK_SET(0x200, 0x80000002, false, MSR_INVALID);
	CHECK_SET(0x200, 1ull << 40, false, MSR_INVALID);
	CHECK_SET(0x201, 0xff80000800, false, MSR_OK);
	CHECK_SET(0x201, 0x1, false, MSR_INVALID);
	CHECK_SET(0x20f, 0x800, false, MSR_OK);
	CHECK_SET(0x210, 0, false, MSR_UNKNOWN);
	CHECK_SET(0x250, 0x0606060606060606, false, MSR_OK);
	CHECK_SET(0x259, 0x0606060606060603, false, MSR_INVALID);
	CHECK_SET(0x26f, 0x0505050505050505, false, MSR_OK);
	CHECK_SET(0x2ff, 0xc06, false, MSR_OK);
	CHECK_SET(0x2ff, 0x1006, false, MSR_INVALID);
	assert_int_equal(get(0x200, false), 0x80000006);
	assert_int_equal(get(0x201, false), 0xff80000800);
	assert_int_equal(get(0x20f, false), 0x800);
	assert_int_equal(get(0x250, false), 0x0606060606060606);
	assert_int_equal(get(0x259, false), 0);
	assert_int_equal(get(0x26f, false), 0x0505050505050505);
	assert_int_equal(get(0x2ff, false), 0xc06);
}

static void paravirtual_needs_its_feature_when_enforced(void **state)
{
	fixture_vcpu();
	CHECK_SET(MSR_KVM_POLL_CONTROL, 1, false, MSR_OK);
	CHECK_SET(MSR_KVM_POLL_CONTROL, 2, false, MSR_INVALID);
	fx.v->pv_enforce = true;
	CHECK_SET(MSR_KVM_POLL_CONTROL, 1, false, MSR_UNKNOWN);
	CHECK_SET(MSR_KVM_SYSTEM_TIME_NEW, 0, false, MSR_UNKNOWN);
	fx.v->pv_features = BIT(KVM_FEATURE_POLL_CONTROL);
	CHECK_SET(MSR_KVM_POLL_CONTROL, 1, false, MSR_OK);
}

static void machine_check(void **state)
{
	struct kvm_x86_mce mce = { .status = 1ull << 63, .addr = 0x1000, .bank = 2 };

	fixture_vcpu();
	assert_int_equal(get(0x179, false), 32); /* all, until it is said how many */
	assert_int_equal(mce_setup(fx.v, 0), -EINVAL);
	assert_int_equal(mce_setup(fx.v, 33), -EINVAL);
	assert_int_equal(mce_setup(fx.v, 10 | 1 << 27), -EINVAL);
	assert_int_equal(mce_setup(fx.v, 10 | mce_supported_cap), 0);
	assert_int_equal(get(0x179, false), 10 | mce_supported_cap);
	assert_true(get(0x400 + 4 * 9, false) == ~0ull);
	CHECK_SET(0x400 + 4 * 10, 0, true, MSR_INVALID);
	CHECK_SET(0x400, 1, false, MSR_INVALID);
	CHECK_SET(0x401, 1, false, MSR_INVALID);
	CHECK_SET(0x401, 1, true, MSR_OK);
	CHECK_SET(0x17b, 5, true, MSR_INVALID);
	/* A corrected error is logged; a second one notes the overflow. */
	assert_int_equal(mce_inject(fx.v, &mce), 0);
	assert_true(get(0x409, false) == mce.status);
	assert_int_equal(get(0x40a, false), 0x1000);
	assert_int_equal(mce_inject(fx.v, &mce), 0);
	assert_true(get(0x409, false) == (mce.status | 1ull << 62));
	/* An uncorrected one with CR4.MCE clear: shutdown. */
	mce.status |= 1ull << 61 | 1ull << 57;
	assert_int_equal(mce_inject(fx.v, &mce), 0);
	assert_true(fx.v->requests & REQ_TRIPLE_FAULT);
	fx.v->state.cr4 |= CR4_MCE;
	mce.mcg_status = 5;
	assert_int_equal(mce_inject(fx.v, &mce), 0);
	assert_true(fx.v->ev.exc.pending && fx.v->ev.exc.nr == X86_EXC_MC);
	assert_int_equal(get(0x17a, false), 5);
	mce.bank = 10;
	assert_int_equal(mce_inject(fx.v, &mce), -EINVAL);
}

static void ioctl_counts_up_to_the_first_failure(void **state)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[256];
	} m = { .head.nmsrs = 3 };

	fixture_vcpu();
	m.e[0].index = X86_MSR_STAR;
	m.e[0].data = 42;
	m.e[1].index = 0x12345;
	m.e[2].index = X86_MSR_CSTAR;
	m.e[2].data = 43;
	assert_int_equal(msr_ioctl(fx.v, (unsigned long)&m, true), 1);
	assert_int_equal(get(X86_MSR_STAR, true), 42);
	assert_int_equal(get(X86_MSR_CSTAR, true), 0);
	m.e[0].data = 0;
	assert_int_equal(msr_ioctl(fx.v, (unsigned long)&m, false), 1);
	assert_int_equal(m.e[0].data, 42);
	m.head.nmsrs = 256;
	assert_int_equal(msr_ioctl(fx.v, (unsigned long)&m, false), -E2BIG);
	m.head.nmsrs = 0;
	assert_int_equal(msr_ioctl(fx.v, (unsigned long)&m, false), 0);
}

static void filters(void **state)
{
	u8 bits[8] = { 0x02 };
	struct kvm_msr_filter f = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };

	fixture_vcpu();
	assert_int_equal(vm_call(KVM_X86_SET_MSR_FILTER, &f), -EINVAL);
	f.ranges[3] = (struct kvm_msr_filter_range){ KVM_MSR_FILTER_READ, 10, 0x100, bits };
	assert_int_equal(vm_call(KVM_X86_SET_MSR_FILTER, &f), 0);
	assert_true(vcpu_msr_allowed(fx.v, 0x101, false));
	assert_false(vcpu_msr_allowed(fx.v, 0x100, false));
	assert_false(vcpu_msr_allowed(fx.v, 0x101, true));
	assert_false(vcpu_msr_allowed(fx.v, 0x10a, false));
	assert_true(vcpu_msr_allowed(fx.v, 0x808, true));
	f.ranges[3].flags = 4;
	assert_int_equal(vm_call(KVM_X86_SET_MSR_FILTER, &f), -EINVAL);
	f.ranges[3].flags = 3;
	f.ranges[3].nmsrs = 0x600 * 8 + 1;
	assert_int_equal(vm_call(KVM_X86_SET_MSR_FILTER, &f), -EINVAL);
	assert_false(vcpu_msr_allowed(fx.v, 0x100, false));
	memset(&f, 0, sizeof(f));
	assert_int_equal(vm_call(KVM_X86_SET_MSR_FILTER, &f), 0);
	assert_true(vcpu_msr_allowed(fx.v, 0x100, true));
}

int vm_msr_tests(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(table_is_sorted),
		VM_TEST(listed_can_be_saved_and_restored),
		VM_TEST(guest_and_host_rules),
		VM_TEST(mtrrs),
		VM_TEST(paravirtual_needs_its_feature_when_enforced),
		VM_TEST(machine_check),
		VM_TEST(ioctl_counts_up_to_the_first_failure),
		VM_TEST(filters),
	};

	return cmocka_run_group_tests_name("MSRs", tests, NULL, NULL);
}
