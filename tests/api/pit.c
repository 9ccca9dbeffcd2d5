/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The 8254 and the speaker port. */
#include <errno.h>
#include <string.h>

#include "../lib/chips.h"
#include "../lib/guest.h"

static struct cpu *start(struct guest_code code)
{
	struct cpu *cpu = cpu_new(machine_new(MACHINE_PIT), 0);

	lapic_enable(cpu);
	/* Without a table from user space GSI 0 is the IOAPIC's pin 0 (and the PIC's). */
	ioapic_redirect(cpu->machine, 0, 0x30);
	guest_start(cpu, GUEST_LONG, code);
	guest_log(cpu->machine)->silent = 1;
	guest_log(cpu->machine)->eoi = 1;
	return cpu;
}

/* Channel 0, mode 2, about 1 kHz: five ticks. On a slow host there may be no time for anything but the handler. */
GUEST(ticks, 64,
      "mov al, 0x34\n out 0x43, al\n mov al, 0xa9\n out 0x40, al\n mov al, 0x04\n out 0x40, al\n"
      "sti\n 1: hlt\n jmp 1b\n");

TEST(pit_channel0_ticks)
{
	struct cpu *cpu = start(ticks);

	guest_log(cpu->machine)->silent = 0;
	for (int i = 0; i < 5; i++)
		cpu_run_to_out(cpu, PORT_EVENT);
	check_eq(guest_log(cpu->machine)->count, 5);
	check_eq(guest_log(cpu->machine)->event[4].vector, 0x30);
}

/* Channel 2, mode 0, gated by port 0x61 bit 0: bit 5 rises when the count is through. */
GUEST(channel2, 64,
      "in al, 0x61\n and al, 0xfc\n out 0x61, al\n"
      "mov al, 0xb0\n out 0x43, al\n mov al, 0x00\n out 0x42, al\n mov al, 0x10\n out 0x42, al\n"
      "in al, 0x61\n out 0x80, al\n"
      "or al, 1\n out 0x61, al\n"
      "1: in al, 0x61\n test al, 0x20\n jz 1b\n out 0x80, al\n" DONE);

TEST(pit_channel2_and_speaker_port)
{
	struct cpu *cpu = start(channel2);

	check_eq(cpu_run_to_out(cpu, 0x80) & 0x23, 0);
	check_eq(cpu_run_to_out(cpu, 0x80) & 0x21, 0x21);
	cpu_run_to_done(cpu);
}

/* The latch command freezes what is read; the counter moves on. */
GUEST(latch, 64,
      "mov al, 0x34\n out 0x43, al\n xor eax, eax\n out 0x40, al\n out 0x40, al\n"
      "xor ebx, ebx\n"
      "1: mov al, 0x00\n out 0x43, al\n in al, 0x40\n mov cl, al\n in al, 0x40\n mov ch, al\n"
      "mov al, 0x00\n out 0x43, al\n in al, 0x40\n mov dl, al\n in al, 0x40\n mov dh, al\n"
      "cmp cx, dx\n je 1b\n" DONE);

TEST(pit_counter_counts)
{
	struct cpu *cpu = start(latch);

	cpu_run_to_done(cpu);
}

TEST(pit_state_round_trip)
{
	struct machine *machine = machine_new(MACHINE_PIT);
	struct kvm_pit_state2 state, back;

	REQUIRE_CAP(machine, KVM_CAP_PIT_STATE2);
	check_ok(kt_ioctl(machine->vm, KVM_GET_PIT2, &state));
	check_eq(state.flags & ~KVM_PIT_FLAGS_SPEAKER_DATA_ON & ~KVM_PIT_FLAGS_HPET_LEGACY, 0);
	state.channels[1].mode = 2;
	state.channels[1].count = 0x1234;
	state.channels[2].bcd = 0;
	state.channels[2].mode = 3;
	state.channels[2].count = 0x4321;
	check_ok(kt_ioctl(machine->vm, KVM_SET_PIT2, &state));
	check_ok(kt_ioctl(machine->vm, KVM_GET_PIT2, &back));
	check_eq(back.channels[1].mode, 2);
	check_eq(back.channels[1].count, 0x1234);
	check_eq(back.channels[2].mode, 3);
	check_eq(back.channels[2].count, 0x4321);
	check_error(kt_ioctl(machine->vm, KVM_GET_PIT2, NULL), EFAULT);
	check_error(kt_ioctl(machine->vm, KVM_SET_PIT2, NULL), EFAULT);
}

TEST(pit_old_state_ioctls)
{
	struct machine *machine = machine_new(MACHINE_PIT);
	struct kvm_pit_state state;

	check_ok(kt_ioctl(machine->vm, KVM_GET_PIT, &state));
	state.channels[2].mode = 2;
	state.channels[2].count = 0x777;
	check_ok(kt_ioctl(machine->vm, KVM_SET_PIT, &state));
	check_ok(kt_ioctl(machine->vm, KVM_GET_PIT, &state));
	check_eq(state.channels[2].count, 0x777);
}

TEST(pit_creation_errors)
{
	struct machine *with = machine_new(MACHINE_PIT), *without = machine_new(0);
	struct kvm_pit_config config = { .flags = 0 };
	struct kvm_pit_state2 state;
	int ret;

	check_error(kt_ioctl(with->vm, KVM_CREATE_PIT2, &config), EEXIST);
	check_error(kt_ioctl(without->vm, KVM_GET_PIT2, &state), ENXIO);
	/* Linux 6.1 makes a PIT without PIC, later ones refuse. */
	ret = kt_ioctl(without->vm, KVM_CREATE_PIT2, &config);
	check(ret == 0 || ret == -ENOENT);
	check_error(kt_ioctl(without->vm, KVM_CREATE_PIT2, NULL), EFAULT);
}

TEST(pit_reinject_control)
{
	struct machine *with = machine_new(MACHINE_PIT), *without = machine_new(0);
	struct kvm_reinject_control control = { .pit_reinject = 0 };

	check_ok(kt_ioctl(with->vm, KVM_REINJECT_CONTROL, &control));
	control.pit_reinject = 1;
	check_ok(kt_ioctl(with->vm, KVM_REINJECT_CONTROL, &control));
	check_error(kt_ioctl(without->vm, KVM_REINJECT_CONTROL, &control), ENXIO);
}
