/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Programs that ask for a C function by name in libc's own handle: ctypes.CDLL("libc.so.6"), JNA, Java's linker, P/Invoke.
 * That look-up goes past the preloaded library. Where its answer is a function of libc that we stand for, they get ours.
 *
 * What RTLD_DEFAULT and RTLD_NEXT mean depends on who calls dlsym(). libc sees that by the return address, so these calls are
 * jumps. Memory allocators call dlsym() from constructors of their own and from malloc(): no locks, and no look-up that fails.
 */
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef void *dlsym_fn(void *handle, const char *name);

dlsym_fn *preload_real_dlsym(void);
dlsym_fn preload_dlsym_of;

/* RTLD_DEFAULT is 0, RTLD_NEXT is -1. */
__asm__(".text\n"
	".globl dlsym\n"
	".type dlsym, @function\n"
	"dlsym:\n"
	"	endbr64\n"
	"	lea 1(%rdi), %rax\n"
	"	cmp $1, %rax\n"
	"	ja preload_dlsym_of\n"
	"	push %rdi\n"
	"	push %rsi\n"
	"	sub $8, %rsp\n" /* the stack's alignment */
	"	call preload_real_dlsym\n"
	"	add $8, %rsp\n"
	"	pop %rsi\n"
	"	pop %rdi\n"
	"	jmp *%rax\n"
	".size dlsym, . - dlsym\n");

static uintptr_t libc_start, libc_end; /* constant after the constructor; 0, 0 before */
static void *self;                     /* our own handle, likewise */

dlsym_fn *preload_real_dlsym(void)
{
	static const char *const versions[] = { "GLIBC_2.34", "GLIBC_2.2.5" };
	static dlsym_fn *real;

	for (size_t i = 0; i < 2 && !real; i++)
		real = (dlsym_fn *)dlvsym(RTLD_NEXT, "dlsym", versions[i]);
	if (!real)
		abort(); /* no glibc */
	return real;
}

static int find_libc(struct dl_phdr_info *info, size_t size, void *inside)
{
	uintptr_t start = UINTPTR_MAX, end = 0;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t first = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD)
			continue;
		start = first < start ? first : start;
		end = first + ph->p_memsz > end ? first + ph->p_memsz : end;
	}
	if ((uintptr_t)inside < start || (uintptr_t)inside >= end)
		return 0;
	libc_start = start;
	libc_end = end;
	return 1;
}

static __attribute__((constructor)) void find(void)
{
	Dl_info own;

	if (dladdr(&libc_start, &own))
		self = dlopen(own.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	if (self)
		dl_iterate_phdr(find_libc, dlsym(RTLD_NEXT, "gnu_get_libc_version"));
}

void *preload_dlsym_of(void *handle, const char *name)
{
	void *theirs = preload_real_dlsym()(handle, name);

	if ((uintptr_t)theirs < libc_start || (uintptr_t)theirs >= libc_end)
		return theirs;
	/* Libc is among the libraries that ours needs: for a name that we do not define this is libc's function again. */
	return preload_real_dlsym()(self, name);
}
