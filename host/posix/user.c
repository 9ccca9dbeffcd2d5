/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The caller's memory: copies that may fault. The faults are fixed up in signal.c. */
#include "posix.h"

size_t anykvm_user_copy(void *dst, const void *src, size_t n);
int anykvm_user_cmpxchg4(void *p, u64 old, u64 val);
int anykvm_user_cmpxchg8(void *p, u64 old, u64 val);

int host_copy_from_user(void *dst, const void *user, size_t n)
{
	return anykvm_user_copy(dst, user, n) ? -EFAULT : 0;
}

int host_peek_user(void *dst, const void *user, size_t n)
{
	return host_copy_from_user(dst, user, n);
}

int host_copy_to_user(void *user, const void *src, size_t n)
{
	return anykvm_user_copy(user, src, n) ? -EFAULT : 0;
}

bool host_user_range_ok(u64 addr, u64 size)
{
	const u64 end = (1ull << 47) - 4096; /* TASK_SIZE_MAX of four-level hosts */

	return size <= end && addr <= end - size;
}

int host_cmpxchg_user(void *user, u64 old, u64 val, unsigned size)
{
	int r = size == 4 ? anykvm_user_cmpxchg4(user, old, val) : anykvm_user_cmpxchg8(user, old, val);

	if (r < 0)
		return -EFAULT;
	return r ? -EAGAIN : 0;
}
