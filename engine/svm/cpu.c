/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the processor has, turning it on for each CPU, and the permission maps that all guests share. */
#include "svm.h"

#define EFER_SVME X86_EFER_SVME
#define IOPM_ORDER 2  /* 12 KiB are used */
#define MSRPM_ORDER 1 /* 8 KiB */

struct svm_caps svm_caps;
void *svm_iopm, *svm_msrpm_open[MAPS], *svm_msrpm_all;
static struct svm_cpu *cpus;

struct svm_cpu *svm_cpu(int cpu)
{
	return &cpus[cpu];
}

/* --- capabilities -------------------------------------------------------------------------------------------- */

/* APM volume 2, "Determining Support for SVM". */
static int look_for_svm(void)
{
	u32 r[4];
	u64 val;

	host_cpuid(0x80000000, 0, r);
	if (r[0] < 0x8000000a)
		return -ENODEV;
	host_cpuid(0x80000001, 0, r);
	if (!(r[2] & BIT(2)))
		return -ENODEV;
	svm_caps.rdtscp = r[3] & BIT(27);
	if (hw_rdmsr_safe(SVM_MSR_VM_CR, &val) && val & VM_CR_SVMDIS) {
		host_log(LOG_ERROR, "AMD-V is turned off in the firmware");
		return -EPERM;
	}
	host_cpuid(0x8000000a, 0, r);
	if (!(r[3] & BIT(0))) {
		host_log(LOG_ERROR, "this processor's AMD-V has no nested paging");
		return -ENODEV;
	}
	svm_caps.asids = r[1];
	svm_caps.nrip = r[3] & BIT(3);
	svm_caps.tsc_ratio = r[3] & BIT(4);
	svm_caps.v_spec_ctrl = r[3] & BIT(20);
	svm_caps.decode = r[3] & BIT(7);
	return svm_caps.asids > 1 ? 0 : -ENODEV;
}

/* --- maps --------------------------------------------------------------------------------------------------------- */

/* APM volume 2, "MSR Intercepts": two bits for each MSR in three ranges of 8192, at 2 KiB each. */
static void let_through(void *map, u32 msr)
{
	u32 bit = (msr & 0x1fff) * 2, at = (msr >= 0xc0000000u ? 0x800 : 0) + bit / 8;

	((u8 *)map)[at] &= (u8) ~(3u << (bit % 8));
}

/* MSRs that VMRUN, VMLOAD and VMSAVE switch and whose values need no checks of ours. */
static void fill_maps(void)
{
	static const u32 open[] = {
		X86_MSR_STAR,         X86_MSR_LSTAR,        X86_MSR_CSTAR,          X86_MSR_SFMASK,
		X86_MSR_FS_BASE,      X86_MSR_GS_BASE,      X86_MSR_KERNEL_GS_BASE, X86_MSR_SYSENTER_CS,
		X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP,
	};
	unsigned i, map;

	memset(svm_iopm, 0xff, 4096 << IOPM_ORDER);
	memset(svm_msrpm_all, 0xff, 4096 << MSRPM_ORDER);
	for (map = 0; map < MAPS; map++) {
		memset(svm_msrpm_open[map], 0xff, 4096 << MSRPM_ORDER);
		for (i = 0; i < ARRAY_SIZE(open); i++)
			let_through(svm_msrpm_open[map], open[i]);
		if (map & MAP_SPEC_CTRL)
			let_through(svm_msrpm_open[map], X86_MSR_SPEC_CTRL);
		if (map & MAP_PRED_CMD)
			let_through(svm_msrpm_open[map], X86_MSR_PRED_CMD);
	}
}

static bool alloc_maps(void)
{
	unsigned i;

	svm_iopm = hw_pages_alloc(IOPM_ORDER);
	svm_msrpm_all = hw_pages_alloc(MSRPM_ORDER);
	for (i = 0; i < MAPS; i++) {
		svm_msrpm_open[i] = hw_pages_alloc(MSRPM_ORDER);
		if (!svm_msrpm_open[i])
			return false;
	}
	return svm_iopm && svm_msrpm_all;
}

static void free_maps(void)
{
	unsigned i;

	for (i = 0; i < MAPS; i++) {
		hw_pages_free(svm_msrpm_open[i], MSRPM_ORDER);
		svm_msrpm_open[i] = NULL;
	}
	hw_pages_free(svm_msrpm_all, MSRPM_ORDER);
	hw_pages_free(svm_iopm, IOPM_ORDER);
	svm_iopm = svm_msrpm_all = NULL;
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

void svm_cpus_exit(void)
{
	unsigned i;

	for (i = 0; cpus && i < hw_nr_cpus(); i++) {
		hw_pages_free(cpus[i].hsave, 0);
		hw_pages_free(cpus[i].host, 0);
	}
	host_free(cpus);
	cpus = NULL;
	free_maps();
}

int svm_cpus_init(void)
{
	int err = look_for_svm();
	unsigned i;

	if (err)
		return err;
	cpus = host_alloc(hw_nr_cpus() * sizeof(*cpus));
	if (!cpus || !alloc_maps())
		goto no_memory;
	for (i = 0; i < hw_nr_cpus(); i++) {
		cpus[i].hsave = hw_page_alloc();
		cpus[i].host = hw_page_alloc();
		if (!cpus[i].hsave || !cpus[i].host)
			goto no_memory;
		cpus[i].host_pa = hw_pa(cpus[i].host);
	}
	fill_maps();
	return 0;

no_memory:
	svm_cpus_exit();
	return -ENOMEM;
}

void svm_set_tsc_ratio(struct svm_cpu *c, u64 ratio)
{
	if (c->tsc_ratio == ratio)
		return;
	c->tsc_ratio = ratio;
	hw_wrmsr(SVM_MSR_TSC_RATIO, ratio);
}

int svm_cpu_on(void)
{
	struct svm_cpu *c = svm_cpu(hw_cpu());
	u64 efer = hw_rdmsr(X86_MSR_EFER);

	if (efer & EFER_SVME)
		return -EBUSY;
	/* The TLB may hold what another hypervisor has left: the first ASID flushes. */
	c->generation++;
	c->next_asid = svm_caps.asids;
	c->tsc_ratio = TSC_RATIO_ONE;
	if (svm_caps.tsc_ratio)
		hw_wrmsr(SVM_MSR_TSC_RATIO, TSC_RATIO_ONE);
	hwvm_cpu_on();
	hw_wrmsr(X86_MSR_EFER, efer | EFER_SVME);
	hw_wrmsr(SVM_MSR_HSAVE_PA, hw_pa(c->hsave));
	return 0;
}

void svm_cpu_off(void)
{
	svm_set_tsc_ratio(svm_cpu(hw_cpu()), TSC_RATIO_ONE);
	hw_wrmsr(SVM_MSR_HSAVE_PA, 0);
	hw_wrmsr(X86_MSR_EFER, hw_rdmsr(X86_MSR_EFER) & ~(u64)EFER_SVME);
}
