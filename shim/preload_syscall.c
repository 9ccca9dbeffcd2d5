/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * libc's syscall(), where a preloaded program makes calls by number. The library's own calls of it are __wrap_syscall() (see
 * shim.mk): they may be made with a guest's vector registers in the processor, so nothing here uses them.
 */
#include "calls.h"
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC target("general-regs-only")

#define EXPORT __attribute__((visibility("default")))

struct call {
	long nr;
	long arg[6];
};

long __wrap_syscall(long nr, ...);

static long raw(const struct call *c)
{
	const long fourth = c->arg[3], fifth = c->arg[4], sixth = c->arg[5];
	register long r10 __asm__("r10") = fourth;
	register long r8 __asm__("r8") = fifth;
	register long r9 __asm__("r9") = sixth;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(c->nr), "D"(c->arg[0]), "S"(c->arg[1]), "d"(c->arg[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

#define READ_CALL(c, number)                                                                                           \
	struct call c = { .nr = (number) };                                                                            \
	va_list ap;                                                                                                    \
                                                                                                                       \
	va_start(ap, nr);                                                                                              \
	for (int i = 0; i < 6; i++)                                                                                    \
		c.arg[i] = va_arg(ap, long);                                                                           \
	va_end(ap)

static long libc_result(long r)
{
	if (r >= 0 || r < -4095)
		return r;
	errno = (int)-r;
	return -1;
}

long __wrap_syscall(long nr, ...)
{
	READ_CALL(c, nr);
	return libc_result(raw(&c));
}

/*
 * By number, not by libc's own function: programs with an allocator of their own map memory before anything else of libc works.
 */
static long map(const struct call *c)
{
	const long *a = c->arg;

	if (!(a[3] & MAP_ANONYMOUS) && !shim_may_map((int)a[4], (size_t)a[1], (int)a[2], (int)a[3], a[5]))
		return -EINVAL;
	return raw(c);
}

EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	const struct call c = { SYS_mmap, { (long)addr, (long)len, prot, flags, fd, offset } };

	return (void *)libc_result(map(&c));
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return mmap64(addr, len, prot, flags, fd, offset);
}

static long open_or_raw(const struct call *c, int dirfd, long path, int flags)
{
	if (shim_names_kvm(dirfd, (const char *)path) || shim_links_to_kvm(dirfd, (const char *)path))
		return shim_open(flags);
	return raw(c);
}

static long duplicate(const struct call *c)
{
	long r = raw(c);

	return r < 0 ? r : shim_duplicated((int)c->arg[0], (int)r);
}

static long close_range_of(const struct call *c)
{
	long r = raw(c);

	if (!r && !(c->arg[2] & (long)CLOSE_RANGE_CLOEXEC))
		shim_closed_range((unsigned)c->arg[0], (unsigned)c->arg[1]);
	return r;
}

/* Does a call with these arguments look at the device, by its name or by an open descriptor? */
static bool looks_at_kvm(int dirfd, long path, long flags)
{
	if (path && !*(const char *)path && flags & AT_EMPTY_PATH)
		return shim_is_system(dirfd, NULL);
	return shim_names_kvm(dirfd, (const char *)path);
}

static long serve(const struct call *c)
{
	const long *a = c->arg;
	long r;

	switch (c->nr) {
	case SYS_ioctl: return shim_ioctl((int)a[0], (unsigned)a[1], (void *)a[2], &r) ? r : raw(c);
	case SYS_mmap: return map(c);
	case SYS_open: return open_or_raw(c, AT_FDCWD, a[0], (int)a[1]);
	case SYS_openat: return open_or_raw(c, (int)a[0], a[1], (int)a[2]);
	case SYS_openat2: return open_or_raw(c, (int)a[0], a[1], (int)((struct open_how *)a[2])->flags);
	case SYS_close: shim_unbind((int)a[0]); return raw(c);
	case SYS_close_range: return close_range_of(c);
	case SYS_dup:
	case SYS_dup2:
	case SYS_dup3: return duplicate(c);
	case SYS_fcntl: return a[1] == F_DUPFD || a[1] == F_DUPFD_CLOEXEC ? duplicate(c) : raw(c);
	case SYS_mlockall: return shim_mlockall((int)a[0]);
	case SYS_access: return looks_at_kvm(AT_FDCWD, a[0], 0) ? shim_access((int)a[1]) : raw(c);
	case SYS_faccessat: return looks_at_kvm((int)a[0], a[1], 0) ? shim_access((int)a[2]) : raw(c);
	case SYS_faccessat2: return looks_at_kvm((int)a[0], a[1], a[3]) ? shim_access((int)a[2]) : raw(c);
	case SYS_stat:
	case SYS_lstat: return looks_at_kvm(AT_FDCWD, a[0], 0) ? shim_stat((struct stat *)a[1]) : raw(c);
	case SYS_fstat: return shim_is_system((int)a[0], NULL) ? shim_stat((struct stat *)a[1]) : raw(c);
	case SYS_newfstatat: return looks_at_kvm((int)a[0], a[1], a[3]) ? shim_stat((struct stat *)a[2]) : raw(c);
	case SYS_statx: return looks_at_kvm((int)a[0], a[1], a[2]) ? shim_statx((struct statx *)a[4]) : raw(c);
	default: return raw(c);
	}
}

EXPORT long syscall(long nr, ...)
{
	READ_CALL(c, nr);
	return libc_result(serve(&c));
}
