/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Memory functions, allocation, the caller's memory and its faults, host_guarded. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "unit.h"
#include "posix.h"
#include "host_tests.h"

#define PAGE 4096

/* Every length and offset around the places where the copying changes its method. */
static void memory_functions(void **state)
{
	static u8 a[512], b[512], want[512];
	unsigned n, off, i;

	for (n = 0; n <= 150; n++) {
		for (off = 0; off < 9; off++) {
			for (i = 0; i < sizeof(a); i++) {
				a[i] = (u8)(i * 7 + 1);
				want[i] = b[i] = (u8)~i;
			}
			for (i = 0; i < n; i++)
				want[100 + i] = a[off + i];
			expect_true(memcpy(b + 100, a + off, n) == b + 100);
			expect_eq(memcmp(b, want, sizeof(b)), 0);
			/* Overlapping, both ways. */
			for (i = 0; i < sizeof(a); i++)
				want[i] = a[i];
			for (i = 0; i < n; i++)
				want[100 + i] = a[100 - off + i];
			memmove(a + 100, a + 100 - off, n);
			expect_eq(memcmp(a, want, sizeof(a)), 0);
			for (i = 0; i < n; i++)
				want[60 + i] = a[60 + off + i];
			memmove(a + 60, a + 60 + off, n);
			expect_eq(memcmp(a, want, sizeof(a)), 0);
		}
		memset(b, 0x5a, n);
		for (i = 0; i < n; i++)
			expect_eq(b[i], 0x5a);
	}
	expect_true(memcmp("ab", "ac", 2) < 0 && memcmp("ac", "ab", 2) > 0 && memcmp("ab", "ac", 1) == 0);
}

static void allocation_is_zeroed_and_can_fail(void **state)
{
	u8 *p = host_alloc(1000), *q;
	unsigned i;

	for (i = 0; i < 1000; i++)
		expect_eq(p[i], 0);
	host_free(p);
	host_free(NULL);
	p = host_alloc_pages(PAGE + 1);
	expect_eq((uintptr_t)p % PAGE, 0);
	expect_eq(p[2 * PAGE - 1], 0);
	host_free_pages(p, PAGE + 1);
	expect_true(!host_alloc_pages(~(size_t)0));
	expect_true(!host_alloc(~(size_t)0 / 2));
	host_fail_alloc(2);
	p = host_alloc(8);
	q = host_alloc(8);
	expect_true(p && !q);
	q = host_alloc(8);
	expect_true(q);
	host_free(p);
	host_free(q);
}

static void shared_memory_cannot_be_truncated(void **state)
{
	struct host_shared *m = host_shared_alloc(3 * PAGE, 0, 0);
	u8 *p = host_shared_ptr(m), *q;

	expect_eq(host_shared_size(m), 3 * PAGE);
	q = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, host_shared_fd(m), 0);
	expect_true(q != MAP_FAILED);
	p[5000] = 7;
	expect_eq(q[5000], 7);
	expect_eq(ftruncate(host_shared_fd(m), 0), -1);
	host_shared_free(m);
	expect_eq(q[5000], 7);
	munmap(q, 3 * PAGE);
}

/* --- the caller's memory ---------------------------------------------------------------------- */

/* Two pages, the second not accessible. */
static u8 *half_mapped(void)
{
	u8 *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(p + PAGE, PAGE, PROT_NONE);
	return p;
}

static void user_copies_fail_with_efault(void **state)
{
	u8 *p = half_mapped(), buf[64];

	memset(buf, 3, sizeof(buf));
	expect_eq(host_copy_to_user(p + PAGE - 64, buf, 64), 0);
	memset(buf, 0, sizeof(buf));
	expect_eq(host_copy_from_user(buf, p + PAGE - 64, 64), 0);
	expect_eq(buf[63], 3);
	errno = 77;
	expect_error(host_copy_to_user(p + PAGE - 63, buf, 64), EFAULT);
	expect_error(host_copy_from_user(buf, p + PAGE - 1, 64), EFAULT);
	expect_error(host_copy_from_user(buf, NULL, 1), EFAULT);
	expect_error(host_copy_from_user(buf, (void *)0x8000000000000000ull, 8), EFAULT); /* not canonical: #GP */
	expect_error(host_copy_to_user((void *)0xffffffff80000000ull, buf, 8), EFAULT);
	expect_eq(errno, 77);
	expect_eq(host_copy_from_user(buf, NULL, 0), 0);
	munmap(p, 2 * PAGE);
}

static void truncated_file_is_a_fault_too(void **state)
{
	int fd = memfd_create("test", 0);
	u8 *p, buf[8];

	expect_eq(ftruncate(fd, PAGE), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expect_eq(host_copy_from_user(buf, p, 8), 0);
	expect_eq(ftruncate(fd, 0), 0);
	expect_error(host_copy_from_user(buf, p, 8), EFAULT);
	munmap(p, PAGE);
	close(fd);
}

static void user_compare_exchange(void **state)
{
	u8 *p = half_mapped();
	u64 *q = (u64 *)p;

	*q = 0x1122334455667788;
	expect_error(host_cmpxchg_user(q, 1, 2, 8), EAGAIN);
	expect_eq(host_cmpxchg_user(q, 0x1122334455667788, 5, 8), 0);
	expect_eq(*q, 5);
	expect_eq(host_cmpxchg_user(q, 5, 0xffffffffaabbccddull, 4), 0);
	expect_eq(*q, 0xaabbccdd);
	expect_error(host_cmpxchg_user(p + PAGE, 0, 0, 8), EFAULT);
	expect_error(host_cmpxchg_user(p + PAGE, 0, 0, 4), EFAULT);
	munmap(p, 2 * PAGE);
}

static void user_ranges(void **state)
{
	expect_true(host_user_range_ok(0, 0));
	expect_true(host_user_range_ok(0x7fffffffe000ull, 0x1000));
	expect_true(!host_user_range_ok(0x7fffffffe000ull, 0x2000));
	expect_true(!host_user_range_ok(~0ull - 4095, 4096));
	expect_true(!host_user_range_ok(4096, ~0ull));
}

/* --- guarded calls ---------------------------------------------------------------------------- */

struct touch {
	volatile u8 *p;
	u32 before, after;
	bool nest;
};

static void touch(void *arg)
{
	struct touch *t = arg;

	t->before++;
	*t->p = 1;
	t->after++;
}

static void nested(void *arg)
{
	struct touch *t = arg;

	/* The inner call's fault is the inner call's. */
	t->nest = host_guarded(touch, t) == -EFAULT;
	t->after++;
}

static void guarded_call_is_abandoned(void **state)
{
	u8 *p = half_mapped();
	struct touch t = { .p = p };
	unsigned i;

	expect_eq(host_guarded(touch, &t), 0);
	expect_eq(t.after, 1);
	t.p = p + PAGE;
	for (i = 0; i < 1000; i++)
		expect_error(host_guarded(touch, &t), EFAULT);
	expect_eq(t.before, 1001);
	expect_eq(t.after, 1);
	expect_eq(host_guarded(nested, &t), 0);
	expect_true(t.nest && t.after == 2);
	munmap(p, 2 * PAGE);
}

static void *copies_in_thread(void *arg)
{
	u8 *p = half_mapped(), buf[8];
	struct touch t = { .p = p + PAGE };
	unsigned i, bad = 0;

	for (i = 0; i < 2000; i++) {
		bad += host_copy_from_user(buf, p + PAGE, 8) != -EFAULT;
		bad += host_guarded(touch, &t) != -EFAULT;
		bad += host_copy_from_user(buf, p, 8) != 0;
	}
	munmap(p, 2 * PAGE);
	return (void *)(uintptr_t)bad;
}

static void faults_in_many_threads(void **state)
{
	pthread_t thread[4];
	unsigned i;
	void *bad;

	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, copies_in_thread, NULL);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &bad);
		assert_null(bad);
	}
}

/* A thread that blocks the fault signals must not be killed by them. */
static void *copies_with_signals_blocked(void *arg)
{
	u8 buf[8];
	sigset_t all;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	signal_enter();
	ret = host_copy_from_user(buf, NULL, 8);
	signal_leave();
	pthread_sigmask(SIG_BLOCK, NULL, &all);
	return ret == -EFAULT && sigismember(&all, SIGSEGV) ? NULL : arg;
}

static void faults_with_signals_blocked(void **state)
{
	pthread_t thread;
	void *bad;

	pthread_create(&thread, NULL, copies_with_signals_blocked, &bad);
	pthread_join(thread, &bad);
	assert_null(bad);
}

static void cpuid_is_cached_and_right(void **state)
{
	u32 r[4], again[4];
	unsigned i;

	for (i = 0; i < 3; i++) {
		host_cpuid(0, 0, r);
		host_cpuid(0x80000000, 0, again);
		expect_true(r[0] >= 1 && again[0] >= 0x80000001);
	}
	host_cpuid(0xd, 1, r);
	host_cpuid(0xd, 1, again);
	expect_eq(memcmp(r, again, sizeof(r)), 0);
	expect_true((host_xcr0() & 3) == 3);
}

static int activate(void **state)
{
	signal_activate();
	return 0;
}

int host_memory_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_functions),
		cmocka_unit_test(allocation_is_zeroed_and_can_fail),
		cmocka_unit_test(shared_memory_cannot_be_truncated),
		cmocka_unit_test(user_copies_fail_with_efault),
		cmocka_unit_test(truncated_file_is_a_fault_too),
		cmocka_unit_test(user_compare_exchange),
		cmocka_unit_test(user_ranges),
		cmocka_unit_test(guarded_call_is_abandoned),
		cmocka_unit_test(faults_in_many_threads),
		cmocka_unit_test(faults_with_signals_blocked),
		cmocka_unit_test(cpuid_is_cached_and_right),
	};

	return cmocka_run_group_tests_name("memory", tests, activate, NULL);
}
