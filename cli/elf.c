/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * ELF kernels. Segments go to their physical addresses. A PVH note (Xen's XEN_ELFNOTE_PHYS32_ENTRY)
 * names a 32-bit entry; without it a 64-bit file is taken for a Linux vmlinux, whose entry expects
 * 64-bit mode and boot_params as a bzImage's does, and a 32-bit file for a 32-bit one.
 */
#include <elf.h>
#include <string.h>

#include "load.h"
#include "message.h"

#define NOTE_PVH_ENTRY 18
#define COMMAND_LINE_MAX 2047 /* COMMAND_LINE_SIZE of Linux on x86 is 2048 */
#define INITRD_MAX 0x7fffffff
#define PROTOCOL_VERSION 0x020f
#define BOOT_FLAG 0xaa55
#define HEADER_MAGIC 0x53726448

/* A program header of either class. */
struct segment {
	uint32_t type;
	uint64_t offset, address, file_size, memory_size, align;
};

struct elf {
	const struct image *image;
	bool is_64;
	uint64_t entry;
	uint64_t headers;
	unsigned int header_size, header_count;
};

bool elf_matches(const struct image *image)
{
	return image->size >= EI_NIDENT && !memcmp(image->data, ELFMAG, SELFMAG);
}

static bool inside(const struct image *image, uint64_t offset, uint64_t size)
{
	return offset <= image->size && size <= image->size - offset;
}

static bool read_elf(const struct image *image, struct elf *elf)
{
	uint16_t machine = EM_NONE;

	memset(elf, 0, sizeof(*elf));
	elf->image = image;
	elf->is_64 = image->data[EI_CLASS] == ELFCLASS64;
	if (elf->is_64 && inside(image, 0, sizeof(Elf64_Ehdr))) {
		Elf64_Ehdr h;

		memcpy(&h, image->data, sizeof(h));
		machine = h.e_machine;
		elf->entry = h.e_entry;
		elf->headers = h.e_phoff;
		elf->header_size = h.e_phentsize;
		elf->header_count = h.e_phnum;
	} else if (image->data[EI_CLASS] == ELFCLASS32 && inside(image, 0, sizeof(Elf32_Ehdr))) {
		Elf32_Ehdr h;

		memcpy(&h, image->data, sizeof(h));
		machine = h.e_machine;
		elf->entry = h.e_entry;
		elf->headers = h.e_phoff;
		elf->header_size = h.e_phentsize;
		elf->header_count = h.e_phnum;
	}
	if (image->data[EI_DATA] != ELFDATA2LSB || machine != (elf->is_64 ? EM_X86_64 : EM_386)) {
		message("%s is not a kernel for x86", image->path);
		return false;
	}
	if (elf->header_size < (elf->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) ||
	    !inside(image, elf->headers, (uint64_t)elf->header_size * elf->header_count)) {
		message("the kernel %s is damaged: its program headers lie outside the file", image->path);
		return false;
	}
	return true;
}

static struct segment read_segment(const struct elf *elf, unsigned int index)
{
	const uint8_t *at = elf->image->data + elf->headers + (uint64_t)index * elf->header_size;

	if (elf->is_64) {
		Elf64_Phdr h;

		memcpy(&h, at, sizeof(h));
		return (struct segment){ h.p_type, h.p_offset, h.p_paddr, h.p_filesz, h.p_memsz, h.p_align };
	} else {
		Elf32_Phdr h;

		memcpy(&h, at, sizeof(h));
		return (struct segment){ h.p_type, h.p_offset, h.p_paddr, h.p_filesz, h.p_memsz, h.p_align };
	}
}

static bool load_segment(struct machine *m, const struct elf *elf, const struct segment *s, struct kernel *kernel)
{
	uint64_t end;
	void *memory;

	if (s->file_size > s->memory_size || !inside(elf->image, s->offset, s->file_size)) {
		message("the kernel %s is damaged: a segment lies outside the file", elf->image->path);
		return false;
	}
	if (__builtin_add_overflow(s->address, s->memory_size, &end) || end > RAM_HOLE_START) {
		message("the kernel %s wants to be above 3 GiB, where there is no memory for it", elf->image->path);
		return false;
	}
	if (s->address < BOOT_HIGH_START) {
		message("the kernel %s wants to be below 1 MiB, where the boot data is", elf->image->path);
		return false;
	}
	memory = machine_memory(m, s->address, s->memory_size);
	if (!memory)
		return load_no_room(m, "the kernel", end);
	memcpy(memory, elf->image->data + s->offset, s->file_size);
	if (end > kernel->end)
		kernel->end = end;
	return true;
}

static uint64_t round_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & -align;
}

/* Look for the PVH entry among the notes of one segment. */
static bool find_pvh_note(const struct elf *elf, const struct segment *s, uint32_t *entry)
{
	uint64_t align = s->align == 8 ? 8 : 4;
	uint64_t at = s->offset, end = s->offset + s->file_size;
	Elf64_Nhdr note; /* the same in both classes */

	if (!inside(elf->image, s->offset, s->file_size))
		return false;
	while (end - at >= sizeof(note)) {
		uint64_t name, data;

		memcpy(&note, elf->image->data + at, sizeof(note));
		name = at + sizeof(note);
		data = round_up(name + note.n_namesz, align);
		if (data > end || note.n_descsz > end - data)
			return false;
		if (note.n_type == NOTE_PVH_ENTRY && note.n_namesz == 4 && !memcmp(elf->image->data + name, "Xen", 4) &&
		    note.n_descsz >= sizeof(*entry)) {
			memcpy(entry, elf->image->data + data, sizeof(*entry));
			return true;
		}
		at = round_up(data + note.n_descsz, align);
		if (at > end)
			return false;
	}
	return false;
}

static void fill_header(struct setup_header *header)
{
	header->boot_flag = BOOT_FLAG;
	header->header = HEADER_MAGIC;
	header->version = PROTOCOL_VERSION;
	header->loadflags = LOADED_HIGH;
	header->kernel_alignment = 0x1000000;
	header->cmdline_size = COMMAND_LINE_MAX;
	header->initrd_addr_max = INITRD_MAX;
}

bool elf_load(struct machine *m, const struct image *image, struct kernel *kernel)
{
	struct elf elf;
	uint32_t pvh_entry;
	bool loaded = false;

	if (!read_elf(image, &elf))
		return false;
	kernel->entry.rip = elf.entry;
	kernel->entry.rsi = BOOT_PARAMS;
	kernel->entry.mode = elf.is_64 ? ENTRY_LONG : ENTRY_PROTECTED;
	kernel->initrd_max = INITRD_MAX;
	kernel->command_line_max = COMMAND_LINE_MAX;
	fill_header(&kernel->params.hdr);
	for (unsigned int i = 0; i < elf.header_count; i++) {
		struct segment s = read_segment(&elf, i);

		if (s.type == PT_LOAD && s.memory_size) {
			if (!load_segment(m, &elf, &s, kernel))
				return false;
			loaded = true;
		}
		if (s.type == PT_NOTE && find_pvh_note(&elf, &s, &pvh_entry)) {
			kernel->pvh = true;
			kernel->entry =
				(struct entry){ .mode = ENTRY_PROTECTED, .rip = pvh_entry, .rbx = BOOT_PVH_INFO };
		}
	}
	if (!loaded) {
		message("the ELF file %s has nothing to load: not a kernel", image->path);
		return false;
	}
	return true;
}
