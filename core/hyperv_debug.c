/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The synthetic debugger's MSRs: a guest's kernel debugger gives and takes buffers by them, or by hypercalls. What is in the buffers is
 * user space's: each command, and each new place of the page that says what waits, goes there (Linux,
 * "Documentation/virt/kvm/api.rst", KVM_EXIT_HYPERV_SYNDBG).
 */
#include "hyperv.h"

static u64 *field(struct vm *vm, u32 msr)
{
	struct hyperv_debug *d = &vm->hv.debug;

	switch (msr) {
	case HV_MSR_DEBUG_CONTROL: return &d->control;
	case HV_MSR_DEBUG_STATUS: return &d->status;
	case HV_MSR_DEBUG_SEND_BUFFER: return &d->send_page;
	case HV_MSR_DEBUG_RECEIVE_BUFFER: return &d->receive_page;
	case HV_MSR_DEBUG_PENDING_BUFFER: return &d->pending_page;
	case HV_MSR_DEBUG_OPTIONS: return &d->options;
	default: return NULL;
	}
}

static u64 get(const u64 *f)
{
	return __atomic_load_n(f, __ATOMIC_RELAXED);
}

static void tell_user(struct vcpu *v, u32 msr)
{
	const struct hyperv_debug *d = &v->vm->hv.debug;
	struct kvm_hyperv_exit *e =
		hyperv_exit(v, KVM_EXIT_HYPERV_SYNDBG, msr == HV_MSR_DEBUG_CONTROL ? IO_HYPERV_DEBUG : IO_NOTICE);

	e->u.syndbg.msr = msr;
	e->u.syndbg.control = get(&d->control);
	e->u.syndbg.status = get(&d->status);
	e->u.syndbg.send_page = get(&d->send_page);
	e->u.syndbg.recv_page = get(&d->receive_page);
	e->u.syndbg.pending_page = get(&d->pending_page);
}

bool hyperv_debug_enabled(const struct vcpu *v)
{
	return v->hv.debugger & HV_DEBUG_ALLOWED;
}

int hyperv_debug_read(struct vcpu *v, u32 msr, u64 *val, bool host)
{
	const u64 *f = field(v->vm, msr);

	if (!f || (!host && !hyperv_debug_enabled(v)))
		return MSR_INVALID;
	*val = get(f);
	return MSR_OK;
}

int hyperv_debug_write(struct vcpu *v, u32 msr, u64 val, bool host)
{
	u64 *f = field(v->vm, msr);

	if (!f || (!host && !hyperv_debug_enabled(v)))
		return MSR_INVALID;
	__atomic_store_n(f, val, __ATOMIC_RELAXED);
	if (!host && (msr == HV_MSR_DEBUG_CONTROL || msr == HV_MSR_DEBUG_PENDING_BUFFER))
		tell_user(v, msr);
	return MSR_OK;
}

void hyperv_debug_done(struct vcpu *v)
{
	__atomic_store_n(&v->vm->hv.debug.status, v->run->hyperv.u.syndbg.status, __ATOMIC_RELAXED);
}

bool hyperv_debug_by_calls(const struct vcpu *v)
{
	return get(&v->vm->hv.debug.options) & HV_DEBUG_USE_CALLS;
}
