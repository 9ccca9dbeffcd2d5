/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * preload.c - /dev/kvm for a dynamically linked program that knows nothing of us (LD_PRELOAD): libc's names for the calls of
 * calls.h. Every call on other descriptors and files goes to libc.
 */
#include "calls.h"
#include "device.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* --- libc's own functions ----------------------------------------------------------------------------------- */

#define REAL(name, type, params)                                                                                       \
	static type(*real_##name) params;                                                                              \
	static type(*get_##name(void)) params                                                                          \
	{                                                                                                              \
		if (!real_##name)                                                                                      \
			real_##name = (type(*) params)dlsym(RTLD_NEXT, #name);                                         \
		return real_##name;                                                                                    \
	}

REAL(ioctl, int, (int, unsigned long, ...))
REAL(close, int, (int))
REAL(dup, int, (int))
REAL(dup2, int, (int, int))
REAL(dup3, int, (int, int, int))
REAL(fcntl, int, (int, int, ...))
REAL(fcntl64, int, (int, int, ...))
REAL(open, int, (const char *, int, ...))
REAL(openat, int, (int, const char *, int, ...))
REAL(read, ssize_t, (int, void *, size_t))
REAL(pread64, ssize_t, (int, void *, size_t, off64_t))
REAL(access, int, (const char *, int))
REAL(faccessat, int, (int, const char *, int, int))
REAL(euidaccess, int, (const char *, int))
REAL(stat64, int, (const char *, struct stat64 *))
REAL(lstat64, int, (const char *, struct stat64 *))
REAL(fstat64, int, (int, struct stat64 *))
REAL(fstatat64, int, (int, const char *, struct stat64 *, int))
REAL(statx, int, (int, const char *, int, unsigned, struct statx *))
REAL(close_range, int, (unsigned, unsigned, int))
REAL(closefrom, void, (int))
REAL(fopen, FILE *, (const char *, const char *))
REAL(fopen64, FILE *, (const char *, const char *))
REAL(fclose, int, (FILE *))

static void count_fork(void)
{
	shim_count_fork();
}

static __attribute__((constructor)) void start(void)
{
	shim_start();
	pthread_atfork(NULL, NULL, count_fork);
}

/* As libc's functions return it. */
static int from_kernel(long r)
{
	if (r >= 0)
		return (int)r;
	errno = (int)-r;
	return -1;
}

/* --- ioctl ------------------------------------------------------------------------------------------------------- */

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	long r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	/* The kernel looks at 32 bits; programs with int requests sign-extend them. */
	request = (unsigned)request;
	return shim_ioctl(fd, (unsigned)request, arg, &r) ? from_kernel(r) : get_ioctl()(fd, request, arg);
}

/* --- open ------------------------------------------------------------------------------------------------------------ */

static mode_t open_mode(int flags, va_list ap)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

static int do_open(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	if (shim_names_kvm(dirfd, path))
		return from_kernel(shim_open(flags));
	fd = dirfd == AT_FDCWD ? get_open()(path, flags, mode) : get_openat()(dirfd, path, flags, mode);
	/* A link to a device that this machine has not, or does not give. */
	if (fd < 0 && (errno == ENOENT || errno == EACCES || errno == ENXIO || errno == ENODEV) &&
	    shim_links_to_kvm(dirfd, path))
		return from_kernel(shim_open(flags));
	return fd;
}

#define DEFINE_OPEN(name, extra)                                                                                       \
	EXPORT int name(const char *path, int flags, ...);                                                             \
	EXPORT int name(const char *path, int flags, ...)                                                              \
	{                                                                                                              \
		va_list ap;                                                                                            \
		mode_t mode;                                                                                           \
                                                                                                                       \
		va_start(ap, flags);                                                                                   \
		mode = open_mode(flags, ap);                                                                           \
		va_end(ap);                                                                                            \
		return do_open(AT_FDCWD, path, flags | (extra), mode);                                                 \
	}
#define DEFINE_OPENAT(name, extra)                                                                                     \
	EXPORT int name(int dirfd, const char *path, int flags, ...);                                                  \
	EXPORT int name(int dirfd, const char *path, int flags, ...)                                                   \
	{                                                                                                              \
		va_list ap;                                                                                            \
		mode_t mode;                                                                                           \
                                                                                                                       \
		va_start(ap, flags);                                                                                   \
		mode = open_mode(flags, ap);                                                                           \
		va_end(ap);                                                                                            \
		return do_open(dirfd, path, flags | (extra), mode);                                                    \
	}

DEFINE_OPEN(open, 0)
DEFINE_OPEN(open64, O_LARGEFILE)
DEFINE_OPENAT(openat, 0)
DEFINE_OPENAT(openat64, O_LARGEFILE)

/* What _FORTIFY_SOURCE makes of open() without a mode. */
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}
EXPORT int __open64_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}
EXPORT int __openat_2(int dirfd, const char *path, int flags);
EXPORT int __openat_2(int dirfd, const char *path, int flags)
{
	return do_open(dirfd, path, flags, 0);
}
EXPORT int __openat64_2(int dirfd, const char *path, int flags);
EXPORT int __openat64_2(int dirfd, const char *path, int flags)
{
	return do_open(dirfd, path, flags | O_LARGEFILE, 0);
}

static FILE *fopen_kvm(const char *mode)
{
	int flags = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
	int fd = from_kernel(shim_open(flags | (strchr(mode, 'e') ? O_CLOEXEC : 0)));

	return fd < 0 ? NULL : fdopen(fd, mode);
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
	return shim_names_kvm(AT_FDCWD, path) ? fopen_kvm(mode) : get_fopen()(path, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
	return shim_names_kvm(AT_FDCWD, path) ? fopen_kvm(mode) : get_fopen64()(path, mode);
}

EXPORT int fclose(FILE *f)
{
	int fd = fileno(f), saved = errno;

	if (fd >= 0)
		shim_unbind(fd);
	errno = saved;
	return get_fclose()(f);
}

/* --- descriptors -------------------------------------------------------------------------------------------------------- */

static int duplicated(int old, int new)
{
	return new < 0 ? new : from_kernel(shim_duplicated(old, new));
}

EXPORT int close(int fd)
{
	shim_unbind(fd);
	return get_close()(fd);
}

EXPORT int dup(int fd)
{
	return duplicated(fd, get_dup()(fd));
}

EXPORT int dup2(int fd, int to)
{
	return duplicated(fd, get_dup2()(fd, to));
}

EXPORT int dup3(int fd, int to, int flags)
{
	return duplicated(fd, get_dup3()(fd, to, flags));
}

static int do_fcntl(int (*real)(int, int, ...), int fd, int cmd, void *arg)
{
	int r = real(fd, cmd, arg);

	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? duplicated(fd, r) : r;
}

EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return do_fcntl(get_fcntl(), fd, cmd, arg);
}

EXPORT int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return do_fcntl(get_fcntl64(), fd, cmd, arg);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	int r = get_close_range()(first, last, flags);

	if (!r && !(flags & (int)CLOSE_RANGE_CLOEXEC))
		shim_closed_range(first, last);
	return r;
}

EXPORT void closefrom(int first)
{
	shim_closed_range(first < 0 ? 0 : (unsigned)first, ~0u);
	get_closefrom()(first);
}

EXPORT int mlockall(int flags)
{
	return from_kernel(shim_mlockall(flags));
}

EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	long n;

	return shim_read(fd, buf, len, 0, false, &n) ? from_kernel(n) : get_read()(fd, buf, len);
}

EXPORT ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
	long n;

	return shim_read(fd, buf, len, offset, true, &n) ? from_kernel(n) : get_pread64()(fd, buf, len, offset);
}

EXPORT ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	return pread64(fd, buf, len, offset);
}

/* --- looking at the device --------------------------------------------------------------------------------------------------- */

EXPORT int access(const char *path, int mode)
{
	return shim_names_kvm(AT_FDCWD, path) ? from_kernel(shim_access(mode)) : get_access()(path, mode);
}

EXPORT int faccessat(int dirfd, const char *path, int mode, int flags)
{
	return shim_names_kvm(dirfd, path) ? from_kernel(shim_access(mode)) : get_faccessat()(dirfd, path, mode, flags);
}

EXPORT int euidaccess(const char *path, int mode)
{
	return shim_names_kvm(AT_FDCWD, path) ? from_kernel(shim_access(mode)) : get_euidaccess()(path, mode);
}

EXPORT int eaccess(const char *path, int mode)
{
	return euidaccess(path, mode);
}

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout on x86-64");

static int stat_kvm(struct stat64 *st)
{
	return from_kernel(shim_stat((struct stat *)st));
}

EXPORT int stat64(const char *path, struct stat64 *st)
{
	return shim_names_kvm(AT_FDCWD, path) ? stat_kvm(st) : get_stat64()(path, st);
}

EXPORT int stat(const char *path, struct stat *st)
{
	return stat64(path, (struct stat64 *)st);
}

EXPORT int lstat64(const char *path, struct stat64 *st)
{
	return shim_names_kvm(AT_FDCWD, path) ? stat_kvm(st) : get_lstat64()(path, st);
}

EXPORT int lstat(const char *path, struct stat *st)
{
	return lstat64(path, (struct stat64 *)st);
}

EXPORT int fstat64(int fd, struct stat64 *st)
{
	int r = get_fstat64()(fd, st);

	return !r && shim_is_system(fd, (struct stat *)st) ? stat_kvm(st) : r;
}

EXPORT int fstat(int fd, struct stat *st)
{
	return fstat64(fd, (struct stat64 *)st);
}

/* Does a call with these arguments look at the device, by its name or by an open descriptor? */
static bool looks_at_kvm(int dirfd, const char *path, int flags)
{
	if (path && !*path && flags & AT_EMPTY_PATH)
		return shim_is_system(dirfd, NULL);
	return shim_names_kvm(dirfd, path);
}

EXPORT int fstatat64(int dirfd, const char *path, struct stat64 *st, int flags)
{
	return looks_at_kvm(dirfd, path, flags) ? stat_kvm(st) : get_fstatat64()(dirfd, path, st, flags);
}

EXPORT int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	return fstatat64(dirfd, path, (struct stat64 *)st, flags);
}

EXPORT int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	if (looks_at_kvm(dirfd, path, flags))
		return from_kernel(shim_statx(stx));
	return get_statx()(dirfd, path, flags, mask, stx);
}
