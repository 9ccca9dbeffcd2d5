/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The synthetic interrupt controller: sixteen sources (SINTs) for each vCPU, each with a vector, a slot for a message in one page
 * of guest memory and event flags in another (TLFS, "Virtual Interrupt Controller"). User space, which makes the event flags and
 * most messages, is told where the pages are by KVM_EXIT_HYPERV.
 */
#include "hyperv.h"
#include "irqchip.h"

#define SINT_MASKED (1ull << 16)
#define SINT_AUTO_EOI (1ull << 17)
#define SINT_VECTOR 0xffull
#define FIRST_VECTOR 16
#define VERSION 1
#define MESSAGE_BYTES 256
#define MESSAGE_PENDING 1 /* flags: the guest is to write EOM when it has taken the message */
_Static_assert(sizeof(struct hyperv_message) == MESSAGE_BYTES, "TLFS, HV_MESSAGE");

int hyperv_create(struct vcpu *v)
{
	struct hyperv_synic *s = host_alloc(sizeof(*s));
	u32 i;

	if (!s)
		return -ENOMEM;
	v->hv.synic = s;
	s->version = VERSION;
	for (i = 0; i < HYPERV_SINTS; i++)
		s->sint[i] = SINT_MASKED;
	hyperv_timers_create(v);
	return 0;
}

void hyperv_destroy(struct vcpu *v)
{
	if (!v->hv.synic)
		return;
	hyperv_timers_destroy(v);
	host_free(v->hv.synic);
}

int hyperv_synic_enable(struct vcpu *v, bool keep_pages)
{
	if (!v->lapic)
		return -EINVAL;
	v->hv.synic->keep_pages = keep_pages;
	__atomic_store_n(&v->hv.synic->active, true, __ATOMIC_RELEASE);
	return 0;
}

bool hyperv_synic_active(const struct vcpu *v)
{
	return __atomic_load_n(&v->hv.synic->active, __ATOMIC_ACQUIRE);
}

static u64 sint_of(const struct vcpu *v, u32 sint)
{
	return __atomic_load_n(&v->hv.synic->sint[sint], __ATOMIC_ACQUIRE);
}

/* --- interrupts ------------------------------------------------------------------------------------------- */

/* As lapic_deliver(). Any context. */
static int raise(struct vcpu *v, u32 sint)
{
	u64 val = sint_of(v, sint);
	struct lapic_message m = {
		.vector = (u8)val,
		.delivery = DELIVER_FIXED,
		.level = true,
		.shorthand = 1,
	};

	return val & SINT_MASKED ? -1 : lapic_deliver(v->vm, v, &m);
}

static struct vcpu *find(struct vm *vm, u32 vp_index)
{
	u32 i, nr = vm_nr_vcpus(vm);

	for (i = 0; i < nr; i++)
		if (__atomic_load_n(&vm->vcpu[i]->hv.vp_index, __ATOMIC_RELAXED) == vp_index)
			return vm->vcpu[i];
	return NULL;
}

int hyperv_set_sint(struct vm *vm, u32 vp_index, u32 sint)
{
	struct vcpu *v = find(vm, vp_index);

	return v && sint < HYPERV_SINTS && hyperv_synic_active(v) ? raise(v, sint) : -1;
}

/* The guest is ready for what waits for this SINT. */
static void acknowledged(struct vcpu *v, u32 sint)
{
	hyperv_timers_retry(v, sint);
	irq_ack_sint(v->vm, v->hv.vp_index, sint);
}

void hyperv_eoi(struct vcpu *v, unsigned vector)
{
	u32 i;

	for (i = 0; i < HYPERV_SINTS; i++) {
		u64 val = sint_of(v, i);

		if (!(val & SINT_MASKED) && (val & SINT_VECTOR) == vector)
			acknowledged(v, i);
	}
}

/* Several SINTs may share a vector. */
static void collect_vectors(struct vcpu *v)
{
	u64 vectors[4] = { 0 }, automatic[4] = { 0 };
	u32 i;

	for (i = 0; i < HYPERV_SINTS; i++) {
		u64 val = sint_of(v, i), bit = 1ull << (val & 63);
		u32 word = (val & SINT_VECTOR) / 64;

		if (val & SINT_MASKED)
			continue;
		vectors[word] |= bit;
		if (val & SINT_AUTO_EOI)
			automatic[word] |= bit;
	}
	for (i = 0; i < 4; i++) {
		__atomic_store_n(&v->hv.sint_vectors[i], vectors[i], __ATOMIC_RELEASE);
		__atomic_store_n(&v->hv.auto_eoi[i], automatic[i], __ATOMIC_RELEASE);
	}
}

/* --- messages ---------------------------------------------------------------------------------------------- */

int hyperv_post(struct vcpu *v, u32 sint, const struct hyperv_message *m, bool wait)
{
	u64 page = v->hv.synic->message_page, at = (page & X86_PAGE_MASK) + sint * MESSAGE_BYTES;
	struct hyperv_message there;
	u32 size = (u32)offsetof(struct hyperv_message, payload) + m->size;

	if (!(page & HV_ENABLE))
		return -ENOENT;
	if (vm_read_guest(v->vm, at, &there, offsetof(struct hyperv_message, payload)))
		return -EFAULT;
	if (there.type) {
		there.flags |= MESSAGE_PENDING;
		if (wait && vcpu_write_guest(v, at + offsetof(struct hyperv_message, flags), &there.flags, 1))
			return -EFAULT;
		return -EAGAIN;
	}
	if (vcpu_write_guest(v, at, m, size))
		return -EFAULT;
	return raise(v, sint) > 0 ? 0 : -ENOENT;
}

/* --- MSRs ---------------------------------------------------------------------------------------------------- */

/* User space follows the guest's pages; it sees this when the instruction has retired. */
static void report(struct vcpu *v, u32 msr)
{
	const struct hyperv_synic *s = v->hv.synic;
	struct kvm_hyperv_exit *e = hyperv_exit(v, KVM_EXIT_HYPERV_SYNIC, IO_NOTICE);

	e->u.synic.msr = msr;
	e->u.synic.control = s->control;
	e->u.synic.evt_page = s->event_page;
	e->u.synic.msg_page = s->message_page;
}

static int clear_page(struct vcpu *v, u64 gpa)
{
	static const u8 zero[256];
	u32 at;
	int r = 0;

	for (at = 0; at < X86_PAGE_SIZE && !r; at += sizeof(zero))
		r = vcpu_write_guest(v, gpa + at, zero, sizeof(zero));
	return r;
}

static int write_page(struct vcpu *v, u64 *page, u32 msr, u64 val, bool host)
{
	if (val & HV_ENABLE && !host && !v->hv.synic->keep_pages && clear_page(v, val & X86_PAGE_MASK))
		return MSR_INVALID;
	*page = val;
	if (!host)
		report(v, msr);
	return MSR_OK;
}

static int write_sint(struct vcpu *v, u32 sint, u64 val, bool host)
{
	if (!host && !(val & SINT_MASKED) && (val & SINT_VECTOR) < FIRST_VECTOR)
		return MSR_INVALID;
	__atomic_store_n(&v->hv.synic->sint[sint], val, __ATOMIC_RELEASE);
	collect_vectors(v);
	return MSR_OK;
}

static int end_of_message(struct vcpu *v)
{
	u32 i;

	for (i = 0; i < HYPERV_SINTS; i++)
		acknowledged(v, i);
	return MSR_OK;
}

int hyperv_synic_read(struct vcpu *v, u32 msr, u64 *val, bool host)
{
	const struct hyperv_synic *s = v->hv.synic;

	if (!s->active && !host)
		return MSR_INVALID;
	switch (msr) {
	case HV_MSR_SCONTROL: *val = s->control; break;
	case HV_MSR_SVERSION: *val = s->version; break;
	case HV_MSR_SIEFP: *val = s->event_page; break;
	case HV_MSR_SIMP: *val = s->message_page; break;
	case HV_MSR_EOM: *val = 0; break;
	case HV_MSR_SINT0 ... HV_MSR_SINT15: *val = sint_of(v, msr - HV_MSR_SINT0); break;
	default: return MSR_INVALID;
	}
	return MSR_OK;
}

int hyperv_synic_write(struct vcpu *v, u32 msr, u64 val, bool host)
{
	struct hyperv_synic *s = v->hv.synic;

	if (!s->active && !host)
		return MSR_INVALID;
	switch (msr) {
	case HV_MSR_SCONTROL:
		s->control = val;
		if (!host)
			report(v, msr);
		return MSR_OK;
	case HV_MSR_SVERSION:
		if (!host)
			return MSR_INVALID;
		s->version = val;
		return MSR_OK;
	case HV_MSR_SIEFP: return write_page(v, &s->event_page, msr, val, host);
	case HV_MSR_SIMP: return write_page(v, &s->message_page, msr, val, host);
	case HV_MSR_EOM: return end_of_message(v);
	case HV_MSR_SINT0 ... HV_MSR_SINT15: return write_sint(v, msr - HV_MSR_SINT0, val, host);
	default: return MSR_INVALID;
	}
}
