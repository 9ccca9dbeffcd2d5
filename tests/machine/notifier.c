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

#define MEMORY 0x10000
#define PAGE 0x5000
#define ROUNDS 300

static int vcpu;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

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
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY };
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 0x202 };
	struct kvm_sregs sregs;
	pthread_t thread;
	uint8_t *mem;
	int sys, vm, i;

	must(argc == 2, "usage: notifier DEVICE");
	sys = open(argv[1], O_RDWR);
	must(sys >= 0, argv[1]);
	vm = ioctl(sys, KVM_CREATE_VM, 0);
	must(vm >= 0, "KVM_CREATE_VM");
	mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(mem != MAP_FAILED, "mmap");
	memcpy(mem + 0x1000, code, sizeof(code));
	region.userspace_addr = (uintptr_t)mem;
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	must(vcpu >= 0, "KVM_CREATE_VCPU");
	must(ioctl(vcpu, KVM_GET_SREGS, &sregs) == 0, "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0, "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
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
