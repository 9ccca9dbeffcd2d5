/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Signals as KVM_RUN has them in the kernel: they end it, their handlers run after it, none is lost. */
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "unit.h"
#include "posix.h"
#include "anykvm.h"
#include "host_tests.h"

#define SEC 1000000000ull

static struct vcpu *v;
static struct host_wait idle;
static volatile int calls, last_value, calls_inside, inside;
static volatile u64 mask_in_handler;

static void handler(int sig, siginfo_t *info, void *uc)
{
	sigset_t set;

	calls++;
	calls_inside += inside;
	last_value = info->si_value.sival_int;
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	mask_in_handler = *(u64 *)&set;
	errno = 99;
}

static void install(int sig, int flags)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&sa.sa_mask);
	expect_eq(sigaction(sig, &sa, NULL), 0);
}

static u64 bit(int sig)
{
	return 1ull << (sig - 1);
}

static bool never(void *arg)
{
	return false;
}

/* A KVM_RUN that sleeps in HLT. 0 when nothing ended it within the time. */
static int run(const u64 *mask, u64 ns)
{
	int ret;

	host_run_begin(v, mask);
	inside = 1;
	ret = host_wait_until(&idle, never, NULL, host_now_ns() + ns);
	inside = 0;
	host_run_end(v);
	return ret == -ETIMEDOUT ? 0 : ret;
}

/* The same, spinning in guest code. */
static int spin(u64 ns)
{
	u64 end = host_now_ns() + ns;
	int ret;

	host_run_begin(v, NULL);
	while (!(__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQ_SIGNAL) && host_now_ns() < end)
		;
	ret = host_signal_pending() ? -EINTR : 0;
	host_run_end(v);
	return ret;
}

static int setup(void **state)
{
	signal_activate();
	v = host_alloc_pages(sizeof(*v));
	host_wait_init(&idle);
	calls = calls_inside = last_value = inside = 0;
	return v ? 0 : -1;
}

static int teardown(void **state)
{
	host_free_pages(v, sizeof(*v));
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	return 0;
}

/* Sends SIGUSR1 with a value to a thread after a while. */
struct sender {
	pthread_t thread, to;
	int sig, value;
};

static void *sender_thread(void *arg)
{
	struct sender *s = arg;

	usleep(20000);
	pthread_sigqueue(s->to, s->sig, (union sigval){ .sival_int = s->value });
	return NULL;
}

static void send_later(struct sender *s, int sig, int value)
{
	*s = (struct sender){ .to = pthread_self(), .sig = sig, .value = value };
	pthread_create(&s->thread, NULL, sender_thread, s);
}

static void signal_ends_a_sleep(void **state)
{
	struct sender s;

	install(SIGUSR1, SA_RESTART);
	send_later(&s, SIGUSR1, 42);
	errno = 5;
	expect_error(run(NULL, 20 * SEC), EINTR);
	expect_eq(errno, 5);
	expect_eq(calls, 1);
	expect_eq(calls_inside, 0);
	expect_eq(last_value, 42);
	pthread_join(s.thread, NULL);
	/* It is over: the next one sleeps. */
	expect_eq(run(NULL, 10000000), 0);
}

static void signal_ends_a_spin(void **state)
{
	struct sender s;

	install(SIGUSR1, 0);
	send_later(&s, SIGUSR1, 1);
	expect_error(spin(20 * SEC), EINTR);
	expect_eq(calls, 1);
	pthread_join(s.thread, NULL);
}

static void process_signal_ends_a_sleep(void **state)
{
	struct itimerval t = { .it_value.tv_usec = 20000 };

	install(SIGALRM, 0);
	setitimer(ITIMER_REAL, &t, NULL);
	expect_error(run(NULL, 20 * SEC), EINTR);
	expect_eq(calls, 1);
	signal(SIGALRM, SIG_DFL);
}

static void ignored_and_blocked_signals_do_not(void **state)
{
	sigset_t usr2;

	signal(SIGUSR1, SIG_IGN);
	install(SIGUSR2, 0);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
	host_run_begin(v, NULL);
	inside = 1;
	raise(SIGUSR1);
	raise(SIGUSR2);
	raise(SIGCHLD); /* ignored by default */
	expect_true(!host_signal_pending());
	inside = 0;
	host_run_end(v);
	expect_eq(calls, 0);
	pthread_sigmask(SIG_UNBLOCK, &usr2, NULL);
	expect_eq(calls, 1);
}

static void handler_sees_the_programs_mask(void **state)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	u64 inner = bit(SIGTERM);

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGHUP);
	sigaction(SIGUSR1, &sa, NULL);
	host_run_begin(v, &inner);
	raise(SIGUSR1);
	expect_true(host_signal_pending());
	host_run_end(v);
	expect_eq(calls, 1);
	expect_eq(mask_in_handler, bit(SIGUSR1) | bit(SIGHUP));
	sa.sa_flags |= SA_NODEFER;
	sigaction(SIGUSR1, &sa, NULL);
	host_run_begin(v, NULL);
	raise(SIGUSR1);
	host_run_end(v);
	expect_eq(calls, 2);
	expect_eq(mask_in_handler, bit(SIGHUP));
}

static void many_signals_at_once(void **state)
{
	static const int sigs[] = { SIGUSR1, SIGUSR2, SIGHUP, SIGALRM };
	sigset_t before, after;
	unsigned i;

	pthread_sigmask(SIG_BLOCK, NULL, &before);
	for (i = 0; i < 4; i++)
		install(sigs[i], 0);
	install(SIGRTMIN, 0);
	host_run_begin(v, NULL);
	for (i = 0; i < 4; i++)
		raise(sigs[i]);
	for (i = 0; i < 10; i++)
		pthread_sigqueue(pthread_self(), SIGRTMIN, (union sigval){ .sival_int = (int)i });
	expect_eq(calls, 0);
	host_run_end(v);
	expect_eq(calls, 14);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	expect_eq(*(u64 *)&after, *(u64 *)&before);
	for (i = 0; i < 4; i++)
		signal(sigs[i], SIG_DFL);
	signal(SIGRTMIN, SIG_DFL);
}

/* --- KVM_SET_SIGNAL_MASK ---------------------------------------------------------------------- */

static void stays_pending(int sig)
{
	struct timespec zero = { 0 };
	struct sender s;
	siginfo_t info;
	u64 mask = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	send_later(&s, sig, 17);
	expect_error(run(&mask, 20 * SEC), EINTR);
	pthread_join(s.thread, NULL);
	expect_eq(calls, 0);
	/* Still there: the next run ends at once, as often as it is tried. */
	expect_error(run(&mask, 20 * SEC), EINTR);
	expect_eq(sigtimedwait(&set, &info, &zero), sig);
	expect_eq(info.si_value.sival_int, 17);
	expect_error(sigtimedwait(&set, &info, &zero), 1);
	expect_eq(run(&mask, 10000000), 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	expect_eq(calls, 0);
}

static void signal_of_the_mask_stays_pending(void **state)
{
	install(SIGUSR1, 0);
	stays_pending(SIGUSR1);
}

static void signal_without_handler_stays_pending(void **state)
{
	signal(SIGUSR2, SIG_DFL);
	stays_pending(SIGUSR2);
	stays_pending(SIGRTMIN + 1);
}

static void mask_blocks_inside(void **state)
{
	u64 mask = bit(SIGUSR1);

	install(SIGUSR1, 0);
	host_run_begin(v, &mask);
	raise(SIGUSR1);
	expect_true(!host_signal_pending());
	expect_eq(calls, 0);
	host_run_end(v);
	expect_eq(calls, 1);
}

/* --- none is lost ----------------------------------------------------------------------------- */

#define STRESS 3000

static u32 finished;

static void *stress_sender(void *arg)
{
	pthread_t to = *(pthread_t *)arg;
	u32 i, j;

	for (i = 1; i <= STRESS; i++) {
		/* At ever different places of the next run: before, between check and sleep, in the sleep. */
		for (j = 0; j < i % 997; j++)
			__asm__ volatile("pause");
		if (i % 64 == 0)
			usleep(200);
		pthread_sigqueue(to, SIGRTMIN, (union sigval){ .sival_int = (int)i });
		while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) < i)
			usleep(0);
	}
	return NULL;
}

static void masked_signals_are_never_lost(void **state)
{
	pthread_t thread, self = pthread_self();
	struct timespec zero = { 0 };
	sigset_t rt;
	u64 mask = 0;
	u32 i;

	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN);
	install(SIGRTMIN, SA_RESTART);
	pthread_sigmask(SIG_BLOCK, &rt, NULL);
	finished = 0;
	pthread_create(&thread, NULL, stress_sender, &self);
	for (i = 1; i <= STRESS; i++) {
		expect_error(run(&mask, 20 * SEC), EINTR);
		expect_eq(sigtimedwait(&rt, NULL, &zero), SIGRTMIN);
		__atomic_store_n(&finished, i, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_UNBLOCK, &rt, NULL);
	expect_eq(calls, 0);
	signal(SIGRTMIN, SIG_DFL);
}

/*
 * Without a mask a signal between the test of calls and host_run_begin is the program's own race (what
 * immediate_exit is for); the runs are short, so that it costs little.
 */
static void signals_are_never_lost(void **state)
{
	pthread_t thread, self = pthread_self();
	u32 i;

	install(SIGRTMIN, SA_RESTART);
	finished = 0;
	pthread_create(&thread, NULL, stress_sender, &self);
	for (i = 1; i <= STRESS; i++) {
		while (calls < (int)i) {
			int before = calls, ret;

			ret = run(NULL, 2000000);
			/* A handler ran during or right after the run: if it began inside, the run was interrupted. */
			expect_true(ret == -EINTR || ret == 0);
			expect_true(ret == 0 || calls > before);
		}
		expect_eq(last_value, i);
		__atomic_store_n(&finished, i, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
	expect_eq(calls, STRESS);
	expect_eq(calls_inside, 0);
	signal(SIGRTMIN, SIG_DFL);
}

/* --- what the program sees of its handlers ---------------------------------------------------- */

static void simple_handler(int sig)
{
	calls++;
}

static void program_sees_its_own_actions(void **state)
{
	struct sigaction sa = { .sa_handler = simple_handler, .sa_flags = SA_RESTART | SA_ONSTACK }, old, bus;

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGHUP);
	expect_eq(sigaction(SIGUSR1, &sa, &old), 0);
	expect_true(old.sa_handler == SIG_DFL);
	expect_eq(sigaction(SIGUSR1, NULL, &old), 0);
	expect_true(old.sa_handler == simple_handler);
	expect_eq(old.sa_flags & (SA_RESTART | SA_ONSTACK | SA_SIGINFO | SA_NODEFER), SA_RESTART | SA_ONSTACK);
	expect_true(sigismember(&old.sa_mask, SIGHUP) && !sigismember(&old.sa_mask, SIGTERM));
	expect_true(signal(SIGUSR1, SIG_IGN) == simple_handler);
	expect_true(signal(SIGUSR1, simple_handler) == SIG_IGN);
	raise(SIGUSR1);
	expect_eq(calls, 1);
	/* What the library does with fault signals does not show either. */
	expect_eq(sigaction(SIGBUS, NULL, &bus), 0);
	signal(SIGBUS, SIG_DFL);
	expect_eq(sigaction(SIGBUS, NULL, &old), 0);
	expect_true(old.sa_handler == SIG_DFL && !(old.sa_flags & SA_SIGINFO));
	expect_true(signal(SIGBUS, simple_handler) == SIG_DFL);
	expect_true(signal(SIGBUS, SIG_IGN) == simple_handler);
	expect_eq(sigaction(SIGBUS, &bus, &old), 0);
	expect_true(old.sa_handler == SIG_IGN);
	expect_eq(sigaction(SIGKILL, &sa, NULL), -1);
	expect_eq(sigaction(65, &sa, NULL), -1);
	expect_eq(sigaction(32, &sa, NULL), -1);
	expect_true(signal(0, simple_handler) == SIG_ERR);
}

static void one_shot_handlers(void **state)
{
	struct sigaction old;

	install(SIGUSR1, (int)SA_RESETHAND);
	raise(SIGUSR1);
	expect_eq(calls, 1);
	expect_eq(sigaction(SIGUSR1, NULL, &old), 0);
	expect_true(old.sa_handler == SIG_DFL);
	expect_true(sysv_signal(SIGUSR1, simple_handler) == SIG_DFL);
	raise(SIGUSR1);
	expect_eq(sigaction(SIGUSR1, NULL, &old), 0);
	expect_true(calls == 2 && old.sa_handler == SIG_DFL);
}

static void raw_handlers_are_adopted(void **state)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		u64 mask;
	} raw = { 0 };
	struct sigaction old;

	/* Borrow libc's restorer from an action it has installed. */
	install(SIGUSR2, 0);
	sigaction(SIGUSR2, NULL, &old);
	raw.handler = (void *)simple_handler;
	raw.flags = 0x04000000;
	raw.restorer = (void *)old.sa_restorer;
	expect_eq(syscall(SYS_rt_sigaction, SIGUSR1, &raw, NULL, 8), 0);
	signal_activate();
	expect_eq(sigaction(SIGUSR1, NULL, &old), 0);
	expect_true(old.sa_handler == simple_handler);
	host_run_begin(v, NULL);
	raise(SIGUSR1);
	expect_true(host_signal_pending());
	host_run_end(v);
	expect_eq(calls, 1);
}

static void raw_handler_can_tell_us(void **state)
{
	host_run_begin(v, NULL);
	anykvm_signal_arrived();
	expect_true(host_signal_pending());
	expect_true(v->requests & REQ_SIGNAL);
	host_run_end(v);
	anykvm_signal_arrived(); /* nothing runs: nothing happens */
	host_run_begin(v, NULL);
	expect_true(!host_signal_pending());
	host_run_end(v);
}

static volatile int run_result;

static void *cancelled_runner(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	host_run_begin(v, NULL);
	inside = 1;
	run_result = host_wait_until(&idle, never, NULL, host_now_ns() + 20 * SEC);
	inside = 0;
	host_run_end(v);
	calls++; /* not reached */
	return NULL;
}

/* As with the kernel: the thread ends when it has left KVM_RUN, with no lock held. */
static void cancellation_ends_a_run(void **state)
{
	pthread_t thread;
	void *ret;

	run_result = 0;
	pthread_create(&thread, NULL, cancelled_runner, NULL);
	while (!inside)
		usleep(1000);
	pthread_cancel(thread);
	pthread_join(thread, &ret);
	expect_true(ret == PTHREAD_CANCELED);
	expect_error(run_result, EINTR);
	expect_eq(inside, 0);
	expect_eq(calls, 0);
}

/* --- faults of the program itself ------------------------------------------------------------- */

static sigjmp_buf out;
static volatile uintptr_t bad_address = 16;

static void escape(int sig, siginfo_t *info, void *uc)
{
	siglongjmp(out, info->si_addr == (void *)16 ? 1 : 2);
}

__attribute__((no_sanitize("undefined"))) static void programs_fault_handler_works(void **state)
{
	struct sigaction sa = { .sa_sigaction = escape, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction segv, fpe; /* cmocka's */
	volatile int zero = 0, seven = 7;
	int how;

	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGFPE, &sa, &fpe);
	how = sigsetjmp(out, 1);
	if (!how)
		*(volatile int *)bad_address = 1;
	expect_eq(how, 1);
	how = sigsetjmp(out, 1);
	if (!how)
		zero = seven / zero;
	expect_eq(how, 2);
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGFPE, &fpe, NULL);
}

static int child_status(void (*fn)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		alarm(20);
		signal(SIGSEGV, SIG_DFL); /* cmocka's */
		fn();
		_exit(1);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void child_faults(void)
{
	*(volatile int *)bad_address = 1;
}

static void child_kills_itself(void)
{
	kill(getpid(), SIGSEGV);
	usleep(1000000);
}

static void child_ignores(void)
{
	signal(SIGSEGV, SIG_IGN);
	kill(getpid(), SIGSEGV);
	_exit(3);
}

static void child_dies_while_inside(void)
{
	host_run_begin(v, NULL);
	raise(SIGTERM);
	usleep(1000000);
}

static void default_actions_are_kept(void **state)
{
	expect_eq(child_status(child_faults), SIGSEGV);
	expect_eq(child_status(child_kills_itself), SIGSEGV);
	expect_eq((unsigned)child_status(child_ignores), -3u);
	expect_eq(child_status(child_dies_while_inside), SIGTERM);
}

#define SIGNAL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int host_signal_tests(void)
{
	const struct CMUnitTest tests[] = {
		SIGNAL_TEST(signal_ends_a_sleep),
		SIGNAL_TEST(signal_ends_a_spin),
		SIGNAL_TEST(process_signal_ends_a_sleep),
		SIGNAL_TEST(ignored_and_blocked_signals_do_not),
		SIGNAL_TEST(handler_sees_the_programs_mask),
		SIGNAL_TEST(many_signals_at_once),
		SIGNAL_TEST(signal_of_the_mask_stays_pending),
		SIGNAL_TEST(signal_without_handler_stays_pending),
		SIGNAL_TEST(mask_blocks_inside),
		SIGNAL_TEST(masked_signals_are_never_lost),
		SIGNAL_TEST(signals_are_never_lost),
		SIGNAL_TEST(cancellation_ends_a_run),
		SIGNAL_TEST(program_sees_its_own_actions),
		SIGNAL_TEST(one_shot_handlers),
		SIGNAL_TEST(raw_handlers_are_adopted),
		SIGNAL_TEST(raw_handler_can_tell_us),
		SIGNAL_TEST(programs_fault_handler_works),
		SIGNAL_TEST(default_actions_are_kept),
	};

	return cmocka_run_group_tests_name("signal", tests, NULL, NULL);
}
