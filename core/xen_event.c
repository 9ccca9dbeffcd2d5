/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Xen's event channels with two levels: a bit for each port in the shared page, a bit for each word of those in the vCPU's vcpu_info,
 * and a byte there that asks for the upcall. That byte is the interrupt line: as long as it is set, and interrupts are enabled, the guest gets
 * the vector.
 */
#include "irqchip.h"
#include "xen.h"

#define PENDING 0x800u /* in the shared page, behind the vcpu_info of 32 vCPUs */
#define MASK_64 0xa00u
#define MASK_32 0x880u
#define SELECTOR_64 8u /* in vcpu_info */
#define SELECTOR_32 4u

#define EVTCHNSTAT_INTERDOMAIN 2u
#define EVTCHNSTAT_IPI 5u
#define MAX_POLLED 128u

static bool is_wide(const struct vm *vm)
{
	return __atomic_load_n(&vm->xen.long_mode, __ATOMIC_ACQUIRE);
}

u32 xen_max_ports(const struct vm *vm)
{
	return is_wide(vm) ? XEN_MAX_PORTS : 1024;
}

static struct vcpu *find(struct vm *vm, u32 id)
{
	u32 i, nr = vm_nr_vcpus(vm);

	for (i = 0; i < nr; i++)
		if (vm->vcpu[i]->id == id)
			return vm->vcpu[i];
	return NULL;
}

/* --- raising ------------------------------------------------------------------------------------------------------ */

/* Set a bit of an aligned word of guest memory: what it was, or -EFAULT. */
static int set_bit(struct vcpu *v, u64 gpa, u32 bit, unsigned size)
{
	u64 val = 0;
	int r;

	do {
		if (vm_read_guest(v->vm, gpa, &val, size))
			return -EFAULT;
		if (val >> bit & 1)
			return 1;
		r = vcpu_cmpxchg_guest(v, gpa, val, val | 1ull << bit, size);
	} while (r == -EAGAIN);
	return r;
}

static int port_bit(struct vcpu *v, u64 bitmap, u32 port)
{
	u64 word;

	if (vm_read_guest(v->vm, bitmap + port / 64 * 8, &word, sizeof(word)))
		return -EFAULT;
	return word >> (port % 64) & 1;
}

/* SCHEDOP_poll waits for it, masked or not. */
static void wake_poller(struct vcpu *v, u32 port)
{
	u32 poll = __atomic_load_n(&v->xen->poll, __ATOMIC_SEQ_CST);

	if (poll != port && poll != XEN_POLL_ANY)
		return;
	__atomic_store_n(&v->pv_unhalted, 1, __ATOMIC_SEQ_CST);
	vcpu_request(v, REQ_UNHALT);
	vcpu_kick(v);
}

/* The port's word has an event: the second level, then the upcall. */
static int select_word(struct vcpu *v, u64 info, u32 port)
{
	const struct lapic_message m = {
		.vector = __atomic_load_n(&v->xen->vector, __ATOMIC_RELAXED),
		.delivery = DELIVER_FIXED,
		.level = true,
		.shorthand = 1,
	};
	const u8 one = 1;
	int r;

	if (is_wide(v->vm))
		r = set_bit(v, info + SELECTOR_64, port / 64, 8);
	else
		r = set_bit(v, info + SELECTOR_32, port / 32, 4);
	if (r < 0)
		return r;
	if (r)
		return 1; /* the guest has been told of this word */
	if (vcpu_write_guest(v, info, &one, 1))
		return -EFAULT;
	if (m.vector) {
		lapic_deliver(v->vm, v, &m);
	} else {
		vcpu_request(v, REQ_EVENT);
		vcpu_kick(v);
	}
	return 1;
}

int xen_raise_now(struct vcpu *v, u32 port)
{
	u64 shared = __atomic_load_n(&v->vm->xen.shared_info, __ATOMIC_ACQUIRE);
	u64 info = __atomic_load_n(&v->xen->info, __ATOMIC_ACQUIRE);
	int r;

	if (shared == XEN_NOWHERE || info == XEN_NOWHERE || port >= xen_max_ports(v->vm))
		return -EINVAL;
	r = set_bit(v, shared + PENDING + port / 64 * 8, port % 64, 8);
	if (r)
		return r < 0 ? r : 0;
	r = port_bit(v, shared + (is_wide(v->vm) ? MASK_64 : MASK_32), port);
	if (!r)
		r = select_word(v, info, port);
	else if (r > 0)
		r = -ENOTCONN;
	wake_poller(v, port);
	return r;
}

void xen_post(struct vcpu *v, u32 port)
{
	if (port >= XEN_MAX_PORTS)
		return;
	__atomic_fetch_or(&v->xen->posted[port / 64], 1ull << (port % 64), __ATOMIC_SEQ_CST);
	vcpu_request(v, REQ_XEN);
	vcpu_kick(v);
}

/* Guest memory cannot be reached in every context that a route is used in: the vCPU does it. */
int xen_raise(struct vm *vm, u32 vcpu_id, u32 port)
{
	struct vcpu *v = find(vm, vcpu_id);

	if (!v || port >= xen_max_ports(vm))
		return -1;
	xen_post(v, port);
	return 1;
}

void xen_raise_posted(struct vcpu *v)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(v->xen->posted); i++) {
		u64 *word = &v->xen->posted[i], bits;

		if (!__atomic_load_n(word, __ATOMIC_RELAXED))
			continue;
		bits = __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST);
		for (; bits; bits &= bits - 1)
			xen_raise_now(v, i * 64 + (u32)__builtin_ctzll(bits));
	}
}

/* KVM_XEN_HVM_EVTCHN_SEND */
int xen_event_ioctl(struct vm *vm, const struct kvm_irq_routing_xen_evtchn *e)
{
	struct vcpu *v = find(vm, e->vcpu);
	int idx, r;

	if (!v || !e->port || e->port >= xen_max_ports(vm) || e->priority != KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL)
		return -EINVAL;
	idx = host_srcu_read_lock(&vm->srcu);
	r = xen_raise_now(v, e->port);
	host_srcu_read_unlock(&vm->srcu, idx);
	/* A masked port keeps its bit. */
	return r >= 0 || r == -ENOTCONN ? 0 : r;
}

/* Asleep, a page that has gone counts as an interrupt: who is awake brings it in again, or finds that it is gone for good. */
static bool upcall_pending(struct vcpu *v, u64 info)
{
	u8 upcall = 0;

	if (v->asleep)
		return vm_peek_guest(v->vm, info, &upcall) ? !v->xen->info_lost : upcall;
	v->xen->info_lost = vm_read_guest(v->vm, info, &upcall, 1) != 0;
	return upcall;
}

bool xen_upcall_waits(struct vcpu *v)
{
	u64 info = __atomic_load_n(&v->xen->info, __ATOMIC_RELAXED);
	bool waits;
	int idx;

	if (info == XEN_NOWHERE)
		return false;
	idx = host_srcu_read_lock(&v->vm->srcu);
	waits = upcall_pending(v, info);
	host_srcu_read_unlock(&v->vm->srcu, idx);
	return waits;
}

/* --- sending ----------------------------------------------------------------------------------------------------------- */

bool xen_send(struct vcpu *v, u64 param, s64 *ret)
{
	const struct xen_ports *t = __atomic_load_n(&v->vm->xen.ports, __ATOMIC_ACQUIRE);
	struct vcpu *to;
	u32 port, i;
	int r;

	*ret = -EFAULT;
	if (!xen_read_virtual(v, param, &port, sizeof(port)))
		return true;
	*ret = 0;
	for (i = 0; t && i < t->nr && t->p[i].send != port; i++)
		;
	if (!t || i == t->nr)
		return false;
	if (!t->p[i].port) {
		host_eventfd_signal(t->p[i].event);
		return true;
	}
	to = find(v->vm, t->p[i].vcpu);
	r = to ? xen_raise_now(to, t->p[i].port) : -EINVAL;
	return r >= 0 || r == -ENOTCONN;
}

static struct xen_ports *copy_ports(const struct xen_ports *old)
{
	u32 nr = old ? old->nr : 0;
	struct xen_ports *t = host_alloc(sizeof(*t) + (nr + 1) * sizeof(t->p[0]));

	if (t && old)
		memcpy(t, old, sizeof(*t) + nr * sizeof(t->p[0]));
	return t;
}

static void publish(struct vm *vm, struct xen_ports *t)
{
	struct xen_ports *old = vm->xen.ports;

	__atomic_store_n(&vm->xen.ports, t, __ATOMIC_SEQ_CST);
	host_srcu_synchronize(&vm->srcu);
	host_free(old);
}

static int check_new_port(struct vm *vm, const struct kvm_xen_hvm_attr *a)
{
	u32 port = a->u.evtchn.deliver.port.port;

	switch (a->u.evtchn.type) {
	case EVTCHNSTAT_IPI:
		if (port != a->u.evtchn.send_port)
			return -EINVAL;
		break;
	case EVTCHNSTAT_INTERDOMAIN:
		if (!port)
			return 0; /* an eventfd */
		if (port >= xen_max_ports(vm))
			return -EINVAL;
		break;
	default: return -EINVAL;
	}
	return a->u.evtchn.deliver.port.priority == KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL ? 0 : -EINVAL;
}

static int add_port(struct vm *vm, const struct kvm_xen_hvm_attr *a)
{
	struct xen_ports *t;
	struct xen_port *p;
	int r = check_new_port(vm, a);

	if (r)
		return r;
	t = copy_ports(vm->xen.ports);
	if (!t)
		return -ENOMEM;
	p = &t->p[t->nr++];
	p->send = a->u.evtchn.send_port;
	p->type = a->u.evtchn.type;
	p->port = a->u.evtchn.deliver.port.port;
	if (p->port)
		p->vcpu = a->u.evtchn.deliver.port.vcpu;
	else
		r = host_eventfd_get(a->u.evtchn.deliver.eventfd.fd, &p->event);
	if (r)
		host_free(t);
	else
		publish(vm, t);
	return r;
}

static void remove_port(struct vm *vm, struct xen_ports *t, u32 at)
{
	struct host_eventfd *e = t->p[at].event;

	t->p[at] = t->p[--t->nr];
	publish(vm, t);
	if (e)
		host_eventfd_put(e);
}

/* Only where it goes to, and not from or to an eventfd. */
static int move_port(struct vm *vm, struct xen_ports *t, u32 at, const struct kvm_xen_hvm_attr *a)
{
	struct xen_port *p = &t->p[at];

	if (p->type != a->u.evtchn.type || !p->port || p->port != a->u.evtchn.deliver.port.port ||
	    a->u.evtchn.deliver.port.priority != KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL)
		return -EINVAL;
	p->vcpu = a->u.evtchn.deliver.port.vcpu;
	publish(vm, t);
	return 0;
}

int xen_set_port(struct vm *vm, const struct kvm_xen_hvm_attr *a)
{
	u32 port = a->u.evtchn.send_port, flags = a->u.evtchn.flags, at;
	const struct xen_ports *old = vm->xen.ports;
	struct xen_ports *t;
	int r = 0;

	if (flags == KVM_XEN_EVTCHN_RESET) {
		xen_free_ports(vm);
		return 0;
	}
	if (!port || port >= xen_max_ports(vm))
		return -EINVAL;
	for (at = 0; old && at < old->nr && old->p[at].send != port; at++)
		;
	if (!flags)
		return old && at < old->nr ? -EEXIST : add_port(vm, a);
	if (flags != KVM_XEN_EVTCHN_DEASSIGN && flags != KVM_XEN_EVTCHN_UPDATE)
		return -EINVAL;
	if (!old || at == old->nr)
		return -ENOENT;
	t = copy_ports(old);
	if (!t)
		return -ENOMEM;
	if (flags == KVM_XEN_EVTCHN_DEASSIGN)
		remove_port(vm, t, at);
	else
		r = move_port(vm, t, at, a);
	if (r)
		host_free(t);
	return r;
}

void xen_free_ports(struct vm *vm)
{
	struct xen_ports *old = vm->xen.ports;
	u32 i;

	if (!old)
		return;
	__atomic_store_n(&vm->xen.ports, NULL, __ATOMIC_SEQ_CST);
	host_srcu_synchronize(&vm->srcu);
	for (i = 0; i < old->nr; i++)
		if (old->p[i].event)
			host_eventfd_put(old->p[i].event);
	host_free(old);
}

/* --- polling --------------------------------------------------------------------------------------------------------------- */

struct sched_poll {
	u64 ports, timeout;
	u32 nr;
};

static bool read_poll(struct vcpu *v, u64 param, bool wide, struct sched_poll *p)
{
	struct {
		u64 ports;
		u32 nr, pad;
		u64 timeout;
	} w;
	struct {
		u32 ports, nr, timeout[2];
	} n;

	if (wide ? !xen_read_virtual(v, param, &w, sizeof(w)) : !xen_read_virtual(v, param, &n, sizeof(n)))
		return false;
	p->ports = wide ? w.ports : n.ports;
	p->nr = wide ? w.nr : n.nr;
	p->timeout = wide ? w.timeout : n.timeout[0] | (u64)n.timeout[1] << 32;
	return true;
}

/* Is one of the ports pending? 1, 0; -EINVAL, -EFAULT. */
static int look_at_ports(struct vcpu *v, const struct sched_poll *p, u32 *last)
{
	u64 shared = __atomic_load_n(&v->vm->xen.shared_info, __ATOMIC_ACQUIRE);
	int pending = 0, bit;
	u32 i;

	for (i = 0; i < p->nr; i++) {
		if (!xen_read_virtual(v, p->ports + 4ull * i, last, sizeof(*last)))
			return -EFAULT;
		if (*last >= xen_max_ports(v->vm))
			return -EINVAL;
		bit = shared == XEN_NOWHERE ? 1 : port_bit(v, shared + PENDING, *last);
		pending |= bit != 0;
	}
	return pending;
}

bool xen_poll(struct vcpu *v, u64 param, bool wide, s64 *ret)
{
	struct xen_vcpu *x = v->xen;
	struct sched_poll p;
	u32 port = 0;
	int r;

	*ret = -EFAULT;
	if (!read_poll(v, param, wide, &p))
		return true;
	*ret = -EINVAL;
	if (p.nr > MAX_POLLED)
		return true;
	r = look_at_ports(v, &p, &port);
	*ret = r < 0 ? r : 0;
	if (r)
		return true;
	/* Whoever raises it from here on wakes us; so look again. */
	__atomic_store_n(&x->poll, p.nr == 1 && port ? port : XEN_POLL_ANY, __ATOMIC_SEQ_CST);
	if (look_at_ports(v, &p, &port)) {
		__atomic_store_n(&x->poll, 0, __ATOMIC_SEQ_CST);
		return true;
	}
	if (p.timeout) {
		u64 now = kvmclock_now(v->vm);

		host_timer_start(&x->poll_timer, host_now_ns() + (p.timeout > now ? p.timeout - now : 0));
	}
	v->state.halted = true;
	return true;
}

void xen_poll_over(struct vcpu *v)
{
	if (!__atomic_load_n(&v->xen->poll, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&v->xen->poll, 0, __ATOMIC_SEQ_CST);
	host_timer_cancel(&v->xen->poll_timer);
	__atomic_store_n(&v->pv_unhalted, 0, __ATOMIC_SEQ_CST);
}
