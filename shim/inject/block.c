/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A thread of the program has a thread pointer of its own C library's making. Our C library needs one of its own: each
 * block's is that of a thread which we made for the purpose and which has ended, so that its stack is free as well.
 *
 * A new thread of the program comes here with its first trap, without a usable thread pointer: it takes a spare block, and
 * makes a new spare one before it does anything else. Blocks of threads that have ended are found by asking the kernel.
 *
 * Until inject_block() has returned this code has no thread-local data: no errno, no libc.
 */
#include "inject.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS 8192u /* at most this many threads at a time */
#define STACK_SIZE (512u << 10)
#define SPARES 2

bool inject_user_fs;

static struct inject_block *slots[SLOTS]; /* a  by tid, linear probing; changed under lock */
static struct inject_block *spares;       /* under lock */
static unsigned nr_spares;                /* a */
static u32 lock;                          /* held with all signals blocked */
static u32 owner;                         /* the process that this memory belongs to, as itself sees its number */
static struct inject_block vacated;       /* in a slot: look-ups go on, insertions may take it */

static long raw_call(long nr, u64 a, u64 b, u64 c, u64 d)
{
	register u64 r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return r;
}

static u64 take_lock(void)
{
	u64 all = ~0ull, old = 0;

	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (u64)&all, (u64)&old, 8);
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		raw_call(SYS_sched_yield, 0, 0, 0, 0);
	return old;
}

static void drop_lock(u64 mask)
{
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (u64)&mask, 0, 8);
}

static struct inject_block *find(u32 tid)
{
	for (u32 i = tid % SLOTS, n = 0; n < SLOTS; i = (i + 1) % SLOTS, n++) {
		struct inject_block *b = __atomic_load_n(&slots[i], __ATOMIC_ACQUIRE);

		if (!b)
			return NULL;
		if (__atomic_load_n(&b->tid, __ATOMIC_RELAXED) == tid)
			return b;
	}
	return NULL;
}

/* Under lock. */
static void insert(struct inject_block *b, u32 tid)
{
	u32 i = tid % SLOTS;

	while (slots[i] && slots[i] != &vacated)
		i = (i + 1) % SLOTS;
	__atomic_store_n(&b->tid, tid, __ATOMIC_RELAXED);
	__atomic_store_n(&slots[i], b, __ATOMIC_RELEASE);
}

static struct inject_block *take_spare(u32 tid)
{
	struct inject_block *b;
	u64 mask;

	for (;;) {
		mask = take_lock();
		b = spares;
		if (b)
			break;
		drop_lock(mask); /* whoever took the last one is making another */
		raw_call(SYS_sched_yield, 0, 0, 0, 0);
	}
	spares = b->next;
	__atomic_sub_fetch(&nr_spares, 1, __ATOMIC_RELAXED);
	b->sigsys_blocked = false;
	b->fresh = true;
	insert(b, tid);
	drop_lock(mask);
	return b;
}

struct inject_block *inject_block(void)
{
	u32 tid = (u32)raw_call(SYS_gettid, 0, 0, 0, 0);
	struct inject_block *b = find(tid);

	return b ? b : take_spare(tid);
}

/* --- making them ------------------------------------------------------------------------------------------- */

static _Noreturn void end_thread(void)
{
	for (;;)
		raw_call(SYS_exit, 0, 0, 0, 0);
}

static void *shadow_thread(void *arg)
{
	struct inject_block *b = arg;

	b->fs = inject_fs();
	/* Below the frames of this function, which never returns. */
	b->stack_top = ((u64)__builtin_frame_address(0) - 4096) & ~63ull;
	raw_call(SYS_set_tid_address, (u64)&b->shadow, 0, 0, 0);
	end_thread();
}

static struct inject_block *make_block(void)
{
	struct inject_block *b = calloc(1, sizeof(*b));
	pthread_attr_t attr;
	pthread_t thread;
	u32 running;
	int err;

	if (!b || pthread_attr_init(&attr))
		return NULL;
	b->shadow = 1;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, shadow_thread, b);
	pthread_attr_destroy(&attr);
	if (err) {
		free(b);
		return NULL;
	}
	while ((running = __atomic_load_n(&b->shadow, __ATOMIC_ACQUIRE)))
		raw_call(SYS_futex, (u64)&b->shadow, FUTEX_WAIT, running, 0);
	return b;
}

static void add_spare(struct inject_block *b)
{
	u64 mask = take_lock();

	b->next = spares;
	spares = b;
	__atomic_add_fetch(&nr_spares, 1, __ATOMIC_RELAXED);
	drop_lock(mask);
}

/*
 * Blocks whose threads are no more. A thread of any process may have one (vfork): tkill asks for all. In a namespace of process
 * numbers where the owner of this memory is not to be seen (a child by vfork in a new one) it would find none alive.
 */
static void reclaim(void)
{
	u64 mask;

	if (raw_call(SYS_tkill, owner, 0, 0, 0) == -ESRCH)
		return;
	mask = take_lock();

	for (u32 i = 0; i < SLOTS; i++) {
		struct inject_block *b = slots[i];

		if (!b || b == &vacated || raw_call(SYS_tkill, b->tid, 0, 0, 0) != -ESRCH)
			continue;
		__atomic_store_n(&slots[i], &vacated, __ATOMIC_RELEASE);
		__atomic_store_n(&b->tid, 0, __ATOMIC_RELAXED);
		b->next = spares;
		spares = b;
		__atomic_add_fetch(&nr_spares, 1, __ATOMIC_RELAXED);
	}
	drop_lock(mask);
}

void inject_blocks_refill(void)
{
	struct inject_block *b;

	if (__atomic_load_n(&nr_spares, __ATOMIC_RELAXED) >= SPARES)
		return;
	reclaim();
	while (__atomic_load_n(&nr_spares, __ATOMIC_RELAXED) < SPARES) {
		b = make_block();
		if (!b)
			return;
		add_spare(b);
	}
}

bool inject_blocks_start(void)
{
	struct inject_block *b = calloc(1, sizeof(*b));
	u8 *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	inject_user_fs = getauxval(AT_HWCAP2) & 2; /* HWCAP2_FSGSBASE */
	owner = (u32)getpid();
	if (!b || stack == MAP_FAILED)
		return false;
	b->fs = inject_fs();
	b->stack_top = (u64)stack + STACK_SIZE;
	insert(b, (u32)gettid());
	inject_blocks_refill();
	return spares != NULL;
}

void inject_blocks_forked(struct inject_block *mine)
{
	/* Blocks of the parent's other threads stay behind, with what those were doing: nothing of it can be used. */
	for (u32 i = 0; i < SLOTS; i++)
		slots[i] = NULL;
	lock = 0;
	spares = NULL;
	nr_spares = 0;
	owner = (u32)raw_call(SYS_getpid, 0, 0, 0, 0);
	insert(mine, (u32)raw_call(SYS_gettid, 0, 0, 0, 0));
	inject_blocks_refill();
}
