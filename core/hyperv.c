/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Enlightenments of Hyper-V, as far as they are offered: the partition's clock (reference counter and reference TSC page), the
 * local APIC by MSRs, VP index and run time, reset, crash report, frequencies. A guest sees them if its CPUID leaf 0x40000001 says "Hv#1".
 */
#include "hyperv.h"
#include "irqchip.h"
#include "msr_table.h"

#define HV_OFFERED                                                                                                     \
	(HV_VP_RUNTIME | HV_TIME_REF_COUNT | HV_SYNIC | HV_TIMERS | HV_APIC_ACCESS | HV_HYPERCALL | HV_VP_INDEX |      \
	 HV_RESET | HV_REFERENCE_TSC | HV_FREQUENCIES | HV_REENLIGHTENMENT)
#define HV_OFFERED_EBX (HV_EBX_POST_MESSAGES | HV_EBX_SIGNAL_EVENTS | HV_EBX_DEBUGGING)
#define HV_OFFERED_EDX                                                                                                 \
	(HV_EDX_DEBUGGING | HV_EDX_XMM_INPUT | HV_EDX_FREQUENCIES | HV_EDX_CRASH | HV_EDX_DEBUG_MSRS |                 \
	 HV_EDX_DIRECT_TIMERS)
#define HV_RECOMMENDED                                                                                                 \
	(HV_RECOMMEND_REMOTE_FLUSH | HV_RECOMMEND_APIC_MSRS | HV_RECOMMEND_RELAXED_TIMING | HV_RECOMMEND_CLUSTER_IPI | \
	 HV_RECOMMEND_EX_MASKS)
#define HV_INTERFACE 0x31237648u       /* "Hv#1" */
#define HV_DEBUG_INTERFACE 0x31235356u /* "VS#1" */
#define HV_SPINS 0xfffu                /* before a guest tells that it waits for a lock */

#define HV_CRASH_NOTIFY (1ull << 63)
#define HV_EMULATION_STATUS_VALID 1ull
#define APIC_FREQUENCY 1000000000ull

/* --- CPUID ---------------------------------------------------------------------------------------------- */

static const struct {
	u32 leaf, eax, ebx, ecx, edx;
} leaves[] = {
	{ 0x40000000, 0x40000082, 0x756e694c, 0x564b2078, 0x7648204d }, /* "Linux KVM Hv" */
	{ 0x40000001, HV_INTERFACE, 0, 0, 0 },
	{ 0x40000002, 0x3839, 0xa0000, 0, 0 }, /* a version that its guests know */
	{ 0x40000003, HV_OFFERED, HV_OFFERED_EBX, 0, HV_OFFERED_EDX },
	{ 0x40000004, HV_RECOMMENDED, HV_SPINS, 0, 0 },
	{ 0x40000005, VM_MAX_VCPUS, 64, 0, 0 },
	{ 0x40000080, 0x40000082, 0x756e694c, 0x564b2078, 0x7648204d },
	{ 0x40000081, HV_DEBUG_INTERFACE, 0, 0, 0 },
	{ 0x40000082, HV_DEBUG_ALLOWED, 0, 0, 0 },
};

int hyperv_cpuid_ioctl(const struct vcpu *v, unsigned long arg)
{
	struct kvm_cpuid2 head;
	u32 i;
	int r = 0;

	if (host_copy_from_user(&head, (void *)arg, sizeof(head)))
		return -EFAULT;
	if (head.nent < ARRAY_SIZE(leaves))
		return -E2BIG;
	for (i = 0; i < ARRAY_SIZE(leaves) && !r; i++) {
		struct kvm_cpuid_entry2 e;

		memset(&e, 0, sizeof(e));
		e.function = leaves[i].leaf;
		e.eax = leaves[i].eax;
		e.ebx = leaves[i].ebx;
		e.ecx = leaves[i].ecx;
		e.edx = leaves[i].edx;
		/* They need a local APIC to interrupt. */
		if (e.function == 0x40000003 && v && !v->lapic)
			e.edx &= ~HV_EDX_DIRECT_TIMERS;
		r = host_copy_to_user((void *)(arg + offsetof(struct kvm_cpuid2, entries) + i * sizeof(e)), &e,
				      sizeof(e));
	}
	head.nent = ARRAY_SIZE(leaves);
	return r ? r : host_copy_to_user((void *)arg, &head, sizeof(head));
}

void hyperv_cpuid_changed(struct vcpu *v)
{
	u32 r[4];

	cpuid_query(v, 0x40000001, 0, r);
	v->hv.enabled = r[0] == HV_INTERFACE;
	cpuid_query(v, 0x40000003, 0, r);
	v->hv.features = r[0];
	v->hv.features_ebx = r[1];
	v->hv.features_edx = r[3];
	cpuid_query(v, 0x40000004, 0, r);
	v->hv.recommended = r[0];
	v->hv.spins = r[1];
	cpuid_query(v, 0x40000082, 0, r);
	v->hv.debugger = r[0];
}

/* --- the partition's clock -------------------------------------------------------------------------------- */

struct tsc_page {
	u32 sequence, reserved;
	u64 scale;
	s64 offset;
};

static u64 get(const u64 *field)
{
	return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static void set(u64 *field, u64 val)
{
	__atomic_store_n(field, val, __ATOMIC_RELAXED);
}

static u64 scale_time(u64 tsc, u64 scale)
{
	return (u64)((u128)tsc * scale >> 64);
}

/* 2^64 * 10^7 / frequency, by two digits of 32 bits; kernels have no 128-bit division. 0: too slow to be expressed. */
static u64 time_scale(u64 khz)
{
	u64 rest = 10000, high;

	if (khz <= rest)
		return 0;
	high = (rest << 32) / khz;
	rest = (rest << 32) % khz;
	return high << 32 | (rest << 32) / khz;
}

static void set_clock(struct vm *vm, const struct tsc_page *p)
{
	unsigned long state = host_lock_acquire(&vm->clock_lock);

	vm->hv.tsc_scale = p ? p->scale : 0;
	vm->hv.tsc_offset = p ? (u64)p->offset : 0;
	host_lock_release(&vm->clock_lock, state);
}

/* In units of 100 ns. With the page in use it is what the page gives, so that the two never disagree. */
u64 hyperv_reference_time(struct vcpu *v)
{
	struct vm *vm = v->vm;
	unsigned long state = host_lock_acquire(&vm->clock_lock);
	u64 scale = vm->hv.tsc_scale, offset = vm->hv.tsc_offset;

	host_lock_release(&vm->clock_lock, state);
	return scale ? scale_time(vcpu_read_tsc(v), scale) + offset : kvmclock_now(vm) / 100;
}

/* False: the guest must use the MSR. */
static bool compute_page(struct vcpu *v, struct tsc_page *p)
{
	u64 tsc, ns;
	bool stable;

	clock_base(v->vm, &tsc, &ns, &stable);
	p->scale = time_scale(clock_guest_khz(v));
	tsc = clock_scale_tsc(tsc, v->tsc_ratio) + (u64)__atomic_load_n(&v->tsc_offset, __ATOMIC_RELAXED);
	p->offset = (s64)(ns / 100 - scale_time(tsc, p->scale));
	return stable && p->scale;
}

/* 0 says that the page is not valid; the others only have to differ from the one before. */
static u32 next_sequence(u32 sequence)
{
	return sequence + 1 == 0 || sequence + 1 == 0xffffffff ? 1 : sequence + 1;
}

static void update_page(struct vcpu *v)
{
	struct vm *vm = v->vm;
	u64 msr = get(&vm->hv.tsc_page), gpa = msr & X86_PAGE_MASK;
	struct tsc_page p;
	u32 sequence;

	if (!(msr & HV_ENABLE) || vm_read_guest(vm, gpa, &p, sizeof(p)))
		return;
	/* A guest that wants to be told of a new frequency keeps its page until then: it comes from another host. */
	if (p.sequence && get(&vm->hv.reenlightenment) && get(&vm->hv.tsc_emulation)) {
		set_clock(vm, &p);
		return;
	}
	sequence = p.sequence;
	p.sequence = 0;
	if (vcpu_write_guest(v, gpa, &p.sequence, sizeof(p.sequence)))
		return;
	set_clock(vm, NULL);
	p.reserved = 0;
	if (!compute_page(v, &p) || vcpu_write_guest(v, gpa, &p, sizeof(p)))
		return;
	set_clock(vm, &p);
	sequence = next_sequence(sequence);
	vcpu_write_guest(v, gpa, &sequence, sizeof(sequence));
}

void hyperv_clock_update(struct vcpu *v)
{
	if (!v->index)
		update_page(v);
}

/* --- MSRs -------------------------------------------------------------------------------------------------- */

#define APIC_REG_TPR 0x80u
#define APIC_REG_EOI 0xb0u
#define APIC_REG_ICR 0x300u

static u32 needed_feature(u32 msr)
{
	switch (msr) {
	case HV_MSR_GUEST_OS_ID:
	case HV_MSR_HYPERCALL: return HV_HYPERCALL;
	case HV_MSR_VP_INDEX: return HV_VP_INDEX;
	case HV_MSR_RESET: return HV_RESET;
	case HV_MSR_VP_RUNTIME: return HV_VP_RUNTIME;
	case HV_MSR_TIME_REF_COUNT: return HV_TIME_REF_COUNT;
	case HV_MSR_REFERENCE_TSC: return HV_REFERENCE_TSC;
	case HV_MSR_TSC_FREQUENCY:
	case HV_MSR_APIC_FREQUENCY: return HV_FREQUENCIES;
	case HV_MSR_EOI ... HV_MSR_VP_ASSIST_PAGE: return HV_APIC_ACCESS;
	case HV_MSR_SCONTROL ... HV_MSR_SINT15: return HV_SYNIC;
	case HV_MSR_STIMER0_CONFIG ... HV_MSR_STIMER3_COUNT: return HV_TIMERS;
	default: return HV_REENLIGHTENMENT;
	}
}

/* KVM_CAP_HYPERV_ENFORCE_CPUID: only what the guest's own CPUID shows. */
static bool may_access(const struct vcpu *v, u32 msr, bool host)
{
	if (host)
		return true;
	if (!v->hv.enabled || !v->hv.enforce)
		return v->hv.enabled;
	if (msr >= HV_MSR_CRASH_P0 && msr <= HV_MSR_CRASH_CTL)
		return v->hv.features_edx & HV_EDX_CRASH;
	if (msr >= HV_MSR_DEBUG_CONTROL && msr <= HV_MSR_DEBUG_OPTIONS)
		return v->hv.features_edx & HV_EDX_DEBUG_MSRS;
	return v->hv.features & needed_feature(msr);
}

/* The calling thread's time, as with Linux: mostly the vCPU's. In units of 100 ns. */
static u64 run_time(void)
{
	return host_run_time_ns() / 100;
}

int hyperv_read_msr(struct vcpu *v, u32 msr, u64 *val, bool host)
{
	const struct hyperv *hv = &v->vm->hv;

	if (!may_access(v, msr, host))
		return MSR_INVALID;
	switch (msr) {
	case HV_MSR_GUEST_OS_ID: *val = get(&hv->os_id); break;
	case HV_MSR_HYPERCALL: *val = get(&hv->hypercall); break;
	case HV_MSR_VP_INDEX: *val = v->hv.vp_index; break;
	case HV_MSR_RESET: *val = 0; break;
	case HV_MSR_VP_RUNTIME: *val = run_time() + v->hv.runtime_offset; break;
	case HV_MSR_TIME_REF_COUNT: *val = hyperv_reference_time(v); break;
	case HV_MSR_REFERENCE_TSC: *val = get(&hv->tsc_page); break;
	case HV_MSR_TSC_FREQUENCY: *val = v->tsc_khz * 1000ull; break;
	case HV_MSR_APIC_FREQUENCY: *val = APIC_FREQUENCY; break;
	case HV_MSR_EOI: return lapic_read_reg(v, APIC_REG_EOI, val) ? MSR_INVALID : MSR_OK;
	case HV_MSR_ICR: return lapic_read_reg(v, APIC_REG_ICR, val) ? MSR_INVALID : MSR_OK;
	case HV_MSR_TPR: return lapic_read_reg(v, APIC_REG_TPR, val) ? MSR_INVALID : MSR_OK;
	case HV_MSR_VP_ASSIST_PAGE: *val = v->hv.assist_page; break;
	case HV_MSR_SCONTROL ... HV_MSR_SINT15: return hyperv_synic_read(v, msr, val, host);
	case HV_MSR_STIMER0_CONFIG ... HV_MSR_STIMER3_COUNT: return hyperv_timer_read(v, msr, val, host);
	case HV_MSR_DEBUG_CONTROL ... HV_MSR_DEBUG_OPTIONS: return hyperv_debug_read(v, msr, val, host);
	case HV_MSR_CRASH_P0 ... HV_MSR_CRASH_P4: *val = get(&hv->crash[msr - HV_MSR_CRASH_P0]); break;
	case HV_MSR_CRASH_CTL: *val = get(&hv->crash_ctl); break;
	case HV_MSR_REENLIGHTENMENT: *val = get(&hv->reenlightenment); break;
	case HV_MSR_TSC_EMULATION: *val = get(&hv->tsc_emulation); break;
	case HV_MSR_TSC_EMULATION_STATUS: *val = get(&hv->tsc_emulation_status); break;
	default: return MSR_UNKNOWN;
	}
	return MSR_OK;
}

static int write_os_id(struct vcpu *v, u64 val)
{
	set(&v->vm->hv.os_id, val);
	/* A guest without a name has no hypercalls. */
	if (!val)
		set(&v->vm->hv.hypercall, get(&v->vm->hv.hypercall) & ~HV_ENABLE);
	return MSR_OK;
}

/* The page of guest memory through which it calls. */
static int write_hypercall(struct vcpu *v, u64 val)
{
	/* or eax, 0x80000000, which tells them from Xen's where both are there; vmcall or vmmcall; ret */
	const u8 code[] = { 0x0d, 0, 0, 0, 0x80, 0x0f, 0x01, v->state.vendor_amd ? 0xd9 : 0xc1, 0xc3 };
	u32 skip = xen_hypercalls(v->vm) ? 0 : 5;

	if (!get(&v->vm->hv.os_id))
		return MSR_OK;
	if (val & HV_ENABLE && vcpu_write_guest(v, val & X86_PAGE_MASK, code + skip, sizeof(code) - skip))
		return MSR_INVALID;
	set(&v->vm->hv.hypercall, val);
	vcpu_request(v, REQ_EVENT); /* new code: the engine looks anew when it is entered */
	return MSR_OK;
}

static int write_reference_tsc(struct vcpu *v, u64 val)
{
	set(&v->vm->hv.tsc_page, val);
	set_clock(v->vm, NULL);
	update_page(v);
	return MSR_OK;
}

static int write_assist_page(struct vcpu *v, u64 val)
{
	const u32 no_eoi_assist = 0;

	if (val & HV_ENABLE && vcpu_write_guest(v, val & X86_PAGE_MASK, &no_eoi_assist, sizeof(no_eoi_assist)))
		return MSR_INVALID;
	v->hv.assist_page = val;
	return MSR_OK;
}

/* User space does it when the instruction has retired. */
static int system_event(struct vcpu *v, u32 type)
{
	v->io.pending = IO_NOTICE;
	v->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	v->run->system_event.type = type;
	v->run->system_event.ndata = 0;
	return MSR_OK;
}

static int write_vp_index(struct vcpu *v, u64 val, bool host)
{
	if (!host || val >= VM_MAX_VCPUS)
		return MSR_INVALID;
	__atomic_store_n(&v->hv.vp_index, (u32)val, __ATOMIC_RELAXED);
	return MSR_OK;
}

static int write_crash_ctl(struct vcpu *v, u64 val, bool host)
{
	if (host)
		set(&v->vm->hv.crash_ctl, val & HV_CRASH_NOTIFY);
	else if (val & HV_CRASH_NOTIFY)
		return system_event(v, KVM_SYSTEM_EVENT_CRASH);
	return MSR_OK;
}

int hyperv_write_msr(struct vcpu *v, u32 msr, u64 val, bool host)
{
	struct hyperv *hv = &v->vm->hv;

	if (!may_access(v, msr, host))
		return MSR_INVALID;
	switch (msr) {
	case HV_MSR_GUEST_OS_ID: return write_os_id(v, val);
	case HV_MSR_HYPERCALL: return write_hypercall(v, val);
	case HV_MSR_VP_INDEX: return write_vp_index(v, val, host);
	case HV_MSR_RESET: return val == 1 && !host ? system_event(v, KVM_SYSTEM_EVENT_RESET) : MSR_OK;
	case HV_MSR_VP_RUNTIME:
		if (!host)
			return MSR_INVALID;
		v->hv.runtime_offset = val - run_time();
		return MSR_OK;
	case HV_MSR_REFERENCE_TSC: return write_reference_tsc(v, val);
	case HV_MSR_EOI: return lapic_write_reg(v, APIC_REG_EOI, 0) ? MSR_INVALID : MSR_OK;
	case HV_MSR_ICR: return lapic_write_reg(v, APIC_REG_ICR, val) ? MSR_INVALID : MSR_OK;
	case HV_MSR_TPR: return lapic_write_reg(v, APIC_REG_TPR, (u32)val) ? MSR_INVALID : MSR_OK;
	case HV_MSR_VP_ASSIST_PAGE: return write_assist_page(v, val);
	case HV_MSR_SCONTROL ... HV_MSR_SINT15: return hyperv_synic_write(v, msr, val, host);
	case HV_MSR_STIMER0_CONFIG ... HV_MSR_STIMER3_COUNT: return hyperv_timer_write(v, msr, val, host);
	case HV_MSR_DEBUG_CONTROL ... HV_MSR_DEBUG_OPTIONS: return hyperv_debug_write(v, msr, val, host);
	case HV_MSR_CRASH_P0 ... HV_MSR_CRASH_P4: set(&hv->crash[msr - HV_MSR_CRASH_P0], val); return MSR_OK;
	case HV_MSR_CRASH_CTL: return write_crash_ctl(v, val, host);
	case HV_MSR_REENLIGHTENMENT: set(&hv->reenlightenment, val); return MSR_OK;
	case HV_MSR_TSC_EMULATION: set(&hv->tsc_emulation, val); return MSR_OK;
	case HV_MSR_TSC_EMULATION_STATUS:
		/* The TSC is never emulated: the guest can only acknowledge that. */
		if (val && !host)
			return MSR_INVALID;
		set(&hv->tsc_emulation_status, val & HV_EMULATION_STATUS_VALID);
		return MSR_OK;
	/* The others are read only; user space may put back what it has saved, in vain. */
	default: return host ? MSR_OK : MSR_INVALID;
	}
}

struct kvm_hyperv_exit *hyperv_exit(struct vcpu *v, u32 type, enum io_pending pending)
{
	struct kvm_hyperv_exit *e = &v->run->hyperv;

	v->io.pending = pending;
	v->run->exit_reason = KVM_EXIT_HYPERV;
	memset(e, 0, sizeof(*e));
	e->type = type;
	return e;
}
