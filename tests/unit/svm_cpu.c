/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What is found of AMD-V, turning it on. */
#include "svm_fake.h"

static void no_amd_v_is_no_device_without_a_word(void **state)
{
	fake_processor_reset(0);
	cpu0.svm = false;
	expect_error(svm_module_init(), ENODEV);
	cpu0.svm = true;
	cpu0.asids = 0; /* and no leaf 8000000a */
	expect_error(svm_module_init(), ENODEV);
	expect_eq(cpu0.log_lines, 0);
}

static void turned_off_in_the_firmware_is_said(void **state)
{
	fake_processor_reset(0);
	cpu0.vm_cr = VM_CR_SVMDIS;
	expect_error(svm_module_init(), EPERM);
	hwt_expect_log("firmware");
}

static void no_nested_paging_is_said(void **state)
{
	fake_processor_reset(0);
	cpu0.features = 0;
	expect_error(svm_module_init(), ENODEV);
	hwt_expect_log("nested paging");
}

static void one_asid_is_none(void **state)
{
	fake_processor_reset(0);
	cpu0.asids = 1;
	expect_error(svm_module_init(), ENODEV);
}

static void another_hypervisor_is_busy(void **state)
{
	struct vm *vm;

	fake_processor_reset(0);
	expect_eq(svm_module_init(), 0);
	cpu0.efer[1] = X86_EFER_SVME;
	cpu0.hsave[1] = 0x5000;
	expect_error(vm_create(&svm_engine, 0, &vm), EBUSY);
	/* Its own it has again, the other's it has left alone. */
	expect_eq(cpu0.efer[0], 0);
	expect_eq(cpu0.hsave[0], 0);
	expect_eq(cpu0.efer[1], X86_EFER_SVME);
	expect_eq(cpu0.hsave[1], 0x5000);
	cpu0.efer[1] = cpu0.hsave[1] = 0;
	expect_eq(vm_create(&svm_engine, 0, &vm), 0);
	expect_true(cpu0.efer[0] & X86_EFER_SVME && cpu0.efer[1] & X86_EFER_SVME);
	expect_true(cpu0.hsave[0] && cpu0.hsave[1] && cpu0.hsave[0] != cpu0.hsave[1]);
	vm_put(vm);
	svm_module_exit();
}

int svm_cpu_tests(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(no_amd_v_is_no_device_without_a_word, svm_test_end),
		cmocka_unit_test_teardown(turned_off_in_the_firmware_is_said, svm_test_end),
		cmocka_unit_test_teardown(no_nested_paging_is_said, svm_test_end),
		cmocka_unit_test_teardown(one_asid_is_none, svm_test_end),
		cmocka_unit_test_teardown(another_hypervisor_is_busy, svm_test_end),
	};

	return cmocka_run_group_tests_name("svm: the processor", tests, NULL, NULL);
}
