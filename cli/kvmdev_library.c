/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The way to KVM by libanykvm. */
#include "kvmdev.h"

#include <errno.h>
#include <stdlib.h>

struct library_object {
	struct kvmdev dev;
	struct anykvm_handle *handle;
};

static const struct kvmdev_ops library_ops;

static struct anykvm_handle *handle_of(struct kvmdev *dev)
{
	return ((struct library_object *)dev)->handle;
}

/* Takes the handle over, also on failure. */
static int wrap(struct anykvm_handle *handle, struct kvmdev **made)
{
	struct library_object *object = malloc(sizeof(*object));

	if (!object) {
		anykvm_close(handle);
		return -ENOMEM;
	}
	object->dev.ops = &library_ops;
	object->handle = handle;
	*made = &object->dev;
	return 0;
}

static int library_ioctl(struct kvmdev *dev, unsigned long request, void *arg)
{
	return anykvm_ioctl(handle_of(dev), request, arg);
}

static int library_make(struct kvmdev *dev, unsigned long request, unsigned long arg, struct kvmdev **made)
{
	struct anykvm_handle *handle;
	int err;

	err = anykvm_ioctl_handle(handle_of(dev), request, (void *)(uintptr_t)arg, &handle);
	return err < 0 ? err : wrap(handle, made);
}

static int library_map(struct kvmdev *vcpu, size_t size, struct kvm_run **run)
{
	size_t have;

	*run = anykvm_map(handle_of(vcpu), &have);
	return *run && have >= size ? 0 : -EINVAL;
}

static void library_close(struct kvmdev *dev)
{
	anykvm_close(handle_of(dev));
	free(dev);
}

static const struct kvmdev_ops library_ops = {
	.ioctl = library_ioctl,
	.make = library_make,
	.map = library_map,
	.signal_arrived = anykvm_signal_arrived,
	.close = library_close,
};

int kvmdev_open_library(enum anykvm_engine engine, struct kvmdev **sys)
{
	const struct anykvm_options options = { .size = sizeof(options), .engine = engine };
	struct anykvm_handle *handle;
	int err = anykvm_open(&options, &handle);

	return err < 0 ? err : wrap(handle, sys);
}
