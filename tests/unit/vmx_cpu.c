/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What is found of VT-x, turning it on. */
#include "vmx_fake.h"

static void no_vt_x_is_no_device_without_a_word(void **state)
{
	fake_vmx_reset();
	vmxt.vmx = false;
	expect_error(vmx_module_init(&vmxt.options), ENODEV);
	expect_eq(cpu0.log_lines, 0);
}

static void turned_off_in_the_firmware_is_said(void **state)
{
	fake_vmx_reset();
	vmxt.feature_control = FEATURE_LOCKED;
	expect_error(vmx_module_init(&vmxt.options), EPERM);
	hwt_expect_log("firmware");
}

static void a_control_that_is_missing_is_said(void **state)
{
	static const struct {
		u32 msr, bits;
		const char *log;
	} missing[] = {
		{ MSR_VMX_PIN, PIN_NMI, "pin-based controls 0x8" },
		{ MSR_VMX_PROC, PROC_MSR_BITMAP, "processor controls 0x10000000" },
		{ MSR_VMX_EXIT, EXIT_LOAD_EFER, "exit controls 0x200000" },
		{ MSR_VMX_ENTRY, ENTRY_LOAD_PAT, "entry controls 0x4000" },
		{ MSR_VMX_PROC2, PROC2_EPT, "(EPT)" },
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(missing); i++) {
		fake_vmx_reset();
		fake_lacks(missing[i].msr, missing[i].bits);
		expect_error(vmx_module_init(&vmxt.options), ENODEV);
		hwt_expect_log(missing[i].log);
		expect_eq(cpu0.pages, 0);
	}
}

static void another_hypervisor_is_busy(void **state)
{
	struct vm *vm;

	fake_vmx_reset();
	expect_eq(vmx_module_init(&vmxt.options), 0);
	cpu0.cr4[1] = CR4_VMXE;
	expect_error(vm_create(&vmx_engine, 0, &vm), EBUSY);
	expect_eq(vmxt.vmxon[0], 0);
	expect_eq(cpu0.cr4[0], 0);
	expect_eq(cpu0.cr4[1], CR4_VMXE);
	cpu0.cr4[1] = 0;
	expect_eq(vm_create(&vmx_engine, 0, &vm), 0);
	expect_true(vmxt.vmxon[0] && vmxt.vmxon[1] && vmxt.vmxon[0] != vmxt.vmxon[1]);
	vm_put(vm);
	vmx_module_exit();
}

/* The firmware may have left it open: it is locked with VT-x on. */
static void feature_control_is_locked(void **state)
{
	vmx_test_begin();
	expect_eq(vmxt.feature_control, FEATURE_LOCKED | FEATURE_VMXON);
}

int vmx_cpu_tests(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(no_vt_x_is_no_device_without_a_word, vmx_test_end),
		cmocka_unit_test_teardown(turned_off_in_the_firmware_is_said, vmx_test_end),
		cmocka_unit_test_teardown(a_control_that_is_missing_is_said, vmx_test_end),
		cmocka_unit_test_teardown(another_hypervisor_is_busy, vmx_test_end),
		cmocka_unit_test_teardown(feature_control_is_locked, vmx_test_end),
	};

	return cmocka_run_group_tests_name("vmx: processors", tests, NULL, NULL);
}
