/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"

#define PAGE_BYTES 0x1000ull

bool load_no_room(const struct machine *m, const char *what, uint64_t end)
{
	message("too little memory: %s needs %" PRIu64 " MiB below 3 GiB and the guest has %" PRIu64
		"; give a larger --memory",
		what, (end + (1 << 20) - 1) >> 20, m->ram_low >> 20);
	return false;
}

static bool open_image(const char *what, const char *path, struct image *image)
{
	struct stat st;
	void *map = MAP_FAILED;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	image->path = path;
	if (fd < 0 || fstat(fd, &st) < 0) {
		message("cannot open the %s %s: %s", what, path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (!S_ISREG(st.st_mode))
		message("the %s %s is not a regular file", what, path);
	else if (!st.st_size)
		message("the %s %s is empty", what, path);
	else {
		map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			message("cannot read the %s %s: %s", what, path, strerror(errno));
	}
	close(fd);
	image->data = map;
	image->size = st.st_size;
	return map != MAP_FAILED;
}

static void close_image(struct image *image)
{
	munmap((void *)image->data, image->size);
}

static bool load_kernel(struct machine *m, const char *path, struct kernel *kernel)
{
	struct image image;
	bool ok = false;

	memset(kernel, 0, sizeof(*kernel));
	if (!open_image("kernel", path, &image))
		return false;
	if (bzimage_matches(&image))
		ok = bzimage_load(m, &image, kernel);
	else if (elf_matches(&image))
		ok = elf_load(m, &image, kernel);
	else
		message("%s is not a kernel for x86: neither a Linux bzImage nor an ELF file", path);
	close_image(&image);
	return ok;
}

/* As high as allowed: the kernel may unpack itself above where it was loaded. */
static bool load_initrd(struct machine *m, const char *path, const struct kernel *kernel, struct initrd *initrd)
{
	uint64_t end = m->ram_low;
	struct image image;

	*initrd = (struct initrd){ 0, 0 };
	if (!path)
		return true;
	if (!open_image("initrd", path, &image))
		return false;
	if (end > kernel->initrd_max + 1)
		end = kernel->initrd_max + 1;
	if (image.size > end || ((end - image.size) & -PAGE_BYTES) < kernel->end) {
		close_image(&image);
		return load_no_room(m, "the kernel with this initrd", kernel->end + image.size + PAGE_BYTES);
	}
	initrd->address = (end - image.size) & -PAGE_BYTES;
	initrd->size = image.size;
	memcpy(m->ram + initrd->address, image.data, image.size);
	close_image(&image);
	return true;
}

bool load_guest(struct machine *m, const struct load_request *request, struct entry *entry)
{
	size_t length = strlen(request->command_line);
	struct kernel kernel;
	struct initrd initrd;

	if (!load_kernel(m, request->kernel, &kernel) || !load_initrd(m, request->initrd, &kernel, &initrd))
		return false;
	if (length > kernel.command_line_max) {
		message("the command line has %zu bytes; this kernel takes up to %zu", length, kernel.command_line_max);
		return false;
	}
	memcpy(m->ram + BOOT_COMMAND_LINE, request->command_line, length + 1);
	boot_write_tables(m, kernel.entry.mode);
	if (kernel.pvh)
		boot_write_pvh(m, &initrd, request->rsdp);
	else
		boot_write_params(m, &kernel.params, &initrd, request->rsdp);
	*entry = kernel.entry;
	return true;
}
