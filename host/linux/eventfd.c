/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Eventfds of the caller. */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include "linux.h"

struct host_eventfd {
	struct eventfd_ctx *ctx;
	struct file *file; /* a watch polls it */
};

int host_eventfd_get(int fd, struct host_eventfd **out)
{
	struct host_eventfd *e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	int err;

	if (!e)
		return -ENOMEM;
	e->file = fget(fd);
	err = -EBADF;
	if (!e->file)
		goto no_file;
	e->ctx = eventfd_ctx_fileget(e->file);
	err = PTR_ERR(e->ctx);
	if (IS_ERR(e->ctx))
		goto no_eventfd;
	*out = e;
	return 0;

no_eventfd:
	fput(e->file);
no_file:
	kfree(e);
	return err;
}

bool host_eventfd_same(const struct host_eventfd *a, const struct host_eventfd *b)
{
	return a->ctx == b->ctx;
}

void host_eventfd_put(struct host_eventfd *e)
{
	if (!e)
		return;
	eventfd_ctx_put(e->ctx);
	fput(e->file);
	kfree(e);
}

void host_eventfd_signal(struct host_eventfd *e)
{
	eventfd_signal(e->ctx, 1);
}

/* --- watching -------------------------------------------------------------------------------------- */

struct host_watch {
	struct host_eventfd *e;
	void (*fn)(void *arg);
	void *arg;
	wait_queue_entry_t wait;
	poll_table poll;
	bool queued;
};

/* In the writer's context, under the eventfd's lock, interrupts off. */
static int written(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct host_watch *w = container_of(wait, struct host_watch, wait);
	u64 count;

	if (key_to_poll(key) & EPOLLIN) {
		eventfd_ctx_do_read(w->e->ctx, &count);
		w->fn(w->arg);
	}
	return 0;
}

static void enqueue(struct file *file, wait_queue_head_t *head, poll_table *poll)
{
	struct host_watch *w = container_of(poll, struct host_watch, poll);

	add_wait_queue_priority(head, &w->wait);
	w->queued = true;
}

int host_eventfd_watch(struct host_eventfd *e, void (*fn)(void *arg), void *arg, struct host_watch **out)
{
	struct host_watch *w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);

	if (!w)
		return -ENOMEM;
	w->e = e;
	w->fn = fn;
	w->arg = arg;
	init_waitqueue_func_entry(&w->wait, written);
	init_poll_funcptr(&w->poll, enqueue);
	/* What was written before the watch began counts as well; the counter is taken with the next write. */
	if (vfs_poll(e->file, &w->poll) & EPOLLIN)
		fn(arg);
	*out = w;
	return 0;
}

void host_eventfd_unwatch(struct host_watch *w)
{
	u64 count;

	if (w->queued)
		eventfd_ctx_remove_wait_queue(w->e->ctx, &w->wait, &count);
	kfree(w);
}
