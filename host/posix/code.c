/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory for generated code: one memfd, mapped writable and executable at different addresses. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"
#include "posix.h"

/* ANYKVM_CODE_MIB in the environment: so many MiB, if that is less. */
static size_t limited(size_t size)
{
	const char *s = getenv("ANYKVM_CODE_MIB");
	unsigned long mib;
	char *end;

	if (!s)
		return size;
	mib = strtoul(s, &end, 10);
	if (*end || end == s || !mib) {
		host_log(LOG_WARN, "ANYKVM_CODE_MIB is to be a number of MiB, at least 1, not \"%s\"", s);
		return size;
	}
	return mib < size >> 20 ? mib << 20 : size;
}

int host_code_alloc(struct host_code *c, size_t wanted)
{
	size_t size = limited(wanted);
	int fd = memfd_create("anykvm-code", MFD_CLOEXEC), err = 0;
	void *rw, *rx;

	*c = (struct host_code){ 0 };
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size)) {
		err = -errno;
		close(fd);
		return err;
	}
	rw = map_unfilled(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	rx = rw ? map_unfilled(size, PROT_READ | PROT_EXEC, MAP_SHARED, fd) : NULL;
	if (!rx) {
		err = -errno;
		if (rw)
			munmap(rw, size);
	} else {
		*c = (struct host_code){ .rw = rw, .rx = rx, .size = size };
	}
	close(fd);
	return err;
}

void host_code_free(struct host_code *c)
{
	if (!c->size)
		return;
	munmap(c->rw, c->size);
	munmap(c->rx, c->size);
	*c = (struct host_code){ 0 };
}
