/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Hot code at a stack whose page is not what it was: a translator may keep in mind where the stack lies, as long as it is true. */
#include <string.h>

#include "../lib/guest.h"

#define STACK 0x40180000u /* linear: an address of its own in each of two 2 MiB pages of memory */
#define STACK_PDE 0x40000000u
#define PLACE(n) ((n)*0x200000u + 0x180000u)
#define PDE_WRITE 2ull
#define PDE_USER 4ull
#define LARGE 0x83ull /* present, writable, large */
#define TURNS 1000

/* rdi: the entry of the page directory; rsi: its other value. */
GUEST(moved, 64,
      "mov ecx, 1000\n xor ebp, ebp\n mov rsp, 0x40180000\n"
      "1: push rcx\n call 2f\n mov rax, [rdi]\n mov [rdi], rsi\n mov rsi, rax\n invlpg [rsp]\n"
      "pop rax\n add rbp, rax\n push rcx\n call 2f\n pop rdx\n add rbp, rdx\n dec ecx\n jnz 1b\n"
      "mov rsp, 0x8000\n mov [0x9000], rbp\n" DONE "2: add rbp, [rsp + 8]\n ret\n");

static uint64_t moved_work(void)
{
	uint64_t slot[2] = { 0 }, sum = 0;
	unsigned place = 1;

	for (uint64_t n = TURNS; n; n--) {
		slot[place] = n;
		sum += n;
		place = !place;
		sum += slot[place];
		slot[place] = n;
		sum += 2 * n;
	}
	return sum;
}

TEST(code_stack_is_mapped_elsewhere)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t *pde;
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, moved);
	pde = guest_pde(machine, STACK_PDE);
	*pde = 0x200000 | LARGE;
	regs = cpu_regs(cpu);
	regs.rdi = (uint64_t)((uint8_t *)pde - machine->mem);
	regs.rsi = LARGE;
	cpu_set_regs(cpu, &regs);
	cpu_run_to_done(cpu);
	check_eq(load64(machine->mem + 0x9000), moved_work());
}

/* Pops from a page that may not be written, and a push there. */
GUEST(closed, 64,
      "mov ecx, 1000\n mov rsp, 0x40180000\n 1: push rcx\n pop rdx\n dec ecx\n jnz 1b\n hlt\n"
      "closed_again: mov ecx, 1000\n xor ebp, ebp\n"
      "2: pop rax\n add rbp, rax\n mov rax, [rsp - 8]\n add rbp, rax\n sub rsp, 8\n dec ecx\n jnz 2b\n"
      "closed_push: push rbp\n hlt\n");
GUEST_LABEL(closed_again);
GUEST_LABEL(closed_push);

TEST(code_stack_becomes_read_only)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);
	const uint64_t value = 0x1234567890;
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, closed);
	guest_enter_user(cpu);
	*guest_pde(machine, STACK_PDE) = 0x200000 | LARGE | PDE_USER;
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	*guest_pde(machine, STACK_PDE) &= ~PDE_WRITE;
	memcpy(machine->mem + PLACE(1), &value, sizeof(value));
	guest_enter_user(cpu); /* segments written: what is known of the tables is not valid any more */
	regs = cpu_regs(cpu);
	regs.rip = GUEST_ADDRESS(closed, closed_again);
	regs.rsp = STACK;
	cpu_set_regs(cpu, &regs);
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 14);
	check_eq(log->event[1].rip, GUEST_ADDRESS(closed, closed_push));
	check_eq(log->event[1].cr2, STACK - 8);
	check_eq(log->event[1].error, 7);
	*guest_pde(machine, STACK_PDE) |= PDE_WRITE;
	check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
	check_eq(load64(machine->mem + PLACE(1) - 8), 2 * TURNS * value);
}

/* Stack pointers that are none, in code that has a stack in all turns before. */
GUEST(astray, 64, "1: mov rsp, rbx\n push rcx\n add rbp, [rsp]\n pop rdx\n dec ecx\n jnz 1b\n hlt\n");

TEST(code_stack_pointer_is_not_canonical)
{
	static const uint64_t pointers[] = { 1ull << 62,         (1ull << 62) + 8,   (1ull << 62) + 0x1000,
					     0x0000900000000000, 0x8000000000000000, 0x1234567812345678 };

	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct guest_event_log *log = guest_log(machine);
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, astray);
	for (unsigned n = 0; n < sizeof(pointers) / sizeof(pointers[0]); n++) {
		regs = (struct kvm_regs){ .rip = GUEST_CODE, .rflags = 2, .rcx = TURNS, .rbx = 0x30000 };
		guest_enter_user(cpu);
		cpu_set_regs(cpu, &regs);
		check_eq(cpu_run_to_out(cpu, PORT_EVENT), 13);
		check_eq(cpu_regs(cpu).rbp, TURNS * (TURNS + 1) / 2);
		regs.rbx = pointers[n];
		guest_enter_user(cpu);
		cpu_set_regs(cpu, &regs);
		check_eq(cpu_run_to_out(cpu, PORT_EVENT), 12);
		check_eq(log->event[2 * n + 1].rip, GUEST_CODE + 3);
		check_eq(log->event[2 * n + 1].rsp, pointers[n]);
	}
}

/* A user's page as a stack, while AC allows it; then, behind CLAC, the one in rsi. A #PF has no stack there. */
GUEST(allowed, 64,
      "1: mov rsp, 0x40180000\n stac\n push rcx\n pop rdx\n clac\n mov rsp, rsi\n push rcx\n pop rdx\n"
      "dec ecx\n jnz 1b\n" DONE "jmp 1b\n");

static void run_behind_clac(struct cpu *cpu, uint64_t stack)
{
	struct kvm_regs regs = cpu_regs(cpu);

	regs.rcx = TURNS;
	regs.rsi = stack;
	cpu_set_regs(cpu, &regs);
	check_ok(cpu_run(cpu));
}

TEST(code_stack_in_a_users_page)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct kvm_cpuid2 *cpuid = cpuid_supported(machine);
	struct kvm_cpuid_entry2 *entry = cpuid_find(cpuid, 7, 0);
	struct kvm_sregs sregs;

	if (!entry || !(entry->ebx & 1u << 20))
		skip("the target has no SMAP");
	check_ok(kt_ioctl(cpu->kt, KVM_SET_CPUID2, cpuid));
	guest_start(cpu, GUEST_LONG, allowed);
	*guest_pde(machine, 0) &= ~PDE_USER;
	*guest_pde(machine, STACK_PDE) = 0x200000 | LARGE | PDE_USER;
	sregs = cpu_sregs(cpu);
	sregs.cr4 |= 1u << 21;
	cpu_set_sregs(cpu, &sregs);
	run_behind_clac(cpu, GUEST_STACK);
	check_exit(cpu, KVM_EXIT_IO);
	run_behind_clac(cpu, STACK);
	check_exit(cpu, KVM_EXIT_SHUTDOWN);
}

/* Each get of the log protects the page anew. */
GUEST(logged, 64,
      "1: mov ecx, 1000\n mov rsp, 0x10001000\n 2: push rcx\n pop rdx\n dec ecx\n jnz 2b\n" DONE "jmp 1b\n");

TEST(code_stack_in_a_dirty_log)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t bitmap;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bitmap };

	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, 0x10000000, 4 * PAGE_SIZE,
			     host_memory(4 * PAGE_SIZE)));
	guest_start(cpu, GUEST_LONG, logged);
	for (unsigned n = 0; n < 5; n++) {
		cpu_run_to_done(cpu);
		check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
		check_eq(bitmap, 1);
		check_ok(kt_ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
		check_eq(bitmap, 0);
	}
}
