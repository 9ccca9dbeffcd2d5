/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Ioctls of the system object (/dev/kvm). Unknown ones are -EINVAL here, as in Linux; on VMs and vCPUs they
 * are -ENOTTY.
 */
#include "vcpu.h"

#define PAGE_BYTES 4096
#define VCPU_SHARED_PAGES 3 /* kvm_run, port data, coalesced ring */

static long system_attr(u32 cmd, unsigned long arg)
{
	struct kvm_device_attr attr;
	u64 val;

	if (host_copy_from_user(&attr, (void *)arg, sizeof(attr)))
		return -EFAULT;
	if (attr.group || attr.attr != KVM_X86_XCOMP_GUEST_SUPP)
		return -ENXIO;
	if (cmd == KVM_HAS_DEVICE_ATTR)
		return 0;
	val = cpuid_supported_xcr0();
	return host_copy_to_user((void *)(unsigned long)attr.addr, &val, sizeof(val));
}

static long create_vm(const struct engine_ops *engine, unsigned long type, struct object *made)
{
	int r = vm_create(engine, type, &made->vm);

	if (!r)
		made->type = OBJ_VM;
	return r;
}

long system_ioctl(const struct engine_ops *engine, u32 cmd, unsigned long arg, struct object *made)
{
	made->type = OBJ_NONE;
	switch (cmd) {
	case KVM_GET_API_VERSION: return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM: return create_vm(engine, arg, made);
	case KVM_CHECK_EXTENSION: return cap_check(engine, NULL, arg);
	case KVM_GET_VCPU_MMAP_SIZE: return arg ? -EINVAL : VCPU_SHARED_PAGES * PAGE_BYTES;
	case KVM_GET_SUPPORTED_CPUID: return cpuid_supported_ioctl(engine, arg, false);
	case KVM_GET_SUPPORTED_HV_CPUID: return hyperv_cpuid_ioctl(NULL, arg);
	case KVM_GET_EMULATED_CPUID: return cpuid_supported_ioctl(engine, arg, true);
	case KVM_GET_MSR_INDEX_LIST: return msr_list_ioctl(arg, false);
	case KVM_GET_MSR_FEATURE_INDEX_LIST: return msr_list_ioctl(arg, true);
	case KVM_GET_MSRS: return msr_features_ioctl(engine, arg);
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		return host_copy_to_user((void *)arg, &mce_supported_cap, sizeof(mce_supported_cap));
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR: return system_attr(cmd, arg);
	case KVM_TRACE_ENABLE:
	case KVM_TRACE_PAUSE:
	case KVM_TRACE_DISABLE: return -EOPNOTSUPP;
	default: return -EINVAL;
	}
}
