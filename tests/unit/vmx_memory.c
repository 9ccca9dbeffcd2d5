/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Extended page tables: pages of 2 MiB, and code on them. */
#include "vmx_fake.h"

#define READ 1u
#define WRITE 2u
#define EXEC 4u
#define LARGE 0x80u
#define ADDRESS 0x000ffffffffff000ull

/* In the second large page. */
#define DATA (LARGE_PAGE + 0x5000u)
#define OTHER (LARGE_PAGE + 0x7000u)

/* The entry that maps gpa. */
static u64 leaf(u64 gpa)
{
	u64 entry = fake_field(EPT_POINTER);
	int level;

	for (level = 3; level >= 0; level--) {
		const u64 *table = hw_va(entry & ADDRESS);

		entry = table[gpa >> (12 + 9 * level) & 511];
		if (!(entry & (READ | WRITE | EXEC)) || entry & LARGE)
			break;
	}
	return entry;
}

static void fault(u64 gpa, u32 access)
{
	fake_set(GUEST_PHYSICAL_ADDRESS, gpa);
	fake_exit(X_EPT_VIOLATION, access | (leaf(gpa) & (READ | WRITE | EXEC)) << 3, 0);
}

static void step_reads(u64 *gpr)
{
	fault(DATA, READ);
}

static void expect_leaf(u64 gpa, u32 bits)
{
	u64 first = bits & LARGE ? gpa & ~(LARGE_PAGE - 1ull) : gpa, e = leaf(gpa);

	expect_eq(e & (READ | WRITE | EXEC | LARGE), bits);
	expect_eq(e & ADDRESS, (u64)(unsigned long)(hwt.ram + first));
}

static void step_runs_on_a_large_page(u64 *gpr)
{
	expect_leaf(DATA, READ | WRITE | EXEC | LARGE);
	step_hlt(gpr);
}

static void begin(bool small_code)
{
	fake_vmx_reset();
	cpu0.large_pages = true;
	cpu0.small_code = small_code;
	vmx_test_begin();
}

static void a_guest_runs_on_large_pages(void **state)
{
	begin(false);
	vmx_script(step_reads, step_runs_on_a_large_page, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_fetches(u64 *gpr)
{
	expect_leaf(DATA, READ | WRITE | LARGE);
	fault(DATA, EXEC);
}

static void step_runs_on_small_pages(u64 *gpr)
{
	expect_leaf(DATA, READ | WRITE | EXEC);
	expect_leaf(OTHER, READ | WRITE | EXEC);
	step_hlt(gpr);
}

static void code_splits_a_large_page(void **state)
{
	begin(true);
	vmx_script(step_reads, step_fetches, step_runs_on_small_pages, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

static void step_fetches_first(u64 *gpr)
{
	expect_eq(leaf(DATA), 0);
	fault(DATA, EXEC);
}

/* What lies beside code is entered page by page. */
static void step_reads_beside(u64 *gpr)
{
	expect_leaf(DATA, READ | WRITE | EXEC);
	fault(OTHER, READ);
}

static void code_makes_no_large_page(void **state)
{
	begin(true);
	vmx_script(step_fetches_first, step_reads_beside, step_runs_on_small_pages, NULL);
	hwt_run_exits(KVM_EXIT_HLT);
}

int vmx_memory_tests(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_guest_runs_on_large_pages, vmx_test_end),
		cmocka_unit_test_teardown(code_splits_a_large_page, vmx_test_end),
		cmocka_unit_test_teardown(code_makes_no_large_page, vmx_test_end),
	};

	return cmocka_run_group_tests_name("vmx: memory", tests, NULL, NULL);
}
