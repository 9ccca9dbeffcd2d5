/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The port by which a guest with a pvpanic driver says that it panicked (QEMU, 'PVPANIC DEVICE'). */
#include "devices.h"

#define EVENT_PANICKED 0x01
#define EVENT_CRASH_LOADED 0x02 /* a crash kernel takes over: the guest goes on */

static uint32_t pvpanic_read(void *device, unsigned int offset, unsigned int size)
{
	(void)device;
	(void)offset;
	(void)size;
	return EVENT_PANICKED | EVENT_CRASH_LOADED;
}

static void pvpanic_write(void *device, unsigned int offset, unsigned int size, uint32_t value)
{
	struct pvpanic *pvpanic = device;

	(void)offset;
	(void)size;
	if (value & EVENT_PANICKED) {
		machine_panicked(pvpanic->machine);
		machine_end(pvpanic->machine, MACHINE_PANIC, "%s", "");
	}
}

void pvpanic_init(struct pvpanic *pvpanic, struct machine *m)
{
	pvpanic->machine = m;
	bus_claim(&m->bus, &(struct bus_range){ .base = PVPANIC_PORT,
						.count = 1,
						.device = pvpanic,
						.read = pvpanic_read,
						.write = pvpanic_write });
}
