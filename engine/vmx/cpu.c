/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the processor has, turning it on for each CPU, which VMCS is where, and the permission maps that all guests share. */
#include "vmx.h"

struct vmx_caps vmx_caps;
u64 vmx_msr_bitmap_open_pa[MAPS], vmx_msr_bitmap_all_pa;
static void *bitmap_open[MAPS], *bitmap_all;
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

static int choose_controls(const struct vmx_options *want)
{
	bool true_msrs = hw_rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE;
	struct vmx_caps *c = &vmx_caps;
	int err;

	err = choose(true_msrs ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN, PIN_INTR | PIN_NMI,
		     want->virtual_nmis ? PIN_VIRTUAL_NMIS : 0, "pin-based controls", &c->pin);
	if (!err)
		err = choose(true_msrs ? MSR_VMX_TRUE_PROC : MSR_VMX_PROC, PROC_REQUIRED,
			     PROC_TPR_SHADOW | PROC_INTR_WINDOW | PROC_NMI_WINDOW | PROC_RDTSC | PROC_MONITOR_TRAP,
			     "processor controls", &c->proc);
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
	c->virtual_nmis = c->pin & PIN_VIRTUAL_NMIS && c->proc & PROC_NMI_WINDOW;
	if (!c->virtual_nmis)
		c->pin &= ~PIN_VIRTUAL_NMIS;
	c->monitor_trap = c->proc & PROC_MONITOR_TRAP && want->monitor_trap;
	/* These are for single entries. */
	c->proc &= ~(PROC_TPR_SHADOW | PROC_INTR_WINDOW | PROC_NMI_WINDOW | PROC_RDTSC | PROC_MONITOR_TRAP);
	return 0;
}

static int look_at_ept(const struct vmx_options *want)
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
	c->unrestricted = c->proc2 & PROC2_UNRESTRICTED && want->unrestricted;
	if (!c->unrestricted)
		c->proc2 &= ~PROC2_UNRESTRICTED;
	return 0;
}

static int look_for_vmx(const struct vmx_options *want)
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
	err = choose_controls(want);
	if (!err)
		err = look_at_ept(want);
	if (err)
		return err;
	if (hw_rdmsr_safe(MSR_ARCH_CAPABILITIES, &c->arch_capabilities))
		c->arch_capabilities &= ARCH_CAP_FOR_GUESTS;
	else
		c->arch_capabilities = 0;
	c->cr0_fixed0 = hw_rdmsr(MSR_VMX_CR0_FIXED0);
	c->cr0_fixed1 = hw_rdmsr(MSR_VMX_CR0_FIXED1);
	c->cr4_fixed0 = hw_rdmsr(MSR_VMX_CR4_FIXED0);
	c->cr4_fixed1 = hw_rdmsr(MSR_VMX_CR4_FIXED1);
	c->looks_first = !c->unrestricted || !c->virtual_nmis;
	if (c->unrestricted)
		c->cr0_fixed0 &= ~(u64)(CR0_PE | CR0_PG);
	return 0;
}

/* --- maps --------------------------------------------------------------------------------------------------------- */

/* SDM, "MSR-Bitmap Address": reads of low and high MSRs, then writes of them, 1 KiB each. */
static void let_read(u8 *map, u32 msr)
{
	u32 bit = msr & 0x1fff, at = (msr >= 0xc0000000u ? 0x400 : 0) + bit / 8;

	map[at] &= (u8) ~(1u << (bit % 8));
}

static void let_write(u8 *map, u32 msr)
{
	let_read(map + 0x800, msr);
}

static void let_through(u8 *map, u32 msr)
{
	let_read(map, msr);
	let_write(map, msr);
}

/* MSRs that the world switch loads and stores and whose values need no checks of ours. */
static void fill_maps(void)
{
	static const u32 open[] = {
		X86_MSR_STAR,        X86_MSR_LSTAR,        X86_MSR_SFMASK,
		X86_MSR_FS_BASE,     X86_MSR_GS_BASE,      X86_MSR_KERNEL_GS_BASE,
		X86_MSR_SYSENTER_CS, X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP,
	};
	/* Residency counters of power states: CORE_C1, C3, C6, C7. */
	static const u32 cstate[] = { 0x660, 0x3fc, 0x3fd, 0x3fe };
	unsigned i, n;

	memset(bitmap_all, 0xff, 4096);
	vmx_msr_bitmap_all_pa = hw_pa(bitmap_all);
	for (n = 0; n < MAPS; n++) {
		memset(bitmap_open[n], 0xff, 4096);
		for (i = 0; i < ARRAY_SIZE(open); i++)
			let_through(bitmap_open[n], open[i]);
		if (n & MAP_SPEC_CTRL)
			let_through(bitmap_open[n], X86_MSR_SPEC_CTRL);
		for (i = 0; n & MAP_CSTATE && i < ARRAY_SIZE(cstate); i++)
			let_read(bitmap_open[n], cstate[i]);
		if (n & MAP_PRED_CMD)
			let_write(bitmap_open[n], X86_MSR_PRED_CMD);
		vmx_msr_bitmap_open_pa[n] = hw_pa(bitmap_open[n]);
	}
}

static bool alloc_maps(void)
{
	unsigned n;

	bitmap_all = hw_page_alloc();
	for (n = 0; n < MAPS; n++) {
		bitmap_open[n] = hw_page_alloc();
		if (!bitmap_open[n])
			return false;
	}
	return bitmap_all;
}

static void free_maps(void)
{
	unsigned n;

	for (n = 0; n < MAPS; n++) {
		hw_pages_free(bitmap_open[n], 0);
		bitmap_open[n] = NULL;
	}
	hw_pages_free(bitmap_all, 0);
	bitmap_all = NULL;
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
	free_maps();
	hw_flush_exit();
}

int vmx_cpus_init(const struct vmx_options *want)
{
	int err = look_for_vmx(want);
	unsigned i;

	if (err)
		return err;
	vmx_caps.renew_spec = hw_spec_ctrl_renewed();
	err = hw_flush_init();
	if (err < 0)
		return err;
	vmx_caps.flush = err;
	vmx_cpus = host_alloc(hw_nr_cpus() * sizeof(*vmx_cpus));
	if (!vmx_cpus || !alloc_maps())
		goto no_memory;
	for (i = 0; i < hw_nr_cpus(); i++) {
		vmx_cpus[i].region = hw_page_alloc();
		if (!vmx_cpus[i].region)
			goto no_memory;
		*(u32 *)vmx_cpus[i].region = vmx_caps.revision;
	}
	fill_maps();
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
