/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "aml.h"

#include <string.h>

enum {
	OP_ZERO = 0x00,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXTENDED = 0x5b,
	OP_EXTENDED_DEVICE = 0x82,
};

enum {
	RESOURCE_IRQ_NO_FLAGS = 0x22, /* edge, active high */
	RESOURCE_PORTS = 0x47,
	RESOURCE_END = 0x79,
};

/* A package length field is always written in its three-byte form: its size is not known before. */
#define LENGTH_BYTES 3

void aml_bytes(struct aml *aml, const void *bytes, size_t count)
{
	if (count > aml->size - aml->used) {
		aml->failed = true;
		return;
	}
	memcpy(aml->buffer + aml->used, bytes, count);
	aml->used += count;
}

static void byte(struct aml *aml, uint8_t value)
{
	aml_bytes(aml, &value, 1);
}

static size_t open_length(struct aml *aml)
{
	static const uint8_t room[LENGTH_BYTES];
	size_t mark = aml->used;

	aml_bytes(aml, room, sizeof(room));
	return mark;
}

void aml_close(struct aml *aml, size_t mark)
{
	size_t length = aml->used - mark;

	if (aml->failed)
		return;
	aml->buffer[mark] = (LENGTH_BYTES - 1) << 6 | (length & 0x0f);
	aml->buffer[mark + 1] = length >> 4;
	aml->buffer[mark + 2] = length >> 12;
}

void aml_name(struct aml *aml, const char *name)
{
	byte(aml, OP_NAME);
	aml_bytes(aml, name, strlen(name));
}

void aml_integer(struct aml *aml, uint32_t value)
{
	if (value <= 1) {
		byte(aml, value); /* ZeroOp and OneOp */
	} else if (value <= UINT8_MAX) {
		byte(aml, OP_BYTE);
		aml_bytes(aml, &value, 1);
	} else if (value <= UINT16_MAX) {
		byte(aml, OP_WORD);
		aml_bytes(aml, &value, 2);
	} else {
		byte(aml, OP_DWORD);
		aml_bytes(aml, &value, 4);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	byte(aml, OP_STRING);
	aml_bytes(aml, text, strlen(text) + 1);
}

static uint8_t hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

void aml_eisa_id(struct aml *aml, const char *id)
{
	uint16_t letters = (id[0] - '@') << 10 | (id[1] - '@') << 5 | (id[2] - '@');
	uint8_t packed[4] = {
		letters >> 8,
		letters,
		hex_digit(id[3]) << 4 | hex_digit(id[4]),
		hex_digit(id[5]) << 4 | hex_digit(id[6]),
	};

	byte(aml, OP_DWORD);
	aml_bytes(aml, packed, sizeof(packed));
}

size_t aml_open_scope(struct aml *aml, const char *name)
{
	size_t mark;

	byte(aml, OP_SCOPE);
	mark = open_length(aml);
	aml_bytes(aml, name, strlen(name));
	return mark;
}

size_t aml_open_device(struct aml *aml, const char *name)
{
	size_t mark;

	byte(aml, OP_EXTENDED);
	byte(aml, OP_EXTENDED_DEVICE);
	mark = open_length(aml);
	aml_bytes(aml, name, strlen(name));
	return mark;
}

size_t aml_open_package(struct aml *aml, unsigned int elements)
{
	size_t mark;

	byte(aml, OP_PACKAGE);
	mark = open_length(aml);
	byte(aml, elements);
	return mark;
}

void aml_port_resources(struct aml *aml, uint16_t port, uint8_t count, int irq)
{
	const uint8_t ports[] = { RESOURCE_PORTS, 1 /* 16-bit decode */, port, port >> 8, port, port >> 8, 1, count };
	const uint8_t interrupt[] = { RESOURCE_IRQ_NO_FLAGS, irq < 8 ? 1 << (irq & 7) : 0,
				      irq < 8 ? 0 : 1 << (irq & 7) };
	const uint8_t end[] = { RESOURCE_END, 0 };
	size_t size = sizeof(ports) + (irq >= 0 ? sizeof(interrupt) : 0) + sizeof(end);
	size_t mark;

	aml_name(aml, "_CRS");
	byte(aml, OP_BUFFER);
	mark = open_length(aml);
	aml_integer(aml, size);
	aml_bytes(aml, ports, sizeof(ports));
	if (irq >= 0)
		aml_bytes(aml, interrupt, sizeof(interrupt));
	aml_bytes(aml, end, sizeof(end));
	aml_close(aml, mark);
}
