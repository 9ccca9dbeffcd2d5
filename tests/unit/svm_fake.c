/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The made-up processor with AMD-V: CPUID, MSRs, VMRUN. */
#include <string.h>
#include "svm_fake.h"

struct svm_test svmt;

/* --- MSRs and CPUID, as the engines see them (hw.mk) --------------------------------------------------------------------- */

u64 *fake_msr(u32 msr)
{
	static u64 tsc_aux;

	switch (msr) {
	case X86_MSR_EFER: return &cpu0.efer[cpu0.cpu];
	case SVM_MSR_HSAVE_PA: return &cpu0.hsave[cpu0.cpu];
	case SVM_MSR_VM_CR: return &cpu0.vm_cr;
	case X86_MSR_SPEC_CTRL: return &cpu0.spec_ctrl;
	case X86_MSR_DEBUGCTL: return &cpu0.debugctl;
	case X86_MSR_TSC_AUX: return &tsc_aux;
	case SVM_MSR_TSC_RATIO: return cpu0.features & HAS_TSC_RATIO ? &cpu0.tsc_ratio[cpu0.cpu] : NULL;
	default: return NULL;
	}
}

void fake_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	memset(out, 0, 4 * sizeof(*out));
	switch (leaf) {
	case 0x80000000: out[0] = cpu0.asids ? 0x8000000a : 0x80000004; break;
	case 0x80000001:
		out[2] = cpu0.svm ? BIT(2) : 0;
		out[3] = BIT(27);
		break;
	case 0x80000008: out[1] = cpu0.cpuid_8_ebx; break;
	case 0x8000000a:
		out[1] = cpu0.asids;
		out[3] = cpu0.features;
		break;
	default: break;
	}
}

/* --- VMRUN ------------------------------------------------------------------------------------------------------------- */

void svm_world_switch(u64 *gpr, u64 vmcb_pa, u64 host_pa, const struct svm_spec_ctrl *spec)
{
	struct vmcb *c = hw_va(vmcb_pa);

	assert_true(hwt.next < hwt.nr_steps);
	assert_true(c->asid > 0 && c->asid < cpu0.asids);
	assert_true(cpu0.efer[cpu0.cpu] & X86_EFER_SVME);
	svmt.next_rip = c->next_rip;
	c->exit_code = X_INTR;
	c->exit_int_info = c->info1 = c->info2 = c->next_rip = 0;
	if (spec)
		cpu0.spec_ctrl = spec->guest;
	cpu0.spec_ctrl_in_guest = cpu0.spec_ctrl;
	svmt.steps[hwt.next++](c, gpr);
	if (spec)
		cpu0.spec_ctrl = spec->host;
	/* It clears what it was told once. */
	c->tlb_control = 0;
}

void step_hlt(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_HLT;
	if (cpu0.features & HAS_NRIP)
		c->next_rip = c->rip + 1;
}

void step_intr(struct vmcb *c, u64 *gpr)
{
}

/* --- a VM ---------------------------------------------------------------------------------------------------------------- */

void fake_processor_reset(u32 features)
{
	cpu0 = (struct fake_processor){ .svm = true, .features = HAS_NPT | features, .asids = 16 };
}

static void reset(void)
{
	fake_processor_reset(0);
}

static bool is_on(int cpu)
{
	return cpu0.efer[cpu] & X86_EFER_SVME || cpu0.hsave[cpu];
}

const struct hw_kind hw_kind = {
	.engine = &svm_engine,
	.reset = reset,
	.init = svm_module_init,
	.exit = svm_module_exit,
	.is_on = is_on,
};

void svm_test_begin(u32 features)
{
	if (!cpu0.asids)
		fake_processor_reset(0);
	cpu0.features = HAS_NPT | features;
	svmt = (struct svm_test){ 0 };
	hwt_begin();
	svmt.c = svm_of(hwt.v)->vmcb;
}

int svm_test_end(void **state)
{
	int err = hwt_end();

	svmt = (struct svm_test){ 0 };
	if (cpu0.features & HAS_TSC_RATIO)
		err |= cpu0.tsc_ratio[0] != TSC_RATIO_ONE || cpu0.tsc_ratio[1] != TSC_RATIO_ONE;
	cpu0 = (struct fake_processor){ 0 };
	return err ? -1 : 0;
}

void svm_script(svm_step *first, ...)
{
	va_list ap;
	svm_step *s;

	hwt.nr_steps = hwt.next = 0;
	va_start(ap, first);
	for (s = first; s; s = va_arg(ap, svm_step *)) {
		assert_true(hwt.nr_steps < ARRAY_SIZE(svmt.steps));
		svmt.steps[hwt.nr_steps++] = s;
	}
	va_end(ap);
}
