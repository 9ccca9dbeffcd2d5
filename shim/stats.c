/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Content for statistics descriptors. See stats.h. */
#include "stats.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static bool wanted; /* constant after stats_start() */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shim_object *list; /* under lock; its head is looked at without */

void stats_start(void)
{
	wanted = true;
}

/* Under lock. */
static void write_content(const struct shim_object *o)
{
	char buf[1024];
	off_t at = 0;
	long n;

	while ((n = anykvm_pread(o->handle, buf, sizeof(buf), at)) > 0) {
		if (pwrite(o->content, buf, (size_t)n, at) != n)
			return;
		at += n;
	}
}

void stats_made(struct shim_object *o, int fd)
{
	if (!wanted)
		return;
	/* Away from the numbers that programs expect to get next. */
	o->content = fcntl(fd, F_DUPFD_CLOEXEC, 512);
	if (o->content < 0)
		return;
	pthread_mutex_lock(&lock);
	write_content(o);
	o->next_read = list;
	__atomic_store_n(&list, o, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
}

void stats_refresh(void)
{
	if (!__atomic_load_n(&list, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&lock);
	for (struct shim_object *o = list; o; o = o->next_read) {
		/* An object of the parent's that this process has inherited keeps its values. */
		if (!shim_foreign(o))
			write_content(o);
	}
	pthread_mutex_unlock(&lock);
}

void stats_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
}

void stats_forget(struct shim_object *o)
{
	if (o->content < 0)
		return;
	pthread_mutex_lock(&lock);
	for (struct shim_object **p = &list; *p; p = &(*p)->next_read) {
		if (*p == o) {
			__atomic_store_n(p, o->next_read, __ATOMIC_RELAXED);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	close(o->content);
}
