/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Linux, 'The Linux/x86 Boot Protocol'. */
#include <inttypes.h>
#include <string.h>

#include "load.h"
#include "message.h"

#define HEADER_OFFSET 0x1f1
#define SECTOR 512
#define BOOT_FLAG 0xaa55
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define ENTRY_64_OFFSET 0x200

#define VERSION_OLDEST 0x0206 /* the first with cmdline_size */
#define VERSION_PREF_ADDRESS 0x020a
#define VERSION_XLOADFLAGS 0x020c

bool bzimage_matches(const struct image *image)
{
	struct setup_header header;

	if (image->size < HEADER_OFFSET + sizeof(header))
		return false;
	memcpy(&header, image->data + HEADER_OFFSET, sizeof(header));
	return header.boot_flag == BOOT_FLAG && header.header == HEADER_MAGIC;
}

/* The header ends where the jump instruction at 0x200 goes to; later fields stay zero. */
static bool read_header(const struct image *image, struct setup_header *header)
{
	size_t size = 0x202 + image->data[0x201] - HEADER_OFFSET;

	if (size > sizeof(*header))
		size = sizeof(*header);
	memset(header, 0, sizeof(*header));
	memcpy(header, image->data + HEADER_OFFSET, size);
	if (header->version < VERSION_OLDEST) {
		message("%s is too old: boot protocol %u.%02u, at least 2.06 is needed", image->path,
			header->version >> 8, header->version & 0xff);
		return false;
	}
	if (!(header->loadflags & LOADED_HIGH)) {
		message("%s is a zImage, made for low memory; a bzImage is needed", image->path);
		return false;
	}
	return true;
}

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) / alignment * alignment;
}

/*
 * Where the kernel likes to be, or just above 1 MiB if it fits only there and can be moved. The
 * returned range [address, *end) includes the space in which it unpacks itself.
 */
static uint64_t choose_address(const struct machine *m, const struct setup_header *header, uint64_t file_size,
			       uint64_t *end)
{
	uint64_t address = BOOT_HIGH_START;
	uint64_t space = file_size;
	uint64_t alignment = header->kernel_alignment ? header->kernel_alignment : 1;

	if (header->version >= VERSION_PREF_ADDRESS) {
		if (header->init_size > space)
			space = header->init_size;
		address = header->pref_address;
	}
	if (header->relocatable_kernel &&
	    (address < BOOT_HIGH_START || address > m->ram_low || space > m->ram_low - address))
		address = align_up(BOOT_HIGH_START, alignment);
	*end = address + space;
	return address;
}

bool bzimage_load(struct machine *m, const struct image *image, struct kernel *kernel)
{
	struct setup_header *header = &kernel->params.hdr;
	uint64_t setup, size, address;
	void *memory;

	if (!read_header(image, header))
		return false;
	setup = ((header->setup_sects ? header->setup_sects : 4) + 1) * SECTOR;
	size = (uint64_t)header->syssize * 16;
	/* syssize counts in 16 bytes: the file may end up to 15 bytes earlier. */
	if (setup >= image->size || size > image->size - setup + 15) {
		message("the kernel %s is cut short: %zu bytes, its header promises %" PRIu64, image->path, image->size,
			setup + size);
		return false;
	}
	size = image->size - setup;
	address = choose_address(m, header, size, &kernel->end);
	memory = kernel->end <= m->ram_low ? machine_memory(m, address, size) : NULL;
	if (!memory || address < BOOT_HIGH_START)
		return load_no_room(m, "the kernel", kernel->end);
	memcpy(memory, image->data + setup, size);

	header->code32_start = address;
	kernel->initrd_max = header->initrd_addr_max;
	kernel->command_line_max =
		header->cmdline_size < BOOT_COMMAND_LINE_MAX ? header->cmdline_size : BOOT_COMMAND_LINE_MAX - 1;
	kernel->entry.rsi = BOOT_PARAMS;
	kernel->entry.rip = address;
	if (header->version >= VERSION_XLOADFLAGS && (header->xloadflags & XLF_KERNEL_64)) {
		kernel->entry.mode = ENTRY_LONG;
		kernel->entry.rip += ENTRY_64_OFFSET;
	}
	return true;
}
