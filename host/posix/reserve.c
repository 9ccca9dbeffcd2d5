/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory of the translator that is not just memory: sparse tables, stacks that end by a fault. */
#include <sys/auxv.h>
#include <sys/mman.h>

#include "host.h"
#include "posix.h"

#define HOST_PAGE 4096u

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

u8 *host_stack_alloc(size_t size)
{
	u8 *p = mmap(NULL, size + HOST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		     0);

	if (p == MAP_FAILED)
		return NULL;
	if (mprotect(p, HOST_PAGE, PROT_NONE)) {
		munmap(p, size + HOST_PAGE);
		return NULL;
	}
	return p + HOST_PAGE;
}

void host_stack_free(u8 *stack, size_t size)
{
	if (stack)
		munmap(stack - HOST_PAGE, size + HOST_PAGE);
}

bool host_user_gs_base(void)
{
	return getauxval(AT_HWCAP2) & 2; /* HWCAP2_FSGSBASE */
}
