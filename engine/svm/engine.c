/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The svm engine's vtable. */
#include "svm.h"
#include "svm_module.h"

static struct x86_ops svm_ops;

static void svm_tlb_flushed(struct x86_state *s, enum x86_flush what, u64 lin)
{
	svm_of(state_vcpu(s))->flush = true;
}

static int svm_vm_create(struct vm *vm)
{
	struct svm_vm *sv = host_alloc(sizeof(*sv));
	int err;

	if (!sv)
		return -ENOMEM;
	vm->engine_vm = sv;
	err = npt_create(vm);
	if (!err)
		err = hw_virt_get(svm_cpu_on, svm_cpu_off);
	if (err) {
		npt_destroy(vm);
		host_free(sv);
		vm->engine_vm = NULL;
	}
	return err;
}

static void svm_vm_destroy(struct vm *vm)
{
	hw_virt_put();
	npt_destroy(vm);
	host_free(vm->engine_vm);
	vm->engine_vm = NULL;
}

static void svm_vcpu_destroy(struct vcpu *v)
{
	struct svm_vcpu *sv = svm_of(v);

	npt_cache_free(sv);
	hw_fpu_destroy(sv->fpu);
	hw_pages_free(sv->vmcb, 0);
	host_free(sv);
	v->engine_vcpu = NULL;
}

static int svm_vcpu_create(struct vcpu *v)
{
	struct svm_vcpu *sv = host_alloc(sizeof(*sv));

	if (!sv)
		return -ENOMEM;
	v->engine_vcpu = sv;
	sv->vmcb = hw_page_alloc();
	sv->fpu = hw_fpu_create();
	if (!sv->vmcb || !sv->fpu) {
		svm_vcpu_destroy(v);
		return -ENOMEM;
	}
	sv->vmcb_pa = hw_pa(sv->vmcb);
	sv->guest_cpu = sv->asid_cpu = HW_NO_CPU;
	sv->fpu_in_area = true;
	v->state.ops = &svm_ops;
	svm_vmcb_init(v);
	return 0;
}

static void svm_kick(struct vcpu *v)
{
	int cpu = __atomic_load_n(&svm_of(v)->guest_cpu, __ATOMIC_SEQ_CST);

	if (cpu != HW_NO_CPU)
		hw_kick_cpu(cpu);
}

static void svm_tlb_flush(struct vcpu *v)
{
	npt_slots_changed(v->vm);
	svm_of(v)->flush = true;
}

static void svm_write_flush(struct vcpu *v)
{
	npt_write_protect(v->vm);
	svm_of(v)->flush = true;
}

static void svm_slot_free(struct vm *vm, struct memslot *slot)
{
	/* While the VM ends its slots go one by one, and nobody uses the tables any more. */
	if (vm->refs)
		npt_slots_changed(vm);
}

static void svm_load(struct vcpu *v)
{
	struct svm_vcpu *sv = svm_of(v);

	hw_fpu_swap(sv->fpu, true);
	sv->fpu_loaded = true;
	sv->fpu_in_area = false;
}

static void svm_put(struct vcpu *v)
{
	struct svm_vcpu *sv = svm_of(v);

	hw_fpu_swap(sv->fpu, false);
	sv->fpu_loaded = false;
}

const struct engine_ops svm_engine = {
	.name = "svm",
	.caps = { .xcr0 = 7 },
	.vm_create = svm_vm_create,
	.vm_destroy = svm_vm_destroy,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.enter = svm_enter,
	.get_state = svm_get_state,
	.put_state = svm_put_state,
	.kick = svm_kick,
	.tlb_flush = svm_tlb_flush,
	.write_flush = svm_write_flush,
	.slot_free = svm_slot_free,
	.unmap_hva = npt_unmap_hva,
	.unmap_hva_done = npt_unmap_hva_done,
	.load = svm_load,
	.put = svm_put,
};

int svm_module_init(void)
{
	svm_ops = core_x86_ops;
	/* Guest memory has no address here but through the process. */
	svm_ops.ram = NULL;
	svm_ops.tlb_flushed = svm_tlb_flushed;
	return svm_cpus_init();
}

void svm_module_exit(void)
{
	svm_cpus_exit();
}
