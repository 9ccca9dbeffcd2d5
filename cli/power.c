/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* ACPI fixed hardware and the reset port (ACPI specification, 'ACPI Hardware Specification'). */
#include "devices.h"

#include <string.h>

#define CONTROL_SCI_EN 0x0001
#define CONTROL_SLP_TYP_SHIFT 10
#define CONTROL_SLP_TYP 0x1c00
#define CONTROL_SLP_EN 0x2000

#define PM_TIMER_HZ 3579545

#define RESET_CPU 0x04

static uint32_t timer_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	/* Modulo 2^32, which the product of the seconds keeps. */
	return (uint32_t)ts.tv_sec * PM_TIMER_HZ + (uint32_t)((uint64_t)ts.tv_nsec * PM_TIMER_HZ / 1000000000);
}

static uint32_t timer_read(void *device, unsigned int offset, unsigned int size)
{
	(void)device;
	(void)size;
	return timer_now() >> (8 * offset);
}

static void timer_write(void *device, unsigned int offset, unsigned int size, uint32_t value)
{
	(void)device;
	(void)offset;
	(void)size;
	(void)value;
}

/* Status (no event ever happens), then enable. */
static uint32_t event_read(void *device, unsigned int offset, unsigned int size)
{
	struct power *power = device;
	uint32_t value;

	(void)size;
	pthread_mutex_lock(&power->lock);
	value = (uint32_t)power->enable << 16 >> (8 * offset);
	pthread_mutex_unlock(&power->lock);
	return value;
}

static void event_write(void *device, unsigned int offset, unsigned int size, uint32_t value)
{
	struct power *power = device;

	pthread_mutex_lock(&power->lock);
	for (unsigned int i = offset; i < offset + size; i++, value >>= 8) {
		if (i == 2)
			power->enable = (power->enable & 0xff00) | (value & 0xff);
		else if (i == 3)
			power->enable = (power->enable & 0x00ff) | (value & 0xff) << 8;
	}
	pthread_mutex_unlock(&power->lock);
}

static uint32_t control_read(void *device, unsigned int offset, unsigned int size)
{
	struct power *power = device;
	uint32_t value;

	(void)size;
	pthread_mutex_lock(&power->lock);
	value = (uint32_t)power->control >> (8 * offset);
	pthread_mutex_unlock(&power->lock);
	return value;
}

static void control_write(void *device, unsigned int offset, unsigned int size, uint32_t value)
{
	struct power *power = device;
	uint16_t mask = (size == 1 ? 0xff : 0xffff) << (8 * offset);
	uint16_t control;

	pthread_mutex_lock(&power->lock);
	control = (power->control & ~mask) | ((value << (8 * offset)) & mask);
	/* SLP_EN reads as zero; there is no other mode than ACPI's. */
	power->control = (control & ~CONTROL_SLP_EN) | CONTROL_SCI_EN;
	pthread_mutex_unlock(&power->lock);
	if ((control & CONTROL_SLP_EN) && (control & CONTROL_SLP_TYP) >> CONTROL_SLP_TYP_SHIFT == PM_SLEEP_OFF)
		machine_end(power->machine, MACHINE_POWEROFF, "%s", "");
}

static uint32_t reset_read(void *device, unsigned int offset, unsigned int size)
{
	(void)device;
	(void)offset;
	(void)size;
	return 0;
}

static void reset_write(void *device, unsigned int offset, unsigned int size, uint32_t value)
{
	struct power *power = device;

	(void)offset;
	(void)size;
	if (value & RESET_CPU)
		machine_end(power->machine, MACHINE_RESET, "%s", "");
}

void power_init(struct power *power, struct machine *m)
{
	memset(power, 0, sizeof(*power));
	power->machine = m;
	power->control = CONTROL_SCI_EN;
	pthread_mutex_init(&power->lock, NULL);
	bus_claim(
		&m->bus,
		&(struct bus_range){
			.base = PM_EVENT_PORT, .count = 4, .device = power, .read = event_read, .write = event_write });
	bus_claim(&m->bus, &(struct bus_range){ .base = PM_CONTROL_PORT,
						.count = 2,
						.device = power,
						.read = control_read,
						.write = control_write });
	bus_claim(
		&m->bus,
		&(struct bus_range){
			.base = PM_TIMER_PORT, .count = 4, .device = power, .read = timer_read, .write = timer_write });
	bus_claim(&m->bus,
		  &(struct bus_range){
			  .base = RESET_PORT, .count = 1, .device = power, .read = reset_read, .write = reset_write });
}
