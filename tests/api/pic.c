/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The two 8259s: programmed through their ports, raised by KVM_IRQ_LINE. */
#include <errno.h>

#include "../lib/chips.h"
#include "../lib/guest.h"

/* ICW1-4 of both chips: vectors 0x20 and 0x28, cascade on 2; the masks arrive in BL and BH. */
#define PIC_INIT                                                                                                       \
	"mov al, 0x11\n out 0x20, al\n out 0xa0, al\n"                                                                 \
	"mov al, 0x20\n out 0x21, al\n mov al, 0x28\n out 0xa1, al\n"                                                  \
	"mov al, 4\n out 0x21, al\n mov al, 2\n out 0xa1, al\n"                                                        \
	"mov al, 1\n out 0x21, al\n out 0xa1, al\n"                                                                    \
	"mov al, bl\n out 0x21, al\n mov al, bh\n out 0xa1, al\n"

/* Then wait for events with interrupts on; EOI to both chips after every one is the test's wish. */
GUEST(pic_wait, 64, PIC_INIT "out 0x80, al\n 1: sti\n nop\n nop\n cli\n out 0x81, al\n jmp 1b\n");
GUEST(pic_eoi, 64,
      PIC_INIT "out 0x80, al\n"
	       "1: sti\n nop\n nop\n cli\n mov al, 0x20\n out 0xa0, al\n out 0x20, al\n out 0x81, al\n jmp 1b\n");

static struct cpu *start(struct guest_code code, uint8_t master_mask, uint8_t slave_mask)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	struct kvm_regs regs;

	lapic_enable(cpu);
	guest_start(cpu, GUEST_LONG, code);
	guest_log(cpu->machine)->silent = 1;
	regs = cpu_regs(cpu);
	regs.rbx = (uint64_t)slave_mask << 8 | master_mask;
	cpu_set_regs(cpu, &regs);
	cpu_run_to_out(cpu, 0x80);
	return cpu;
}

static void expect_event(struct cpu *cpu, uint64_t number, uint64_t vector)
{
	cpu_run_to_out(cpu, 0x81);
	check_eq(guest_log(cpu->machine)->count, number);
	check_eq(guest_log(cpu->machine)->event[(number - 1) & 15].vector, vector);
}

static void expect_none(struct cpu *cpu, uint64_t count)
{
	cpu_run_to_out(cpu, 0x81);
	check_eq(guest_log(cpu->machine)->count, count);
}

static struct kvm_pic_state pic_state(struct cpu *cpu, uint32_t id)
{
	struct kvm_irqchip chip = { .chip_id = id };

	check_ok(kt_ioctl(cpu->machine->vm, KVM_GET_IRQCHIP, &chip));
	return chip.chip.pic;
}

TEST(pic_edge)
{
	struct cpu *cpu = start(pic_eoi, 0, 0);

	irq_line(cpu->machine, 4, 1);
	expect_event(cpu, 1, 0x24);
	/* The line stays up: no second edge. */
	expect_none(cpu, 1);
	irq_line(cpu->machine, 4, 0);
	irq_line(cpu->machine, 4, 1);
	expect_event(cpu, 2, 0x24);
}

TEST(pic_cascade)
{
	struct cpu *cpu = start(pic_eoi, 0, 0);

	irq_line(cpu->machine, 12, 1);
	expect_event(cpu, 1, 0x2c);
	expect_none(cpu, 1);
}

TEST(pic_mask)
{
	struct cpu *cpu = start(pic_eoi, 0x10, 0);

	irq_line(cpu->machine, 4, 1);
	expect_none(cpu, 0);
	irq_line(cpu->machine, 3, 1);
	expect_event(cpu, 1, 0x23);
	check_eq(pic_state(cpu, KVM_IRQCHIP_PIC_MASTER).imr, 0x10);
	check_eq(pic_state(cpu, KVM_IRQCHIP_PIC_MASTER).irr & 0x10, 0x10);
}

TEST(pic_masked_cascade)
{
	struct cpu *cpu = start(pic_eoi, 0x04, 0);

	irq_line(cpu->machine, 12, 1);
	expect_none(cpu, 0);
}

TEST(pic_priority_and_missing_eoi)
{
	struct cpu *cpu = start(pic_wait, 0, 0);

	irq_line(cpu->machine, 4, 1);
	expect_event(cpu, 1, 0x24);
	check_eq(pic_state(cpu, KVM_IRQCHIP_PIC_MASTER).isr, 0x10);
	/* Lower priority than the one in service: waits. Higher: interrupts. */
	irq_line(cpu->machine, 6, 1);
	expect_none(cpu, 1);
	irq_line(cpu->machine, 1, 1);
	expect_event(cpu, 2, 0x21);
	check_eq(pic_state(cpu, KVM_IRQCHIP_PIC_MASTER).isr, 0x12);
}

TEST(pic_lowest_number_first)
{
	struct cpu *cpu = start(pic_eoi, 0, 0);

	irq_line(cpu->machine, 6, 1);
	irq_line(cpu->machine, 9, 1);
	irq_line(cpu->machine, 1, 1);
	/*
	 * The guest's window is three instructions long: one interrupt each time, in the order 1, 9
	 * (through 2), 6.
	 */
	expect_event(cpu, 1, 0x21);
	expect_event(cpu, 2, 0x29);
	expect_event(cpu, 3, 0x26);
}

GUEST(pic_level, 64,
      "mov edx, 0x4d0\n mov al, 0x20\n out dx, al\n" PIC_INIT "out 0x80, al\n"
      "1: sti\n nop\n nop\n cli\n mov al, 0x20\n out 0xa0, al\n out 0x20, al\n out 0x81, al\n jmp 1b\n");

/* ELCR makes line 5 level-triggered: as long as it is up, each EOI brings it again. */
TEST(pic_level_triggered)
{
	struct cpu *cpu = start(pic_level, 0, 0);

	check_eq(pic_state(cpu, KVM_IRQCHIP_PIC_MASTER).elcr, 0x20);
	irq_line(cpu->machine, 5, 1);
	expect_event(cpu, 1, 0x25);
	expect_event(cpu, 2, 0x25);
	irq_line(cpu->machine, 5, 0);
	expect_none(cpu, 2);
}

GUEST(pic_read, 64,
      PIC_INIT "out 0x80, al\n"
	       "in al, 0x21\n out 0x82, al\n"
	       "mov al, 0x0a\n out 0x20, al\n in al, 0x20\n out 0x82, al\n"
	       "mov al, 0x0b\n out 0x20, al\n in al, 0x20\n out 0x82, al\n" DONE);

TEST(pic_read_registers)
{
	struct cpu *cpu = start(pic_read, 0xa4, 0);

	irq_line(cpu->machine, 5, 1);
	check_eq(cpu_run_to_out(cpu, 0x82), 0xa4);
	check_eq(cpu_run_to_out(cpu, 0x82), 0x20);
	check_eq(cpu_run_to_out(cpu, 0x82), 0);
	cpu_run_to_done(cpu);
}

TEST(pic_state_round_trip)
{
	struct cpu *cpu = start(pic_wait, 0x5a, 0xa5);
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	check_ok(kt_ioctl(cpu->machine->vm, KVM_GET_IRQCHIP, &chip));
	check_eq(chip.chip.pic.irq_base, 0x20);
	check_eq(chip.chip.pic.imr, 0x5a);
	check_eq(pic_state(cpu, KVM_IRQCHIP_PIC_SLAVE).irq_base, 0x28);
	check_eq(pic_state(cpu, KVM_IRQCHIP_PIC_SLAVE).imr, 0xa5);
	chip.chip.pic.imr = 0x77;
	chip.chip.pic.irq_base = 0x40;
	check_ok(kt_ioctl(cpu->machine->vm, KVM_SET_IRQCHIP, &chip));
	check_eq(pic_state(cpu, KVM_IRQCHIP_PIC_MASTER).imr, 0x77);
	check_eq(pic_state(cpu, KVM_IRQCHIP_PIC_MASTER).irq_base, 0x40);
	chip.chip_id = 3;
	check_error(kt_ioctl(cpu->machine->vm, KVM_GET_IRQCHIP, &chip), EINVAL);
	check_error(kt_ioctl(cpu->machine->vm, KVM_SET_IRQCHIP, &chip), EINVAL);
}

GUEST(pic_halt, 64, PIC_INIT "out 0x80, al\n sti\n hlt\n cli\n" DONE);

TEST(pic_wakes_a_halted_vcpu)
{
	struct cpu *cpu = start(pic_halt, 0, 0);

	irq_line(cpu->machine, 3, 1);
	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->event[0].vector, 0x23);
}

TEST(irqchip_creation_errors)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP), *without = machine_new(0);
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };
	struct kvm_irq_level line = { .irq = 1, .level = 1 };

	check_error(kt_ioctl(machine->vm, KVM_CREATE_IRQCHIP, NULL), EEXIST);
	check_error(kt_ioctl(without->vm, KVM_GET_IRQCHIP, &chip), ENXIO);
	check_error(kt_ioctl(without->vm, KVM_SET_IRQCHIP, &chip), ENXIO);
	check_error(kt_ioctl(without->vm, KVM_IRQ_LINE, &line), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_GET_IRQCHIP, NULL), EFAULT);
	check_error(kt_ioctl(machine->vm, KVM_IRQ_LINE, NULL), EFAULT);
	/* Too late once there is a vCPU. */
	cpu_new(without, 0);
	check_error(kt_ioctl(without->vm, KVM_CREATE_IRQCHIP, NULL), EINVAL);
}
