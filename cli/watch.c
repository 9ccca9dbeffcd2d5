/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "message.h"

static bool known(const struct watched *list, const struct stat *st)
{
	for (; list; list = list->next) {
		if (list->dev == st->st_dev && list->ino == st->st_ino)
			return true;
	}
	return false;
}

static bool valid(const struct monitor *m)
{
	return m->magic == MONITOR_MAGIC && m->version == MONITOR_VERSION && m->size == sizeof(struct monitor_file);
}

static void read_name(struct watched *w)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", w->pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(w->name, sizeof(w->name), f))
		w->name[strcspn(w->name, "\n")] = 0;
	fclose(f);
}

/* 1: added; 0: there already, or not ready yet; -1: not such a file (errno 0), or errno. */
static int add(struct watched **list, const char *path, pid_t pid)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK), err;
	struct watched *w;
	struct stat st;
	void *p;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(struct monitor_file) || known(*list, &st)) {
		bool again = st.st_size == (off_t)sizeof(struct monitor_file);

		close(fd);
		errno = 0;
		return again ? 0 : -1;
	}
	p = mmap(NULL, sizeof(struct monitor_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	err = errno;
	close(fd);
	errno = err;
	if (p == MAP_FAILED)
		return -1;
	w = valid(p) ? calloc(1, sizeof(*w)) : NULL;
	if (!w) {
		munmap(p, sizeof(struct monitor_file));
		errno = 0;
		return -1;
	}
	w->pid = pid;
	w->dev = st.st_dev;
	w->ino = st.st_ino;
	w->file = p;
	if (pid)
		read_name(w);
	while (*list)
		list = &(*list)->next;
	*list = w;
	return 1;
}

bool watch_add_file(struct watched **list, const char *path, bool loud)
{
	int r = add(list, path, 0);

	if (r < 0 && loud)
		message("%s: %s", path, errno ? strerror(errno) : "not a trace of this version of anykvm");
	return r > 0;
}

/* The process's descriptors that are such files. */
static unsigned find_in(struct watched **list, pid_t pid, bool *denied)
{
	char folder[64], path[512], target[256];
	struct dirent *e;
	unsigned found = 0;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", pid);
	dir = opendir(folder);
	if (!dir) {
		if (denied && errno == EACCES)
			*denied = true;
		return 0;
	}
	while ((e = readdir(dir))) {
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		if (strstr(target, MONITOR_NAME))
			found += add(list, path, pid) > 0;
	}
	closedir(dir);
	return found;
}

unsigned watch_find(struct watched **list, pid_t pid, bool *denied)
{
	struct dirent *e;
	unsigned found = 0;
	DIR *proc;

	if (pid)
		return find_in(list, pid, denied);
	proc = opendir("/proc");
	if (!proc)
		return 0;
	while ((e = readdir(proc))) {
		pid = atoi(e->d_name);
		if (pid > 0 && pid != getpid())
			found += find_in(list, pid, denied);
	}
	closedir(proc);
	return found;
}

static void drop(struct watched **at)
{
	struct watched *w = *at;

	*at = w->next;
	munmap(w->file, sizeof(*w->file));
	free(w);
}

void watch_drop_dead(struct watched **list)
{
	while (*list) {
		if ((*list)->pid && kill((*list)->pid, 0) < 0 && errno == ESRCH)
			drop(list);
		else
			list = &(*list)->next;
	}
}

void watch_free(struct watched **list)
{
	while (*list)
		drop(list);
}

/* --- asking --------------------------------------------------------------------------------------------------- */

static double monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Also with a file made this moment: the shorter the time since, the more is measured now. */
double watch_ticks_per_ns(const struct watched *w)
{
	const struct timespec wait = { .tv_nsec = 5000000 };
	double ns = monotonic_ns() - (double)w->file->header.base_ns;

	if (ns < 5e6)
		nanosleep(&wait, NULL);
	ns = monotonic_ns() - (double)w->file->header.base_ns;
	return (double)(__rdtsc() - w->file->header.base_tsc) / ns;
}

double watch_instant(const struct watched *w, uint64_t tsc)
{
	double ticks = (double)(int64_t)(tsc - w->file->header.base_tsc);

	return (double)w->file->header.base_ns + ticks / watch_ticks_per_ns(w);
}

void watch_ask(struct watched *w, unsigned what, double seconds)
{
	struct monitor *m = &w->file->header;
	uint64_t until = __rdtsc() + (uint64_t)(seconds * 1e9 * watch_ticks_per_ns(w));

	__atomic_store_n(what == MONITOR_TIMES ? &m->times_until : &m->trace_until, until, __ATOMIC_RELAXED);
	if (__atomic_load_n(&m->active, __ATOMIC_RELAXED) & what)
		return;
	__atomic_fetch_add(&m->epoch, 1, __ATOMIC_RELAXED);
	__atomic_fetch_or(&m->active, what, __ATOMIC_RELEASE);
}

void watch_stop(struct watched *w, unsigned what)
{
	__atomic_fetch_and(&w->file->header.active, ~what, __ATOMIC_RELAXED);
}
