/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Code that runs often enough to be translated, and what changes it: instructions across pages, segments, the VMM. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "../lib/guest.h"
#include "../lib/signals.h"

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

/* Makes functions side by side, calls each and the one before it ten times; later they are overwritten in turn. */
GUEST(side_by_side, 64,
      "mov ecx, 2000\n xor edx, edx\n mov ebx, 0x20008\n"
      "1: mov [rbx + 1], ecx\n mov byte ptr [rbx], 0xb8\n mov byte ptr [rbx + 5], 0xc3\n mov ebp, 10\n"
      "2: call rbx\n add edx, eax\n lea rsi, [rbx - 8]\n call rsi\n add edx, eax\n dec ebp\n jnz 2b\n"
      "add ebx, 8\n cmp ebx, 0x20100\n jne 3f\n mov ebx, 0x20008\n"
      "3: dec ecx\n jnz 1b\n" DONE);

TEST(code_made_side_by_side)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint32_t value[32] = { 5 }, sum = 0, slot = 1;

	put_function(machine, FUNCTION, value[0]);
	for (uint32_t n = 2000; n > 0; n--) {
		value[slot] = n;
		sum += 10 * (value[slot] + value[slot - 1]);
		slot = slot == 31 ? 1 : slot + 1;
	}
	guest_start(cpu, GUEST_LONG, side_by_side);
	cpu_run_to_done(cpu);
	check_eq((uint32_t)cpu_regs(cpu).rdx, sum);
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

/* One page of code at two linear addresses: hot at the first, then in turns. It tells where it is by what it calls in the next page. */
GUEST(aliases, 64,
      "mov ecx, 1000\n xor edx, edx\n"
      "1: mov ebx, 0x20000\n cmp ecx, 700\n ja 2f\n test cl, 1\n jz 2f\n mov ebx, 0x220000\n"
      "2: call rbx\n add rdx, rax\n dec ecx\n jnz 1b\n" DONE);

TEST(code_at_two_addresses)
{
	/* call 21010h; add rax, [rip to 20100h]; ret */
	static const uint8_t first[] = { 0xe8, 0x0b, 0x10, 0, 0, 0x48, 0x03, 0x05, 0xf4, 0, 0, 0, 0xc3 };
	/* mov rax, [rsp]; ret */
	static const uint8_t second[] = { 0x48, 0x8b, 0x04, 0x24, 0xc3 };
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t sum = 0;

	guest_start(cpu, GUEST_LONG, aliases);
	memcpy(machine->mem + FUNCTION, first, sizeof(first));
	memcpy(machine->mem + FUNCTION + 0x1010, second, sizeof(second));
	machine->mem[FUNCTION + 0x100] = 7;
	*guest_pde(machine, 0x200000) = *guest_pde(machine, 0);
	for (unsigned n = 1000; n > 0; n--)
		sum += FUNCTION + 5 + 7 + (n <= 700 && n % 2 ? 0x200000 : 0);
	cpu_run_to_done(cpu);
	check_eq(cpu_regs(cpu).rdx, sum);
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

/* Jumps to high addresses, where nothing is mapped: page faults, not the translator's mark of an empty table entry. */
GUEST(wild, 64,
      "mov ecx, 300\n xor edx, edx\n"
      "1: mov rbx, rsi\n push rbx\n ret\n"
      "wild_next: dec ecx\n jnz 1b\n" DONE
      "wild_handler: mov rax, cr2\n sub rax, rsi\n cmp rax, 1\n adc edx, 0\n add rsp, 8\n"
      "mov qword ptr [rsp], " ADDRESS_OF(wild, wild_next) "\n iretq\n");
GUEST_LABEL(wild_handler);

TEST(code_at_the_highest_addresses)
{
	static const uint64_t addresses[] = {
		~0ull, ~0xffffull, ~0x7fffull, ~0x10000ull, ~0x7fff8000ull, ~0xffff0000ull
	};

	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_regs regs;

	for (size_t n = 0; n < sizeof(addresses) / sizeof(addresses[0]); n++) {
		guest_start(cpu, GUEST_LONG, wild);
		guest_idt(machine, GUEST_LONG, 14, GUEST_ADDRESS(wild, wild_handler));
		regs = cpu_regs(cpu);
		regs.rsi = addresses[n];
		cpu_set_regs(cpu, &regs);
		cpu_run_to_done(cpu);
		check_eq((uint32_t)cpu_regs(cpu).rdx, 300);
	}
}

/*
 * Calls to an address that is none: #GP at the call, with nothing pushed for it. At CPL 3 the fault has a stack of its own, so
 * what is below the caller's stays.
 */
GUEST(nowhere, 64,
      "mov ecx, 300\n mov rbx, 0x123456789abcdef0\n mov rbp, -1\n"
      "1: push rbx\n pop rdx\n call rbx\n"
      "nowhere_next: and rbp, [rsp - 8]\n dec ecx\n jnz 1b\n mov [0x9000], rbp\n ud2\n"
      "nowhere_handler: add rsp, 8\n mov qword ptr [rsp], " ADDRESS_OF(nowhere, nowhere_next) "\n iretq\n"
											      "nowhere_done: " DONE);
GUEST_LABEL(nowhere_handler);
GUEST_LABEL(nowhere_done);

TEST(code_calls_an_address_that_is_none)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t below;

	guest_start(cpu, GUEST_LONG, nowhere);
	guest_enter_user(cpu);
	guest_idt(machine, GUEST_LONG, 13, GUEST_ADDRESS(nowhere, nowhere_handler));
	guest_idt(machine, GUEST_LONG, 6, GUEST_ADDRESS(nowhere, nowhere_done));
	cpu_run_to_done(cpu);
	memcpy(&below, machine->mem + 0x9000, sizeof(below));
	check_eq(below, 0x123456789abcdef0);
}

/* Wherever a signal stops it, the flags are those of the last instruction that set them. */
GUEST(flags, 64,
      "xor ecx, ecx\n mov ebx, 1\n test ebx, ebx\n"
      "flags_loop: mov rax, [0x9000]\n add rax, rbx\n"
      "flags_added: mov rdx, [0x9008]\n mov [0x9100], ebx\n flags_other: xor ecx, 1\n jmp flags_loop\n");
GUEST_LABEL(flags_loop);
GUEST_LABEL(flags_added);
GUEST_LABEL(flags_other);

TEST(code_flags_where_a_signal_stops_it)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	const uint64_t loop = GUEST_ADDRESS(flags, flags_loop), added = GUEST_ADDRESS(flags, flags_added),
		       other = GUEST_ADDRESS(flags, flags_other);
	struct signal_kicker kicker;
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, flags);
	memset(machine->mem + 0x9000, 0xff, 8);
	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, machine->mem + 0x9100);
	for (unsigned n = 0; n < 200; n++) {
		check_error(cpu_run(cpu), EINTR);
		regs = cpu_regs(cpu);
		check(regs.rip >= loop);
		/* -1 + 1: CF, PF, ZF; 0: PF, ZF; 1: none. */
		check_eq(regs.rflags & 0x8c5, regs.rip >= added && regs.rip <= other ? 0x45 : regs.rcx ? 0 : 0x44);
	}
	signal_kicker_stop(&kicker);
}

/*
 * A lock that is never free: a loop of two blocks whose head is behind the other one, as compilers lay out spin locks. Interrupts are
 * enabled for Bochs, which does not leave guests that spin without.
 */
GUEST(spins, 64,
      "sti\n mov edi, 1\n mov [0x9000], edi\n mov [0x9100], edi\n 0: cmp dword ptr [0x9004], 0\n je 0b\n"
      "mov ecx, 1\n 1: mov eax, edi\n lock cmpxchg [0x9000], edi\n sub eax, 2\n jz 2f\n pause\n jmp 1b\n 2: " DONE);
GUEST(spins_forward, 64,
      "sti\n mov edi, 1\n mov [0x9100], edi\n 0: cmp dword ptr [0x9004], 0\n je 0b\n jmp 2f\n"
      "1: mov eax, 1\n jmp 3f\n 2: mov edi, 1\n jmp 1b\n 3: mov edx, 2\n jmp 2b\n");

static void leaves_a_loop(struct guest_code code)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct signal_kicker kicker;

	guest_start(cpu, GUEST_LONG, code);
	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, machine->mem + 0x9100);
	for (unsigned n = 0; n < 20; n++) {
		check_error(cpu_run(cpu), EINTR);
		machine->mem[0x9004] = n >= 4; /* everything is warm when the loop begins */
	}
	signal_kicker_stop(&kicker);
}

TEST(code_spins_at_a_lock)
{
	leaves_a_loop(spins);
}

TEST(code_spins_back_and_forth)
{
	leaves_a_loop(spins_forward);
}

/* A division faults as the last instruction before one that crosses into the next page: the frame has its flags. */
GUEST(divides, 64,
      "mov ebp, 300\n mov ebx, 0x20ff8\n"
      "1: or edx, -1\n call rbx\n dec ebp\n jnz 1b\n" DONE);

TEST(code_flags_of_a_division_at_the_end_of_a_page)
{
	/* xor eax, eax; stc; div ah; mov eax, 1, across the page; ret */
	static const uint8_t code[] = { 0x31, 0xc0, 0xf9, 0xf6, 0xf4, 0xb8, 1, 0, 0, 0, 0xc3 };
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log;

	guest_start(cpu, GUEST_LONG, divides);
	memcpy(machine->mem + 0x20ff8, code, sizeof(code));
	log = guest_log(machine);
	log->skip = 2;
	log->silent = 1;
	cpu_run_to_done(cpu);
	check_eq(log->count, 300);
	for (unsigned n = 0; n < 16; n++) {
		check_eq(log->event[n].rip, 0x20ffb);
		check_eq(log->event[n].rflags & 0x8c5, 0x45);
	}
}

/* REP STOSB over itself, from below and from above: the instruction that began goes on to its end. */
#define OVER_ITSELF(direction, from)                                                                                   \
	"mov ebp, 20\n mov ebx, 0x20100\n 1: mov dword ptr [0x20100], 0xc3aaf3\n"                                      \
	"mov edi, " from "\n mov ecx, 0x180\n mov eax, 0xc3\n" direction "\n call rbx\n cld\n"                         \
	"add [0x9000], ecx\n dec ebp\n jnz 1b\n" DONE
GUEST(over_itself_from_below, 64, OVER_ITSELF("cld", "0x20080"));
GUEST(over_itself_from_above, 64, OVER_ITSELF("std", "0x20180"));

static void over_itself(struct guest_code code)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	guest_start(cpu, GUEST_LONG, code);
	cpu_run_to_done(cpu);
	check_eq(*(uint32_t *)(machine->mem + 0x9000), 0);
}

TEST(code_string_overwrites_itself)
{
	over_itself(over_itself_from_below);
	over_itself(over_itself_from_above);
}
