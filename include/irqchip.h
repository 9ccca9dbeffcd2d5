/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * irqchip.h - the interrupt chips and interrupt routing (irqchip/).
 *
 * Device models in their own right: registers through the buses, lines and messages in, vectors out. Sources: Intel
 * 8259A, 82093AA, 8254 data sheets, SDM "Advanced Programmable Interrupt Controller (APIC)". Locks: see host.h.
 * "any context" includes timer callbacks: such functions take host_locks only and never sleep.
 */
#ifndef ANYKVM_IRQCHIP_H
#define ANYKVM_IRQCHIP_H

#include "vcpu.h"

/* --- creation (irqchip.c), under vm->lock ---------------------------------------------------------- */
int irqchip_create(struct vm *vm); /* KVM_CREATE_IRQCHIP: 0, -EEXIST, -EINVAL (vCPUs exist), -ENOMEM. Default routes */
int irqchip_split(struct vm *vm, u32 pins);               /* KVM_CAP_SPLIT_IRQCHIP: likewise */
void irqchip_destroy(struct vm *vm);                      /* all chips, routes, irqfds, PIT */
int irqchip_get(struct vm *vm, struct kvm_irqchip *chip); /* 0, -EINVAL (unknown chip_id) */
int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip);

/* --- lines, messages, routes (route.c) ----------------------------------------------------------------- */
enum { IRQ_SOURCE_USER = 0, IRQ_SOURCE_PIT = 1, IRQ_SOURCE_RESAMPLE = 2 }; /* a line is the OR of its sources */
/*
 * Set a GSI line. > 0: delivered to that many, 0: coalesced, < 0: ignored/masked (as KVM_IRQ_LINE_STATUS reports).
 * Any context, in a srcu section taken inside.
 */
int irq_set_line(struct vm *vm, unsigned source, u32 gsi, int level);
int irq_send_msi(struct vm *vm, const struct kvm_msi *msi); /* KVM_SIGNAL_MSI: > 0, 0 blocked, -EINVAL */
int irq_set_routing(struct vm *vm, const struct kvm_irq_routing_entry *e, u32 nr, u32 flags); /* 0, -EINVAL, -ENOMEM */
int irqfd_assign(struct vm *vm, const struct kvm_irqfd *irqfd); /* KVM_IRQFD with all flags; errors as Linux */
/* An EOI reached (chip, pin): resample irqfds and level lines. */
void irq_ack_notify(struct vm *vm, unsigned chip, unsigned pin);
/* The guest is ready for the next interrupt of a synthetic source (KVM_IRQ_ROUTING_HV_SINT): resample irqfds. */
void irq_ack_sint(struct vm *vm, u32 vp_index, u32 sint);
/* Split irqchip: does this vector need KVM_EXIT_IOAPIC_EOI? */
bool irq_split_handles_vector(struct vcpu *v, unsigned vector);

struct lapic_message {
	u32 dest;
	u8 vector;
	u8 delivery; /* enum lapic_delivery */
	bool logical, level, trig_level;
	u8 shorthand;    /* 0 none, 1 self, 2 all, 3 all but self */
	bool redir_hint; /* MSI: lowest-priority hint */
};
enum lapic_delivery {
	DELIVER_FIXED = 0,
	DELIVER_LOWEST = 1,
	DELIVER_SMI = 2,
	DELIVER_NMI = 4,
	DELIVER_INIT = 5,
	DELIVER_STARTUP = 6,
	DELIVER_EXTINT = 7
};
/* Send to all LAPICs that the message addresses. Number of acceptors; as with Linux 0, too, if it addresses none. Any context. */
int lapic_deliver(struct vm *vm, struct vcpu *from, const struct lapic_message *m);

/* --- what core asks before an entry (vCPU thread) -------------------------------------------------------- */
/* Is an interrupt waiting for v (PIC through LINT0/ExtINT, or LAPIC above PPR)? Any context. */
bool irq_pending(struct vcpu *v);
/* Take it: acknowledge and return the vector, or -1. */
int irq_acknowledge(struct vcpu *v);

/* --- local APIC (lapic.c, lapic_timer.c) ------------------------------------------------------------------- */
int lapic_create(struct vcpu *v);
void lapic_destroy(struct vcpu *v);
void lapic_reset(struct vcpu *v, bool init);                          /* also without LAPIC: IA32_APIC_BASE */
int lapic_get_state(struct vcpu *v, struct kvm_lapic_state *s);       /* KVM_GET_LAPIC: 0 */
int lapic_set_state(struct vcpu *v, const struct kvm_lapic_state *s); /* 0, -EINVAL */
/* IA32_APIC_BASE (also without LAPIC: plain storage). 0, 1 = #GP. */
int lapic_set_base(struct vcpu *v, u64 val, bool host);
/* x2APIC MSRs 0x800-0x8ff: 0, 1 = #GP. */
int lapic_read_msr(struct vcpu *v, u32 msr, u64 *val);
int lapic_write_msr(struct vcpu *v, u32 msr, u64 val);
/* A register by its offset in the xAPIC page, in whatever mode (ICR: 64 bits). 0, 1: no LAPIC, or no such access. */
int lapic_read_reg(struct vcpu *v, unsigned reg, u64 *val);
int lapic_write_reg(struct vcpu *v, unsigned reg, u64 val);
/* The xAPIC page: is gpa in it for this vCPU? Then read/write (4-byte registers, 16-byte spacing; odd sizes as hardware). */
bool lapic_owns(struct vcpu *v, u64 gpa);
int lapic_mmio_read(struct vcpu *v, u64 gpa, u32 len, void *val);
int lapic_mmio_write(struct vcpu *v, u64 gpa, u32 len, const void *val);
u64 lapic_get_tpr(struct vcpu *v); /* CR8: 0..15 */
void lapic_set_tpr(struct vcpu *v, u64 cr8);
/* The TPR register; *threshold: of the waiting interrupt that only it holds back the class, which CR8 must fall below; 0: none. */
u8 lapic_tpr_shadow(struct vcpu *v, u32 *threshold);
u64 lapic_get_tsc_deadline(struct vcpu *v);
void lapic_set_tsc_deadline(struct vcpu *v, u64 val);
/* KVM_RUN begins and ends; the vCPU's thread, the vCPU has a LAPIC. */
void lapic_run_begins(struct vcpu *v);
void lapic_run_ends(struct vcpu *v);
void lapic_tsc_changed(struct vcpu *v); /* TSC offset or ratio changed: re-arm */
/* Does LINT0 let a PIC through (Linux: kvm_apic_accept_pic_intr)? Split: core asks it for the user-space PIC's vector. */
bool lapic_accepts_extint(struct vcpu *v);
/* KVM_HC_SEND_IPI, KVM_HC_KICK_CPU, ...: the vCPU with that APIC id, or NULL. Any context. */
struct vcpu *lapic_find(struct vm *vm, u32 apic_id);
/* Set and clear latched events (LAPIC_*) by state ioctls; the present ones. */
void lapic_change_events(struct vcpu *v, u32 set, u32 clear);
u32 lapic_events(struct vcpu *v);
void lapic_set_sipi_vector(struct vcpu *v, u8 vector);
/* Latched INIT/SIPI for core's request loop. */
enum { LAPIC_INIT = 1, LAPIC_SIPI = 2 };
u32 lapic_take_events(struct vcpu *v, u8 *sipi_vector);
bool lapic_has_events(struct vcpu *v);
/* Pending EOI exit of the split irqchip: vector, or -1. */
int lapic_take_eoi_exit(struct vcpu *v);
bool lapic_is_bsp(struct vcpu *v);
/* Has this LAPIC the CMCI entry (MCG_CAP.CMCI_P, KVM_X86_SETUP_MCE)? A corrected machine check: raise it. */
void lapic_set_cmci(struct vcpu *v, bool on);
void lapic_raise_cmci(struct vcpu *v);

/* --- PIC (pic.c): ports 20/21, a0/a1, 4d0/4d1 ---------------------------------------------------------------- */
int pic_create(struct vm *vm);
void pic_destroy(struct vm *vm);
int pic_set_irq(struct vm *vm, unsigned source, unsigned pin, int level);
bool pic_output(struct vm *vm);
int pic_acknowledge(struct vm *vm); /* vector; spurious IRQ 7/15 as the chip does */
void pic_get_state(struct vm *vm, unsigned which, struct kvm_pic_state *s);
void pic_set_state(struct vm *vm, unsigned which, const struct kvm_pic_state *s);

/* --- IOAPIC (ioapic.c): fec00000, 24 pins -------------------------------------------------------------------- */
int ioapic_create(struct vm *vm);
void ioapic_destroy(struct vm *vm);
int ioapic_set_irq(struct vm *vm, unsigned source, unsigned pin, int level);
void ioapic_eoi(struct vm *vm, struct vcpu *v, unsigned vector); /* EOI broadcast by a LAPIC */
void ioapic_get_state(struct vm *vm, struct kvm_ioapic_state *s);
void ioapic_set_state(struct vm *vm, const struct kvm_ioapic_state *s);

/* --- PIT (pit.c): ports 40-43, 61 ------------------------------------------------------------------------------ */
int pit_create(struct vm *vm, u32 flags); /* KVM_CREATE_PIT2: 0, -EEXIST, -ENOENT (no irqchip), -ENOMEM */
void pit_destroy(struct vm *vm);
int pit_get_state(struct vm *vm, struct kvm_pit_state2 *s); /* 0, -ENXIO (no PIT) */
int pit_set_state(struct vm *vm, const struct kvm_pit_state2 *s);
int pit_reinject(struct vm *vm, bool on); /* KVM_REINJECT_CONTROL */

#endif /* ANYKVM_IRQCHIP_H */
