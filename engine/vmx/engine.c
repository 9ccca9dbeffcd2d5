/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The vmx engine's vtable. */
#include "vmx.h"

static int vmx_vm_create(struct vm *vm)
{
	/* MTRRs do not count for what EPT maps: devices are uncached, and may be write-combining where the guest's PAT says so. */
	const struct nested_format format = {
		.leaf = EPT_LEAF_WB | EPT_LEAF_IGNORE_PAT,
		.device = EPT_LEAF_UC,
		.large = vmx_caps.large,
		.small_code = hw_small_code(),
		.dirty = vmx_caps.pml ? EPT_LEAF_DIRTY : 0,
	};

	return hwvm_vm_create(vm, &format, vmx_cpu_on, vmx_cpu_off);
}

static void vmx_vcpu_destroy(struct vcpu *v)
{
	struct vmx_vcpu *vv = vmx_of(v);

	vmx_unload(vv);
	vmx_vpid_free(vv->vpid);
	hw_pages_free(vv->vmcs, 0);
	hw_pages_free(vv->guest_msrs, 0);
	hw_pages_free(vv->apic_page, 0);
	hw_pages_free(vv->noted, 0);
	hwvm_vcpu_destroy(v);
}

static int vmx_vcpu_create(struct vcpu *v)
{
	struct vmx_vcpu *vv;

	if (hwvm_vcpu_create(v, sizeof(*vv)))
		return -ENOMEM;
	vv = vmx_of(v);
	vv->vcpu = v;
	vv->hw.monitor_trap = vmx_caps.monitor_trap;
	vv->unusual = true;
	vv->loaded_cpu = HW_NO_CPU;
	vv->vpid = vmx_vpid_alloc();
	vv->vmcs = hw_page_alloc();
	vv->guest_msrs = hw_page_alloc();
	/* Without a LAPIC in the process every write of CR8 is user space's. */
	if (vmx_caps.tpr_shadow && v->lapic)
		vv->apic_page = hw_page_alloc();
	if (vmx_caps.pml)
		vv->noted = hw_page_alloc();
	if (!vv->vmcs || !vv->guest_msrs || (vmx_caps.tpr_shadow && v->lapic && !vv->apic_page) ||
	    (vmx_caps.pml && !vv->noted)) {
		vmx_vcpu_destroy(v);
		return -ENOMEM;
	}
	vv->host_msrs = vv->guest_msrs + AREA_SIZE;
	vv->vmcs_pa = hw_pa(vv->vmcs);
	*(u32 *)vv->vmcs = vmx_caps.revision;
	return 0;
}

static void vmx_settings_changed(struct vcpu *v)
{
	struct vmx_vcpu *vv = vmx_of(v);

	hwvm_settings_changed(v);
	vv->has_spec_ctrl = v->spec_ctrl_bits;
	vv->unusual = true;
}

const struct engine_ops vmx_engine = {
	.name = "vmx",
	.caps = { .xcr0 = 7,
		  .speculation = true,
		  .arch_capabilities = &vmx_caps.arch_capabilities,
		  .native_exits = KVM_X86_DISABLE_VALID_EXITS },
	.vm_create = vmx_vm_create,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.enter = vmx_enter,
	.get_state = vmx_get_state,
	.settings_changed = vmx_settings_changed,
	.load = vmx_load,
	HWVM_HOOKS,
};

int vmx_module_init(const struct vmx_options *options)
{
	int err = hwvm_init();

	if (!err)
		err = vmx_cpus_init(options);
	if (err)
		hwvm_exit();
	return err;
}

void vmx_module_exit(void)
{
	vmx_cpus_exit();
	hwvm_exit();
}
