/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Coalesced MMIO and port writes (KVM_REGISTER_COALESCED_MMIO): writes to a zone go to a ring that user
 * space empties later.
 *
 * Linux has one ring page per VM, seen through every vCPU's mapping. Where each vCPU has shared memory of
 * its own (user-space host) the ring is the one in the VM's first vCPU: the one that VMMs look at.
 */
#include "vcpu.h"

#define PAGE_BYTES 4096
#define RING_ENTRIES ((PAGE_BYTES - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))

struct coalesced_zone {
	struct bus_dev dev;
	struct coalesced *owner;
	struct coalesced_zone *next;
	struct kvm_coalesced_mmio_zone zone;
};

/* Made with the first zone, kept as long as the VM. */
struct coalesced {
	struct host_lock ring_lock;   /* innermost: writers of the ring */
	struct coalesced_zone *zones; /* vm->slots_lock */
};

static bool zone_contains(const struct kvm_coalesced_mmio_zone *z, u64 addr, u64 len)
{
	return addr + len >= addr && addr >= z->addr && addr + len <= z->addr + z->size;
}

static struct kvm_coalesced_mmio_ring *vm_ring(struct vm *vm)
{
	if (!vm_nr_vcpus(vm) || !vm->vcpu[0]->run)
		return NULL;
	return (void *)((u8 *)vm->vcpu[0]->run + KVM_COALESCED_MMIO_PAGE_OFFSET * PAGE_BYTES);
}

static int zone_write(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, const void *val)
{
	struct coalesced_zone *z = container_of(d, struct coalesced_zone, dev);
	struct kvm_coalesced_mmio_ring *ring = vm_ring(v->vm);
	struct kvm_coalesced_mmio *e;
	unsigned long state;
	int r = -EOPNOTSUPP;
	u32 last, next;

	if (!ring || !zone_contains(&z->zone, addr, len) || len > sizeof(e->data))
		return -EOPNOTSUPP;
	state = host_lock_acquire(&z->owner->ring_lock);
	/* The ring is user space's to scribble on: its index is read once and checked. */
	last = __atomic_load_n(&ring->last, __ATOMIC_RELAXED);
	next = last + 1 < RING_ENTRIES ? last + 1 : 0;
	if (last < RING_ENTRIES && next != __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE)) {
		e = &ring->coalesced_mmio[last];
		e->phys_addr = addr;
		e->len = len;
		memcpy(e->data, val, len);
		e->pio = z->zone.pio;
		__atomic_store_n(&ring->last, next, __ATOMIC_RELEASE);
		r = 0;
	}
	host_lock_release(&z->owner->ring_lock, state);
	return r;
}

static const struct bus_dev_ops zone_ops = { .write = zone_write };

static enum vm_bus zone_bus(const struct kvm_coalesced_mmio_zone *zone)
{
	return zone->pio ? BUS_PIO : BUS_MMIO;
}

static int register_locked(struct vm *vm, struct coalesced_zone *z)
{
	int r;

	if (!vm->coalesced) {
		vm->coalesced = host_alloc(sizeof(*vm->coalesced));
		if (!vm->coalesced)
			return -ENOMEM;
		host_lock_init(&vm->coalesced->ring_lock);
	}
	z->owner = vm->coalesced;
	r = bus_register_locked(vm, zone_bus(&z->zone), z->zone.addr, z->zone.size, &z->dev);
	if (r)
		return r;
	z->next = vm->coalesced->zones;
	vm->coalesced->zones = z;
	return 0;
}

int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone)
{
	struct coalesced_zone *z;
	int r;

	if (zone->pio > 1)
		return -EINVAL;
	z = host_alloc(sizeof(*z));
	if (!z)
		return -ENOMEM;
	z->dev.ops = &zone_ops;
	z->zone = *zone;
	host_mutex_lock(&vm->slots_lock);
	r = register_locked(vm, z);
	host_mutex_unlock(&vm->slots_lock);
	if (r)
		host_free(z);
	return r;
}

int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone)
{
	struct coalesced_zone **link, *z;

	if (zone->pio > 1)
		return -EINVAL;
	host_mutex_lock(&vm->slots_lock);
	if (!vm->coalesced) {
		host_mutex_unlock(&vm->slots_lock);
		return 0;
	}
	link = &vm->coalesced->zones;
	while ((z = *link) != NULL) {
		/* As Linux: every zone that contains the given range goes. */
		if (z->zone.pio == zone->pio && zone_contains(&z->zone, zone->addr, zone->size)) {
			*link = z->next;
			bus_unregister_locked(vm, zone_bus(&z->zone), &z->dev);
			host_free(z);
		} else {
			link = &z->next;
		}
	}
	host_mutex_unlock(&vm->slots_lock);
	return 0;
}

void coalesced_free_all(struct vm *vm)
{
	struct coalesced *c = vm->coalesced;

	if (!c)
		return;
	while (c->zones) {
		struct coalesced_zone *z = c->zones;

		c->zones = z->next;
		bus_unregister(vm, zone_bus(&z->zone), &z->dev);
		host_free(z);
	}
	host_lock_destroy(&c->ring_lock);
	host_free(c);
	vm->coalesced = NULL;
}
