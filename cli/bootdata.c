/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "bootdata.h"

#include <string.h>

#define PAGE_PRESENT 0x01ull
#define PAGE_WRITABLE 0x02ull
#define PAGE_LARGE 0x80ull
#define LARGE_PAGE (2ull << 20)
#define PAGE_BYTES 0x1000

/* The KVM pages below 4 GiB and the interrupt chips: nothing that the guest may move devices to. */
#define CHIPS_START 0xfec00000ull
#define CHIPS_END 0x100000000ull

#define GDT_CODE_64 0x00af9b000000ffffull
#define GDT_CODE_32 0x00cf9b000000ffffull
#define GDT_DATA 0x00cf93000000ffffull
#define GDT_TSS 0x00008b0000000067ull

#define LOADER_UNDEFINED 0xff

/* Xen's public hvm/start_info.h describes this layout. */
struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t command_line;
	uint64_t rsdp;
	uint64_t memory_map;
	uint32_t memory_map_entries;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t address;
	uint64_t size;
	uint64_t command_line;
	uint64_t reserved;
};

struct pvh_memory {
	uint64_t address;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

struct pvh_block {
	struct pvh_start_info info;
	struct pvh_module module;
	struct pvh_memory map[MEMORY_RANGES_MAX];
};

#define PVH_MAGIC 0x336ec578

unsigned int boot_memory_map(const struct machine *m, struct memory_range map[MEMORY_RANGES_MAX])
{
	uint64_t high = m->ram_size - m->ram_low;
	unsigned int n = 0;

	map[n++] = (struct memory_range){ 0, BOOT_LOW_END, MEMORY_RAM };
	map[n++] = (struct memory_range){ BOOT_LOW_END, 0xa0000 - BOOT_LOW_END, MEMORY_RESERVED };
	map[n++] = (struct memory_range){ BOOT_ACPI, BOOT_HIGH_START - BOOT_ACPI, MEMORY_RESERVED };
	map[n++] = (struct memory_range){ BOOT_HIGH_START, m->ram_low - BOOT_HIGH_START, MEMORY_RAM };
	map[n++] = (struct memory_range){ CHIPS_START, CHIPS_END - CHIPS_START, MEMORY_RESERVED };
	if (high)
		map[n++] = (struct memory_range){ RAM_HOLE_END, high, MEMORY_RAM };
	return n;
}

static void write_page_tables(uint8_t *at)
{
	uint64_t *top = (uint64_t *)at;
	uint64_t *second = (uint64_t *)(at + PAGE_BYTES);
	uint64_t *third = (uint64_t *)(at + 2 * PAGE_BYTES);

	memset(at, 0, 2 * PAGE_BYTES);
	top[0] = (BOOT_PAGE_TABLES + PAGE_BYTES) | PAGE_PRESENT | PAGE_WRITABLE;
	for (unsigned int gib = 0; gib < 4; gib++)
		second[gib] = (BOOT_PAGE_TABLES + (2 + gib) * PAGE_BYTES) | PAGE_PRESENT | PAGE_WRITABLE;
	for (uint64_t page = 0; page < 4 * 512; page++)
		third[page] = page * LARGE_PAGE | PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE;
}

void boot_write_tables(struct machine *m, enum entry_mode mode)
{
	const uint64_t gdt[BOOT_GDT_SIZE / 8] = {
		[BOOT_CS / 8] = mode == ENTRY_LONG ? GDT_CODE_64 : GDT_CODE_32,
		[BOOT_DS / 8] = GDT_DATA,
		[BOOT_TSS / 8] = GDT_TSS,
	};

	memcpy(m->ram + BOOT_GDT, gdt, sizeof(gdt));
	if (mode == ENTRY_LONG)
		write_page_tables(m->ram + BOOT_PAGE_TABLES);
}

void boot_write_params(struct machine *m, struct boot_params *params, const struct initrd *initrd, uint64_t rsdp)
{
	struct memory_range map[MEMORY_RANGES_MAX];
	unsigned int ranges = boot_memory_map(m, map);

	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.cmd_line_ptr = BOOT_COMMAND_LINE;
	params->hdr.ramdisk_image = initrd->address;
	params->hdr.ramdisk_size = initrd->size;
	params->acpi_rsdp_addr = rsdp;
	params->e820_entries = ranges;
	for (unsigned int i = 0; i < ranges; i++) {
		params->e820_table[i].addr = map[i].address;
		params->e820_table[i].size = map[i].size;
		params->e820_table[i].type = map[i].type;
	}
	/* KiB from 1 MiB on, for what does not read the map. */
	params->alt_mem_k = (m->ram_low - BOOT_HIGH_START) >> 10;
	memcpy(m->ram + BOOT_PARAMS, params, sizeof(*params));
}

void boot_write_pvh(struct machine *m, const struct initrd *initrd, uint64_t rsdp)
{
	struct memory_range map[MEMORY_RANGES_MAX];
	unsigned int ranges = boot_memory_map(m, map);
	struct pvh_block block = {
		.info = {
			.magic = PVH_MAGIC,
			.version = 1,
			.module_count = initrd->size ? 1 : 0,
			.modules = initrd->size ? BOOT_PVH_INFO + offsetof(struct pvh_block, module) : 0,
			.command_line = BOOT_COMMAND_LINE,
			.rsdp = rsdp,
			.memory_map = BOOT_PVH_INFO + offsetof(struct pvh_block, map),
			.memory_map_entries = ranges,
		},
		.module = { .address = initrd->address, .size = initrd->size },
	};

	for (unsigned int i = 0; i < ranges; i++)
		block.map[i] = (struct pvh_memory){ map[i].address, map[i].size, map[i].type, 0 };
	memcpy(m->ram + BOOT_PVH_INFO, &block, sizeof(block));
}
