/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * aml.h - writes ACPI Machine Language (ACPI specification, 'ACPI Machine Language (AML)
 * Specification') into a fixed buffer: just the terms that our DSDT needs.
 *
 * Packages and devices nest: aml_open_...() returns a mark for aml_close(). Overflow is remembered
 * in the failed flag and nothing is written beyond the end.
 */
#ifndef CLI_AML_H
#define CLI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buffer;
	size_t size;
	size_t used;
	bool failed;
};

void aml_bytes(struct aml *aml, const void *bytes, size_t count);

/* Name (name, value follows). name: four characters, "\\" in front for the root. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint32_t value);
void aml_string(struct aml *aml, const char *text);
/* An id like "PNP0501" in its compressed form. */
void aml_eisa_id(struct aml *aml, const char *id);

size_t aml_open_scope(struct aml *aml, const char *name);
size_t aml_open_device(struct aml *aml, const char *name);
size_t aml_open_package(struct aml *aml, unsigned int elements);
void aml_close(struct aml *aml, size_t mark);

/* Name (_CRS, ResourceTemplate): one port range and, if irq is not negative, one ISA interrupt. */
void aml_port_resources(struct aml *aml, uint16_t port, uint8_t count, int irq);

#endif
