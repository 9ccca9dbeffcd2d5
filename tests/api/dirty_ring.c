/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Dirty rings (KVM_CAP_DIRTY_LOG_RING): what is reported, harvesting and reset, full rings, a copy of a guest that runs. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "../lib/guest.h"

#define SLOT_GPA 0x10000000ull
#define RING_BYTES (64u * 1024)
#define RING_ENTRIES (RING_BYTES / sizeof(struct kvm_dirty_gfn))
#define RING_OFFSET (KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE)

struct ring {
	struct kvm_dirty_gfn *entry;
	uint32_t next;
};

static struct machine *ring_machine(void)
{
	struct machine *machine = machine_new(0);

	REQUIRE_CAP(machine, KVM_CAP_DIRTY_LOG_RING);
	machine_enable_cap(machine, KVM_CAP_DIRTY_LOG_RING, RING_BYTES);
	return machine;
}

static struct ring ring_of(struct cpu *cpu)
{
	struct ring ring = { .entry = kt_map_at(cpu->kt, RING_OFFSET, RING_BYTES) };

	check(ring.entry);
	return ring;
}

static uint8_t *logged_slot(struct machine *machine, uint32_t pages)
{
	uint8_t *host = host_memory(pages * PAGE_SIZE);

	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, pages * PAGE_SIZE, host));
	return host;
}

static uint32_t flags_of(const struct kvm_dirty_gfn *entry)
{
	return __atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE);
}

/* The next dirty entry, marked as harvested. False: none. */
static bool harvest(struct ring *ring, uint32_t *slot, uint64_t *page)
{
	struct kvm_dirty_gfn *entry = &ring->entry[ring->next % RING_ENTRIES];

	if (flags_of(entry) != KVM_DIRTY_GFN_F_DIRTY)
		return false;
	*slot = entry->slot;
	*page = entry->offset;
	__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	ring->next++;
	return true;
}

static void expect_entry(struct ring *ring, uint64_t wanted)
{
	uint32_t slot;
	uint64_t page;

	check(harvest(ring, &slot, &page));
	check_eq(slot, 1);
	check_eq(page, wanted);
}

static void expect_no_entry(struct ring *ring)
{
	check_eq(flags_of(&ring->entry[ring->next % RING_ENTRIES]), 0);
}

static int reset_rings(struct machine *machine)
{
	return kt_ioctl_int(machine->vm, KVM_RESET_DIRTY_RINGS, 0);
}

TEST(dirty_ring_sizes)
{
	struct machine *machine = machine_new(0);
	struct kvm_enable_cap enable = { .cap = KVM_CAP_DIRTY_LOG_RING };
	static const struct {
		uint64_t size;
		int error;
	} bad[] = {
		{ 0, EINVAL },
		{ 3 * 64 * 1024, EINVAL },
		{ 2048, EINVAL },
		{ 1ull << 32, EINVAL }, /* KVM looks at 32 bits */
	};
	int largest = machine_cap(machine, KVM_CAP_DIRTY_LOG_RING);

	REQUIRE_CAP(machine, KVM_CAP_DIRTY_LOG_RING);
	check(largest >= (int)RING_BYTES);
	check_error(reset_rings(machine), EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enable.args[0] = bad[i].size;
		check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), bad[i].error);
	}
	enable.args[0] = 2ull * (uint64_t)largest;
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), E2BIG);
	enable.args[0] = (uint64_t)largest;
	check_ok(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable));
	/* Once. */
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), EINVAL);
	check_eq(reset_rings(machine), 0);
}

TEST(dirty_ring_only_before_vcpus)
{
	struct machine *machine = machine_new(0);
	struct kvm_enable_cap enable = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { RING_BYTES } };

	REQUIRE_CAP(machine, KVM_CAP_DIRTY_LOG_RING);
	cpu_new(machine, 0);
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), EINVAL);
}

TEST(dirty_ring_excludes_bitmaps)
{
	struct machine *machine = ring_machine();
	uint64_t bitmap = 0;
	struct kvm_dirty_log get = { .slot = 1, .dirty_bitmap = &bitmap };
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = 64, .dirty_bitmap = &bitmap };

	logged_slot(machine, 64);
	check_error(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &get), ENXIO);
	check_error(kt_ioctl(machine->vm, KVM_CLEAR_DIRTY_LOG, &clear), ENXIO);
}

/* A vCPU's memory: private copies and code make no sense. */
TEST(dirty_ring_mappings)
{
	struct machine *machine = ring_machine();
	struct cpu *cpu = cpu_new(machine, 0);
	int fd = kt_fd(cpu->kt);

	check_eq(cpu->run_size / PAGE_SIZE, 3);
	if (!kt_has_fds())
		skip("the target has no descriptors");
	check(mmap(NULL, RING_BYTES, PROT_READ, MAP_PRIVATE, fd, RING_OFFSET) == MAP_FAILED);
	check_eq(errno, EINVAL);
	check(mmap(NULL, RING_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, RING_OFFSET) == MAP_FAILED);
	/* EPERM: newer kernels let no anonymous inode be executed. */
	check(errno == EINVAL || errno == EPERM);
	check(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE, fd, RING_OFFSET + RING_BYTES - PAGE_SIZE) == MAP_FAILED);
	check(mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, RING_OFFSET) != MAP_FAILED);
}

/* Pages 1, 64, 129 are written, 5 is read. */
GUEST(ring_pages, 64,
      "1: mov ebx, 0x10000000\n"
      "mov byte ptr [rbx + 0x1000], 1\n mov byte ptr [rbx + 0x40000], 1\n mov byte ptr [rbx + 0x1010], 2\n"
      "mov byte ptr [rbx + 0x81fff], 1\n mov al, [rbx + 0x5000]\n" DONE "jmp 1b\n");

TEST(dirty_ring_reports_and_resets)
{
	struct machine *machine = ring_machine();
	struct cpu *cpu = cpu_new(machine, 0);
	struct ring ring = ring_of(cpu);

	logged_slot(machine, 130);
	guest_start(cpu, GUEST_LONG, ring_pages);
	cpu_run_to_done(cpu);
	/* Not harvested: nothing to reset, nothing reported twice. */
	check_eq(reset_rings(machine), 0);
	cpu_run_to_done(cpu);
	expect_entry(&ring, 1);
	expect_entry(&ring, 64);
	check_eq(reset_rings(machine), 2);
	check_eq(flags_of(&ring.entry[0]), 0);
	cpu_run_to_done(cpu);
	expect_entry(&ring, 129);
	expect_entry(&ring, 1);
	expect_entry(&ring, 64);
	expect_no_entry(&ring);
	check_eq(reset_rings(machine), 3);
	check_eq(reset_rings(machine), 0);
	cpu_run_to_done(cpu);
	expect_entry(&ring, 1);
	expect_entry(&ring, 64);
	expect_entry(&ring, 129);
	expect_no_entry(&ring);
}

TEST(dirty_ring_log_off_and_on)
{
	struct machine *machine = ring_machine();
	struct cpu *cpu = cpu_new(machine, 0);
	struct ring ring = ring_of(cpu);
	uint8_t *host = host_memory(130 * PAGE_SIZE);

	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, 130 * PAGE_SIZE, host));
	guest_start(cpu, GUEST_LONG, ring_pages);
	cpu_run_to_done(cpu);
	expect_no_entry(&ring);
	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, 130 * PAGE_SIZE, host));
	cpu_run_to_done(cpu);
	expect_entry(&ring, 1);
	/* Entries of a slot that is gone. */
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, 0, host));
	expect_entry(&ring, 64);
	check_eq(reset_rings(machine), 2);
	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, 100 * PAGE_SIZE, host));
	check_ok(memory_slot(machine, 2, 0, SLOT_GPA + 100 * PAGE_SIZE, 30 * PAGE_SIZE, host + 100 * PAGE_SIZE));
	expect_entry(&ring, 129);
	check_eq(reset_rings(machine), 1);
	cpu_run_to_done(cpu);
	expect_entry(&ring, 1);
	expect_entry(&ring, 64);
	expect_no_entry(&ring);
}

/* User space may write what it wants into the ring. */
TEST(dirty_ring_hostile_entries)
{
	struct machine *machine = ring_machine();
	struct cpu *cpu = cpu_new(machine, 0);
	struct ring ring = ring_of(cpu);
	static const struct kvm_dirty_gfn bad[] = {
		{ KVM_DIRTY_GFN_F_MASK, 0xffffffff, ~0ull }, { KVM_DIRTY_GFN_F_RESET, 1, 130 },
		{ KVM_DIRTY_GFN_F_RESET, 1, 1ull << 63 },    { KVM_DIRTY_GFN_F_RESET, 0x10001, 0 },
		{ KVM_DIRTY_GFN_F_RESET, 40000, 0 },         { KVM_DIRTY_GFN_F_RESET, 0x20001, 1 },
	};

	logged_slot(machine, 130);
	guest_start(cpu, GUEST_LONG, ring_pages);
	for (size_t i = 0; i + 3 <= sizeof(bad) / sizeof(bad[0]); i += 3) {
		cpu_run_to_done(cpu);
		memcpy(&ring.entry[i], &bad[i], 3 * sizeof(bad[0]));
		check_eq(reset_rings(machine), 3);
		/* Their pages are still in no state to be reported: start the log anew. */
		check_ok(memory_slot(machine, 1, 0, SLOT_GPA, 0, NULL));
		logged_slot(machine, 130);
	}
}

/* --- what else writes to memory ------------------------------------------------------------------------------ */

GUEST(ring_table, 64, "mov ebx, 0x400000\n mov al, [rbx]\n" DONE);

static bool in_ring(struct ring *ring, uint64_t wanted)
{
	uint32_t slot;
	uint64_t page;

	while (harvest(ring, &slot, &page))
		if (page == wanted)
			return true;
	return false;
}

/* Accessed bits, and a page that KVM writes. */
TEST(dirty_ring_sees_all_writes)
{
	struct machine *machine = ring_machine();
	struct cpu *cpu = cpu_new(machine, 0);
	struct ring ring = ring_of(cpu);

	check_ok(memory_slot(machine, 1, 0, 0x400000, PAGE_SIZE, host_memory(PAGE_SIZE)));
	guest_start(cpu, GUEST_LONG, ring_table);
	check_ok(memory_slot(machine, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, MACHINE_MEMORY, machine->mem));
	check_eq(cpu_set_msr(cpu, 0x4b564d01, GUEST_FREE | 1), 1);
	cpu_run_to_done(cpu);
	check(in_ring(&ring, 0x12));
	ring.next = 0;
	for (uint32_t i = 0; i < RING_ENTRIES && flags_of(&ring.entry[i]); i++)
		ring.entry[i].flags = KVM_DIRTY_GFN_F_DIRTY;
	check(in_ring(&ring, GUEST_FREE / PAGE_SIZE));
}

/* --- full rings ------------------------------------------------------------------------------------------------ */

#define MANY_PAGES 9000u

GUEST(ring_fill, 64,
      "mov ebx, 0x10000000\n mov ecx, 9000\n"
      "1: mov [rbx], ecx\n add ebx, 0x1000\n dec ecx\n jnz 1b\n" DONE);

TEST(dirty_ring_full)
{
	struct machine *machine = ring_machine();
	struct cpu *cpu = cpu_new(machine, 0);
	struct ring ring = ring_of(cpu);
	uint8_t *host = logged_slot(machine, MANY_PAGES);
	static bool seen[MANY_PAGES];
	uint32_t slot, total = 0, full = 0;
	uint64_t page, rip;

	guest_start(cpu, GUEST_LONG, ring_fill);
	for (;;) {
		uint32_t count = 0;

		check_ok(cpu_run(cpu));
		if (cpu->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL) {
			full++;
			/* Until there is room nothing runs. */
			rip = cpu_regs(cpu).rcx;
			cpu_run_to(cpu, KVM_EXIT_DIRTY_RING_FULL);
			check_eq(cpu_regs(cpu).rcx, rip);
		}
		while (harvest(&ring, &slot, &page)) {
			check_eq(slot, 1);
			check(page < MANY_PAGES);
			total += !seen[page];
			seen[page] = true;
			count++;
		}
		check_eq(reset_rings(machine), count);
		if (cpu->run->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
			break;
	}
	check_exit(cpu, KVM_EXIT_IO);
	check_eq(total, MANY_PAGES);
	check(full >= MANY_PAGES / RING_ENTRIES);
	for (page = 0; page < MANY_PAGES; page++)
		check_eq(*(uint32_t *)(host + page * PAGE_SIZE), MANY_PAGES - page);
}

/* --- a copy of a guest that runs -------------------------------------------------------------------------------- */

#define COPY_PAGES 512u
#define COPY_VCPUS 2u

/* rbx: where its pages begin; r8: rounds. Each round adds to a word of every page, own ones and shared ones. */
GUEST(ring_work, 64,
      "sti\n 1: mov rdi, rbx\n mov ecx, 256\n"
      "2: inc dword ptr [rdi]\n add rdi, 0x1000\n dec ecx\n jnz 2b\n"
      "mov edi, 0x10000000\n mov ecx, 64\n"
      "3: lock inc dword ptr [rdi + 64]\n add rdi, 0x8000\n dec ecx\n jnz 3b\n"
      "dec r8\n jnz 1b\n" DONE);

static unsigned int running;

static void *work(void *arg)
{
	struct cpu *cpu = arg;

	do {
		check_ok(cpu_run(cpu));
		if (cpu->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL)
			sched_yield();
	} while (cpu->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL);
	check_exit(cpu, KVM_EXIT_IO);
	__atomic_fetch_sub(&running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* What has been reported, taken after the reset: as a migration does it. */
static void copy_dirty(struct machine *machine, struct ring *rings, uint8_t *copy, const uint8_t *memory)
{
	static uint64_t pages[COPY_VCPUS * RING_ENTRIES];
	uint32_t count = 0, slot;

	for (unsigned int i = 0; i < COPY_VCPUS; i++)
		while (harvest(&rings[i], &slot, &pages[count])) {
			check_eq(slot, 1);
			check(pages[count] < COPY_PAGES);
			count++;
		}
	check_eq(reset_rings(machine), count);
	while (count--)
		memcpy(copy + pages[count] * PAGE_SIZE, memory + pages[count] * PAGE_SIZE, PAGE_SIZE);
}

TEST(dirty_ring_copy_of_a_running_guest)
{
	struct machine *machine = ring_machine();
	uint8_t *memory = logged_slot(machine, COPY_PAGES), *copy = host_memory(COPY_PAGES * PAGE_SIZE);
	struct cpu *cpu[COPY_VCPUS];
	struct ring ring[COPY_VCPUS];
	pthread_t thread[COPY_VCPUS];

	for (unsigned int i = 0; i < COPY_VCPUS; i++) {
		struct kvm_regs regs;

		cpu[i] = cpu_new(machine, i);
		ring[i] = ring_of(cpu[i]);
		guest_start(cpu[i], GUEST_LONG, ring_work);
		regs = cpu_regs(cpu[i]);
		regs.rbx = SLOT_GPA + i * COPY_PAGES / COPY_VCPUS * PAGE_SIZE;
		regs.r8 = 2000;
		cpu_set_regs(cpu[i], &regs);
	}
	running = COPY_VCPUS;
	for (unsigned int i = 0; i < COPY_VCPUS; i++)
		check_eq(pthread_create(&thread[i], NULL, work, cpu[i]), 0);
	while (__atomic_load_n(&running, __ATOMIC_SEQ_CST))
		copy_dirty(machine, ring, copy, memory);
	for (unsigned int i = 0; i < COPY_VCPUS; i++)
		pthread_join(thread[i], NULL);
	copy_dirty(machine, ring, copy, memory);
	for (unsigned int i = 0; i < COPY_PAGES; i++) {
		check_eq(*(uint32_t *)(memory + i * PAGE_SIZE), 2000);
		check(!memcmp(copy + i * PAGE_SIZE, memory + i * PAGE_SIZE, PAGE_SIZE));
	}
	check_eq(*(uint32_t *)(memory + 64), 2000 * COPY_VCPUS);
}
