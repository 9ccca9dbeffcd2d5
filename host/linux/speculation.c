/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What guests could learn by speculation, as the host's own settings want it stopped (l1tf=, mmio_stale_data=, spectre_v2=): hw.h. */
#include <linux/cpu.h>
#include <linux/cpufeature.h>
#include <linux/gfp.h>
#include <linux/hardirq.h>
#include <linux/sched/smt.h>
#include <asm/cacheflush.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include "hw.h"
#include "linux.h"

void hw_predictor_barrier(void)
{
	indirect_branch_prediction_barrier();
}

u64 hw_spec_ctrl(void)
{
	return this_cpu_read(x86_spec_ctrl_current);
}

bool hw_spec_ctrl_renewed(void)
{
	return cpu_feature_enabled(X86_FEATURE_KERNEL_IBRS);
}

bool hw_small_code(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

/* --- caches ------------------------------------------------------------------------------------------ */

#define FLUSH_ORDER 4 /* 64 KiB: no processor that is open to L1TF has a larger first-level data cache */
#define FLUSH_SIZE (PAGE_SIZE << FLUSH_ORDER)
#define LINE L1_CACHE_BYTES

static u8 *flush_pages; /* NULL: the processor has a command for it */
static bool flush_l1d;  /* else buffers only */
/* The kernel's own handlers of interrupts say when they have run, in kernels that have a KVM for VT-x. */
static bool flush_always;

/* Linux: Documentation/admin-guide/hw-vuln/l1tf.rst, "Guest mitigation mechanisms". */
static bool open_to_l1tf(void)
{
	u64 caps;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || l1tf_mitigation == L1TF_MITIGATION_OFF)
		return false;
	return rdmsrl_safe(MSR_IA32_ARCH_CAPABILITIES, &caps) || !(caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

int hw_flush_init(void)
{
	unsigned int i;

	flush_l1d = open_to_l1tf();
	if (!flush_l1d)
		return static_key_enabled(&mmio_stale_data_clear);
	flush_always = l1tf_mitigation >= L1TF_MITIGATION_FULL || !IS_ENABLED(CONFIG_KVM_INTEL);
	if (sched_smt_active())
		pr_warn("anykvm: with SMT guests can read what the other thread of their core has in its cache "
			"(L1TF)\n");
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 1;
	flush_pages = (u8 *)__get_free_pages(GFP_KERNEL, FLUSH_ORDER);
	if (!flush_pages)
		return -ENOMEM;
	/* Of different pages, which nobody below this kernel can merge into one. */
	for (i = 0; i < 1u << FLUSH_ORDER; i++)
		memset(flush_pages + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	return 1;
}

void hw_flush_exit(void)
{
	free_pages((unsigned long)flush_pages, FLUSH_ORDER);
	flush_pages = NULL;
}

static void fill_cache(void)
{
	unsigned int i;

	/* First the translations, whose tables would take lines, too. */
	for (i = 0; i < FLUSH_SIZE; i += PAGE_SIZE)
		READ_ONCE(flush_pages[i]);
	cpuid_eax(0);
	for (i = 0; i < FLUSH_SIZE; i += 4 * LINE) {
		READ_ONCE(flush_pages[i]);
		READ_ONCE(flush_pages[i + LINE]);
		READ_ONCE(flush_pages[i + 2 * LINE]);
		READ_ONCE(flush_pages[i + 3 * LINE]);
	}
	barrier_nospec();
}

#if IS_ENABLED(CONFIG_KVM_INTEL)
static bool others_have_run(void)
{
	bool have = kvm_get_cpu_l1tf_flush_l1d();

	kvm_clear_cpu_l1tf_flush_l1d();
	return have;
}
#else
static bool others_have_run(void)
{
	return true;
}
#endif

void hw_flush(bool touched)
{
	if (!flush_l1d)
		x86_clear_cpu_buffers();
	else if (!(others_have_run() | touched | flush_always))
		return;
	else if (flush_pages)
		fill_cache();
	else
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
}
