/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The library target: libanykvm's handles. */
#include "kvm_target.h"

#include <errno.h>
#include <string.h>

#include "../../include/anykvm.h"

static int library_open(const char *engine, void **object)
{
	struct anykvm_options options = { .size = sizeof(options) };
	struct anykvm_handle *sys;
	int ret;

	if (engine && !strcmp(engine, "interpreter"))
		options.engine = ANYKVM_ENGINE_INTERPRETER;
	else if (engine && !strcmp(engine, "translator"))
		options.engine = ANYKVM_ENGINE_TRANSLATOR;
	else if (engine && !strcmp(engine, "lockstep"))
		options.engine = ANYKVM_ENGINE_LOCKSTEP;
	else if (engine)
		return -EINVAL;
	ret = anykvm_open(&options, &sys);
	if (ret < 0)
		return ret;
	*object = sys;
	return 0;
}

static int library_ioctl(void *object, unsigned long request, void *arg)
{
	return anykvm_ioctl(object, request, arg);
}

static int library_make(void *object, unsigned long request, void *arg, void **made)
{
	struct anykvm_handle *handle = NULL;
	int ret = anykvm_ioctl_handle(object, request, arg, &handle);

	*made = handle;
	return ret;
}

static void *library_map(void *object, size_t size, size_t offset)
{
	size_t have = 0;
	char *map = anykvm_map(object, &have);

	return have >= offset + size ? map + offset : NULL;
}

static void library_unmap(void *map, size_t size)
{
	/* The map is the handle's own. */
	(void)map;
	(void)size;
}

static long library_pread(void *object, void *buf, size_t len, long long offset)
{
	return anykvm_pread(object, buf, len, offset);
}

static void library_close(void *object)
{
	anykvm_close(object);
}

const struct kt_target kt_library_target = {
	.name = "library",
	.open = library_open,
	.ioctl = library_ioctl,
	.make = library_make,
	.map = library_map,
	.unmap = library_unmap,
	.pread = library_pread,
	.close = library_close,
	.has_fds = false,
};
