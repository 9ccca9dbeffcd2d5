/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * signals.c - how long after pthread_kill() KVM_RUN has returned, and how long after the signal's handler, for guests that do
 * different things; run through `anykvm run`, and on a machine with KVM as it is. A line for each guest; what a machine's load
 * makes of the times is nobody's failure, a signal that does not end KVM_RUN is.
 *
 * usage: signals [TIMES [GUEST...]]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define GIB (1ul << 30)
#define MEMORY (GIB + (64ul << 20))
#define CODE 0x10000ul
#define TABLES 0x20000ul
#define DATA (16ul << 20)
#define LONGEST 10 /* seconds after which a signal counts as lost */

#define PTE_PRESENT_WRITE 0x3
#define PTE_LARGE 0x80

/* They go on for ever. RSI, RDI: DATA; RCX: 1 GiB; RDX: a port. */
static const struct guest {
	const char *name, *code;
	size_t bytes;
	bool real_mode;
} guests[] = {
#define GUEST(name, code)                                                                                              \
	{                                                                                                              \
		name, code, sizeof(code) - 1, false                                                                    \
	}
	GUEST("jump to itself", "\xeb\xfe"),
	GUEST("loads: mov (%rsi),%rax; jmp", "\x48\x8b\x06\xeb\xfb"),
	GUEST("indirect jump: jmp *%rbx", "\xff\xe3"),
	GUEST("calls: call; ret", "\xe8\x02\x00\x00\x00\xeb\xf9\xc3"),
	GUEST("rep movsb of 1 GiB", "\xf3\xa4\xeb\xfe"),
	GUEST("rep stosb of 1 GiB", "\xf3\xaa\xeb\xfe"),
	GUEST("rep cmpsb of 1 GiB", "\xf3\xa6\xeb\xfe"),
	GUEST("rep movsb, each byte from the last", "\x48\x8d\x7e\x01\xf3\xa4\xeb\xfe"),
	GUEST("x87: fld1; fsin; fstp; jmp", "\xd9\xe8\xd9\xfe\xdd\xd8\xeb\xf8"),
	GUEST("lock inc (%rsi); jmp", "\xf0\x48\xff\x06\xeb\xfa"),
	GUEST("mov %cr3: read, written; jmp", "\x0f\x20\xd8\x0f\x22\xd8\xeb\xf8"),
	GUEST("its own code written; jmp", "\xc6\x05\x03\x00\x00\x00\xf6\xeb\xf6\x90"),
	GUEST("pause; jmp", "\xf3\x90\xeb\xfc"),
	GUEST("cpuid; jmp", "\x0f\xa2\xeb\xfc"),
	GUEST("exits: out %al,(%dx); jmp", "\xee\xeb\xfd"),
	GUEST("sleeping: sti; hlt", "\xfb\xf4\xeb\xfd"),
	{ "real mode, jump to itself", "\xeb\xfe", 2, true },
#undef GUEST
};
#define NR_GUESTS (sizeof(guests) / sizeof(guests[0]))

static int kvm, vm, vcpu;
static struct kvm_run *run;
static uint8_t *memory;
static struct kvm_sregs real_mode;

static pthread_t runner;
static volatile double sent, handled;
static volatile int wanted, gone; /* signals */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_signal(int sig)
{
	(void)sig;
	handled = seconds();
	run->immediate_exit = 1; /* if it arrives when KVM_RUN is yet to be called */
}

static void wait_ns(long ns)
{
	struct timespec t = { .tv_nsec = ns };

	nanosleep(&t, NULL);
}

/* One signal for each that is wanted, when the guest has had some time of its own. */
static void *sender(void *arg)
{
	unsigned int seed = 1;

	(void)arg;
	for (;;) {
		while (gone == wanted)
			wait_ns(20000);
		if (wanted < 0)
			return NULL;
		wait_ns(200000 + rand_r(&seed) % 300000);
		gone = wanted;
		sent = seconds();
		pthread_kill(runner, SIGUSR1);
	}
}

static void make_vm(void)
{
	struct kvm_userspace_memory_region slot = { .memory_size = MEMORY };
	uint64_t *tables;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	CHECK(kvm >= 0);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(vm >= 0 && memory != MAP_FAILED);
	slot.userspace_addr = (unsigned long)memory;
	CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0);
	CHECK(ioctl(vm, KVM_CREATE_IRQCHIP, 0) == 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	CHECK(vcpu >= 0);
	run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	CHECK(run != MAP_FAILED);
	CHECK(ioctl(vcpu, KVM_GET_SREGS, &real_mode) == 0);
	real_mode.cs.base = CODE;
	real_mode.cs.selector = CODE >> 4;

	/* Two GiB, one to one, in pages of 2 MiB. */
	tables = (uint64_t *)(memory + TABLES);
	tables[0] = (TABLES + 0x1000) | PTE_PRESENT_WRITE;
	for (uint64_t i = 0; i < 2; i++)
		tables[512 + i] = (TABLES + 0x2000 + i * 0x1000) | PTE_PRESENT_WRITE;
	for (uint64_t i = 0; i < 1024; i++)
		tables[1024 + i] = i << 21 | PTE_LARGE | PTE_PRESENT_WRITE;
}

static void enter_long_mode(struct kvm_sregs *s)
{
	struct kvm_segment seg = { .limit = ~0u, .selector = 8, .present = 1, .type = 11, .l = 1, .s = 1, .g = 1 };

	s->cs = seg;
	seg.l = 0;
	seg.db = 1;
	seg.type = 3;
	seg.selector = 16;
	s->ds = s->es = s->fs = s->gs = s->ss = seg;
	s->cr0 = 0x80000011;
	s->cr3 = TABLES;
	s->cr4 = 0x20;
	s->efer = 0x500;
}

static void set_registers(const struct guest *g)
{
	struct kvm_regs regs = {
		.rflags = 2, .rsi = DATA, .rdi = DATA + 4096, .rcx = GIB, .rdx = 0x80, .rsp = CODE + 0x8000
	};
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs = real_mode;

	if (!g->real_mode) {
		enter_long_mode(&sregs);
		regs.rip = regs.rbx = CODE;
	}
	CHECK(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0 && ioctl(vcpu, KVM_SET_REGS, &regs) == 0);
	CHECK(ioctl(vcpu, KVM_SET_MP_STATE, &runnable) == 0);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const struct guest *g, int times)
{
	double *whole = calloc((size_t)times, sizeof(*whole)), *after = calloc((size_t)times, sizeof(*after)), now;

	CHECK(whole && after);
	memcpy(memory + CODE, g->code, g->bytes);
	for (int i = 0; i < times; i++) {
		int ret;

		set_registers(g);
		run->immediate_exit = 0;
		wanted = gone + 1;
		do
			ret = ioctl(vcpu, KVM_RUN, 0);
		while (ret == 0 && run->exit_reason == KVM_EXIT_IO);
		now = seconds();
		CHECK(ret == -1 && errno == EINTR);
		whole[i] = now - sent;
		after[i] = now - handled;
		CHECK(whole[i] < LONGEST);
	}
	qsort(whole, (size_t)times, sizeof(*whole), compare_doubles);
	qsort(after, (size_t)times, sizeof(*after), compare_doubles);
	printf("%-34s %8.0f %8.0f %8.0f %10.1f %8.1f %8.1f\n", g->name, whole[times / 2] * 1e6,
	       whole[times * 99 / 100] * 1e6, whole[times - 1] * 1e6, after[times / 2] * 1e6,
	       after[times * 99 / 100] * 1e6, after[times - 1] * 1e6);
	fflush(stdout);
	free(whole);
	free(after);
}

static bool chosen(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (!strncmp(name, argv[i], strlen(argv[i])))
			return true;
	}
	return argc <= 2;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int times = argc > 1 ? atoi(argv[1]) : 1000;
	pthread_t thread;

	CHECK(times > 0);
	make_vm();
	runner = pthread_self();
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0 && pthread_create(&thread, NULL, sender, NULL) == 0);
	printf("%-34s %26s   %26s\n", "KVM_RUN returns, us after", "pthread_kill(): median 99% worst",
	       "the handler: median 99% worst");
	for (size_t i = 0; i < NR_GUESTS; i++) {
		if (chosen(guests[i].name, argc, argv))
			measure(&guests[i], times);
	}
	wanted = -1;
	CHECK(pthread_join(thread, NULL) == 0);
	return 0;
}
