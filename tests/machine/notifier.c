/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Guest memory that is taken away under a running guest: each time the host has thrown a page away, the guest's next writes must
 * be seen in the new page. A guest that went on writing to the old one would be lost, and the host's memory with it.
 * usage: notifier DEVICE
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "small.h"

#define MEMORY 0x10000
#define PAGE 0x5000
#define ROUNDS 300

static int vcpu;

static void *run(void *unused)
{
	while (ioctl(vcpu, KVM_RUN, 0) == 0)
		;
	perror("KVM_RUN");
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Does the guest write to the page that is there now? */
static int guest_writes(volatile uint32_t *word)
{
	double end = now() + 5;

	while (!*word)
		if (now() > end)
			return 0;
	return 1;
}

int main(int argc, char **argv)
{
	/* 1: inc dword [0x5000]; jmp 1b */
	static const uint8_t code[] = { 0x66, 0xff, 0x06, 0x00, 0x50, 0xeb, 0xf9 };
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 0x202 };
	pthread_t thread;
	uint8_t *mem;
	int vm, i;

	must(argc == 2, "usage: notifier DEVICE");
	vm = small_vm(small_open(argv[1]));
	mem = small_memory(MEMORY);
	memcpy(mem + 0x1000, code, sizeof(code));
	small_slot(vm, 0, 0, mem, MEMORY, 0);
	vcpu = small_vcpu(vm, 0);
	small_real(vcpu, &regs);
	must(pthread_create(&thread, NULL, run, NULL) == 0, "pthread_create");
	for (i = 0; i < ROUNDS; i++) {
		void *page = mem + PAGE;

		must(guest_writes(page), "the guest's writes are not seen");
		if (i % 2)
			must(madvise(page, 4096, MADV_DONTNEED) == 0, "madvise");
		else
			must(mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
				     page,
			     "mmap");
	}
	printf("notifier: %d pages taken away\n", i);
	return 0;
}
