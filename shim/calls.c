/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The calls of a KVM client, for every route. See calls.h.
 *
 * Opening the device gives a memfd as a stand-in: it can be polled, duplicated, passed through fork and closed on exec like
 * any other descriptor. A vCPU's descriptor is the memfd that holds its kvm_run, so a plain mmap of it works and needs no
 * help from here.
 *
 * A descriptor that arrives from elsewhere (exec without close-on-exec, SCM_RIGHTS, a duplicate past the calls that we see)
 * is recognised at its first KVM ioctl: by its file if an object of this process has it, else by the name of its memfd. One
 * of another process's VM or vCPU answers EIO: a VM belongs to the process that made it.
 */
#include "calls.h"
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_PREFIX "anykvm:"
#define SYSTEM_NAME NAME_PREFIX "system"
#define KVM_MINOR 232 /* of the misc device */

static struct {
	uid_t owner;
	gid_t group;
	mode_t mode;
} look = { 0, 0, 0666 }; /* each written as a whole */
static bool vcpu_made;   /* set once, by any thread */

static void sys_close(int fd)
{
	syscall(SYS_close, fd);
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

/* --- making descriptors ------------------------------------------------------------------------------------ */

/* Bind fd to a new object around the handle; on failure both are released. fd or -errno. */
static long bind_new(int fd, enum shim_kind kind, struct anykvm_handle *handle)
{
	struct shim_object *o = shim_object_new(fd, kind, handle);
	int err = -ENOMEM;

	if (!o) {
		anykvm_close(handle);
	} else {
		if (kind == SHIM_STATS)
			stats_made(o, fd);
		err = shim_bind(fd, o);
		shim_put(o); /* the descriptor's reference stays; without it the handle goes */
	}
	if (!err)
		return fd;
	sys_close(fd);
	return err;
}

static long bind_system(int fd)
{
	struct anykvm_options opts = { .size = sizeof(opts), .engine = chosen_engine() };
	struct anykvm_handle *sys;
	int err = anykvm_open(&opts, &sys);

	if (!err)
		return bind_new(fd, SHIM_SYSTEM, sys);
	sys_close(fd);
	return err;
}

/* Nothing is to be written or mapped where the kernel's descriptors have nothing either. EPERM then: better than success. */
static void seal(int fd)
{
	syscall(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

/* memfd_create(), with a word for those whose seccomp filter does not know what the library needs. */
static int stand_in(const char *name, unsigned flags)
{
	static bool said;
	int fd = memfd_create(name, flags), err = errno;

	if (fd < 0 && !said && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) > 0 && err != EMFILE && err != ENFILE &&
	    err != ENOMEM) {
		said = true;
		fprintf(stderr,
			"anykvm: memfd_create: %s: it seems that a seccomp filter forbids it. If it is the program's "
			"own: "
			"anykvm run --route inject\n",
			strerror(err));
	}
	errno = err;
	return fd;
}

long shim_open(int flags)
{
	int fd;

	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	fd = stand_in(SYSTEM_NAME, MFD_ALLOW_SEALING | (flags & O_CLOEXEC ? MFD_CLOEXEC : 0));
	if (fd < 0)
		return -errno;
	seal(fd);
	return bind_system(fd);
}

/*
 * A memfd for an object that a KVM ioctl made. Such descriptors are always close-on-exec, as the kernel's are. number: what
 * the descriptor of a vCPU is to be.
 */
static long object_fd(enum shim_kind kind, struct anykvm_handle *handle, int number)
{
	static const char *const names[] = { SYSTEM_NAME, NAME_PREFIX "vm", NAME_PREFIX "vcpu", NAME_PREFIX "stats",
					     NAME_PREFIX "device" };
	long fd;

	if (kind == SHIM_VCPU) {
		__atomic_store_n(&vcpu_made, true, __ATOMIC_RELAXED);
		fd = syscall(SYS_dup3, anykvm_map_fd(handle), number, O_CLOEXEC);
	} else {
		fd = stand_in(names[kind], MFD_CLOEXEC | MFD_ALLOW_SEALING);
	}
	if (fd < 0) {
		int err = errno;

		if (number >= 0)
			sys_close(number);
		anykvm_close(handle);
		return -err;
	}
	if (kind == SHIM_VM || kind == SHIM_DEVICE)
		seal((int)fd);
	return bind_new((int)fd, kind, handle);
}

/* --- ioctl --------------------------------------------------------------------------------------------------- */

static enum shim_kind kind_made(unsigned request)
{
	switch (request) {
	case KVM_CREATE_VM: return SHIM_VM;
	case KVM_CREATE_VCPU: return SHIM_VCPU;
	case KVM_GET_STATS_FD: return SHIM_STATS;
	default: return SHIM_DEVICE;
	}
}

static long object_ioctl(struct shim_object *o, int on, unsigned request, void *arg)
{
	struct anykvm_handle *made = NULL;
	long r, fd, number = -1;

	/* Objects of a VM belong to the process that made it; the system answers to everybody. */
	if (shim_foreign(o) && o->kind != SHIM_SYSTEM)
		return -EIO;
	/* First: a vCPU that has been made cannot be taken back, and keeps its id. */
	if (request == KVM_CREATE_VCPU && o->kind == SHIM_VM) {
		number = syscall(SYS_fcntl, on, F_DUPFD_CLOEXEC, 0);
		if (number < 0)
			return -errno;
	}
	r = anykvm_ioctl_handle(o->handle, request, arg, &made);
	if (r < 0 || !made) {
		if (number >= 0)
			sys_close((int)number);
		return r;
	}
	fd = object_fd(kind_made(request), made, (int)number);
	if (fd < 0 || request != KVM_CREATE_DEVICE)
		return fd;
	((struct kvm_create_device *)arg)->fd = (unsigned)fd;
	return r;
}

/* What is written to a private copy of the ring would not arrive; and it holds no code. */
bool shim_may_map(int fd, size_t len, int prot, int flags, off_t offset)
{
	const off_t ring = KVM_DIRTY_LOG_PAGE_OFFSET * 4096;
	struct shim_object *o;
	size_t size = 0;

	if (fd < 0 || (!(prot & PROT_EXEC) && (flags & MAP_TYPE) != MAP_PRIVATE) || offset + (off_t)len <= ring)
		return true;
	o = shim_get_checked(fd);
	if (!o)
		return true;
	if (o->kind == SHIM_VCPU)
		anykvm_map(o->handle, &size);
	shim_put(o);
	return offset >= (off_t)size || (off_t)size <= ring;
}

/* The name of the memfd behind fd, after our prefix. False: none of ours. */
static bool stand_in_name(int fd, char *name, size_t size)
{
	static const char prefix[] = "/memfd:" NAME_PREFIX;
	char link[64], target[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	if (strncmp(target, prefix, sizeof(prefix) - 1) != 0)
		return false;
	snprintf(name, size, "%.*s", (int)strcspn(target + sizeof(prefix) - 1, " "), target + sizeof(prefix) - 1);
	return true;
}

/* A KVM ioctl on a descriptor that the table does not know. 0: now it does; -EIO: another process's; else not ours. */
static long adopt(int fd)
{
	struct shim_object *o;
	struct stat st;
	char name[32];
	int err;

	if (!stand_in_name(fd, name, sizeof(name)) || syscall(SYS_fstat, fd, &st))
		return -ENOTTY;
	o = shim_find(&st);
	if (o) {
		err = shim_bind(fd, o);
		shim_put(o);
		return err;
	}
	if (strcmp(name, "system") != 0)
		return -EIO;
	return bind_system(fd) == fd ? 0 : -ENOTTY;
}

bool shim_ioctl(int fd, unsigned request, void *arg, long *result)
{
	struct shim_object *o;
	int saved = errno;

	/* Those that the kernel answers for any descriptor; what KVM does not know, each kind of object refuses its way. */
	if (request == FIOCLEX || request == FIONCLEX || request == FIONBIO || request == FIOASYNC)
		return false;
	o = _IOC_TYPE(request) == KVMIO ? shim_get(fd) : shim_get_checked(fd);
	if (!o && _IOC_TYPE(request) == KVMIO) {
		*result = adopt(fd);
		if (*result == -EIO)
			return true;
		if (!*result)
			o = shim_get(fd);
		errno = saved;
	}
	if (!o)
		return false;
	*result = object_ioctl(o, fd, request, arg);
	stats_refresh();
	shim_put(o);
	return true;
}

/* --- descriptors ----------------------------------------------------------------------------------------------- */

long shim_duplicated(int old, int new)
{
	struct shim_object *o;
	int err;

	if (new == old)
		return new;
	o = shim_get_checked(old);
	if (!o) {
		shim_unbind(new);
		return new;
	}
	err = shim_bind(new, o);
	shim_put(o);
	if (!err)
		return new;
	sys_close(new);
	return err;
}

void shim_closed_range(unsigned first, unsigned last)
{
	/* Bound by the table, not by what the caller says (closefrom and close_range go to ~0). */
	for (unsigned fd = first; fd <= last && fd < 1u << 20; fd++)
		shim_unbind((int)fd);
}

/* Statistics descriptors can be read; the others answer as the kernel's do. */
static long object_read(struct shim_object *o, int fd, void *buf, size_t len, off_t offset, bool at)
{
	off_t pos = at ? offset : lseek(fd, 0, SEEK_CUR);
	long n;

	if (o->kind != SHIM_STATS)
		return -EINVAL;
	n = anykvm_pread(o->handle, buf, len, pos);
	if (n > 0 && !at)
		lseek(fd, pos + n, SEEK_SET);
	return n;
}

bool shim_read(int fd, void *buf, size_t len, off_t offset, bool at, long *result)
{
	struct shim_object *o = shim_get_checked(fd);

	if (!o)
		return false;
	*result = object_read(o, fd, buf, len, offset, at);
	shim_put(o);
	return true;
}

long shim_mlockall(int flags)
{
	bool fill = flags & MCL_CURRENT && !(flags & MCL_ONFAULT);

	if (fill && __atomic_load_n(&vcpu_made, __ATOMIC_RELAXED)) {
		if (syscall(SYS_mlockall, flags | MCL_ONFAULT) < 0)
			return -errno;
		if (!(flags & MCL_FUTURE))
			return 0;
		flags = MCL_FUTURE; /* what is mapped from now on is filled */
	}
	return syscall(SYS_mlockall, flags) < 0 ? -errno : 0;
}

/* --- looking at the device ---------------------------------------------------------------------------------------- */

bool shim_is_system(int fd, const struct stat *st)
{
	int saved = errno;
	struct stat own;
	char name[32];
	bool r;

	if (!st)
		st = syscall(SYS_fstat, fd, &own) ? NULL : &own;
	/* A memfd is a file without a name in any folder. Few others are: all else is told by its status alone. */
	r = st && S_ISREG(st->st_mode) && !st->st_nlink && stand_in_name(fd, name, sizeof(name)) &&
	    !strcmp(name, "system");
	errno = saved;
	return r;
}

long shim_access(int mode)
{
	return mode & X_OK ? -EACCES : 0;
}

long shim_chown(uid_t owner, gid_t group)
{
	if (geteuid())
		return -EPERM;
	if (owner != (uid_t)-1)
		look.owner = owner;
	if (group != (gid_t)-1)
		look.group = group;
	return 0;
}

long shim_chmod(mode_t mode)
{
	if (geteuid())
		return -EPERM;
	look.mode = mode & 07777;
	return 0;
}

long shim_stat(struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFCHR | look.mode;
	st->st_uid = look.owner;
	st->st_gid = look.group;
	st->st_nlink = 1;
	st->st_rdev = makedev(10, KVM_MINOR);
	st->st_blksize = 4096;
	return 0;
}

long shim_statx(struct statx *stx)
{
	memset(stx, 0, sizeof(*stx));
	stx->stx_mask = STATX_BASIC_STATS;
	stx->stx_mode = (unsigned short)(S_IFCHR | look.mode);
	stx->stx_uid = look.owner;
	stx->stx_gid = look.group;
	stx->stx_nlink = 1;
	stx->stx_blksize = 4096;
	stx->stx_rdev_major = 10;
	stx->stx_rdev_minor = KVM_MINOR;
	return 0;
}
