/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Two 8259A in cascade, with the edge/level control registers of PC chip sets (Intel 8259A data sheet;
 * 82371SB data sheet, "ELCR"). The state is struct kvm_pic_state, so that user space can read and set it
 * as it is.
 */
#include "chips.h"

#define CASCADE_PIN 2
#define ELCR_MASK_MASTER 0xf8
#define ELCR_MASK_SLAVE 0xde
#define NO_PRIORITY 8

#define ICW1 0x10
#define ICW1_NEED_ICW4 0x01
#define ICW4_AUTO_EOI 0x02
#define ICW4_SPECIAL_NESTED 0x10
#define OCW3 0x08
#define OCW3_POLL 0x04
#define OCW3_READ 0x02
#define OCW3_READ_ISR 0x01
#define OCW3_CHANGE_SPECIAL_MASK 0x40
#define OCW3_SPECIAL_MASK 0x20

/* init_state: the initialization command word that the data port expects. */
enum { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

struct pic {
	struct vm *vm;
	struct host_lock lock;
	struct kvm_pic_state chip[2]; /* under lock */
	u32 sources[PIC_PINS];        /* under lock */
	bool output;                  /* a  INTR of the master; written under lock */
	/* Pins whose in-service bit was cleared under the lock, to be told when it is released. */
	u32 acked;
	bool unmasked;           /* pin 0 was unmasked: likewise */
	struct bus_dev ports[3]; /* master, slave, ELCR */
};

/* --- priority resolver ------------------------------------------------------------------------ */

/* Rank of the highest-priority bit: 0 is the highest. */
static unsigned rank(const struct kvm_pic_state *c, u8 bits)
{
	u32 around = (u32)bits << 8 | bits;

	return bits ? (unsigned)__builtin_ctz(around >> c->priority_add) : NO_PRIORITY;
}

static unsigned pin_of_rank(const struct kvm_pic_state *c, unsigned r)
{
	return (r + c->priority_add) & 7;
}

/* The pin that wants service and may interrupt what is in service, or -1. */
static int pending_pin(const struct pic *p, unsigned which)
{
	const struct kvm_pic_state *c = &p->chip[which];
	unsigned wanted = rank(c, c->irr & ~c->imr);
	u8 in_service = c->isr;

	if (wanted == NO_PRIORITY)
		return -1;
	if (c->special_mask)
		in_service &= ~c->imr;
	if (c->special_fully_nested_mode && which == 0)
		in_service &= ~BIT(CASCADE_PIN);
	return wanted < rank(c, in_service) ? (int)pin_of_rank(c, wanted) : -1;
}

/* Returns 1, 0 if the request was there already, -1 if it is masked. */
static int set_pin(struct kvm_pic_state *c, unsigned pin, int level)
{
	u8 bit = BIT(pin);
	int ret = 1;

	if (!level) {
		if (c->elcr & bit)
			c->irr &= ~bit;
		c->last_irr &= ~bit;
	} else {
		if (c->elcr & bit || !(c->last_irr & bit)) {
			ret = !(c->irr & bit);
			c->irr |= bit;
		}
		c->last_irr |= bit;
	}
	return c->imr & bit ? -1 : ret;
}

/* The slave's INTR is an edge on the master's pin; then the master's own output. */
static void update_output(struct pic *p)
{
	if (pending_pin(p, 1) >= 0) {
		set_pin(&p->chip[0], CASCADE_PIN, 1);
		set_pin(&p->chip[0], CASCADE_PIN, 0);
	}
	__atomic_store_n(&p->output, pending_pin(p, 0) >= 0, __ATOMIC_RELEASE);
}

static void clear_in_service(struct pic *p, unsigned which, unsigned pin)
{
	p->chip[which].isr &= ~BIT(pin);
	p->acked |= BIT(which * 8 + pin);
}

/* --- lock with what follows its release ------------------------------------------------------- */

static void wake_takers(struct vm *vm)
{
	u32 i, nr = vm_nr_vcpus(vm);

	for (i = 0; i < nr; i++)
		if (vm->vcpu[i]->lapic && lapic_accepts_extint(vm->vcpu[i]))
			wake_vcpu(vm->vcpu[i]);
}

/* Release the lock; wake vCPUs if INTR has risen, tell of acknowledged pins. */
static void unlock(struct pic *p, unsigned long state, bool was)
{
	bool rose = p->output && !was, unmasked = p->unmasked;
	u32 acked = p->acked;
	unsigned pin;

	p->acked = 0;
	p->unmasked = false;
	host_lock_release(&p->lock, state);
	if (rose)
		wake_takers(p->vm);
	for (pin = 0; acked; pin++, acked >>= 1)
		if (acked & 1)
			irq_ack_notify(p->vm, pin / 8 ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER, pin);
	if (unmasked)
		pit_unmasked(p->vm);
}

int pic_set_irq(struct vm *vm, unsigned source, unsigned pin, int level)
{
	struct pic *p = vm->pic;
	unsigned long state = host_lock_acquire(&p->lock);
	bool was = p->output;
	int ret = set_pin(&p->chip[pin / 8], pin & 7, line_update(&p->sources[pin], source, level));

	update_output(p);
	unlock(p, state, was);
	return ret;
}

bool pic_output(struct vm *vm)
{
	return __atomic_load_n(&vm->pic->output, __ATOMIC_ACQUIRE);
}

/* --- acknowledge ------------------------------------------------------------------------------ */

static void take(struct pic *p, unsigned which, unsigned pin)
{
	struct kvm_pic_state *c = &p->chip[which];

	if (!(c->elcr & BIT(pin)))
		c->irr &= ~BIT(pin);
	c->isr |= BIT(pin);
	if (c->auto_eoi) {
		if (c->rotate_on_auto_eoi)
			c->priority_add = (pin + 1) & 7;
		clear_in_service(p, which, pin);
	}
}

int pic_acknowledge(struct vm *vm)
{
	struct pic *p = vm->pic;
	unsigned long state = host_lock_acquire(&p->lock);
	bool was = p->output;
	int pin = pending_pin(p, 0), vector;

	/* With no request left the chip answers with its pin 7, and no in-service bit. */
	if (pin < 0) {
		vector = p->chip[0].irq_base + 7;
	} else if (pin != CASCADE_PIN) {
		take(p, 0, (unsigned)pin);
		vector = p->chip[0].irq_base + pin;
	} else {
		take(p, 0, CASCADE_PIN);
		pin = pending_pin(p, 1);
		if (pin >= 0)
			take(p, 1, (unsigned)pin);
		vector = p->chip[1].irq_base + (pin >= 0 ? pin : 7);
	}
	update_output(p);
	unlock(p, state, was);
	return vector;
}

/* --- command words ---------------------------------------------------------------------------- */

static void write_icw1(struct pic *p, unsigned which, u8 val)
{
	struct kvm_pic_state *c = &p->chip[which];
	unsigned pin;

	/* The edge detectors forget; devices that wait for an acknowledge must not wait for ever. */
	for (pin = 0; pin < 8; pin++)
		if ((c->irr | c->isr) & ~c->elcr & BIT(pin))
			p->acked |= BIT(which * 8 + pin);
	c->init4 = val & ICW1_NEED_ICW4;
	c->irr &= c->elcr;
	c->last_irr = c->isr = c->imr = 0;
	c->priority_add = 0;
	c->special_mask = 0;
	c->read_reg_select = 0;
	c->poll = 0;
	c->rotate_on_auto_eoi = 0;
	if (!c->init4)
		c->special_fully_nested_mode = c->auto_eoi = 0;
	c->init_state = INIT_ICW2;
}

static void write_ocw3(struct kvm_pic_state *c, u8 val)
{
	if (val & OCW3_POLL)
		c->poll = 1;
	if (val & OCW3_READ)
		c->read_reg_select = val & OCW3_READ_ISR;
	if (val & OCW3_CHANGE_SPECIAL_MASK)
		c->special_mask = !!(val & OCW3_SPECIAL_MASK);
}

/* Data sheet, "Operation Command Word 2": R, SL, EOI. */
static void write_ocw2(struct pic *p, unsigned which, u8 val)
{
	enum { ROTATE = 4, SPECIFIC = 2, EOI = 1 };
	struct kvm_pic_state *c = &p->chip[which];
	unsigned cmd = val >> 5, pin = val & 7, r;

	if (!(cmd & EOI)) {
		if (!(cmd & SPECIFIC))
			c->rotate_on_auto_eoi = cmd >> 2;
		else if (cmd & ROTATE)
			c->priority_add = (pin + 1) & 7;
		return;
	}
	if (!(cmd & SPECIFIC)) {
		r = rank(c, c->special_mask ? c->isr & ~c->imr : c->isr);
		if (r == NO_PRIORITY)
			return;
		pin = pin_of_rank(c, r);
	}
	if (cmd & ROTATE)
		c->priority_add = (pin + 1) & 7;
	clear_in_service(p, which, pin);
}

static void write_data(struct pic *p, unsigned which, u8 val)
{
	struct kvm_pic_state *c = &p->chip[which];

	switch (c->init_state) {
	case INIT_DONE:
		p->unmasked |= which == 0 && c->imr & ~val & 1;
		c->imr = val;
		break;
	case INIT_ICW2:
		c->irq_base = val & 0xf8;
		c->init_state = INIT_ICW3;
		break;
	case INIT_ICW3: /* how the pair is wired does not change */
		c->init_state = c->init4 ? INIT_ICW4 : INIT_DONE;
		break;
	case INIT_ICW4:
		c->special_fully_nested_mode = !!(val & ICW4_SPECIAL_NESTED);
		c->auto_eoi = !!(val & ICW4_AUTO_EOI);
		c->init_state = INIT_DONE;
		break;
	}
}

static void write_port(struct pic *p, unsigned which, bool data, u8 val)
{
	if (data)
		write_data(p, which, val);
	else if (val & ICW1)
		write_icw1(p, which, val);
	else if (val & OCW3)
		write_ocw3(&p->chip[which], val);
	else
		write_ocw2(p, which, val);
}

/* A read after the poll command acknowledges like INTA. */
static u8 read_poll(struct pic *p, unsigned which)
{
	int pin = pending_pin(p, which);

	p->chip[which].poll = 0;
	if (pin < 0)
		return 0;
	take(p, which, (unsigned)pin);
	return (u8)(0x80 | pin);
}

static u8 read_port(struct pic *p, unsigned which, bool data)
{
	const struct kvm_pic_state *c = &p->chip[which];

	if (c->poll)
		return read_poll(p, which);
	if (data)
		return c->imr;
	return c->read_reg_select ? c->isr : c->irr;
}

/* --- ports ------------------------------------------------------------------------------------ */

static struct pic *pic_of(struct bus_dev *d, u64 addr)
{
	unsigned i = addr < 0x80 ? 0 : addr < 0x400 ? 1 : 2;

	return container_of(d, struct pic, ports[i]);
}

static int ports_read(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, void *val)
{
	struct pic *p = pic_of(d, addr);
	unsigned long state;
	bool was;
	u8 out;

	memset(val, 0, len);
	if (len != 1)
		return 0;
	state = host_lock_acquire(&p->lock);
	was = p->output;
	if (d == &p->ports[2])
		out = p->chip[addr & 1].elcr;
	else
		out = read_port(p, d == &p->ports[1], addr & 1);
	update_output(p);
	unlock(p, state, was);
	*(u8 *)val = out;
	return 0;
}

static int ports_write(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, const void *val)
{
	struct pic *p = pic_of(d, addr);
	unsigned long state;
	bool was;

	if (len != 1)
		return 0;
	state = host_lock_acquire(&p->lock);
	was = p->output;
	if (d == &p->ports[2])
		p->chip[addr & 1].elcr = *(const u8 *)val & p->chip[addr & 1].elcr_mask;
	else
		write_port(p, d == &p->ports[1], addr & 1, *(const u8 *)val);
	update_output(p);
	unlock(p, state, was);
	return 0;
}

static const struct bus_dev_ops port_ops = { .read = ports_read, .write = ports_write };

/* --- life and state --------------------------------------------------------------------------- */

void pic_get_state(struct vm *vm, unsigned which, struct kvm_pic_state *s)
{
	unsigned long state = host_lock_acquire(&vm->pic->lock);

	*s = vm->pic->chip[which];
	host_lock_release(&vm->pic->lock, state);
}

void pic_set_state(struct vm *vm, unsigned which, const struct kvm_pic_state *s)
{
	struct pic *p = vm->pic;
	unsigned long state = host_lock_acquire(&p->lock);
	struct kvm_pic_state *c = &p->chip[which];

	*c = *s;
	/* Values that come from outside and index or shift something. */
	c->priority_add &= 7;
	c->elcr_mask = which ? ELCR_MASK_SLAVE : ELCR_MASK_MASTER;
	update_output(p);
	/* INTR may have been up all the time, but for other vCPUs: tell all. */
	unlock(p, state, false);
}

static int register_ports(struct pic *p)
{
	static const u16 base[3] = { 0x20, 0xa0, 0x4d0 };
	unsigned i;
	int ret;

	for (i = 0; i < 3; i++) {
		p->ports[i].ops = &port_ops;
		ret = bus_register(p->vm, BUS_PIO, base[i], 2, &p->ports[i]);
		if (ret)
			break;
	}
	if (i < 3)
		while (i--)
			bus_unregister(p->vm, BUS_PIO, &p->ports[i]);
	return ret;
}

int pic_create(struct vm *vm)
{
	struct pic *p = host_alloc(sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->vm = vm;
	host_lock_init(&p->lock);
	p->chip[0].elcr_mask = ELCR_MASK_MASTER;
	p->chip[1].elcr_mask = ELCR_MASK_SLAVE;
	vm->pic = p;
	ret = register_ports(p);
	if (ret) {
		vm->pic = NULL;
		host_lock_destroy(&p->lock);
		host_free(p);
	}
	return ret;
}

void pic_destroy(struct vm *vm)
{
	struct pic *p = vm->pic;
	unsigned i;

	if (!p)
		return;
	for (i = 0; i < 3; i++)
		bus_unregister(vm, BUS_PIO, &p->ports[i]);
	vm->pic = NULL;
	host_lock_destroy(&p->lock);
	host_free(p);
}
