/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The 2006 list of DESIGN.md, as far as no other file has its test: see `api-tests --list y2006` for all.
 */
#include <errno.h>
#include <string.h>

#include "../lib/guest.h"
#include "../lib/signals.h"

GUEST(in_place, 64,
      "xor eax, eax\n cpuid\n mov ecx, 0xc0000080\n rdmsr\n mov rax, cr3\n mov cr3, rax\n"
      "mov rax, cr4\n mov cr4, rax\n mov rax, dr7\n mov dr7, rax\n wbinvd\n invlpg [0x9000]\n rdtsc\n"
      "out 0x80, al\n hlt\n");

/* Some exits are the loop's own business, others user space's: the guest sees no difference. */
TEST(y2006_exits_in_place_and_by_user_space)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, in_place);
	cpu_run_to_out(cpu, 0x80);
	cpu_run_to(cpu, KVM_EXIT_HLT);
	check_eq(guest_log(cpu->machine)->count, 0);
}

GUEST(plain, 64, "nop\n" DONE);

/* Code that is both 64-bit and 32-bit is a state that no processor enters. */
TEST(y2006_failed_entry)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct kvm_sregs sregs;
	int ret;

	guest_start(cpu, GUEST_LONG, plain);
	sregs = cpu_sregs(cpu);
	sregs.cs.db = 1;
	ret = kt_ioctl(cpu->kt, KVM_SET_SREGS, &sregs);
	if (ret == -EINVAL)
		skip("the target refuses the state instead of failing to enter it");
	check_ok(ret);
	cpu_run_to(cpu, KVM_EXIT_FAIL_ENTRY);
	check(cpu->run->fail_entry.hardware_entry_failure_reason != 0);
	/* Nothing has changed by itself. */
	cpu_run_to(cpu, KVM_EXIT_FAIL_ENTRY);
}

GUEST(fresh_stack, 64, "1: nop\n jmp 1b\n");

/*
 * Delivery touches a stack page that the target has not seen yet (and whose writes it logs): on
 * hardware that is an exit while vectoring, handled in place. The event is delivered once, not
 * lost, not twice.
 */
TEST(y2006_vectoring_event_survives_an_exit_in_place)
{
	struct machine *machine = machine_new(0);
	struct cpu *cpu = cpu_new(machine, 0);
	uint8_t *stack = host_memory(64 * PAGE_SIZE);
	struct kvm_interrupt irq = { .irq = 0x51 };

	check_ok(memory_slot(machine, 1, KVM_MEM_LOG_DIRTY_PAGES, 0x10000000, 64 * PAGE_SIZE, stack));
	guest_start(cpu, GUEST_LONG, fresh_stack);
	for (unsigned int i = 0; i < 64; i++) {
		struct kvm_regs regs = cpu_regs(cpu);

		regs.rip = GUEST_CODE;
		regs.rsp = 0x10000000 + (i + 1) * PAGE_SIZE;
		regs.rflags |= 0x200;
		cpu_set_regs(cpu, &regs);
		check_ok(kt_ioctl(cpu->kt, KVM_INTERRUPT, &irq));
		check_eq(cpu_run_to_out(cpu, PORT_EVENT), 0x51);
		check_eq(guest_log(machine)->count, i + 1);
		check_eq(guest_log(machine)->event[i & 15].rip, GUEST_CODE);
	}
}

GUEST(cpuid_forever, 64, "1: xor eax, eax\n cpuid\n mov dword ptr [0x9000], 1\n jmp 1b\n");

TEST(y2006_signal_check_after_exits_in_place)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	uint32_t *flag = (uint32_t *)(cpu->machine->mem + GUEST_DATA);
	struct signal_kicker kicker;

	guest_start(cpu, GUEST_LONG, cpuid_forever);
	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, flag);
	do {
		check_error(cpu_run(cpu), EINTR);
		check_exit(cpu, KVM_EXIT_INTR);
	} while (!*flag);
	signal_kicker_stop(&kicker);
}

/* The guest spoils whatever it shares a processor's registers with. */
GUEST(spoil, 64,
      "mov eax, 0x55555555\n movd xmm0, eax\n pshufd xmm0, xmm0, 0\n"
      "movdqa xmm5, xmm0\n movdqa xmm15, xmm0\n"
      "mov dword ptr [0x9000], 0x7fa0\n ldmxcsr [0x9000]\n"
      "mov word ptr [0x9004], 0x0e7f\n fldcw [0x9004]\n fldpi\n fldl2e\n"
      "mov ecx, 0xc0000100\n mov eax, 0x12345000\n xor edx, edx\n wrmsr\n"
      "mov ecx, 0xc0000101\n wrmsr\n mov ecx, 0xc0000102\n wrmsr\n"
      "mov eax, 0x10\n mov fs, ax\n mov gs, ax\n xor eax, eax\n lldt ax\n"
      "std\n out 0x80, al\n cpuid\n hlt\n");

struct host_state {
	uint64_t xmm[4];
	uint32_t mxcsr;
	uint16_t fcw, fs, gs, ldt, ds, es;
	uint64_t flags, fs_base_word;
};

static struct host_state read_host_state(void)
{
	struct host_state state;

	__asm__ volatile("movdqu %%xmm5, %0\n movdqu %%xmm15, %1"
			 : "=m"(state.xmm[0]), "=m"(state.xmm[2])
			 :
			 : "memory");
	__asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(state.mxcsr), "=m"(state.fcw));
	__asm__ volatile("mov %%fs, %0\n mov %%gs, %1\n sldt %2\n mov %%ds, %3\n mov %%es, %4"
			 : "=r"(state.fs), "=r"(state.gs), "=r"(state.ldt), "=r"(state.ds), "=r"(state.es));
	__asm__ volatile("pushfq\n pop %0" : "=r"(state.flags));
	__asm__ volatile("mov %%fs:0, %0" : "=r"(state.fs_base_word));
	return state;
}

static void check_host_state(const struct host_state *before)
{
	struct host_state after = read_host_state();

	check_eq(after.mxcsr, before->mxcsr);
	check_eq(after.fcw, before->fcw);
	check_eq(after.fs, before->fs);
	check_eq(after.gs, before->gs);
	check_eq(after.ldt, before->ldt);
	check_eq(after.ds, before->ds);
	check_eq(after.es, before->es);
	check_eq(after.fs_base_word, before->fs_base_word);
	/* DF, TF, AC: the guest's stay the guest's. */
	check_eq(after.flags & 0x40500, 0);
}

/* FPU, segments, LDT of the caller after exits to user space and in place. */
TEST(y2006_host_state_is_intact)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	struct host_state before;
	long double sum = 1.0L;

	guest_start(cpu, GUEST_LONG, spoil);
	before = read_host_state();
	cpu_run_to_out(cpu, 0x80);
	check_host_state(&before);
	cpu_run_to(cpu, KVM_EXIT_HLT);
	check_host_state(&before);
	/* The x87 stack is usable: eight pushes would overflow on top of the guest's two. */
	for (volatile int i = 0; i < 8; i++)
		sum = sum * 2.0L + 1.0L;
	check(sum == 511.0L);
}

/* And the guest finds its own state again after the host used the registers. */
GUEST(keep, 64,
      "mov eax, 0x55555555\n movd xmm5, eax\n fldpi\n out 0x80, al\n"
      "movd eax, xmm5\n out 0x81, eax\n fstp qword ptr [0x9000]\n" DONE);

TEST(y2006_guest_fpu_state_is_kept)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	double pi;

	guest_start(cpu, GUEST_LONG, keep);
	cpu_run_to_out(cpu, 0x80);
	__asm__ volatile("pxor %%xmm5, %%xmm5\n fninit" : : : "xmm5");
	check_eq(cpu_run_to_out(cpu, 0x81), 0x55555555);
	cpu_run_to_done(cpu);
	memcpy(&pi, cpu->machine->mem + GUEST_DATA, sizeof(pi));
	check(pi > 3.14159265358979 && pi < 3.14159265358980);
}
