/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Code that runs often enough to be translated, and what changes it: instructions across pages, segments, the VMM. */
#include <string.h>
#include <sys/mman.h>
#include "../lib/guest.h"

#define FUNCTION 0x20000u

/* mov eax, imm32; ret */
static void put_function(struct machine *machine, uint32_t address, uint32_t value)
{
	uint8_t *at = machine->mem + address;

	at[0] = 0xb8;
	memcpy(at + 1, &value, sizeof(value));
	at[5] = 0xc3;
}

/* Calls a function whose first instruction crosses a page, and now and then changes its operand in either page. */
#define ACROSS(call)                                                                                                   \
	"mov ecx, 1000\n xor edx, edx\n"                                                                               \
	"1: mov ebx, 0x20ffd\n " call "\n add edx, eax\n"                                                              \
	"test cl, 63\n jnz 2f\n inc byte ptr [0x21000]\n"                                                              \
	"2: mov al, cl\n and al, 63\n cmp al, 32\n jne 3f\n inc byte ptr [0x20ffe]\n"                                  \
	"3: dec ecx\n jnz 1b\n" DONE
GUEST(across_pages_64, 64, ACROSS("call rbx"));
GUEST(across_pages_32, 32, ACROSS("call ebx"));

static void across_pages(enum guest_mode mode, struct guest_code code)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint32_t value = 5, sum = 0;

	put_function(machine, FUNCTION + 0xffd, value);
	for (unsigned n = 1000; n > 0; n--) {
		sum += value;
		value += n % 64 == 0 ? 0x10000 : n % 64 == 32 ? 1 : 0;
	}
	guest_start(cpu, mode, code);
	cpu_run_to_done(cpu);
	check_eq((uint32_t)cpu_regs(cpu).rdx, sum);
}

TEST(code_changed_across_pages)
{
	across_pages(GUEST_LONG, across_pages_64);
}

TEST(code_changed_across_pages_unpaged)
{
	across_pages(GUEST_PROT, across_pages_32);
}

/* The second page of an instruction becomes another page. */
GUEST(remapped, 64,
      "mov ecx, 1000\n xor edx, edx\n"
      "1: mov ebx, 0x1ffffd\n call rbx\n add edx, eax\n"
      "test cl, 63\n jnz 2f\n xor qword ptr [rsi], 0x200000\n invlpg [0x200000]\n"
      "2: dec ecx\n jnz 1b\n" DONE);

TEST(code_remapped_across_pages)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_regs regs;
	uint32_t sum = 0, second = 0;

	guest_start(cpu, GUEST_LONG, remapped);
	put_function(machine, 0x1ffffd, 0x10007);
	memcpy(machine->mem, "\x02\x00\xc3", 3); /* there it is 20007h */
	regs = cpu_regs(cpu);
	regs.rsi = (uint64_t)((uint8_t *)guest_pde(machine, 0x200000) - machine->mem);
	cpu_set_regs(cpu, &regs);
	for (unsigned n = 1000; n > 0; n--) {
		sum += second ? 0x20007 : 0x10007;
		second ^= n % 64 == 0;
	}
	cpu_run_to_done(cpu);
	check_eq((uint32_t)cpu_regs(cpu).rdx, sum);
}

/* Without paging: the VMM puts other code where code was. */
GUEST(replaced, 32, "1: mov ecx, 200\n 2: mov ebx, 0x20000\n call ebx\n dec ecx\n jnz 2b\n" DONE "jmp 1b\n");

TEST(code_replaced_by_the_vmm_unpaged)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	put_function(machine, FUNCTION, 1);
	guest_start(cpu, GUEST_PROT, replaced);
	for (uint32_t value = 1; value < 5; value++) {
		put_function(machine, FUNCTION, value);
		cpu_run_to_done(cpu);
		check_eq((uint32_t)cpu_regs(cpu).rax, value);
	}
}

/* 32-bit code with segments of several bases; the offset in GS reaches backwards, as thread-local data does. */
GUEST(segments, 32,
      "1: mov ecx, 200\n xor edx, edx\n xor esi, esi\n xor edi, edi\n"
      "2: add edx, [0x9100]\n add esi, fs:[0x100]\n add edi, gs:[0xfffffff0]\n dec ecx\n jnz 2b\n" DONE "jmp 1b\n");

static void put32(struct machine *machine, uint32_t address, uint32_t value)
{
	memcpy(machine->mem + address, &value, sizeof(value));
}

static void run_segments(struct cpu *cpu, uint32_t ds, uint32_t fs, uint32_t gs)
{
	struct machine *machine = cpu->machine;
	struct kvm_sregs sregs = cpu_sregs(cpu);
	struct kvm_regs regs;

	sregs.ds.base = ds;
	sregs.fs.base = fs;
	sregs.gs.base = gs;
	cpu_set_sregs(cpu, &sregs);
	put32(machine, ds + 0x9100, 3);
	put32(machine, fs + 0x100, 5);
	put32(machine, gs - 16, 7);
	cpu_run_to_done(cpu);
	regs = cpu_regs(cpu);
	check_eq((uint32_t)regs.rdx, 600);
	check_eq((uint32_t)regs.rsi, 1000);
	check_eq((uint32_t)regs.rdi, 1400);
}

TEST(code_32_with_segments)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_PROT, segments);
	run_segments(cpu, 0, 0, 0x30040);
	run_segments(cpu, 0, 0x31040, 0x32000);
	run_segments(cpu, 0, 0x33011, 0x34027);
	run_segments(cpu, 0x35000, 0, 0x36040);
	run_segments(cpu, 0x37001, 0x38003, 0x39005);
}

/* A limit is respected by code that ran without. */
TEST(code_32_beyond_a_limit)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_sregs sregs;

	guest_start(cpu, GUEST_PROT, segments);
	run_segments(cpu, 0, 0x31040, 0x32000);
	sregs = cpu_sregs(cpu);
	sregs.fs.limit = 0x102;
	sregs.fs.g = 0;
	cpu_set_sregs(cpu, &sregs);
	guest_log(machine)->skip = 7; /* over add esi, fs:[0x100] */
	guest_log(machine)->silent = 1;
	cpu_run_to_done(cpu);
	check_eq(guest_log(machine)->count, 200);
	check_eq(guest_log(machine)->event[0].vector, 13);
	check_eq((uint32_t)cpu_regs(cpu).rsi, 0);
}

/* Jumps to the highest address, where nothing is mapped: a page fault, not the translator's mark of an empty table entry. */
GUEST(wild, 64,
      "mov ecx, 300\n xor edx, edx\n"
      "1: mov rbx, -1\n push rbx\n ret\n"
      "wild_next: dec ecx\n jnz 1b\n" DONE "wild_handler: mov rax, cr2\n sub edx, eax\n add rsp, 8\n"
      "mov qword ptr [rsp], " ADDRESS_OF(wild, wild_next) "\n iretq\n");
GUEST_LABEL(wild_handler);

TEST(code_at_the_highest_address)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	guest_start(cpu, GUEST_LONG, wild);
	guest_idt(machine, GUEST_LONG, 14, GUEST_ADDRESS(wild, wild_handler));
	cpu_run_to_done(cpu);
	check_eq((uint32_t)cpu_regs(cpu).rdx, 300);
}

/* A guest whose addresses are those of its host, as gVisor's. */
#define SAME_ADDRESS 0x20000000u
GUEST(same_address, 64,
      "mov ebx, 0x20000000\n mov ecx, 20000\n"
      "1: inc dword ptr [rbx + 8]\n mov eax, [rbx + 8]\n add [rbx + 0x1004], eax\n push [rbx + 0x1000]\n pop rdx\n"
      "lea rdi, [rbx + 0x800]\n mov ecx, ecx\n mov r8, rcx\n mov ecx, 8\n rep stosd\n mov rcx, r8\n"
      "dec ecx\n jnz 1b\n" DONE);

TEST(code_at_addresses_of_the_host)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint32_t *mem = mmap((void *)(uintptr_t)SAME_ADDRESS, 0x2000, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (mem == MAP_FAILED)
		skip("this process has something else at address 0x%x", SAME_ADDRESS);
	check_eq(memory_slot(machine, 1, 0, SAME_ADDRESS, 0x2000, mem), 0);
	guest_start(cpu, GUEST_LONG, same_address);
	cpu_run_to_done(cpu);
	check_eq(mem[2], 20000);
	check_eq(mem[0x201], 20000);
	check_eq(mem[0x401], 20000u * 20001u / 2);
}
