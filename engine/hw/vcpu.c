/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A vCPU on hardware: its life, the bracket around an entry, and what the processor does not switch by itself. */
#include "hwvm.h"

struct x86_ops hwvm_x86_ops;

/* --- the host's part of what is switched by hand --------------------------------------------------------------- */

static bool has_rdtscp, has_xsave, has_xsaves;
static u64 host_xcr, host_xss; /* the same on all CPUs */
static struct per_cpu {
	u64 tsc_aux;    /* the host's */
	u64 debugctl;   /* likewise, of the entry that this CPU is in */
	u64 last_guest; /* serial of the vCPU that ran there last */
} * cpus;
static u64 next_serial;

static void tlb_flushed(struct x86_state *s, enum x86_flush what, u64 lin)
{
	hwvm_of(state_vcpu(s))->flush = true;
}

int hwvm_init(void)
{
	u32 r[4];

	host_cpuid(0x80000001, 0, r);
	has_rdtscp = r[3] & BIT(27);
	host_cpuid(1, 0, r);
	has_xsave = r[2] & BIT(27);
	if (has_xsave) {
		host_cpuid(0xd, 1, r);
		has_xsaves = r[0] & BIT(3);
	}
	hwvm_x86_ops = core_x86_ops;
	/* Guest memory has no address here but through the process. */
	hwvm_x86_ops.ram = NULL;
	hwvm_x86_ops.ram_read = hwvm_ram_read;
	hwvm_x86_ops.ram_cmpxchg = hwvm_ram_cmpxchg;
	hwvm_x86_ops.recall = hwvm_recall;
	hwvm_x86_ops.remember = hwvm_remember;
	hwvm_x86_ops.tlb_flushed = tlb_flushed;
	hwvm_x86_ops.native = hwvm_native;
	cpus = host_alloc(hw_nr_cpus() * sizeof(*cpus));
	return cpus ? 0 : -ENOMEM;
}

void hwvm_exit(void)
{
	host_free(cpus);
	cpus = NULL;
}

void hwvm_cpu_on(void)
{
	if (has_rdtscp)
		cpus[hw_cpu()].tsc_aux = hw_rdmsr(X86_MSR_TSC_AUX);
	if (has_xsave)
		host_xcr = host_xcr0();
	if (has_xsaves)
		host_xss = hw_rdmsr(X86_MSR_XSS);
}

enum { DIFFERS_XCR0 = 1, DIFFERS_TSC_AUX = 2, DIFFERS_XSS = 4, DIFFERS_DEBUGCTL = 8 };

static void load_differing(struct vcpu *v, u32 differs)
{
	if (differs & DIFFERS_XCR0)
		hw_xcr0_set(v->state.xcr0);
	if (differs & DIFFERS_TSC_AUX)
		hw_wrmsr(X86_MSR_TSC_AUX, v->state.tsc_aux);
	/* The guest's is always 0, and its XSAVES must not see the host's supervisor components. */
	if (differs & DIFFERS_XSS)
		hw_wrmsr(X86_MSR_XSS, 0);
	/* VT-x puts 0 there for the host at an exit, AMD-V would have guests run with the host's. */
	if (differs & DIFFERS_DEBUGCTL)
		hw_wrmsr(X86_MSR_DEBUGCTL, 0);
}

u32 hwvm_load_guest(struct vcpu *v, int cpu)
{
	struct per_cpu *c = &cpus[cpu];
	u32 differs = 0;

	if (v->state.cr4 & CR4_OSXSAVE && has_xsave && host_xcr != v->state.xcr0)
		differs |= DIFFERS_XCR0;
	if (has_rdtscp && v->state.tsc_aux != c->tsc_aux)
		differs |= DIFFERS_TSC_AUX;
	if (host_xss)
		differs |= DIFFERS_XSS;
	c->debugctl = hw_debugctl();
	if (unlikely(c->debugctl))
		differs |= DIFFERS_DEBUGCTL;
	/* No guest steers the speculation of another. */
	if (unlikely(c->last_guest != hwvm_of(v)->serial)) {
		c->last_guest = hwvm_of(v)->serial;
		hw_predictor_barrier();
	}
	if (differs)
		load_differing(v, differs);
	if (unlikely(v->eff_dr7 & DR7_ENABLE_ANY))
		hw_debug_load(v->eff_db);
	return differs;
}

void hwvm_restore_host(u32 differs, int cpu)
{
	if (differs & DIFFERS_XCR0)
		hw_xcr0_set(host_xcr);
	if (differs & DIFFERS_TSC_AUX)
		hw_wrmsr(X86_MSR_TSC_AUX, cpus[cpu].tsc_aux);
	if (differs & DIFFERS_XSS)
		hw_wrmsr(X86_MSR_XSS, host_xss);
	if (differs & DIFFERS_DEBUGCTL)
		hw_wrmsr(X86_MSR_DEBUGCTL, cpus[cpu].debugctl);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

int hwvm_vm_create(struct vm *vm, const struct nested_format *format, int (*on)(void), void (*off)(void))
{
	int err = nested_create(vm, format);

	if (err)
		return err;
	err = hw_virt_get(on, off);
	if (err)
		nested_destroy(vm);
	return err;
}

void hwvm_vm_destroy(struct vm *vm)
{
	hw_virt_put();
	nested_destroy(vm);
}

static u64 new_serial(void)
{
	return __atomic_add_fetch(&next_serial, 1, __ATOMIC_RELAXED);
}

int hwvm_vcpu_create(struct vcpu *v, size_t size)
{
	struct hwvm_vcpu *hv = host_alloc(size);

	if (!hv)
		return -ENOMEM;
	hv->fpu = hw_fpu_create();
	if (!hv->fpu) {
		host_free(hv);
		return -ENOMEM;
	}
	nested_vcpu_comes(v->vm);
	hv->guest_cpu = HW_NO_CPU;
	hv->lookup_hva = NESTED_NO_HVA;
	hv->serial = new_serial();
	hv->fpu_in_area = true;
	hv->dirty = STATE_ALL;
	hv->settings = true;
	v->engine_vcpu = hv;
	v->state.ops = &hwvm_x86_ops;
	v->state.recent = &hv->recent;
	return 0;
}

void hwvm_vcpu_destroy(struct vcpu *v)
{
	struct hwvm_vcpu *hv = hwvm_of(v);

	nested_cache_free(hv);
	hw_fpu_destroy(hv->fpu);
	host_free(hv);
	v->engine_vcpu = NULL;
	v->state.recent = NULL;
}

/* --- hooks ------------------------------------------------------------------------------------------------------------ */

void hwvm_kick(struct vcpu *v)
{
	int cpu = __atomic_load_n(&hwvm_of(v)->guest_cpu, __ATOMIC_SEQ_CST);

	if (cpu != HW_NO_CPU)
		hw_kick_cpu(cpu);
}

void hwvm_tlb_flush(struct vcpu *v)
{
	hwvm_of(v)->flush_nested = true;
}

void hwvm_write_flush(struct vcpu *v)
{
	nested_write_protect(v->vm);
	hwvm_of(v)->flush_nested = true;
}

/* What is remembered of walks and decodings holds for one model of processor. */
void hwvm_settings_changed(struct vcpu *v)
{
	struct hwvm_vcpu *hv = hwvm_of(v);
	const struct x86_state *s = &v->state;

	hv->settings = true;
	/* To the predictors it is another one then. */
	if (v->predictor_barrier) {
		v->predictor_barrier = false;
		hv->serial = new_serial();
	}
	if (hv->features[0] == s->features[0] && hv->features[1] == s->features[1] && hv->maxphyaddr == s->maxphyaddr &&
	    hv->vendor_amd == s->vendor_amd)
		return;
	hv->features[0] = s->features[0];
	hv->features[1] = s->features[1];
	hv->maxphyaddr = s->maxphyaddr;
	hv->vendor_amd = s->vendor_amd;
	hwvm_forget_walks(hv);
	memset(&hv->recent, 0, sizeof(hv->recent));
}

void hwvm_load(struct vcpu *v)
{
	struct hwvm_vcpu *hv = hwvm_of(v);

	hw_fpu_swap(hv->fpu, true);
	hv->fpu_loaded = true;
	hv->fpu_in_area = false;
}

void hwvm_put(struct vcpu *v)
{
	struct hwvm_vcpu *hv = hwvm_of(v);

	hw_fpu_swap(hv->fpu, false);
	hv->fpu_loaded = false;
}

/* --- the entry ---------------------------------------------------------------------------------------------------------- */

int hwvm_enter_begin(struct vcpu *v)
{
	int cpu = hw_enter_begin();

	if (cpu == HW_NO_CPU)
		return HW_NO_CPU;
	/* Before the last look at the requests: either the requester sees it and kicks, or the request is seen here. */
	__atomic_store_n(&hwvm_of(v)->guest_cpu, cpu, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST))
		return cpu;
	hwvm_left(v);
	hw_enter_end();
	return HW_NO_CPU;
}

/* --- state ------------------------------------------------------------------------------------------------------------- */

u32 hwvm_wanted(struct vcpu *v, u32 mask)
{
	struct hwvm_vcpu *hv = hwvm_of(v);
	u32 want = mask & hv->stale;

	if (mask & STATE_FPU && !hv->fpu_loaded && !hv->fpu_in_area) {
		hw_fpu_store(hv->fpu, v->state.xsave, XSAVE_MAX_SIZE);
		hv->fpu_in_area = true;
	}
	/* They decide the mode together; of the segments' part what decides is there since the exit (hwvm_set_rflags). */
	if (want & STATE_SEG)
		want |= hv->stale & STATE_CR;
	hv->stale &= ~want;
	return want;
}

void hwvm_got(struct vcpu *v, u32 parts)
{
	if (parts & (STATE_SEG | STATE_CR))
		x86_update_mode(&v->state);
}

void hwvm_put_state(struct vcpu *v, u32 mask)
{
	struct hwvm_vcpu *hv = hwvm_of(v);

	hv->stale &= ~mask;
	hv->dirty |= mask & ~(u32)STATE_FPU;
	if (mask & STATE_FPU && !hv->fpu_loaded && hv->fpu_in_area && hw_fpu_load(hv->fpu, v->state.xsave))
		host_log(LOG_WARN, "vCPU %u: its vector state cannot be loaded", v->id);
}

void hwvm_merge_payload(struct x86_state *s, const struct x86_event *ev)
{
	if (ev->type != X86_EVENT_EXC && ev->type != X86_EVENT_PRIV_EXC)
		return;
	if (ev->vector == X86_EXC_PF) {
		s->cr2 = ev->cr2;
	} else if (ev->vector == X86_EXC_DB) {
		s->dr6 = (s->dr6 & ~0xfull) | DR6_FIXED1 | ev->cr2;
		s->dr7 &= ~(u64)DR7_GD;
	}
}

u64 hwvm_changed_rflags(struct vcpu *v)
{
	struct hwvm_vcpu *hv = hwvm_of(v);

	u64 rflags = v->state.rflags;

	hv->step_tf = v->single_step && !hv->monitor_trap && !(rflags & RFLAGS_TF);
	/* What is injected pushes the flags that are there; RF, which a fault has in its frame, goes with the delivery. */
	if (v->inject_valid && v->state.cr0 & CR0_PE && x86_pushes_rf(&v->inject))
		rflags |= RFLAGS_RF;
	return rflags | (hv->step_tf ? RFLAGS_TF : 0);
}

void hwvm_set_rflags(struct vcpu *v, u64 rflags, u32 cs_attr)
{
	struct x86_state *s = &v->state;
	bool differs = cs_attr != s->seg[SEG_CS].attr || (rflags ^ s->rflags) & RFLAGS_VM;

	s->rflags = (rflags | RFLAGS_FIXED) & ~(u64)(hwvm_of(v)->step_tf ? RFLAGS_TF : 0);
	s->seg[SEG_CS].attr = cs_attr;
	if (differs)
		x86_update_mode(s);
}

bool hwvm_debugger_owns_dr(const struct vcpu *v)
{
	return v->debug.control & (KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_SINGLESTEP);
}
