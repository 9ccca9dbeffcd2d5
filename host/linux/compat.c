/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * ioctls of 32-bit callers whose structures hold pointers. All others have the same layout for both, KVM_SET_SIGNAL_MASK too: a
 * signal set of two words is one of 64 bits on this kind of processor.
 */
#include <linux/compat.h>
#include <linux/uaccess.h>
#include "linux.h"

#ifdef CONFIG_COMPAT
struct msr_filter32 {
	u32 flags;
	struct {
		u32 flags, nmsrs, base;
		compat_uptr_t bitmap;
	} ranges[KVM_MSR_FILTER_MAX_RANGES];
};
#define SET_MSR_FILTER32 _IOW(KVMIO, _IOC_NR(KVM_X86_SET_MSR_FILTER), struct msr_filter32)

static long set_msr_filter(struct vm *vm, const void __user *arg)
{
	struct kvm_msr_filter filter = {};
	struct msr_filter32 in;
	unsigned int i;

	if (copy_from_user(&in, arg, sizeof(in)))
		return -EFAULT;
	filter.flags = in.flags;
	for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		filter.ranges[i].flags = in.ranges[i].flags;
		filter.ranges[i].nmsrs = in.ranges[i].nmsrs;
		filter.ranges[i].base = in.ranges[i].base;
		filter.ranges[i].bitmap = (void __force *)compat_ptr(in.ranges[i].bitmap);
	}
	return msr_set_filter(vm, &filter);
}

/* The caller sets the lower half of the pointer only. */
static long get_dirty_log(struct vm *vm, const void __user *arg)
{
	struct kvm_dirty_log log;

	if (copy_from_user(&log, arg, sizeof(log)))
		return -EFAULT;
	log.padding2 = (u32)log.padding2;
	return vm_get_dirty_log(vm, &log);
}

static long clear_dirty_log(struct vm *vm, const void __user *arg)
{
	struct kvm_clear_dirty_log log;

	if (copy_from_user(&log, arg, sizeof(log)))
		return -EFAULT;
	log.padding2 = (u32)log.padding2;
	return vm_clear_dirty_log(vm, &log);
}

long vm_ioctl32(struct vm *vm, u32 cmd, unsigned long arg, struct object *made)
{
	const void __user *user = compat_ptr(arg);

	if (READ_ONCE(vm->dead))
		return -EIO;
	switch (cmd) {
	case KVM_GET_DIRTY_LOG: return get_dirty_log(vm, user);
	case KVM_CLEAR_DIRTY_LOG: return clear_dirty_log(vm, user);
	case SET_MSR_FILTER32: return set_msr_filter(vm, user);
	default: return vm_ioctl(vm, cmd, (unsigned long)user, made);
	}
}
#endif
