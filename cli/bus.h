/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * bus.h - port I/O: who answers which port.
 *
 * The table is filled before the first vCPU runs and read without a lock afterwards; each device
 * has its own lock. An access belongs to the device that claims its first port and must lie inside
 * the device's range. What nobody claims reads as all ones and swallows writes.
 */
#ifndef CLI_BUS_H
#define CLI_BUS_H

#include <stdint.h>

#define BUS_RANGES 16

struct bus_range {
	uint16_t base;
	uint16_t count;
	void *device;
	/* offset: from base; size: 1, 2 or 4. Only the low size bytes of the values count. */
	uint32_t (*read)(void *device, unsigned int offset, unsigned int size);
	void (*write)(void *device, unsigned int offset, unsigned int size, uint32_t value);
};

struct bus {
	struct bus_range ranges[BUS_RANGES];
	unsigned int used;
};

void bus_claim(struct bus *bus, const struct bus_range *range);

/* count accesses of size bytes each at the same port, data packed in memory (as KVM_EXIT_IO). */
void bus_in(struct bus *bus, uint16_t port, unsigned int size, unsigned int count, void *data);
void bus_out(struct bus *bus, uint16_t port, unsigned int size, unsigned int count, const void *data);

#endif
