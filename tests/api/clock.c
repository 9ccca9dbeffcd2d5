/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* kvmclock and the statistics descriptor. */
#include <errno.h>
#include <linux/kvm_para.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/guest.h"

struct pvclock {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad2[2];
} __attribute__((packed));

/* Turn the clock on at 0x9000, then show the TSC at each stop. */
GUEST(clock_guest, 64,
      "mov ecx, 0x4b564d01\n mov eax, 0x9001\n xor edx, edx\n wrmsr\n"
      "1: rdtsc\n shl rdx, 32\n or rax, rdx\n mov [0x9100], rax\n out 0x80, al\n jmp 1b\n");

/* The guest's own arithmetic: nanoseconds from TSC by way of the page. */
static uint64_t clock_now(struct cpu *cpu)
{
	struct pvclock page;
	uint64_t tsc, delta;

	memcpy(&page, cpu->machine->mem + GUEST_DATA, sizeof(page));
	memcpy(&tsc, cpu->machine->mem + 0x9100, sizeof(tsc));
	check_eq(page.version & 1, 0);
	check(page.version != 0);
	check(page.tsc_to_system_mul != 0);
	delta = tsc - page.tsc_timestamp;
	delta = page.tsc_shift >= 0 ? delta << page.tsc_shift : delta >> -page.tsc_shift;
	return page.system_time + (uint64_t)((unsigned __int128)delta * page.tsc_to_system_mul >> 32);
}

TEST(kvmclock_page)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_clock_data data;
	uint64_t last = 0, value;

	guest_start(cpu, GUEST_LONG, clock_guest);
	for (int i = 0; i < 20; i++) {
		uint64_t now;

		cpu_run_to_out(cpu, 0x80);
		now = clock_now(cpu);
		check(now >= last);
		last = now;
	}
	/* The VM's clock is the same clock. */
	check_ok(kt_ioctl(cpu->machine->vm, KVM_GET_CLOCK, &data));
	check(data.clock + 1000000 >= last);
	check_eq(cpu_get_msr(cpu, 0x4b564d01, &value), 1);
	check_eq(value, 0x9001);
}

TEST(kvmclock_set_clock_moves_the_page)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_clock_data data;

	guest_start(cpu, GUEST_LONG, clock_guest);
	cpu_run_to_out(cpu, 0x80);
	memset(&data, 0, sizeof(data));
	data.clock = 1000000000000000ull;
	check_ok(kt_ioctl(cpu->machine->vm, KVM_SET_CLOCK, &data));
	cpu_run_to_out(cpu, 0x80);
	/* Within a millisecond below: the page's arithmetic rounds. */
	check(clock_now(cpu) + 1000000 >= data.clock);
}

/* The clock of a guest whose TSC hardly moves goes by its ticks. */
TEST(kvmclock_of_a_slow_tsc)
{
	static const unsigned int rates[] = { 1, 2, 3, 1000 };

	for (unsigned int i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct cpu *cpu = cpu_new(machine_new(0), 0);
		struct kvm_clock_data data;
		uint64_t tick = 1000000 / rates[i], now;

		if (kt_ioctl_int(cpu->kt, KVM_SET_TSC_KHZ, rates[i]) < 0)
			skip("the target does not scale the TSC");
		guest_start(cpu, GUEST_LONG, clock_guest);
		cpu_run_to_out(cpu, 0x80);
		now = clock_now(cpu);
		check_ok(kt_ioctl(cpu->machine->vm, KVM_GET_CLOCK, &data));
		check(now <= data.clock + 3 * tick);
	}
}

/* A pause is announced to the guest, which clears the flag itself. */
TEST(kvmclock_ctrl)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct pvclock page;

	REQUIRE_CAP(cpu->machine, KVM_CAP_KVMCLOCK_CTRL);
	guest_start(cpu, GUEST_LONG, clock_guest);
	check_error(kt_ioctl(cpu->kt, KVM_KVMCLOCK_CTRL, NULL), EINVAL);
	cpu_run_to_out(cpu, 0x80);
	check_ok(kt_ioctl(cpu->kt, KVM_KVMCLOCK_CTRL, NULL));
	cpu_run_to_out(cpu, 0x80);
	memcpy(&page, cpu->machine->mem + GUEST_DATA, sizeof(page));
	check(page.flags & 2);
}

GUEST(wall_clock, 64, "mov ecx, 0x4b564d00\n mov eax, 0x9000\n xor edx, edx\n wrmsr\n" DONE);

TEST(kvmclock_wall_clock)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint32_t wall[3];

	guest_start(cpu, GUEST_LONG, wall_clock);
	cpu_run_to_done(cpu);
	memcpy(wall, cpu->machine->mem + GUEST_DATA, sizeof(wall));
	check(wall[0] != 0 && wall[0] % 2 == 0);
	check(wall[2] < 1000000000);
}

/* KVM_HC_VAPIC_POLL_IRQ, then an unknown number, by VMMCALL: KVM takes either vendor's instruction. */
GUEST(hypercalls, 64,
      "mov eax, 1\n call 1f\n mov [0x9000], rax\n mov eax, 1000\n call 1f\n mov [0x9008], rax\n" DONE
      "1: vmmcall\n ret\n");

TEST(hypercall_results)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint64_t *seen = (uint64_t *)(cpu->machine->mem + GUEST_DATA);

	guest_start(cpu, GUEST_LONG, hypercalls);
	cpu_run_to_done(cpu);
	check_eq(guest_log(cpu->machine)->count, 0);
	check_eq(seen[0], 0);
	check_eq(seen[1], -(uint64_t)KVM_ENOSYS);
}

GUEST(many_exits, 64, "mov ecx, 10\n 1: out 0x80, al\n dec ecx\n jnz 1b\n" DONE);

TEST(y2006_exit_counters)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint64_t exits, io_exits;
	bool found;

	REQUIRE_CAP(cpu->machine, KVM_CAP_BINARY_STATS_FD);
	guest_start(cpu, GUEST_LONG, many_exits);
	for (int i = 0; i < 10; i++)
		cpu_run_to_out(cpu, 0x80);
	cpu_run_to_done(cpu);
	exits = stat_value(cpu->kt, "exits", &found);
	check(found);
	check(exits >= 11);
	io_exits = stat_value(cpu->kt, "io_exits", &found);
	check(found);
	check(io_exits >= 11);
	stat_value(cpu->kt, "signal_exits", &found);
	check(found);
	stat_value(cpu->kt, "halt_exits", &found);
	check(found);
}

TEST(stats_of_the_vm)
{
	struct machine *machine = machine_new(0);
	bool found;

	REQUIRE_CAP(machine, KVM_CAP_BINARY_STATS_FD);
	stat_value(machine->vm, "remote_tlb_flush", &found);
	check(found);
}

TEST(cap_enable_errors)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_enable_cap enable = { .cap = 100000 };

	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), EINVAL);
	check_error(kt_ioctl(cpu->kt, KVM_ENABLE_CAP, &enable), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, NULL), EFAULT);
	enable.cap = KVM_CAP_SPLIT_IRQCHIP;
	enable.args[0] = 24;
	/* Too late: there is a vCPU. */
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), EEXIST);
}

TEST(cap_halt_poll)
{
	struct machine *machine = machine_new(0);

	REQUIRE_CAP(machine, KVM_CAP_HALT_POLL);
	machine_enable_cap(machine, KVM_CAP_HALT_POLL, 0);
	machine_enable_cap(machine, KVM_CAP_HALT_POLL, 200000);
}

TEST(mce_setup)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint64_t caps = 0;

	check_ok(kt_ioctl(cpu->machine->sys, KVM_X86_GET_MCE_CAP_SUPPORTED, &caps));
	check(caps & 1ull << 8);
	caps |= 10;
	check_ok(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, &caps));
	caps = 200;
	check_error(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, &caps), EINVAL);
	caps = 0;
	check_error(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, &caps), EINVAL);
	check_error(kt_ioctl(cpu->kt, KVM_X86_SETUP_MCE, NULL), EFAULT);
}

TEST(tss_and_identity_map_addresses)
{
	struct machine *machine = machine_new(0);
	uint64_t address = 0xfeffc000;

	check_ok(kt_ioctl_int(machine->vm, KVM_SET_TSS_ADDR, 0xfffbd000));
	check_error(kt_ioctl_int(machine->vm, KVM_SET_TSS_ADDR, 0xfffffffful), EINVAL);
	check_ok(kt_ioctl(machine->vm, KVM_SET_IDENTITY_MAP_ADDR, &address));
	check_error(kt_ioctl(machine->vm, KVM_SET_IDENTITY_MAP_ADDR, NULL), EFAULT);
	cpu_new(machine, 0);
	check_error(kt_ioctl(machine->vm, KVM_SET_IDENTITY_MAP_ADDR, &address), EINVAL);
}

TEST(vapic_and_tpr_access_reporting)
{
	struct cpu *with = cpu_new(machine_new(MACHINE_IRQCHIP), 0);
	struct cpu *without = cpu_new(machine_new(0), 0);
	struct kvm_vapic_addr address = { .vapic_addr = 0x9000 };
	struct kvm_tpr_access_ctl control = { .enabled = 1 };

	check_ok(kt_ioctl(with->kt, KVM_TPR_ACCESS_REPORTING, &control));
	check_ok(kt_ioctl(with->kt, KVM_SET_VAPIC_ADDR, &address));
	check_error(kt_ioctl(without->kt, KVM_SET_VAPIC_ADDR, &address), EINVAL);
	check_error(kt_ioctl(with->kt, KVM_TPR_ACCESS_REPORTING, NULL), EFAULT);
}
