/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * preload.c - /dev/kvm for a dynamically linked program that knows nothing of us (LD_PRELOAD).
 *
 * Opening the device gives a memfd as a stand-in: it can be polled, duplicated, passed through fork and closed on exec like
 * any other descriptor. A vCPU's descriptor is the memfd that holds its kvm_run, so a plain mmap of it works and needs no
 * help from here. ioctl() on such descriptors goes to the library; every call on other descriptors goes to libc.
 *
 * A descriptor of the system that arrives from elsewhere (exec without close-on-exec, SCM_RIGHTS) is recognised by the name
 * of its memfd at its first KVM ioctl.
 */
#include "fdtable.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define KVM_DEVICE "/dev/kvm"
#define SYSTEM_NAME "anykvm:system"
#define KVM_MINOR 232 /* of the misc device */

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

static bool is_kvm(const char *path)
{
	return path && !strcmp(path, KVM_DEVICE);
}

static void count_fork(void)
{
	shim_count_fork();
}

static __attribute__((constructor)) void start(void)
{
	shim_start();
	pthread_atfork(NULL, NULL, count_fork);
}

/* --- making descriptors ---------------------------------------------------------------------------------------- */

static int fail(int err)
{
	errno = err;
	return -1;
}

static enum anykvm_engine chosen_engine(void)
{
	const char *name = getenv("ANYKVM_ENGINE");

	if (name && !strcmp(name, "interpreter"))
		return ANYKVM_ENGINE_INTERPRETER;
	if (name && !strcmp(name, "translator"))
		return ANYKVM_ENGINE_TRANSLATOR;
	if (name && !strcmp(name, "lockstep"))
		return ANYKVM_ENGINE_LOCKSTEP;
	if (name && *name && strcmp(name, "auto"))
		fprintf(stderr,
			"anykvm: ANYKVM_ENGINE=%s: the engines are auto, interpreter, translator and lockstep; auto is "
			"used\n",
			name);
	return ANYKVM_ENGINE_AUTO;
}

/* Bind fd to a new object around the handle; on failure both are released. fd or -1. */
static int bind_new(int fd, enum shim_kind kind, struct anykvm_handle *handle)
{
	struct shim_object *o = shim_object_new(kind, handle);
	int err;

	if (!o) {
		anykvm_close(handle);
		get_close()(fd);
		return fail(ENOMEM);
	}
	err = shim_bind(fd, o);
	shim_put(o); /* the descriptor's reference stays; without it the handle goes */
	if (err) {
		get_close()(fd);
		return fail(-err);
	}
	return fd;
}

static int bind_system(int fd)
{
	struct anykvm_options opts = { .size = sizeof(opts), .engine = chosen_engine() };
	struct anykvm_handle *sys;
	int err = anykvm_open(&opts, &sys);

	if (err) {
		get_close()(fd);
		return fail(-err);
	}
	return bind_new(fd, SHIM_SYSTEM, sys);
}

static int open_kvm(int flags)
{
	int fd;

	if (flags & O_DIRECTORY)
		return fail(ENOTDIR);
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return fail(EEXIST);
	fd = memfd_create(SYSTEM_NAME, flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
	return fd < 0 ? fd : bind_system(fd);
}

/* A memfd for an object that a KVM ioctl made. Such descriptors are always close-on-exec, as the kernel's are. */
static int object_fd(enum shim_kind kind, struct anykvm_handle *handle)
{
	static const char *const names[] = { SYSTEM_NAME, "anykvm:vm", "anykvm:vcpu", "anykvm:stats", "anykvm:device" };
	int fd;

	if (kind == SHIM_VCPU)
		fd = get_fcntl()(anykvm_map_fd(handle), F_DUPFD_CLOEXEC, 0);
	else
		fd = memfd_create(names[kind], MFD_CLOEXEC);
	if (fd < 0) {
		int err = errno;

		anykvm_close(handle);
		return fail(err);
	}
	return bind_new(fd, kind, handle);
}

/* --- ioctl -------------------------------------------------------------------------------------------------------- */

static enum shim_kind kind_made(unsigned long request)
{
	switch (request) {
	case KVM_CREATE_VM: return SHIM_VM;
	case KVM_CREATE_VCPU: return SHIM_VCPU;
	case KVM_GET_STATS_FD: return SHIM_STATS;
	default: return SHIM_DEVICE;
	}
}

static int object_ioctl(struct shim_object *o, unsigned long request, void *arg)
{
	struct anykvm_handle *made = NULL;
	int r;

	/* Objects of a VM belong to the process that made it; the system answers to everybody. */
	if (shim_foreign(o) && o->kind != SHIM_SYSTEM)
		return fail(EIO);
	r = anykvm_ioctl_handle(o->handle, request, arg, &made);
	if (r < 0)
		return fail(-r);
	if (!made)
		return r;
	if (request == KVM_CREATE_DEVICE) {
		struct kvm_create_device *cd = arg;
		int fd = object_fd(SHIM_DEVICE, made);

		if (fd < 0)
			return -1;
		cd->fd = (unsigned)fd;
		return r;
	}
	return object_fd(kind_made(request), made);
}

/* A KVM ioctl on a descriptor we do not know: a stand-in of the system that came from another process? */
static bool adopt(int fd)
{
	char link[64], target[64];
	ssize_t n;
	int err = errno;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target) - 1);
	errno = err;
	if (n < 0)
		return false;
	target[n] = 0;
	return !strncmp(target, "/memfd:" SYSTEM_NAME, strlen("/memfd:" SYSTEM_NAME)) && bind_system(fd) == fd;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct shim_object *o;
	va_list ap;
	void *arg;
	int r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	/* The kernel looks at 32 bits; programs with int requests sign-extend them. */
	request = (unsigned)request;
	o = shim_get(fd);
	if (!o && _IOC_TYPE(request) == KVMIO && adopt(fd))
		o = shim_get(fd);
	if (!o)
		return get_ioctl()(fd, request, arg);
	/* Those that the kernel answers for any descriptor; what KVM does not know, each kind of object refuses its way. */
	if (request == FIOCLEX || request == FIONCLEX || request == FIONBIO || request == FIOASYNC)
		r = get_ioctl()(fd, request, arg);
	else
		r = object_ioctl(o, request, arg);
	shim_put(o);
	return r;
}

/* --- open ------------------------------------------------------------------------------------------------------------ */

static mode_t open_mode(int flags, va_list ap)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

static int do_open(int dirfd, const char *path, int flags, mode_t mode)
{
	if (is_kvm(path))
		return open_kvm(flags);
	return dirfd == AT_FDCWD ? get_open()(path, flags, mode) : get_openat()(dirfd, path, flags, mode);
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

/* --- descriptors -------------------------------------------------------------------------------------------------------- */

/* new is a duplicate of old: it names the same object. */
static int duplicated(int old, int new)
{
	struct shim_object *o;
	int err;

	if (new < 0 || new == old)
		return new;
	o = shim_get(old);
	if (!o) {
		shim_unbind(new);
		return new;
	}
	err = shim_bind(new, o);
	shim_put(o);
	if (!err)
		return new;
	get_close()(new);
	return fail(-err);
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

static void forget_range(unsigned first, unsigned last)
{
	/* Bound by the table, not by what the caller says (closefrom and close_range go to ~0). */
	for (unsigned fd = first; fd <= last && fd < 1u << 20; fd++)
		shim_unbind((int)fd);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	int r = get_close_range()(first, last, flags);

	if (!r && !(flags & (int)CLOSE_RANGE_CLOEXEC))
		forget_range(first, last);
	return r;
}

EXPORT void closefrom(int first)
{
	forget_range(first < 0 ? 0 : (unsigned)first, ~0u);
	get_closefrom()(first);
}

/* Statistics descriptors can be read; the others answer as the kernel's do. */
static ssize_t object_read(struct shim_object *o, int fd, void *buf, size_t len, off64_t offset, bool at)
{
	off64_t pos = at ? offset : lseek64(fd, 0, SEEK_CUR);
	long n;

	if (o->kind != SHIM_STATS)
		return fail(EINVAL);
	n = anykvm_pread(o->handle, buf, len, pos);
	if (n < 0)
		return fail((int)-n);
	if (!at)
		lseek64(fd, pos + n, SEEK_SET);
	return n;
}

EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	struct shim_object *o = shim_get(fd);
	ssize_t n;

	if (!o)
		return get_read()(fd, buf, len);
	n = object_read(o, fd, buf, len, 0, false);
	shim_put(o);
	return n;
}

EXPORT ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
	struct shim_object *o = shim_get(fd);
	ssize_t n;

	if (!o)
		return get_pread64()(fd, buf, len, offset);
	n = object_read(o, fd, buf, len, offset, true);
	shim_put(o);
	return n;
}

EXPORT ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	return pread64(fd, buf, len, offset);
}

/* --- looking at the device --------------------------------------------------------------------------------------------------- */

EXPORT int access(const char *path, int mode)
{
	if (is_kvm(path))
		return mode & X_OK ? fail(EACCES) : 0;
	return get_access()(path, mode);
}

EXPORT int faccessat(int dirfd, const char *path, int mode, int flags)
{
	if (is_kvm(path))
		return mode & X_OK ? fail(EACCES) : 0;
	return get_faccessat()(dirfd, path, mode, flags);
}

EXPORT int euidaccess(const char *path, int mode)
{
	if (is_kvm(path))
		return mode & X_OK ? fail(EACCES) : 0;
	return get_euidaccess()(path, mode);
}

EXPORT int eaccess(const char *path, int mode)
{
	return euidaccess(path, mode);
}

/* The character device 10:232, readable and writable by everybody. */
static int stat_kvm(struct stat64 *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFCHR | 0666;
	st->st_nlink = 1;
	st->st_rdev = makedev(10, KVM_MINOR);
	st->st_blksize = 4096;
	return 0;
}

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout on x86-64");

EXPORT int stat64(const char *path, struct stat64 *st)
{
	return is_kvm(path) ? stat_kvm(st) : get_stat64()(path, st);
}

EXPORT int stat(const char *path, struct stat *st)
{
	return stat64(path, (struct stat64 *)st);
}

EXPORT int lstat64(const char *path, struct stat64 *st)
{
	return is_kvm(path) ? stat_kvm(st) : get_lstat64()(path, st);
}

EXPORT int lstat(const char *path, struct stat *st)
{
	return lstat64(path, (struct stat64 *)st);
}

EXPORT int fstat64(int fd, struct stat64 *st)
{
	struct shim_object *o = shim_get(fd);
	bool system = o && o->kind == SHIM_SYSTEM;

	if (o)
		shim_put(o);
	return system ? stat_kvm(st) : get_fstat64()(fd, st);
}

EXPORT int fstat(int fd, struct stat *st)
{
	return fstat64(fd, (struct stat64 *)st);
}

EXPORT int fstatat64(int dirfd, const char *path, struct stat64 *st, int flags)
{
	return is_kvm(path) ? stat_kvm(st) : get_fstatat64()(dirfd, path, st, flags);
}

EXPORT int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	return fstatat64(dirfd, path, (struct stat64 *)st, flags);
}

EXPORT int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	if (!is_kvm(path))
		return get_statx()(dirfd, path, flags, mask, stx);
	memset(stx, 0, sizeof(*stx));
	stx->stx_mask = STATX_BASIC_STATS;
	stx->stx_mode = S_IFCHR | 0666;
	stx->stx_nlink = 1;
	stx->stx_blksize = 4096;
	stx->stx_rdev_major = 10;
	stx->stx_rdev_minor = KVM_MINOR;
	return 0;
}
