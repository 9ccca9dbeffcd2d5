/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory: the module's own, that shared with user space, and the caller's. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "linux.h"

void *host_alloc(size_t size)
{
	return kvzalloc(size, GFP_KERNEL_ACCOUNT);
}

void host_free(void *p)
{
	kvfree(p);
}

/* vzalloc alone would do, but small areas are cheaper in the linear map. */
void *host_alloc_pages(size_t size)
{
	size = PAGE_ALIGN(size);
	if (!size)
		return NULL;
	return size <= 4 * PAGE_SIZE ? alloc_pages_exact(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO)
				     : __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
}

void host_free_pages(void *p, size_t size)
{
	if (!p)
		return;
	if (is_vmalloc_addr(p))
		vfree(p);
	else
		free_pages_exact(p, PAGE_ALIGN(size));
}

/* --- memory shared with user space ----------------------------------------------------------------- */

struct host_shared {
	void *ptr, *ring;
	size_t size, ring_offset, ring_size;
};

/* On the caller's account, as vmalloc_user() would not have it: a ring has up to a MiB. */
static void *shared_pages(size_t size)
{
	return __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
}

struct host_shared *host_shared_alloc(size_t size, size_t ring_offset, size_t ring_size)
{
	struct host_shared *m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);

	if (!m)
		return NULL;
	m->size = PAGE_ALIGN(size);
	m->ptr = shared_pages(m->size);
	m->ring_offset = ring_offset;
	m->ring_size = PAGE_ALIGN(ring_size);
	if (ring_size)
		m->ring = shared_pages(m->ring_size);
	if (!m->ptr || (ring_size && !m->ring)) {
		host_shared_free(m);
		return NULL;
	}
	return m;
}

void *host_shared_ptr(struct host_shared *m)
{
	return m->ptr;
}

void *host_shared_ring(struct host_shared *m)
{
	return m->ring;
}

void host_shared_free(struct host_shared *m)
{
	if (!m)
		return;
	/* Pages that are still mapped live on by their own reference. */
	vfree(m->ptr);
	vfree(m->ring);
	kfree(m);
}

struct page *host_shared_page(struct host_shared *m, unsigned long index)
{
	if (index < m->size >> PAGE_SHIFT)
		return vmalloc_to_page(m->ptr + (index << PAGE_SHIFT));
	if (!host_shared_has_ring(m, index, 1))
		return NULL;
	return vmalloc_to_page(m->ring + ((index << PAGE_SHIFT) - m->ring_offset));
}

bool host_shared_has_ring(const struct host_shared *m, unsigned long first, unsigned long count)
{
	unsigned long ring = m->ring_offset >> PAGE_SHIFT;

	return m->ring_size && first < ring + (m->ring_size >> PAGE_SHIFT) && first + count > ring;
}

/* --- the caller's memory --------------------------------------------------------------------------- */

/* 8 to 16 bytes, by two words that overlap. */
static int copy_words(void *dst, const void __user *user, size_t n)
{
	u64 first, last;

	if (!user_access_begin(user, n))
		return -EFAULT;
	unsafe_get_user(first, (const u64 __user *)user, fault);
	unsafe_get_user(last, (const u64 __user *)(user + n - sizeof(last)), fault);
	user_access_end();
	memcpy(dst, &first, sizeof(first));
	memcpy(dst + n - sizeof(last), &last, sizeof(last));
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

int host_copy_from_user(void *dst, const void *user, size_t n)
{
	/* Instructions and entries of page tables, most often. */
	if (n >= sizeof(u64) && n <= 2 * sizeof(u64))
		return copy_words(dst, (const void __user *)user, n);
	return copy_from_user(dst, (const void __user *)user, n) ? -EFAULT : 0;
}

int host_peek_user(void *dst, const void *user, size_t n)
{
	return copy_from_user_nofault(dst, (const void __user *)user, n);
}

int host_copy_to_user(void *user, const void *src, size_t n)
{
	return copy_to_user((void __user *)user, src, n) ? -EFAULT : 0;
}

bool host_user_range_ok(u64 addr, u64 size)
{
	return access_ok((void __user *)addr, size);
}

#define CMPXCHG(type)                                                                                                  \
	static int cmpxchg_##type(type __user *p, type old, type val)                                                  \
	{                                                                                                              \
		type was = old;                                                                                        \
		bool same;                                                                                             \
                                                                                                                       \
		if (!user_access_begin(p, sizeof(*p)))                                                                 \
			return -EFAULT;                                                                                \
		same = unsafe_try_cmpxchg_user(p, &was, val, fault);                                                   \
		user_access_end();                                                                                     \
		return same ? 0 : -EAGAIN;                                                                             \
	fault:                                                                                                         \
		user_access_end();                                                                                     \
		return -EFAULT;                                                                                        \
	}
CMPXCHG(u32)
CMPXCHG(u64)

int host_cmpxchg_user(void *user, u64 old, u64 val, unsigned int size)
{
	return size == 4 ? cmpxchg_u32((u32 __user *)user, old, val) : cmpxchg_u64((u64 __user *)user, old, val);
}
