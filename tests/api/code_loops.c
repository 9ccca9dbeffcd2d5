/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Small loops over memory at one address, under which that memory changes: its log, its slot, and into code. */
#include <pthread.h>
#include <sched.h>

#include "../lib/guest.h"

#define SLOT_AT 0x10000000

/* The guests enable interrupts: with IF = 0 Bochs would not let the host take its own, and the machine would stand. */

static void *run_to_done(void *opaque)
{
	cpu_run_to_done((struct cpu *)opaque);
	return NULL;
}

static void *run_once(void *opaque)
{
	cpu_run((struct cpu *)opaque);
	return NULL;
}

static uint32_t now(const uint8_t *p)
{
	return __atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void wait_for_change(const uint8_t *p)
{
	uint32_t was = now(p);

	while (now(p) == was)
		sched_yield();
}

GUEST(counter, 64,
      "sti\n mov ebx, 0x10000000\n mov esi, 0x9010\n"
      "1: inc dword ptr [rbx + 8]\n cmp byte ptr [rsi], 0\n je 1b\n" DONE);

/* What is written after a log was taken is in the next one. */
TEST(code_loop_that_writes_a_page_with_a_log)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *memory = host_memory(64 * PAGE_SIZE);
	uint64_t bitmap = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bitmap };
	pthread_t thread;

	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, SLOT_AT, 64 * PAGE_SIZE, memory));
	guest_start(cpu, GUEST_LONG, counter);
	check_eq(pthread_create(&thread, NULL, run_to_done, cpu), 0);
	for (unsigned turn = 0; turn < 50; turn++) {
		wait_for_change(memory + 8);
		check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
		check_eq(bitmap, 1);
	}
	machine->mem[0x9010] = 1;
	pthread_join(thread, NULL);
}

GUEST(watcher, 64,
      "sti\n mov ebx, 0x10000000\n mov esi, 0x9000\n 1: inc dword ptr [rsi]\n cmp byte ptr [rbx], 0\n je 1b\n" DONE);

/* The slot goes: the next read is the VMM's. */
TEST(code_loop_that_reads_a_slot_that_goes)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	pthread_t thread;

	check_ok(memory_slot(machine, 1, 0, SLOT_AT, PAGE_SIZE, host_memory(PAGE_SIZE)));
	guest_start(cpu, GUEST_LONG, watcher);
	check_eq(pthread_create(&thread, NULL, run_once, cpu), 0);
	for (unsigned turn = 0; turn < 10; turn++)
		wait_for_change(machine->mem + 0x9000);
	check_ok(memory_slot(machine, 1, 0, SLOT_AT, 0, NULL));
	pthread_join(thread, NULL);
	check_eq(cpu->run->exit_reason, KVM_EXIT_MMIO);
	check_eq(cpu->run->mmio.phys_addr, SLOT_AT);
	check_eq(cpu->run->mmio.is_write, 0);
}

GUEST(rewriter, 64, "sti\n mov ecx, 0x200000\n mov ebx, 0x20001\n 1: mov [rbx], ecx\n dec ecx\n jnz 1b\n" DONE);
GUEST(caller, 64, "sti\n mov ebx, 0x20000\n 1: call rbx\n mov [0x9000], eax\n cmp eax, 1\n jne 1b\n" DONE);

/*
 * A function that stays, in a page in which another vCPU writes another one all the time: its blocks go again and again, each when
 * the next may be there already or not, and with them what they know of each other's flags.
 */
GUEST(stays, 64,
      "sti\n mov ebx, 0x20800\n xor ebp, ebp\n xor r14d, r14d\n"
      "0: mov ecx, 1000\n"
      "1: mov edi, ecx\n call rbx\n add ebp, eax\n"
      "mov edi, ecx\n xor eax, eax\n call r12\n add ebp, eax\n mov edi, ecx\n xor eax, eax\n call r13\n add ebp, eax\n"
      "dec ecx\n jnz 1b\n inc r14d\n cmp byte ptr [0x9010], 0\n je 0b\n mov [0x9000], ebp\n mov [0x9004], r14d\n" DONE);
GUEST(stays_function, 64,
      "xor eax, eax\n test edi, 1\n jz 2f\n add eax, edi\n"
      "2: cmp edi, 1000\n jb 3f\n jmp stays_function_middle\n 3: adc eax, 5\n"
      "stays_function_middle: test edi, 2\n lea eax, [rax + 1]\n jz 5f\n jmp 6f\n 5: sbb eax, edi\n"
      "6: add edi, eax\n jmp stays_function_tail\n nop\n"
      "stays_function_tail: adc eax, 0\n mov esi, 0x20\n 8: sub esi, 8\n jnz 8b\n ret\n");
GUEST_LABEL(stays_function_middle);
GUEST_LABEL(stays_function_tail);
GUEST(changes, 64,
      "sti\n mov ebx, 0x20000\n mov byte ptr [rbx], 0xb8\n mov byte ptr [rbx + 5], 0xc3\n mov ecx, 10000\n"
      "1: mov [rbx + 1], ecx\n call rbx\n cmp eax, ecx\n jne 2f\n dec ecx\n jnz 1b\n"
      "2: mov [0x9020], ecx\n mov byte ptr [0x9010], 1\n" DONE);

static uint32_t middle_work(uint32_t edi, uint32_t eax)
{
	eax++;
	if (!(edi & 2))
		eax -= edi;
	return eax + (edi + eax < edi);
}

/* The end alone is entered with the carry of an XOR: none. */
static uint32_t stays_work(uint32_t edi)
{
	uint32_t eax = edi & 1 ? edi : 0;

	if (edi < 1000)
		eax += 5 + 1;
	return middle_work(edi, eax) + middle_work(edi, 0);
}

TEST(code_beside_code_that_changes)
{
	struct machine *machine = machine_new(0);
	struct cpu *writer = cpu_new(machine, 0), *reader = cpu_new(machine, 1);
	struct kvm_regs regs;
	uint32_t sum = 0;
	pthread_t thread;

	memcpy(machine->mem + 0x20800, stays_function.start, (size_t)(stays_function.end - stays_function.start));
	guest_start_at(reader, stays, 0x3000);
	regs = cpu_regs(reader);
	regs.r12 = 0x20800 + (uint64_t)(stays_function_middle - stays_function_start);
	regs.r13 = 0x20800 + (uint64_t)(stays_function_tail - stays_function_start);
	cpu_set_regs(reader, &regs);
	guest_start(writer, GUEST_LONG, changes);
	check_eq(pthread_create(&thread, NULL, run_to_done, reader), 0);
	cpu_run_to_done(writer);
	pthread_join(thread, NULL);
	for (uint32_t n = 1000; n; n--)
		sum += stays_work(n);
	check_eq(load32(machine->mem + 0x9000), sum * load32(machine->mem + 0x9004));
	check_eq(load32(machine->mem + 0x9020), 0);
}

/* The other vCPU's function, whose constant is written again and again: in the end it is the last one. */
TEST(code_loop_that_writes_into_code)
{
	struct machine *machine = machine_new(0);
	struct cpu *writer = cpu_new(machine, 0), *reader = cpu_new(machine, 1);
	static const uint8_t function[] = { 0xb8, 0, 0, 0, 0, 0xc3 }; /* mov eax, imm32; ret */
	pthread_t thread;

	memcpy(machine->mem + 0x20000, function, sizeof(function));
	guest_start_at(reader, caller, 0x3000);
	guest_start(writer, GUEST_LONG, rewriter);
	check_eq(pthread_create(&thread, NULL, run_to_done, reader), 0);
	cpu_run_to_done(writer);
	pthread_join(thread, NULL);
	check_eq(load32(machine->mem + 0x9000), 1);
}
