/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory functions without vector registers (see host/types.h), allocation, memory shared with user space. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "posix.h"

typedef u64 any_u64 __attribute__((may_alias, aligned(1)));

#define SMALL 64 /* below this a loop beats the start-up cost of rep movsb */

/* Keeps the compiler from turning the loop around it into a call of the very function it is in. */
#define not_an_idiom() __asm__ volatile("" ::: "memory")

void *memcpy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (n > SMALL) {
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		return dst;
	}
	for (; n >= 8; n -= 8, d += 8, s += 8) {
		*(any_u64 *)d = *(const any_u64 *)s;
		not_an_idiom();
	}
	for (; n; n--) {
		*d++ = *s++;
		not_an_idiom();
	}
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if ((uintptr_t)d - (uintptr_t)s >= n)
		return memcpy(dst, src, n);
	while (n) {
		n--;
		d[n] = s[n];
		not_an_idiom();
	}
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
		not_an_idiom();
	}
	return 0;
}

/* --- the vector registers around libc --------------------------------------------------------- */

#define VECTOR_PARTS 0xe7ull /* x87, SSE, AVX, AVX-512: all that libc may touch */

static u64 vector_mask(void)
{
	static u64 mask; /* 0: not known yet; 1: no XSAVE */
	u64 m = __atomic_load_n(&mask, __ATOMIC_RELAXED);
	u32 r[4];

	if (m)
		return m;
	host_cpuid(1, 0, r);
	m = 1;
	if (r[2] & BIT(27))
		m = host_xcr0() & VECTOR_PARTS;
	__atomic_store_n(&mask, m, __ATOMIC_RELAXED);
	return m;
}

void vector_save(struct vector_state *s)
{
	u64 m = vector_mask();

	if (m == 1) {
		__asm__ volatile("fxsave64 %0" : "=m"(*s));
		return;
	}
	memset(s->area + 512, 0, 64); /* XRSTOR faults on stray bits in the header */
	__asm__ volatile("xsave64 %0" : "+m"(*s) : "a"((u32)m), "d"((u32)(m >> 32)));
}

void vector_restore(struct vector_state *s)
{
	u64 m = vector_mask();

	if (m == 1)
		__asm__ volatile("fxrstor64 %0" : : "m"(*s));
	else
		__asm__ volatile("xrstor64 %0" : : "m"(*s), "a"((u32)m), "d"((u32)(m >> 32)));
}

/* --- allocation ------------------------------------------------------------------------------- */

static u64 fail_at; /* 0: never; else this many allocations from now */
static pthread_once_t fail_once = PTHREAD_ONCE_INIT;

static void fail_from_environment(void)
{
	struct vector_state vectors;
	const char *s;

	vector_save(&vectors);
	s = getenv("ANYKVM_FAIL_ALLOC");
	if (s)
		__atomic_store_n(&fail_at, strtoull(s, NULL, 10), __ATOMIC_RELAXED);
	vector_restore(&vectors);
}

void host_fail_alloc(u64 n)
{
	pthread_once(&fail_once, fail_from_environment);
	__atomic_store_n(&fail_at, n, __ATOMIC_RELAXED);
}

/* Is it this allocation's turn to fail? */
static bool alloc_fails(void)
{
	u64 n = __atomic_load_n(&fail_at, __ATOMIC_RELAXED);

	while (n && !__atomic_compare_exchange_n(&fail_at, &n, n - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return n == 1;
}

static size_t page_round(size_t size)
{
	return (size + 4095) & ~(size_t)4095;
}

void *host_alloc(size_t size)
{
	struct vector_state vectors;
	int saved = errno;
	void *p;

	vector_save(&vectors);
	pthread_once(&fail_once, fail_from_environment);
	p = alloc_fails() ? NULL : calloc(1, size);
	vector_restore(&vectors);
	errno = saved;
	return p;
}

void host_free(void *p)
{
	struct vector_state vectors;
	int saved = errno;

	if (!p)
		return;
	vector_save(&vectors);
	free(p);
	vector_restore(&vectors);
	errno = saved;
}

void *map_unfilled(size_t size, int prot, int flags, int fd)
{
	void *p = mmap(NULL, size, PROT_NONE, flags, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (munlock(p, size) || mprotect(p, size, prot)) {
		munmap(p, size);
		return NULL;
	}
	return p;
}

static void *map_anonymous(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

#define HUGE_PAGE ((size_t)2 << 20)

/* The engine's tables are read at random: on small pages most of a look-up is the processor's own page walk. */
static void *map_huge(size_t size)
{
	char *p = map_unfilled(size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	size_t before;

	if (!p)
		return NULL;
	before = -(uintptr_t)p & (HUGE_PAGE - 1);
	if (before)
		munmap(p, before);
	p += before;
	munmap(p + size, HUGE_PAGE - before);
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

void *host_alloc_pages(size_t size)
{
	int saved = errno;
	void *p;

	pthread_once(&fail_once, fail_from_environment);
	if (!size || page_round(size) < size || page_round(size) + HUGE_PAGE < size || alloc_fails())
		return NULL;
	size = page_round(size);
	p = size < HUGE_PAGE ? map_anonymous(size) : map_huge(size);
	errno = saved;
	return p;
}

void host_free_pages(void *p, size_t size)
{
	int saved = errno;

	if (p)
		munmap(p, page_round(size));
	errno = saved;
}

/* --- memory shared with user space ------------------------------------------------------------ */

struct host_shared {
	int fd;
	size_t size;
	size_t ring_offset;
	void *ptr; /* all of it: what lies between is never touched */
};

/* Away from the numbers that programs expect to get next. */
static int move_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, 512);

	if (up < 0)
		return fd;
	sys_close(fd);
	return up;
}

static int shared_map(struct host_shared *m)
{
	m->fd = memfd_create("anykvm:vcpu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0)
		return -ENOMEM;
	m->fd = move_up(m->fd);
	/* Sealed: a program that truncates it must not turn the library's accesses into SIGBUS. */
	if (ftruncate(m->fd, (off_t)m->size) < 0 ||
	    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -ENOMEM;
	m->ptr = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	return m->ptr == MAP_FAILED ? -ENOMEM : 0;
}

struct host_shared *host_shared_alloc(size_t size, size_t ring_offset, size_t ring_size)
{
	struct host_shared *m = host_alloc(sizeof(*m));
	int saved = errno;

	if (!m)
		return NULL;
	m->fd = -1;
	m->ptr = MAP_FAILED;
	m->size = page_round(ring_size ? ring_offset + ring_size : size);
	m->ring_offset = ring_offset;
	if (shared_map(m) < 0) {
		host_shared_free(m);
		m = NULL;
	}
	errno = saved;
	return m;
}

void *host_shared_ptr(struct host_shared *m)
{
	return m->ptr;
}

void *host_shared_ring(struct host_shared *m)
{
	return (char *)m->ptr + m->ring_offset;
}

int host_shared_fd(const struct host_shared *m)
{
	return m->fd;
}

size_t host_shared_size(const struct host_shared *m)
{
	return m->size;
}

void host_shared_free(struct host_shared *m)
{
	int saved = errno;

	if (!m)
		return;
	if (m->ptr != MAP_FAILED)
		munmap(m->ptr, m->size);
	if (m->fd >= 0)
		sys_close(m->fd);
	host_free(m);
	errno = saved;
}
