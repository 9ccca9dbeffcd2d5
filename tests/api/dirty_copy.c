/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A copy of a guest that runs, kept by its log of dirty pages, as migrations do it: only what the log names is copied, after the
 * ioctl that clears it. When the vCPUs have stopped the copy is whole, or a bit was lost on the way.
 */
#include <pthread.h>
#include <string.h>

#include "../lib/guest.h"

#define SLOT_GPA 0x10000000ull
#define PAGES 128u
#define WORDS ((PAGES + 63) / 64)
#define VCPUS 2u
#define COPIES (200 * PAGES)
#define STOP 0x9010u

/*
 * Page after page in random order (r10), at an offset of the vCPU's own (r9): fields off one register, locked and read-modify-write,
 * strings, a stack, a call; and, off every eighth, stores that lie on two pages: these are looked up anew each time, and would
 * make up for a bit that another lost. rax counts, so that no store repeats what is there.
 */
GUEST(stores, 64,
      "sti\n"
      "1: mov r11, 6364136223846793005\n imul r10, r11\n add r10, r9\n inc r10\n"
      "mov rbx, r10\n shr rbx, 57\n shl rbx, 12\n add rbx, 0x10000000\n"
      "lea rsi, [rbx + r9]\n inc rax\n"
      "mov [rsi], rax\n mov [rsi + 8], eax\n mov [rsi + 16], al\n"
      "inc dword ptr [rsi + 24]\n lock xadd [rsi + 32], rax\n mov rax, [rsi]\n add [rsi + 40], rax\n"
      "lea rsp, [rsi + 256]\n push rax\n push r10\n call 2f\n pop r10\n pop rax\n"
      "lea rdi, [rsi + 264]\n mov ecx, 5\n rep stosq\n"
      "lea rdi, [rsi + 320]\n mov ecx, 3\n rep movsq\n"
      "test ebx, 0x7000\n jnz 3f\n mov [rbx + r9 + 0xbfc], rax\n lea rdi, [rbx + r9 + 0xbec]\n mov ecx, 3\n rep stosq\n"
      "3: cmp byte ptr [0x9010], 0\n je 1b\n" DONE "2: ret\n");

struct copier {
	struct machine *machine;
	const uint8_t *memory;
	uint8_t *copy;
	uint64_t bitmap[WORDS];
	bool clears; /* by KVM_CLEAR_DIRTY_LOG */
};

static void *run_to_done(void *cpu)
{
	cpu_run_to_done((struct cpu *)cpu);
	return NULL;
}

/* The pages that were dirty. */
static unsigned int copy_dirty(struct copier *c)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = c->bitmap };
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = PAGES, .dirty_bitmap = c->bitmap };
	unsigned int page, count = 0;

	check_ok(kt_ioctl(c->machine->vm, KVM_GET_DIRTY_LOG, &log));
	if (c->clears)
		check_ok(kt_ioctl(c->machine->vm, KVM_CLEAR_DIRTY_LOG, &clear));
	for (page = 0; page < PAGES; page++)
		if (c->bitmap[page / 64] & 1ull << page % 64) {
			memcpy(c->copy + page * PAGE_SIZE, c->memory + page * PAGE_SIZE, PAGE_SIZE);
			count++;
		}
	return count;
}

static void start(struct cpu *cpu, unsigned int index)
{
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, stores);
	regs = cpu_regs(cpu);
	regs.r9 = index * 1024;
	regs.r10 = index;
	cpu_set_regs(cpu, &regs);
}

static void copy_while_it_runs(uint64_t manual)
{
	struct copier c = { .machine = machine_new(0), .clears = manual };
	uint8_t *memory = host_memory(PAGES * PAGE_SIZE);
	pthread_t thread[VCPUS];
	struct cpu *cpu[VCPUS];
	unsigned int i, copied = 0;

	c.memory = memory;
	c.copy = host_memory(PAGES * PAGE_SIZE);
	if (manual) {
		REQUIRE_CAP(c.machine, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
		machine_enable_cap(c.machine, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, manual);
	}
	check_ok(memory_slot(c.machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, PAGES * PAGE_SIZE, memory));
	for (i = 0; i < VCPUS; i++) {
		cpu[i] = cpu_new(c.machine, i);
		start(cpu[i], i);
	}
	for (i = 0; i < VCPUS; i++)
		check_eq(pthread_create(&thread[i], NULL, run_to_done, cpu[i]), 0);
	while (copied < COPIES)
		copied += copy_dirty(&c);
	__atomic_store_n(&c.machine->mem[STOP], 1, __ATOMIC_RELEASE);
	for (i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
	copy_dirty(&c);
	for (i = 0; i < PAGES; i++)
		check(!memcmp(c.copy + i * PAGE_SIZE, memory + i * PAGE_SIZE, PAGE_SIZE));
	check_eq(copy_dirty(&c), 0);
}

TEST(dirty_copy_by_get)
{
	copy_while_it_runs(0);
}

TEST(dirty_copy_by_get_and_clear)
{
	copy_while_it_runs(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
}
