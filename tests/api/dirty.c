/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Dirty page logs: get, clear, manual protection. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../lib/guest.h"

#define SLOT_GPA 0x10000000ull
#define SLOT_PAGES 130u

struct dirty_machine {
	struct machine *machine;
	struct cpu *cpu;
	uint64_t bitmap[3];
};

GUEST(write_pages, 64,
      "1: mov ebx, 0x10000000\n"
      "mov byte ptr [rbx + 0x1000], 1\n mov byte ptr [rbx + 0x40000], 1\n"
      "mov byte ptr [rbx + 0x81fff], 1\n mov al, [rbx + 0x5000]\n" DONE "jmp 1b\n");

/* The guest writes pages 1, 64 and 129 and reads page 5. */
#define EXPECT_0 (1ull << 1)
#define EXPECT_1 (1ull << 0)
#define EXPECT_2 (1ull << 1)

static struct dirty_machine dirty_machine(uint64_t manual)
{
	struct dirty_machine dirty = { .machine = machine_new(0) };
	uint8_t *host = host_memory(SLOT_PAGES * PAGE_SIZE);

	if (manual) {
		REQUIRE_CAP(dirty.machine, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
		machine_enable_cap(dirty.machine, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, manual);
	}
	dirty.cpu = cpu_new(dirty.machine, 0);
	check_ok(memory_slot(dirty.machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, SLOT_PAGES * PAGE_SIZE, host));
	guest_start(dirty.cpu, GUEST_LONG, write_pages);
	return dirty;
}

static int get_log(struct dirty_machine *dirty, uint32_t slot)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = dirty->bitmap };

	memset(dirty->bitmap, 0xff, sizeof(dirty->bitmap));
	return kt_ioctl(dirty->machine->vm, KVM_GET_DIRTY_LOG, &log);
}

static int clear_log(struct dirty_machine *dirty, uint32_t slot, uint64_t first, uint32_t pages)
{
	struct kvm_clear_dirty_log log = {
		.slot = slot,
		.first_page = first,
		.num_pages = pages,
		.dirty_bitmap = dirty->bitmap,
	};

	return kt_ioctl(dirty->machine->vm, KVM_CLEAR_DIRTY_LOG, &log);
}

static void expect_log(struct dirty_machine *dirty, uint64_t word0, uint64_t word1, uint64_t word2)
{
	check_ok(get_log(dirty, 1));
	check_eq(dirty->bitmap[0], word0);
	check_eq(dirty->bitmap[1], word1);
	check_eq(dirty->bitmap[2], word2);
}

TEST(dirty_log_get_clears)
{
	struct dirty_machine dirty = dirty_machine(0);

	cpu_run_to_done(dirty.cpu);
	expect_log(&dirty, EXPECT_0, EXPECT_1, EXPECT_2);
	expect_log(&dirty, 0, 0, 0);
	/* And logs again. */
	cpu_run_to_done(dirty.cpu);
	expect_log(&dirty, EXPECT_0, EXPECT_1, EXPECT_2);
}

TEST(dirty_log_manual_protect)
{
	struct dirty_machine dirty = dirty_machine(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	cpu_run_to_done(dirty.cpu);
	expect_log(&dirty, EXPECT_0, EXPECT_1, EXPECT_2);
	expect_log(&dirty, EXPECT_0, EXPECT_1, EXPECT_2);
	dirty.bitmap[0] = EXPECT_1;
	check_ok(clear_log(&dirty, 1, 64, 64));
	expect_log(&dirty, EXPECT_0, 0, EXPECT_2);
	check_ok(clear_log(&dirty, 1, 0, 64));
	expect_log(&dirty, 0, 0, EXPECT_2);
	/* The last, partial word. */
	dirty.bitmap[0] = EXPECT_2;
	check_ok(clear_log(&dirty, 1, 128, SLOT_PAGES - 128));
	expect_log(&dirty, 0, 0, 0);
	cpu_run_to_done(dirty.cpu);
	expect_log(&dirty, EXPECT_0, EXPECT_1, EXPECT_2);
}

/* Bits that are not set in the log are not touched by a clear, bits not named stay. */
TEST(dirty_log_clear_only_named_pages)
{
	struct dirty_machine dirty = dirty_machine(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	cpu_run_to_done(dirty.cpu);
	check_ok(get_log(&dirty, 1));
	dirty.bitmap[0] = ~EXPECT_0;
	check_ok(clear_log(&dirty, 1, 0, 64));
	expect_log(&dirty, EXPECT_0, EXPECT_1, EXPECT_2);
}

TEST(dirty_log_initially_set)
{
	struct dirty_machine dirty;
	struct machine *probe = machine_new(0);

	if (!(machine_cap(probe, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & KVM_DIRTY_LOG_INITIALLY_SET))
		skip("the target has no KVM_DIRTY_LOG_INITIALLY_SET");
	dirty = dirty_machine(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	/* Bits behind the last page are not ours to expect. */
	check_ok(get_log(&dirty, 1));
	check_eq(dirty.bitmap[0], ~0ull);
	check_eq(dirty.bitmap[1], ~0ull);
	check_eq(dirty.bitmap[2] & 3, 3);
}

TEST(dirty_log_turned_on_later)
{
	struct machine *machine = machine_new(0);
	struct dirty_machine dirty = { .machine = machine, .cpu = cpu_new(machine, 0) };
	uint8_t *host = host_memory(SLOT_PAGES * PAGE_SIZE);

	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, SLOT_PAGES * PAGE_SIZE, host));
	guest_start(dirty.cpu, GUEST_LONG, write_pages);
	cpu_run_to_done(dirty.cpu);
	check_error(get_log(&dirty, 1), ENOENT);
	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, SLOT_PAGES * PAGE_SIZE, host));
	expect_log(&dirty, 0, 0, 0);
	/* A page whose translation is already cached as writable is logged all the same. */
	cpu_run_to_done(dirty.cpu);
	expect_log(&dirty, EXPECT_0, EXPECT_1, EXPECT_2);
	check_ok(memory_slot(machine, 1, 0, SLOT_GPA, SLOT_PAGES * PAGE_SIZE, host));
	check_error(get_log(&dirty, 1), ENOENT);
}

/* More pages than a processor notes at a time (page-modification logging: 512), by two writes each; every fourth is only read. */
#define MANY_PAGES 1400u
GUEST(write_many, 64,
      "1: mov ebx, 0x10000000\n mov ecx, 350\n"
      "2: inc byte ptr [rbx]\n inc byte ptr [rbx + 8]\n inc byte ptr [rbx + 0x1000]\n inc byte ptr [rbx + 0x1800]\n"
      "inc byte ptr [rbx + 0x2010]\n inc byte ptr [rbx + 0x2000]\n mov al, [rbx + 0x3000]\n"
      "add ebx, 0x4000\n dec ecx\n jnz 2b\n" DONE "jmp 1b\n");

static uint64_t every_fourth_is_missing(unsigned int word)
{
	unsigned int pages = MANY_PAGES - word * 64;

	return 0x7777777777777777ull & (pages < 64 ? (1ull << pages) - 1 : ~0ull);
}

TEST(dirty_log_of_many_pages)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	void *host = host_memory(MANY_PAGES * PAGE_SIZE);
	uint64_t bitmap[(MANY_PAGES + 63) / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	/* Of a page that the process could write to already Linux's log says so when the guest only reads it: none by neighbours. */
	madvise(host, MANY_PAGES * PAGE_SIZE, MADV_NOHUGEPAGE);
	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, MANY_PAGES * PAGE_SIZE, host));
	guest_start(cpu, GUEST_LONG, write_many);
	for (int round = 0; round < 3; round++) {
		cpu_run_to_done(cpu);
		memset(bitmap, 0, sizeof(bitmap));
		check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
		for (unsigned int i = 0; i < sizeof(bitmap) / 8; i++)
			check_eq(bitmap[i], every_fourth_is_missing(i));
	}
	check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
	for (unsigned int i = 0; i < sizeof(bitmap) / 8; i++)
		check_eq(bitmap[i], 0);
}

GUEST(page_flags, 64, "mov ebx, 0x400000\n mov al, [rbx]\n" DONE);

/* Accessed bits that the page walk writes are guest memory writes. */
TEST(dirty_log_sees_page_table_updates)
{
	struct machine *machine = machine_new(MACHINE_EMPTY);
	struct dirty_machine dirty = { .machine = machine };
	uint64_t bitmap[MACHINE_MEMORY / PAGE_SIZE / 64];
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };
	uint8_t *more = host_memory(PAGE_SIZE);

	machine->mem = host_memory(MACHINE_MEMORY);
	check_ok(memory_slot(machine, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, MACHINE_MEMORY, machine->mem));
	check_ok(memory_slot(machine, 1, 0, 0x400000, PAGE_SIZE, more));
	dirty.cpu = cpu_new(machine, 0);
	guest_start(dirty.cpu, GUEST_LONG, page_flags);
	cpu_run_to_done(dirty.cpu);
	check(*guest_pde(machine, 0x400000) & 0x20);
	check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
	/* The page directory (0x12000); its entry for 4 MiB got the accessed bit. */
	check(bitmap[0] & 1ull << 0x12);
	/* The data page is only read. */
	check(!(bitmap[0] & 1ull << 9));
}

TEST(dirty_log_errors)
{
	struct dirty_machine dirty = dirty_machine(0);
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = NULL };
	struct kvm_dirty_log kernel = { .slot = 1, .dirty_bitmap = (void *)0xffff888000000000ull };

	check_error(get_log(&dirty, 7), ENOENT);
	check_error(get_log(&dirty, 0), ENOENT);
	check_error(get_log(&dirty, 40000), EINVAL);
	check_error(get_log(&dirty, 3u << 16), EINVAL);
	check_error(kt_ioctl(dirty.machine->vm, KVM_GET_DIRTY_LOG, NULL), EFAULT);
	check_error(kt_ioctl(dirty.machine->vm, KVM_GET_DIRTY_LOG, &log), EFAULT);
	check_error(kt_ioctl(dirty.machine->vm, KVM_GET_DIRTY_LOG, &kernel), EFAULT);
}

TEST(dirty_log_clear_errors)
{
	struct dirty_machine dirty = dirty_machine(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	check_error(clear_log(&dirty, 7, 0, 64), ENOENT);
	check_error(clear_log(&dirty, 40000, 0, 64), EINVAL);
	check_error(clear_log(&dirty, 1, 1, 64), EINVAL);
	check_error(clear_log(&dirty, 1, 0, 63), EINVAL);
	check_error(clear_log(&dirty, 1, 128, 64), EINVAL);
	check_error(clear_log(&dirty, 1, 1ull << 40, 64), EINVAL);
	check_error(kt_ioctl(dirty.machine->vm, KVM_CLEAR_DIRTY_LOG, NULL), EFAULT);
}

TEST(dirty_log_manual_protect_errors)
{
	struct machine *machine = machine_new(0);
	struct kvm_enable_cap enable = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 };

	REQUIRE_CAP(machine, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	enable.args[0] = 4;
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), EINVAL);
	/* INITIALLY_SET alone makes no sense. */
	enable.args[0] = KVM_DIRTY_LOG_INITIALLY_SET;
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), EINVAL);
	enable.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	enable.flags = 1;
	check_error(kt_ioctl(machine->vm, KVM_ENABLE_CAP, &enable), EINVAL);
}

/* --- what a change of the slots costs --------------------------------------------------------------------- */

#define TOUCHED_PAGES 250u

/* Reads, then writes, each page of slot 1, with a report after each. */
GUEST(touch_pages, 64,
      "1: mov ebx, 0x10000000\n mov ecx, 250\n"
      "2: mov al, [rbx]\n add ebx, 0x1000\n dec ecx\n jnz 2b\n" DONE "mov ebx, 0x10000000\n mov ecx, 250\n"
      "3: mov byte ptr [rbx], 1\n add ebx, 0x1000\n dec ecx\n jnz 3b\n" DONE "jmp 1b\n");

struct touching {
	struct machine *machine;
	struct cpu *cpu;
	uint8_t *host, *other;
};

static struct touching touching(void)
{
	struct touching t = { .machine = machine_new(0) };

	REQUIRE_CAP(t.machine, KVM_CAP_BINARY_STATS_FD);
	/* Small pages: the memory does not hold a large one that slot and process could share. */
	t.host = host_memory((TOUCHED_PAGES + 1) * PAGE_SIZE);
	t.other = host_memory(PAGE_SIZE);
	t.cpu = cpu_new(t.machine, 0);
	check_ok(memory_slot(t.machine, 1, 0, SLOT_GPA, TOUCHED_PAGES * PAGE_SIZE, t.host));
	guest_start(t.cpu, GUEST_LONG, touch_pages);
	cpu_run_to_done(t.cpu);
	cpu_run_to_done(t.cpu);
	return t;
}

static uint64_t exits_of_run(struct touching *t)
{
	bool found;
	uint64_t before = stat_value(t->cpu->kt, "exits", &found);

	check(found);
	cpu_run_to_done(t->cpu);
	return stat_value(t->cpu->kt, "exits", &found) - before;
}

/* Timer interrupts and the like are exits too; all pages anew would be more. */
#define check_kept(t)                                                                                                  \
	do {                                                                                                           \
		check(exits_of_run(t) < TOUCHED_PAGES / 2);                                                            \
		check(exits_of_run(t) < TOUCHED_PAGES / 2);                                                            \
	} while (0)

TEST(memslot_add_keeps_the_others_pages)
{
	struct touching t = touching();

	check_ok(memory_slot(t.machine, 2, 0, SLOT_GPA * 2, PAGE_SIZE, t.other));
	check_kept(&t);
	check_ok(memory_slot(t.machine, 2, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA * 2, PAGE_SIZE, t.other));
	check_kept(&t);
	check_ok(memory_slot(t.machine, 2, 0, SLOT_GPA * 2, PAGE_SIZE, t.other));
	check_kept(&t);
}

TEST(memslot_delete_keeps_the_others_pages)
{
	struct touching t = touching();

	check_ok(memory_slot(t.machine, 2, 0, SLOT_GPA * 2, PAGE_SIZE, t.other));
	check_ok(memory_slot(t.machine, 2, 0, SLOT_GPA * 3, PAGE_SIZE, t.other));
	check_kept(&t);
	check_ok(memory_slot(t.machine, 2, 0, SLOT_GPA * 3, 0, t.other));
	check_kept(&t);
}

TEST(dirty_log_start_keeps_pages_for_reading)
{
	struct touching t = touching();
	struct kvm_dirty_log get = { .slot = 1 };
	uint64_t bitmap[(TOUCHED_PAGES + 63) / 64];
	unsigned int i;

	check_ok(memory_slot(t.machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, TOUCHED_PAGES * PAGE_SIZE, t.host));
	check(exits_of_run(&t) < TOUCHED_PAGES / 2);
	cpu_run_to_done(t.cpu);
	get.dirty_bitmap = bitmap;
	check_ok(kt_ioctl(t.machine->vm, KVM_GET_DIRTY_LOG, &get));
	for (i = 0; i < TOUCHED_PAGES; i++)
		check(bitmap[i / 64] & 1ull << (i % 64));
	/* The end of the log costs the pages that were written nothing. */
	cpu_run_to_done(t.cpu);
	cpu_run_to_done(t.cpu);
	check_ok(memory_slot(t.machine, 1, 0, SLOT_GPA, TOUCHED_PAGES * PAGE_SIZE, t.host));
	check_kept(&t);
}
