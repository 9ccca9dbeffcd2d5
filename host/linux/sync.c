/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Locks, sleepable read-copy-update, sleeping and waking. */
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/swait.h>
#include "linux.h"

/* The kernel's objects in the room that sync.h keeps for them. */
static struct mutex *mutex_of(struct host_mutex *m)
{
	BUILD_BUG_ON(sizeof(struct mutex) > sizeof(m->room));
	return (struct mutex *)m->room;
}

/* Raw: taken in timer callbacks and wake-up functions, which run in interrupt context on every kind of kernel. */
static raw_spinlock_t *lock_of(struct host_lock *l)
{
	BUILD_BUG_ON(sizeof(raw_spinlock_t) > sizeof(l->room));
	return (raw_spinlock_t *)l->room;
}

static struct swait_queue_head *queue_of(struct host_wait *w)
{
	BUILD_BUG_ON(sizeof(struct swait_queue_head) > sizeof(w->room));
	return (struct swait_queue_head *)w->room;
}

/*
 * Locks that are made by different callers of an init function are different to lockdep (host.h has their order): the class goes by
 * the return address.
 */
#ifdef CONFIG_LOCKDEP
#define MAX_CLASSES 32

static struct call_site {
	unsigned long site;
	struct lock_class_key key;
} classes[MAX_CLASSES];

static struct lock_class_key *class_of(unsigned long site)
{
	struct call_site *c;

	for (c = classes; c < classes + MAX_CLASSES - 1; c++)
		if (READ_ONCE(c->site) == site || !cmpxchg(&c->site, 0, site) || READ_ONCE(c->site) == site)
			return &c->key;
	return &c->key;
}
#else
static struct lock_class_key *class_of(unsigned long site)
{
	static struct lock_class_key unused;

	return &unused;
}
#endif

void host_mutex_init(struct host_mutex *m)
{
	__mutex_init(mutex_of(m), "anykvm mutex", class_of(_RET_IP_));
}

void host_mutex_lock(struct host_mutex *m)
{
	mutex_lock(mutex_of(m));
}

int host_mutex_lock_killable(struct host_mutex *m)
{
	return mutex_lock_killable(mutex_of(m));
}

bool host_mutex_trylock(struct host_mutex *m)
{
	return mutex_trylock(mutex_of(m));
}

void host_mutex_unlock(struct host_mutex *m)
{
	mutex_unlock(mutex_of(m));
}

void host_mutex_destroy(struct host_mutex *m)
{
	mutex_destroy(mutex_of(m));
}

void host_lock_init(struct host_lock *l)
{
	raw_spin_lock_init(lock_of(l));
	lockdep_set_class(lock_of(l), class_of(_RET_IP_));
}

unsigned long host_lock_acquire(struct host_lock *l) __acquires(lock_of(l))
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock_of(l), flags);
	return flags;
}

void host_lock_release(struct host_lock *l, unsigned long state) __releases(lock_of(l))
{
	raw_spin_unlock_irqrestore(lock_of(l), state);
}

void host_lock_destroy(struct host_lock *l)
{
}

/* --- sleepable read-copy-update -------------------------------------------------------------------- */

int host_srcu_init(struct host_srcu *s)
{
	int err;

	s->kick = NULL;
	s->s = kzalloc(sizeof(struct srcu_struct), GFP_KERNEL_ACCOUNT);
	if (!s->s)
		return -ENOMEM;
	err = init_srcu_struct(s->s);
	if (err)
		kfree(s->s);
	return err;
}

int host_srcu_read_lock(struct host_srcu *s) __acquires(s->s)
{
	return srcu_read_lock(s->s);
}

void host_srcu_read_unlock(struct host_srcu *s, int idx) __releases(s->s)
{
	srcu_read_unlock(s->s, idx);
}

void host_srcu_set_kick(struct host_srcu *s, void (*kick)(void *arg), void *arg)
{
	s->kick = kick;
	s->kick_arg = arg;
}

/* One kick makes it quick; a reader that took the old phase again afterwards leaves with the next timer tick. */
void host_srcu_synchronize(struct host_srcu *s)
{
	if (s->kick)
		s->kick(s->kick_arg);
	synchronize_srcu_expedited(s->s);
}

void host_srcu_destroy(struct host_srcu *s)
{
	cleanup_srcu_struct(s->s);
	kfree(s->s);
}

/* --- waiting --------------------------------------------------------------------------------------- */

void host_wait_init(struct host_wait *w)
{
	init_swait_queue_head(queue_of(w));
}

void host_wait_destroy(struct host_wait *w)
{
}

int host_wait_until(struct host_wait *w, bool (*cond)(void *arg), void *arg, u64 deadline_ns)
{
	ktime_t deadline = ns_to_ktime(deadline_ns);
	DECLARE_SWAITQUEUE(wait);
	int ret = 0;

	for (;;) {
		prepare_to_swait_exclusive(queue_of(w), &wait, TASK_INTERRUPTIBLE);
		if (cond(arg)) {
			ret = 0;
			break;
		}
		if (ret)
			break;
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		/* The condition is looked at once more after the time is over. */
		if (!schedule_hrtimeout(deadline_ns ? &deadline : NULL, HRTIMER_MODE_ABS))
			ret = -ETIMEDOUT;
	}
	finish_swait(queue_of(w), &wait);
	return ret;
}

void host_wake(struct host_wait *w)
{
	if (swq_has_sleeper(queue_of(w)))
		swake_up_one(queue_of(w));
}
