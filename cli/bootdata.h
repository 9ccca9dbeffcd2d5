/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * bootdata.h - what firmware would leave in low memory, and where:
 *
 *	0x00000500	global descriptor table
 *	0x00006000	PVH start information (ELF kernels with a PVH entry)
 *	0x00007000	boot_params (all others)
 *	0x00008000	top of the boot stack
 *	0x00009000	page tables: the first 4 GiB, identical, 2 MiB pages
 *	0x00020000	command line
 *	0x0009fc00	end of conventional memory
 *	0x000e0000	ACPI tables, RSDP first
 *	0x00100000	kernel, or where it wants to be; the initrd ends below ram_low
 */
#ifndef CLI_BOOTDATA_H
#define CLI_BOOTDATA_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine.h"
#include "vcpu.h"

#define BOOT_GDT 0x500
#define BOOT_CS 0x10 /* selectors as the Linux boot protocol wants them */
#define BOOT_DS 0x18
#define BOOT_TSS 0x20
#define BOOT_GDT_SIZE 0x30
#define BOOT_PVH_INFO 0x6000
#define BOOT_PARAMS 0x7000
#define BOOT_STACK_TOP 0x8000
#define BOOT_PAGE_TABLES 0x9000
#define BOOT_COMMAND_LINE 0x20000
#define BOOT_COMMAND_LINE_MAX 0x10000 /* bytes, with the final zero */
#define BOOT_LOW_END 0x9fc00
#define BOOT_ACPI 0xe0000
#define BOOT_HIGH_START 0x100000

#define BOOT_MEMORY_MIN (8ull << 20) /* less makes no sense for any kernel */

/* Where the initrd went; size 0: there is none. */
struct initrd {
	uint64_t address;
	uint64_t size;
};

struct memory_range {
	uint64_t address;
	uint64_t size;
	uint32_t type; /* E820_TYPE_...: same numbers in PVH */
};

#define MEMORY_RAM 1
#define MEMORY_RESERVED 2
#define MEMORY_RANGES_MAX 8

/* The memory map told to the guest; returns the number of ranges. */
unsigned int boot_memory_map(const struct machine *m, struct memory_range map[MEMORY_RANGES_MAX]);

/* Descriptor table and page tables, for entries in protected or long mode. */
void boot_write_tables(struct machine *m, enum entry_mode mode);

/* Fill boot_params around the setup header that the caller has put there. */
void boot_write_params(struct machine *m, struct boot_params *params, const struct initrd *initrd, uint64_t rsdp);

/* The PVH counterpart of boot_params. */
void boot_write_pvh(struct machine *m, const struct initrd *initrd, uint64_t rsdp);

#endif
