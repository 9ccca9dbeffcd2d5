/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Creation, reset and end of a vCPU. */
#include "irqchip.h"

/* kvm_run, the PIO page, the coalesced MMIO ring: KVM_GET_VCPU_MMAP_SIZE. */
#define SHARED_SIZE (3 * 4096)
#define RING_OFFSET (KVM_DIRTY_LOG_PAGE_OFFSET * 4096)

void vcpu_fetch_state(struct vcpu *v, u32 mask)
{
	if (v->vm->engine->get_state)
		v->vm->engine->get_state(v, mask);
}

void vcpu_put_state(struct vcpu *v, u32 mask)
{
	if (v->vm->engine->put_state)
		v->vm->engine->put_state(v, mask);
}

void vcpu_return_state(struct vcpu *v, u32 mask)
{
	if (v->vm->engine->get_state)
		v->vm->engine->put_state(v, mask);
}

static u32 initial_mp_state(struct vcpu *v)
{
	if (!v->lapic || lapic_is_bsp(v))
		return KVM_MP_STATE_RUNNABLE;
	return KVM_MP_STATE_UNINITIALIZED;
}

void vcpu_reset(struct vcpu *v, bool init)
{
	vcpu_events_reset(v);
	io_discard(v);
	x86_reset(&v->state, init);
	vcpu_parts_reset(v, init);
	/* Without a LAPIC too: IA32_APIC_BASE is there. */
	lapic_reset(v, init);
	vcpu_put_state(v, STATE_ALL);
	vcpu_request(v, REQ_EVENT);
}

static void free_vcpu(struct vcpu *v)
{
	if (v->engine_vcpu)
		v->vm->engine->vcpu_destroy(v);
	vcpu_parts_destroy(v);
	if (v->lapic)
		lapic_destroy(v);
	host_free(v->io.reads);
	host_free(v->io.writes);
	if (v->state.xsave)
		host_free_pages(v->state.xsave, XSAVE_MAX_SIZE);
	dirty_ring_destroy(v);
	if (v->shared)
		host_shared_free(v->shared);
	host_monitor_vcpu_free(v->mon);
	host_wait_destroy(&v->wait);
	host_mutex_destroy(&v->mutex);
	host_free_pages(v, sizeof(*v));
}

void vcpu_destroy(struct vcpu *v)
{
	free_vcpu(v);
}

static int make_parts(struct vcpu *v)
{
	u32 ring = vm_dirty_ring_size(v->vm);
	int err;

	v->shared = host_shared_alloc(SHARED_SIZE, RING_OFFSET, ring);
	v->io.reads = host_alloc(IO_MAX_READS * sizeof(*v->io.reads));
	v->io.writes = host_alloc(IO_MAX_WRITES * sizeof(*v->io.writes));
	v->state.xsave = host_alloc_pages(XSAVE_MAX_SIZE);
	v->mon = host_monitor_vcpu_alloc(v->vm->monitor);
	if (!v->shared || !v->io.reads || !v->io.writes || !v->state.xsave || !v->mon)
		return -ENOMEM;
	v->mon->vm = v->vm->number;
	v->mon->id = v->id;
	v->stat = &v->mon->stat;
	v->run = host_shared_ptr(v->shared);
	if (ring)
		dirty_ring_init(v, host_shared_ring(v->shared), ring);
	v->state.ops = &core_x86_ops;
	x86_reset(&v->state, false);
	err = vcpu_parts_create(v);
	if (err)
		return err;
	if (vm_irqchip_mode(v->vm) != IRQCHIP_NONE) {
		err = lapic_create(v);
		if (err)
			return err;
	}
	err = v->vm->engine->vcpu_create(v);
	if (err)
		return err;
	vcpu_reset(v, false);
	v->mp_state = initial_mp_state(v);
	vcpu_debug_update(v);
	return 0;
}

/* Under vm->lock. */
static int check_id(struct vm *vm, u32 id)
{
	u32 n = vm_nr_vcpus(vm), i;

	if (n >= VM_MAX_VCPUS)
		return -EINVAL;
	if (!vm->max_vcpu_ids)
		vm->max_vcpu_ids = VM_MAX_VCPU_ID;
	if (id >= vm->max_vcpu_ids)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (vm->vcpu[i]->id == id)
			return -EEXIST;
	return 0;
}

static int create_locked(struct vm *vm, u32 id, struct vcpu **out)
{
	struct vcpu *v;
	int err = check_id(vm, id);

	if (err)
		return err;
	v = host_alloc_pages(sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->vm = vm;
	v->id = id;
	v->index = v->hv.vp_index = vm_nr_vcpus(vm);
	v->ev.ext_vector = -1;
	host_mutex_init(&v->mutex);
	host_wait_init(&v->wait);
	err = make_parts(v);
	if (err) {
		free_vcpu(v);
		return err;
	}
	vm->vcpu[v->index] = v;
	__atomic_store_n(&vm->nr_vcpus, v->index + 1, __ATOMIC_RELEASE);
	*out = v;
	return 0;
}

int vcpu_create(struct vm *vm, u32 id, struct vcpu **out)
{
	int err;

	if (id >= VM_MAX_VCPU_ID)
		return -EINVAL;
	host_mutex_lock(&vm->lock);
	err = create_locked(vm, id, out);
	host_mutex_unlock(&vm->lock);
	if (!err)
		vm_get(vm);
	return err;
}

/* The vCPU itself stays until its VM ends. */
void vcpu_put(struct vcpu *v)
{
	vm_put(v->vm);
}
