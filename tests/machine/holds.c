/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Of all files of a VM one alone stays open, until a file is removed: as long as that is there the module must not go. An eventfd that
 * was an irqfd is nobody's file, and is written to when the module may be gone.
 * usage: holds DEVICE system|vm|vcpu|mapping|statistics|eventfd FILE
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "small.h"

enum { SYSTEM, VM, VCPU, MAPPING, STATISTICS, EVENTFD, KINDS };
static const char *const names[KINDS] = { "system", "vm", "vcpu", "mapping", "statistics", "eventfd" };

static void make(const char *device, int fd[KINDS])
{
	struct kvm_irqfd irqfd = { .gsi = 4 };

	fd[SYSTEM] = small_open(device);
	fd[VM] = small_vm(fd[SYSTEM]);
	must(ioctl(fd[VM], KVM_CREATE_IRQCHIP, 0) == 0, "KVM_CREATE_IRQCHIP");
	fd[VCPU] = small_vcpu(fd[VM], 0);
	fd[MAPPING] = dup(fd[VCPU]);
	fd[STATISTICS] = ioctl(fd[VCPU], KVM_GET_STATS_FD, 0);
	must(fd[STATISTICS] >= 0, "KVM_GET_STATS_FD");
	fd[EVENTFD] = eventfd(0, 0);
	irqfd.fd = (uint32_t)fd[EVENTFD];
	must(fd[EVENTFD] >= 0 && ioctl(fd[VM], KVM_IRQFD, &irqfd) == 0, "KVM_IRQFD");
}

int main(int argc, char **argv)
{
	int fd[KINDS], kind, i;
	uint64_t one = 1;

	must(argc == 4, "usage: holds DEVICE KIND FILE");
	for (kind = 0; kind < KINDS && strcmp(names[kind], argv[2]); kind++)
		;
	must(kind < KINDS, argv[2]);
	make(argv[1], fd);
	if (kind == MAPPING)
		small_run(fd[SYSTEM], fd[kind]);
	for (i = 0; i < KINDS; i++)
		if (i != kind)
			close(fd[i]);
	/* Only the mapping is left of what its file stood for. */
	if (kind == MAPPING)
		close(fd[kind]);
	puts("holds");
	fflush(stdout);
	while (access(argv[3], F_OK) == 0)
		usleep(50000);
	if (kind == EVENTFD)
		must(write(fd[kind], &one, sizeof(one)) == sizeof(one), "write to the eventfd");
	return 0;
}
