/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Sparse address space for tables of the translator. */
#include <sys/auxv.h>
#include <sys/mman.h>

#include "host.h"
#include "posix.h"

void *host_reserve(size_t size)
{
	void *p = map_unfilled(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	if (!p)
		return NULL;
	/* A huge page for each few entries would cost two megabytes of zeroing at every first touch. */
	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

void host_unreserve(void *p, size_t size)
{
	munmap(p, size);
}

bool host_user_gs_base(void)
{
	return getauxval(AT_HWCAP2) & 2; /* HWCAP2_FSGSBASE */
}
