/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Descriptors of the process and the library's objects. See fdtable.h. */
#include "fdtable.h"
#include "stats.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Two levels, the second made on demand and never freed, so that look-ups need no lock. */
#define PAGE_BITS 10
#define PAGE_FDS (1 << PAGE_BITS)
#define PAGES 1024

typedef struct shim_object *shim_page[PAGE_FDS];
static shim_page *pages[PAGES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* binding and unbinding */
static unsigned fork_generation;
static pid_t owner;     /* of this memory; 0: shim_start has not run */
static bool *inherited; /* true in the owner and in children that share its memory; a copy reads as false */

/*
 * A child of vfork() runs in its parent's memory, with descriptors of its own: what it closes before it executes another
 * program must stay in its parent's table. A child by a raw clone(), which no fork handler sees, has a copy: it is counted
 * here.
 */
static bool in_borrowed_memory(void)
{
	if (!owner || getpid() == owner)
		return false;
	if (inherited && *inherited)
		return true;
	shim_count_fork();
	return false;
}

static struct shim_object **slot_of(int fd)
{
	shim_page *page;

	if (fd < 0 || fd >= PAGES * PAGE_FDS)
		return NULL;
	page = __atomic_load_n(&pages[fd >> PAGE_BITS], __ATOMIC_ACQUIRE);
	return page ? &(*page)[fd & (PAGE_FDS - 1)] : NULL;
}

/*
 * A descriptor that is looked up while another thread closes it may still find the object: the lock makes the
 * reference safe. It is only taken for our own descriptors.
 */
struct shim_object *shim_get(int fd)
{
	struct shim_object **slot = slot_of(fd), *o;

	if (!slot || !__atomic_load_n(slot, __ATOMIC_RELAXED))
		return NULL;
	pthread_mutex_lock(&lock);
	o = *slot;
	if (o)
		__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
	return o;
}

static bool stands_for(const struct stat *st, const struct shim_object *o)
{
	return st->st_ino == o->ino && st->st_dev == o->dev;
}

struct shim_object *shim_get_checked(int fd)
{
	struct shim_object *o = shim_get(fd);
	int saved = errno;
	struct stat st;

	if (!o || (!syscall(SYS_fstat, fd, &st) && stands_for(&st, o)))
		return o;
	shim_put(o);
	shim_unbind(fd);
	errno = saved;
	return NULL;
}

/* Under the lock. */
static struct shim_object *find_on_page(const shim_page *page, const struct stat *st)
{
	for (int i = 0; page && i < PAGE_FDS; i++)
		if ((*page)[i] && stands_for(st, (*page)[i]))
			return (*page)[i];
	return NULL;
}

struct shim_object *shim_find(const struct stat *st)
{
	struct shim_object *o = NULL;

	pthread_mutex_lock(&lock);
	for (int i = 0; !o && i < PAGES; i++)
		o = find_on_page(pages[i], st);
	if (o)
		__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
	return o;
}

void shim_put(struct shim_object *o)
{
	if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL))
		return;
	stats_forget(o);
	/* A child that inherited the object owns neither its threads nor its memory: leave them alone. */
	if (!shim_foreign(o))
		anykvm_close(o->handle);
	free(o);
}

int shim_bind(int fd, struct shim_object *o)
{
	struct shim_object **slot, *old;

	if (fd < 0 || fd >= PAGES * PAGE_FDS)
		return -EMFILE;
	if (in_borrowed_memory())
		return 0;
	pthread_mutex_lock(&lock);
	if (!pages[fd >> PAGE_BITS]) {
		shim_page *page = calloc(1, sizeof(*page));

		if (!page) {
			pthread_mutex_unlock(&lock);
			return -ENOMEM;
		}
		__atomic_store_n(&pages[fd >> PAGE_BITS], page, __ATOMIC_RELEASE);
	}
	slot = slot_of(fd);
	old = *slot;
	__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
	__atomic_store_n(slot, o, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	if (old)
		shim_put(old);
	return 0;
}

void shim_unbind(int fd)
{
	struct shim_object **slot = slot_of(fd), *o;

	if (!slot || !__atomic_load_n(slot, __ATOMIC_RELAXED) || in_borrowed_memory())
		return;
	pthread_mutex_lock(&lock);
	o = *slot;
	__atomic_store_n(slot, NULL, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	if (o)
		shim_put(o);
}

struct shim_object *shim_object_new(int fd, enum shim_kind kind, struct anykvm_handle *handle)
{
	struct shim_object *o = malloc(sizeof(*o));
	struct stat st;

	if (!o || syscall(SYS_fstat, fd, &st)) {
		free(o);
		return NULL;
	}
	*o = (struct shim_object){ .kind = kind,
				   .refs = 1,
				   .handle = handle,
				   .dev = st.st_dev,
				   .ino = st.st_ino,
				   .fork_generation = fork_generation,
				   .content = -1 };
	return o;
}

bool shim_foreign(const struct shim_object *o)
{
	in_borrowed_memory();
	return o->fork_generation != fork_generation;
}

void shim_start(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED && madvise(page, 4096, MADV_WIPEONFORK) == 0) {
		inherited = page;
		*inherited = true;
	}
	owner = getpid();
}

void shim_count_fork(void)
{
	/* Other threads, which the child has not, may have held them. */
	pthread_mutex_init(&lock, NULL);
	stats_after_fork();
	if (inherited)
		*inherited = true;
	owner = getpid();
	fork_generation++;
}
