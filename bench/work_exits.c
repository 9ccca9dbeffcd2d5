/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What leaves guest mode: ports and device memory. For init in a guest; a process on the host has no use for it. */
#include <fcntl.h>
#include <stddef.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <unistd.h>
#include "work.h"

#define EXITS 100

/* Where nothing is, on every machine here: user space has to say so. */
#define PORT_UNUSED 0xe4
#define MMIO_UNUSED 0xfd000000u

/* The mask of the first interrupt controller; the local APIC's identity. */
#define PORT_PIC 0x21
#define MMIO_LAPIC 0xfee00000u
#define LAPIC_ID 0x20

static void read_port(unsigned short port)
{
	static int allowed;

	if (!allowed && iopl(3))
		fail("iopl");
	allowed = 1;
	for (int i = 0; i < EXITS; i++)
		sink += inb(port);
}

static const volatile uint32_t *device_memory(uint32_t at)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, at);

	if (p == MAP_FAILED)
		fail("/dev/mem");
	close(fd);
	return p;
}

static void port_user(void)
{
	read_port(PORT_UNUSED);
}

static void port_kernel(void)
{
	read_port(PORT_PIC);
}

static void mmio_user(void)
{
	static const volatile uint32_t *p;

	if (!p)
		p = device_memory(MMIO_UNUSED);
	for (int i = 0; i < EXITS; i++)
		sink += p[0];
}

static void mmio_kernel(void)
{
	static const volatile uint32_t *p;

	if (!p)
		p = device_memory(MMIO_LAPIC);
	for (int i = 0; i < EXITS; i++)
		sink += p[LAPIC_ID / 4];
}

static void cpuid_exit(void)
{
	for (int i = 0; i < EXITS; i++) {
		uint32_t a = 0, b, c = 0, d;

		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		sink += b;
	}
}

static const struct workload workloads[] = {
	{ "port-user", port_user },     { "port-kernel", port_kernel }, { "mmio-user", mmio_user },
	{ "mmio-kernel", mmio_kernel }, { "cpuid", cpuid_exit },        { NULL, NULL },
};

const struct workload_class exits_class = { "exits", workloads, 1 };
