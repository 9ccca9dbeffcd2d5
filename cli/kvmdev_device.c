/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The way to KVM by a device file. */
#include "kvmdev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct device_object {
	struct kvmdev dev;
	int fd;
	struct kvm_run *run; /* vCPUs: mapped at first use; otherwise NULL */
	size_t run_size;
};

static const struct kvmdev_ops device_ops;

static struct device_object *object_of(struct kvmdev *dev)
{
	return (struct device_object *)dev;
}

/* Takes the fd over, also on failure. */
static int wrap(int fd, struct kvmdev **made)
{
	struct device_object *object = calloc(1, sizeof(*object));

	if (!object) {
		close(fd);
		return -ENOMEM;
	}
	object->dev.ops = &device_ops;
	object->fd = fd;
	*made = &object->dev;
	return 0;
}

static int device_ioctl(struct kvmdev *dev, unsigned long request, void *arg)
{
	int ret = ioctl(object_of(dev)->fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static int device_make(struct kvmdev *dev, unsigned long request, unsigned long arg, struct kvmdev **made)
{
	int fd = device_ioctl(dev, request, (void *)(uintptr_t)arg);

	return fd < 0 ? fd : wrap(fd, made);
}

static int device_map(struct kvmdev *vcpu, size_t size, struct kvm_run **run)
{
	struct device_object *object = object_of(vcpu);

	if (!object->run) {
		void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, object->fd, 0);

		if (map == MAP_FAILED)
			return -errno;
		object->run = map;
		object->run_size = size;
	}
	*run = object->run;
	return 0;
}

/* The kernel sees signals by itself. */
static void device_signal_arrived(void)
{
}

static void device_close(struct kvmdev *dev)
{
	struct device_object *object = object_of(dev);

	if (object->run)
		munmap(object->run, object->run_size);
	close(object->fd);
	free(object);
}

static const struct kvmdev_ops device_ops = {
	.ioctl = device_ioctl,
	.make = device_make,
	.map = device_map,
	.signal_arrived = device_signal_arrived,
	.close = device_close,
};

int kvmdev_open_device(const char *path, struct kvmdev **sys)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : wrap(fd, sys);
}
