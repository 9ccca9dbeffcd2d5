/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <linux/kvm_para.h>
#include "cpuid_table.h"
#include "vm_tests.h"

static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 e[256];
} table;

static long supported(u32 room)
{
	table.head.nent = room;
	return sys_call(KVM_GET_SUPPORTED_CPUID, &table);
}

static struct kvm_cpuid_entry2 *entry(u32 leaf, u32 subleaf)
{
	u32 i;

	for (i = 0; i < table.head.nent; i++)
		if (table.e[i].function == leaf && table.e[i].index == subleaf)
			return &table.e[i];
	return NULL;
}

static void protocol_of_sizes(void **state)
{
	u32 n, needed;

	assert_int_equal(supported(0), -E2BIG);
	assert_int_equal(supported(256), 0);
	needed = table.head.nent;
	for (n = 1; n < needed; n++)
		assert_int_equal(supported(n), -E2BIG);
	assert_int_equal(supported(needed), 0);
	assert_int_equal(supported(100000), 0);
	assert_int_equal(table.head.nent, needed);
}

static void rows_are_unique(void **state)
{
	u64 seen[2] = { 0 };
	u32 i, j;

	for (i = 0; i < cpuid_nr_bits; i++) {
		const struct cpuid_bit *a = &cpuid_bits[i];

		for (j = 0; j < i; j++) {
			const struct cpuid_bit *b = &cpuid_bits[j];

			assert_false(a->leaf == b->leaf && a->subleaf == b->subleaf && a->reg == b->reg &&
				     a->bit == b->bit);
		}
		if (a->feature != NO_X86F) {
			assert_false(seen[a->feature / 64] >> (a->feature % 64) & 1);
			seen[a->feature / 64] |= 1ull << (a->feature % 64);
		}
	}
}

static void offers_what_the_host_has(void **state)
{
	struct kvm_cpuid_entry2 *e;
	u32 host[4];

	assert_int_equal(supported(256), 0);
	host_cpuid(1, 0, host);
	e = entry(1, 0);
	assert_int_equal(e->edx & ~host[3], 0);
	assert_int_equal(e->ecx & ~(host[2] | BIT(21)), 0);
	assert_true(e->ecx & BIT(21)); /* x2APIC always */
	/* MONITOR, VMX, OSXSAVE, hypervisor */
	assert_int_equal(e->ecx & (BIT(3) | BIT(5) | BIT(27) | BIT(31)), 0);
	assert_int_equal((e->edx & 0x0789abff), (host[3] & 0x0789abff)); /* what every x86-64 has */
	e = entry(7, 0);
	assert_int_equal(e->ebx & (BIT(16) | BIT(14) | BIT(11) | BIT(4)), 0); /* AVX-512, MPX, RTM, HLE */
	assert_int_equal(e->ecx & (BIT(3) | BIT(16)), 0);                     /* PKU, LA57 */
	e = entry(0xd, 0);
	/* AVX, and AVX-512's state as a whole (Intel's and AMD's layouts) or not at all */
	assert_true(e->eax == 3 || e->eax == 7 || e->eax == 0xe7);
	assert_true(e->eax == 0xe7 ? e->ebx == 2688 || e->ebx == 2432 : e->ebx == (e->eax & 4 ? 832 : 576));
	e = entry(KVM_CPUID_SIGNATURE, 0);
	assert_memory_equal(&e->ebx, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(e->eax, KVM_CPUID_FEATURES);
	assert_true(entry(KVM_CPUID_FEATURES, 0)->eax & BIT(KVM_FEATURE_CLOCKSOURCE2));
	assert_int_equal(entry(0x80000008, 0)->eax >> 8 & 0xff, 48);
	assert_int_equal(entry(0x80000001, 0)->ecx & BIT(2), 0); /* SVM */
}

static void emulated_wants_clean_padding(void **state)
{
	memset(&table, 0, sizeof(table));
	table.head.nent = 10;
	table.e[9].padding[2] = 1;
	assert_int_equal(sys_call(KVM_GET_EMULATED_CPUID, &table), -EINVAL);
	table.e[9].padding[2] = 0;
	assert_int_equal(sys_call(KVM_GET_EMULATED_CPUID, &table), 0);
	assert_int_equal(table.head.nent, 3);
}

static int set_table(void)
{
	return cpuid_set_ioctl(fx.v, (unsigned long)&table, false);
}

static void without_a_table_everything_works(void **state)
{
	fixture_vcpu();
	assert_true(x86_has(&fx.v->state, X86F_SSE2));
	assert_true(x86_has(&fx.v->state, X86F_LM));
	assert_true(fx.v->xcr0_supported == cpuid_supported_xcr0());
}

static void features_follow_the_table(void **state)
{
	u32 out[4];

	fixture_vcpu();
	assert_int_equal(supported(256), 0);
	entry(1, 0)->edx &= ~BIT(26);
	entry(0x80000008, 0)->eax = 40 | 48 << 8;
	entry(0xd, 0)->eax = 3;
	assert_int_equal(set_table(), 0);
	assert_false(x86_has(&fx.v->state, X86F_SSE2));
	assert_true(x86_has(&fx.v->state, X86F_SSE));
	assert_int_equal(fx.v->state.maxphyaddr, 40);
	assert_int_equal(fx.v->xcr0_supported, 3);
	assert_true(fx.v->pv_features & BIT(KVM_FEATURE_CLOCKSOURCE));
	/* Bits that follow the state. */
	cpuid_query(fx.v, 1, 0, out);
	assert_false(out[2] & BIT(27));
	fx.v->state.cr4 |= CR4_OSXSAVE;
	cpuid_query(fx.v, 1, 0, out);
	assert_true(out[2] & BIT(27));
	fx.v->state.xcr0 = 7;
	cpuid_query(fx.v, 0xd, 0, out);
	assert_int_equal(out[1], 832);
	fx.v->state.xcr0 = 1;
	cpuid_query(fx.v, 0xd, 0, out);
	assert_int_equal(out[1], 576);
}

static void small_table(u32 nr, const char *vendor)
{
	memset(&table, 0, sizeof(table));
	table.head.nent = nr;
	table.e[0].eax = 0xb;
	memcpy(&table.e[0].ebx, vendor, 4);
	memcpy(&table.e[0].edx, vendor + 4, 4);
	memcpy(&table.e[0].ecx, vendor + 8, 4);
	table.e[1].function = 1;
	table.e[2].function = 0xb;
	table.e[2].index = 0;
	table.e[2].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	table.e[2].ecx = 0x100;
	table.e[2].edx = 77;
	table.e[3] = table.e[2];
	table.e[3].index = 1;
	table.e[3].ecx = 0x201;
	table.e[4].function = 0x80000000;
	table.e[4].eax = 0x80000000;
}

static void leaves_out_of_range(void **state)
{
	u32 out[4];

	fixture_vcpu();
	small_table(5, "GenuineIntel");
	assert_int_equal(set_table(), 0);
	cpuid_query(fx.v, 0x1000, 1, out); /* the highest basic leaf, with its subleaf */
	assert_int_equal(out[2], 0x201);
	cpuid_query(fx.v, 0x80000005, 0, out);
	assert_int_equal(out[2], 0x100);
	cpuid_query(fx.v, 5, 0, out); /* a hole in the range */
	assert_int_equal(out[2], 0);
	cpuid_query(fx.v, 0xb, 9, out);
	assert_true(out[2] == 9 && out[3] == 77);
	assert_false(fx.v->state.vendor_amd);
	small_table(5, "AuthenticAMD");
	assert_int_equal(set_table(), 0);
	cpuid_query(fx.v, 0x1000, 1, out);
	assert_int_equal(out[2], 0);
	assert_true(fx.v->state.vendor_amd);
}

static void set_and_get(void **state)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 e[256];
	} got;
	static struct {
		struct kvm_cpuid head;
		struct kvm_cpuid_entry e[2];
	} old = { { 2, 0 }, { { 0 }, { .function = 1, .eax = 5 } } };

	fixture_vcpu();
	small_table(5, "GenuineIntel");
	table.head.nent = 257;
	assert_int_equal(set_table(), -E2BIG);
	table.head.nent = 5;
	assert_int_equal(set_table(), 0);
	got.head.nent = 4;
	assert_int_equal(cpuid_get_ioctl(fx.v, (unsigned long)&got), -E2BIG);
	got.head.nent = 6;
	assert_int_equal(cpuid_get_ioctl(fx.v, (unsigned long)&got), 0);
	assert_int_equal(got.head.nent, 5);
	assert_memory_equal(&got.e[3], &table.e[3], sizeof(got.e[3]));
	table.e[4].function = 0x80000008;
	table.e[4].eax = 52 << 8;
	assert_int_equal(set_table(), -EINVAL);
	table.e[4].eax = 57 << 8;
	assert_int_equal(set_table(), 0);
	/* After KVM_RUN only the same again. */
	fx.v->ran = true;
	assert_int_equal(set_table(), 0);
	table.e[3].ecx++;
	assert_int_equal(set_table(), -EINVAL);
	fx.v->ran = false;
	assert_int_equal(cpuid_set_ioctl(fx.v, (unsigned long)&old, true), 0);
	assert_true(fx.v->nr_cpuid == 2 && fx.v->cpuid[1].eax == 5);
}

int vm_cpuid_tests(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(protocol_of_sizes),
		VM_TEST(rows_are_unique),
		VM_TEST(offers_what_the_host_has),
		VM_TEST(emulated_wants_clean_padding),
		VM_TEST(without_a_table_everything_works),
		VM_TEST(features_follow_the_table),
		VM_TEST(leaves_out_of_range),
		VM_TEST(set_and_get),
	};

	return cmocka_run_group_tests_name("CPUID", tests, NULL, NULL);
}
