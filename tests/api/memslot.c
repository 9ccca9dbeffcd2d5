/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory slots: create, move, delete, flags, overlaps, limits, changes under a running vCPU. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "../lib/guest.h"
#include "../lib/signals.h"

#define SLOT_GPA 0x10000000ull

TEST(memslot_errors)
{
	struct machine *machine = machine_new(0);
	uint8_t *host = host_memory(4 * PAGE_SIZE);

	check_error(memory_slot(machine, 1, 0, SLOT_GPA + 1, PAGE_SIZE, host), EINVAL);
	check_error(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE + 1, host), EINVAL);
	check_error(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host + 1), EINVAL);
	check_error(memory_slot(machine, 1, 0, SLOT_GPA, 12, host), EINVAL);
	check_error(memory_slot(machine, 1, 1u << 30, SLOT_GPA, PAGE_SIZE, host), EINVAL);
	check_error(memory_slot(machine, 1, 0, 0xfffffffffffff000ull, 2 * PAGE_SIZE, host), EINVAL);
	check_error(memory_slot(machine, 40000, 0, SLOT_GPA, PAGE_SIZE, host), EINVAL);
	check_error(memory_slot(machine, 2u << 16 | 1, 0, SLOT_GPA, PAGE_SIZE, host), EINVAL);
	check_error(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, (void *)0xffff800000000000ull), EINVAL);
	check_error(kt_ioctl(machine->vm, KVM_SET_USER_MEMORY_REGION, NULL), EFAULT);
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
}

TEST(memslot_overlap)
{
	struct machine *machine = machine_new(0);
	uint8_t *host = host_memory(4 * PAGE_SIZE);

	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, 2 * PAGE_SIZE, host));
	check_error(memory_slot(machine, 2, 0, SLOT_GPA, PAGE_SIZE, host), EEXIST);
	check_error(memory_slot(machine, 2, 0, SLOT_GPA + PAGE_SIZE, PAGE_SIZE, host), EEXIST);
	check_error(memory_slot(machine, 2, 0, SLOT_GPA - PAGE_SIZE, 2 * PAGE_SIZE, host), EEXIST);
	check_error(memory_slot(machine, 2, 0, SLOT_GPA - PAGE_SIZE, 4 * PAGE_SIZE, host), EEXIST);
	check_ok(memory_slot(machine, 2, 0, SLOT_GPA + 2 * PAGE_SIZE, PAGE_SIZE, host));
	check_ok(memory_slot(machine, 3, 0, SLOT_GPA - PAGE_SIZE, PAGE_SIZE, host));
	/* A slot may not move onto another one either, but may onto itself. */
	check_error(memory_slot(machine, 3, 0, SLOT_GPA, PAGE_SIZE, host), EEXIST);
	check_ok(memory_slot(machine, 3, 0, SLOT_GPA - 2 * PAGE_SIZE, PAGE_SIZE, host));
}

TEST(memslot_delete)
{
	struct machine *machine = machine_new(0);
	uint8_t *host = host_memory(PAGE_SIZE);

	check_error(memory_slot(machine, 1, 0, SLOT_GPA, 0, host), EINVAL);
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
	check_ok(memory_slot(machine, 1, 0, 0, 0, NULL));
	check_error(memory_slot(machine, 1, 0, 0, 0, NULL), EINVAL);
	check_ok(memory_slot(machine, 2, 0, SLOT_GPA, PAGE_SIZE, host));
}

/* What an existing slot may change: its place and the log flag, nothing else. */
TEST(memslot_change)
{
	struct machine *machine = machine_new(0);
	uint8_t *host = host_memory(2 * PAGE_SIZE);

	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
	check_error(memory_slot(machine, 1, 0, SLOT_GPA, 2 * PAGE_SIZE, host), EINVAL);
	check_error(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host + PAGE_SIZE), EINVAL);
	check_error(memory_slot(machine, 1, KVM_MEM_READONLY, SLOT_GPA, PAGE_SIZE, host), EINVAL);
	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, PAGE_SIZE, host));
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA + PAGE_SIZE, PAGE_SIZE, host));
}

GUEST(read_two, 64, "mov ebx, 0x10000000\n mov eax, [rbx]\n" DONE "mov eax, [rbx]\n" DONE);

TEST(memslot_move_is_seen_by_the_guest)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *host = host_memory(PAGE_SIZE);

	host[0] = 0x5a;
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
	guest_start(cpu, GUEST_LONG, read_two);
	check_eq(cpu_run_to_done(cpu), 0x5a);
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA + PAGE_SIZE, PAGE_SIZE, host));
	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check_eq(cpu->run->mmio.phys_addr, SLOT_GPA);
}

TEST(memslot_delete_and_create_is_seen_by_the_guest)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *host = host_memory(2 * PAGE_SIZE);

	host[0] = 0x11;
	host[PAGE_SIZE] = 0x22;
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
	guest_start(cpu, GUEST_LONG, read_two);
	check_eq(cpu_run_to_done(cpu), 0x11);
	check_ok(memory_slot(machine, 1, 0, 0, 0, NULL));
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host + PAGE_SIZE));
	check_eq(cpu_run_to_done(cpu), 0x22);
}

GUEST(code_in_slot, 64, "mov ebx, 0x10000000\n call rbx\n" DONE "call rbx\n" DONE);

/* Cached decoded or translated code must go with its slot. */
TEST(memslot_code_is_replaced)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *host = host_memory(2 * PAGE_SIZE);
	static const uint8_t first[] = { 0xb0, 0x01, 0xc3 }, second[] = { 0xb0, 0x02, 0xc3 };

	memcpy(host, first, sizeof(first));
	memcpy(host + PAGE_SIZE, second, sizeof(second));
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
	guest_start(cpu, GUEST_LONG, code_in_slot);
	check_eq(cpu_run_to_done(cpu), 1);
	check_ok(memory_slot(machine, 1, 0, 0, 0, NULL));
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host + PAGE_SIZE));
	check_eq(cpu_run_to_done(cpu), 2);
}

/* User space may write guest code at any time; the next KVM_RUN executes what it wrote. */
TEST(memslot_code_written_by_user_space)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *host = host_memory(PAGE_SIZE);
	static const uint8_t first[] = { 0xb0, 0x01, 0xc3 };

	memcpy(host, first, sizeof(first));
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
	guest_start(cpu, GUEST_LONG, code_in_slot);
	check_eq(cpu_run_to_done(cpu), 1);
	host[1] = 0x77;
	check_eq(cpu_run_to_done(cpu), 0x77);
}

GUEST(read_only, 64, "mov ebx, 0x10000000\n mov al, [rbx]\n" DONE "mov byte ptr [rbx], 0x33\n mov al, [rbx]\n" DONE);

TEST(memslot_read_only_write_is_mmio)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *host = host_memory(PAGE_SIZE);

	REQUIRE_CAP(machine, KVM_CAP_READONLY_MEM);
	host[0] = 0x5a;
	check_ok(memory_slot(machine, 1, KVM_MEM_READONLY, SLOT_GPA, PAGE_SIZE, host));
	check_ok(mprotect(host, PAGE_SIZE, PROT_READ));
	guest_start(cpu, GUEST_LONG, read_only);
	check_eq(cpu_run_to_done(cpu), 0x5a);
	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check_eq(cpu->run->mmio.is_write, 1);
	check_eq(cpu->run->mmio.phys_addr, SLOT_GPA);
	check_eq(cpu->run->mmio.data[0], 0x33);
	check_eq(cpu_run_to_done(cpu), 0x5a);
	check_eq(host[0], 0x5a);
}

GUEST(code_from_read_only, 64, "mov ebx, 0x10000000\n call rbx\n" DONE);

TEST(memslot_read_only_code_runs)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *host = host_memory(PAGE_SIZE);
	static const uint8_t code[] = { 0xb0, 0x44, 0xc3 };

	REQUIRE_CAP(machine, KVM_CAP_READONLY_MEM);
	memcpy(host, code, sizeof(code));
	check_ok(memory_slot(machine, 1, KVM_MEM_READONLY, SLOT_GPA, PAGE_SIZE, host));
	guest_start(cpu, GUEST_LONG, code_from_read_only);
	check_eq(cpu_run_to_done(cpu), 0x44);
}

/* Every page of a slot range, in an order that is not the order of addresses. */
TEST(memslot_many)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	int limit = machine_cap(machine, KVM_CAP_NR_MEMSLOTS);
	uint32_t count = 500;
	uint8_t *host = host_memory((count + 1) * PAGE_SIZE);

	check(limit >= 500);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t page = i * 7 % count;

		host[page * PAGE_SIZE] = (uint8_t)page;
		check_ok(memory_slot(machine, i + 1, 0, SLOT_GPA + page * 2 * PAGE_SIZE, PAGE_SIZE,
				     host + page * PAGE_SIZE));
	}
	guest_start(cpu, GUEST_LONG, read_two);
	check_eq(cpu_run_to_done(cpu), 0);
	check_ok(memory_slot(machine, (uint32_t)limit - 1, 0, 0x80000000, PAGE_SIZE, host + count * PAGE_SIZE));
	check_error(memory_slot(machine, (uint32_t)limit, 0, 0x90000000, PAGE_SIZE, host), EINVAL);
	for (uint32_t i = 0; i < count; i += 2)
		check_ok(memory_slot(machine, i + 1, 0, 0, 0, NULL));
	cpu_run_to(cpu, KVM_EXIT_MMIO);
}

GUEST(sum_pages, 64,
      "mov ebx, 0x10000000\n xor eax, eax\n mov ecx, 500\n"
      "1: movzx edx, byte ptr [rbx]\n add eax, edx\n add rbx, 0x2000\n dec ecx\n jnz 1b\n"
      "out 0xd0, eax\n");

TEST(memslot_many_are_all_found)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint32_t sum = 0;
	uint8_t *host = host_memory(500 * PAGE_SIZE);

	for (uint32_t i = 0; i < 500; i++) {
		uint32_t page = i * 7 % 500;

		host[page * PAGE_SIZE] = (uint8_t)page;
		sum += (uint8_t)page;
		check_ok(memory_slot(machine, i + 1, 0, SLOT_GPA + page * 2 * PAGE_SIZE, PAGE_SIZE,
				     host + page * PAGE_SIZE));
	}
	guest_start(cpu, GUEST_LONG, sum_pages);
	check_eq(cpu_run_to_done(cpu), sum);
}

/* Interrupts are enabled: Bochs does not leave guests that spin without. */
GUEST(touch_forever, 64,
      "sti\n mov ebx, 0x10000000\n"
      "1: inc dword ptr [0x9000]\n mov eax, [rbx]\n mov [rbx + 4], eax\n jmp 1b\n");

struct slot_changer {
	struct machine *machine;
	uint8_t *host;
	volatile uint32_t *progress;
	bool done;
};

static void await_progress(struct slot_changer *changer)
{
	uint32_t seen = *changer->progress;

	while (*changer->progress == seen && !__atomic_load_n(&changer->done, __ATOMIC_ACQUIRE))
		sched_yield();
}

/* Unrelated slots come and go, the touched one changes its log flag and is deleted at the end. */
static void *change_slots(void *opaque)
{
	struct slot_changer *changer = opaque;
	struct machine *machine = changer->machine;

	for (int i = 0; i < 50; i++) {
		check_ok(memory_slot(machine, 5, 0, 0x20000000, PAGE_SIZE, changer->host + PAGE_SIZE));
		await_progress(changer);
		check_ok(memory_slot(machine, 1, i & 1 ? KVM_MEM_LOG_DIRTY_PAGES : 0, SLOT_GPA, PAGE_SIZE,
				     changer->host));
		check_ok(memory_slot(machine, 5, 0, 0, 0, NULL));
		await_progress(changer);
	}
	check_ok(memory_slot(machine, 1, 0, 0, 0, NULL));
	return NULL;
}

TEST(memslot_changes_while_a_vcpu_runs)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct slot_changer changer = {
		.machine = machine,
		.host = host_memory(2 * PAGE_SIZE),
		.progress = (volatile uint32_t *)(machine->mem + GUEST_DATA),
	};
	pthread_t thread;

	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, changer.host));
	guest_start(cpu, GUEST_LONG, touch_forever);
	check_eq(pthread_create(&thread, NULL, change_slots, &changer), 0);
	/* The only way out of the guest's loop: its slot is gone. */
	cpu_run_to(cpu, KVM_EXIT_MMIO);
	check(cpu->run->mmio.phys_addr >= SLOT_GPA && cpu->run->mmio.phys_addr < SLOT_GPA + 8);
	__atomic_store_n(&changer.done, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

/*
 * Memory that is not there is noticed when it is used, not when it is registered. (Inaccessible
 * instead of unmapped: a hole would be filled by the next one who maps something.)
 */
TEST(memslot_inaccessible_host_memory)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *host = host_memory(PAGE_SIZE);

	check_ok(mprotect(host, PAGE_SIZE, PROT_NONE));
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, PAGE_SIZE, host));
	guest_start(cpu, GUEST_LONG, read_two);
	check_error(cpu_run(cpu), EFAULT);
}

/*
 * Without any memory there is nothing to execute at the reset vector. Linux sizes its shadow pool
 * by the slots and would give up with ENOSPC, were the pool not set by hand.
 */
TEST(memslot_run_without_memory)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct cpu *cpu = cpu_new(machine, 0);

	check_ok(kt_ioctl_int(machine->vm, KVM_SET_NR_MMU_PAGES, 64));
	cpu_run_to(cpu, KVM_EXIT_INTERNAL_ERROR);
	check_eq(cpu->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
}

TEST(memslot_second_address_space)
{
	struct machine *machine = machine_new(0);
	uint8_t *host = host_memory(PAGE_SIZE);
	int spaces = machine_cap(machine, KVM_CAP_MULTI_ADDRESS_SPACE);

	if (spaces > 1)
		check_ok(memory_slot(machine, 1u << 16 | 1, 0, SLOT_GPA, PAGE_SIZE, host));
	else
		check_error(memory_slot(machine, 1u << 16 | 1, 0, SLOT_GPA, PAGE_SIZE, host), EINVAL);
}
