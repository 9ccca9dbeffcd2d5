/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Locks. In user space a host_lock is a mutex as well: its holders run in threads only, never in signal handlers. */
#include "posix.h"

void host_mutex_init(struct host_mutex *m)
{
	pthread_mutex_init(&m->m, NULL);
}

void host_mutex_lock(struct host_mutex *m)
{
	pthread_mutex_lock(&m->m);
}

int host_mutex_lock_killable(struct host_mutex *m)
{
	/* A fatal signal ends the whole process here, lock or not. */
	pthread_mutex_lock(&m->m);
	return 0;
}

bool host_mutex_trylock(struct host_mutex *m)
{
	return pthread_mutex_trylock(&m->m) == 0;
}

void host_mutex_unlock(struct host_mutex *m)
{
	pthread_mutex_unlock(&m->m);
}

void host_mutex_destroy(struct host_mutex *m)
{
	pthread_mutex_destroy(&m->m);
}

void host_lock_init(struct host_lock *l)
{
	pthread_mutex_init(&l->m, NULL);
}

unsigned long host_lock_acquire(struct host_lock *l)
{
	pthread_mutex_lock(&l->m);
	return 0;
}

void host_lock_release(struct host_lock *l, unsigned long state)
{
	pthread_mutex_unlock(&l->m);
}

void host_lock_destroy(struct host_lock *l)
{
	pthread_mutex_destroy(&l->m);
}
