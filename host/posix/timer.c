/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Timers: one thread for the process sleeps until the earliest of them. They are nodes of a pairing heap,
 * so that arming allocates nothing. The thread starts with the first host_timer_init(): vCPU threads may
 * later be forbidden to make threads.
 */
#include <limits.h>
#include <sys/prctl.h>
#include "posix.h"

static pthread_mutex_t timers_lock = PTHREAD_MUTEX_INITIALIZER;
/* Under timers_lock: */
static struct host_timer *heap;
static struct host_timer *running;
static bool started;
static u32 changed;  /* a  futex word of the thread: the earliest timer is another one */
static u32 finished; /* a  futex word of cancellers: running is another one */

static __thread bool on_timer_thread __attribute__((tls_model("initial-exec")));

/* --- the heap --------------------------------------------------------------------------------- */

static struct host_timer *meld(struct host_timer *a, struct host_timer *b)
{
	struct host_timer *t;

	if (!a || !b)
		return a ? a : b;
	if (b->expires < a->expires) {
		t = a;
		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

/* Make one heap of a list of siblings: meld pairs from the left, then the results from the right. */
static struct host_timer *meld_siblings(struct host_timer *list)
{
	struct host_timer *pairs = NULL, *root = NULL;

	while (list) {
		struct host_timer *a = list, *b = a->next;

		list = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct host_timer *a = pairs;

		pairs = a->next;
		a->next = NULL;
		root = meld(root, a);
	}
	return root;
}

static void heap_insert(struct host_timer *t)
{
	t->child = t->next = t->prev = NULL;
	t->queued = true;
	heap = meld(heap, t);
}

static void heap_remove(struct host_timer *t)
{
	struct host_timer *children = meld_siblings(t->child);

	if (t == heap) {
		heap = children;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		heap = meld(heap, children);
	}
	t->child = t->next = t->prev = NULL;
	t->queued = false;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Under timers_lock, which is given up meanwhile. */
static void run_timer(struct host_timer *t)
{
	heap_remove(t);
	running = t;
	pthread_mutex_unlock(&timers_lock);
	t->fn(t->arg);
	pthread_mutex_lock(&timers_lock);
	running = NULL;
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	futex_wake(&finished, INT_MAX);
}

static void *timer_thread(void *unused)
{
	on_timer_thread = true;
	prctl(PR_SET_NAME, "anykvm-timer");
	prctl(PR_SET_TIMERSLACK, 1);
	pthread_mutex_lock(&timers_lock);
	for (;;) {
		u32 seq = __atomic_load_n(&changed, __ATOMIC_SEQ_CST);
		u64 next = heap ? heap->expires : 0;

		if (heap && host_now_ns() >= next) {
			run_timer(heap);
			continue;
		}
		pthread_mutex_unlock(&timers_lock);
		futex_wait(&changed, seq, next);
		pthread_mutex_lock(&timers_lock);
	}
	return NULL;
}

/* Under timers_lock. */
static void start_thread(void)
{
	if (started)
		return;
	fork_watch();
	started = host_thread_start(timer_thread, NULL) == 0;
	if (!started)
		host_log(LOG_ERROR, "cannot start the timer thread");
}

void timer_after_fork(void)
{
	pthread_mutex_init(&timers_lock, NULL);
	heap = running = NULL;
	started = false;
}

/* --- host.h ----------------------------------------------------------------------------------- */

void host_timer_init(struct host_timer *t, void (*fn)(void *arg), void *arg)
{
	*t = (struct host_timer){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&timers_lock);
	start_thread();
	pthread_mutex_unlock(&timers_lock);
}

void host_timer_start(struct host_timer *t, u64 expires_ns)
{
	bool first;

	pthread_mutex_lock(&timers_lock);
	start_thread();
	if (t->queued)
		heap_remove(t);
	t->expires = expires_ns ? expires_ns : 1; /* 0 means no deadline to futex_wait */
	heap_insert(t);
	first = heap == t;
	if (first)
		__atomic_fetch_add(&changed, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&timers_lock);
	if (first && !on_timer_thread)
		futex_wake(&changed, 1);
}

void host_timer_cancel(struct host_timer *t)
{
	pthread_mutex_lock(&timers_lock);
	for (;;) {
		u32 seq = __atomic_load_n(&finished, __ATOMIC_SEQ_CST);

		if (t->queued)
			heap_remove(t);
		if (running != t || on_timer_thread)
			break;
		pthread_mutex_unlock(&timers_lock);
		futex_wait(&finished, seq, 0);
		pthread_mutex_lock(&timers_lock);
	}
	pthread_mutex_unlock(&timers_lock);
}

void host_timer_destroy(struct host_timer *t)
{
	host_timer_cancel(t);
}
