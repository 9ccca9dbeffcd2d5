/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The ioctls of a vCPU: argument copying and dispatch. What they mean is in the files that own the state. */
#include "irqchip.h"

#define USER(arg) ((void *)(arg))

/* Handlers that copy a structure out, or in; most ioctls are one of these. */
#define GETTER(name, type, call)                                                                                       \
	static long name(struct vcpu *v, unsigned long arg)                                                            \
	{                                                                                                              \
		type val;                                                                                              \
		call;                                                                                                  \
		return host_copy_to_user(USER(arg), &val, sizeof(val));                                                \
	}
#define SETTER(name, type, call)                                                                                       \
	static long name(struct vcpu *v, unsigned long arg)                                                            \
	{                                                                                                              \
		type val;                                                                                              \
		if (host_copy_from_user(&val, USER(arg), sizeof(val)))                                                 \
			return -EFAULT;                                                                                \
		return call;                                                                                           \
	}

GETTER(get_regs, struct kvm_regs, vcpu_get_regs(v, &val))
SETTER(set_regs, struct kvm_regs, (vcpu_set_regs(v, &val), 0))
GETTER(get_sregs, struct kvm_sregs, vcpu_get_sregs(v, &val))
SETTER(set_sregs, struct kvm_sregs, vcpu_set_sregs(v, &val))
GETTER(get_sregs2, struct kvm_sregs2, vcpu_get_sregs2(v, &val))
SETTER(set_sregs2, struct kvm_sregs2, vcpu_set_sregs2(v, &val))
GETTER(get_fpu, struct kvm_fpu, vcpu_get_fpu(v, &val))
SETTER(set_fpu, struct kvm_fpu, (vcpu_set_fpu(v, &val), 0))
GETTER(get_xcrs, struct kvm_xcrs, vcpu_get_xcrs(v, &val))
SETTER(set_xcrs, struct kvm_xcrs, vcpu_set_xcrs(v, &val))
GETTER(get_events, struct kvm_vcpu_events, vcpu_get_events(v, &val))
SETTER(set_events, struct kvm_vcpu_events, vcpu_set_events(v, &val))
GETTER(get_debugregs, struct kvm_debugregs, vcpu_get_debugregs(v, &val))
SETTER(set_debugregs, struct kvm_debugregs, vcpu_set_debugregs(v, &val))
SETTER(set_debug, struct kvm_guest_debug, vcpu_set_guest_debug(v, &val))
SETTER(set_old_debug, struct kvm_debug_guest, vcpu_set_debug_guest(v, &val))
SETTER(interrupt, struct kvm_interrupt, vcpu_queue_interrupt(v, val.irq))
SETTER(setup_mce, u64, mce_setup(v, val))
SETTER(set_mce, struct kvm_x86_mce, mce_inject(v, &val))
SETTER(set_mp_state, struct kvm_mp_state, vcpu_set_mp_state(v, val.mp_state))

static long get_mp_state(struct vcpu *v, unsigned long arg)
{
	struct kvm_mp_state state;

	vcpu_get_mp_state(v, &state.mp_state);
	return host_copy_to_user(USER(arg), &state, sizeof(state));
}

static long translate(struct vcpu *v, unsigned long arg)
{
	struct kvm_translation t;

	if (host_copy_from_user(&t, USER(arg), sizeof(t)))
		return -EFAULT;
	vcpu_translate(v, &t);
	return host_copy_to_user(USER(arg), &t, sizeof(t));
}

/* --- local APIC ------------------------------------------------------------------------------------------- */

static long lapic_ioctl(struct vcpu *v, unsigned long arg, bool set)
{
	struct kvm_lapic_state *state;
	long err;

	if (!v->lapic)
		return -EINVAL;
	state = host_alloc(sizeof(*state));
	if (!state)
		return -ENOMEM;
	if (set) {
		err = host_copy_from_user(state, USER(arg), sizeof(*state));
		if (!err)
			err = lapic_set_state(v, state);
	} else {
		err = lapic_get_state(v, state);
		if (!err)
			err = host_copy_to_user(USER(arg), state, sizeof(*state));
	}
	host_free(state);
	return err;
}

static long tpr_reporting(struct vcpu *v, unsigned long arg)
{
	struct kvm_tpr_access_ctl ctl;

	if (host_copy_from_user(&ctl, USER(arg), sizeof(ctl)))
		return -EFAULT;
	if (ctl.flags)
		return -EINVAL;
	v->tpr_reporting = ctl.enabled;
	return host_copy_to_user(USER(arg), &ctl, sizeof(ctl));
}

static bool is_writable(struct vm *vm, u64 gpa)
{
	const struct memslot *slot = memslots_find(vm_slots(vm, 0), gpa);

	return slot && !(slot->flags & KVM_MEM_READONLY);
}

/* The page lets a guest's option ROM lower the TPR without an exit; with a LAPIC in this process it is of no use. */
static long set_vapic_addr(struct vcpu *v, unsigned long arg)
{
	struct kvm_vapic_addr addr;

	if (!v->lapic)
		return -EINVAL;
	if (host_copy_from_user(&addr, USER(arg), sizeof(addr)))
		return -EFAULT;
	if (addr.vapic_addr && (!is_writable(v->vm, addr.vapic_addr) || !is_writable(v->vm, addr.vapic_addr + 3)))
		return -EINVAL;
	v->vapic_addr = addr.vapic_addr;
	return 0;
}

/* --- the rest ------------------------------------------------------------------------------------------------ */

static long set_signal_mask(struct vcpu *v, unsigned long arg)
{
	struct kvm_signal_mask head;
	u64 mask;

	if (!arg) {
		v->sigmask_set = false;
		return 0;
	}
	if (host_copy_from_user(&head, USER(arg), sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(mask))
		return -EINVAL;
	if (host_copy_from_user(&mask, (u8 *)USER(arg) + sizeof(head), sizeof(mask)))
		return -EFAULT;
	v->sigmask = mask;
	v->sigmask_set = true;
	return 0;
}

static long enable_cap(struct vcpu *v, unsigned long arg)
{
	struct kvm_enable_cap cap;
	int r = 0;

	if (host_copy_from_user(&cap, USER(arg), sizeof(cap)))
		return -EFAULT;
	if (cap.flags)
		return -EINVAL;
	switch (cap.cap) {
	case KVM_CAP_ENFORCE_PV_FEATURE_CPUID: v->pv_enforce = cap.args[0]; break;
	case KVM_CAP_HYPERV_ENFORCE_CPUID: v->hv.enforce = cap.args[0]; break;
	case KVM_CAP_HYPERV_SYNIC: r = hyperv_synic_enable(v, false); break;
	case KVM_CAP_HYPERV_SYNIC2: r = cap.args[0] ? -EINVAL : hyperv_synic_enable(v, true); break;
	default: return -EINVAL;
	}
	vcpu_cpuid_changed(v);
	return r;
}

static long open_stats(struct vcpu *v, struct object *made)
{
	int err = stats_open(v->vm, v, &made->stats);

	if (!err)
		made->type = OBJ_STATS;
	return err;
}

static long xen_attr(struct vcpu *v, unsigned long arg, bool set)
{
	struct kvm_xen_vcpu_attr a;
	int r;

	if (host_copy_from_user(&a, USER(arg), sizeof(a)))
		return -EFAULT;
	r = xen_vcpu_attr(v, &a, set);
	return r || set ? r : host_copy_to_user(USER(arg), &a, sizeof(a));
}

/* In a srcu section where the handler reaches guest memory or what the VM publishes. */
static long in_srcu(struct vcpu *v, u32 cmd, unsigned long arg)
{
	int idx = host_srcu_read_lock(&v->vm->srcu);
	long r;

	switch (cmd) {
	case KVM_KVMCLOCK_CTRL: r = vcpu_kvmclock_ctrl(v); break;
	case KVM_SET_VAPIC_ADDR: r = set_vapic_addr(v, arg); break;
	case KVM_XEN_VCPU_GET_ATTR:
	case KVM_XEN_VCPU_SET_ATTR: r = xen_attr(v, arg, cmd == KVM_XEN_VCPU_SET_ATTR); break;
	default: r = msr_ioctl(v, arg, cmd == KVM_SET_MSRS); break;
	}
	host_srcu_read_unlock(&v->vm->srcu, idx);
	return r;
}

static long run(struct vcpu *v, unsigned long arg)
{
	return arg ? -EINVAL : vcpu_run(v);
}

static long dispatch(struct vcpu *v, u32 cmd, unsigned long arg, struct object *made)
{
	switch (cmd) {
	case KVM_RUN: return run(v, arg);
	case KVM_GET_REGS: return get_regs(v, arg);
	case KVM_SET_REGS: return set_regs(v, arg);
	case KVM_GET_SREGS: return get_sregs(v, arg);
	case KVM_SET_SREGS: return set_sregs(v, arg);
	case KVM_GET_SREGS2: return get_sregs2(v, arg);
	case KVM_SET_SREGS2: return set_sregs2(v, arg);
	case KVM_GET_FPU: return get_fpu(v, arg);
	case KVM_SET_FPU: return set_fpu(v, arg);
	case KVM_GET_XSAVE:
	case KVM_GET_XSAVE2: return vcpu_get_xsave(v, USER(arg), XSAVE_MAX_SIZE);
	case KVM_SET_XSAVE: return vcpu_set_xsave(v, USER(arg));
	case KVM_GET_XCRS: return get_xcrs(v, arg);
	case KVM_SET_XCRS: return set_xcrs(v, arg);
	case KVM_GET_VCPU_EVENTS: return get_events(v, arg);
	case KVM_SET_VCPU_EVENTS: return set_events(v, arg);
	case KVM_GET_DEBUGREGS: return get_debugregs(v, arg);
	case KVM_SET_DEBUGREGS: return set_debugregs(v, arg);
	case KVM_GET_MP_STATE: return get_mp_state(v, arg);
	case KVM_SET_MP_STATE: return set_mp_state(v, arg);
	case KVM_SET_GUEST_DEBUG: return set_debug(v, arg);
	case KVM_DEBUG_GUEST: return set_old_debug(v, arg);
	case KVM_TRANSLATE: return translate(v, arg);
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
	case KVM_XEN_VCPU_GET_ATTR:
	case KVM_XEN_VCPU_SET_ATTR:
	case KVM_SET_VAPIC_ADDR:
	case KVM_KVMCLOCK_CTRL: return in_srcu(v, cmd, arg);
	case KVM_SET_CPUID: return cpuid_set_ioctl(v, arg, true);
	case KVM_SET_CPUID2: return cpuid_set_ioctl(v, arg, false);
	case KVM_GET_CPUID2: return cpuid_get_ioctl(v, arg);
	case KVM_GET_SUPPORTED_HV_CPUID: return hyperv_cpuid_ioctl(v, arg);
	case KVM_GET_LAPIC: return lapic_ioctl(v, arg, false);
	case KVM_SET_LAPIC: return lapic_ioctl(v, arg, true);
	case KVM_TPR_ACCESS_REPORTING: return tpr_reporting(v, arg);
	case KVM_INTERRUPT: return interrupt(v, arg);
	case KVM_NMI: vcpu_queue_nmi(v); return 0;
	case KVM_SMI: vcpu_request(v, REQ_SMI); return 0;
	case KVM_X86_SETUP_MCE: return setup_mce(v, arg);
	case KVM_X86_SET_MCE: return set_mce(v, arg);
	case KVM_SET_SIGNAL_MASK: return set_signal_mask(v, arg);
	case KVM_SET_TSC_KHZ: return vcpu_set_tsc_khz(v, (u32)arg);
	case KVM_GET_TSC_KHZ: return v->tsc_khz;
	case KVM_ENABLE_CAP: return enable_cap(v, arg);
	case KVM_GET_STATS_FD: return open_stats(v, made);
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR: return vcpu_tsc_attr(v, cmd, arg);
	/* Everything else, KVM_GET_ONE_REG among it. */
	default: return -EINVAL;
	}
}

/* User space that saves a machine finds in guest memory what has been raised for this vCPU. */
static void finish_events(struct vcpu *v)
{
	int idx;

	if (likely(!(__atomic_load_n(&v->requests, __ATOMIC_RELAXED) & REQ_XEN)))
		return;
	idx = host_srcu_read_lock(&v->vm->srcu);
	xen_raise_posted(v);
	host_srcu_read_unlock(&v->vm->srcu, idx);
}

long vcpu_ioctl(struct vcpu *v, u32 cmd, unsigned long arg, struct object *made)
{
	long r;

	made->type = OBJ_NONE;
	if (__atomic_load_n(&v->vm->dead, __ATOMIC_ACQUIRE))
		return -EIO;
	if (host_mutex_lock_killable(&v->mutex))
		return -EINTR;
	if (cmd != KVM_RUN) {
		vcpu_get_state(v, STATE_ALL);
		finish_events(v);
	}
	r = dispatch(v, cmd, arg, made);
	host_mutex_unlock(&v->mutex);
	return r;
}
