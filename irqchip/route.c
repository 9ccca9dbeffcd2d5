/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * GSI routing: from numbered lines to chip pins and messages. The table is an immutable snapshot in
 * vm->routes; writers hold vm->irq_lock, readers a vm->srcu section.
 */
#include "chips.h"

#define NO_ROUTE 0xffffu

struct route {
	u32 type;     /* KVM_IRQ_ROUTING_IRQCHIP, _MSI, _HV_SINT or _XEN_EVTCHN */
	u16 next;     /* index of the next one of the same GSI, or NO_ROUTE */
	u8 chip, pin; /* pin within the chip; 0..15 for the PIC pair */
	union {
		struct {
			u32 address_lo, address_hi, data;
		};
		struct {
			u32 vp_index, sint;
		};
		struct {
			u32 vcpu_id, port;
		};
	};
};

struct irq_routes {
	u32 nr_gsi, nr;
	bool sints;                 /* there are routes to SINTs */
	s16 gsi_of[3][IOAPIC_PINS]; /* by KVM_IRQCHIP_* and pin (PIC pair: 0..15); -1: none */
	struct route *route;        /* nr of them, behind first[] */
	u16 first[];                /* nr_gsi: index of the first route, or NO_ROUTE */
};

/* --- messages --------------------------------------------------------------------------------- */

/* SDM, "Message Signalled Interrupts". With 32-bit ids the upper address holds the upper 24 bits. */
struct lapic_message msi_message(struct vm *vm, u32 address_lo, u32 address_hi, u32 data)
{
	struct lapic_message m = {
		.dest = address_lo >> 12 & 0xff,
		.vector = data & 0xff,
		.delivery = data >> 8 & 7,
		.logical = address_lo >> 2 & 1,
		.level = true,
		.trig_level = data >> 15 & 1,
		.redir_hint = address_lo >> 3 & 1,
	};

	if (__atomic_load_n(&vm->x2apic_flags, __ATOMIC_RELAXED) & KVM_X2APIC_API_USE_32BIT_IDS)
		m.dest |= address_hi & 0xffffff00u;
	return m;
}

static bool msi_valid(struct vm *vm, u32 address_hi)
{
	return !(__atomic_load_n(&vm->x2apic_flags, __ATOMIC_RELAXED) & KVM_X2APIC_API_USE_32BIT_IDS) ||
	       !(address_hi & 0xff);
}

static int send_msi(struct vm *vm, u32 address_lo, u32 address_hi, u32 data)
{
	struct lapic_message m = msi_message(vm, address_lo, address_hi, data);

	if (!msi_valid(vm, address_hi))
		return -1;
	return lapic_deliver(vm, NULL, &m);
}

int irq_send_msi(struct vm *vm, const struct kvm_msi *msi)
{
	if (vm_irqchip_mode(vm) == IRQCHIP_NONE || msi->flags & ~KVM_MSI_VALID_DEVID)
		return -EINVAL;
	return send_msi(vm, msi->address_lo, msi->address_hi, msi->data);
}

/* --- lines ------------------------------------------------------------------------------------ */

static int set_route(struct vm *vm, const struct route *r, unsigned source, int level)
{
	if (r->type == KVM_IRQ_ROUTING_MSI)
		return level ? send_msi(vm, r->address_lo, r->address_hi, r->data) : -1;
	if (r->type == KVM_IRQ_ROUTING_HV_SINT)
		return level ? hyperv_set_sint(vm, r->vp_index, r->sint) : -1;
	if (r->type == KVM_IRQ_ROUTING_XEN_EVTCHN)
		return level ? xen_raise(vm, r->vcpu_id, r->port) : -1;
	if (r->chip == KVM_IRQCHIP_IOAPIC)
		return ioapic_set_irq(vm, source, r->pin, level);
	return pic_set_irq(vm, source, r->pin, level);
}

static const struct irq_routes *routes_of(struct vm *vm)
{
	return __atomic_load_n(&vm->routes, __ATOMIC_ACQUIRE);
}

int irq_set_line(struct vm *vm, unsigned source, u32 gsi, int level)
{
	int idx = host_srcu_read_lock(&vm->srcu), ret = -1, r;
	const struct irq_routes *t = routes_of(vm);
	u16 i;

	if (t && gsi < t->nr_gsi) {
		for (i = t->first[gsi]; i != NO_ROUTE; i = t->route[i].next) {
			r = set_route(vm, &t->route[i], source, level);
			if (r >= 0)
				ret = r + (ret < 0 ? 0 : ret);
		}
	}
	host_srcu_read_unlock(&vm->srcu, idx);
	if (level)
		__atomic_fetch_add(&vm->stat.irqs_injected, 1, __ATOMIC_RELAXED);
	return ret;
}

int irq_pin_to_gsi(struct vm *vm, unsigned chip, unsigned pin)
{
	const struct irq_routes *t = routes_of(vm);

	return t ? t->gsi_of[chip][pin] : -1;
}

void irq_ack_notify(struct vm *vm, unsigned chip, unsigned pin)
{
	int idx = host_srcu_read_lock(&vm->srcu);
	int gsi = irq_pin_to_gsi(vm, chip, pin);

	if (gsi == 0)
		pit_ack(vm);
	if (gsi >= 0)
		irqfd_ack(vm, (u32)gsi);
	host_srcu_read_unlock(&vm->srcu, idx);
}

void irq_ack_sint(struct vm *vm, u32 vp_index, u32 sint)
{
	int idx = host_srcu_read_lock(&vm->srcu);
	const struct irq_routes *t = routes_of(vm);
	u32 gsi;
	u16 i;

	for (gsi = 0; t && t->sints && gsi < t->nr_gsi; gsi++) {
		for (i = t->first[gsi]; i != NO_ROUTE; i = t->route[i].next) {
			const struct route *r = &t->route[i];

			if (r->type == KVM_IRQ_ROUTING_HV_SINT && r->vp_index == vp_index && r->sint == sint)
				irqfd_ack(vm, gsi);
		}
	}
	host_srcu_read_unlock(&vm->srcu, idx);
}

bool irq_split_handles_vector(struct vcpu *v, unsigned vector)
{
	struct vm *vm = v->vm;
	int idx = host_srcu_read_lock(&vm->srcu);
	const struct irq_routes *t = routes_of(vm);
	bool handles = false;
	u32 gsi;
	u16 i;

	/* The first GSIs stand for the pins of the user-space IOAPIC; only level-triggered ones need to see the EOI. */
	for (gsi = 0; t && gsi < t->nr_gsi && gsi < vm->split_pins && !handles; gsi++) {
		for (i = t->first[gsi]; i != NO_ROUTE && !handles; i = t->route[i].next) {
			const struct route *r = &t->route[i];

			handles = r->type == KVM_IRQ_ROUTING_MSI && (r->data & 0xff) == vector && r->data >> 15 & 1;
		}
	}
	host_srcu_read_unlock(&vm->srcu, idx);
	return handles;
}

/* --- building a table ------------------------------------------------------------------------- */

static struct irq_routes *table_alloc(u32 nr_gsi, u32 nr)
{
	size_t head = sizeof(struct irq_routes) + (nr_gsi * sizeof(u16) + 7) / 8 * 8;
	struct irq_routes *t = host_alloc(head + nr * sizeof(struct route));
	u32 i;

	if (!t)
		return NULL;
	t->nr_gsi = nr_gsi;
	t->route = (struct route *)((char *)t + head);
	memset(t->gsi_of, 0xff, sizeof(t->gsi_of));
	for (i = 0; i < nr_gsi; i++)
		t->first[i] = NO_ROUTE;
	return t;
}

static int fill_irqchip(struct vm *vm, struct irq_routes *t, struct route *r, const struct kvm_irq_routing_entry *e)
{
	u32 chip = e->u.irqchip.irqchip, pin = e->u.irqchip.pin;

	if (vm_irqchip_mode(vm) == IRQCHIP_SPLIT)
		return -EINVAL;
	switch (chip) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		if (pin >= PIC_PINS / 2)
			return -EINVAL;
		pin += chip == KVM_IRQCHIP_PIC_SLAVE ? PIC_PINS / 2 : 0;
		break;
	case KVM_IRQCHIP_IOAPIC:
		if (pin >= IOAPIC_PINS)
			return -EINVAL;
		break;
	default: return -EINVAL;
	}
	r->chip = (u8)chip;
	r->pin = (u8)pin;
	t->gsi_of[chip][pin] = (s16)e->gsi;
	return 0;
}

static int fill_msi(struct vm *vm, struct route *r, const struct kvm_irq_routing_entry *e)
{
	r->address_lo = e->u.msi.address_lo;
	r->address_hi = e->u.msi.address_hi;
	r->data = e->u.msi.data;
	return msi_valid(vm, r->address_hi) ? 0 : -EINVAL;
}

/* As on Linux, whether vCPU and source exist is seen when it is used. */
static int fill_sint(struct irq_routes *t, struct route *r, const struct kvm_irq_routing_entry *e)
{
	r->vp_index = e->u.hv_sint.vcpu;
	r->sint = e->u.hv_sint.sint;
	t->sints = true;
	return 0;
}

static int fill_event(struct route *r, const struct kvm_irq_routing_entry *e)
{
	r->vcpu_id = e->u.xen_evtchn.vcpu;
	r->port = e->u.xen_evtchn.port;
	return e->u.xen_evtchn.priority == KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL ? 0 : -EINVAL;
}

/* A GSI may go to one pin of each chip, or to one message, to one synthetic source, or event channel. */
static bool conflicts(const struct irq_routes *t, const struct kvm_irq_routing_entry *e)
{
	u16 i;

	for (i = t->first[e->gsi]; i != NO_ROUTE; i = t->route[i].next)
		if (t->route[i].type != KVM_IRQ_ROUTING_IRQCHIP || e->type != KVM_IRQ_ROUTING_IRQCHIP ||
		    t->route[i].chip == e->u.irqchip.irqchip)
			return true;
	return false;
}

static int add_route(struct vm *vm, struct irq_routes *t, const struct kvm_irq_routing_entry *e)
{
	struct route *r = &t->route[t->nr];
	int ret;

	if (conflicts(t, e))
		return -EINVAL;
	r->type = e->type;
	switch (e->type) {
	case KVM_IRQ_ROUTING_IRQCHIP: ret = e->flags ? -EINVAL : fill_irqchip(vm, t, r, e); break;
	case KVM_IRQ_ROUTING_MSI: ret = e->flags & ~KVM_MSI_VALID_DEVID ? -EINVAL : fill_msi(vm, r, e); break;
	case KVM_IRQ_ROUTING_XEN_EVTCHN: ret = e->flags ? -EINVAL : fill_event(r, e); break;
	case KVM_IRQ_ROUTING_HV_SINT: ret = e->flags ? -EINVAL : fill_sint(t, r, e); break;
	default: return -EINVAL;
	}
	r->next = t->first[e->gsi];
	t->first[e->gsi] = (u16)t->nr++;
	return ret;
}

static void publish(struct vm *vm, struct irq_routes *t)
{
	struct irq_routes *old = vm->routes;

	__atomic_store_n(&vm->routes, t, __ATOMIC_SEQ_CST);
	host_srcu_synchronize(&vm->srcu);
	host_free(old);
}

int irq_set_routing(struct vm *vm, const struct kvm_irq_routing_entry *e, u32 nr, u32 flags)
{
	struct irq_routes *t;
	u32 i, nr_gsi = 0;
	int ret = 0;

	if (vm_irqchip_mode(vm) == IRQCHIP_NONE || nr > MAX_GSI || flags)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		if (e[i].gsi >= MAX_GSI)
			return -EINVAL;
		if (e[i].gsi >= nr_gsi)
			nr_gsi = e[i].gsi + 1;
	}
	t = table_alloc(nr_gsi, nr);
	if (!t)
		return -ENOMEM;
	for (i = 0; i < nr && !ret; i++)
		ret = add_route(vm, t, &e[i]);
	if (ret) {
		host_free(t);
		return ret;
	}
	host_mutex_lock(&vm->irq_lock);
	publish(vm, t);
	host_mutex_unlock(&vm->irq_lock);
	return 0;
}

/* ISA interrupts reach both chips; the upper pins only the IOAPIC. Called before the mode is set. */
int irq_default_routing(struct vm *vm)
{
	struct irq_routes *t = table_alloc(IOAPIC_PINS, IOAPIC_PINS + PIC_PINS);
	struct kvm_irq_routing_entry e = { .type = KVM_IRQ_ROUTING_IRQCHIP };
	u32 gsi;

	if (!t)
		return -ENOMEM;
	for (gsi = 0; gsi < IOAPIC_PINS; gsi++) {
		e.gsi = gsi;
		e.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		e.u.irqchip.pin = gsi;
		add_route(vm, t, &e);
		if (gsi >= PIC_PINS)
			continue;
		e.u.irqchip.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
		e.u.irqchip.pin = gsi & 7;
		add_route(vm, t, &e);
	}
	host_mutex_lock(&vm->irq_lock);
	publish(vm, t);
	host_mutex_unlock(&vm->irq_lock);
	return 0;
}

void irq_routes_free(struct vm *vm)
{
	host_mutex_lock(&vm->irq_lock);
	publish(vm, NULL);
	host_mutex_unlock(&vm->irq_lock);
}
