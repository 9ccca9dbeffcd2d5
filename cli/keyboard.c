/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "devices.h"

#include <string.h>

#define DATA_PORT 0x60
#define COMMAND_PORT 0x64

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM 0x04

enum {
	READ_COMMAND_BYTE = 0x20,
	WRITE_COMMAND_BYTE = 0x60,
	TEST_CONTROLLER = 0xaa,
	TEST_KEYBOARD_PORT = 0xab,
	READ_OUTPUT_PORT = 0xd0,
	WRITE_OUTPUT_PORT = 0xd1,
	PULSE_OUTPUT = 0xf0, /* low four bits: lines that are not pulsed */
};

#define LINE_RESET 0x01 /* of the output port, active low */

static void answer(struct keyboard *keyboard, uint8_t byte)
{
	keyboard->answer = byte;
	keyboard->answer_full = true;
}

static bool takes_data(uint8_t command)
{
	/* Those of 0x60 to 0x7f write controller memory; 0xd2 to 0xd4 feed devices that are not there. */
	return (command & 0xe0) == 0x60 || (command >= WRITE_OUTPUT_PORT && command <= 0xd4);
}

/* Returns whether the reset line was pulled. */
static bool command(struct keyboard *keyboard, uint8_t byte)
{
	keyboard->pending = takes_data(byte) ? byte : 0;
	switch (byte) {
	case READ_COMMAND_BYTE: answer(keyboard, keyboard->command_byte); break;
	case TEST_CONTROLLER: answer(keyboard, 0x55); break;
	case TEST_KEYBOARD_PORT: answer(keyboard, 0x00); break;
	case READ_OUTPUT_PORT: answer(keyboard, keyboard->output_port); break;
	}
	return byte >= PULSE_OUTPUT && !(byte & LINE_RESET);
}

static bool data(struct keyboard *keyboard, uint8_t byte)
{
	uint8_t pending = keyboard->pending;

	keyboard->pending = 0;
	if (pending == WRITE_COMMAND_BYTE)
		keyboard->command_byte = byte;
	if (pending != WRITE_OUTPUT_PORT)
		return false;
	keyboard->output_port = byte;
	return !(byte & LINE_RESET);
}

static uint32_t data_read(void *device, unsigned int offset, unsigned int size)
{
	struct keyboard *keyboard = device;
	uint32_t value;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&keyboard->lock);
	keyboard->answer_full = false;
	value = keyboard->answer;
	pthread_mutex_unlock(&keyboard->lock);
	return value;
}

static uint32_t status_read(void *device, unsigned int offset, unsigned int size)
{
	struct keyboard *keyboard = device;
	uint32_t value;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&keyboard->lock);
	value = STATUS_SYSTEM | (keyboard->answer_full ? STATUS_OUTPUT_FULL : 0);
	pthread_mutex_unlock(&keyboard->lock);
	return value;
}

static void handle_write(struct keyboard *keyboard, bool (*handle)(struct keyboard *, uint8_t), uint8_t byte)
{
	bool reset;

	pthread_mutex_lock(&keyboard->lock);
	reset = handle(keyboard, byte);
	pthread_mutex_unlock(&keyboard->lock);
	if (reset)
		machine_end(keyboard->machine, MACHINE_RESET, "%s", "");
}

static void data_write(void *device, unsigned int offset, unsigned int size, uint32_t value)
{
	(void)offset;
	(void)size;
	handle_write(device, data, value);
}

static void command_write(void *device, unsigned int offset, unsigned int size, uint32_t value)
{
	(void)offset;
	(void)size;
	handle_write(device, command, value);
}

void keyboard_init(struct keyboard *keyboard, struct machine *m)
{
	memset(keyboard, 0, sizeof(*keyboard));
	keyboard->machine = m;
	keyboard->output_port = 0x03; /* A20 on, reset off */
	pthread_mutex_init(&keyboard->lock, NULL);
	bus_claim(&m->bus,
		  &(struct bus_range){
			  .base = DATA_PORT, .count = 1, .device = keyboard, .read = data_read, .write = data_write });
	bus_claim(&m->bus, &(struct bus_range){ .base = COMMAND_PORT,
						.count = 1,
						.device = keyboard,
						.read = status_read,
						.write = command_write });
}
