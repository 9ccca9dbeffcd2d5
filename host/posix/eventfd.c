/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Eventfds of the program, held by a duplicate of the fd. The duplicate keeps the eventfd alive, so its
 * last close by the program cannot be seen: what watches it stays until it is deassigned or the VM ends.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "posix.h"

struct host_eventfd {
	int fd;
	int program_fd; /* the number it came by */
	bool blocking;  /* a write could sleep when the counter is full */
};

/* --- small tools without libc's string functions (vector registers) --------------------------- */

static unsigned put_number(char *at, unsigned n)
{
	char digits[12];
	unsigned i = 0, len;

	do
		digits[i++] = (char)('0' + n % 10);
	while (n /= 10);
	for (len = 0; i; len++)
		at[len] = digits[--i];
	at[len] = 0;
	return len;
}

static bool starts_with(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return false;
	return true;
}

static long poll_now(struct pollfd *p)
{
	return syscall(SYS_poll, p, 1, 0);
}

static bool is_eventfd(int fd)
{
	char path[32] = "/proc/self/fd/", target[32];
	struct stat st;
	ssize_t n;

	put_number(path + 14, (unsigned)fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n >= 0) {
		target[n] = 0;
		return starts_with(target, "anon_inode:[eventfd]");
	}
	/* No /proc: anonymous inodes have no file type; other kinds than eventfds pass as well. */
	return fstat(fd, &st) == 0 && !(st.st_mode & S_IFMT);
}

/* The kernel's number of an eventfd, from its fdinfo; -1 if it does not tell. */
static long eventfd_id(int fd)
{
	char path[40] = "/proc/self/fdinfo/", text[512], *p;
	ssize_t n;
	long id;
	int f;

	put_number(path + 18, (unsigned)fd);
	f = (int)syscall(SYS_open, path, O_RDONLY | O_CLOEXEC);
	if (f < 0)
		return -1;
	n = sys_read(f, text, sizeof(text) - 1);
	sys_close(f);
	if (n <= 0)
		return -1;
	text[n] = 0;
	for (p = text; *p; p++) {
		if (!starts_with(p, "eventfd-id:"))
			continue;
		for (p += 11; *p == ' ' || *p == '\t'; p++)
			;
		for (id = 0; *p >= '0' && *p <= '9'; p++)
			id = id * 10 + (*p - '0');
		return id;
	}
	return -1;
}

/* --- holding ---------------------------------------------------------------------------------- */

static int duplicate(int fd)
{
	/* Away from the numbers that programs expect to get next. */
	int dup = fcntl(fd, F_DUPFD_CLOEXEC, 512);

	if (dup < 0 && (errno == EINVAL || errno == EMFILE))
		dup = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return dup < 0 ? -errno : dup;
}

static int eventfd_get(int fd, struct host_eventfd **e)
{
	int flags = fcntl(fd, F_GETFL), dup;
	struct host_eventfd *new;

	if (flags < 0)
		return -EBADF;
	if (!is_eventfd(fd))
		return -EINVAL;
	dup = duplicate(fd);
	if (dup < 0)
		return dup;
	new = host_alloc(sizeof(*new));
	if (!new) {
		sys_close(dup);
		return -ENOMEM;
	}
	new->fd = dup;
	new->program_fd = fd;
	new->blocking = !(flags & O_NONBLOCK);
	*e = new;
	return 0;
}

int host_eventfd_get(int fd, struct host_eventfd **e)
{
	int saved = errno, ret = eventfd_get(fd, e);

	errno = saved;
	return ret;
}

bool host_eventfd_same(const struct host_eventfd *a, const struct host_eventfd *b)
{
	int saved = errno;
	pid_t pid = (pid_t)syscall(SYS_getpid);
	long r = syscall(SYS_kcmp, pid, pid, KCMP_FILE, a->fd, b->fd), ida, idb;

	if (r < 0) { /* kcmp is often forbidden in containers */
		ida = eventfd_id(a->fd);
		idb = eventfd_id(b->fd);
		r = ida < 0 || idb < 0 ? a->program_fd != b->program_fd : ida != idb;
	}
	errno = saved;
	return r == 0;
}

void host_eventfd_put(struct host_eventfd *e)
{
	int saved = errno;

	if (!e)
		return;
	sys_close(e->fd);
	host_free(e);
	errno = saved;
}

void host_eventfd_signal(struct host_eventfd *e)
{
	struct pollfd p = { .fd = e->fd, .events = POLLOUT };
	const u64 one = 1;
	int saved = errno;

	/* A full counter stays full; it must not put the vCPU to sleep. */
	if (!e->blocking || poll_now(&p) == 1)
		while (sys_write(e->fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	errno = saved;
}

/* --- watching --------------------------------------------------------------------------------- */

struct host_watch {
	struct host_eventfd *e;
	void (*fn)(void *arg);
	void *arg;
	u64 id; /* never used twice: events of the past name nobody */
	struct host_watch *next;
};

#define WATCH_BUCKETS 64
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
/* Under watch_lock: */
static struct host_watch *watches[WATCH_BUCKETS];
static struct host_watch *watch_running;
static u64 next_id;
static int epoll_fd = -1;
static u32 watch_finished; /* a  futex word of host_eventfd_unwatch */

static __thread bool on_watch_thread __attribute__((tls_model("initial-exec")));

/* Take the counter. Never sleeps: another reader may have been faster. */
static bool take_counter(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	u64 count;
	struct iovec iov = { &count, sizeof(count) };
	ssize_t n = syscall(SYS_preadv2, fd, &iov, 1, -1l, -1l, RWF_NOWAIT);

	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == ESPIPE) && poll_now(&p) == 1)
		n = sys_read(fd, &count, sizeof(count));
	return n == sizeof(count);
}

static void handle_event(u64 id)
{
	struct host_watch *w;

	pthread_mutex_lock(&watch_lock);
	for (w = watches[id % WATCH_BUCKETS]; w && w->id != id; w = w->next)
		;
	watch_running = w;
	pthread_mutex_unlock(&watch_lock);
	if (!w)
		return;
	if (take_counter(w->e->fd))
		w->fn(w->arg);
	pthread_mutex_lock(&watch_lock);
	watch_running = NULL;
	__atomic_fetch_add(&watch_finished, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&watch_lock);
	futex_wake(&watch_finished, INT_MAX);
}

static void *watch_thread(void *arg)
{
	struct epoll_event events[32];
	int ep = (int)(intptr_t)arg, i, n;

	on_watch_thread = true;
	prctl(PR_SET_NAME, "anykvm-eventfd");
	for (;;) {
		n = epoll_wait(ep, events, ARRAY_SIZE(events), -1);
		if (n < 0 && errno != EINTR)
			break;
		for (i = 0; i < n; i++)
			handle_event(events[i].data.u64);
	}
	host_log(LOG_ERROR, "eventfds are not watched any more: epoll_wait failed (%d)", errno);
	return NULL;
}

/* Under watch_lock. */
static int start_watching(void)
{
	int ep, up, ret;

	if (epoll_fd >= 0)
		return 0;
	fork_watch();
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		return -errno;
	up = duplicate(ep);
	if (up >= 0) {
		sys_close(ep);
		ep = up;
	}
	ret = host_thread_start(watch_thread, (void *)(intptr_t)ep);
	if (ret < 0) {
		sys_close(ep);
		return ret;
	}
	epoll_fd = ep;
	return 0;
}

/* Under watch_lock. */
static int watch_add(struct host_watch *w)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ret = start_watching();

	if (ret < 0)
		return ret;
	w->id = ev.data.u64 = ++next_id;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->e->fd, &ev) < 0)
		return -errno;
	w->next = watches[w->id % WATCH_BUCKETS];
	watches[w->id % WATCH_BUCKETS] = w;
	return 0;
}

int host_eventfd_watch(struct host_eventfd *e, void (*fn)(void *arg), void *arg, struct host_watch **w)
{
	struct host_watch *new = host_alloc(sizeof(*new));
	int saved = errno, ret;

	if (!new)
		return -ENOMEM;
	new->e = e;
	new->fn = fn;
	new->arg = arg;
	pthread_mutex_lock(&watch_lock);
	ret = watch_add(new);
	pthread_mutex_unlock(&watch_lock);
	if (ret < 0)
		host_free(new);
	else
		*w = new;
	errno = saved;
	return ret;
}

static void forget_watch(struct host_watch *w)
{
	struct host_watch **p;

	for (p = &watches[w->id % WATCH_BUCKETS]; *p; p = &(*p)->next) {
		if (*p == w) {
			*p = w->next;
			return;
		}
	}
}

void host_eventfd_unwatch(struct host_watch *w)
{
	struct epoll_event ev = { 0 };
	int saved = errno;

	pthread_mutex_lock(&watch_lock);
	if (epoll_fd >= 0)
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->e->fd, &ev);
	forget_watch(w);
	while (watch_running == w && !on_watch_thread) {
		u32 seq = __atomic_load_n(&watch_finished, __ATOMIC_SEQ_CST);

		pthread_mutex_unlock(&watch_lock);
		futex_wait(&watch_finished, seq, 0);
		pthread_mutex_lock(&watch_lock);
	}
	pthread_mutex_unlock(&watch_lock);
	host_free(w);
	errno = saved;
}

void eventfd_after_fork(void)
{
	pthread_mutex_init(&watch_lock, NULL);
	memset(watches, 0, sizeof(watches));
	watch_running = NULL;
	if (epoll_fd >= 0)
		sys_close(epoll_fd);
	epoll_fd = -1;
}
