/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <linux/kvm_para.h>
#include <unistd.h>
#include "vm_tests.h"

struct page_time {
	u32 version, pad0;
	u64 tsc, ns;
	u32 mul;
	s8 shift;
	u8 flags;
} __packed;

static u64 second(void)
{
	return (u64)host_tsc_khz() * 1000;
}

static bool near(u64 a, u64 b, u64 slack)
{
	return a < b ? b - a < slack : a - b < slack;
}

/* What a busy machine may put between two looks at a clock; what is compared differs by much more if it is wrong. */
#define PAUSE_SECONDS 50
#define PAUSE_NS (PAUSE_SECONDS * 1000000000ull)

static struct page_time *time_page(void)
{
	int idx;

	assert_int_equal(set_slot(0, 0, 4, 0, 0), 0);
	assert_int_equal(vcpu_set_msr(fx.v, MSR_KVM_SYSTEM_TIME_NEW, 0x100 | 1, false), MSR_OK);
	assert_true(fx.v->requests & REQ_CLOCK_UPDATE);
	idx = host_srcu_read_lock(&fx.vm->srcu);
	vcpu_clock_update(fx.v);
	host_srcu_read_unlock(&fx.vm->srcu, idx);
	return (struct page_time *)(fx.ram + 0x100);
}

/* What a guest computes from its TSC and the page. */
static u64 guest_clock(const struct page_time *p)
{
	u64 delta = vcpu_read_tsc(fx.v) - p->tsc;

	delta = p->shift < 0 ? delta >> -p->shift : delta << p->shift;
	return p->ns + (u64)((u128)delta * p->mul >> 32);
}

static void scale_is_exact(void **state)
{
	static const u32 khz[] = { 1000, 999999, 1000000, 2000000, 2599998, 3999999, 4000000, 4294967 };
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		u64 cycles = (u64)khz[i] * 1000 * 100, ns;
		s8 shift;
		u32 mul;

		clock_scale(khz[i], &shift, &mul);
		assert_true(mul >> 31);
		cycles = shift < 0 ? cycles >> -shift : cycles << shift;
		ns = (u64)((u128)cycles * mul >> 32);
		assert_true(near(ns, 100000000000ull, 100)); /* of 100 s */
	}
}

/* The guest's clock, read between two looks at the host's. */
static bool agree(struct page_time *p, u64 slack)
{
	u64 a = kvmclock_now(fx.vm), b = guest_clock(p), c = kvmclock_now(fx.vm);

	return a <= b + slack && b <= c + slack;
}

static void guest_and_host_agree(void **state)
{
	struct page_time *p;

	fixture_vcpu();
	p = time_page();
	assert_int_equal(p->version & 1, 0);
	assert_true(p->version > 0);
	assert_true(p->flags & 1); /* one vCPU: its TSC is stable */
	assert_true(agree(p, 2));
	assert_true(kvmclock_now(fx.vm) < PAUSE_NS);
	/* With a scaled TSC as well. */
	assert_int_equal(vcpu_set_tsc_khz(fx.v, host_tsc_khz() * 2), 0);
	vcpu_clock_update(fx.v);
	assert_true(agree(p, 100000));
	assert_int_equal(vcpu_set_tsc_khz(fx.v, host_tsc_khz() / 3), 0);
	vcpu_clock_update(fx.v);
	assert_true(agree(p, 100000));
}

static void paused_flag_is_told_once_and_kept(void **state)
{
	struct page_time *p;

	fixture_vcpu();
	assert_int_equal(vcpu_kvmclock_ctrl(fx.v), -EINVAL);
	p = time_page();
	assert_int_equal(p->flags & 2, 0);
	assert_int_equal(vcpu_kvmclock_ctrl(fx.v), 0);
	vcpu_clock_update(fx.v);
	assert_true(p->flags & 2);
	vcpu_clock_update(fx.v);
	assert_true(p->flags & 2); /* until the guest clears it */
	p->flags &= ~2;
	vcpu_clock_update(fx.v);
	assert_int_equal(p->flags & 2, 0);
}

static void set_and_get_clock(void **state)
{
	struct kvm_clock_data d = { .clock = 1000000000000ull }, now;

	fixture_vcpu();
	assert_int_equal(vm_call(KVM_SET_CLOCK, &d), 0);
	assert_int_equal(vm_call(KVM_GET_CLOCK, &now), 0);
	assert_true(now.clock >= d.clock && now.clock < d.clock + PAUSE_NS);
	assert_int_equal(now.flags, KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC);
	assert_true(near(now.realtime, host_realtime_ns(), PAUSE_NS));
	/* As if the state had been read 500 s ago. */
	now.realtime -= 500000000000ull;
	assert_int_equal(vm_call(KVM_SET_CLOCK, &now), 0);
	assert_int_equal(vm_call(KVM_GET_CLOCK, &d), 0);
	assert_true(near(d.clock, now.clock + 500000000000ull, PAUSE_NS));
	d.flags = 16;
	assert_int_equal(vm_call(KVM_SET_CLOCK, &d), -EINVAL);
}

static void wall_clock(void **state)
{
	u32 *w;
	u64 now;

	fixture_vcpu();
	assert_int_equal(set_slot(0, 0, 4, 0, 0), 0);
	assert_int_equal(vcpu_set_msr(fx.v, MSR_KVM_WALL_CLOCK_NEW, 0x200, false), MSR_OK);
	w = (u32 *)(fx.ram + 0x200);
	assert_true(w[0] && !(w[0] & 1));
	now = w[1] * 1000000000ull + w[2] + kvmclock_now(fx.vm);
	assert_true(near(now, host_realtime_ns(), PAUSE_NS));
}

static u64 tsc(struct vcpu *v)
{
	return vcpu_read_tsc(v);
}

static void tsc_writes_are_synchronised(void **state)
{
	struct vcpu *b;
	struct kvm_clock_data d;

	fixture_vcpu();
	assert_true(tsc(fx.v) < PAUSE_SECONDS * second()); /* starts near 0 */
	usleep(20000);
	assert_int_equal(vcpu_create(fx.vm, 1, &b), 0);
	assert_int_equal(b->tsc_offset, fx.v->tsc_offset);
	vm_call(KVM_GET_CLOCK, &d);
	assert_true(d.flags & KVM_CLOCK_TSC_STABLE);
	/* The same value a little later means the same time; another one does not. */
	vcpu_set_msr(fx.v, X86_MSR_TSC, 100 * second(), true);
	usleep(1000);
	vcpu_set_msr(b, X86_MSR_TSC, 100 * second(), true);
	assert_int_equal(b->tsc_offset, fx.v->tsc_offset);
	vcpu_set_msr(b, X86_MSR_TSC, 200 * second(), true);
	assert_true(near(tsc(b), 200 * second(), PAUSE_SECONDS * second()));
	assert_true(near(tsc(fx.v), 100 * second(), PAUSE_SECONDS * second()));
	vm_call(KVM_GET_CLOCK, &d);
	assert_int_equal(d.flags & KVM_CLOCK_TSC_STABLE, 0);
	vcpu_set_msr(fx.v, X86_MSR_TSC, 200 * second(), true);
	assert_int_equal(b->tsc_offset, fx.v->tsc_offset);
	vm_call(KVM_GET_CLOCK, &d);
	assert_true(d.flags & KVM_CLOCK_TSC_STABLE);
	vcpu_put(b);
}

/* SDM, "Time-Stamp Counter Adjustment": each of the two MSRs moves with the other. */
static void tsc_adjust(void **state)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 e[2];
	} c = { .head.nent = 2 };
	u64 before, adj;

	fixture_vcpu();
	c.e[0].function = 7;
	c.e[0].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	c.e[0].ebx = BIT(1);
	c.e[1].function = 1;
	assert_int_equal(cpuid_set_ioctl(fx.v, (unsigned long)&c, false), 0);
	before = tsc(fx.v);
	vcpu_set_msr(fx.v, 0x3b, 1000 * second(), false);
	assert_true(near(tsc(fx.v), before + 1000 * second(), PAUSE_SECONDS * second()));
	vcpu_set_msr(fx.v, X86_MSR_TSC, 3000 * second(), false);
	assert_true(near(tsc(fx.v), 3000 * second(), PAUSE_SECONDS * second()));
	vcpu_get_msr(fx.v, 0x3b, &adj, false);
	assert_true(near(adj, 3000 * second() - before, PAUSE_SECONDS * second()));
	/* By user space it is plain storage. */
	vcpu_set_msr(fx.v, 0x3b, 5, true);
	assert_true(near(tsc(fx.v), 3000 * second(), PAUSE_SECONDS * second()));
}

static void tsc_rate_and_offset_attribute(void **state)
{
	u64 val = 12345;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (u64)&val };
	u64 a, b;

	fixture_vcpu();
	assert_int_equal(vcpu_set_tsc_khz(fx.v, host_tsc_khz() * 4), 0);
	a = tsc(fx.v);
	usleep(20000);
	b = tsc(fx.v);
	assert_true(b - a > second() * 4 / 50);
	assert_int_equal(vcpu_set_tsc_khz(fx.v, 0), 0);
	assert_int_equal(fx.v->tsc_khz, host_tsc_khz());
	assert_int_equal(vcpu_tsc_attr(fx.v, KVM_SET_DEVICE_ATTR, (unsigned long)&attr), 0);
	assert_int_equal(fx.v->tsc_offset, 12345);
	val = 0;
	assert_int_equal(vcpu_tsc_attr(fx.v, KVM_GET_DEVICE_ATTR, (unsigned long)&attr), 0);
	assert_int_equal(val, 12345);
	attr.attr = 1;
	assert_int_equal(vcpu_tsc_attr(fx.v, KVM_HAS_DEVICE_ATTR, (unsigned long)&attr), -ENXIO);
}

int vm_clock_tests(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(scale_is_exact),
		VM_TEST(guest_and_host_agree),
		VM_TEST(paused_flag_is_told_once_and_kept),
		VM_TEST(set_and_get_clock),
		VM_TEST(wall_clock),
		VM_TEST(tsc_writes_are_synchronised),
		VM_TEST(tsc_adjust),
		VM_TEST(tsc_rate_and_offset_attribute),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
