/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Memory that the host pages out, merges (KSM) and moves (compaction) while the guest writes to it: the guest adds 1 to the first
 * word of each page in turn, and every word must have the number of the round, whatever has happened to its page. The guest also
 * reads memory that has no struct page behind it (the firmware's, by /dev/mem).
 * usage: pressure DEVICE ROUNDS
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
#include <unistd.h>
#include "small.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define MEMORY 0x1000000
#define FIRST 0x100000
#define PAGE 4096
#define FIRMWARE 0xf0000
#define FIRMWARE_SIZE 0x10000
#define FIRMWARE_GPA 0x10000000
#define PIECE (256 << 10)

static uint8_t *mem;
static volatile int stop;

/* Protected mode. 1: mov ebx, FIRST; 2: inc dword [ebx]; add ebx, PAGE; cmp ebx, MEMORY; jb 2b; mov eax, [0x1000fff0]; out 0x80, eax; jmp 1b */
static const uint8_t code[] = { 0xbb, 0x00, 0x00, 0x10, 0x00, 0xff, 0x03, 0x81, 0xc3, 0x00,
				0x10, 0x00, 0x00, 0x81, 0xfb, 0x00, 0x00, 0x00, 0x01, 0x72,
				0xf0, 0xa1, 0xf0, 0xff, 0x00, 0x10, 0xe7, 0x80, 0xeb, 0xe2 };

static void *host(void *unused)
{
	int compact = open("/proc/sys/vm/compact_memory", O_WRONLY);
	size_t at = 0;

	while (!stop) {
		madvise(mem + at, PIECE, MADV_PAGEOUT);
		/* Leave the guest some time: each page that goes makes it leave guest mode. */
		usleep(5000);
		at = (at + PIECE) % MEMORY;
		if (!at && compact >= 0 && write(compact, "1", 1) != 1)
			perror("compact_memory");
	}
	return NULL;
}

static void check(uint32_t round)
{
	size_t at;

	for (at = FIRST; at < MEMORY; at += PAGE) {
		uint32_t word = *(volatile uint32_t *)(mem + at);

		if (word == round)
			continue;
		fprintf(stderr, "pressure: round %u: %#zx has %u\n", round, at, word);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	uint32_t round, rounds, *out;
	struct kvm_run *run;
	uint8_t *firmware;
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
	int sys, vm, vcpu, dev_mem;
	pthread_t thread;

	must(argc == 3, "usage: pressure DEVICE ROUNDS");
	rounds = (uint32_t)atoi(argv[2]);
	sys = small_open(argv[1]);
	vm = small_vm(sys);
	mem = small_memory(MEMORY);
	must(madvise(mem, MEMORY, MADV_MERGEABLE) == 0, "MADV_MERGEABLE");
	dev_mem = open("/dev/mem", O_RDONLY);
	must(dev_mem >= 0, "/dev/mem");
	firmware = mmap(NULL, FIRMWARE_SIZE, PROT_READ, MAP_SHARED, dev_mem, FIRMWARE);
	must(firmware != MAP_FAILED, "mmap of /dev/mem");
	memcpy(mem + 0x1000, code, sizeof(code));
	small_slot(vm, 0, 0, mem, MEMORY, 0);
	small_slot(vm, 1, FIRMWARE_GPA, firmware, FIRMWARE_SIZE, KVM_MEM_READONLY);
	vcpu = small_vcpu(vm, 0);
	small_protected(vcpu, &regs);
	run = small_run(sys, vcpu);
	must(pthread_create(&thread, NULL, host, NULL) == 0, "pthread_create");
	for (round = 1; round <= rounds; round++) {
		must(ioctl(vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
		out = (void *)((uint8_t *)run + run->io.data_offset);
		must(run->exit_reason == KVM_EXIT_IO && run->io.port == 0x80, "the guest's report");
		must(!memcmp(out, firmware + 0xfff0, 4), "what the guest reads of the firmware");
		/* Reading brings the pages in: not too often. */
		if (round % 4 == 0 || round == rounds)
			check(round);
	}
	stop = 1;
	pthread_join(thread, NULL);
	printf("pressure: %u rounds over %d pages\n", rounds, (MEMORY - FIRST) / PAGE);
	return 0;
}
