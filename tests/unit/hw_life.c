/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What is left after failures. */
#include "hw_fake.h"

/* As far as it gets until an allocation fails. */
static int live(void)
{
	struct vcpu *v;
	struct vm *vm;
	int err = hw_kind.init();

	if (err)
		return err;
	err = vm_create(hw_kind.engine, 0, &vm);
	if (!err) {
		err = vcpu_create(vm, 0, &v);
		if (!err)
			vcpu_put(v);
		vm_put(vm);
	}
	hw_kind.exit();
	return err;
}

static void every_failed_allocation_leaves_nothing(void **state)
{
	unsigned n;
	int err;

	for (n = 1;; n++) {
		hw_kind.reset();
		cpu0.fail_page = n;
		err = live();
		expect_eq(cpu0.pages, 0);
		expect_true(!hw_kind.is_on(0) && !hw_kind.is_on(1));
		if (!err)
			break;
		expect_eq(err, -ENOMEM);
		expect_eq(cpu0.fail_page, 0);
	}
	/* Maps, something for each CPU, lock, roots, vector state, control block. */
	expect_true(n > 9);
}

int hw_life_tests(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failed_allocation_leaves_nothing),
	};

	return cmocka_run_group_tests_name(hw_kind.engine->name, tests, NULL, NULL);
}
