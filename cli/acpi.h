/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* acpi.h - the ACPI tables that describe the machine to its guest. */
#ifndef CLI_ACPI_H
#define CLI_ACPI_H

#include <stdint.h>

#include "machine.h"

/* Writes them at BOOT_ACPI; returns the address of the RSDP (0 if they do not fit: told). */
uint64_t acpi_write_tables(struct machine *m);

#endif
