/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The module: finds the engine that this processor has, makes the device. */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include "linux.h"

static char *device = "anykvm";
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "name of the device in /dev: anykvm (default), or kvm where no other KVM has it");

static struct miscdevice system_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.fops = &anykvm_system_fops,
	.mode = 0660,
};

static int __init anykvm_init(void)
{
	int err = svm_module_init();

	if (err)
		return err;
	anykvm_engine = &svm_engine;
	system_device.name = device;
	if (!strcmp(device, "kvm"))
		system_device.minor = KVM_MINOR;
	debugfs_init();
	err = misc_register(&system_device);
	if (err) {
		pr_err("anykvm: /dev/%s cannot be made (%d)%s\n", device, err,
		       err == -EBUSY ? ": another KVM has it" : "");
		debugfs_exit();
		svm_module_exit();
		return err;
	}
	pr_info("anykvm: /dev/%s runs guests by %s\n", device, anykvm_engine->name);
	return 0;
}

static void __exit anykvm_exit(void)
{
	misc_deregister(&system_device);
	debugfs_exit();
	svm_module_exit();
}

module_init(anykvm_init);
module_exit(anykvm_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("anykvm: the KVM ABI on AMD-V");
