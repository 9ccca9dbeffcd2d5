/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A VM's life: creation, references, requests to all vCPUs, destruction. */
#include "irqchip.h"
#include "parts.h"

/* Make vCPUs in guest mode leave their srcu section for a moment. */
static void kick_readers(void *vm)
{
	vm_request_all(vm, REQ_PAUSE);
}

static int slots_init(struct vm *vm)
{
	unsigned i;

	for (i = 0; i < VM_ADDRESS_SPACES; i++) {
		vm->slots[i] = host_alloc(sizeof(*vm->slots[i]));
		if (!vm->slots[i])
			return -ENOMEM;
	}
	return 0;
}

int vm_create(const struct engine_ops *engine, unsigned long type, struct vm **out)
{
	struct vm *vm;
	int r = -ENOMEM;

	if (type)
		return -EINVAL;
	vm = host_alloc_pages(sizeof(*vm));
	if (!vm)
		return -ENOMEM;
	vm->engine = engine;
	vm->refs = 1;
	vm->max_halt_poll_ns = VM_HALT_POLL_NS;
	vm->monitor = host_monitor();
	vm->number = __atomic_add_fetch(&vm->monitor->vms, 1, __ATOMIC_RELAXED);
	if (host_srcu_init(&vm->srcu))
		goto no_srcu;
	host_srcu_set_kick(&vm->srcu, kick_readers, vm);
	host_mutex_init(&vm->lock);
	host_mutex_init(&vm->slots_lock);
	host_mutex_init(&vm->irq_lock);
	clock_vm_init(vm);
	xen_vm_init(vm);
	r = slots_init(vm);
	if (r)
		goto no_slots;
	if (engine->vm_create) {
		r = engine->vm_create(vm);
		if (r)
			goto no_slots;
	}
	*out = vm;
	return 0;

no_slots:
	vm->engine = NULL;
	host_free(vm->slots[0]);
	host_free(vm->slots[1]);
	clock_vm_destroy(vm);
	host_mutex_destroy(&vm->lock);
	host_mutex_destroy(&vm->slots_lock);
	host_mutex_destroy(&vm->irq_lock);
	host_srcu_destroy(&vm->srcu);
no_srcu:
	host_free_pages(vm, sizeof(*vm));
	return r;
}

static void vm_destroy(struct vm *vm)
{
	u32 i;

	/* First what could still signal a vCPU from another thread, then the vCPUs. */
	irqchip_destroy(vm);
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_destroy(vm->vcpu[i]);
	vm->nr_vcpus = 0;
	ioeventfd_free_all(vm);
	coalesced_free_all(vm);
	bus_free_all(vm);
	vm_free_memslots(vm);
	msr_filter_free(vm->msr_filter);
	hyperv_vm_destroy(vm);
	xen_vm_destroy(vm);
	if (vm->engine->vm_destroy)
		vm->engine->vm_destroy(vm);
	clock_vm_destroy(vm);
	host_mutex_destroy(&vm->lock);
	host_mutex_destroy(&vm->slots_lock);
	host_mutex_destroy(&vm->irq_lock);
	host_srcu_destroy(&vm->srcu);
	host_free_pages(vm, sizeof(*vm));
}

void vm_get(struct vm *vm)
{
	__atomic_fetch_add(&vm->refs, 1, __ATOMIC_RELAXED);
}

void vm_put(struct vm *vm)
{
	if (__atomic_sub_fetch(&vm->refs, 1, __ATOMIC_ACQ_REL) == 0)
		vm_destroy(vm);
}

void vm_request_all(struct vm *vm, u32 req)
{
	u32 i, nr = vm_nr_vcpus(vm);

	if (req & (REQ_TLB_FLUSH | REQ_WRITE_FLUSH))
		__atomic_fetch_add(&vm->stat.remote_tlb_flush, 1, __ATOMIC_RELAXED);
	for (i = 0; i < nr; i++) {
		vcpu_request(vm->vcpu[i], req);
		vcpu_kick(vm->vcpu[i]);
	}
}

int vcpu_parts_create(struct vcpu *v)
{
	int r = msrs_create(v);

	if (!r)
		r = mce_create(v);
	if (!r)
		r = clock_create(v);
	if (!r)
		r = hyperv_create(v);
	if (!r)
		r = xen_create(v);
	if (!r)
		vcpu_cpuid_changed(v);
	return r;
}

void vcpu_parts_reset(struct vcpu *v, bool init)
{
	msrs_reset(v, init);
	clock_reset(v, init);
}

void vcpu_parts_destroy(struct vcpu *v)
{
	hyperv_destroy(v);
	xen_destroy(v);
	clock_destroy(v);
	mce_destroy(v);
	msrs_destroy(v);
	cpuid_destroy(v);
}

void object_put(struct object *o)
{
	switch (o->type) {
	case OBJ_VM: vm_put(o->vm); break;
	case OBJ_VCPU: vcpu_put(o->vcpu); break;
	case OBJ_STATS: stats_put(o->stats); break;
	case OBJ_NONE:
	case OBJ_DEVICE: /* no device type exists, see device.c */ break;
	}
	o->type = OBJ_NONE;
}
