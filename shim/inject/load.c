/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* ELF files into memory, as the kernel's execve would map them. */
#include "inject.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ull
#define MAX_HEADERS 64
#define down(x) ((x) & ~(PAGE - 1))
#define up(x) down((x) + PAGE - 1)

struct elf {
	const char *path;
	int fd;
	Elf64_Ehdr eh;
	Elf64_Phdr ph[MAX_HEADERS];
	u64 low, high, align; /* of the segments, before the bias */
	u64 bias;
};

static int complain(const struct elf *e, const char *what)
{
	fprintf(stderr, "anykvm: %s: %s\n", e->path, what);
	return -ENOEXEC;
}

static int read_headers(struct elf *e)
{
	size_t size;

	if (pread(e->fd, &e->eh, sizeof(e->eh), 0) != (ssize_t)sizeof(e->eh) || e->eh.e_phnum > MAX_HEADERS ||
	    e->eh.e_phentsize != sizeof(Elf64_Phdr) || (e->eh.e_type != ET_EXEC && e->eh.e_type != ET_DYN))
		return complain(e, "not an ELF program");
	size = e->eh.e_phnum * sizeof(Elf64_Phdr);
	if (pread(e->fd, e->ph, size, (off_t)e->eh.e_phoff) != (ssize_t)size)
		return complain(e, "no program headers");
	e->low = ~0ull;
	e->high = 0;
	e->align = PAGE;
	for (unsigned i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &e->ph[i];

		if (ph->p_type != PT_LOAD)
			continue;
		if (ph->p_vaddr + ph->p_memsz < ph->p_vaddr || ph->p_filesz > ph->p_memsz)
			return complain(e, "bad segment");
		if (ph->p_vaddr < e->low)
			e->low = down(ph->p_vaddr);
		if (ph->p_vaddr + ph->p_memsz > e->high)
			e->high = up(ph->p_vaddr + ph->p_memsz);
		if (ph->p_align > e->align && !(ph->p_align & (ph->p_align - 1)))
			e->align = ph->p_align;
	}
	return e->low < e->high ? 0 : complain(e, "no segments");
}

/* Reserve the address range of all segments. */
static int reserve(struct elf *e)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	u64 size = e->high - e->low, base;
	void *p;

	if (e->eh.e_type == ET_EXEC) {
		p = mmap((void *)e->low, size, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
		return p == (void *)e->low ? 0 : complain(e, "its addresses are taken");
	}
	p = mmap(NULL, size + e->align, PROT_NONE, flags, -1, 0);
	if (p == MAP_FAILED)
		return complain(e, "no memory");
	base = ((u64)p + e->align - 1) & ~(e->align - 1);
	if (base > (u64)p)
		munmap(p, base - (u64)p);
	munmap((void *)(base + size), (u64)p + e->align - base);
	e->bias = base - e->low;
	return 0;
}

static int protection(const Elf64_Phdr *ph)
{
	return (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
	       (ph->p_flags & PF_X ? PROT_EXEC : 0);
}

static bool map_segment(const struct elf *e, const Elf64_Phdr *ph)
{
	u64 start = e->bias + ph->p_vaddr, file_end = start + ph->p_filesz, end = start + ph->p_memsz;
	int prot = protection(ph);

	if (ph->p_filesz && mmap((void *)down(start), up(file_end) - down(start), prot, MAP_PRIVATE | MAP_FIXED, e->fd,
				 (off_t)down(ph->p_offset)) == MAP_FAILED)
		return false;
	/* To the end of the page, as the kernel does: glibc's loader takes memory from there and expects zeros. */
	if (ph->p_filesz && (prot & PROT_WRITE))
		memset((void *)file_end, 0, up(file_end) - file_end);
	if (end <= file_end)
		return true;
	start = ph->p_filesz ? up(file_end) : down(start);
	return up(end) <= start ||
	       mmap((void *)start, up(end) - start, prot, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static int map_file(struct elf *e, const char *path)
{
	int r;

	e->path = path;
	e->bias = 0;
	e->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (e->fd < 0) {
		fprintf(stderr, "anykvm: %s: %s\n", path, strerror(errno));
		return -errno;
	}
	r = read_headers(e);
	if (!r)
		r = reserve(e);
	for (unsigned i = 0; !r && i < e->eh.e_phnum; i++)
		if (e->ph[i].p_type == PT_LOAD && !map_segment(e, &e->ph[i]))
			r = complain(e, "cannot map a segment");
	close(e->fd);
	return r;
}

/* Where the program headers lie in memory; 0: nowhere. */
static u64 headers_address(const struct elf *e)
{
	for (unsigned i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &e->ph[i];

		if (ph->p_type == PT_LOAD && e->eh.e_phoff >= ph->p_offset &&
		    e->eh.e_phoff < ph->p_offset + ph->p_filesz)
			return e->bias + ph->p_vaddr + (e->eh.e_phoff - ph->p_offset);
	}
	return 0;
}

static bool loader_of(const struct elf *e, char path[PATH_MAX])
{
	for (unsigned i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &e->ph[i];

		if (ph->p_type == PT_INTERP && ph->p_filesz && ph->p_filesz <= PATH_MAX) {
			memcpy(path, (void *)(e->bias + ph->p_vaddr), ph->p_filesz);
			path[ph->p_filesz - 1] = 0;
			return true;
		}
	}
	return false;
}

int load_program(const char *path, struct loaded *l)
{
	char loader[PATH_MAX];
	struct elf e;
	int r = map_file(&e, path);

	if (r)
		return r;
	l->program_entry = l->entry = e.bias + e.eh.e_entry;
	l->phdr = headers_address(&e);
	l->phnum = e.eh.e_phnum;
	l->base = 0;
	if (!loader_of(&e, loader))
		return 0;
	r = map_file(&e, loader);
	l->entry = e.bias + e.eh.e_entry;
	l->base = e.bias;
	return r;
}
