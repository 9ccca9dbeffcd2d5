/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Spellings of /dev/kvm. See device.h. System calls are made past libc's names, which may be interposed. */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_LINKS 8

/* The length of path's folder part, with its slash; 0: none. */
static size_t folder_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

static bool is_dev(int dirfd, const char *folder)
{
	struct stat a, b;

	return !syscall(SYS_newfstatat, dirfd, folder, &a, 0) && !syscall(SYS_newfstatat, AT_FDCWD, "/dev", &b, 0) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool shim_names_kvm(int dirfd, const char *path)
{
	char folder[PATH_MAX];
	size_t length;
	int saved = errno;
	bool r;

	if (!path)
		return false;
	if (!strcmp(path, KVM_DEVICE))
		return true;
	length = folder_length(path);
	if (strcmp(path + length, "kvm") != 0 || length >= sizeof(folder))
		return false;
	snprintf(folder, sizeof(folder), "%.*s", (int)length, length ? path : ".");
	r = is_dev(dirfd, length ? folder : ".");
	errno = saved;
	return r;
}

bool shim_links_to_kvm(int dirfd, const char *path)
{
	char from[PATH_MAX], target[PATH_MAX], next[PATH_MAX];
	int saved = errno;
	bool found = false;

	if (!path || (size_t)snprintf(from, sizeof(from), "%s", path) >= sizeof(from))
		return false;
	for (int i = 0; i < MAX_LINKS && !found; i++) {
		long n = syscall(SYS_readlinkat, dirfd, from, target, sizeof(target) - 1);
		size_t folder = folder_length(from);

		if (n <= 0)
			break;
		target[n] = 0;
		if (target[0] == '/')
			folder = 0;
		if ((size_t)snprintf(next, sizeof(next), "%.*s%s", (int)folder, from, target) >= sizeof(next))
			break;
		memcpy(from, next, sizeof(from));
		found = shim_names_kvm(dirfd, from);
	}
	errno = saved;
	return found;
}
