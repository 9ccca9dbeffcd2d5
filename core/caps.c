/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Capabilities: one table for KVM_CHECK_EXTENSION, one for KVM_ENABLE_CAP on a VM. What is not in a table
 * is answered 0 or -EINVAL, as Linux does for capabilities it does not know. A capability stands here only
 * if the thing is there.
 */
#include <linux/kvm_para.h>
#include "irqchip.h"
#include "kvm_later.h"
#include "parts.h"

#define MAX_ROUTES 4096
#define QUIRKS                                                                                                         \
	(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_CD_NW_CLEARED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE |                 \
	 KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | KVM_X86_QUIRK_FIX_HYPERCALL_INSN |        \
	 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)
#define GUEST_DEBUG_FLAGS                                                                                              \
	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_USE_SW_BP |             \
	 KVM_GUESTDBG_INJECT_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_BLOCKIRQ)
#define MSR_EXIT_REASONS (KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER)
#define X2APIC_FLAGS (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
#define DIRTY_LOG_FLAGS (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)
#define CLOCK_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)
#define XEN_FLAGS                                                                                                      \
	(KVM_XEN_HVM_CONFIG_HYPERCALL_MSR | KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_SHARED_INFO |      \
	 KVM_XEN_HVM_CONFIG_RUNSTATE | KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND)
#define HYPERCALL_EXITS (1u << KVM_HC_MAP_GPA_RANGE)

/* --- KVM_CHECK_EXTENSION --------------------------------------------------------------------------- */

/*
 * Exits that user space may turn off. PAUSE: vmx alone leaves guest mode for it, in loops. A guest's MWAIT must not stop the timer that
 * brings the host back (CPUID's ARAT).
 */
static u32 native_exits(const struct engine_ops *engine)
{
	u32 exits = KVM_X86_DISABLE_EXITS_PAUSE | engine->caps.native_exits, r[4];

	host_cpuid(1, 0, r);
	if (!(r[2] & BIT(3)))
		exits &= ~(u32)KVM_X86_DISABLE_EXITS_MWAIT;
	host_cpuid(6, 0, r);
	if (!(r[0] & BIT(2)))
		exits &= ~(u32)KVM_X86_DISABLE_EXITS_MWAIT;
	return exits;
}

static int check_disable_exits(const struct engine_ops *engine)
{
	return (int)native_exits(engine);
}

static int check_xcrs(const struct engine_ops *engine)
{
	return cpuid_supported_xcr0() != 0;
}

static int check_xsave2(const struct engine_ops *engine)
{
	u32 size = cpuid_xsave_size(cpuid_supported_xcr0(), false);

	return size < sizeof(struct kvm_xsave) ? (int)sizeof(struct kvm_xsave) : (int)size;
}

/* What costs nothing in software, and would need the processor's help otherwise. */
static int check_soft(const struct engine_ops *engine)
{
	return engine->caps.soft;
}

/* More of them have to share the host's processors. */
static int check_nr_vcpus(const struct engine_ops *engine)
{
	u32 cpus = host_nr_cpus();

	return cpus < VM_MAX_VCPUS ? (int)cpus : VM_MAX_VCPUS;
}

static const struct {
	u32 cap;
	int value;
	int (*check)(const struct engine_ops *engine); /* instead of value */
} caps[] = {
	/* the VM and its memory */
	{ KVM_CAP_USER_MEMORY, 1, NULL },
	{ KVM_CAP_USER_MEMORY2, 1, NULL },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1, NULL },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1, NULL },
	{ KVM_CAP_NR_MEMSLOTS, VM_USER_MEM_SLOTS, NULL },
	{ KVM_CAP_READONLY_MEM, 1, NULL },
	{ KVM_CAP_SYNC_MMU, 1, NULL },
	{ KVM_CAP_X86_SMM, 1, NULL },
	{ KVM_CAP_MULTI_ADDRESS_SPACE, VM_ADDRESS_SPACES, NULL },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, DIRTY_LOG_FLAGS, NULL },
	{ KVM_CAP_DIRTY_LOG_RING, DIRTY_RING_MAX_BYTES, NULL },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, DIRTY_RING_MAX_BYTES, NULL },
	{ KVM_CAP_NR_VCPUS, 0, check_nr_vcpus },
	{ KVM_CAP_MAX_VCPUS, VM_MAX_VCPUS, NULL },
	{ KVM_CAP_MAX_VCPU_ID, VM_MAX_VCPU_ID, NULL },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1, NULL },
	{ KVM_CAP_ENABLE_CAP_VM, 1, NULL },
	{ KVM_CAP_ENABLE_CAP, 1, NULL },
	{ KVM_CAP_SET_TSS_ADDR, 1, NULL },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1, NULL },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1, NULL },
	{ KVM_CAP_SMALLER_MAXPHYADDR, 0, check_soft },
	{ KVM_CAP_DISABLE_QUIRKS, 1, NULL },
	{ KVM_CAP_DISABLE_QUIRKS2, QUIRKS, NULL },
	{ KVM_CAP_BINARY_STATS_FD, 1, NULL },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1, NULL },
	/* buses */
	{ KVM_CAP_IOEVENTFD, 1, NULL },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1, NULL },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1, NULL },
	{ KVM_CAP_COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET, NULL },
	{ KVM_CAP_COALESCED_PIO, 1, NULL },
	/* running and state */
	{ KVM_CAP_HLT, 1, NULL },
	{ KVM_CAP_IMMEDIATE_EXIT, 1, NULL },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1, NULL },
	{ KVM_CAP_LAST_CPU, 1, NULL },
	{ KVM_CAP_SYSTEM_EVENT_DATA, 1, NULL },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, NULL },
	{ KVM_CAP_HALT_POLL, 1, NULL },
	{ KVM_CAP_MP_STATE, 1, NULL },
	{ KVM_CAP_VCPU_EVENTS, 1, NULL },
	{ KVM_CAP_EXCEPTION_PAYLOAD, 1, NULL },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, NULL },
	{ KVM_CAP_USER_NMI, 1, NULL },
	{ KVM_CAP_SREGS2, 1, NULL },
	{ KVM_CAP_DEBUGREGS, 1, NULL },
	{ KVM_CAP_XSAVE, 1, NULL },
	{ KVM_CAP_XSAVE2, 0, check_xsave2 },
	{ KVM_CAP_XCRS, 0, check_xcrs },
	{ KVM_CAP_SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS, NULL },
	{ KVM_CAP_SET_GUEST_DEBUG, 1, NULL },
	{ KVM_CAP_SET_GUEST_DEBUG2, GUEST_DEBUG_FLAGS, NULL },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1, NULL },
	{ KVM_CAP_X86_DISABLE_EXITS, 0, check_disable_exits },
	{ KVM_CAP_EXIT_HYPERCALL, HYPERCALL_EXITS, NULL },
	{ KVM_CAP_VAPIC, 1, NULL },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1, NULL },
	{ KVM_CAP_SYS_ATTRIBUTES, 1, NULL },
	/* CPUID, MSRs, machine checks */
	{ KVM_CAP_EXT_CPUID, 1, NULL },
	{ KVM_CAP_EXT_EMUL_CPUID, 1, NULL },
	{ KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1, NULL },
	{ KVM_CAP_STEAL_TIME, 1, NULL },
	{ KVM_CAP_ASYNC_PF, 1, NULL },
	{ KVM_CAP_ASYNC_PF_INT, 1, NULL },
	{ KVM_CAP_GET_MSR_FEATURES, 1, NULL },
	{ KVM_CAP_MSR_PLATFORM_INFO, 1, NULL },
	{ KVM_CAP_X86_USER_SPACE_MSR, 1, NULL },
	{ KVM_CAP_X86_MSR_FILTER, 1, NULL },
	{ KVM_CAP_MCE, MCE_MAX_BANKS, NULL },
	/* Hyper-V */
	{ KVM_CAP_HYPERV, 1, NULL },
	{ KVM_CAP_HYPERV_VAPIC, 1, NULL },
	{ KVM_CAP_HYPERV_SPIN, 1, NULL },
	{ KVM_CAP_HYPERV_TIME, 1, NULL },
	{ KVM_CAP_HYPERV_VP_INDEX, 1, NULL },
	{ KVM_CAP_HYPERV_SYNIC, 1, NULL },
	{ KVM_CAP_HYPERV_SYNIC2, 1, NULL },
	{ KVM_CAP_HYPERV_EVENTFD, 1, NULL },
	{ KVM_CAP_HYPERV_TLBFLUSH, 1, NULL },
	{ KVM_CAP_HYPERV_SEND_IPI, 1, NULL },
	{ KVM_CAP_XEN_HVM, XEN_FLAGS, NULL },
	{ KVM_CAP_HYPERV_CPUID, 1, NULL },
	{ KVM_CAP_SYS_HYPERV_CPUID, 1, NULL },
	{ KVM_CAP_HYPERV_ENFORCE_CPUID, 1, NULL },
	/* time */
	{ KVM_CAP_CLOCKSOURCE, 1, NULL },
	{ KVM_CAP_NOP_IO_DELAY, 1, NULL },
	{ KVM_CAP_ADJUST_CLOCK, CLOCK_FLAGS, NULL },
	{ KVM_CAP_KVMCLOCK_CTRL, 1, NULL },
	{ KVM_CAP_GET_TSC_KHZ, 1, NULL },
	{ KVM_CAP_TSC_CONTROL, 1, NULL },
	{ KVM_CAP_VM_TSC_CONTROL, 1, NULL },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1, NULL },
	/* interrupt chips */
	{ KVM_CAP_IRQCHIP, 1, NULL },
	{ KVM_CAP_SPLIT_IRQCHIP, 1, NULL },
	{ KVM_CAP_IRQ_ROUTING, MAX_ROUTES, NULL },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1, NULL },
	{ KVM_CAP_IRQFD, 1, NULL },
	{ KVM_CAP_IRQFD_RESAMPLE, 1, NULL },
	{ KVM_CAP_SIGNAL_MSI, 1, NULL },
	{ KVM_CAP_IOAPIC_POLARITY_IGNORED, 1, NULL },
	{ KVM_CAP_X2APIC_API, X2APIC_FLAGS, NULL },
	{ KVM_CAP_PIT, 1, NULL },
	{ KVM_CAP_PIT2, 1, NULL },
	{ KVM_CAP_PIT_STATE2, 1, NULL },
	{ KVM_CAP_REINJECT_CONTROL, 1, NULL },
};

int cap_check(const struct engine_ops *engine, struct vm *vm, unsigned long cap)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(caps); i++)
		if (caps[i].cap == cap)
			return caps[i].check ? caps[i].check(engine) : caps[i].value;
	return 0;
}

/* --- KVM_ENABLE_CAP on a VM ------------------------------------------------------------------------ */

/* Under vm->lock; arguments are already checked against the table's masks. */

static int enable_quirks(struct vm *vm, const u64 *args)
{
	u32 i;

	__atomic_store_n(&vm->disabled_quirks, args[0], __ATOMIC_RELEASE);
	/*
	 * Some decide what instructions exist. A vCPU that runs meanwhile keeps its set until its CPUID is
	 * set anew.
	 */
	for (i = 0; i < vm->nr_vcpus; i++) {
		if (!host_mutex_trylock(&vm->vcpu[i]->mutex))
			continue;
		vcpu_cpuid_changed(vm->vcpu[i]);
		host_mutex_unlock(&vm->vcpu[i]->mutex);
	}
	return 0;
}

static int enable_split(struct vm *vm, const u64 *args)
{
	if (args[0] > MAX_ROUTES) /* of any number of IOAPICs */
		return -EINVAL;
	return vm->nr_vcpus ? -EEXIST : irqchip_split(vm, (u32)args[0]);
}

static int enable_x2apic(struct vm *vm, const u64 *args)
{
	__atomic_fetch_or(&vm->x2apic_flags, args[0], __ATOMIC_RELEASE);
	return 0;
}

static int enable_disable_exits(struct vm *vm, const u64 *args)
{
	/* As Linux, what cannot be disabled here is passed over in silence. */
	__atomic_fetch_or(&vm->disabled_exits, args[0] & native_exits(vm->engine), __ATOMIC_RELEASE);
	return 0;
}

static int enable_platform_info(struct vm *vm, const u64 *args)
{
	__atomic_store_n(&vm->platform_info_off, !args[0], __ATOMIC_RELEASE);
	return 0;
}

static int enable_exception_payload(struct vm *vm, const u64 *args)
{
	__atomic_store_n(&vm->exception_payload, !!args[0], __ATOMIC_RELEASE);
	return 0;
}

static int enable_triple_fault_event(struct vm *vm, const u64 *args)
{
	__atomic_store_n(&vm->triple_fault_event, !!args[0], __ATOMIC_RELEASE);
	return 0;
}

static int enable_user_msr(struct vm *vm, const u64 *args)
{
	__atomic_store_n(&vm->user_msr_mask, args[0], __ATOMIC_RELEASE);
	return 0;
}

static int enable_exit_hypercall(struct vm *vm, const u64 *args)
{
	__atomic_store_n(&vm->exit_hypercall_mask, (u32)args[0], __ATOMIC_RELEASE);
	__atomic_store_n(&vm->exit_hypercall, !!args[0], __ATOMIC_RELEASE);
	return 0;
}

static int enable_emulation_exit(struct vm *vm, const u64 *args)
{
	__atomic_store_n(&vm->exit_on_emulation_error, !!args[0], __ATOMIC_RELEASE);
	return 0;
}

static int enable_max_vcpu_id(struct vm *vm, const u64 *args)
{
	if (args[0] > VM_MAX_VCPU_ID || args[0] < vm->boot_cpu_id)
		return -EINVAL;
	if (vm->max_vcpu_ids && vm->max_vcpu_ids != args[0])
		return -EINVAL;
	vm->max_vcpu_ids = (u32)args[0];
	return 0;
}

static int enable_dirty_protect(struct vm *vm, const u64 *args)
{
	/* "Initially set" makes no sense alone. */
	if (args[0] && !(args[0] & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE))
		return -EINVAL;
	__atomic_store_n(&vm->dirty_protect_flags, args[0], __ATOMIC_RELEASE);
	return 0;
}

static int enable_halt_poll(struct vm *vm, const u64 *args)
{
	__atomic_store_n(&vm->max_halt_poll_ns, (u32)args[0], __ATOMIC_RELAXED);
	return 0;
}

static int enable_dirty_ring(struct vm *vm, const u64 *args)
{
	return vm_enable_dirty_ring(vm, (u32)args[0]); /* as Linux */
}

/* Accepted because Linux accepts "off" without the hardware for it; "exit" is never turned on. */
static int enable_bus_lock(struct vm *vm, const u64 *args)
{
	return args[0] == (KVM_BUS_LOCK_DETECTION_OFF | KVM_BUS_LOCK_DETECTION_EXIT) ? -EINVAL : 0;
}

static const struct {
	u32 cap;
	u64 valid; /* bits that args[0] may have */
	int (*enable)(struct vm *vm, const u64 *args);
} vm_caps[] = {
	{ KVM_CAP_DISABLE_QUIRKS, ~0ull, enable_quirks },
	{ KVM_CAP_DISABLE_QUIRKS2, QUIRKS, enable_quirks },
	{ KVM_CAP_SPLIT_IRQCHIP, ~0ull, enable_split },
	{ KVM_CAP_X2APIC_API, X2APIC_FLAGS, enable_x2apic },
	{ KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_VALID_EXITS, enable_disable_exits },
	{ KVM_CAP_MSR_PLATFORM_INFO, ~0ull, enable_platform_info },
	{ KVM_CAP_EXCEPTION_PAYLOAD, ~0ull, enable_exception_payload },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, ~0ull, enable_triple_fault_event },
	{ KVM_CAP_X86_USER_SPACE_MSR, MSR_EXIT_REASONS, enable_user_msr },
	{ KVM_CAP_X86_BUS_LOCK_EXIT, KVM_BUS_LOCK_DETECTION_OFF | KVM_BUS_LOCK_DETECTION_EXIT, enable_bus_lock },
	{ KVM_CAP_EXIT_HYPERCALL, HYPERCALL_EXITS, enable_exit_hypercall },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, enable_emulation_exit },
	{ KVM_CAP_MAX_VCPU_ID, ~0ull, enable_max_vcpu_id },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, DIRTY_LOG_FLAGS, enable_dirty_protect },
	{ KVM_CAP_HALT_POLL, ~0u, enable_halt_poll },
	{ KVM_CAP_DIRTY_LOG_RING, ~0ull, enable_dirty_ring },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, ~0ull, enable_dirty_ring },
};

int cap_enable_vm(struct vm *vm, const struct kvm_enable_cap *cap)
{
	u32 i;
	int r;

	if (cap->flags)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(vm_caps); i++) {
		if (vm_caps[i].cap != cap->cap)
			continue;
		if (cap->args[0] & ~vm_caps[i].valid)
			return -EINVAL;
		host_mutex_lock(&vm->lock);
		r = vm_caps[i].enable(vm, (const u64 *)cap->args);
		host_mutex_unlock(&vm->lock);
		return r;
	}
	return -EINVAL;
}
