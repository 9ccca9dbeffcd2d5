/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The svm engine's vtable. */
#include "svm.h"
#include "hw_engines.h"

static int svm_vm_create(struct vm *vm)
{
	/*
	 * The type is the guest's PAT's, joined with that of the nested tables, write-back, and with the MTRRs, which know where
	 * devices are (APM volume 2, "Combining Memory Types, MTRRs").
	 */
	static const struct nested_format format = { .large = true };

	return hwvm_vm_create(vm, &format, svm_cpu_on, svm_cpu_off);
}

static void svm_vcpu_destroy(struct vcpu *v)
{
	hw_pages_free(svm_of(v)->vmcb, 0);
	hwvm_vcpu_destroy(v);
}

static int svm_vcpu_create(struct vcpu *v)
{
	struct svm_vcpu *sv;

	if (hwvm_vcpu_create(v, sizeof(*sv)))
		return -ENOMEM;
	sv = svm_of(v);
	sv->asid_cpu = HW_NO_CPU;
	sv->vmcb = hw_page_alloc();
	if (!sv->vmcb) {
		svm_vcpu_destroy(v);
		return -ENOMEM;
	}
	sv->vmcb_pa = hw_pa(sv->vmcb);
	sv->msrpm = svm_msrpm_open[0];
	svm_vmcb_init(v);
	return 0;
}

static void svm_settings_changed(struct vcpu *v)
{
	struct svm_vcpu *sv = svm_of(v);
	bool has_spec_ctrl = v->spec_ctrl_bits;

	hwvm_settings_changed(v);
	sv->msrpm = svm_msrpm_open[(has_spec_ctrl && svm_caps.v_spec_ctrl ? MAP_SPEC_CTRL : 0) |
				   (v->has_pred_cmd ? MAP_PRED_CMD : 0)];
	sv->switches_spec_ctrl = has_spec_ctrl && !svm_caps.v_spec_ctrl;
	svm_native_exits(v);
}

const struct engine_ops svm_engine = {
	.name = "svm",
	.caps = { .xcr0 = 7,
		  .speculation = true,
		  .native_exits = KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_MWAIT },
	.vm_create = svm_vm_create,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.enter = svm_enter,
	.get_state = svm_get_state,
	.settings_changed = svm_settings_changed,
	.load = hwvm_load,
	HWVM_HOOKS,
};

int svm_module_init(void)
{
	int err = hwvm_init();

	if (!err)
		err = svm_cpus_init();
	if (err)
		hwvm_exit();
	return err;
}

void svm_module_exit(void)
{
	svm_cpus_exit();
	hwvm_exit();
}
