/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The I/O APIC against the 82093AA data sheet, and where KVM differs against KVM. */
#include "unit.h"
#include "chip_fake.h"
#include "chip_tests.h"

#define BASE 0xfec00000ull
#define LEVEL (1ull << 15)
#define REMOTE_IRR (1ull << 14)
#define MASKED (1ull << 16)
#define LOGICAL (1ull << 11)
#define LOWEST (1ull << 8)
#define DEST(id) ((u64)(id) << 56)

static u32 read_reg(struct vm *vm, u8 index)
{
	fake_mmio_write(vm, BASE, index);
	return fake_mmio_read(vm, BASE + 0x10);
}

static void write_reg(struct vm *vm, u8 index, u32 val)
{
	fake_mmio_write(vm, BASE, index);
	fake_mmio_write(vm, BASE + 0x10, val);
}

static void set_entry(struct vm *vm, unsigned pin, u64 e)
{
	write_reg(vm, (u8)(0x11 + 2 * pin), (u32)(e >> 32));
	write_reg(vm, (u8)(0x10 + 2 * pin), (u32)e);
}

static u64 entry(struct vm *vm, unsigned pin)
{
	return read_reg(vm, (u8)(0x10 + 2 * pin)) | (u64)read_reg(vm, (u8)(0x11 + 2 * pin)) << 32;
}

static void registers(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);

	expect_eq(read_reg(vm, 1), 0x170011);
	write_reg(vm, 0, 0x0f000000);
	expect_eq(read_reg(vm, 0), 0x0f000000);
	expect_eq(read_reg(vm, 2), 0x0f000000);
	expect_eq(entry(vm, 23), MASKED);
	set_entry(vm, 23, DEST(0xa5) | MASKED | LEVEL | 0x31 | REMOTE_IRR);
	expect_eq(entry(vm, 23), DEST(0xa5) | MASKED | LEVEL | 0x31); /* remote IRR is read-only */
	expect_eq(read_reg(vm, 0x40), ~0u);
	fake_vm_free(vm);
}

static void edge_interrupt(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);
	struct vcpu *v = vm->vcpu[0];

	set_entry(vm, 4, 0x34);
	expect_eq(ioapic_set_irq(vm, 0, 4, 1), 1);
	expect_eq(ioapic_set_irq(vm, 0, 4, 1), 0); /* no new edge: coalesced */
	expect_eq(fake_take(v), 0x34);
	expect_eq((unsigned)fake_take(v), (unsigned)-1);
	fake_apic_write(v, APIC_EOI, 0);
	ioapic_set_irq(vm, 0, 4, 0);
	expect_eq(ioapic_set_irq(vm, 0, 4, 1), 1);
	expect_eq(fake_take(v), 0x34);
	fake_vm_free(vm);
}

static void level_interrupt_repeats_until_lowered(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);
	struct vcpu *v = vm->vcpu[0];

	set_entry(vm, 9, LEVEL | 0x51);
	expect_eq(ioapic_set_irq(vm, 0, 9, 1), 1);
	expect_eq(entry(vm, 9), LEVEL | REMOTE_IRR | 0x51);
	expect_eq(fake_take(v), 0x51);
	expect_error(ioapic_set_irq(vm, 0, 9, 1), 1); /* waits for the EOI */
	fake_apic_write(v, APIC_EOI, 0);
	expect_eq(fake_take(v), 0x51);
	ioapic_set_irq(vm, 0, 9, 0);
	fake_apic_write(v, APIC_EOI, 0);
	expect_eq((unsigned)fake_take(v), (unsigned)-1);
	expect_eq(entry(vm, 9), LEVEL | 0x51);
	fake_vm_free(vm);
}

static void masked_level_interrupt_comes_when_unmasked(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);
	struct vcpu *v = vm->vcpu[0];

	set_entry(vm, 9, LEVEL | MASKED | 0x51);
	expect_error(ioapic_set_irq(vm, 0, 9, 1), 1);
	expect_eq((unsigned)fake_take(v), (unsigned)-1);
	set_entry(vm, 9, LEVEL | 0x51);
	expect_eq(fake_take(v), 0x51);
	fake_vm_free(vm);
}

static void edge_mode_clears_remote_irr(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);

	set_entry(vm, 9, LEVEL | 0x51);
	ioapic_set_irq(vm, 0, 9, 1);
	expect_true(entry(vm, 9) & REMOTE_IRR);
	set_entry(vm, 9, MASKED | 0x51);
	expect_true(!(entry(vm, 9) & REMOTE_IRR));
	fake_vm_free(vm);
}

static void destinations(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 3);
	unsigned i;

	for (i = 0; i < 3; i++)
		fake_apic_write(vm->vcpu[i], APIC_LDR, 1u << (24 + i));
	set_entry(vm, 1, DEST(2) | 0x41);
	expect_eq(ioapic_set_irq(vm, 0, 1, 1), 1);
	expect_eq(fake_take(vm->vcpu[2]), 0x41);
	expect_eq((unsigned)fake_take(vm->vcpu[0]), (unsigned)-1);
	set_entry(vm, 2, DEST(0xff) | 0x42);
	expect_eq(ioapic_set_irq(vm, 0, 2, 1), 3);
	set_entry(vm, 3, DEST(5) | LOGICAL | 0x53);
	expect_eq(ioapic_set_irq(vm, 0, 3, 1), 2);
	expect_eq(fake_take(vm->vcpu[0]), 0x53);
	expect_eq(fake_take(vm->vcpu[1]), 0x42);
	expect_eq(fake_take(vm->vcpu[2]), 0x53);
	set_entry(vm, 5, DEST(7) | 0x55);
	expect_eq(ioapic_set_irq(vm, 0, 5, 1), 0); /* nobody has that id */
	fake_vm_free(vm);
}

static void lowest_priority_goes_round(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 3);
	unsigned i, n[3] = { 0 };

	for (i = 0; i < 3; i++)
		fake_apic_write(vm->vcpu[i], APIC_LDR, 1u << (24 + i));
	set_entry(vm, 1, DEST(7) | LOGICAL | LOWEST | 0x41);
	for (i = 0; i < 9; i++) {
		unsigned c;

		expect_eq(ioapic_set_irq(vm, 0, 1, 1), 1);
		ioapic_set_irq(vm, 0, 1, 0);
		for (c = 0; c < 3; c++) {
			if (fake_take(vm->vcpu[c]) != 0x41)
				continue;
			n[c]++;
			fake_apic_write(vm->vcpu[c], APIC_EOI, 0);
		}
	}
	expect_eq(n[0], 3);
	expect_eq(n[1], 3);
	expect_eq(n[2], 3);
	fake_vm_free(vm);
}

static void nmi_and_extint_delivery(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);

	set_entry(vm, 3, 4 << 8);
	ioapic_set_irq(vm, 0, 3, 1);
	expect_eq(fake_nmis, 1);
	set_entry(vm, 0, 7 << 8 | 0x20);
	expect_eq(ioapic_set_irq(vm, 0, 0, 1), 0); /* ExtINT: the PIC is asked, not this message */
	expect_eq((unsigned)fake_take(vm->vcpu[0]), (unsigned)-1);
	fake_vm_free(vm);
}

static void endless_level_interrupt_is_slowed_down(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);
	struct vcpu *v = vm->vcpu[0];
	unsigned n;

	set_entry(vm, 9, LEVEL | 0x51);
	ioapic_set_irq(vm, 0, 9, 1);
	for (n = 0; fake_take(v) == 0x51; n++) {
		expect_true(n <= 10000);
		fake_apic_write(v, APIC_EOI, 0);
	}
	expect_eq(n, 10000);
	fake_advance(9000000);
	expect_eq((unsigned)fake_take(v), (unsigned)-1);
	fake_advance(2000000);
	expect_eq(fake_take(v), 0x51);
	fake_vm_free(vm);
}

static void eoi_without_broadcast(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);
	struct vcpu *v = vm->vcpu[0];

	/* With the in-process IOAPIC there is no directed EOI: the bit cannot be set. */
	fake_apic_write(v, APIC_SPIV, 0x1ff | APIC_SPIV_NO_EOI_BROADCAST);
	expect_eq(fake_apic_read(v, APIC_SPIV), 0x1ff);
	fake_vm_free(vm);
}

static void state_goes_out_and_in(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1), *other = fake_machine(IRQCHIP_KERNEL, 1);
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	set_entry(vm, 9, LEVEL | MASKED | 0x51);
	set_entry(vm, 4, 0x34);
	ioapic_set_irq(vm, 0, 9, 1);
	ioapic_set_irq(vm, 0, 4, 1);
	expect_eq(irqchip_get(vm, &chip), 0);
	expect_eq(chip.chip.ioapic.irr, 1u << 9); /* the edge has been delivered */
	expect_eq(chip.chip.ioapic.base_address, BASE);
	chip.chip.ioapic.redirtbl[9].bits &= ~MASKED;
	expect_eq(irqchip_set(other, &chip), 0);
	expect_eq(entry(other, 4), 0x34);
	expect_eq(fake_take(other->vcpu[0]), 0x51);
	fake_vm_free(vm);
	fake_vm_free(other);
}

int chip_ioapic_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers),
		cmocka_unit_test(edge_interrupt),
		cmocka_unit_test(level_interrupt_repeats_until_lowered),
		cmocka_unit_test(masked_level_interrupt_comes_when_unmasked),
		cmocka_unit_test(edge_mode_clears_remote_irr),
		cmocka_unit_test(destinations),
		cmocka_unit_test(lowest_priority_goes_round),
		cmocka_unit_test(nmi_and_extint_delivery),
		cmocka_unit_test(endless_level_interrupt_is_slowed_down),
		cmocka_unit_test(eoi_without_broadcast),
		cmocka_unit_test(state_goes_out_and_in),
	};

	return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
