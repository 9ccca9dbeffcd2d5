/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * load.h - put kernel, initrd and command line into guest memory.
 *
 * Formats: Linux bzImage (Linux, 'The Linux/x86 Boot Protocol', from version 2.06 on; 64-bit entry
 * where it has one), ELF with a PVH note, and ELF vmlinux entered with boot_params.
 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bootdata.h"
#include "machine.h"
#include "vcpu.h"

/* A file in memory, read only. */
struct image {
	const char *path;
	const uint8_t *data;
	size_t size;
};

struct load_request {
	const char *kernel;
	const char *initrd; /* or NULL */
	const char *command_line;
	uint64_t rsdp;
};

/* Loads everything and says where to start. Tells the user on failure. */
bool load_guest(struct machine *m, const struct load_request *request, struct entry *entry);

/* What the parts below need to know about each other. */
struct kernel {
	uint64_t end;              /* first byte above the kernel and its early work space */
	uint64_t initrd_max;       /* highest address an initrd byte may have */
	size_t command_line_max;   /* bytes without the final zero */
	bool pvh;                  /* start info instead of boot_params */
	struct boot_params params; /* with the setup header filled in */
	struct entry entry;
};

bool bzimage_matches(const struct image *image);
bool bzimage_load(struct machine *m, const struct image *image, struct kernel *kernel);
bool elf_matches(const struct image *image);
bool elf_load(struct machine *m, const struct image *image, struct kernel *kernel);

/* "too little memory": what needs bytes up to end, in one line. */
bool load_no_room(const struct machine *m, const char *what, uint64_t end);

#endif
