/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The 8259A pair against its data sheet. */
#include "unit.h"
#include "chip_fake.h"
#include "chip_tests.h"

enum { MASTER = 0x20, SLAVE = 0xa0, ELCR = 0x4d0 };
enum { EOI = 0x20, READ_IRR = 0x0a, READ_ISR = 0x0b, POLL = 0x0c };

/* As a PC's firmware does: vectors 8 and 0x70 up, all unmasked. */
static void init_pair(struct vm *vm, u8 icw4)
{
	fake_out(vm, MASTER, 0x11);
	fake_out(vm, MASTER + 1, 0x08);
	fake_out(vm, MASTER + 1, 0x04);
	fake_out(vm, MASTER + 1, icw4);
	fake_out(vm, SLAVE, 0x11);
	fake_out(vm, SLAVE + 1, 0x70);
	fake_out(vm, SLAVE + 1, 0x02);
	fake_out(vm, SLAVE + 1, icw4);
	fake_out(vm, MASTER + 1, 0);
	fake_out(vm, SLAVE + 1, 0);
}

static struct vm *new_pair(u8 icw4)
{
	struct vm *vm = fake_vm(IRQCHIP_KERNEL, 1);

	init_pair(vm, icw4);
	return vm;
}

static void pulse(struct vm *vm, unsigned pin)
{
	pic_set_irq(vm, 0, pin, 1);
	pic_set_irq(vm, 0, pin, 0);
}

static u8 read_reg(struct vm *vm, u16 port, u8 ocw3)
{
	fake_out(vm, port, ocw3);
	return fake_in(vm, port);
}

static void edge_is_latched_until_acknowledged(void **state)
{
	struct vm *vm = new_pair(1);

	expect_true(!pic_output(vm));
	pulse(vm, 3);
	expect_true(pic_output(vm));
	expect_eq(read_reg(vm, MASTER, READ_IRR), 0x08);
	expect_eq(pic_acknowledge(vm), 0x0b);
	expect_true(!pic_output(vm));
	expect_eq(read_reg(vm, MASTER, READ_IRR), 0);
	expect_eq(read_reg(vm, MASTER, READ_ISR), 0x08);
	fake_out(vm, MASTER, EOI);
	expect_eq(read_reg(vm, MASTER, READ_ISR), 0);
	fake_vm_free(vm);
}

static void level_stays_until_lowered(void **state)
{
	struct vm *vm = new_pair(1);

	fake_out(vm, ELCR + 1, 0xff);
	expect_eq(fake_in(vm, ELCR + 1), 0xde); /* the RTC and FPU pins are edges for ever */
	fake_out(vm, ELCR, 0xff);
	expect_eq(fake_in(vm, ELCR), 0xf8);
	pic_set_irq(vm, 0, 11, 1);
	expect_eq(pic_acknowledge(vm), 0x73);
	fake_out(vm, SLAVE, EOI);
	fake_out(vm, MASTER, EOI);
	expect_true(pic_output(vm));
	expect_eq(pic_acknowledge(vm), 0x73);
	pic_set_irq(vm, 0, 11, 0);
	fake_out(vm, SLAVE, EOI);
	fake_out(vm, MASTER, EOI);
	expect_true(!pic_output(vm));
	fake_vm_free(vm);
}

static void line_is_or_of_its_sources(void **state)
{
	struct vm *vm = new_pair(1);

	fake_out(vm, ELCR, 0x20);
	pic_set_irq(vm, IRQ_SOURCE_USER, 5, 1);
	pic_set_irq(vm, IRQ_SOURCE_RESAMPLE, 5, 1);
	pic_set_irq(vm, IRQ_SOURCE_USER, 5, 0);
	expect_true(pic_output(vm));
	pic_set_irq(vm, IRQ_SOURCE_RESAMPLE, 5, 0);
	expect_true(!pic_output(vm));
	fake_vm_free(vm);
}

static void priorities_and_nesting(void **state)
{
	struct vm *vm = new_pair(1);

	pulse(vm, 5);
	pulse(vm, 1);
	expect_eq(pic_acknowledge(vm), 0x09);
	expect_true(!pic_output(vm)); /* 5 waits for the EOI of 1 */
	pulse(vm, 0);
	expect_true(pic_output(vm)); /* 0 does not */
	expect_eq(pic_acknowledge(vm), 0x08);
	fake_out(vm, MASTER, EOI);
	fake_out(vm, MASTER, EOI);
	expect_eq(pic_acknowledge(vm), 0x0d);
	fake_vm_free(vm);
}

static void spurious_interrupts(void **state)
{
	struct vm *vm = new_pair(1);

	expect_eq(pic_acknowledge(vm), 0x0f);
	expect_eq(read_reg(vm, MASTER, READ_ISR), 0);
	/* The slave asks, then its line is gone: the cascade pin is in service, the slave answers 7. */
	fake_out(vm, ELCR + 1, 0x04);
	pic_set_irq(vm, 0, 10, 1);
	pic_set_irq(vm, 0, 10, 0);
	expect_eq(pic_acknowledge(vm), 0x77);
	expect_eq(read_reg(vm, MASTER, READ_ISR), 0x04);
	expect_eq(read_reg(vm, SLAVE, READ_ISR), 0);
	fake_vm_free(vm);
}

static void rotation(void **state)
{
	struct vm *vm = new_pair(1);

	pulse(vm, 3);
	expect_eq(pic_acknowledge(vm), 0x0b);
	fake_out(vm, MASTER, 0xa0); /* rotate on non-specific EOI: 3 becomes the lowest */
	pulse(vm, 3);
	pulse(vm, 4);
	pulse(vm, 0);
	expect_eq(pic_acknowledge(vm), 0x0c);
	fake_out(vm, MASTER, EOI);
	expect_eq(pic_acknowledge(vm), 0x08);
	fake_out(vm, MASTER, EOI);
	expect_eq(pic_acknowledge(vm), 0x0b);
	fake_out(vm, MASTER, 0xe3);     /* rotate on specific EOI of 3 */
	fake_out(vm, MASTER, 0xc0 | 7); /* set priority: 7 the lowest again */
	pulse(vm, 1);
	pulse(vm, 4);
	expect_eq(pic_acknowledge(vm), 0x09);
	fake_vm_free(vm);
}

static void auto_eoi_and_its_rotation(void **state)
{
	struct vm *vm = new_pair(3);

	pulse(vm, 2 + 8);
	expect_eq(pic_acknowledge(vm), 0x72);
	expect_eq(read_reg(vm, SLAVE, READ_ISR), 0);
	expect_eq(read_reg(vm, MASTER, READ_ISR), 0);
	fake_out(vm, MASTER, 0x80);
	pulse(vm, 0);
	expect_eq(pic_acknowledge(vm), 0x08);
	pulse(vm, 0);
	pulse(vm, 6);
	expect_eq(pic_acknowledge(vm), 0x0e);
	fake_vm_free(vm);
}

static void special_mask_lets_lower_priorities_through(void **state)
{
	struct vm *vm = new_pair(1);

	pulse(vm, 1);
	expect_eq(pic_acknowledge(vm), 0x09);
	pulse(vm, 6);
	expect_true(!pic_output(vm));
	fake_out(vm, MASTER + 1, 0x02);
	expect_true(!pic_output(vm));
	fake_out(vm, MASTER, 0x68);
	expect_true(pic_output(vm));
	expect_eq(pic_acknowledge(vm), 0x0e);
	fake_out(vm, MASTER, 0x48);
	fake_vm_free(vm);
}

static void special_fully_nested_slave(void **state)
{
	struct vm *vm = new_pair(1);

	pulse(vm, 12);
	expect_eq(pic_acknowledge(vm), 0x74);
	pulse(vm, 8);
	expect_true(!pic_output(vm)); /* the cascade pin is in service */
	fake_vm_free(vm);
	vm = new_pair(0x11);
	pulse(vm, 12);
	expect_eq(pic_acknowledge(vm), 0x74);
	pulse(vm, 8);
	expect_true(pic_output(vm));
	expect_eq(pic_acknowledge(vm), 0x70);
	fake_vm_free(vm);
}

static void polling_acknowledges(void **state)
{
	struct vm *vm = new_pair(1);

	fake_out(vm, MASTER, POLL);
	expect_eq(fake_in(vm, MASTER), 0);
	pulse(vm, 6);
	fake_out(vm, MASTER, POLL);
	expect_eq(fake_in(vm, MASTER), 0x86);
	expect_true(!pic_output(vm));
	expect_eq(read_reg(vm, MASTER, READ_ISR), 0x40);
	fake_vm_free(vm);
}

static void mask_register(void **state)
{
	struct vm *vm = new_pair(1);

	fake_out(vm, MASTER + 1, 0x10);
	expect_eq(fake_in(vm, MASTER + 1), 0x10);
	expect_error(pic_set_irq(vm, 0, 4, 1), 1);
	expect_true(!pic_output(vm));
	fake_out(vm, MASTER + 1, 0);
	expect_true(pic_output(vm));
	fake_vm_free(vm);
}

static void initialization_forgets_edges(void **state)
{
	struct vm *vm = new_pair(1);

	pulse(vm, 4);
	expect_true(pic_output(vm));
	fake_out(vm, MASTER, 0x11);
	expect_true(!pic_output(vm));
	expect_eq(fake_in(vm, MASTER + 1), 0); /* IMR cleared */
	fake_vm_free(vm);
}

static void output_wakes_vcpus_that_take_it(void **state)
{
	struct vm *vm = new_pair(1);
	struct vcpu *v = vm->vcpu[0];

	fake_kicks = 0;
	v->requests = 0;
	pulse(vm, 1);
	expect_eq(fake_kicks, 1);
	expect_true(v->requests & REQ_EVENT);
	expect_true(irq_pending(v));
	expect_eq(irq_acknowledge(v), 0x09);
	expect_true(!irq_pending(v));
	/* LINT0 masked: the PIC cannot reach this vCPU. */
	fake_apic_enable(v);
	fake_apic_write(v, APIC_LVT0, APIC_LVT_MASKED | 0x700);
	fake_out(vm, MASTER, EOI);
	pulse(vm, 1);
	expect_eq(fake_kicks, 1);
	expect_true(!irq_pending(v));
	fake_vm_free(vm);
}

static void state_goes_out_and_in(void **state)
{
	struct vm *vm = new_pair(1), *other = fake_vm(IRQCHIP_KERNEL, 1);
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	pulse(vm, 1);
	pic_acknowledge(vm);
	pulse(vm, 5);
	expect_eq(irqchip_get(vm, &chip), 0);
	expect_eq(chip.chip.pic.isr, 2);
	expect_eq(chip.chip.pic.irr, 0x20);
	expect_eq(chip.chip.pic.irq_base, 8);
	expect_eq(irqchip_set(other, &chip), 0);
	expect_true(!pic_output(other));
	fake_out(other, MASTER, EOI);
	expect_eq(pic_acknowledge(other), 0x0d);
	chip.chip_id = 3;
	expect_error(irqchip_get(vm, &chip), EINVAL);
	fake_vm_free(vm);
	fake_vm_free(other);
}

int chip_pic_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edge_is_latched_until_acknowledged),
		cmocka_unit_test(level_stays_until_lowered),
		cmocka_unit_test(line_is_or_of_its_sources),
		cmocka_unit_test(priorities_and_nesting),
		cmocka_unit_test(spurious_interrupts),
		cmocka_unit_test(rotation),
		cmocka_unit_test(auto_eoi_and_its_rotation),
		cmocka_unit_test(special_mask_lets_lower_priorities_through),
		cmocka_unit_test(special_fully_nested_slave),
		cmocka_unit_test(polling_acknowledges),
		cmocka_unit_test(mask_register),
		cmocka_unit_test(initialization_forgets_edges),
		cmocka_unit_test(output_wakes_vcpus_that_take_it),
		cmocka_unit_test(state_goes_out_and_in),
	};

	return cmocka_run_group_tests_name("pic", tests, NULL, NULL);
}
