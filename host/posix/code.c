/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory for generated code: one memfd, mapped writable and executable at different addresses. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"

int host_code_alloc(struct host_code *c, size_t size)
{
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
	rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	rx = rw == MAP_FAILED ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (rx == MAP_FAILED) {
		err = -errno;
		if (rw != MAP_FAILED)
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
