/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Coalesced MMIO and port I/O: the ring behind kvm_run. */
#include <errno.h>
#include <string.h>

#include "../lib/guest.h"

static struct kvm_coalesced_mmio_ring *ring_of(struct cpu *cpu)
{
	int page = machine_cap(cpu->machine, KVM_CAP_COALESCED_MMIO);

	if (page <= 0)
		skip("the target has no KVM_CAP_COALESCED_MMIO");
	check((size_t)(page + 1) * PAGE_SIZE <= cpu->run_size);
	return (void *)((uint8_t *)cpu->run + (size_t)page * PAGE_SIZE);
}

static const unsigned int ring_entries =
	(PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio);

static int zone_ioctl(struct cpu *cpu, unsigned long request, uint64_t addr, uint32_t size, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = addr, .size = size, .pio = pio };

	return kt_ioctl(cpu->machine->vm, request, &zone);
}

static void check_entry(struct kvm_coalesced_mmio_ring *ring, uint64_t addr, uint32_t len, uint64_t value)
{
	struct kvm_coalesced_mmio *entry = &ring->coalesced_mmio[ring->first];
	uint64_t data = 0;

	check(ring->first != ring->last);
	check_eq(entry->phys_addr, addr);
	check_eq(entry->len, len);
	memcpy(&data, entry->data, len);
	check_eq(data, value);
	ring->first = (ring->first + 1) % ring_entries;
}

GUEST(three_writes, 64,
      "mov ebx, 0xd0000000\n mov eax, 0x11223344\n"
      "mov [rbx], eax\n mov [rbx + 4], ax\n mov [rbx + 0xfff], al\n mov ecx, [rbx]\n"
      "mov [rbx + 0x1000], al\n" DONE);

TEST(coalesced_mmio_writes)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_coalesced_mmio_ring *ring = ring_of(cpu);

	check_ok(zone_ioctl(cpu, KVM_REGISTER_COALESCED_MMIO, 0xd0000000, 0x1000, 0));
	guest_start(cpu, GUEST_LONG, three_writes);
	/* The read leaves: only writes are collected. */
	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check_eq(cpu->run->mmio.is_write, 0);
	check_entry(ring, 0xd0000000, 4, 0x11223344);
	check_entry(ring, 0xd0000004, 2, 0x3344);
	check_entry(ring, 0xd0000fff, 1, 0x44);
	check_eq(ring->first, ring->last);
	/* Behind the zone: an exit. */
	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check_eq(cpu->run->mmio.phys_addr, 0xd0001000);
	cpu_run_to_done(cpu);
}

TEST(coalesced_mmio_unregister)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	ring_of(cpu);
	check_ok(zone_ioctl(cpu, KVM_REGISTER_COALESCED_MMIO, 0xd0000000, 0x1000, 0));
	check_ok(zone_ioctl(cpu, KVM_UNREGISTER_COALESCED_MMIO, 0xd0000000, 0x1000, 0));
	guest_start(cpu, GUEST_LONG, three_writes);
	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check_eq(cpu->run->mmio.is_write, 1);
	/* Not registered any more: Linux takes it silently. */
	check_ok(zone_ioctl(cpu, KVM_UNREGISTER_COALESCED_MMIO, 0xd0000000, 0x1000, 0));
}

GUEST(many_writes, 64,
      "mov ebx, 0xd0000000\n xor eax, eax\n"
      "1: mov [rbx], eax\n inc eax\n jmp 1b\n");

/*
 * A full ring means an exit that carries the write itself, and no write is lost or out of order. Linux
 * 6.1 miscounts the free entries when last < first and leaves early, so the count is not the contract.
 */
TEST(coalesced_mmio_ring_full)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_coalesced_mmio_ring *ring = ring_of(cpu);
	uint32_t value = 0, exited;

	check_ok(zone_ioctl(cpu, KVM_REGISTER_COALESCED_MMIO, 0xd0000000, 4, 0));
	guest_start(cpu, GUEST_LONG, many_writes);
	for (int round = 0; round < 3; round++) {
		cpu_run_to(cpu, KVM_EXIT_MMIO);
		check_eq(cpu->run->mmio.is_write, 1);
		memcpy(&exited, cpu->run->mmio.data, 4);
		while (ring->first != ring->last)
			check_entry(ring, 0xd0000000, 4, value++);
		check_eq(exited, value);
		value++;
	}
	check(value > 3 && value <= 3 * ring_entries);
}

/* first and last are user space's to spoil: the target must survive, an exit or not. */
TEST(coalesced_mmio_ring_spoilt)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_coalesced_mmio_ring *ring = ring_of(cpu);
	static const uint32_t values[] = { 0xffffffff, 0x80000000, 4096, 1000000 };

	check_ok(zone_ioctl(cpu, KVM_REGISTER_COALESCED_MMIO, 0xd0000000, 4, 0));
	guest_start(cpu, GUEST_LONG, many_writes);
	for (unsigned int i = 0; i < 4; i++) {
		ring->first = values[i];
		ring->last = values[3 - i];
		cpu_run_to(cpu, KVM_EXIT_MMIO);
	}
}

GUEST(port_writes, 64, "mov eax, 0x1234\n out 0x70, al\n out 0x70, ax\n in al, 0x70\n" DONE);

TEST(coalesced_pio_writes)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_coalesced_mmio_ring *ring = ring_of(cpu);

	REQUIRE_CAP(cpu->machine, KVM_CAP_COALESCED_PIO);
	check_ok(zone_ioctl(cpu, KVM_REGISTER_COALESCED_MMIO, 0x70, 2, 1));
	guest_start(cpu, GUEST_LONG, port_writes);
	cpu_run_to(cpu, KVM_EXIT_IO);
	check_eq(cpu->run->io.direction, KVM_EXIT_IO_IN);
	check_eq(ring->coalesced_mmio[0].pio, 1);
	check_entry(ring, 0x70, 1, 0x34);
	check_entry(ring, 0x70, 2, 0x1234);
	check_eq(ring->first, ring->last);
}

TEST(coalesced_zone_errors)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	ring_of(cpu);
	check_error(zone_ioctl(cpu, KVM_REGISTER_COALESCED_MMIO, 0xd0000000, 4, 2), EINVAL);
	check_error(zone_ioctl(cpu, KVM_UNREGISTER_COALESCED_MMIO, 0xd0000000, 4, 2), EINVAL);
	check_error(kt_ioctl(cpu->machine->vm, KVM_REGISTER_COALESCED_MMIO, NULL), EFAULT);
	check_error(kt_ioctl(cpu->machine->vm, KVM_UNREGISTER_COALESCED_MMIO, NULL), EFAULT);
}
