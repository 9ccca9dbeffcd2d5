/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Eventfds: identity, signalling, watching. */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "unit.h"
#include "host.h"
#include "host_tests.h"

static void only_eventfds_pass(void **state)
{
	struct host_eventfd *e;
	int p[2], t = timerfd_create(CLOCK_MONOTONIC, 0);

	expect_eq(pipe(p), 0);
	expect_error(host_eventfd_get(-1, &e), EBADF);
	expect_error(host_eventfd_get(9999, &e), EBADF);
	expect_error(host_eventfd_get(p[0], &e), EINVAL);
	expect_error(host_eventfd_get(t, &e), EINVAL);
	close(p[0]);
	close(p[1]);
	close(t);
}

static void identity_is_the_file_not_the_number(void **state)
{
	int a = eventfd(0, 0), b = eventfd(0, 0), c = dup(a);
	struct host_eventfd *ea, *eb, *ec;

	expect_eq(host_eventfd_get(a, &ea), 0);
	expect_eq(host_eventfd_get(b, &eb), 0);
	expect_eq(host_eventfd_get(c, &ec), 0);
	expect_true(host_eventfd_same(ea, ec));
	expect_true(!host_eventfd_same(ea, eb));
	host_eventfd_put(ea);
	host_eventfd_put(eb);
	host_eventfd_put(ec);
	host_eventfd_put(NULL);
	close(a);
	close(b);
	close(c);
}

static void signal_adds_one_and_never_blocks(void **state)
{
	int fd = eventfd(0, 0);
	struct host_eventfd *e;
	u64 val;

	expect_eq(host_eventfd_get(fd, &e), 0);
	host_eventfd_signal(e);
	host_eventfd_signal(e);
	expect_eq(read(fd, &val, 8), 8);
	expect_eq(val, 2);
	val = ~0ull - 1;
	expect_eq(write(fd, &val, 8), 8);
	host_eventfd_signal(e); /* full */
	expect_eq(read(fd, &val, 8), 8);
	expect_eq(val, ~0ull - 1);
	close(fd);
	host_eventfd_signal(e); /* the program has closed it: still there for us */
	host_eventfd_put(e);
}

static void count(void *arg)
{
	__atomic_fetch_add((u32 *)arg, 1, __ATOMIC_SEQ_CST);
}

static bool reaches(u32 *n, u32 want)
{
	unsigned i;

	for (i = 0; i < 5000 && __atomic_load_n(n, __ATOMIC_SEQ_CST) < want; i++)
		usleep(1000);
	return __atomic_load_n(n, __ATOMIC_SEQ_CST) >= want;
}

/* All eventfds have one watcher: when it has seen this one it has seen what was written before. */
static void see_another_event(void)
{
	int fd = eventfd(1, 0);
	struct host_eventfd *e;
	struct host_watch *w;
	u32 n = 0;

	expect_eq(host_eventfd_get(fd, &e), 0);
	expect_eq(host_eventfd_watch(e, count, &n, &w), 0);
	expect_true(reaches(&n, 1));
	host_eventfd_unwatch(w);
	host_eventfd_put(e);
	close(fd);
}

static void watch_sees_writes(void **state)
{
	int fd = eventfd(1, EFD_NONBLOCK); /* ready before it is watched */
	struct host_eventfd *e;
	struct host_watch *w;
	u64 one = 1, val;
	u32 n = 0, i;

	expect_eq(host_eventfd_get(fd, &e), 0);
	expect_eq(host_eventfd_watch(e, count, &n, &w), 0);
	for (i = 1; i < 100; i++) {
		expect_true(reaches(&n, i));
		expect_eq(write(fd, &one, 8), 8);
	}
	expect_true(reaches(&n, i));
	expect_error(read(fd, &val, 8), 1); /* the counter has been taken */
	host_eventfd_unwatch(w);
	expect_eq(write(fd, &one, 8), 8);
	see_another_event();
	expect_eq(n, i);
	expect_eq(read(fd, &val, 8), 8); /* nobody has taken it */
	host_eventfd_put(e);
	close(fd);
}

static void *writer(void *arg)
{
	u64 one = 1;
	unsigned i;

	for (i = 0; i < 3000; i++)
		if (write((int)(uintptr_t)arg, &one, 8) != 8)
			return arg;
	return NULL;
}

/* Watches come and go while others write: no callback after unwatch, no deadlock. */
static void watching_under_fire(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct host_eventfd *e;
	struct host_watch *w;
	pthread_t thread;
	unsigned i;
	void *bad;

	expect_eq(host_eventfd_get(fd, &e), 0);
	pthread_create(&thread, NULL, writer, (void *)(uintptr_t)fd);
	for (i = 0; i < 300; i++) {
		u32 *n = host_alloc(sizeof(*n));

		expect_eq(host_eventfd_watch(e, count, n, &w), 0);
		if (i % 3)
			usleep(i);
		host_eventfd_unwatch(w);
		host_free(n);
	}
	pthread_join(thread, &bad);
	assert_null(bad);
	host_eventfd_put(e);
	close(fd);
}

int host_eventfd_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_eventfds_pass),
		cmocka_unit_test(identity_is_the_file_not_the_number),
		cmocka_unit_test(signal_adds_one_and_never_blocks),
		cmocka_unit_test(watch_sees_writes),
		cmocka_unit_test(watching_under_fire),
	};

	return cmocka_run_group_tests_name("eventfd", tests, NULL, NULL);
}
