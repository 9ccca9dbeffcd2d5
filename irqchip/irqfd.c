/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * irqfds: eventfds that raise interrupts. The plain kind gives an edge. The resampling kind raises a
 * level line, which the guest's acknowledge lowers; user space is then told by a second eventfd and
 * raises it again if the device still wants it.
 *
 * The list is an immutable snapshot in vm->irqfds: writers hold vm->irq_lock, readers a vm->srcu section.
 */
#include "chips.h"

struct irqfd {
	struct vm *vm;
	u32 gsi;
	struct host_eventfd *event;
	struct host_eventfd *resample; /* NULL: plain */
	struct host_watch *watch;
};

struct irqfd_list {
	u32 nr;
	struct irqfd *fd[];
};

/* --- signals ---------------------------------------------------------------------------------- */

static void signalled(void *arg)
{
	struct irqfd *fd = arg;

	vm_outside_event(fd->vm);
	if (fd->resample) {
		irq_set_line(fd->vm, IRQ_SOURCE_RESAMPLE, fd->gsi, 1);
	} else {
		irq_set_line(fd->vm, IRQ_SOURCE_USER, fd->gsi, 1);
		irq_set_line(fd->vm, IRQ_SOURCE_USER, fd->gsi, 0);
	}
}

void irqfd_ack(struct vm *vm, u32 gsi)
{
	const struct irqfd_list *l = __atomic_load_n((struct irqfd_list **)&vm->irqfds, __ATOMIC_ACQUIRE);
	bool lowered = false;
	u32 i;

	for (i = 0; l && i < l->nr; i++) {
		if (l->fd[i]->gsi != gsi || !l->fd[i]->resample)
			continue;
		if (!lowered)
			irq_set_line(vm, IRQ_SOURCE_RESAMPLE, gsi, 0);
		lowered = true;
		host_eventfd_signal(l->fd[i]->resample);
	}
}

/* --- the list (under vm->irq_lock) ------------------------------------------------------------ */

static struct irqfd_list *list_of(struct vm *vm)
{
	return vm->irqfds;
}

static struct irqfd_list *list_alloc(u32 nr)
{
	return host_alloc(sizeof(struct irqfd_list) + nr * sizeof(struct irqfd *));
}

/* The old list may be freed when this returns. */
static void publish(struct vm *vm, struct irqfd_list *l)
{
	__atomic_store_n(&vm->irqfds, (void *)l, __ATOMIC_SEQ_CST);
	host_srcu_synchronize(&vm->srcu);
}

static bool in_use(struct vm *vm, const struct host_eventfd *e)
{
	const struct irqfd_list *l = list_of(vm);
	u32 i;

	for (i = 0; l && i < l->nr; i++)
		if (host_eventfd_same(l->fd[i]->event, e))
			return true;
	return false;
}

static int list_add(struct vm *vm, struct irqfd *fd)
{
	struct irqfd_list *old = list_of(vm), *new;
	u32 nr = old ? old->nr : 0;
	int ret;

	if (in_use(vm, fd->event))
		return -EBUSY;
	new = list_alloc(nr + 1);
	if (!new)
		return -ENOMEM;
	if (old)
		memcpy(new->fd, old->fd, nr * sizeof(old->fd[0]));
	new->fd[nr] = fd;
	new->nr = nr + 1;
	publish(vm, new);
	/* Last: it may be signalled at once. */
	ret = host_eventfd_watch(fd->event, signalled, fd, &fd->watch);
	if (ret) {
		publish(vm, old);
		host_free(new);
		return ret;
	}
	host_free(old);
	return 0;
}

static void irqfd_free(struct irqfd *fd)
{
	if (fd->watch)
		host_eventfd_unwatch(fd->watch);
	host_eventfd_put(fd->event);
	host_eventfd_put(fd->resample);
	host_free(fd);
}

/* --- ioctl ------------------------------------------------------------------------------------ */

static int make(struct vm *vm, const struct kvm_irqfd *arg, struct irqfd **out)
{
	struct irqfd *fd = host_alloc(sizeof(*fd));
	int ret;

	if (!fd)
		return -ENOMEM;
	fd->vm = vm;
	fd->gsi = arg->gsi;
	ret = host_eventfd_get((int)arg->fd, &fd->event);
	if (!ret && arg->flags & KVM_IRQFD_FLAG_RESAMPLE)
		ret = host_eventfd_get((int)arg->resamplefd, &fd->resample);
	if (ret) {
		irqfd_free(fd);
		return ret;
	}
	*out = fd;
	return 0;
}

static int assign(struct vm *vm, const struct kvm_irqfd *arg)
{
	enum irqchip_mode mode = vm_irqchip_mode(vm);
	struct irqfd *fd;
	int ret;

	/* Resampling needs to see the EOI, which the user-space IOAPIC of a split irqchip gets. */
	if (mode == IRQCHIP_NONE || (arg->flags & KVM_IRQFD_FLAG_RESAMPLE && mode != IRQCHIP_KERNEL))
		return -EINVAL;
	ret = make(vm, arg, &fd);
	if (ret)
		return ret;
	host_mutex_lock(&vm->irq_lock);
	ret = list_add(vm, fd);
	host_mutex_unlock(&vm->irq_lock);
	if (ret)
		irqfd_free(fd);
	return ret;
}

static bool resamples(struct vm *vm, u32 gsi)
{
	const struct irqfd_list *l = list_of(vm);
	u32 i;

	for (i = 0; l && i < l->nr; i++)
		if (l->fd[i]->gsi == gsi && l->fd[i]->resample)
			return true;
	return false;
}

static bool is_it(const struct irqfd *fd, u32 gsi, const struct host_eventfd *e)
{
	return fd->gsi == gsi && host_eventfd_same(fd->event, e);
}

/* Under vm->irq_lock: take the matching one out; NULL when there is none. At most one: eventfds are unique. */
static int list_remove(struct vm *vm, u32 gsi, const struct host_eventfd *e, struct irqfd **out)
{
	struct irqfd_list *old = list_of(vm), *new;
	u32 i, at;

	for (at = 0; old && at < old->nr && !is_it(old->fd[at], gsi, e); at++)
		;
	if (!old || at == old->nr)
		return 0;
	new = list_alloc(old->nr);
	if (!new)
		return -ENOMEM;
	for (i = 0; i < old->nr; i++)
		if (i != at)
			new->fd[new->nr++] = old->fd[i];
	*out = old->fd[at];
	publish(vm, new);
	host_free(old);
	/* What was raised through the last one must not stay up. */
	if ((*out)->resample && !resamples(vm, gsi))
		irq_set_line(vm, IRQ_SOURCE_RESAMPLE, gsi, 0);
	return 0;
}

static int deassign(struct vm *vm, const struct kvm_irqfd *arg)
{
	struct host_eventfd *e;
	struct irqfd *fd = NULL;
	int ret = host_eventfd_get((int)arg->fd, &e);

	if (ret)
		return ret;
	host_mutex_lock(&vm->irq_lock);
	ret = list_remove(vm, arg->gsi, e, &fd);
	host_mutex_unlock(&vm->irq_lock);
	host_eventfd_put(e);
	if (fd)
		irqfd_free(fd);
	return ret;
}

int irqfd_assign(struct vm *vm, const struct kvm_irqfd *irqfd)
{
	if (irqfd->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	return irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN ? deassign(vm, irqfd) : assign(vm, irqfd);
}

void irqfd_free_all(struct vm *vm)
{
	struct irqfd_list *l;
	u32 i;

	host_mutex_lock(&vm->irq_lock);
	l = list_of(vm);
	publish(vm, NULL);
	host_mutex_unlock(&vm->irq_lock);
	for (i = 0; l && i < l->nr; i++)
		irqfd_free(l->fd[i]);
	host_free(l);
}
