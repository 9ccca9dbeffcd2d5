/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Hot calls and returns that do not pair: a translator may guess where a RET goes, the guest's stack says where it does. */
#include <errno.h>
#include <string.h>

#include "../lib/guest.h"
#include "../lib/signals.h"

#define TURNS 3000

static struct machine *run_long(struct guest_code code)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);

	guest_start(cpu, GUEST_LONG, code);
	cpu_run_to_done(cpu);
	return machine;
}

/* Calls that are never returned from, and returns that nobody called for. */
GUEST(unpaired, 64,
      "mov ecx, 3000\n xor ebp, ebp\n xor edi, edi\n"
      "1: call 2f\n 2: pop rax\n add ebp, 1\n lea rdx, [rip + 3f]\n push rdx\n lea rdx, [rip + 4f]\n push rdx\n ret\n"
      "4: add ebp, 2\n ret\n 3: add ebp, 4\n call 5f\n add ebp, 8\n dec ecx\n jnz 1b\n mov [0x9000], rbp\n" DONE
      "5: add rsp, 8\n call 6f\n dec ecx\n jnz 1b\n mov [0x9000], rbp\n" DONE
      "6: pop rax\n lea rax, [rip + 7f]\n push rax\n ret\n 7: add ebp, 16\n dec ecx\n jnz 1b\n mov [0x9000], "
      "rbp\n" DONE);

TEST(code_calls_and_returns_unpaired)
{
	check_eq(load64(run_long(unpaired)->mem + 0x9000), TURNS * (1 + 2 + 4 + 16));
}

/* So deep that any stack of the translator's own comes to its end: down by two ways, and back. */
GUEST(deep, 64,
      "mov rsp, 0x3f0000\n mov ecx, 50000\n xor ebp, ebp\n call 2f\n mov ecx, 50000\n lea rsi, [rip + 3f]\n call 3f\n"
      "mov rsp, 0x8000\n mov [0x9000], rbp\n" DONE "2: dec ecx\n jz 1f\n call 2b\n inc ebp\n ret\n"
      "3: dec ecx\n jz 1f\n call rsi\n add ebp, 2\n 1: ret\n");

TEST(code_calls_deep)
{
	check_eq(load64(run_long(deep)->mem + 0x9000), 49999 * 3);
}

/* Each 64th time the callee, in the caller's page or in another, rewrites what is behind the call: another number is added. */
#define REWRITTEN(name, place)                                                                                         \
	GUEST(name, 64,                                                                                                \
	      "mov ecx, 3008\n xor ebp, ebp\n 1: call 2f\n add ebp, 0x11223344\n dec ecx\n jnz 1b\n mov [0x9000], "    \
	      "rbp\n" DONE place "2: test cl, 63\n jnz 3f\n mov rax, [rsp]\n mov [rax + 2], ecx\n 3: ret\n")
REWRITTEN(rewritten_here, "");
REWRITTEN(rewritten_from_afar, ".skip 0x1000\n");

static void run_rewritten(struct guest_code code)
{
	uint64_t sum = 0;

	for (unsigned n = 3008; n; n--)
		sum += (n + 63) / 64 * 64;
	check_eq(load64(run_long(code)->mem + 0x9000), sum);
}

TEST(code_behind_a_call_is_rewritten)
{
	run_rewritten(rewritten_here);
	run_rewritten(rewritten_from_afar);
}

/*
 * The callee maps another page where the caller is: two copies of code at 0x40001000 that add 1 and 100 behind their calls.
 * rbx: the entry of the page directory, whose other value is in rsi.
 */
GUEST(swapped, 64,
      "mov ecx, 3000\n xor ebp, ebp\n mov esi, 0x83\n mov eax, 0x40001000 + swapped_caller - swapped_start\n"
      "mov edx, offset swapped_callee - swapped_start + 0x1000\n jmp rax\n"
      "swapped_caller: call rdx\n swapped_add: add ebp, 1\n dec ecx\n jnz swapped_caller\n"
      "mov eax, offset swapped_end_of - swapped_start + 0x1000\n jmp rax\n"
      "swapped_end_of: mov [0x9000], rbp\n" DONE
      "swapped_callee: mov rax, [rbx]\n mov [rbx], rsi\n mov rsi, rax\n invlpg [0x40001000]\n ret\n");
GUEST_LABEL(swapped_add);

TEST(code_behind_a_call_is_mapped_elsewhere)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint64_t *pde;
	struct kvm_regs regs;

	guest_start(cpu, GUEST_LONG, swapped);
	memcpy(machine->mem + 0x200000 + GUEST_CODE, swapped.start, (size_t)(swapped.end - swapped.start));
	machine->mem[0x200000 + GUEST_ADDRESS(swapped, swapped_add) + 2] = 100;
	pde = guest_pde(machine, 0x40000000);
	*pde = 0x200000 | 0x83;
	regs = cpu_regs(cpu);
	regs.rbx = (uint64_t)((uint8_t *)pde - machine->mem);
	cpu_set_regs(cpu, &regs);
	cpu_run_to_done(cpu);
	check_eq(load64(machine->mem + 0x9000), TURNS / 2 * (100 + 1));
}

/* Loops without a jump: a signal ends them all the same. */
GUEST(by_return, 64, "lea rbx, [rip + 1f]\n 1: inc qword ptr [0x9000]\n push rbx\n ret\n");
GUEST(by_pair, 64, "lea rbx, [rip + 1f]\n 1: inc qword ptr [0x9000]\n call 2f\n push rbx\n ret\n 2: ret\n");
GUEST(by_call, 64, "lea rbx, [rip + 1f]\n 1: inc qword ptr [0x9000]\n mov rsp, 0x8000\n call 2f\n 2: call rbx\n");

TEST(code_returns_for_ever)
{
	const struct guest_code codes[] = { by_return, by_pair, by_call };
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	struct signal_kicker kicker;

	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, machine->mem + 0x9000);
	for (unsigned n = 0; n < 3; n++) {
		guest_start(cpu, GUEST_LONG, codes[n]);
		for (unsigned turn = 0; turn < 20; turn++)
			check_error(cpu_run(cpu), EINTR);
	}
	signal_kicker_stop(&kicker);
}
