/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A guest whose vCPUs count in memory, as long as a file is there. Its end checks what must not depend on what happens to the host's
 * processors meanwhile: no vCPU ever stands still.
 * usage: counter DEVICE VCPUS FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "small.h"

#define MEMORY 0x10000
#define MAX_VCPUS 8
#define STILL_SECONDS 30 /* the emulated machine may be slow, a suspended one stands */

static uint8_t *mem;
static int vcpu[MAX_VCPUS];

static void *run(void *fd)
{
	/* The freezer of a suspend interrupts, as a signal does. */
	while (ioctl(*(int *)fd, KVM_RUN, 0) == 0 || errno == EINTR)
		;
	perror("KVM_RUN");
	exit(1);
}

/* Real mode. 1: inc dword [bx]; cmp word [bx], 0; jne 1b; out 0x80, al; jmp 1b: leaves for user space now and then. */
static const uint8_t code[] = { 0x66, 0xff, 0x07, 0x83, 0x3f, 0x00, 0x75, 0xf8, 0xe6, 0x80, 0xeb, 0xf4 };

static void start(int vm, int i)
{
	static pthread_t thread[MAX_VCPUS];
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2, .rbx = 0x5000 + 0x1000 * (uint64_t)i };

	vcpu[i] = small_vcpu(vm, (unsigned int)i);
	small_real(vcpu[i], &regs);
	must(pthread_create(&thread[i], NULL, run, &vcpu[i]) == 0, "pthread_create");
}

static volatile uint32_t *count_of(int i)
{
	return (void *)(mem + 0x5000 + 0x1000 * i);
}

static void moves(int i)
{
	uint32_t before = *count_of(i);
	int s;

	for (s = 0; s < STILL_SECONDS * 10; s++) {
		if (*count_of(i) != before)
			return;
		usleep(100000);
	}
	fprintf(stderr, "counter: vCPU %d stands still\n", i);
	exit(1);
}

int main(int argc, char **argv)
{
	int vm, i, nr, rounds = 0;

	must(argc == 4, "usage: counter DEVICE VCPUS FILE");
	nr = atoi(argv[2]);
	must(nr > 0 && nr <= MAX_VCPUS, "VCPUS");
	vm = small_vm(small_open(argv[1]));
	mem = small_memory(MEMORY);
	memcpy(mem + 0x1000, code, sizeof(code));
	small_slot(vm, 0, 0, mem, MEMORY, 0);
	for (i = 0; i < nr; i++)
		start(vm, i);
	while (access(argv[3], F_OK) == 0) {
		for (i = 0; i < nr; i++)
			moves(i);
		rounds++;
		usleep(100000);
	}
	for (i = 0; i < nr; i++)
		moves(i);
	printf("counter: %d vCPUs, %d rounds\n", nr, rounds);
	return 0;
}
