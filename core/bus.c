/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The port and MMIO buses: sorted snapshots of ranges. An access is offered to every device whose range
 * contains it whole.
 */
#include "vcpu.h"

#define BUS_MAX_DEVICES 1000

struct bus_range {
	u64 addr;
	u32 len; /* 0: matches any access that starts at addr */
	struct bus_dev *dev;
};

struct bus_devs {
	u32 nr;
	u32 limited; /* devices that count against BUS_MAX_DEVICES */
	u32 max_len; /* the longest range: how far back a search must look */
	struct bus_range range[];
};

/* Takes the place of a device when there is no memory for a snapshot without it. */
static int nobody_read(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, void *val)
{
	return -EOPNOTSUPP;
}

static int nobody_write(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, const void *val)
{
	return -EOPNOTSUPP;
}

static const struct bus_dev_ops nobody_ops = {
	.unlimited = true,
	.read = nobody_read,
	.write = nobody_write,
};
static struct bus_dev nobody = { &nobody_ops };

static void bus_publish(struct vm *vm, enum vm_bus bus, struct bus_devs *after)
{
	struct bus_devs *before = vm->bus[bus];

	__atomic_store_n(&vm->bus[bus], after, __ATOMIC_SEQ_CST);
	host_srcu_synchronize(&vm->srcu);
	host_free(before);
}

static void devs_append(struct bus_devs *devs, const struct bus_range *r)
{
	devs->range[devs->nr++] = *r;
	devs->limited += !r->dev->ops->unlimited;
	if (r->len > devs->max_len)
		devs->max_len = r->len;
}

static struct bus_devs *devs_alloc(u32 nr)
{
	return host_alloc(sizeof(struct bus_devs) + nr * sizeof(struct bus_range));
}

int bus_register_locked(struct vm *vm, enum vm_bus bus, u64 addr, u32 len, struct bus_dev *d)
{
	const struct bus_devs *before = vm->bus[bus];
	const struct bus_range add = { addr, len, d };
	u32 nr = before ? before->nr : 0, i = 0;
	struct bus_devs *after;

	if (!d->ops->unlimited && before && before->limited >= BUS_MAX_DEVICES)
		return -ENOSPC;
	after = devs_alloc(nr + 1);
	if (!after)
		return -ENOMEM;
	for (; i < nr && before->range[i].addr <= addr; i++)
		devs_append(after, &before->range[i]);
	devs_append(after, &add);
	for (; i < nr; i++)
		devs_append(after, &before->range[i]);
	bus_publish(vm, bus, after);
	return 0;
}

void bus_unregister_locked(struct vm *vm, enum vm_bus bus, struct bus_dev *d)
{
	struct bus_devs *before = vm->bus[bus], *after;
	u32 i, found = 0;

	for (i = 0; before && i < before->nr; i++)
		found += before->range[i].dev == d;
	if (!found)
		return;
	after = devs_alloc(before->nr - found);
	if (!after) {
		for (i = 0; i < before->nr; i++)
			if (before->range[i].dev == d)
				__atomic_store_n(&before->range[i].dev, &nobody, __ATOMIC_SEQ_CST);
		host_srcu_synchronize(&vm->srcu);
		return;
	}
	for (i = 0; i < before->nr; i++)
		if (before->range[i].dev != d)
			devs_append(after, &before->range[i]);
	bus_publish(vm, bus, after);
}

int bus_register(struct vm *vm, enum vm_bus bus, u64 addr, u32 len, struct bus_dev *d)
{
	int r;

	host_mutex_lock(&vm->slots_lock);
	r = bus_register_locked(vm, bus, addr, len, d);
	host_mutex_unlock(&vm->slots_lock);
	return r;
}

void bus_unregister(struct vm *vm, enum vm_bus bus, struct bus_dev *d)
{
	host_mutex_lock(&vm->slots_lock);
	bus_unregister_locked(vm, bus, d);
	host_mutex_unlock(&vm->slots_lock);
}

void bus_free_all(struct vm *vm)
{
	unsigned bus;
	u32 i;

	for (bus = 0; bus < BUS_COUNT; bus++) {
		struct bus_devs *devs = vm->bus[bus];

		for (i = 0; devs && i < devs->nr; i++)
			if (devs->range[i].dev->ops->destroy)
				devs->range[i].dev->ops->destroy(devs->range[i].dev);
		host_free(devs);
		vm->bus[bus] = NULL;
	}
}

/* --- access ----------------------------------------------------------------------------------------- */

/* The first range that may contain an access at addr: none before it reaches that far. */
static u32 first_candidate(const struct bus_devs *devs, u64 addr)
{
	u64 lowest = addr > devs->max_len ? addr - devs->max_len : 0;
	u32 lo = 0, hi = devs->nr;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (devs->range[mid].addr < lowest)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool range_contains(const struct bus_range *r, u64 addr, u32 len)
{
	if (!r->len)
		return addr == r->addr;
	return addr >= r->addr && len <= r->len && addr - r->addr <= r->len - len;
}

static int bus_access(struct vcpu *v, enum vm_bus bus, u64 addr, u32 len, void *in, const void *out)
{
	struct bus_devs *devs = __atomic_load_n(&v->vm->bus[bus], __ATOMIC_ACQUIRE);
	u32 i;

	if (!devs)
		return -EOPNOTSUPP;
	for (i = first_candidate(devs, addr); i < devs->nr && devs->range[i].addr <= addr; i++) {
		struct bus_dev *d;
		int r = -EOPNOTSUPP;

		if (!range_contains(&devs->range[i], addr, len))
			continue;
		d = __atomic_load_n(&devs->range[i].dev, __ATOMIC_ACQUIRE);
		if (out && d->ops->write)
			r = d->ops->write(d, v, addr, len, out);
		else if (in && d->ops->read)
			r = d->ops->read(d, v, addr, len, in);
		if (r != -EOPNOTSUPP)
			return r;
	}
	return -EOPNOTSUPP;
}

int bus_read(struct vcpu *v, enum vm_bus bus, u64 addr, u32 len, void *val)
{
	return bus_access(v, bus, addr, len, val, NULL);
}

int bus_write(struct vcpu *v, enum vm_bus bus, u64 addr, u32 len, const void *val)
{
	return bus_access(v, bus, addr, len, NULL, val);
}
