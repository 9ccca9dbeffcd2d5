/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * program.h - what a program is, before it is executed: how it reaches the kernel decides how /dev/kvm reaches it.
 */
#ifndef SHIM_PROGRAM_H
#define SHIM_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

enum program_kind {
	PROGRAM_PRELOADABLE, /* glibc's dynamic loader: system calls go through libc's names */
	PROGRAM_RAW,         /* static, another C library, or Go: makes its own system calls */
	PROGRAM_FOREIGN,     /* not for this kind of processor, or 32-bit */
};

#define PROGRAM_WORDS 12 /* Linux follows five interpreters, each with an argument */

struct program {
	enum program_kind kind;
	char path[PATH_MAX]; /* the ELF file; a script's interpreter */
	/* What a script puts before the arguments 1... of the call: interpreter, its argument, script. 0: no script. */
	int nr_words;
	char *word[PROGRAM_WORDS];
	char text[5 * 256 + PATH_MAX];
};

/* 0, or the -errno that execve() would give: -ENOENT, -EACCES, -ENOEXEC, -ELOOP ... */
int program_examine(const char *path, struct program *p);

#endif /* SHIM_PROGRAM_H */
