/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* IOAPIC, GSI routing, MSI, irqfd. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <poll.h>
#include <unistd.h>

#include "../lib/chips.h"
#include "../lib/guest.h"

/* Waits with interrupts on, once for each KVM_RUN; EOI by the default handler if the log says so. */
GUEST(wait_events, 64, "1: sti\n nop\n nop\n cli\n out 0x81, al\n jmp 1b\n");

static struct cpu *start(unsigned int flags)
{
	struct cpu *cpu = cpu_new(machine_new(flags), 0);

	lapic_enable(cpu);
	guest_start(cpu, GUEST_LONG, wait_events);
	guest_log(cpu->machine)->silent = 1;
	guest_log(cpu->machine)->eoi = 1;
	return cpu;
}

/* One turn of the guest; the number of events so far. */
static uint64_t turn(struct cpu *cpu)
{
	cpu_run_to_out(cpu, 0x81);
	return guest_log(cpu->machine)->count;
}

static uint64_t last_vector(struct cpu *cpu)
{
	struct guest_event_log *log = guest_log(cpu->machine);

	return log->event[(log->count - 1) & 15].vector;
}

GUEST(ioapic_mmio, 64,
      "mov ebx, 0xfec00000\n"
      "mov dword ptr [rbx], 0\n mov eax, [rbx + 16]\n out 0x80, eax\n"
      "mov dword ptr [rbx], 1\n mov eax, [rbx + 16]\n out 0x80, eax\n"
      "mov dword ptr [rbx], 0x21\n mov dword ptr [rbx + 16], 0x03000000\n"
      "mov dword ptr [rbx], 0x20\n mov dword ptr [rbx + 16], 0x0000a077\n mov eax, [rbx + 16]\n out 0x80, eax\n"
      "mov dword ptr [rbx], 0x21\n mov eax, [rbx + 16]\n out 0x80, eax\n"
      "mov eax, [rbx]\n out 0x80, eax\n" DONE);

TEST(ioapic_registers_by_mmio)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_IRQCHIP), 0);

	guest_start(cpu, GUEST_LONG, ioapic_mmio);
	check_eq(cpu_run_to_out(cpu, 0x80) & 0xf0ffffff, 0);
	check_eq(cpu_run_to_out(cpu, 0x80), 0x00170011);
	check_eq(cpu_run_to_out(cpu, 0x80), 0x0000a077);
	check_eq(cpu_run_to_out(cpu, 0x80), 0x03000000);
	check_eq(cpu_run_to_out(cpu, 0x80), 0x21);
	cpu_run_to_done(cpu);
	check_eq(ioapic_entry(cpu->machine, 8), 0x030000000000a077);
}

TEST(ioapic_edge)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);

	ioapic_redirect(cpu->machine, 17, 0x55);
	irq_line(cpu->machine, 17, 1);
	check_eq(turn(cpu), 1);
	check_eq(last_vector(cpu), 0x55);
	check_eq(turn(cpu), 1);
	irq_line(cpu->machine, 17, 0);
	irq_line(cpu->machine, 17, 1);
	check_eq(turn(cpu), 2);
	check_eq(ioapic_entry(cpu->machine, 17) & IOAPIC_REMOTE_IRR, 0);
}

TEST(ioapic_mask)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);

	ioapic_redirect(cpu->machine, 17, 0x55 | IOAPIC_MASKED);
	irq_line(cpu->machine, 17, 1);
	check_eq(turn(cpu), 0);
}

TEST(ioapic_level_remote_irr_and_eoi)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);
	struct machine *machine = cpu->machine;

	guest_log(machine)->eoi = 0;
	ioapic_redirect(machine, 18, 0x56 | IOAPIC_LEVEL);
	irq_line(machine, 18, 1);
	check_eq(turn(cpu), 1);
	check_eq(last_vector(cpu), 0x56);
	check(ioapic_entry(machine, 18) & IOAPIC_REMOTE_IRR);
	check(lapic_bit(cpu, APIC_TMR, 0x56));
	check_eq(turn(cpu), 1);
	irq_line(machine, 18, 0);
	check(ioapic_entry(machine, 18) & IOAPIC_REMOTE_IRR);
}

GUEST(eoi_turns, 64,
      "mov ebx, 0xfee00000\n 1: sti\n nop\n nop\n cli\n out 0x81, al\n mov dword ptr [rbx + 0xb0], 0\n jmp 1b\n");

/* EOI clears remote IRR; the line still up brings the interrupt again, down it ends. */
TEST(ioapic_level_repeats_until_lowered)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);
	struct machine *machine = cpu->machine;

	guest_start(cpu, GUEST_LONG, eoi_turns);
	guest_log(machine)->eoi = 0;
	ioapic_redirect(machine, 18, 0x56 | IOAPIC_LEVEL);
	irq_line(machine, 18, 1);
	check_eq(turn(cpu), 1);
	check_eq(turn(cpu), 2);
	check_eq(turn(cpu), 3);
	irq_line(machine, 18, 0);
	check_eq(turn(cpu), 3);
	check_eq(ioapic_entry(machine, 18) & IOAPIC_REMOTE_IRR, 0);
}

TEST(ioapic_nmi_delivery)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);

	ioapic_redirect(cpu->machine, 19, 0x400);
	irq_line(cpu->machine, 19, 1);
	guest_log(cpu->machine)->eoi = 0;
	check_eq(turn(cpu), 1);
	check_eq(last_vector(cpu), 2);
}

TEST(ioapic_destinations)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);
	struct cpu *second = cpu_new(cpu->machine, 1);

	lapic_enable(second);
	ioapic_redirect(cpu->machine, 17, 0x61 | IOAPIC_DEST(1));
	irq_line(cpu->machine, 17, 1);
	check(!lapic_bit(cpu, APIC_IRR, 0x61));
	check(lapic_bit(second, APIC_IRR, 0x61));
	/* Physical broadcast. */
	ioapic_redirect(cpu->machine, 18, 0x62 | IOAPIC_DEST(0xff));
	irq_line(cpu->machine, 18, 1);
	check(lapic_bit(cpu, APIC_IRR, 0x62));
	check(lapic_bit(second, APIC_IRR, 0x62));
}

TEST(ioapic_state_round_trip)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	check_ok(kt_ioctl(machine->vm, KVM_GET_IRQCHIP, &chip));
	check_eq(chip.chip.ioapic.base_address, IOAPIC_BASE);
	for (int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		check_eq(chip.chip.ioapic.redirtbl[i].bits, IOAPIC_MASKED);
	chip.chip.ioapic.redirtbl[3].bits = 0x0100000000018033;
	chip.chip.ioapic.ioregsel = 0x12;
	check_ok(kt_ioctl(machine->vm, KVM_SET_IRQCHIP, &chip));
	check_eq(ioapic_entry(machine, 3), 0x0100000000018033);
}

TEST(irq_line_status)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);

	REQUIRE_CAP(cpu->machine, KVM_CAP_IRQ_INJECT_STATUS);
	ioapic_redirect(cpu->machine, 17, 0x55);
	check_eq(irq_line_status(cpu->machine, 17, 1), 1);
	/* Up already: no edge, merged with the one before. */
	check_eq(irq_line_status(cpu->machine, 17, 1), 0);
	irq_line_status(cpu->machine, 17, 0);
	check_eq(irq_line_status(cpu->machine, 17, 1), 1);
}

TEST(msi_signal)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);

	check_eq(signal_msi(cpu->machine, 0xfee00000, 0x71), 1);
	check_eq(turn(cpu), 1);
	check_eq(last_vector(cpu), 0x71);
	/* No such APIC: delivered to nobody. */
	check(signal_msi(cpu->machine, 0xfee05000, 0x72) <= 0);
	check_eq(turn(cpu), 1);
	check_error(kt_ioctl(cpu->machine->vm, KVM_SIGNAL_MSI, NULL), EFAULT);
}

TEST(msi_without_irqchip)
{
	check_error(signal_msi(machine_new(0), 0xfee00000, 0x50), EINVAL);
}

struct routing {
	struct kvm_irq_routing header;
	struct kvm_irq_routing_entry entries[4];
};

static int set_routing(struct machine *machine, struct routing *routing)
{
	return kt_ioctl(machine->vm, KVM_SET_GSI_ROUTING, routing);
}

static struct kvm_irq_routing_entry msi_route(uint32_t gsi, uint32_t data)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = 0xfee00000, .data = data },
	};
}

static struct kvm_irq_routing_entry pin_route(uint32_t gsi, uint32_t chip, uint32_t pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

TEST(routing_msi_and_pins)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);
	struct routing routing = { .header.nr = 2 };

	routing.entries[0] = msi_route(30, 0x75);
	routing.entries[1] = pin_route(31, KVM_IRQCHIP_IOAPIC, 17);
	check_ok(set_routing(cpu->machine, &routing));
	ioapic_redirect(cpu->machine, 17, 0x76);
	irq_line(cpu->machine, 30, 1);
	check_eq(turn(cpu), 1);
	check_eq(last_vector(cpu), 0x75);
	irq_line(cpu->machine, 31, 1);
	check_eq(turn(cpu), 2);
	check_eq(last_vector(cpu), 0x76);
	/* The new table replaced the default one: GSI 17 leads nowhere. */
	ioapic_redirect(cpu->machine, 18, 0x77);
	irq_line(cpu->machine, 18, 1);
	check_eq(turn(cpu), 2);
}

TEST(routing_errors)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP);
	struct routing routing = { .header.nr = 1 };

	routing.header.flags = 1;
	check_error(set_routing(machine, &routing), EINVAL);
	routing.header.flags = 0;
	routing.entries[0] = pin_route(5, 77, 0);
	check_error(set_routing(machine, &routing), EINVAL);
	routing.entries[0] = pin_route(5, KVM_IRQCHIP_IOAPIC, 24);
	check_error(set_routing(machine, &routing), EINVAL);
	routing.entries[0] = pin_route(5, KVM_IRQCHIP_PIC_MASTER, 8);
	check_error(set_routing(machine, &routing), EINVAL);
	routing.entries[0] = msi_route(5000, 1);
	check_error(set_routing(machine, &routing), EINVAL);
	routing.entries[0] = msi_route(5, 1);
	routing.entries[0].type = 99;
	check_error(set_routing(machine, &routing), EINVAL);
	routing.header.nr = 5000;
	check_error(set_routing(machine, &routing), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SET_GSI_ROUTING, NULL), EFAULT);
	routing.header.nr = 0;
	check_ok(set_routing(machine, &routing));
}

static int irqfd(struct machine *machine, int fd, uint32_t gsi, uint32_t flags, int resample)
{
	struct kvm_irqfd args = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = flags,
		.resamplefd = (uint32_t)resample,
	};

	return kt_ioctl(machine->vm, KVM_IRQFD, &args);
}

static void raise_eventfd(int fd)
{
	uint64_t one = 1;

	check_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

/* The eventfd is drained by the VM, at its own pace: wait until the interrupt is in the IRR. */
static void await_irr(struct cpu *cpu, unsigned int vector)
{
	while (!lapic_bit(cpu, APIC_IRR, vector))
		usleep(1000);
}

TEST(irqfd_edge)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t left;

	REQUIRE_CAP(cpu->machine, KVM_CAP_IRQFD);
	ioapic_redirect(cpu->machine, 17, 0x58);
	check_ok(irqfd(cpu->machine, fd, 17, 0, 0));
	raise_eventfd(fd);
	await_irr(cpu, 0x58);
	check_eq(turn(cpu), 1);
	check_eq(last_vector(cpu), 0x58);
	raise_eventfd(fd);
	await_irr(cpu, 0x58);
	check_eq(turn(cpu), 2);
	check_eq(read(fd, &left, sizeof(left)), -1);
	check_ok(irqfd(cpu->machine, fd, 17, KVM_IRQFD_FLAG_DEASSIGN, 0));
	raise_eventfd(fd);
	check_eq(turn(cpu), 2);
	check_eq(read(fd, &left, sizeof(left)), sizeof(left));
	close(fd);
}

TEST(irqfd_msi_route)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	check_ok(irq_route(cpu->machine, msi_route(40, 0x79)));
	check_ok(irqfd(cpu->machine, fd, 40, 0, 0));
	raise_eventfd(fd);
	await_irr(cpu, 0x79);
	check_eq(turn(cpu), 1);
	close(fd);
}

/* An eventfd that is already signalled when it is assigned raises the interrupt at once. */
TEST(irqfd_signalled_before_assign)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	ioapic_redirect(cpu->machine, 17, 0x58);
	check_ok(irqfd(cpu->machine, fd, 17, 0, 0));
	await_irr(cpu, 0x58);
	close(fd);
}

/* Level: stays up until the guest's EOI, which lowers it and signals the resample eventfd. */
TEST(irqfd_resample)
{
	struct cpu *cpu = start(MACHINE_IRQCHIP);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), resample = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd waiting = { .fd = resample, .events = POLLIN };

	REQUIRE_CAP(cpu->machine, KVM_CAP_IRQFD_RESAMPLE);
	guest_start(cpu, GUEST_LONG, eoi_turns);
	guest_log(cpu->machine)->eoi = 0;
	ioapic_redirect(cpu->machine, 20, 0x59 | IOAPIC_LEVEL);
	check_ok(irqfd(cpu->machine, fd, 20, KVM_IRQFD_FLAG_RESAMPLE, resample));
	raise_eventfd(fd);
	await_irr(cpu, 0x59);
	check_eq(turn(cpu), 1);
	check_eq(poll(&waiting, 1, 0), 0);
	check_eq(turn(cpu), 1);
	check_eq(poll(&waiting, 1, 10000), 1);
	check_eq(turn(cpu), 1);
	close(fd);
	close(resample);
}

TEST(irqfd_errors)
{
	struct machine *machine = machine_new(MACHINE_IRQCHIP), *without = machine_new(0);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	check_error(irqfd(machine, -1, 17, 0, 0), EBADF);
	check_error(irqfd(machine, 0, 17, 0, 0), EINVAL);
	check_error(irqfd(machine, fd, 17, 1u << 30, 0), EINVAL);
	check_error(irqfd(without, fd, 17, 0, 0), EINVAL);
	check_ok(irqfd(machine, fd, 17, 0, 0));
	check_error(irqfd(machine, fd, 17, 0, 0), EBUSY);
	check_error(kt_ioctl(machine->vm, KVM_IRQFD, NULL), EFAULT);
	close(fd);
}

/* User space's IOAPIC: an MSI route that is level-triggered reports its EOI. */
TEST(split_irqchip_reports_eoi)
{
	struct cpu *cpu = start(MACHINE_SPLIT);

	guest_start(cpu, GUEST_LONG, eoi_turns);
	guest_log(cpu->machine)->eoi = 0;
	check_ok(irq_route(cpu->machine, msi_route(5, 0x8000 | 0x5a)));
	check_eq(signal_msi(cpu->machine, 0xfee00000, 0x8000 | 0x5a), 1);
	check_eq(turn(cpu), 1);
	check_eq(last_vector(cpu), 0x5a);
	cpu_run_to(cpu, KVM_EXIT_IOAPIC_EOI);
	check_eq(cpu->run->eoi.vector, 0x5a);
	check_eq(turn(cpu), 1);
}
