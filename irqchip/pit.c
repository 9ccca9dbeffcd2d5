/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The 8254 interval timer (Intel 8254 data sheet) and port 61h. Counters are not stepped: their values
 * follow from the time since they were loaded. Channel 0 has a host timer that raises GSI 0.
 *
 * Reinjection (KVM_REINJECT_CONTROL): each tick waits for the guest's acknowledge of the one before, and
 * none is lost, for guests that keep time by counting ticks.
 */
#include "chips.h"

#define PIT_HZ 1193182ull
#define NSEC 1000000000ull
#define MIN_PERIODIC_TICKS 239 /* 200 us, as KVM limits it */
#define MODE_NONE 0xff         /* no control word yet */
#define PIT_GSI 0

enum { RW_LATCH, RW_LSB, RW_MSB, RW_WORD, RW_WORD_HIGH };

struct pit {
	struct vm *vm;
	struct host_lock lock;
	struct kvm_pit_state2 s; /* under lock */
	struct {
		bool idle;       /* modes 1, 5: no trigger since the count was loaded */
		bool null_count; /* control word written, count not yet */
		u64 stopped;     /* modes 0, 4: gate low since this time; 0: counting */
	} extra[3];              /* under lock */
	u64 ticks;               /* under lock: periods of channel 0 that have passed since its load */
	bool armed;              /* under lock */
	struct host_timer timer;
	/* Reinjection: */
	u32 reinject; /* a */
	u32 pending;  /* a  ticks not yet acknowledged */
	u32 acked;    /* a  the guest has seen the last one */
	u32 pulses;   /* of the line, the one that is under way included */
	struct bus_dev ports, speaker;
	bool has_speaker;
};

/* --- interrupts (no lock held) ---------------------------------------------------------------- */

static void pulse(struct pit *pit)
{
	u32 i, nr = vm_nr_vcpus(pit->vm);

	irq_set_line(pit->vm, IRQ_SOURCE_PIT, PIT_GSI, 1);
	irq_set_line(pit->vm, IRQ_SOURCE_PIT, PIT_GSI, 0);
	/* Old kernels' NMI watchdog: LINT0 wired to the PIT, delivering NMI. */
	for (i = 0; i < nr; i++) {
		struct lapic *a = pit->vm->vcpu[i]->lapic;

		if (a && APIC_LVT_MODE(apic_get(a, APIC_LVT0)) == DELIVER_NMI)
			lapic_local(a, APIC_LVT0);
	}
}

/*
 * The guest may acknowledge a tick, and with that ask for the next one, before whoever raised the line has lowered it: an edge
 * then would be none, and nobody would acknowledge it. So pulses come one after the other, all by the one who began.
 */
static void inject(struct pit *pit)
{
	if (__atomic_load_n(&pit->reinject, __ATOMIC_RELAXED) && !__atomic_exchange_n(&pit->acked, 0, __ATOMIC_SEQ_CST))
		return;
	if (__atomic_fetch_add(&pit->pulses, 1, __ATOMIC_SEQ_CST))
		return;
	do
		pulse(pit);
	while (__atomic_sub_fetch(&pit->pulses, 1, __ATOMIC_SEQ_CST));
}

static void reset_reinjection(struct pit *pit)
{
	__atomic_store_n(&pit->pending, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&pit->acked, 1, __ATOMIC_SEQ_CST);
}

void pit_ack(struct vm *vm)
{
	struct pit *pit = __atomic_load_n(&vm->pit, __ATOMIC_ACQUIRE);
	u32 n;

	if (!pit || !__atomic_load_n(&pit->reinject, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&pit->acked, 1, __ATOMIC_SEQ_CST);
	n = __atomic_load_n(&pit->pending, __ATOMIC_SEQ_CST);
	while (n && !__atomic_compare_exchange_n(&pit->pending, &n, n - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	if (n > 1)
		inject(pit);
}

/* Ticks that a mask has held back are not owed. */
void pit_unmasked(struct vm *vm)
{
	struct pit *pit = __atomic_load_n(&vm->pit, __ATOMIC_ACQUIRE);

	if (pit && __atomic_load_n(&pit->reinject, __ATOMIC_RELAXED))
		reset_reinjection(pit);
}

/* --- the timer of channel 0 ------------------------------------------------------------------- */

static bool is_periodic(const struct kvm_pit_channel_state *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Under lock. */
static u64 period_ticks(const struct kvm_pit_channel_state *c)
{
	return is_periodic(c) && c->count < MIN_PERIODIC_TICKS ? MIN_PERIODIC_TICKS : c->count;
}

/* Under lock: counted from the load, so that rounding does not add up. */
static u64 next_expiry(const struct pit *pit)
{
	const struct kvm_pit_channel_state *c = &pit->s.channels[0];

	return (u64)c->count_load_time + mul_div((pit->ticks + 1) * period_ticks(c), NSEC, PIT_HZ);
}

/* Under lock. */
static void restart_timer(struct pit *pit)
{
	const struct kvm_pit_channel_state *c = &pit->s.channels[0];

	pit->ticks = 0;
	pit->armed = c->mode <= 4 && !(pit->s.flags & KVM_PIT_FLAGS_HPET_LEGACY);
	if (pit->armed)
		host_timer_start(&pit->timer, next_expiry(pit));
}

static void expired(void *arg)
{
	struct pit *pit = arg;
	struct kvm_pit_channel_state *c = &pit->s.channels[0];
	unsigned long state = host_lock_acquire(&pit->lock);
	u64 now = host_now_ns(), passed;
	u32 new = 0;

	/* Stopped or loaded again meanwhile: nothing, or too early. */
	if (pit->armed && now >= next_expiry(pit)) {
		if (is_periodic(c)) {
			passed = mul_div(now - (u64)c->count_load_time, PIT_HZ, NSEC) / period_ticks(c);
			new = passed > pit->ticks ? (u32)(passed - pit->ticks) : 1;
		} else {
			new = 1;
			pit->armed = false;
		}
		pit->ticks += new;
	}
	if (pit->armed)
		host_timer_start(&pit->timer, next_expiry(pit));
	host_lock_release(&pit->lock, state);
	if (!new)
		return;
	if (__atomic_load_n(&pit->reinject, __ATOMIC_RELAXED))
		__atomic_fetch_add(&pit->pending, new, __ATOMIC_SEQ_CST);
	inject(pit);
}

/* --- counters (under lock) -------------------------------------------------------------------- */

static u32 from_bcd(u32 v)
{
	return (v & 0xf) + (v >> 4 & 0xf) * 10 + (v >> 8 & 0xf) * 100 + (v >> 12 & 0xf) * 1000;
}

static u32 to_bcd(u32 v)
{
	return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

/* Clock pulses since the counter was loaded or triggered. */
static u64 pulses(const struct pit *pit, unsigned n)
{
	u64 now = pit->extra[n].stopped ? pit->extra[n].stopped : host_now_ns();
	u64 loaded = (u64)pit->s.channels[n].count_load_time;

	return now > loaded ? mul_div(now - loaded, PIT_HZ, NSEC) : 0;
}

static u16 read_counter(const struct pit *pit, unsigned n)
{
	const struct kvm_pit_channel_state *c = &pit->s.channels[n];
	u32 modulus = c->bcd ? 10000 : 0x10000, left;
	u64 d = pit->extra[n].idle ? 0 : pulses(pit, n);

	switch (c->mode) {
	case 2: left = c->count - (u32)(d % c->count); break;
	case 3: /* counts down by two, twice a period */ left = c->count - (u32)(2 * d % c->count); break;
	default: left = (u32)((c->count + modulus - d % modulus) % modulus);
	}
	left %= modulus;
	return (u16)(c->bcd ? to_bcd(left) : left);
}

static bool output(const struct pit *pit, unsigned n)
{
	const struct kvm_pit_channel_state *c = &pit->s.channels[n];
	u64 d = pulses(pit, n);

	if (pit->extra[n].null_count)
		return c->mode != 0;
	switch (c->mode) {
	case 0: return d >= c->count;
	case 1: return pit->extra[n].idle || d >= c->count;
	case 2: return !c->gate || d % c->count != c->count - 1;
	case 3: return !c->gate || d % c->count < (c->count + 1) / 2;
	case 4: return d != c->count;
	case 5: return pit->extra[n].idle || d != c->count;
	}
	return false;
}

static void load(struct pit *pit, unsigned n, u32 val)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[n];

	if (c->bcd)
		val = from_bcd(val);
	c->count = val ? val : c->bcd ? 10000 : 0x10000;
	c->count_load_time = (s64)host_now_ns();
	pit->extra[n].null_count = false;
	/* The gates of channels 0 and 1 are tied high: there only a load can be the trigger. */
	pit->extra[n].idle = n == 2 && (c->mode == 1 || c->mode == 5);
	pit->extra[n].stopped = !c->gate && (c->mode == 0 || c->mode == 4) ? (u64)c->count_load_time : 0;
	if (n == 0) {
		restart_timer(pit);
		reset_reinjection(pit);
	}
}

static void set_gate(struct pit *pit, unsigned n, bool gate)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[n];
	u64 now = host_now_ns();

	if (c->gate == gate)
		return;
	c->gate = gate;
	switch (c->mode) {
	case 0:
	case 4:
		if (gate && pit->extra[n].stopped)
			c->count_load_time += (s64)(now - pit->extra[n].stopped);
		pit->extra[n].stopped = gate ? 0 : now;
		break;
	default: /* the rising edge triggers or reloads */
		if (gate) {
			c->count_load_time = (s64)now;
			pit->extra[n].idle = false;
		}
	}
}

static void latch_count(struct pit *pit, unsigned n)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[n];

	if (c->count_latched)
		return;
	c->latched_count = read_counter(pit, n);
	c->count_latched = c->rw_mode;
}

static void latch_status(struct pit *pit, unsigned n)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[n];

	if (c->status_latched)
		return;
	c->status = (u8)(output(pit, n) << 7 | pit->extra[n].null_count << 6 | c->rw_mode << 4 | (c->mode & 7) << 1 |
			 c->bcd);
	c->status_latched = 1;
}

static void read_back(struct pit *pit, u8 val)
{
	unsigned n;

	for (n = 0; n < 3; n++) {
		if (!(val & 2u << n))
			continue;
		if (!(val & 0x20))
			latch_count(pit, n);
		if (!(val & 0x10))
			latch_status(pit, n);
	}
}

static void write_control(struct pit *pit, u8 val)
{
	unsigned n = val >> 6, rw = val >> 4 & 3, mode = val >> 1 & 7;
	struct kvm_pit_channel_state *c = &pit->s.channels[n];

	if (n == 3) {
		read_back(pit, val);
	} else if (rw == RW_LATCH) {
		latch_count(pit, n);
	} else {
		c->rw_mode = c->read_state = c->write_state = (u8)rw;
		c->mode = (u8)(mode > 5 ? mode - 4 : mode);
		c->bcd = val & 1;
		c->count_latched = c->status_latched = 0;
		pit->extra[n].null_count = true;
		if (n == 0)
			pit->armed = false;
	}
}

static void write_counter(struct pit *pit, unsigned n, u8 val)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[n];

	switch (c->write_state) {
	case RW_MSB: load(pit, n, (u32)val << 8); break;
	case RW_WORD:
		c->write_latch = val;
		c->write_state = RW_WORD_HIGH;
		break;
	case RW_WORD_HIGH:
		c->write_state = RW_WORD;
		load(pit, n, c->write_latch | (u32)val << 8);
		break;
	default: load(pit, n, val);
	}
}

static u8 read_latched(struct kvm_pit_channel_state *c)
{
	u8 how = c->count_latched;

	c->count_latched = how == RW_WORD ? RW_MSB : 0;
	return (u8)(how == RW_MSB ? c->latched_count >> 8 : c->latched_count);
}

static u8 read_channel(struct pit *pit, unsigned n)
{
	struct kvm_pit_channel_state *c = &pit->s.channels[n];
	u16 count;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->count_latched)
		return read_latched(c);
	count = read_counter(pit, n);
	switch (c->read_state) {
	case RW_MSB: return (u8)(count >> 8);
	case RW_WORD: c->read_state = RW_WORD_HIGH; return (u8)count;
	case RW_WORD_HIGH: c->read_state = RW_WORD; return (u8)(count >> 8);
	default: return (u8)count;
	}
}

/* --- ports ------------------------------------------------------------------------------------ */

static int pit_read(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, void *val)
{
	struct pit *pit = container_of(d, struct pit, ports);
	unsigned long state;

	memset(val, 0, len);
	if ((addr & 3) == 3)
		return 0;
	state = host_lock_acquire(&pit->lock);
	*(u8 *)val = read_channel(pit, addr & 3);
	host_lock_release(&pit->lock, state);
	return 0;
}

static int pit_write(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, const void *val)
{
	struct pit *pit = container_of(d, struct pit, ports);
	unsigned long state = host_lock_acquire(&pit->lock);

	if ((addr & 3) == 3)
		write_control(pit, *(const u8 *)val);
	else
		write_counter(pit, addr & 3, *(const u8 *)val);
	host_lock_release(&pit->lock, state);
	return 0;
}

/* Port 61h: gate and output of channel 2, the speaker's data bit, and a bit that toggles with memory refresh (15 us). */
static int speaker_read(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, void *val)
{
	struct pit *pit = container_of(d, struct pit, speaker);
	unsigned long state;
	u8 out;

	memset(val, 0, len);
	state = host_lock_acquire(&pit->lock);
	out = (u8)(pit->s.channels[2].gate | !!(pit->s.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) << 1 |
		   (host_now_ns() >> 14 & 1) << 4 | output(pit, 2) << 5);
	host_lock_release(&pit->lock, state);
	*(u8 *)val = out;
	return 0;
}

static int speaker_write(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, const void *val)
{
	struct pit *pit = container_of(d, struct pit, speaker);
	unsigned long state = host_lock_acquire(&pit->lock);
	u8 in = *(const u8 *)val;

	if (in & 2)
		pit->s.flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	else
		pit->s.flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	set_gate(pit, 2, in & 1);
	host_lock_release(&pit->lock, state);
	return 0;
}

static const struct bus_dev_ops pit_ops = { .read = pit_read, .write = pit_write };
static const struct bus_dev_ops speaker_ops = { .read = speaker_read, .write = speaker_write };

/* --- state ------------------------------------------------------------------------------------ */

int pit_get_state(struct vm *vm, struct kvm_pit_state2 *s)
{
	struct pit *pit = vm->pit;
	unsigned long state;

	if (!pit)
		return -ENXIO;
	state = host_lock_acquire(&pit->lock);
	*s = pit->s;
	host_lock_release(&pit->lock, state);
	return 0;
}

/* The counters start again from their counts, as in KVM. */
int pit_set_state(struct vm *vm, const struct kvm_pit_state2 *s)
{
	struct pit *pit = vm->pit;
	unsigned long state;
	unsigned n;

	if (!pit)
		return -ENXIO;
	state = host_lock_acquire(&pit->lock);
	memcpy(pit->s.channels, s->channels, sizeof(pit->s.channels));
	pit->s.flags = s->flags;
	for (n = 0; n < 3; n++) {
		struct kvm_pit_channel_state *c = &pit->s.channels[n];
		u32 count = c->count;

		c->gate = !!c->gate;
		c->bcd &= 1;
		load(pit, n, 0);
		/* Given in binary, whatever bcd says. */
		if (count)
			c->count = count;
		if (n == 0)
			restart_timer(pit);
	}
	host_lock_release(&pit->lock, state);
	return 0;
}

int pit_reinject(struct vm *vm, bool on)
{
	struct pit *pit = vm->pit;

	if (!pit)
		return -ENXIO;
	if (on)
		reset_reinjection(pit);
	__atomic_store_n(&pit->reinject, on, __ATOMIC_SEQ_CST);
	return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

static void reset(struct pit *pit)
{
	unsigned n;

	for (n = 0; n < 3; n++) {
		pit->s.channels[n].mode = MODE_NONE;
		pit->s.channels[n].gate = n != 2;
		load(pit, n, 0);
	}
}

static int register_ports(struct pit *pit, bool speaker)
{
	int ret;

	pit->ports.ops = &pit_ops;
	pit->speaker.ops = &speaker_ops;
	ret = bus_register(pit->vm, BUS_PIO, 0x40, 4, &pit->ports);
	if (ret || !speaker)
		return ret;
	ret = bus_register(pit->vm, BUS_PIO, 0x61, 1, &pit->speaker);
	if (ret)
		bus_unregister(pit->vm, BUS_PIO, &pit->ports);
	pit->has_speaker = !ret;
	return ret;
}

int pit_create(struct vm *vm, u32 flags)
{
	struct pit *pit;
	int ret;

	if (vm->pit)
		return -EEXIST;
	if (vm_irqchip_mode(vm) != IRQCHIP_KERNEL)
		return -ENOENT;
	pit = host_alloc(sizeof(*pit));
	if (!pit)
		return -ENOMEM;
	pit->vm = vm;
	pit->reinject = 1;
	host_lock_init(&pit->lock);
	host_timer_init(&pit->timer, expired, pit);
	reset(pit);
	ret = register_ports(pit, flags & KVM_PIT_SPEAKER_DUMMY);
	if (ret) {
		host_timer_destroy(&pit->timer);
		host_lock_destroy(&pit->lock);
		host_free(pit);
		return ret;
	}
	__atomic_store_n(&vm->pit, pit, __ATOMIC_RELEASE);
	return 0;
}

void pit_destroy(struct vm *vm)
{
	struct pit *pit = vm->pit;
	unsigned long state;

	if (!pit)
		return;
	bus_unregister(vm, BUS_PIO, &pit->ports);
	if (pit->has_speaker)
		bus_unregister(vm, BUS_PIO, &pit->speaker);
	state = host_lock_acquire(&pit->lock);
	pit->armed = false;
	host_lock_release(&pit->lock, state);
	host_timer_destroy(&pit->timer);
	__atomic_store_n(&vm->pit, NULL, __ATOMIC_RELEASE);
	host_lock_destroy(&pit->lock);
	host_free(pit);
}
