/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a privileged program may want of the node /dev/kvm itself, where there may be none: owner, mode, attributes. libvirtd does
 * so for each machine that it starts. The node is not a file: what is set is remembered by this process, and holds for nobody.
 */
#include "calls.h"
#include "device.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static int from_kernel(long r)
{
	if (r >= 0)
		return (int)r;
	errno = (int)-r;
	return -1;
}

static bool is_node(const char *path)
{
	return shim_names_kvm(AT_FDCWD, path);
}

EXPORT int chown(const char *path, uid_t owner, gid_t group)
{
	return is_node(path) ? from_kernel(shim_chown(owner, group)) : REAL(chown)(path, owner, group);
}

EXPORT int lchown(const char *path, uid_t owner, gid_t group)
{
	return is_node(path) ? from_kernel(shim_chown(owner, group)) : REAL(lchown)(path, owner, group);
}

EXPORT int fchownat(int dirfd, const char *path, uid_t owner, gid_t group, int flags)
{
	if (shim_names_kvm(dirfd, path))
		return from_kernel(shim_chown(owner, group));
	return REAL(fchownat)(dirfd, path, owner, group, flags);
}

EXPORT int chmod(const char *path, mode_t mode)
{
	return is_node(path) ? from_kernel(shim_chmod(mode)) : REAL(chmod)(path, mode);
}

EXPORT int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	return shim_names_kvm(dirfd, path) ? from_kernel(shim_chmod(mode)) : REAL(fchmodat)(dirfd, path, mode, flags);
}

EXPORT int mknod(const char *path, mode_t mode, dev_t dev)
{
	return is_node(path) ? from_kernel(-EEXIST) : REAL(mknod)(path, mode, dev);
}

EXPORT int mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)
{
	return shim_names_kvm(dirfd, path) ? from_kernel(-EEXIST) : REAL(mknodat)(dirfd, path, mode, dev);
}

/* Extended attributes, access lists among them: as in a file system that has none. */
EXPORT ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
	return is_node(path) ? from_kernel(-ENOTSUP) : REAL(getxattr)(path, name, value, size);
}

EXPORT ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	return is_node(path) ? from_kernel(-ENOTSUP) : REAL(lgetxattr)(path, name, value, size);
}

EXPORT int setxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
	return is_node(path) ? from_kernel(-ENOTSUP) : REAL(setxattr)(path, name, value, size, flags);
}

EXPORT int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
	return is_node(path) ? from_kernel(-ENOTSUP) : REAL(lsetxattr)(path, name, value, size, flags);
}

EXPORT ssize_t listxattr(const char *path, char *list, size_t size)
{
	return is_node(path) ? from_kernel(-ENOTSUP) : REAL(listxattr)(path, list, size);
}

EXPORT ssize_t llistxattr(const char *path, char *list, size_t size)
{
	return is_node(path) ? from_kernel(-ENOTSUP) : REAL(llistxattr)(path, list, size);
}
