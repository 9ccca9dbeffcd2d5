/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The trial guest and its tiny VMM. The guest reports each step that it has done by a byte to PORT; the step at which it
 * stopped is the one that failed.
 */
#include "trial.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvmdev.h"
#include "message.h"

/* Shared with the guest's source below. */
#define PORT 0x510
#define GUEST_BASE 0x1000
#define LOOPS 5000000
#define STRING(x) #x
#define TEXT(x) STRING(x)

#define TRIAL_RAM (2u << 20)
#define TRIAL_SECONDS 10
#define TSS_PAGES 0xfffbd000ul
#define IDENTITY_PAGE 0xfffbc000ull
#define SPEED_BEGINS 0x80 /* reported in front of the loop */

/*
 * It starts at GUEST_BASE in real mode. Page tables are written here: one page of 2 MiB for RAM, one for the local APIC at
 * 0xfee00000. Addresses are GUEST_BASE + label - trial_guest.
 */
__asm__(".pushsection .rodata\n"
	".globl trial_guest, trial_guest_end\n"
	".hidden trial_guest, trial_guest_end\n"
	".set base, " TEXT(
		GUEST_BASE) "\n"
			    ".macro report step\n"
			    "	mov $\\step, %al\n"
			    "	mov $" TEXT(
				    PORT) ", %dx\n"
					  "	out %al, %dx\n"
					  ".endm\n"
					  ".balign 16\n"
					  "trial_guest:\n"
					  ".code16\n"
					  "	cli\n"
					  "	xor %ax, %ax\n"
					  "	mov %ax, %ds\n"
					  "	mov %ax, %ss\n"
					  "	mov $0x7000, %sp\n"
					  "	pushw $0x1234\n"
					  "	popw %bx\n"
					  "	cmp $0x1234, %bx\n"
					  "	jne 9f\n"
					  "	report 3\n"
					  "	lgdtl base + (gdt_pointer - trial_guest)\n"
					  "	mov %cr0, %eax\n"
					  "	or $1, %al\n"
					  "	mov %eax, %cr0\n"
					  "	ljmpl $8, $(base + (protected - trial_guest))\n"
					  "9:	hlt\n"
					  "	jmp 9b\n"
					  ".code32\n"
					  "protected:\n"
					  "	mov $16, %eax\n"
					  "	mov %eax, %ds\n"
					  "	mov %eax, %es\n"
					  "	mov %eax, %ss\n"
					  "	mov $0x7000, %esp\n"
					  "	call 1f\n"
					  "1:	pop %ebx\n"
					  "	cmp $(base + (1b - trial_guest)), %ebx\n"
					  "	jne 9f\n"
					  "	report 4\n"
					  /* Page tables: 0x8000 level 4, 0x9000 level 3, 0xa000 and 0xb000 level 2 for the first and the fourth GiB. */
					  "	mov $0x8000, %edi\n"
					  "	xor %eax, %eax\n"
					  "	mov $0x1000, %ecx\n"
					  "	cld\n"
					  "	rep stosl\n"
					  "	movl $0x9003, 0x8000\n"
					  "	movl $0xa003, 0x9000\n"
					  "	movl $0xb003, 0x9018\n"
					  "	movl $0x83, 0xa000\n"
					  "	movl $0xfee00083, 0xbfb8\n"
					  "	mov $0x620, %eax\n" /* PAE, OSFXSR, OSXMMEXCPT */
					  "	mov %eax, %cr4\n"
					  "	mov $0x8000, %eax\n"
					  "	mov %eax, %cr3\n"
					  "	mov $0xc0000080, %ecx\n"
					  "	rdmsr\n"
					  "	or $0x100, %eax\n" /* LME */
					  "	wrmsr\n"
					  "	mov $0x80000033, %eax\n" /* PG, NE, ET, MP, PE */
					  "	mov %eax, %cr0\n"
					  "	ljmp $24, $(base + (long_mode - trial_guest))\n"
					  "9:	hlt\n"
					  "	jmp 9b\n"
					  ".code64\n"
					  "long_mode:\n"
					  "	mov $0x123456789abcdef0, %rbx\n"
					  "	push %rbx\n"
					  "	pop %rcx\n"
					  "	cmp %rbx, %rcx\n"
					  "	jne 9f\n"
					  "	xor %eax, %eax\n"
					  "	cpuid\n"
					  "	test %eax, %eax\n"
					  "	jz 9f\n"
					  "	report 5\n"
					  "	movq %rcx, %xmm1\n"
					  "	punpcklqdq %xmm1, %xmm1\n"
					  "	movdqu %xmm1, 0x6000\n"
					  "	mov 0x6008, %rax\n"
					  "	cmp %rcx, %rax\n"
					  "	jne 9f\n"
					  "	report 6\n"
					  /* Gates of 16 bytes at 0x5000: 6 #UD, 0x41 the APIC, 0xff spurious. */
					  "	lea undefined(%rip), %rax\n"
					  "	mov $0x5060, %edi\n"
					  "	call set_gate\n"
					  "	lea interrupt(%rip), %rax\n"
					  "	mov $0x5410, %edi\n"
					  "	call set_gate\n"
					  "	lidt idt_pointer(%rip)\n"
					  "	xor %ebx, %ebx\n"
					  "	ud2\n"
					  "	cmp $1, %ebx\n"
					  "	jne 9f\n"
					  "	report 7\n"
					  "	mov $0xfee00000, %esi\n"
					  "	movl $0x1ff, 0xf0(%rsi)\n" /* enabled, spurious vector 0xff */
					  "	movl $0, 0x310(%rsi)\n"
					  "	movl $0x44041, 0x300(%rsi)\n" /* to itself, vector 0x41 */
					  "	xor %ebx, %ebx\n"
					  "	sti\n"
					  "2:	pause\n"
					  "	test %ebx, %ebx\n"
					  "	jz 2b\n"
					  "	cli\n"
					  "	report 8\n"
					  "	xor %ebx, %ebx\n"
					  "	movl $0xb, 0x3e0(%rsi)\n"  /* divide by 1 */
					  "	movl $0x41, 0x320(%rsi)\n" /* one shot */
					  "	movl $100000, 0x380(%rsi)\n"
					  "3:	sti\n"
					  "	hlt\n"
					  "	cli\n"
					  "	test %ebx, %ebx\n"
					  "	jz 3b\n"
					  "	report 9\n"
					  "	report 0x80\n"
					  "	mov $" TEXT(LOOPS) ", %ecx\n"
								   "4:	dec %ecx\n"
								   "	jnz 4b\n"
								   "	report 10\n"
								   "9:	hlt\n"
								   "	jmp 9b\n"
								   "undefined:\n"
								   "	inc %ebx\n"
								   "	addq $2, (%rsp)\n"
								   "	iretq\n"
								   "interrupt:\n"
								   "	inc %ebx\n"
								   "	movl $0, 0xb0(%rsi)\n" /* end of interrupt */
								   "	iretq\n"
								   "set_gate:\n"
								   "	mov %ax, (%rdi)\n"
								   "	movw $24, 2(%rdi)\n"
								   "	movw $0x8e00, 4(%rdi)\n"
								   "	shr $16, %rax\n"
								   "	mov %ax, 6(%rdi)\n"
								   "	ret\n"
								   ".balign 8\n"
								   "gdt:	.quad 0, 0x00cf9b000000ffff, "
								   "0x00cf93000000ffff, 0x00af9b000000ffff\n"
								   "gdt_pointer:\n"
								   "	.short 31\n"
								   "	.long base + (gdt - trial_guest)\n"
								   "idt_pointer:\n"
								   "	.short 0xfff\n"
								   "	.quad 0x5000\n"
								   "trial_guest_end:\n"
								   ".popsection\n");

extern const uint8_t trial_guest[], trial_guest_end[];

_Static_assert(TRIAL_REAL == 3 && TRIAL_SPEED == 10, "the guest's source has these numbers");

const char *trial_step_name(enum trial_step step)
{
	static const char *const names[] = {
		[TRIAL_OPEN] = "open",
		[TRIAL_NEEDS] = "capabilities",
		[TRIAL_CREATE] = "create",
		[TRIAL_REAL] = "real-mode",
		[TRIAL_PROTECTED] = "protected-mode",
		[TRIAL_LONG] = "long-mode",
		[TRIAL_VECTOR] = "vector-registers",
		[TRIAL_EXCEPTION] = "exceptions",
		[TRIAL_INTERRUPT] = "interrupts",
		[TRIAL_TIMER] = "timer",
		[TRIAL_SPEED] = "speed",
		[TRIAL_STEPS] = "done",
	};

	return names[step];
}

struct trial_vm {
	struct kvmdev *sys, *vm, *vcpu;
	struct kvm_run *run;
	void *ram;
	struct trial *t;
};

static bool stop(struct trial_vm *m, int err, const char *what)
{
	m->t->error = -err;
	snprintf(m->t->detail, sizeof(m->t->detail), "%s: %s", what, strerror(-err));
	return false;
}

static bool open_kvm(struct trial_vm *m, const char *device, enum anykvm_engine engine)
{
	int err = device ? kvmdev_open_device(device, &m->sys) : kvmdev_open_library(engine, &m->sys);
	int version;

	if (err < 0)
		return stop(m, err, "open");
	version = kvmdev_ioctl_number(m->sys, KVM_GET_API_VERSION, 0);
	if (version < 0)
		return stop(m, version, "KVM_GET_API_VERSION");
	if (version != KVM_API_VERSION) {
		snprintf(m->t->detail, sizeof(m->t->detail), "API version %d, not %d", version, KVM_API_VERSION);
		return false;
	}
	return true;
}

/* What QEMU and others refuse to go on without. */
static bool has_needs(struct trial_vm *m)
{
	static const struct {
		int cap;
		const char *name;
	} needs[] = {
		{ KVM_CAP_USER_MEMORY, "USER_MEMORY" },
		{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "DESTROY_MEMORY_REGION_WORKS" },
		{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, "JOIN_MEMORY_REGIONS_WORKS" },
		{ KVM_CAP_SET_TSS_ADDR, "SET_TSS_ADDR" },
		{ KVM_CAP_EXT_CPUID, "EXT_CPUID" },
		{ KVM_CAP_MP_STATE, "MP_STATE" },
		{ KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING" },
		{ KVM_CAP_IRQCHIP, "IRQCHIP" },
		{ KVM_CAP_PIT2, "PIT2" },
		{ KVM_CAP_MCE, "MCE" },
		{ KVM_CAP_IOEVENTFD, "IOEVENTFD" },
		{ KVM_CAP_IRQFD, "IRQFD" },
		{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT" },
	};

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (kvmdev_ioctl_number(m->sys, KVM_CHECK_EXTENSION, (unsigned long)needs[i].cap) > 0)
			continue;
		snprintf(m->t->detail, sizeof(m->t->detail), "KVM_CAP_%s is missing", needs[i].name);
		return false;
	}
	return true;
}

static bool create_vm(struct trial_vm *m)
{
	uint64_t identity = IDENTITY_PAGE;
	struct kvm_userspace_memory_region ram = { .memory_size = TRIAL_RAM };
	int err = kvmdev_make(m->sys, KVM_CREATE_VM, 0, &m->vm);

	if (err < 0)
		return stop(m, err, "KVM_CREATE_VM");
	err = kvmdev_ioctl_number(m->vm, KVM_SET_TSS_ADDR, TSS_PAGES);
	if (err >= 0)
		err = kvmdev_ioctl(m->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (err >= 0)
		err = kvmdev_ioctl_number(m->vm, KVM_CREATE_IRQCHIP, 0);
	if (err < 0)
		return stop(m, err, "KVM_CREATE_IRQCHIP");
	m->ram = mmap(NULL, TRIAL_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->ram == MAP_FAILED)
		return stop(m, -errno, "mmap");
	memcpy((char *)m->ram + GUEST_BASE, trial_guest, (uintptr_t)trial_guest_end - (uintptr_t)trial_guest);
	ram.userspace_addr = (uintptr_t)m->ram;
	err = kvmdev_ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &ram);
	return err < 0 ? stop(m, err, "KVM_SET_USER_MEMORY_REGION") : true;
}

static int set_cpuid(struct trial_vm *m)
{
	enum { ENTRIES = 256 };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));
	int err;

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = ENTRIES;
	err = kvmdev_ioctl(m->sys, KVM_GET_SUPPORTED_CPUID, cpuid);
	if (err >= 0)
		err = kvmdev_ioctl(m->vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	return err;
}

static bool create_vcpu(struct trial_vm *m)
{
	struct kvm_regs regs = { .rip = GUEST_BASE, .rflags = 2 };
	struct kvm_sregs sregs;
	int size = kvmdev_ioctl_number(m->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	int err = kvmdev_make(m->vm, KVM_CREATE_VCPU, 0, &m->vcpu);

	if (err < 0)
		return stop(m, err, "KVM_CREATE_VCPU");
	err = size < 0 ? size : m->vcpu->ops->map(m->vcpu, (size_t)size, &m->run);
	if (err < 0)
		return stop(m, err, "mmap of the vCPU");
	err = set_cpuid(m);
	if (err < 0)
		return stop(m, err, "CPUID");
	err = kvmdev_ioctl(m->vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (err >= 0)
		err = kvmdev_ioctl(m->vcpu, KVM_SET_SREGS, &sregs);
	if (err >= 0)
		err = kvmdev_ioctl(m->vcpu, KVM_SET_REGS, &regs);
	return err < 0 ? stop(m, err, "KVM_SET_SREGS") : true;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool unexpected_exit(struct trial_vm *m)
{
	const struct kvm_run *run = m->run;

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		snprintf(m->t->detail, sizeof(m->t->detail), "KVM_EXIT_INTERNAL_ERROR, suberror %u%s",
			 run->internal.suberror,
			 run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ? " (an instruction it cannot emulate)"
										: "");
	else
		snprintf(m->t->detail, sizeof(m->t->detail), "the guest stopped with exit reason %u%s",
			 run->exit_reason, run->exit_reason == KVM_EXIT_SHUTDOWN ? " (triple fault)" : "");
	return false;
}

/* Runs the guest to its next report. False: it stopped, t->detail says how. */
static bool next_report(struct trial_vm *m, unsigned *value)
{
	int err = kvmdev_ioctl_number(m->vcpu, KVM_RUN, 0);

	if (err < 0)
		return stop(m, err, "KVM_RUN");
	if (m->run->exit_reason != KVM_EXIT_IO || m->run->io.port != PORT)
		return unexpected_exit(m);
	*value = *((uint8_t *)m->run + m->run->io.data_offset);
	return true;
}

/* Called with step TRIAL_REAL; notes where it is in *shared, which outlives the process. */
static void run_guest(struct trial_vm *m, struct trial *shared)
{
	double begin = 0;
	unsigned value;

	while (shared->step < TRIAL_STEPS && next_report(m, &value)) {
		if (value == SPEED_BEGINS) {
			begin = seconds();
		} else if (value == shared->step) {
			if (value == TRIAL_SPEED)
				shared->loops = LOOPS / 1e6 / (seconds() - begin);
			shared->step++;
		} else {
			snprintf(shared->detail, sizeof(shared->detail), "the guest reports step %u", value);
			return;
		}
	}
}

static void child(const char *device, enum anykvm_engine engine, struct trial *shared)
{
	struct trial_vm m = { .t = shared };

	shared->step = TRIAL_OPEN;
	if (!open_kvm(&m, device, engine))
		return;
	shared->step = TRIAL_NEEDS;
	if (!has_needs(&m))
		return;
	shared->step = TRIAL_CREATE;
	if (!create_vm(&m) || !create_vcpu(&m))
		return;
	shared->step = TRIAL_REAL;
	run_guest(&m, shared);
	shared->ok = shared->step == TRIAL_STEPS;
}

/* Waits for the child; kills it after the time limit. */
static void watch(pid_t pid, int closed, struct trial *shared)
{
	struct pollfd end = { .fd = closed, .events = POLLIN };
	bool late = poll(&end, 1, TRIAL_SECONDS * 1000) == 0;
	int status;

	if (late)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (late && shared->step < TRIAL_STEPS)
		snprintf(shared->detail, sizeof(shared->detail), "not done within %d seconds", TRIAL_SECONDS);
	else if (WIFSIGNALED(status))
		snprintf(shared->detail, sizeof(shared->detail), "signal %d killed the program", WTERMSIG(status));
}

bool trial_run(const char *device, enum anykvm_engine engine, struct trial *result)
{
	struct trial *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ends[2];
	pid_t pid;

	if (shared == MAP_FAILED || pipe(ends) < 0) {
		message("the trial: %s", strerror(errno));
		return false;
	}
	pid = fork();
	if (pid < 0) {
		message("the trial: fork: %s", strerror(errno));
		return false;
	}
	if (!pid) {
		close(ends[0]);
		child(device, engine, shared);
		_exit(0);
	}
	close(ends[1]);
	watch(pid, ends[0], shared);
	close(ends[0]);
	*result = *shared;
	munmap(shared, sizeof(*shared));
	return true;
}
