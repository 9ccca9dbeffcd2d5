/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The device target: a KVM device file, plain system calls. */
#include "kvm_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int object_fd(void *object)
{
	return (int)(intptr_t)object;
}

static int device_open(const char *path, void **object)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*object = (void *)(intptr_t)fd;
	return 0;
}

static int device_ioctl(void *object, unsigned long request, void *arg)
{
	int ret = ioctl(object_fd(object), request, arg);

	return ret < 0 ? -errno : ret;
}

static int device_make(void *object, unsigned long request, void *arg, void **made)
{
	int ret = device_ioctl(object, request, arg);

	if (ret < 0)
		return ret;
	/* KVM_CREATE_DEVICE returns its fd inside the argument. */
	if (request == KVM_CREATE_DEVICE)
		ret = (int)((struct kvm_create_device *)arg)->fd;
	*made = (void *)(intptr_t)ret;
	return 0;
}

static void *device_map(void *object, size_t size, size_t offset)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, object_fd(object), (off_t)offset);

	return map == MAP_FAILED ? NULL : map;
}

static void device_unmap(void *map, size_t size)
{
	munmap(map, size);
}

static long device_pread(void *object, void *buf, size_t len, long long offset)
{
	ssize_t ret = pread(object_fd(object), buf, len, offset);

	return ret < 0 ? -errno : ret;
}

static void device_close(void *object)
{
	close(object_fd(object));
}

const struct kt_target kt_device_target = {
	.name = "device",
	.open = device_open,
	.ioctl = device_ioctl,
	.make = device_make,
	.map = device_map,
	.unmap = device_unmap,
	.pread = device_pread,
	.close = device_close,
	.has_fds = true,
};
