/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * kvm_target.h - one KVM ABI, several ways in: the tests are written once against this.
 *
 * A target is chosen once, before the first test: libanykvm's handles, or a device file. Every
 * function returns a value >= 0 or a negative errno, as libanykvm does, whatever the target.
 *
 * Ownership: an object lives until kt_close() or kt_close_all(). Functions may be called from any
 * thread, kt_close_all() only when no other thread uses the objects.
 */
#ifndef TESTS_KVM_TARGET_H
#define TESTS_KVM_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/kvm.h>

/* One object of the ABI: the system, a VM, a vCPU, a device, a statistics reader. */
struct kt;

/* The way in. All hooks work on the target's own pointer, kept in struct kt. */
struct kt_target {
	const char *name;
	int (*open)(const char *path, void **object);
	int (*ioctl)(void *object, unsigned long request, void *arg);
	/* For requests that make an object. *made is set only on success (0). */
	int (*make)(void *object, unsigned long request, void *arg, void **made);
	void *(*map)(void *object, size_t size, size_t offset);
	void (*unmap)(void *map, size_t size);
	long (*pread)(void *object, void *buf, size_t len, long long offset);
	void (*close)(void *object);
	bool has_fds; /* objects are file descriptors (kt_fd() works) */
};

extern const struct kt_target kt_device_target;
extern const struct kt_target kt_library_target; /* only in programs that link libanykvm */

/* path: the device for kt_device_target, an engine's name or NULL for kt_library_target. */
void kt_select(const struct kt_target *target, const char *path);
const char *kt_target_name(void);
bool kt_has_fds(void);

/* A new system object (the open of /dev/kvm). */
int kt_open(struct kt **sys);

/* An ioctl that makes no object; an integer argument is cast to a pointer. */
int kt_ioctl(struct kt *object, unsigned long request, void *arg);
int kt_ioctl_int(struct kt *object, unsigned long request, unsigned long arg);

/* KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_CREATE_DEVICE, KVM_GET_STATS_FD. */
int kt_make(struct kt *object, unsigned long request, void *arg, struct kt **made);

/* The memory a vCPU shares with user space; size as of KVM_GET_VCPU_MMAP_SIZE. NULL: error. */
void *kt_map(struct kt *vcpu, size_t size);
/* Other memory of a vCPU, at an offset of it, mapped until the test's process ends. NULL: error. */
void *kt_map_at(struct kt *vcpu, size_t offset, size_t size);

long kt_pread(struct kt *object, void *buf, size_t len, long long offset);

/* The file descriptor, or -1 where the target has none. */
int kt_fd(struct kt *object);

void kt_close(struct kt *object);
void kt_close_all(void);

#endif /* TESTS_KVM_TARGET_H */
