/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * kvmdev.h - the way to KVM: one object (system, VM or vCPU) of libanykvm or of a real device.
 *
 * All else in this directory is the same for both, so that they can be compared. Functions that
 * return int give a value >= 0 or a negative errno. Every function may be called from any thread;
 * an object is closed after its last use, in any order relative to the others.
 */
#ifndef CLI_KVMDEV_H
#define CLI_KVMDEV_H

#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>

#include "anykvm.h"

struct kvmdev;

struct kvmdev_ops {
	int (*ioctl)(struct kvmdev *dev, unsigned long request, void *arg);
	/* KVM_CREATE_VM and KVM_CREATE_VCPU. */
	int (*make)(struct kvmdev *dev, unsigned long request, unsigned long arg, struct kvmdev **made);
	/* The shared memory of a vCPU, struct kvm_run first. It goes with the object. */
	int (*map)(struct kvmdev *vcpu, size_t size, struct kvm_run **run);
	/* Called in the handler of the signal that kicks a vCPU, on that vCPU's thread. */
	void (*signal_arrived)(void);
	void (*close)(struct kvmdev *dev);
};

/* Embedded first in each back end's own structure. */
struct kvmdev {
	const struct kvmdev_ops *ops;
};

int kvmdev_open_library(enum anykvm_engine engine, struct kvmdev **sys);
int kvmdev_open_device(const char *path, struct kvmdev **sys);

static inline int kvmdev_ioctl(struct kvmdev *dev, unsigned long request, void *arg)
{
	return dev->ops->ioctl(dev, request, arg);
}

/* For the requests whose argument is a number. */
static inline int kvmdev_ioctl_number(struct kvmdev *dev, unsigned long request, unsigned long arg)
{
	return dev->ops->ioctl(dev, request, (void *)(uintptr_t)arg);
}

static inline int kvmdev_make(struct kvmdev *dev, unsigned long request, unsigned long arg, struct kvmdev **made)
{
	return dev->ops->make(dev, request, arg, made);
}

static inline void kvmdev_close(struct kvmdev *dev)
{
	if (dev)
		dev->ops->close(dev);
}

#endif
