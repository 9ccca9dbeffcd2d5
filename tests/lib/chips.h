/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* chips.h - interrupt chips from the test's side: lines, MSIs, LAPIC registers. */
#ifndef TESTS_CHIPS_H
#define TESTS_CHIPS_H

#include <string.h>

#include "machine.h"

#define APIC_ID 0x20
#define APIC_TPR 0x80
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define APIC_ISR 0x100
#define APIC_TMR 0x180
#define APIC_IRR 0x200
#define APIC_ICR 0x300
#define APIC_ICR2 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_LINT0 0x350
#define APIC_TIMER_INIT 0x380
#define APIC_TIMER_DIV 0x3e0

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0

/* KVM_IRQ_LINE. */
void irq_line(struct machine *machine, uint32_t gsi, uint32_t level);
/* KVM_IRQ_LINE_STATUS: its status output. */
int irq_line_status(struct machine *machine, uint32_t gsi, uint32_t level);
/* KVM_SIGNAL_MSI: the raw result. */
int signal_msi(struct machine *machine, uint32_t address, uint32_t data);

/* KVM_SET_GSI_ROUTING with one entry: the raw result. */
int irq_route(struct machine *machine, struct kvm_irq_routing_entry entry);

uint32_t lapic_read(struct cpu *cpu, uint32_t reg);
void lapic_write(struct cpu *cpu, uint32_t reg, uint32_t value);
/* Enable the LAPIC in software (SVR), LINT0 as ExtINT on vCPU 0. */
void lapic_enable(struct cpu *cpu);
/* A vector's bit in ISR, TMR or IRR. */
bool lapic_bit(struct cpu *cpu, uint32_t reg, unsigned int vector);

/* One entry of the IOAPIC's redirection table, by KVM_SET_IRQCHIP. */
void ioapic_redirect(struct machine *machine, unsigned int pin, uint64_t entry);
uint64_t ioapic_entry(struct machine *machine, unsigned int pin);
#define IOAPIC_LEVEL (1ull << 15)
#define IOAPIC_REMOTE_IRR (1ull << 14)
#define IOAPIC_MASKED (1ull << 16)
#define IOAPIC_DEST(id) ((uint64_t)(id) << 56)

#endif /* TESTS_CHIPS_H */
