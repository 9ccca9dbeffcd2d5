/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * pthread_cancel() of a thread that is in KVM_RUN. With asynchronous cancellation libc's handler of its
 * own signal would end the thread in the middle of the library. So that signal is deferred like the
 * others (signal.c), for which libc must have installed its handler: it does at the first cancellation,
 * so there is one, of a thread that does nothing else.
 */
#include <sys/auxv.h>
#include "posix.h"

/*
 * To cancel a thread libc loads the unwinder, and aborts the process if there is none. It is in one of
 * these places on all distributions; asking dlopen() would make every static link warn.
 */
static const char *const unwinders[] = {
	"/lib/x86_64-linux-gnu/libgcc_s.so.1",
	"/usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
	"/lib64/libgcc_s.so.1",
	"/usr/lib64/libgcc_s.so.1",
	"/usr/lib/libgcc_s.so.1",
};

static bool can_unwind(void)
{
	unsigned i;

	if (!getauxval(AT_BASE)) /* no dynamic loader: it is linked in */
		return true;
	for (i = 0; i < ARRAY_SIZE(unwinders); i++)
		if (syscall(SYS_access, unwinders[i], R_OK) == 0)
			return true;
	return false;
}

static void *wait_for_the_end(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

static void cancel_one(void)
{
	pthread_t thread;

	if (!can_unwind())
		return;
	if (pthread_create(&thread, NULL, wait_for_the_end, NULL))
		return;
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

void cancel_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, cancel_one);
}
