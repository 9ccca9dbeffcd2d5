/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Shared by the files of irqchip/: the chips' data and the seams between them. */
#ifndef IRQCHIP_CHIPS_H
#define IRQCHIP_CHIPS_H

#include "irqchip.h"

#define PIC_PINS 16
#define IOAPIC_PINS KVM_IOAPIC_NUM_PINS
#define MAX_GSI 4096 /* KVM_CAP_IRQ_ROUTING */

/*
 * A chip's input line is the OR of its sources (two PCI devices, the PIT, resampling irqfds share pins).
 * *sources is the set of those that assert it.
 */
static inline bool line_update(u32 *sources, unsigned source, int level)
{
	if (level)
		*sources |= BIT(source);
	else
		*sources &= ~BIT(source);
	return *sources != 0;
}

/* a * b / c without overflow in between; all ones if the result does not fit. (No 128-bit division in kernels.) */
static inline u64 mul_div(u64 a, u64 b, u64 c)
{
	u128 p = (u128)a * b;
	u64 hi = p >> 64, lo = (u64)p;

	if (hi >= c)
		return ~0ull;
	__asm__("divq %2" : "+a"(lo), "+d"(hi) : "rm"(c) : "cc");
	return lo;
}

/* --- local APIC ------------------------------------------------------------------------------- */

/* Register offsets in the xAPIC page (SDM, "Local APIC Register Address Map"). */
#define APIC_ID 0x20
#define APIC_VERSION 0x30
#define APIC_TPR 0x80
#define APIC_APR 0x90
#define APIC_PPR 0xa0
#define APIC_EOI 0xb0
#define APIC_LDR 0xd0
#define APIC_DFR 0xe0
#define APIC_SPIV 0xf0
#define APIC_ISR 0x100
#define APIC_TMR 0x180
#define APIC_IRR 0x200
#define APIC_ESR 0x280
#define APIC_CMCI 0x2f0
#define APIC_ICR 0x300
#define APIC_ICR2 0x310
#define APIC_LVTT 0x320
#define APIC_LVTTHMR 0x330
#define APIC_LVTPC 0x340
#define APIC_LVT0 0x350
#define APIC_LVT1 0x360
#define APIC_LVTERR 0x370
#define APIC_TMICT 0x380
#define APIC_TMCCT 0x390
#define APIC_TDCR 0x3e0
#define APIC_SELF_IPI 0x3f0

#define APIC_SPIV_ENABLE (1u << 8)
#define APIC_SPIV_NO_EOI_BROADCAST (1u << 12)
#define APIC_LVT_MASKED (1u << 16)
#define APIC_LVT_LEVEL (1u << 15)
#define APIC_LVT_MODE(lvt) ((lvt) >> 8 & 7)
#define APIC_TIMER_MODE_MASK (3u << 17)
#define APIC_TIMER_ONESHOT 0u
#define APIC_TIMER_PERIODIC (1u << 17)
#define APIC_TIMER_TSC_DEADLINE (2u << 17)
#define APIC_VERSION_DIRECTED_EOI (1u << 24)

#define APIC_BASE_BSP (1ull << 8)
#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLE (1ull << 11)
#define APIC_BASE_ADDRESS (~0xfffull)
#define APIC_DEFAULT_BASE 0xfee00000ull

/*
 * The timer counts nanoseconds (a bus clock of 1 GHz, as KVM has it). Protected by lock, but owner fields
 * that only the vCPU's thread writes are read by it without.
 */
struct lapic_timer {
	struct host_lock lock;
	struct host_timer timer;
	bool armed;
	u32 mode;         /* APIC_TIMER_* */
	u32 divide;       /* 1 .. 128 */
	u64 period;       /* ns; 0: stopped */
	u64 target;       /* host_now_ns() time of the next expiry, while armed */
	u64 tsc_deadline; /* 0: not armed */
	bool running;     /* a  the vCPU is in KVM_RUN */
	bool postponed;   /* a  a TSC deadline has been reached outside: the interrupt comes with the next KVM_RUN */
};

struct lapic {
	struct vcpu *v;
	/* a  As KVM_GET_LAPIC shows them. IRR and TMR change in any context, the rest on the vCPU's thread. */
	u32 reg[KVM_APIC_REG_SIZE / 4];
	u32 events;       /* a  LAPIC_INIT, LAPIC_SIPI */
	u32 sipi_vector;  /* a */
	u32 arb;          /* a  lowest-priority deliveries taken */
	u32 errors;       /* a  ESR bits since the guest last wrote it */
	u32 lvt_count;    /* 6; 7 with the CMCI entry */
	u64 eoi_exits[4]; /* a  split irqchip: vectors whose EOI user space must see */
	struct lapic_timer timer;
};

static inline u32 apic_get(const struct lapic *a, unsigned off)
{
	return __atomic_load_n(&a->reg[off / 4], __ATOMIC_RELAXED);
}
static inline void apic_set(struct lapic *a, unsigned off, u32 val)
{
	__atomic_store_n(&a->reg[off / 4], val, __ATOMIC_RELAXED);
}
/* IRR, ISR, TMR: 256 bits, one 32-bit word every 16 bytes. */
static inline u32 *apic_vector_word(struct lapic *a, unsigned base, unsigned vector)
{
	return &a->reg[(base + vector / 32 * 16) / 4];
}
static inline bool apic_test_vector(struct lapic *a, unsigned base, unsigned vector)
{
	return __atomic_load_n(apic_vector_word(a, base, vector), __ATOMIC_ACQUIRE) >> (vector & 31) & 1;
}

static inline u64 apic_base_of(const struct vcpu *v)
{
	return __atomic_load_n(&v->apic_base, __ATOMIC_RELAXED);
}
static inline bool apic_hw_enabled(const struct lapic *a)
{
	return apic_base_of(a->v) & APIC_BASE_ENABLE;
}
static inline bool apic_x2apic(const struct lapic *a)
{
	const u64 both = APIC_BASE_ENABLE | APIC_BASE_X2APIC;

	return (apic_base_of(a->v) & both) == both;
}
static inline bool apic_sw_enabled(const struct lapic *a)
{
	return apic_get(a, APIC_SPIV) & APIC_SPIV_ENABLE;
}

/* lapic_deliver.c: an interrupt from this LAPIC's own table of local vectors. Any context. */
bool lapic_local(struct lapic *a, unsigned lvt);
/* Does the message's destination name this LAPIC? from: the sender, NULL for a device. */
bool lapic_matches(struct lapic *a, const struct lapic *from, const struct lapic_message *m);
/* Note an error (ESR bit) and raise the error interrupt. Any context. */
void lapic_error(struct lapic *a, u32 bit);
#define APIC_ESR_SEND_ILLEGAL (1u << 5)
#define APIC_ESR_RECEIVE_ILLEGAL (1u << 6)
void lapic_write_icr(struct lapic *a, u32 low, u32 high);

/* lapic_timer.c */
void lapic_timer_create(struct lapic *a);
void lapic_timer_destroy(struct lapic *a);
void lapic_timer_stop(struct lapic *a);       /* forget what is armed; registers stay */
void lapic_timer_catch_up(struct lapic *a);   /* an expiry whose callback is late happens now */
void lapic_timer_set_lvt(struct lapic *a);    /* APIC_LVTT has been written */
void lapic_timer_set_divide(struct lapic *a); /* APIC_TDCR has been written */
void lapic_timer_start(struct lapic *a);      /* APIC_TMICT has been written */
void lapic_timer_restore(struct lapic *a);    /* after KVM_SET_LAPIC: go on from APIC_TMCCT */
u32 lapic_timer_count(struct lapic *a);       /* APIC_TMCCT */
/* Timer mode bits that the guest's CPUID allows. */
u32 lapic_timer_modes(struct lapic *a);

/* --- chips' internal seams -------------------------------------------------------------------- */

/* lapic: an interrupt may have become deliverable for v. */
static inline void wake_vcpu(struct vcpu *v)
{
	vcpu_request(v, REQ_EVENT);
	vcpu_kick(v);
}
/* pic.c: the output may have changed (no lock held): wake the vCPUs that take it. */
/* pit.c: an EOI or acknowledge for its GSI arrived; its GSI was unmasked. No chip lock held. */
void pit_ack(struct vm *vm);
void pit_unmasked(struct vm *vm);
/* route.c: the GSI that (chip, pin) is routed from, -1 if none. In a srcu section. */
int irq_pin_to_gsi(struct vm *vm, unsigned chip, unsigned pin);
int irq_default_routing(struct vm *vm);
void irq_routes_free(struct vm *vm);
/* irqfd.c */
void irqfd_ack(struct vm *vm, u32 gsi);
void irqfd_free_all(struct vm *vm);
/* route.c: a message as PCI devices write it. */
struct lapic_message msi_message(struct vm *vm, u32 address_lo, u32 address_hi, u32 data);

#endif /* IRQCHIP_CHIPS_H */
