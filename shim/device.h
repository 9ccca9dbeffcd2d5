/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* device.h - which paths lead to /dev/kvm. */
#ifndef SHIM_DEVICE_H
#define SHIM_DEVICE_H

#include <stdbool.h>

#define KVM_DEVICE "/dev/kvm"

/*
 * Is path (from dirfd, as for openat) the name kvm in the folder /dev, in any spelling? The node need not exist. A path whose
 * last component is not "kvm" costs no system call. Keeps errno.
 */
bool shim_names_kvm(int dirfd, const char *path);

/* Is path a symbolic link, or a chain of them, that leads to such a name? One system call if it is no link. Keeps errno. */
bool shim_links_to_kvm(int dirfd, const char *path);

#endif /* SHIM_DEVICE_H */
