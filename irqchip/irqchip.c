/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Making and freeing the chips of a VM; their state for user space. */
#include "chips.h"

/* Under vm->lock: vCPUs get their LAPIC when they are made, so the chips come first, and once. */
static int may_create(struct vm *vm)
{
	if (vm_irqchip_mode(vm) != IRQCHIP_NONE)
		return -EEXIST;
	return vm_nr_vcpus(vm) ? -EINVAL : 0;
}

int irqchip_create(struct vm *vm)
{
	int ret = may_create(vm);

	if (ret)
		return ret;
	ret = pic_create(vm);
	if (ret)
		return ret;
	ret = ioapic_create(vm);
	if (ret)
		goto no_ioapic;
	ret = irq_default_routing(vm);
	if (ret)
		goto no_routes;
	__atomic_store_n(&vm->irqchip_mode, IRQCHIP_KERNEL, __ATOMIC_RELEASE);
	return 0;

no_routes:
	ioapic_destroy(vm);
no_ioapic:
	pic_destroy(vm);
	return ret;
}

int irqchip_split(struct vm *vm, u32 pins)
{
	int ret = may_create(vm);

	if (ret)
		return ret;
	vm->split_pins = pins;
	__atomic_store_n(&vm->irqchip_mode, IRQCHIP_SPLIT, __ATOMIC_RELEASE);
	return 0;
}

void irqchip_destroy(struct vm *vm)
{
	/* Sources first, then what they feed. */
	irqfd_free_all(vm);
	pit_destroy(vm);
	irq_routes_free(vm);
	ioapic_destroy(vm);
	pic_destroy(vm);
}

int irqchip_get(struct vm *vm, struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE: pic_get_state(vm, chip->chip_id, &chip->chip.pic); return 0;
	case KVM_IRQCHIP_IOAPIC: ioapic_get_state(vm, &chip->chip.ioapic); return 0;
	}
	return -EINVAL;
}

int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE: pic_set_state(vm, chip->chip_id, &chip->chip.pic); return 0;
	case KVM_IRQCHIP_IOAPIC: ioapic_set_state(vm, &chip->chip.ioapic); return 0;
	}
	return -EINVAL;
}
