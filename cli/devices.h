/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * devices.h - the small devices of the PC, their ports and interrupt lines. acpi.c describes them
 * to the guest.
 */
#ifndef CLI_DEVICES_H
#define CLI_DEVICES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "machine.h"

#define SERIAL_PORT 0x3f8
#define SERIAL_IRQ 4
#define RTC_PORT 0x70
#define RTC_IRQ 8
#define RTC_CENTURY 0x32 /* CMOS byte, announced in the FADT */
#define PVPANIC_PORT 0x505
#define PM_EVENT_PORT 0x600   /* PM1a status and enable, 2 bytes each */
#define PM_CONTROL_PORT 0x604 /* PM1a control, 2 bytes */
#define PM_TIMER_PORT 0x608   /* 4 bytes, all 32 bits count */
#define PM_SCI_IRQ 9
#define PM_SLEEP_OFF 5 /* SLP_TYP of the S5 state, in DSDT's \_S5 */
#define RESET_PORT 0xcf9
#define RESET_VALUE 0x06 /* what ACPI's reset register wants */

/* MC146818 clock and CMOS memory: the host's time, unless the guest sets its own. */
struct rtc {
	struct machine *machine;
	pthread_mutex_t lock; /* all below */
	uint8_t index;
	uint8_t memory[128];
	time_t offset; /* guest's time - host's time, seconds */
	bool frozen;   /* SET bit: the time registers are memory */
};

/* ACPI fixed hardware: PM1a blocks, timer; and the reset port. */
struct power {
	struct machine *machine;
	pthread_mutex_t lock; /* all below */
	uint16_t enable;
	uint16_t control;
};

/* An 8042 without keyboard and mouse: for its reset line, and so that probes end quickly. */
struct keyboard {
	struct machine *machine;
	pthread_mutex_t lock; /* all below */
	uint8_t command_byte;
	uint8_t output_port;
	uint8_t answer;
	bool answer_full;
	uint8_t pending; /* command that waits for its data byte, or 0 */
};

struct pvpanic {
	struct machine *machine;
};

void rtc_init(struct rtc *rtc, struct machine *m);
void power_init(struct power *power, struct machine *m);
void keyboard_init(struct keyboard *keyboard, struct machine *m);
void pvpanic_init(struct pvpanic *pvpanic, struct machine *m);

#endif
