/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The file that shows this process's VMs to others (include/monitor.h). Made at the first VM or handle; without memory or
 * descriptors for it the process runs on with a header that nobody sees.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "posix.h"

/* In a file of the system's making there is no room for records, so active must stay 0. */
static struct monitor unseen;
static struct monitor_file *file; /* under lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char *append(char *to, const char *end, const char *text)
{
	while (*text && to < end - 1)
		*to++ = *text++;
	*to = 0;
	return to;
}

static char *append_number(char *to, const char *end, u32 n)
{
	char digits[12];
	int i = sizeof(digits) - 1;

	digits[i] = 0;
	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return append(to, end, digits + i);
}

/* In the folder that the tracer has made, or in memory. */
static int open_file(const char *folder)
{
	char path[4096], *at, *end = path + sizeof(path);
	int fd = -1, n;

	if (!folder || !*folder)
		return memfd_create(MONITOR_NAME, MFD_CLOEXEC);
	at = append(path, end, folder);
	at = append(at, end, "/" MONITOR_NAME ".");
	at = append_number(at, end, (u32)getpid());
	/* After an exec there is one of this number already. */
	for (n = 0; fd < 0 && n < 100 && (!n || errno == EEXIST); n++) {
		append_number(append(at, end, "."), end, (u32)n);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (fd >= 0)
		return fd;
	host_log(LOG_ERROR, "no trace: cannot make %s (errno %d)", path, errno);
	return memfd_create(MONITOR_NAME, MFD_CLOEXEC);
}

static void fill_header(struct monitor *m, bool trace)
{
	struct timespec now;

	monitor_init(m);
	m->size = sizeof(struct monitor_file);
	m->pid = (u32)getpid();
	clock_gettime(CLOCK_MONOTONIC, &now);
	m->base_tsc = host_tsc();
	m->base_ns = (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
	if (trace) {
		m->trace_until = ~0ull;
		__atomic_store_n(&m->active, MONITOR_TRACE, __ATOMIC_RELEASE);
	}
}

/* The descriptor stays open for watchers to find; nothing here uses it again, so the program may close it. */
static struct monitor_file *make_file(void)
{
	const char *folder = getenv("ANYKVM_TRACE");
	struct rlimit limit;
	int fd, up;
	void *p;

	/* Beyond this limit ftruncate() kills. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < sizeof(struct monitor_file))
		return NULL;
	fd = open_file(folder);
	if (fd < 0)
		return NULL;
	up = fcntl(fd, F_DUPFD_CLOEXEC, 512);
	if (up >= 0) {
		sys_close(fd);
		fd = up;
	}
	if (ftruncate(fd, (off_t)sizeof(struct monitor_file)) < 0) {
		sys_close(fd);
		return NULL;
	}
	p = mmap(NULL, sizeof(struct monitor_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		sys_close(fd);
		return NULL;
	}
	madvise(p, sizeof(struct monitor_file), MADV_DONTDUMP);
	fill_header(p, folder && *folder);
	return p;
}

struct monitor *host_monitor(void)
{
	struct vector_state vectors;
	int saved = errno;
	struct monitor *m;

	vector_save(&vectors);
	fork_watch();
	pthread_mutex_lock(&lock);
	if (!file)
		file = make_file();
	m = file ? &file->header : &unseen;
	pthread_mutex_unlock(&lock);
	vector_restore(&vectors);
	errno = saved;
	return m;
}

/* The parent's VMs are not the child's. What it had mapped stays, for handles that it still holds. */
void monitor_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	file = NULL;
}

struct monitor_vcpu *host_monitor_vcpu_alloc(struct monitor *m)
{
	struct monitor_file *f = container_of(m, struct monitor_file, header);
	struct monitor_vcpu *v;
	u32 i;

	for (i = 0; m != &unseen && i < MONITOR_VCPUS; i++) {
		v = &f->vcpu[i];
		if (__atomic_load_n(&v->used, __ATOMIC_RELAXED) || __atomic_exchange_n(&v->used, 1, __ATOMIC_ACQ_REL))
			continue;
		memset((char *)v + sizeof(v->used), 0, sizeof(*v) - sizeof(v->used));
		return v;
	}
	return host_alloc(sizeof(*v));
}

void host_monitor_vcpu_free(struct monitor_vcpu *v)
{
	/* Not told by its mark: others may write that. */
	if (file && v >= file->vcpu && v < file->vcpu + MONITOR_VCPUS)
		__atomic_store_n(&v->used, 0, __ATOMIC_RELEASE);
	else
		host_free(v);
}

u32 host_thread_id(void)
{
	return (u32)syscall(SYS_gettid);
}
