/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The I/O APIC (Intel 82093AA data sheet), 24 pins at fec00000. Polarity is ignored, as KVM does: a line
 * is asserted or not. irr remembers asserted level lines and edges that a mask has held back.
 */
#include "chips.h"

#define IOAPIC_BASE 0xfec00000ull
#define IOAPIC_SIZE 0x100
#define IOAPIC_VERSION 0x11u

#define IOREGSEL 0x00
#define IOWIN 0x10
enum { REG_ID, REG_VERSION, REG_ARB, REG_TABLE = 0x10 };

#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_STATUS (1ull << 12)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASKED (1ull << 16)

/*
 * A level line that is not served although the guest acknowledges it would interrupt it for ever, at once
 * after each EOI. After so many in a row the next waits, so that a guest with a broken handler gets on
 * slowly.
 */
#define EOI_STORM 10000
#define EOI_STORM_PAUSE_NS 10000000ull

struct ioapic {
	struct vm *vm;
	struct host_lock lock;
	/* Under lock: */
	u64 entry[IOAPIC_PINS];
	u32 sources[IOAPIC_PINS];
	u32 eois[IOAPIC_PINS]; /* in a row with the line still up */
	u32 irr, irr_delivered;
	u32 paused; /* pins that wait for the timer */
	u8 select, id;
	u64 vectors[4]; /* a  written under lock: vectors in the table, so that most EOIs pass by */
	struct host_timer timer;
	struct bus_dev dev;
};

static u8 entry_vector(u64 e)
{
	return (u8)e;
}

static void update_vectors(struct ioapic *io)
{
	u64 set[4] = { 0 };
	unsigned i;

	for (i = 0; i < IOAPIC_PINS; i++)
		set[entry_vector(io->entry[i]) / 64] |= 1ull << (entry_vector(io->entry[i]) & 63);
	for (i = 0; i < 4; i++)
		__atomic_store_n(&io->vectors[i], set[i], __ATOMIC_RELEASE);
}

/* --- delivery (under lock) -------------------------------------------------------------------- */

/* Send the pin's message if its entry lets it. Acceptors, or -1. */
static int service(struct ioapic *io, unsigned pin)
{
	u64 e = io->entry[pin];
	struct lapic_message m = {
		.dest = e >> 56,
		.vector = entry_vector(e),
		.delivery = e >> 8 & 7,
		.logical = e >> 11 & 1,
		.level = true,
		.trig_level = e & ENTRY_LEVEL,
	};
	int ret;

	if (e & ENTRY_MASKED || (m.trig_level && e & ENTRY_REMOTE_IRR))
		return -1;
	if (!m.trig_level)
		io->irr_delivered |= BIT(pin);
	ret = lapic_deliver(io->vm, NULL, &m);
	if (ret && m.trig_level)
		io->entry[pin] |= ENTRY_REMOTE_IRR;
	return ret;
}

static int set_pin(struct ioapic *io, unsigned pin, bool asserted)
{
	bool was = io->irr & BIT(pin);

	if (!asserted) {
		io->irr &= ~BIT(pin);
		return 1;
	}
	io->irr |= BIT(pin);
	if (!(io->entry[pin] & ENTRY_LEVEL)) {
		io->irr_delivered &= ~BIT(pin);
		if (was)
			return 0;
	}
	return service(io, pin);
}

int ioapic_set_irq(struct vm *vm, unsigned source, unsigned pin, int level)
{
	struct ioapic *io = vm->ioapic;
	unsigned long state = host_lock_acquire(&io->lock);
	int ret = set_pin(io, pin, line_update(&io->sources[pin], source, level));

	host_lock_release(&io->lock, state);
	return ret;
}

/* --- end of interrupt ------------------------------------------------------------------------- */

/* Under lock: a level pin whose interrupt has ended. */
static void end_level(struct ioapic *io, unsigned pin)
{
	io->entry[pin] &= ~ENTRY_REMOTE_IRR;
	if (io->entry[pin] & ENTRY_MASKED || !(io->irr & BIT(pin))) {
		io->eois[pin] = 0;
	} else if (++io->eois[pin] >= EOI_STORM) {
		io->eois[pin] = 0;
		io->paused |= BIT(pin);
		host_timer_start(&io->timer, host_now_ns() + EOI_STORM_PAUSE_NS);
	} else {
		service(io, pin);
	}
}

static void pause_over(void *arg)
{
	struct ioapic *io = arg;
	unsigned long state = host_lock_acquire(&io->lock);
	unsigned pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if (io->paused & io->irr & BIT(pin) && io->entry[pin] & ENTRY_LEVEL)
			service(io, pin);
	io->paused = 0;
	host_lock_release(&io->lock, state);
}

void ioapic_eoi(struct vm *vm, struct vcpu *v, unsigned vector)
{
	struct ioapic *io = vm->ioapic;
	bool level = apic_test_vector(v->lapic, APIC_TMR, vector);
	bool broadcast = !(apic_get(v->lapic, APIC_SPIV) & APIC_SPIV_NO_EOI_BROADCAST);
	unsigned long state;
	unsigned pin;

	if (!(__atomic_load_n(&io->vectors[vector / 64], __ATOMIC_ACQUIRE) >> (vector & 63) & 1))
		return;
	state = host_lock_acquire(&io->lock);
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		if (entry_vector(io->entry[pin]) != vector)
			continue;
		/* Whoever is told may lower the line; only then is it looked at again. */
		host_lock_release(&io->lock, state);
		irq_ack_notify(vm, KVM_IRQCHIP_IOAPIC, pin);
		state = host_lock_acquire(&io->lock);
		if (level && broadcast && io->entry[pin] & ENTRY_LEVEL)
			end_level(io, pin);
	}
	host_lock_release(&io->lock, state);
}

/* --- registers (under lock) ------------------------------------------------------------------- */

static u32 read_selected(const struct ioapic *io)
{
	unsigned index = (io->select - REG_TABLE) / 2u;

	switch (io->select) {
	case REG_ID:
	case REG_ARB: return (u32)(io->id & 0xf) << 24;
	case REG_VERSION: return (IOAPIC_PINS - 1) << 16 | IOAPIC_VERSION;
	}
	if (io->select < REG_TABLE || index >= IOAPIC_PINS)
		return ~0u;
	return (u32)(io->select & 1 ? io->entry[index] >> 32 : io->entry[index]);
}

/* Returns true if the pin was unmasked. */
static bool write_entry(struct ioapic *io, unsigned pin, bool high, u32 val)
{
	const u64 read_only = ENTRY_REMOTE_IRR | ENTRY_STATUS;
	u64 old = io->entry[pin], new;

	if (high)
		new = (u32)old | (u64)val << 32;
	else
		new = (old & ~0xffffffffull) | val;
	new = (new & ~read_only) | (old & read_only);
	/* Guests rely on a switch to edge mode to clear a stuck remote IRR, as the chips do. */
	if (!(new &ENTRY_LEVEL))
		new &= ~ENTRY_REMOTE_IRR;
	io->entry[pin] = new;
	update_vectors(io);
	if (new &ENTRY_LEVEL && io->irr &BIT(pin) && !(io->paused & BIT(pin)))
		service(io, pin);
	return old & ENTRY_MASKED && !(new &ENTRY_MASKED);
}

/* The pin that was unmasked, or -1. */
static int write_selected(struct ioapic *io, u32 val)
{
	unsigned pin = (io->select - REG_TABLE) / 2u;

	if (io->select == REG_ID)
		io->id = val >> 24 & 0xf;
	if (io->select < REG_TABLE || pin >= IOAPIC_PINS)
		return -1;
	return write_entry(io, pin, io->select & 1, val) ? (int)pin : -1;
}

static int page_read(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, void *val)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);
	unsigned long state;
	u32 word = 0;

	memset(val, 0, len);
	if (addr & 0xf)
		return 0;
	state = host_lock_acquire(&io->lock);
	if ((addr & 0xff) == IOREGSEL)
		word = io->select;
	else if ((addr & 0xff) == IOWIN)
		word = read_selected(io);
	host_lock_release(&io->lock, state);
	memcpy(val, &word, len < sizeof(word) ? len : sizeof(word));
	return 0;
}

static int page_write(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, const void *val)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);
	unsigned long state;
	int unmasked = -1;
	u32 word = 0;

	if (addr & 0xf)
		return 0;
	memcpy(&word, val, len < sizeof(word) ? len : sizeof(word));
	state = host_lock_acquire(&io->lock);
	if ((addr & 0xff) == IOREGSEL)
		io->select = (u8)word;
	else if ((addr & 0xff) == IOWIN)
		unmasked = write_selected(io, word);
	host_lock_release(&io->lock, state);
	if (unmasked >= 0 && irq_pin_to_gsi(io->vm, KVM_IRQCHIP_IOAPIC, (unsigned)unmasked) == 0)
		pit_unmasked(io->vm);
	return 0;
}

static const struct bus_dev_ops page_ops = { .read = page_read, .write = page_write };

/* --- state and life --------------------------------------------------------------------------- */

void ioapic_get_state(struct vm *vm, struct kvm_ioapic_state *s)
{
	struct ioapic *io = vm->ioapic;
	unsigned long state;
	unsigned i;

	memset(s, 0, sizeof(*s));
	s->base_address = IOAPIC_BASE;
	state = host_lock_acquire(&io->lock);
	s->ioregsel = io->select;
	s->id = io->id;
	s->irr = io->irr & ~io->irr_delivered;
	for (i = 0; i < IOAPIC_PINS; i++)
		s->redirtbl[i].bits = io->entry[i];
	host_lock_release(&io->lock, state);
}

void ioapic_set_state(struct vm *vm, const struct kvm_ioapic_state *s)
{
	struct ioapic *io = vm->ioapic;
	unsigned long state = host_lock_acquire(&io->lock);
	unsigned i;

	io->select = (u8)s->ioregsel;
	io->id = s->id & 0xf;
	io->irr = io->irr_delivered = io->paused = 0;
	for (i = 0; i < IOAPIC_PINS; i++)
		io->entry[i] = s->redirtbl[i].bits;
	update_vectors(io);
	for (i = 0; i < IOAPIC_PINS; i++)
		if (s->irr & BIT(i))
			set_pin(io, i, true);
	host_lock_release(&io->lock, state);
}

int ioapic_create(struct vm *vm)
{
	struct ioapic *io = host_alloc(sizeof(*io));
	unsigned i;
	int ret;

	if (!io)
		return -ENOMEM;
	io->vm = vm;
	host_lock_init(&io->lock);
	host_timer_init(&io->timer, pause_over, io);
	for (i = 0; i < IOAPIC_PINS; i++)
		io->entry[i] = ENTRY_MASKED;
	update_vectors(io);
	io->dev.ops = &page_ops;
	vm->ioapic = io;
	ret = bus_register(vm, BUS_MMIO, IOAPIC_BASE, IOAPIC_SIZE, &io->dev);
	if (ret) {
		vm->ioapic = NULL;
		host_timer_destroy(&io->timer);
		host_lock_destroy(&io->lock);
		host_free(io);
	}
	return ret;
}

void ioapic_destroy(struct vm *vm)
{
	struct ioapic *io = vm->ioapic;

	if (!io)
		return;
	bus_unregister(vm, BUS_MMIO, &io->dev);
	host_timer_destroy(&io->timer);
	vm->ioapic = NULL;
	host_lock_destroy(&io->lock);
	host_free(io);
}
