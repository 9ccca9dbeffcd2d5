/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The module: finds the engine that this processor has, makes the device. */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include "linux.h"

static char *device = "anykvm";
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "name of the device in /dev: anykvm (default), another, or kvm where no other KVM has it");

static struct vmx_options vmx = { .unrestricted = true, .virtual_nmis = true, .monitor_trap = true };
module_param_named(unrestricted_guest, vmx.unrestricted, bool, 0444);
MODULE_PARM_DESC(unrestricted_guest,
		 "Intel: let the processor run guests in real mode and without paging where it can (default: y)");
module_param_named(virtual_nmis, vmx.virtual_nmis, bool, 0444);
MODULE_PARM_DESC(virtual_nmis, "Intel: let the processor follow guests' NMIs where it can (default: y)");
module_param_named(monitor_trap, vmx.monitor_trap, bool, 0444);
MODULE_PARM_DESC(monitor_trap,
		 "Intel: debuggers step by the monitor trap flag where the processor has it (default: y)");

static struct miscdevice system_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.fops = &anykvm_system_fops,
	.mode = 0660,
};

static void (*engine_exit)(void);

static int find_engine(void)
{
	int err = vmx_module_init(&vmx);

	anykvm_engine = &vmx_engine;
	engine_exit = vmx_module_exit;
	if (err != -ENODEV)
		return err;
	anykvm_engine = &svm_engine;
	engine_exit = svm_module_exit;
	err = svm_module_init();
	if (err == -ENODEV)
		pr_err("anykvm: this processor has neither VT-x nor AMD-V that can be used, or they are hidden\n");
	return err;
}

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
#define NAME_MAX_LENGTH 32

/* What may stand below /dev without surprises. */
static bool name_ok(const char *name)
{
	size_t n = strspn(name, NAME_CHARACTERS);

	return n && n <= NAME_MAX_LENGTH && !name[n];
}

static int __init anykvm_init(void)
{
	int err;

	if (!name_ok(device)) {
		pr_err("anykvm: device=%.*s: letters, digits, - and _ only, at most %d\n", NAME_MAX_LENGTH, device,
		       NAME_MAX_LENGTH);
		return -EINVAL;
	}
	err = find_engine();
	if (err)
		return err;
	system_device.name = device;
	if (!strcmp(device, "kvm"))
		system_device.minor = KVM_MINOR;
	debugfs_init();
	err = misc_register(&system_device);
	if (err) {
		pr_err("anykvm: /dev/%s cannot be made (%d)%s\n", device, err,
		       err == -EBUSY ? ": another KVM has it" : "");
		debugfs_exit();
		engine_exit();
		return err;
	}
	pr_info("anykvm: /dev/%s runs guests by %s\n", device, anykvm_engine->name);
	return 0;
}

static void __exit anykvm_exit(void)
{
	misc_deregister(&system_device);
	debugfs_exit();
	engine_exit();
}

module_init(anykvm_init);
module_exit(anykvm_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("anykvm: the KVM ABI on Intel VT-x and AMD-V");
