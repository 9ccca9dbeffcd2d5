/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "chips.h"

void irq_line(struct machine *machine, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	check_ok(kt_ioctl(machine->vm, KVM_IRQ_LINE, &line));
}

int irq_line_status(struct machine *machine, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	check_ok(kt_ioctl(machine->vm, KVM_IRQ_LINE_STATUS, &line));
	return line.status;
}

int signal_msi(struct machine *machine, uint32_t address, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = address, .data = data };

	return kt_ioctl(machine->vm, KVM_SIGNAL_MSI, &msi);
}

int irq_route(struct machine *machine, struct kvm_irq_routing_entry entry)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} table = { .head = { .nr = 1 }, .entry = entry };

	return kt_ioctl(machine->vm, KVM_SET_GSI_ROUTING, &table);
}

uint32_t lapic_read(struct cpu *cpu, uint32_t reg)
{
	struct kvm_lapic_state state;
	uint32_t value;

	check_ok(kt_ioctl(cpu->kt, KVM_GET_LAPIC, &state));
	memcpy(&value, state.regs + reg, 4);
	return value;
}

void lapic_write(struct cpu *cpu, uint32_t reg, uint32_t value)
{
	struct kvm_lapic_state state;

	check_ok(kt_ioctl(cpu->kt, KVM_GET_LAPIC, &state));
	memcpy(state.regs + reg, &value, 4);
	check_ok(kt_ioctl(cpu->kt, KVM_SET_LAPIC, &state));
}

void lapic_enable(struct cpu *cpu)
{
	lapic_write(cpu, APIC_SVR, 0x1ff);
	if (cpu->id == 0)
		lapic_write(cpu, APIC_LVT_LINT0, 0x700);
}

bool lapic_bit(struct cpu *cpu, uint32_t reg, unsigned int vector)
{
	return lapic_read(cpu, reg + vector / 32 * 16) >> vector % 32 & 1;
}

void ioapic_redirect(struct machine *machine, unsigned int pin, uint64_t entry)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	check_ok(kt_ioctl(machine->vm, KVM_GET_IRQCHIP, &chip));
	chip.chip.ioapic.redirtbl[pin].bits = entry;
	check_ok(kt_ioctl(machine->vm, KVM_SET_IRQCHIP, &chip));
}

uint64_t ioapic_entry(struct machine *machine, unsigned int pin)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	check_ok(kt_ioctl(machine->vm, KVM_GET_IRQCHIP, &chip));
	return chip.chip.ioapic.redirtbl[pin].bits;
}
