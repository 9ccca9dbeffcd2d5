/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "bus.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

void bus_claim(struct bus *bus, const struct bus_range *range)
{
	assert(bus->used < BUS_RANGES);
	bus->ranges[bus->used++] = *range;
}

static const struct bus_range *find(const struct bus *bus, uint16_t port, unsigned int size)
{
	for (unsigned int i = 0; i < bus->used; i++) {
		const struct bus_range *range = &bus->ranges[i];

		if (port >= range->base && port + size <= range->base + (unsigned int)range->count)
			return range;
	}
	return NULL;
}

void bus_in(struct bus *bus, uint16_t port, unsigned int size, unsigned int count, void *data)
{
	const struct bus_range *range = find(bus, port, size);
	char *at = data;

	for (; count; count--, at += size) {
		uint32_t value = UINT32_MAX;

		if (range)
			value = range->read(range->device, port - range->base, size);
		memcpy(at, &value, size);
	}
}

void bus_out(struct bus *bus, uint16_t port, unsigned int size, unsigned int count, const void *data)
{
	const struct bus_range *range = find(bus, port, size);
	const char *at = data;

	for (; range && count; count--, at += size) {
		uint32_t value = 0;

		memcpy(&value, at, size);
		range->write(range->device, port - range->base, size, value);
	}
}
