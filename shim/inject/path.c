/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Caught calls that name a file: /dev/kvm, and /proc/self/exe, which is not the program's own file here. */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "../calls.h"
#include "../device.h"
#include "host.h"

#define PAGE 4096ull

char program_path[PATH_MAX];

long read_string(char *to, u64 from, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t n = PAGE - (from + done) % PAGE, length;

		if (n > size - done)
			n = size - done;
		if (host_copy_from_user(to + done, (void *)(from + done), n) < 0)
			return -EFAULT;
		length = strnlen(to + done, n);
		done += length;
		if (length < n)
			return (long)done;
	}
	return -ENAMETOOLONG;
}

static bool digits_only(const char *s, size_t n)
{
	return n && strspn(s, "0123456789") == n;
}

/* /proc/self/exe and its like for this process. */
bool names_exe(const char *path)
{
	size_t n;

	if (strncmp(path, "/proc/", 6) != 0)
		return false;
	path += 6;
	n = strcspn(path, "/");
	if (strcmp(path + n, "/exe") != 0)
		return false;
	return (n == 4 && !memcmp(path, "self", 4)) || (n == 11 && !memcmp(path, "thread-self", 11)) ||
	       (digits_only(path, n) && atoi(path) == getpid());
}

/* The number of the argument that is the path; the folder descriptor is the one before it. */
static int path_argument(long nr)
{
	switch (nr) {
	case SYS_openat:
	case SYS_openat2:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_faccessat:
	case SYS_faccessat2:
	case SYS_readlinkat: return 1;
	default: return 0;
	}
}

/* False: the kernel will say what is wrong with it. */
static bool get_path(struct trap *t, char path[PATH_MAX], int *dirfd)
{
	int n = path_argument(t->nr);

	*dirfd = n ? (int)t->arg[0] : AT_FDCWD;
	return t->arg[n] && read_string(path, t->arg[n], PATH_MAX) >= 0;
}

/* The call with the program's file for path. It may be out of reach of the program's present root folder. */
static void pass_exe(struct trap *t)
{
	char link[32];
	u64 *path = &t->arg[path_argument(t->nr)];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", own_fd[OWN_PROGRAM]);
	*path = (u64)(own_fd[OWN_PROGRAM] >= 0 ? link : program_path);
	trap_pass(t);
}

static int open_flags(const struct trap *t)
{
	struct open_how how;

	switch (t->nr) {
	case SYS_open: return (int)t->arg[1];
	case SYS_openat: return (int)t->arg[2];
	case SYS_creat: return O_CREAT | O_WRONLY | O_TRUNC;
	default: return host_copy_from_user(&how, (void *)t->arg[2], sizeof(how)) < 0 ? 0 : (int)how.flags;
	}
}

void trap_open(struct trap *t)
{
	char path[PATH_MAX];
	int dirfd;

	if (get_path(t, path, &dirfd)) {
		if (shim_names_kvm(dirfd, path) || shim_links_to_kvm(dirfd, path)) {
			t->result = shim_open(open_flags(t));
			return;
		}
		if (names_exe(path)) {
			pass_exe(t);
			return;
		}
	}
	trap_rerun(t);
}

static long look(const struct trap *t)
{
	struct statx stx;
	struct stat st;
	bool extended = t->nr == SYS_statx;
	void *to;

	switch (t->nr) {
	case SYS_access: return shim_access((int)t->arg[1]);
	case SYS_faccessat:
	case SYS_faccessat2: return shim_access((int)t->arg[2]);
	case SYS_statx: to = (void *)t->arg[4]; break;
	case SYS_newfstatat: to = (void *)t->arg[2]; break;
	default: to = (void *)t->arg[1]; break;
	}
	if (extended)
		shim_statx(&stx);
	else
		shim_stat(&st);
	return host_copy_to_user(to, extended ? (void *)&stx : (void *)&st, extended ? sizeof(stx) : sizeof(st));
}

/* Does the call look at an open descriptor of the device? */
static bool looks_at_descriptor(const struct trap *t, const char *path)
{
	u64 flags = t->nr == SYS_statx ? t->arg[2] : t->arg[3];

	if (t->nr == SYS_fstat)
		return shim_is_system((int)t->arg[0], NULL);
	return (t->nr == SYS_newfstatat || t->nr == SYS_statx) && !*path && (flags & AT_EMPTY_PATH) &&
	       shim_is_system((int)t->arg[0], NULL);
}

void trap_look(struct trap *t)
{
	char path[PATH_MAX] = "";
	int dirfd = AT_FDCWD;

	if (t->nr == SYS_fstat || get_path(t, path, &dirfd)) {
		if (looks_at_descriptor(t, path) || (*path && shim_names_kvm(dirfd, path))) {
			t->result = look(t);
			return;
		}
		if (names_exe(path) && t->nr != SYS_lstat) {
			pass_exe(t);
			return;
		}
	}
	trap_pass(t);
}

void trap_readlink(struct trap *t)
{
	char path[PATH_MAX];
	int dirfd, n = path_argument(t->nr);
	size_t length = strlen(program_path);

	if (!get_path(t, path, &dirfd) || !names_exe(path)) {
		trap_pass(t);
		return;
	}
	if ((long)t->arg[n + 2] <= 0) {
		t->result = -EINVAL;
		return;
	}
	if (length > t->arg[n + 2])
		length = t->arg[n + 2];
	t->result = host_copy_to_user((void *)t->arg[n + 1], program_path, length) < 0 ? -EFAULT : (long)length;
}
