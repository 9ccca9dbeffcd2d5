/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The program break is the program's: our C library, which believes that it is the only one, gets its memory from mmap. These
 * names replace the C library's own at link time.
 */
#include <errno.h>
#include <stdint.h>

void *__sbrk(intptr_t increment);
void *__sbrk(intptr_t increment)
{
	errno = ENOMEM;
	return (void *)-1;
}

void *sbrk(intptr_t increment) __attribute__((alias("__sbrk")));
