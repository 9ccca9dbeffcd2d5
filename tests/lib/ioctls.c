/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "ioctls.h"

#include <linux/kvm.h>

#define VALUE(object_, request_, ...)                                                                                  \
	{                                                                                                              \
		.name = #request_, .request = request_, .object = IOCTL_##object_, .direction = IOCTL_VALUE,           \
		__VA_ARGS__                                                                                            \
	}
#define IN(object_, request_, type, ...)                                                                               \
	{                                                                                                              \
		.name = #request_, .request = request_, .object = IOCTL_##object_, .direction = IOCTL_IN,              \
		.size = sizeof(type), __VA_ARGS__                                                                      \
	}
#define OUT(object_, request_, type, ...)                                                                              \
	{                                                                                                              \
		.name = #request_, .request = request_, .object = IOCTL_##object_, .direction = IOCTL_OUT,             \
		.size = sizeof(type), __VA_ARGS__                                                                      \
	}
#define ALSO(object_) .objects_mask = 1u << IOCTL_##object_

const struct ioctl_info ioctl_table[] = {
	VALUE(SYSTEM, KVM_GET_API_VERSION),
	VALUE(SYSTEM, KVM_CREATE_VM, .makes_object = true),
	VALUE(SYSTEM, KVM_CHECK_EXTENSION, ALSO(VM)),
	VALUE(SYSTEM, KVM_GET_VCPU_MMAP_SIZE),
	IN(SYSTEM, KVM_GET_MSR_INDEX_LIST, struct kvm_msr_list),
	IN(SYSTEM, KVM_GET_MSR_FEATURE_INDEX_LIST, struct kvm_msr_list),
	IN(SYSTEM, KVM_GET_SUPPORTED_CPUID, struct kvm_cpuid2),
	IN(SYSTEM, KVM_GET_EMULATED_CPUID, struct kvm_cpuid2),
	OUT(SYSTEM, KVM_X86_GET_MCE_CAP_SUPPORTED, __u64),

	VALUE(VM, KVM_CREATE_VCPU, .makes_object = true),
	IN(VM, KVM_SET_USER_MEMORY_REGION, struct kvm_userspace_memory_region),
	IN(VM, KVM_GET_DIRTY_LOG, struct kvm_dirty_log),
	IN(VM, KVM_CLEAR_DIRTY_LOG, struct kvm_clear_dirty_log),
	VALUE(VM, KVM_SET_TSS_ADDR),
	/* Refused before its argument is read once there is a vCPU. */
	IN(VM, KVM_SET_IDENTITY_MAP_ADDR, __u64, .skip_pointer_test = true),
	VALUE(VM, KVM_SET_NR_MMU_PAGES),
	VALUE(VM, KVM_CREATE_IRQCHIP),
	IN(VM, KVM_IRQ_LINE, struct kvm_irq_level),
	IN(VM, KVM_IRQ_LINE_STATUS, struct kvm_irq_level),
	IN(VM, KVM_GET_IRQCHIP, struct kvm_irqchip),
	IN(VM, KVM_SET_IRQCHIP, struct kvm_irqchip),
	IN(VM, KVM_CREATE_PIT2, struct kvm_pit_config),
	OUT(VM, KVM_GET_PIT, struct kvm_pit_state),
	IN(VM, KVM_SET_PIT, struct kvm_pit_state),
	OUT(VM, KVM_GET_PIT2, struct kvm_pit_state2),
	IN(VM, KVM_SET_PIT2, struct kvm_pit_state2),
	IN(VM, KVM_REINJECT_CONTROL, struct kvm_reinject_control),
	IN(VM, KVM_SET_GSI_ROUTING, struct kvm_irq_routing),
	IN(VM, KVM_SIGNAL_MSI, struct kvm_msi),
	IN(VM, KVM_IRQFD, struct kvm_irqfd),
	IN(VM, KVM_IOEVENTFD, struct kvm_ioeventfd),
	IN(VM, KVM_REGISTER_COALESCED_MMIO, struct kvm_coalesced_mmio_zone),
	IN(VM, KVM_UNREGISTER_COALESCED_MMIO, struct kvm_coalesced_mmio_zone),
	VALUE(VM, KVM_SET_BOOT_CPU_ID),
	IN(VM, KVM_SET_CLOCK, struct kvm_clock_data),
	OUT(VM, KVM_GET_CLOCK, struct kvm_clock_data),
	IN(VM, KVM_ENABLE_CAP, struct kvm_enable_cap, ALSO(VCPU)),
	IN(VM, KVM_X86_SET_MSR_FILTER, struct kvm_msr_filter),
	VALUE(VM, KVM_RESET_DIRTY_RINGS),
	IN(VM, KVM_HYPERV_EVENTFD, struct kvm_hyperv_eventfd),
	/* Linux may be built without them. */
	IN(VM, KVM_XEN_HVM_CONFIG, struct kvm_xen_hvm_config, .skip_pointer_test = true),
	IN(VM, KVM_XEN_HVM_GET_ATTR, struct kvm_xen_hvm_attr, .skip_pointer_test = true),
	IN(VM, KVM_XEN_HVM_SET_ATTR, struct kvm_xen_hvm_attr, .skip_pointer_test = true),
	IN(VM, KVM_XEN_HVM_EVTCHN_SEND, struct kvm_irq_routing_xen_evtchn, .skip_pointer_test = true),
	VALUE(VM, KVM_GET_STATS_FD, ALSO(VCPU), .makes_object = true),

	VALUE(VCPU, KVM_RUN),
	OUT(VCPU, KVM_GET_REGS, struct kvm_regs),
	IN(VCPU, KVM_SET_REGS, struct kvm_regs),
	OUT(VCPU, KVM_GET_SREGS, struct kvm_sregs),
	IN(VCPU, KVM_SET_SREGS, struct kvm_sregs),
	OUT(VCPU, KVM_GET_SREGS2, struct kvm_sregs2),
	IN(VCPU, KVM_SET_SREGS2, struct kvm_sregs2),
	OUT(VCPU, KVM_GET_FPU, struct kvm_fpu),
	IN(VCPU, KVM_SET_FPU, struct kvm_fpu),
	OUT(VCPU, KVM_GET_XSAVE, struct kvm_xsave),
	IN(VCPU, KVM_SET_XSAVE, struct kvm_xsave),
	OUT(VCPU, KVM_GET_XSAVE2, struct kvm_xsave),
	OUT(VCPU, KVM_GET_XCRS, struct kvm_xcrs),
	IN(VCPU, KVM_SET_XCRS, struct kvm_xcrs),
	IN(VCPU, KVM_GET_MSRS, struct kvm_msrs, ALSO(SYSTEM)),
	IN(VCPU, KVM_SET_MSRS, struct kvm_msrs),
	IN(VCPU, KVM_SET_CPUID2, struct kvm_cpuid2),
	IN(VCPU, KVM_GET_CPUID2, struct kvm_cpuid2),
	IN(VCPU, KVM_SET_CPUID, struct kvm_cpuid),
	IN(VCPU, KVM_TRANSLATE, struct kvm_translation),
	IN(VCPU, KVM_INTERRUPT, struct kvm_interrupt),
	VALUE(VCPU, KVM_NMI),
	IN(VCPU, KVM_SET_SIGNAL_MASK, struct kvm_signal_mask, .null_is_valid = true),
	OUT(VCPU, KVM_GET_LAPIC, struct kvm_lapic_state),
	IN(VCPU, KVM_SET_LAPIC, struct kvm_lapic_state),
	OUT(VCPU, KVM_GET_MP_STATE, struct kvm_mp_state),
	IN(VCPU, KVM_SET_MP_STATE, struct kvm_mp_state),
	OUT(VCPU, KVM_GET_VCPU_EVENTS, struct kvm_vcpu_events),
	IN(VCPU, KVM_SET_VCPU_EVENTS, struct kvm_vcpu_events),
	OUT(VCPU, KVM_GET_DEBUGREGS, struct kvm_debugregs),
	IN(VCPU, KVM_SET_DEBUGREGS, struct kvm_debugregs),
	IN(VCPU, KVM_SET_GUEST_DEBUG, struct kvm_guest_debug),
	VALUE(VCPU, KVM_GET_TSC_KHZ, ALSO(VM)),
	VALUE(VCPU, KVM_SET_TSC_KHZ, ALSO(VM)),
	VALUE(VCPU, KVM_KVMCLOCK_CTRL),
	IN(VCPU, KVM_TPR_ACCESS_REPORTING, struct kvm_tpr_access_ctl),
	IN(VCPU, KVM_SET_VAPIC_ADDR, struct kvm_vapic_addr),
	IN(VCPU, KVM_XEN_VCPU_GET_ATTR, struct kvm_xen_vcpu_attr, .skip_pointer_test = true),
	IN(VCPU, KVM_XEN_VCPU_SET_ATTR, struct kvm_xen_vcpu_attr, .skip_pointer_test = true),
	IN(VCPU, KVM_X86_SETUP_MCE, __u64),
	IN(VCPU, KVM_X86_SET_MCE, struct kvm_x86_mce),
};

const unsigned int ioctl_count = sizeof(ioctl_table) / sizeof(ioctl_table[0]);
