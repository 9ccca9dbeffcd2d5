/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the processor has, turning it on for each CPU, which VMCS is where, and the permission maps that all guests share. */
#include "vmx.h"

struct vmx_caps vmx_caps;
u64 vmx_msr_bitmap_open_pa, vmx_msr_bitmap_all_pa;
static void *bitmap_open, *bitmap_all;
struct vmx_cpu *vmx_cpus;

/* --- capabilities -------------------------------------------------------------------------------------------- */

/* SDM, "VMX Capability Reporting Facility": the low half of a capability are bits that must be 1, the high half those that may. */
static int choose(u32 msr, u32 required, u32 optional, const char *what, u32 *out)
{
	u64 cap = hw_rdmsr(msr);
	u32 must = (u32)cap, may = (u32)(cap >> 32);

	*out = ((required | optional) & may) | must;
	if (!(required & ~*out))
		return 0;
	host_log(LOG_ERROR, "this processor's VT-x lacks %s %#x", what, required & ~*out);
	return -ENODEV;
}

#define PROC_REQUIRED                                                                                                  \
	(PROC_TSC_OFFSET | PROC_HLT | PROC_MWAIT | PROC_MONITOR | PROC_RDPMC | PROC_MOV_DR | PROC_IO |                 \
	 PROC_MSR_BITMAP | PROC_SECONDARY | PROC_CR8_LOAD | PROC_CR8_STORE)

static int choose_controls(void)
{
	bool true_msrs = hw_rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE;
	struct vmx_caps *c = &vmx_caps;
	int err;

	err = choose(true_msrs ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN, PIN_INTR | PIN_NMI | PIN_VIRTUAL_NMIS, 0,
		     "pin-based controls", &c->pin);
	if (!err)
		err = choose(true_msrs ? MSR_VMX_TRUE_PROC : MSR_VMX_PROC, PROC_REQUIRED,
			     PROC_TPR_SHADOW | PROC_INTR_WINDOW | PROC_NMI_WINDOW | PROC_RDTSC, "processor controls",
			     &c->proc);
	if (!err)
		err = choose(true_msrs ? MSR_VMX_TRUE_EXIT : MSR_VMX_EXIT,
			     EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_LOAD_PAT | EXIT_LOAD_EFER, 0, "exit controls",
			     &c->exit);
	if (!err)
		err = choose(true_msrs ? MSR_VMX_TRUE_ENTRY : MSR_VMX_ENTRY,
			     ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER, 0, "entry controls", &c->entry);
	if (!err)
		err = choose(MSR_VMX_PROC2, PROC2_EPT,
			     PROC2_RDTSCP | PROC2_VPID | PROC2_WBINVD | PROC2_UNRESTRICTED | PROC2_INVPCID |
				     PROC2_PAUSE_LOOP | PROC2_XSAVES | PROC2_PML,
			     "extended page tables (EPT): secondary controls", &c->proc2);
	if (err)
		return err;
	if (c->proc & (PROC_CR3_LOAD | PROC_CR3_STORE | PROC_INVLPG)) {
		host_log(LOG_ERROR, "this processor's VT-x cannot leave CR3 to the guest");
		return -ENODEV;
	}
	c->tpr_shadow = c->proc & PROC_TPR_SHADOW;
	/* These are for single entries. */
	c->proc &= ~(PROC_TPR_SHADOW | PROC_INTR_WINDOW | PROC_NMI_WINDOW | PROC_RDTSC);
	return 0;
}

static int look_at_ept(bool want_unrestricted)
{
	struct vmx_caps *c = &vmx_caps;
	u64 cap = hw_rdmsr(MSR_VMX_EPT_VPID), need = EPT_CAP_WALK_4 | EPT_CAP_WB | EPT_CAP_INVEPT;

	c->ept_vpid = cap;
	if ((cap & need) != need || !(cap & (EPT_CAP_INVEPT_ONE | EPT_CAP_INVEPT_ALL))) {
		host_log(LOG_ERROR, "this processor's EPT lacks capabilities: %#llx", need & ~cap);
		return -ENODEV;
	}
	c->large = cap & EPT_CAP_2M;
	c->vpid =
		c->proc2 & PROC2_VPID && cap & VPID_CAP_INVVPID && cap & (VPID_CAP_INVVPID_ONE | VPID_CAP_INVVPID_ALL);
	c->pml = c->proc2 & PROC2_PML && cap & EPT_CAP_DIRTY;
	/* Where they are wanted, an entry sets them. */
	c->proc2 &= ~(PROC2_VPID | PROC2_PML);
	c->unrestricted = c->proc2 & PROC2_UNRESTRICTED && want_unrestricted;
	if (!c->unrestricted)
		c->proc2 &= ~PROC2_UNRESTRICTED;
	return 0;
}

static int look_for_vmx(bool want_unrestricted)
{
	struct vmx_caps *c = &vmx_caps;
	u64 feature, basic;
	u32 r[4];
	int err;

	host_cpuid(1, 0, r);
	if (!(r[2] & BIT(5)))
		return -ENODEV;
	if (hw_rdmsr_safe(MSR_FEATURE_CONTROL, &feature) && feature & FEATURE_LOCKED && !(feature & FEATURE_VMXON)) {
		host_log(LOG_ERROR, "VT-x is turned off in the firmware");
		return -EPERM;
	}
	if (!hw_rdmsr_safe(MSR_VMX_BASIC, &basic)) {
		host_log(LOG_ERROR, "this processor says nothing about its VT-x");
		return -ENODEV;
	}
	c->revision = (u32)basic & 0x7fffffff;
	err = choose_controls();
	if (!err)
		err = look_at_ept(want_unrestricted);
	if (err)
		return err;
	c->cr0_fixed0 = hw_rdmsr(MSR_VMX_CR0_FIXED0);
	c->cr0_fixed1 = hw_rdmsr(MSR_VMX_CR0_FIXED1);
	c->cr4_fixed0 = hw_rdmsr(MSR_VMX_CR4_FIXED0);
	c->cr4_fixed1 = hw_rdmsr(MSR_VMX_CR4_FIXED1);
	if (c->unrestricted)
		c->cr0_fixed0 &= ~(u64)(CR0_PE | CR0_PG);
	return 0;
}

/* --- maps --------------------------------------------------------------------------------------------------------- */

/* SDM, "MSR-Bitmap Address": reads of low and high MSRs, then writes of them, 1 KiB each. */
static void let_through(void *map, u32 msr)
{
	u32 bit = msr & 0x1fff, at = (msr >= 0xc0000000u ? 0x400 : 0) + bit / 8;

	((u8 *)map)[at] &= (u8) ~(1u << (bit % 8));
	((u8 *)map)[0x800 + at] &= (u8) ~(1u << (bit % 8));
}

/* MSRs that the world switch loads and stores and whose values need no checks of ours. */
static void fill_maps(void)
{
	static const u32 open[] = {
		X86_MSR_STAR,        X86_MSR_LSTAR,        X86_MSR_SFMASK,
		X86_MSR_FS_BASE,     X86_MSR_GS_BASE,      X86_MSR_KERNEL_GS_BASE,
		X86_MSR_SYSENTER_CS, X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP,
	};
	unsigned i;

	memset(bitmap_all, 0xff, 4096);
	memset(bitmap_open, 0xff, 4096);
	for (i = 0; i < ARRAY_SIZE(open); i++)
		let_through(bitmap_open, open[i]);
}

/* --- virtual processor identifiers ---------------------------------------------------------------------------------- */

static u64 vpids[65536 / 64] = { 1 }; /* a  those in use; 0 is the host's */

u16 vmx_vpid_alloc(void)
{
	u32 i;

	for (i = 0; vmx_caps.vpid && i < 65536; i++) {
		u64 bit = 1ull << (i % 64);

		if (!(__atomic_fetch_or(&vpids[i / 64], bit, __ATOMIC_RELAXED) & bit))
			return (u16)i;
	}
	return 0;
}

void vmx_vpid_free(u16 vpid)
{
	if (vpid)
		__atomic_fetch_and(&vpids[vpid / 64], ~(1ull << (vpid % 64)), __ATOMIC_RELAXED);
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

void vmx_cpus_exit(void)
{
	unsigned i;

	for (i = 0; vmx_cpus && i < hw_nr_cpus(); i++)
		hw_pages_free(vmx_cpus[i].region, 0);
	host_free(vmx_cpus);
	vmx_cpus = NULL;
	hw_pages_free(bitmap_open, 0);
	hw_pages_free(bitmap_all, 0);
	bitmap_open = bitmap_all = NULL;
}

int vmx_cpus_init(bool want_unrestricted)
{
	int err = look_for_vmx(want_unrestricted);
	unsigned i;

	if (err)
		return err;
	bitmap_open = hw_page_alloc();
	bitmap_all = hw_page_alloc();
	vmx_cpus = host_alloc(hw_nr_cpus() * sizeof(*vmx_cpus));
	if (!bitmap_open || !bitmap_all || !vmx_cpus)
		goto no_memory;
	for (i = 0; i < hw_nr_cpus(); i++) {
		vmx_cpus[i].region = hw_page_alloc();
		if (!vmx_cpus[i].region)
			goto no_memory;
		*(u32 *)vmx_cpus[i].region = vmx_caps.revision;
	}
	fill_maps();
	vmx_msr_bitmap_open_pa = hw_pa(bitmap_open);
	vmx_msr_bitmap_all_pa = hw_pa(bitmap_all);
	return 0;

no_memory:
	vmx_cpus_exit();
	return -ENOMEM;
}

int vmx_cpu_on(void)
{
	struct vmx_cpu *c = &vmx_cpus[hw_cpu()];
	u64 feature;

	if (hw_cr4() & CR4_VMXE)
		return -EBUSY;
	if (!hw_rdmsr_safe(MSR_FEATURE_CONTROL, &feature))
		feature = FEATURE_LOCKED | FEATURE_VMXON;
	if (!(feature & FEATURE_LOCKED))
		hw_wrmsr(MSR_FEATURE_CONTROL, feature | FEATURE_LOCKED | FEATURE_VMXON);
	else if (!(feature & FEATURE_VMXON))
		return -EPERM;
	hwvm_cpu_on();
	hw_cr4_change(CR4_VMXE, 0);
	if (!vmxon(hw_pa(c->region))) {
		hw_cr4_change(0, CR4_VMXE);
		return -EIO;
	}
	c->current = NULL;
	/* Translations that another hypervisor has left. */
	invept(vmx_caps.ept_vpid & EPT_CAP_INVEPT_ALL ? INV_ALL : INV_ONE, 0);
	if (vmx_caps.vpid && vmx_caps.ept_vpid & VPID_CAP_INVVPID_ALL)
		invvpid(INV_ALL, 0);
	return 0;
}

/* --- which VMCS is where ------------------------------------------------------------------------------------------------ */

/* On the CPU that has it. The processor writes back what it holds. */
static void unload_here(struct vmx_vcpu *vv)
{
	struct vmx_cpu *c = &vmx_cpus[vv->loaded_cpu];

	vmclear(vv->vmcs_pa);
	if (c->current == vv)
		c->current = NULL;
	*vv->link = vv->next;
	if (vv->next)
		vv->next->link = vv->link;
	vv->launched = false;
	__atomic_store_n(&vv->loaded_cpu, HW_NO_CPU, __ATOMIC_RELEASE);
}

static void unload_call(void *arg)
{
	struct vmx_vcpu *vv = arg;

	/* Its CPU may have gone meanwhile, and has unloaded it then. */
	if (vv->loaded_cpu == hw_cpu())
		unload_here(vv);
}

void vmx_unload(struct vmx_vcpu *vv)
{
	int cpu;

	while ((cpu = __atomic_load_n(&vv->loaded_cpu, __ATOMIC_ACQUIRE)) != HW_NO_CPU)
		hw_call_cpu(cpu, unload_call, vv);
}

bool vmx_take_vmcs(struct vmx_vcpu *vv, int cpu)
{
	struct vmx_cpu *c = &vmx_cpus[cpu];
	int was = __atomic_load_n(&vv->loaded_cpu, __ATOMIC_ACQUIRE);

	if (was != cpu && was != HW_NO_CPU)
		return false;
	if (was == HW_NO_CPU) {
		vmclear(vv->vmcs_pa);
		vv->next = c->loaded;
		vv->link = &c->loaded;
		if (c->loaded)
			c->loaded->link = &vv->next;
		c->loaded = vv;
		__atomic_store_n(&vv->loaded_cpu, cpu, __ATOMIC_RELEASE);
	}
	vmptrld(vv->vmcs_pa);
	c->current = vv;
	if (!vv->ready)
		vmx_vmcs_init(vv->vcpu);
	vv->ready = true;
	if (was == HW_NO_CPU) {
		vmx_host_state(vv);
		/* This CPU may have translations from when the vCPU was here before. */
		vv->hw.flush = vv->hw.flush_nested = true;
	}
	return true;
}

void vmx_cpu_off(void)
{
	struct vmx_cpu *c = &vmx_cpus[hw_cpu()];

	while (c->loaded)
		unload_here(c->loaded);
	vmxoff();
	hw_cr4_change(0, CR4_VMXE);
}
