/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* GSI routing, messages, irqfds, the split irqchip: what <linux/kvm.h> promises. */
#include <sys/eventfd.h>
#include <unistd.h>
#include "unit.h"
#include "chip_fake.h"
#include "chip_tests.h"

#define MSI_ADDRESS 0xfee00000u

static void unmask(struct vm *vm, unsigned pin, u32 low)
{
	fake_mmio_write(vm, 0xfec00000, 0x10 + 2 * pin);
	fake_mmio_write(vm, 0xfec00010, low);
}

static struct kvm_irq_routing_entry to_chip(u32 gsi, u32 chip, u32 pin)
{
	struct kvm_irq_routing_entry e = { .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP };

	e.u.irqchip.irqchip = chip;
	e.u.irqchip.pin = pin;
	return e;
}

static struct kvm_irq_routing_entry to_msi(u32 gsi, u32 address, u32 data)
{
	struct kvm_irq_routing_entry e = { .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI };

	e.u.msi.address_lo = address;
	e.u.msi.data = data;
	return e;
}

static void creation(void **state)
{
	struct vm *vm = fake_vm(IRQCHIP_KERNEL, 0);

	expect_error(irqchip_create(vm), EEXIST);
	expect_error(irqchip_split(vm, 24), EEXIST);
	fake_vm_free(vm);
}

static void default_routes(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);
	unsigned gsi;

	for (gsi = 0; gsi < 24; gsi++) {
		unmask(vm, gsi, 0x40 + gsi);
		expect_true(irq_set_line(vm, 0, gsi, 1) > 0);
		expect_eq(fake_take(vm->vcpu[0]), 0x40 + gsi);
		fake_apic_write(vm->vcpu[0], APIC_EOI, 0);
	}
	fake_out(vm, 0xa0, 0x0a);
	expect_eq(fake_in(vm, 0xa0), 0xff); /* the ISA ones reached the PICs too */
	expect_error(irq_set_line(vm, 0, 24, 1), 1);
	expect_error(irq_set_line(vm, 0, ~0u, 1), 1);
	fake_vm_free(vm);
}

static void bad_tables(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);
	struct kvm_irq_routing_entry e[2] = { to_chip(5, KVM_IRQCHIP_IOAPIC, 5), to_chip(5, KVM_IRQCHIP_IOAPIC, 6) };

	expect_error(irq_set_routing(vm, e, 2, 0), EINVAL); /* one chip twice */
	expect_error(irq_set_routing(vm, e, 1, 1), EINVAL); /* flags */
	e[1] = to_msi(5, MSI_ADDRESS, 0x41);
	expect_error(irq_set_routing(vm, e, 2, 0), EINVAL); /* pin and message */
	e[0] = to_chip(5, KVM_IRQCHIP_IOAPIC, 24);
	expect_error(irq_set_routing(vm, e, 1, 0), EINVAL);
	e[0] = to_chip(5, KVM_IRQCHIP_PIC_SLAVE, 8);
	expect_error(irq_set_routing(vm, e, 1, 0), EINVAL);
	e[0] = to_chip(5, 3, 0);
	expect_error(irq_set_routing(vm, e, 1, 0), EINVAL);
	e[0] = to_chip(4096, KVM_IRQCHIP_IOAPIC, 0);
	expect_error(irq_set_routing(vm, e, 1, 0), EINVAL);
	e[0] = to_chip(5, KVM_IRQCHIP_IOAPIC, 0);
	e[0].flags = 1;
	expect_error(irq_set_routing(vm, e, 1, 0), EINVAL);
	e[0] = to_msi(5, MSI_ADDRESS, 0x41);
	e[0].flags = KVM_MSI_VALID_DEVID;
	expect_eq(irq_set_routing(vm, e, 1, 0), 0);
	e[0].flags = 2;
	expect_error(irq_set_routing(vm, e, 1, 0), EINVAL);
	e[0].type = 77;
	expect_error(irq_set_routing(vm, e, 1, 0), EINVAL);
	/* The last good table is still in force. */
	expect_eq(irq_set_line(vm, 0, 5, 1), 1);
	expect_eq(irq_set_routing(vm, NULL, 0, 0), 0);
	expect_error(irq_set_line(vm, 0, 5, 1), 1);
	fake_vm_free(vm);
}

static void messages(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 2);
	struct kvm_msi msi = { .address_lo = MSI_ADDRESS | 1 << 12, .data = 0x61 };
	struct kvm_irq_routing_entry e = to_msi(100, MSI_ADDRESS, 0x62);

	expect_eq(irq_send_msi(vm, &msi), 1);
	expect_eq(fake_take(vm->vcpu[1]), 0x61);
	msi.address_lo = MSI_ADDRESS | 9 << 12;
	expect_eq(irq_send_msi(vm, &msi), 0); /* to nobody */
	msi.flags = 2;
	expect_error(irq_send_msi(vm, &msi), EINVAL);
	expect_eq(irq_set_routing(vm, &e, 1, 0), 0);
	expect_eq(irq_set_line(vm, 0, 100, 1), 1);
	expect_eq(fake_take(vm->vcpu[0]), 0x62);
	expect_error(irq_set_line(vm, 0, 100, 0), 1);
	/* With 32-bit ids the low byte of the upper address must be clear. */
	vm->x2apic_flags = KVM_X2APIC_API_USE_32BIT_IDS;
	e.u.msi.address_hi = 1;
	expect_error(irq_set_routing(vm, &e, 1, 0), EINVAL);
	fake_vm_free(vm);
}

/* The watcher is a thread. */
static bool soon(struct vcpu *v)
{
	unsigned i;

	for (i = 0; i < 2000 && !irq_pending(v); i++)
		usleep(1000);
	return irq_pending(v);
}

static void irqfd_raises_an_edge(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);
	struct kvm_irqfd irqfd = { .fd = (u32)eventfd(0, 0), .gsi = 5 };
	struct kvm_irqfd other = { .fd = (u32)eventfd(1, 0), .gsi = 6 };
	const u64 one = 1;

	unmask(vm, 5, 0x45);
	expect_eq(irqfd_assign(vm, &irqfd), 0);
	expect_error(irqfd_assign(vm, &irqfd), EBUSY);
	expect_eq(write((int)irqfd.fd, &one, 8), 8);
	expect_true(soon(vm->vcpu[0]));
	expect_eq(fake_take(vm->vcpu[0]), 0x45);
	fake_apic_write(vm->vcpu[0], APIC_EOI, 0);
	expect_eq(write((int)irqfd.fd, &one, 8), 8);
	expect_true(soon(vm->vcpu[0]));
	fake_take(vm->vcpu[0]);
	fake_apic_write(vm->vcpu[0], APIC_EOI, 0);
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	irqfd.gsi = 6;
	expect_eq(irqfd_assign(vm, &irqfd), 0); /* not this one: no change, no error */
	irqfd.gsi = 5;
	expect_eq(irqfd_assign(vm, &irqfd), 0);
	expect_eq(write((int)irqfd.fd, &one, 8), 8);
	/* The one watcher has come by: for another eventfd. */
	unmask(vm, 6, 0x46);
	expect_eq(irqfd_assign(vm, &other), 0);
	expect_true(soon(vm->vcpu[0]));
	expect_eq(fake_take(vm->vcpu[0]), 0x46);
	fake_apic_write(vm->vcpu[0], APIC_EOI, 0);
	expect_true(!irq_pending(vm->vcpu[0]));
	irqfd.flags = 0;
	expect_eq(irqfd_assign(vm, &irqfd), 0); /* what was written meanwhile counts */
	expect_true(soon(vm->vcpu[0]));
	fake_vm_free(vm);
	close((int)irqfd.fd);
	close((int)other.fd);
}

static void irqfd_errors(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1), *split = fake_machine(IRQCHIP_SPLIT, 1);
	struct kvm_irqfd irqfd = { .fd = ~0u, .gsi = 5 };
	int p[2];

	expect_error(irqfd_assign(vm, &irqfd), EBADF);
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	expect_error(irqfd_assign(vm, &irqfd), EBADF);
	expect_eq(pipe(p), 0);
	irqfd.fd = (u32)p[0];
	irqfd.flags = 0;
	expect_error(irqfd_assign(vm, &irqfd), EINVAL);
	irqfd.fd = (u32)eventfd(0, 0);
	irqfd.flags = 4;
	expect_error(irqfd_assign(vm, &irqfd), EINVAL);
	irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
	irqfd.resamplefd = (u32)p[0];
	expect_error(irqfd_assign(vm, &irqfd), EINVAL);
	irqfd.resamplefd = irqfd.fd;
	expect_error(irqfd_assign(split, &irqfd), EINVAL);
	close(p[0]);
	close(p[1]);
	close((int)irqfd.fd);
	fake_vm_free(vm);
	fake_vm_free(split);
}

static void irqfd_resamples(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_KERNEL, 1);
	struct vcpu *v = vm->vcpu[0];
	struct kvm_irqfd irqfd = { .fd = (u32)eventfd(0, 0),
				   .gsi = 9,
				   .flags = KVM_IRQFD_FLAG_RESAMPLE,
				   .resamplefd = (u32)eventfd(0, EFD_NONBLOCK) };
	u64 val = 1;

	unmask(vm, 9, 1 << 15 | 0x59);
	expect_eq(irqfd_assign(vm, &irqfd), 0);
	expect_eq(write((int)irqfd.fd, &val, 8), 8);
	expect_true(soon(v));
	expect_eq(fake_take(v), 0x59);
	expect_error(read((int)irqfd.resamplefd, &val, 8), 1);
	fake_apic_write(v, APIC_EOI, 0);
	expect_eq(read((int)irqfd.resamplefd, &val, 8), 8); /* told, and the line is down */
	expect_true(!irq_pending(v));
	val = 1;
	expect_eq(write((int)irqfd.fd, &val, 8), 8);
	expect_true(soon(v));
	fake_take(v);
	/* Deassigned while raised: the line goes down with it. */
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	expect_eq(irqfd_assign(vm, &irqfd), 0);
	fake_apic_write(v, APIC_EOI, 0);
	expect_true(!irq_pending(v));
	fake_vm_free(vm);
	close((int)irqfd.fd);
	close((int)irqfd.resamplefd);
}

static void split_irqchip_reports_eois(void **state)
{
	struct vm *vm = fake_machine(IRQCHIP_SPLIT, 1);
	struct vcpu *v = vm->vcpu[0];
	struct kvm_irq_routing_entry e[3] = {
		to_msi(4, MSI_ADDRESS, 0x44),                      /* edge */
		to_msi(9, MSI_ADDRESS, 1 << 15 | 1 << 14 | 0x59),  /* level */
		to_msi(30, MSI_ADDRESS, 1 << 15 | 1 << 14 | 0x6a), /* level, but no pin of the IOAPIC */
	};
	struct kvm_irq_routing_entry chip = to_chip(1, KVM_IRQCHIP_IOAPIC, 1);
	unsigned i;

	expect_error(irq_set_routing(vm, &chip, 1, 0), EINVAL);
	expect_eq(irq_set_routing(vm, e, 3, 0), 0);
	for (i = 0; i < 3; i++) {
		expect_eq(irq_set_line(vm, 0, e[i].gsi, 1), 1);
		expect_eq(fake_take(v), e[i].u.msi.data & 0xff);
		v->requests = 0;
		fake_apic_write(v, APIC_EOI, 0);
		expect_eq(!!(v->requests & REQ_APIC), i == 1);
		expect_eq((unsigned)lapic_take_eoi_exit(v), i == 1 ? 0x59 : -1u);
		expect_eq((unsigned)lapic_take_eoi_exit(v), -1u);
	}
	/* The user-space IOAPIC may have the EOI register that goes with directed EOI. */
	fake_cpuid(v, BIT(21));
	lapic_reset(v, true);
	expect_eq(fake_apic_read(v, APIC_VERSION), 0x50014 | APIC_VERSION_DIRECTED_EOI);
	fake_vm_free(vm);
}

int chip_route_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creation),
		cmocka_unit_test(default_routes),
		cmocka_unit_test(bad_tables),
		cmocka_unit_test(messages),
		cmocka_unit_test(irqfd_raises_an_edge),
		cmocka_unit_test(irqfd_errors),
		cmocka_unit_test(irqfd_resamples),
		cmocka_unit_test(split_irqchip_reports_eois),
	};

	return cmocka_run_group_tests_name("routing", tests, NULL, NULL);
}
