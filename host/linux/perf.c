/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What perf counts and traces on this CPU, and guests: hw.h. */
#include <linux/cpufeature.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include "hw.h"
#include "linux.h"

void perf_virt_on(void)
{
	switch (boot_cpu_data.x86_vendor) {
	case X86_VENDOR_INTEL: intel_pt_handle_vmx(1); break;
	case X86_VENDOR_AMD:
	case X86_VENDOR_HYGON: amd_pmu_enable_virt(); break;
	}
}

void perf_virt_off(void)
{
	switch (boot_cpu_data.x86_vendor) {
	case X86_VENDOR_INTEL: intel_pt_handle_vmx(0); break;
	case X86_VENDOR_AMD:
	case X86_VENDOR_HYGON: amd_pmu_disable_virt(); break;
	}
}

static bool switch_counters(bool guest)
{
	struct perf_guest_switch_msr *msr;
	bool differ = false;
	int i, nr = 0;

	msr = perf_guest_get_msrs(&nr, NULL);
	for (i = 0; msr && i < nr; i++) {
		if (msr[i].host == msr[i].guest)
			continue;
		wrmsrl(msr[i].msr, guest ? msr[i].guest : msr[i].host);
		differ = true;
	}
	return differ;
}

bool hw_counters_stop(void)
{
	return boot_cpu_has(X86_FEATURE_ARCH_PERFMON) && switch_counters(true);
}

void hw_counters_go(void)
{
	switch_counters(false);
}
