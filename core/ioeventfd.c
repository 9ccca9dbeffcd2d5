/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* KVM_IOEVENTFD: a guest's write to a port or address signals an eventfd instead of leaving KVM_RUN. */
#include "vcpu.h"

struct ioeventfd {
	struct bus_dev dev;
	struct ioeventfd *next;
	struct host_eventfd *eventfd;
	enum vm_bus bus;
	u64 addr;
	u32 len; /* 0: any length */
	u64 datamatch;
	bool wildcard; /* any data */
};

static u64 value_of(const void *val, u32 len)
{
	u64 x = 0;

	memcpy(&x, val, len);
	return x;
}

static int ioeventfd_write(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, const void *val)
{
	struct ioeventfd *e = container_of(d, struct ioeventfd, dev);

	if (addr != e->addr || (e->len && len != e->len))
		return -EOPNOTSUPP;
	if (e->len && !e->wildcard && value_of(val, len) != e->datamatch)
		return -EOPNOTSUPP;
	host_eventfd_signal(e->eventfd);
	return 0;
}

static const struct bus_dev_ops ioeventfd_ops = { .unlimited = true, .write = ioeventfd_write };

/* Would one write signal both? */
static bool collide(const struct ioeventfd *a, const struct ioeventfd *b)
{
	if (a->bus != b->bus || a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (a->wildcard || b->wildcard || a->datamatch == b->datamatch);
}

static bool same(const struct ioeventfd *a, const struct ioeventfd *b)
{
	return a->bus == b->bus && a->addr == b->addr && a->len == b->len && a->wildcard == b->wildcard &&
	       (a->wildcard || a->datamatch == b->datamatch) && host_eventfd_same(a->eventfd, b->eventfd);
}

static int check_assign(const struct kvm_ioeventfd *args)
{
	switch (args->len) {
	case 0:
	case 1:
	case 2:
	case 4:
	case 8: break;
	default: return -EINVAL;
	}
	if (args->addr + args->len < args->addr)
		return -EINVAL;
	if (args->flags & ~(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN))
		return -EINVAL;
	return !args->len && args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH ? -EINVAL : 0;
}

static void fill(struct ioeventfd *e, const struct kvm_ioeventfd *args, struct host_eventfd *fd)
{
	memset(e, 0, sizeof(*e));
	e->dev.ops = &ioeventfd_ops;
	e->eventfd = fd;
	e->bus = args->flags & KVM_IOEVENTFD_FLAG_PIO ? BUS_PIO : BUS_MMIO;
	e->addr = args->addr;
	e->len = args->len;
	e->wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	if (!e->wildcard)
		e->datamatch = args->datamatch;
}

static struct ioeventfd **list_of(struct vm *vm)
{
	return (struct ioeventfd **)&vm->ioeventfds;
}

static int assign_locked(struct vm *vm, struct ioeventfd *e)
{
	struct ioeventfd **list = list_of(vm), *i;
	int r;

	for (i = *list; i; i = i->next)
		if (collide(i, e))
			return -EEXIST;
	r = bus_register_locked(vm, e->bus, e->addr, e->len, &e->dev);
	if (r)
		return r;
	e->next = *list;
	*list = e;
	return 0;
}

static int assign(struct vm *vm, const struct kvm_ioeventfd *args, struct host_eventfd *fd)
{
	struct ioeventfd *e = host_alloc(sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	fill(e, args, fd);
	host_mutex_lock(&vm->slots_lock);
	r = assign_locked(vm, e);
	host_mutex_unlock(&vm->slots_lock);
	if (r)
		host_free(e);
	return r;
}

static int deassign(struct vm *vm, const struct kvm_ioeventfd *args, struct host_eventfd *fd)
{
	struct ioeventfd **link, *e, wanted;

	fill(&wanted, args, fd);
	host_mutex_lock(&vm->slots_lock);
	/* KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY names a bus that x86 does not have: nothing is on it. */
	for (link = list_of(vm); (e = *link); link = &e->next)
		if (same(e, &wanted) && !(args->flags & KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY))
			break;
	if (e) {
		*link = e->next;
		bus_unregister_locked(vm, e->bus, &e->dev);
	}
	host_mutex_unlock(&vm->slots_lock);
	if (!e)
		return -ENOENT;
	host_eventfd_put(e->eventfd);
	host_free(e);
	return 0;
}

int ioeventfd_set(struct vm *vm, const struct kvm_ioeventfd *args)
{
	bool remove = args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	struct host_eventfd *fd;
	int r = 0;

	if (!remove)
		r = check_assign(args);
	if (!r)
		r = host_eventfd_get(args->fd, &fd);
	if (r)
		return r;
	r = remove ? deassign(vm, args, fd) : assign(vm, args, fd);
	if (r || remove)
		host_eventfd_put(fd);
	return r;
}

void ioeventfd_free_all(struct vm *vm)
{
	struct ioeventfd **list = list_of(vm), *e;

	while ((e = *list)) {
		*list = e->next;
		bus_unregister(vm, e->bus, &e->dev);
		host_eventfd_put(e->eventfd);
		host_free(e);
	}
}
