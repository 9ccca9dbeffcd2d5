/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A JIT that writes its functions where others were: longer and shorter ones, loops, jumps to code that stays or changes too. */
#include "../lib/guest.h"
#include "../lib/signals.h"

#define LIVES 6000u
#define HASH 0x9e3779b1u
#define SUM 0x37000

/*
 * For each life: one of eight functions goes to one of four places, with the number of the life as its constant, and is called one
 * to eight times. Behind each place is a second function, of another constant, which is written in every third life.
 */
GUEST(rewriter, 64,
      "sti\n mov ebp, 6000\n xor ebx, ebx\n"
      "1: imul eax, ebp, 0x9e3779b1\n shr eax, 29\n shl eax, 5\n lea rsi, [rip + rewriter_shapes]\n add rsi, rax\n"
      "mov r15d, ebp\n and r15d, 3\n shl r15d, 8\n add r15d, 0x30000\n"
      "mov rax, [rsi]\n mov [r15], rax\n mov rax, [rsi + 8]\n mov [r15 + 8], rax\n"
      "mov rax, [rsi + 16]\n mov [r15 + 16], rax\n mov rax, [rsi + 24]\n mov [r15 + 24], rax\n mov [r15 + 1], ebp\n"
      "imul eax, ebp, 0x55555555\n cmp eax, 0x55555555\n ja 2f\n"
      "mov byte ptr [r15 + 0x80], 5\n mov [r15 + 0x81], ebp\n mov byte ptr [r15 + 0x85], 0xc3\n"
      "2: mov r12d, ebp\n shr r12d, 2\n and r12d, 7\n inc r12d\n"
      "3: mov edi, r12d\n call r15\n rol ebx, 1\n add ebx, eax\n dec r12d\n jnz 3b\n"
      "dec ebp\n jnz 1b\n mov [0x37000], ebx\n" DONE ".balign 32\n rewriter_shapes:\n"
      "mov eax, 0x11111111\n lea eax, [rax + rdi]\n ret\n .balign 32\n"
      "mov eax, 0x11111111\n imul eax, edi\n add eax, 7\n ret\n .balign 32\n"
      "mov eax, 0x11111111\n add eax, [rsi + 1]\n ret\n .balign 32\n" /* much more than the first */
      "mov eax, 0x11111111\n mov ecx, 5\n 4: add eax, edi\n dec ecx\n jnz 4b\n ret\n .balign 32\n"
      "mov eax, 0x11111111\n test edi, 1\n jz 5f\n not eax\n 5: ret\n .balign 32\n"
      "mov eax, 0x11111111\n push rdi\n add eax, [rsp]\n pop rdi\n ret\n .balign 32\n"
      "mov eax, 0x11111111\n .byte 0xe9\n .long 0x76\n .balign 32\n" /* to the second function */
      "mov eax, 0x11111111\n cmp eax, edi\n adc eax, edi\n ret\n .balign 32\n");

static uint32_t shape(unsigned number, uint32_t constant, uint32_t argument, uint32_t second)
{
	switch (number) {
	case 0:
	case 5: return constant + argument;
	case 1: return constant * argument + 7;
	case 2: return constant + 0x11111111;
	case 3: return constant + 5 * argument;
	case 4: return argument & 1 ? ~constant : constant;
	case 6: return constant + second;
	default: return constant + argument + (constant < argument);
	}
}

static uint32_t rewriter_work(void)
{
	uint32_t second[4] = { 0 }, sum = 0;

	for (uint32_t life = LIVES; life; life--) {
		/* Multiples of 3, and one more in the lowest third. */
		if (life * 0x55555555u <= 0x55555555u)
			second[life & 3] = life;
		for (uint32_t call = (life >> 2 & 7) + 1; call; call--)
			sum = (sum << 1 | sum >> 31) + shape(life * HASH >> 29, life, call, second[life & 3]);
	}
	return sum;
}

/* add eax, 0; ret in each place's second function, until the guest writes them. */
static struct cpu *rewriter_cpu(struct machine *machine)
{
	struct cpu *cpu = cpu_new(machine, 0);

	for (unsigned place = 0; place < 4; place++) {
		machine->mem[0x30080 + 0x100 * place] = 0x05;
		machine->mem[0x30085 + 0x100 * place] = 0xc3;
	}
	guest_start(cpu, GUEST_LONG, rewriter);
	return cpu;
}

TEST(code_rewritten_in_place)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = rewriter_cpu(machine);

	cpu_run_to_done(cpu);
	check_eq(load32(machine->mem + SUM), rewriter_work());
}

/* The loops around it are left, and entered again, all the time: where they were left, they go on. */
TEST(code_rewritten_between_signals)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = rewriter_cpu(machine);
	struct signal_kicker kicker;

	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, NULL);
	do
		cpu_run(cpu);
	while (cpu->run->exit_reason == KVM_EXIT_INTR);
	signal_kicker_stop(&kicker);
	check_exit(cpu, KVM_EXIT_IO);
	check_eq(load32(machine->mem + SUM), rewriter_work());
}

/*
 * Functions that string instructions copy to one of eight places, in both directions; in every sixteenth turn the whole page becomes
 * RETs. Each turn calls the function that it has copied and another one.
 */
GUEST(copied, 64,
      "sti\n mov ebp, 4000\n xor ebx, ebx\n mov byte ptr [0x38000], 0xb8\n mov byte ptr [0x38005], 0xc3\n"
      "1: mov [0x38001], ebp\n mov r15d, ebp\n and r15d, 7\n shl r15d, 6\n add r15d, 0x30000\n"
      "mov esi, 0x38000\n mov edi, r15d\n mov ecx, 16\n test ebp, 64\n jz 2f\n"
      "add esi, 15\n add edi, 15\n std\n 2: rep movsb\n cld\n"
      "call r15\n rol ebx, 1\n add ebx, eax\n"
      "test ebp, 15\n jnz 4f\n mov eax, 0xc3\n mov edi, 0x30000\n mov ecx, 4096\n test ebp, 16\n jz 3f\n"
      "mov edi, 0x30fff\n std\n 3: rep stosb\n cld\n"
      "4: xor r15d, 0xc0\n call r15\n add ebx, eax\n"
      "dec ebp\n jnz 1b\n mov [0x37000], ebx\n" DONE);

TEST(code_copied_by_string_instructions)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint32_t constant[8] = { 0 }, sum = 0;

	memset(machine->mem + 0x30000, 0xc3, 4096);
	for (uint32_t turn = 4000; turn; turn--) {
		uint32_t last = turn;

		constant[turn & 7] = turn;
		sum = (sum << 1 | sum >> 31) + turn;
		if (!(turn & 15)) {
			memset(constant, 0, sizeof(constant));
			last = 0xc3;
		}
		sum += constant[(turn & 7) ^ 3] ? constant[(turn & 7) ^ 3] : last;
	}
	guest_start(cpu, GUEST_LONG, copied);
	cpu_run_to_done(cpu);
	check_eq(load32(machine->mem + SUM), sum);
}
