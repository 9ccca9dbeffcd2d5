/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Executable files: ELF headers and #! lines. See program.h. */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HEAD 256 /* what the kernel reads of a script */
#define MAX_INTERPRETERS 5
#define NT_GO_BUILD_ID 4

static bool read_at(int fd, void *buf, size_t len, Elf64_Off at)
{
	return pread(fd, buf, len, (off_t)at) == (ssize_t)len;
}

/* glibc's loader: the only C library that the preloaded library can live with. */
static bool glibc_loader(int fd, const Elf64_Phdr *interp)
{
	char path[64] = "";

	if (interp->p_filesz >= sizeof(path) || !read_at(fd, path, interp->p_filesz, interp->p_offset))
		return false;
	return strstr(path, "/ld-linux-x86-64.so") != NULL;
}

/* Go's runtime makes its own system calls, also in programs that are linked dynamically. */
static bool go_note(int fd, const Elf64_Phdr *notes)
{
	struct {
		Elf64_Nhdr h;
		char name[4];
	} n;

	for (Elf64_Xword at = 0; at + sizeof(n) <= notes->p_filesz;) {
		if (!read_at(fd, &n, sizeof(n), notes->p_offset + at))
			return false;
		if (n.h.n_type == NT_GO_BUILD_ID && n.h.n_namesz == 4 && !memcmp(n.name, "Go", 3))
			return true;
		at += sizeof(n.h) + ((n.h.n_namesz + 3ul) & ~3ul) + ((n.h.n_descsz + 3ul) & ~3ul);
	}
	return false;
}

static enum program_kind elf_kind(int fd, const Elf64_Ehdr *eh)
{
	bool loader = false, go = false;

	if (eh->e_machine != EM_X86_64 || eh->e_ident[EI_CLASS] != ELFCLASS64)
		return PROGRAM_FOREIGN;
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph;

		if (!read_at(fd, &ph, sizeof(ph), eh->e_phoff + i * sizeof(ph)))
			break;
		if (ph.p_type == PT_INTERP)
			loader = glibc_loader(fd, &ph);
		else if (ph.p_type == PT_NOTE && !go)
			go = go_note(fd, &ph);
	}
	return loader && !go ? PROGRAM_PRELOADABLE : PROGRAM_RAW;
}

static char *keep(struct program *p, size_t *used, const char *from, size_t length)
{
	char *at = p->text + *used;

	if (*used + length + 1 > sizeof(p->text))
		return NULL;
	memcpy(at, from, length);
	at[length] = 0;
	*used += length + 1;
	return at;
}

/* "#!INTERPRETER [ARGUMENT]" of the file p->path: put the words in front. 0 or -errno. */
static int add_interpreter(struct program *p, size_t *used, char *line)
{
	char *words[3], *at = line + 2;
	int n = 0;

	line[strcspn(line, "\n")] = 0;
	at += strspn(at, " \t");
	if (!*at)
		return -ENOEXEC;
	words[n++] = keep(p, used, at, strcspn(at, " \t"));
	at += strcspn(at, " \t");
	at += strspn(at, " \t");
	for (size_t len = strlen(at); len && (at[len - 1] == ' ' || at[len - 1] == '\t');)
		at[--len] = 0;
	if (*at)
		words[n++] = keep(p, used, at, strlen(at));
	words[n++] = keep(p, used, p->path, strlen(p->path));
	for (int i = 0; i < n; i++)
		if (!words[i])
			return -ENOEXEC;
	/* The script replaces the word by which it was called: word 0 of the line below it. */
	if (p->nr_words) {
		memmove(p->word + n, p->word + 1, (size_t)(p->nr_words - 1) * sizeof(p->word[0]));
		p->nr_words += n - 1;
	} else {
		p->nr_words = n;
	}
	memcpy(p->word, words, (size_t)n * sizeof(p->word[0]));
	snprintf(p->path, sizeof(p->path), "%s", words[0]);
	return 0;
}

/* 1: examine p->path again (an interpreter); 0: done; -errno. */
static int examine_file(int fd, struct program *p, size_t *used)
{
	union {
		Elf64_Ehdr eh;
		char text[HEAD];
	} head = { 0 };
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	n = pread(fd, &head, sizeof(head) - 1, 0);
	if (n >= (ssize_t)sizeof(head.eh) && !memcmp(head.eh.e_ident, ELFMAG, SELFMAG)) {
		p->kind = elf_kind(fd, &head.eh);
		return 0;
	}
	if (n < 3 || memcmp(head.text, "#!", 2) != 0)
		return -ENOEXEC;
	n = add_interpreter(p, used, head.text);
	return n ? (int)n : 1;
}

int program_examine(const char *path, struct program *p)
{
	size_t used = 0;
	int r = 1;

	p->nr_words = 0;
	if ((size_t)snprintf(p->path, sizeof(p->path), "%s", path) >= sizeof(p->path))
		return -ENAMETOOLONG;
	for (int i = 0; r == 1; i++) {
		int fd;

		if (i == MAX_INTERPRETERS)
			return -ELOOP;
		if (faccessat(AT_FDCWD, p->path, X_OK, AT_EACCESS) < 0)
			return -errno;
		fd = (int)syscall(SYS_openat, AT_FDCWD, p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
		if (fd < 0)
			return -errno;
		r = examine_file(fd, p, &used);
		syscall(SYS_close, fd);
	}
	return r;
}
