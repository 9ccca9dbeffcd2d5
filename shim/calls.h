/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * calls.h - /dev/kvm as system calls see it, whatever way they come in (preload.c, inject/).
 *
 * Results are those of the kernel: a value >= 0, or -errno. Own descriptors are handled by system calls, past libc's names,
 * which may be interposed.
 */
#ifndef SHIM_CALLS_H
#define SHIM_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include "fdtable.h"

/* open("/dev/kvm", flags). */
long shim_open(int flags);

/* ioctl(). False: fd is not ours, *result is untouched. An ioctl that any descriptor answers (FIOCLEX ...) is not ours. */
bool shim_ioctl(int fd, unsigned request, void *arg, long *result);

/* new (>= 0) has become a duplicate of old: it names the same object. Gives new, or -errno with new closed. */
long shim_duplicated(int old, int new);
/* The descriptors first..last have been closed. */
void shim_closed_range(unsigned first, unsigned last);

/* read() at the descriptor's position, or pread() (at). False: fd is not ours. */
bool shim_read(int fd, void *buf, size_t len, off_t offset, bool at, long *result);

/* May mmap() of fd with these arguments go on? False: EINVAL, as the kernel has it for a vCPU's dirty ring. */
bool shim_may_map(int fd, size_t len, int prot, int flags, off_t offset);

/*
 * mlockall(). The tables of a vCPU are terabytes of address space that must not be filled: once there is one, what is mapped
 * is locked as it is touched (MCL_ONFAULT).
 */
long shim_mlockall(int flags);

/* What the device looks like: a character device 10:232, at first root's, readable and writable by everybody. */
long shim_access(int mode);
long shim_stat(struct stat *st);
long shim_statx(struct statx *stx);
/* Change that look, for this process. -EPERM without privileges. */
long shim_chown(uid_t owner, gid_t group);
long shim_chmod(mode_t mode);
/* Is fd, of which the kernel says st (NULL: ask it), a descriptor of /dev/kvm itself, made here or arrived from elsewhere? */
bool shim_is_system(int fd, const struct stat *st);

#endif /* SHIM_CALLS_H */
