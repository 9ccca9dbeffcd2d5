/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What of the host services works in a child after fork(). */
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "unit.h"
#include "posix.h"
#include "host_tests.h"

static void mark(void *arg)
{
	__atomic_store_n((u32 *)arg, 1, __ATOMIC_SEQ_CST);
}

static bool marked(u32 *n)
{
	unsigned i;

	for (i = 0; i < 3000 && !__atomic_load_n(n, __ATOMIC_SEQ_CST); i++)
		usleep(1000);
	return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

static bool timer_works(void)
{
	struct host_timer t;
	u32 n = 0;
	bool ok;

	host_timer_init(&t, mark, &n);
	host_timer_start(&t, host_now_ns() + 1000000);
	ok = marked(&n);
	host_timer_destroy(&t);
	return ok;
}

static bool watch_works(void)
{
	int fd = eventfd(1, 0);
	struct host_eventfd *e;
	struct host_watch *w;
	u32 n = 0;
	bool ok;

	if (host_eventfd_get(fd, &e) || host_eventfd_watch(e, mark, &n, &w))
		return false;
	ok = marked(&n);
	host_eventfd_unwatch(w);
	host_eventfd_put(e);
	close(fd);
	return ok;
}

static volatile int calls;

static void handler(int sig)
{
	calls++;
}

static bool signals_work(void)
{
	bool ok;

	signal(SIGUSR1, handler);
	signal_enter();
	raise(SIGUSR1);
	ok = calls == 0;
	signal_leave();
	return ok && calls == 1;
}

static void child_starts_afresh(void **state)
{
	u32 before = host_fork_count;
	int status = -1;
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	skip(); /* it ends a child that starts threads */
#endif
	signal_activate();
	expect_true(timer_works());
	expect_true(watch_works());
	pid = fork();
	if (!pid) {
		alarm(20);
		_exit(!(host_fork_count == before + 1 && timer_works() && watch_works() && signals_work()));
	}
	waitpid(pid, &status, 0);
	expect_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	expect_eq(host_fork_count, before);
	expect_true(timer_works());
}

/* A vfork child shares our tables, but its dispositions are its own. */
static void vfork_child_does_not_disturb(void **state)
{
	int status = -1;
	pid_t pid;

	calls = 0;
	signal(SIGUSR1, handler);
	pid = vfork();
	if (!pid) {
		signal(SIGUSR1, SIG_DFL);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	raise(SIGUSR1);
	expect_eq(calls, 1);
	expect_true(signal(SIGUSR1, SIG_DFL) == handler);
}

int host_fork_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_starts_afresh),
		cmocka_unit_test(vfork_child_does_not_disturb),
	};

	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
