/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Several vCPUs: interrupt destinations, shorthands, cross-modified code, logs of running guests. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "../lib/chips.h"
#include "../lib/guest.h"
#include "../lib/signals.h"

#define VCPUS 3u

/* vCPUs whose LAPICs have logical ids 1, 2 and 4 in the flat model. */
struct group {
	struct machine *machine;
	struct cpu *cpu[VCPUS];
};

static struct group group_new(void)
{
	struct group group = { .machine = machine_new(MACHINE_IRQCHIP) };
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	for (unsigned int i = 0; i < VCPUS; i++) {
		group.cpu[i] = cpu_new(group.machine, i);
		check_ok(kt_ioctl(group.cpu[i]->kt, KVM_SET_MP_STATE, &state));
		lapic_write(group.cpu[i], 0xe0, 0xffffffff);
		lapic_write(group.cpu[i], 0xd0, 1u << (24 + i));
		lapic_enable(group.cpu[i]);
	}
	return group;
}

/* Bit i: the vector is in vCPU i's IRR. */
static unsigned int receivers(struct group *group, unsigned int vector)
{
	unsigned int mask = 0;

	for (unsigned int i = 0; i < VCPUS; i++)
		mask |= (unsigned int)lapic_bit(group->cpu[i], APIC_IRR, vector) << i;
	return mask;
}

TEST(smp_msi_destinations)
{
	struct group group = group_new();

	/* Physical. */
	check_eq(signal_msi(group.machine, 0xfee01000, 0x50), 1);
	check_eq(receivers(&group, 0x50), 2);
	/* Logical, two of them. */
	check(signal_msi(group.machine, 0xfee05004, 0x51) > 0);
	check_eq(receivers(&group, 0x51), 5);
	/* Lowest priority: exactly one of the two. */
	check(signal_msi(group.machine, 0xfee0300c, 0x152) > 0);
	check(receivers(&group, 0x52) == 1 || receivers(&group, 0x52) == 2);
}

TEST(smp_ioapic_logical_destination)
{
	struct group group = group_new();

	ioapic_redirect(group.machine, 17, 0x55 | 1u << 11 | IOAPIC_DEST(6));
	irq_line(group.machine, 17, 1);
	check_eq(receivers(&group, 0x55), 6);
}

GUEST(shorthands, 64,
      "mov ebx, 0xfee00000\n"
      "mov dword ptr [rbx + 0x300], 0xc4061\n"
      "mov dword ptr [rbx + 0x300], 0x84062\n"
      "mov dword ptr [rbx + 0x310], 0x06000000\n mov dword ptr [rbx + 0x300], 0x4863\n"
      "mov dword ptr [rbx + 0x310], 0x02000000\n mov dword ptr [rbx + 0x300], 0x4400\n" DONE);

/* All but self, all, logical; and an NMI. */
TEST(smp_ipi_shorthands)
{
	struct group group = group_new();
	struct cpu *cpu = group.cpu[0];

	guest_start(cpu, GUEST_LONG, shorthands);
	cpu_run_to_done(cpu);
	check_eq(receivers(&group, 0x61), 6);
	check_eq(receivers(&group, 0x62), 7);
	check_eq(receivers(&group, 0x63), 6);
	check_eq(cpu_events(cpu).nmi.pending, 0);
	check_eq(cpu_events(group.cpu[2]).nmi.pending, 1);
}

/*
 * One vCPU calls a function for ever; the other rewrites its immediate operand again and again. Interrupts are enabled: Bochs
 * does not leave guests that spin without.
 */
GUEST(cross_modified, 64,
      "sti\n 1: mov ebx, 0x20000\n call rbx\n mov [0x9000], eax\n cmp byte ptr [0x9010], 0\n je 1b\n" DONE);
GUEST(cross_modifier, 64,
      "sti\n mov ecx, 1\n"
      "1: mov [0x20001], ecx\n 2: cmp [0x9000], ecx\n jne 2b\n inc ecx\n cmp ecx, 200\n jne 1b\n"
      "mov byte ptr [0x9010], 1\n" DONE);

static void *run_to_done(void *opaque)
{
	cpu_run_to_done((struct cpu *)opaque);
	return NULL;
}

TEST(smp_cross_modified_code)
{
	struct machine *machine = machine_new(0);
	struct cpu *writer = cpu_new(machine, 0), *caller = cpu_new(machine, 1);
	static const uint8_t function[] = { 0xb8, 0, 0, 0, 0, 0xc3 }; /* mov eax, imm32; ret */
	pthread_t thread;

	memcpy(machine->mem + 0x20000, function, sizeof(function));
	guest_start_at(caller, cross_modified, 0x3000);
	guest_start_at(writer, cross_modifier, 0x4000);
	check_eq(pthread_create(&thread, NULL, run_to_done, caller), 0);
	cpu_run_to_done(writer);
	pthread_join(thread, NULL);
	check_eq(*(uint32_t *)(machine->mem + GUEST_DATA), 199);
}

/* The guest rewrites the instruction right behind the store: it executes what it wrote. */
GUEST(self_modified, 64,
      "mov ecx, 100\n xor edx, edx\n"
      "1: lea rbx, [rip + 2f]\n mov [rbx + 1], ecx\n"
      "2: mov eax, 0\n add edx, eax\n dec ecx\n jnz 1b\n out 0xd0, eax\n");

TEST(smp_self_modified_code)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, self_modified);
	check_eq(cpu_run_to_done(cpu), 1);
	check_eq(cpu_regs(cpu).rdx, 5050);
}

/*
 * Pages are written by a running vCPU while their log is taken: in the end each is in some log. Each is written once, but may be
 * in two logs, if one is taken between the mark and the store that follows it.
 */
GUEST(dirty_writer, 64,
      "mov ebx, 0x10000000\n mov ecx, 64\n"
      "1: mov [rbx], ecx\n add rbx, 0x1000\n mov edx, 2000\n 2: dec edx\n jnz 2b\n dec ecx\n jnz 1b\n" DONE);

TEST(smp_dirty_log_of_a_running_vcpu)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t bitmap = 0, seen = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bitmap };
	int logged = 0;
	pthread_t thread;

	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, 0x10000000, 64 * PAGE_SIZE,
			     host_memory(64 * PAGE_SIZE)));
	guest_start(cpu, GUEST_LONG, dirty_writer);
	check_eq(pthread_create(&thread, NULL, run_to_done, cpu), 0);
	for (int i = 0; i < 100; i++) {
		check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
		seen |= bitmap;
		logged += __builtin_popcountll(bitmap);
	}
	pthread_join(thread, NULL);
	check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
	check_eq(seen | bitmap, ~0ull);
	check(logged + __builtin_popcountll(bitmap) <= 2 * 64);
}

/* It writes, says so in memory that has no log, and spins until it is let go. */
GUEST(dirty_spinner, 64,
      "sti\n mov ebx, 0x10000000\n mov byte ptr [rbx], 1\n mov byte ptr [rbx + 0x3000], 1\n"
      "mov byte ptr [0x9000], 1\n 1: cmp byte ptr [0x9010], 0\n je 1b\n mov byte ptr [rbx + 0x5000], 1\n" DONE);

static void wait_for(const uint8_t *byte)
{
	while (!__atomic_load_n(byte, __ATOMIC_ACQUIRE))
		sched_yield();
}

TEST(smp_dirty_log_of_a_spinning_vcpu)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t bitmap = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bitmap };
	pthread_t thread;

	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, 0x10000000, 64 * PAGE_SIZE,
			     host_memory(64 * PAGE_SIZE)));
	guest_start(cpu, GUEST_LONG, dirty_spinner);
	check_eq(pthread_create(&thread, NULL, run_to_done, cpu), 0);
	wait_for(machine->mem + GUEST_DATA);
	/* What was written before is in the log, though the vCPU has not left guest mode by itself since. */
	check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
	check_eq(bitmap, 1 << 0 | 1 << 3);
	check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
	check_eq(bitmap, 0);
	machine->mem[GUEST_DATA + 0x10] = 1;
	pthread_join(thread, NULL);
	check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
	check_eq(bitmap, 1 << 5);
}
