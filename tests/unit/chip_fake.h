/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A machine for tests of the chips: the real irqchip/ on a clock that stands still until it is told to
 * move, with a bus and vCPUs that only record what reaches them.
 */
#ifndef FAKE_H
#define FAKE_H

#include "chips.h"

/* --- time (chip_time.c) ----------------------------------------------------------------------- */

/* Move the clock; timers fire at their times, in order. */
void fake_advance(u64 ns);
/* Move the clock; the timers' callbacks are late. */
void fake_advance_late(u64 ns);
/* Number of host timers that are armed. */
unsigned fake_timers(void);

#define FAKE_TSC_KHZ 2000000 /* two TSC ticks in a nanosecond */

/* --- machine (chip_vm.c) ---------------------------------------------------------------------- */

/* Chips as KVM_CREATE_IRQCHIP or KVM_CAP_SPLIT_IRQCHIP (24 pins) makes them, vCPUs 0..nr-1 after reset. */
struct vm *fake_vm(enum irqchip_mode mode, unsigned nr);
void fake_vm_free(struct vm *vm);

void fake_out(struct vm *vm, u16 port, u8 val);
u8 fake_in(struct vm *vm, u16 port);
void fake_mmio_write(struct vm *vm, u64 gpa, u32 val);
u32 fake_mmio_read(struct vm *vm, u64 gpa);
/* Registers of a vCPU's LAPIC page. */
void fake_apic_write(struct vcpu *v, unsigned reg, u32 val);
u32 fake_apic_read(struct vcpu *v, unsigned reg);
/* Software-enable a LAPIC. */
void fake_apic_enable(struct vcpu *v);
/* fake_vm() with its LAPICs enabled and LINT0 masked: all interrupts come through them. */
struct vm *fake_machine(enum irqchip_mode mode, unsigned nr);
/* What the vCPU's processor would take now, acknowledged; -1: nothing. */
int fake_take(struct vcpu *v);
void fake_cpuid(struct vcpu *v, u32 leaf1_ecx); /* also X86F_X2APIC from bit 21 */

extern unsigned fake_kicks; /* calls of vcpu_kick */
/* What a vCPU does on another processor at its kick, or NULL. */
extern void (*fake_on_kick)(struct vcpu *v);
extern unsigned fake_nmis; /* calls of vcpu_queue_nmi */

#endif /* FAKE_H */
