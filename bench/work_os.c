/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Work of the operating system: processes, memory, system calls. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "work.h"

static void fork_exit(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void fork_exec(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl(self, "work", "-exit", (char *)NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static void page_faults(void)
{
	char *p = mmap(NULL, 256 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 256; i++)
		p[i * 4096] = 1;
	munmap(p, 256 * 4096);
}

static void map_unmap(void)
{
	for (int i = 0; i < 20; i++) {
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*p = 1;
		munmap(p, 4096);
	}
}

static void copy_on_write(void)
{
	pid_t pid = fork();

	if (!pid) {
		for (int i = 0; i < 64; i++)
			big1[i * 4096]++;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void system_call(void)
{
	for (int i = 0; i < 100; i++)
		sink += (uint64_t)syscall(SYS_getppid);
}

static void pipe_read_write(void)
{
	static int fd[2];
	char buf[512];

	if (!fd[1] && pipe(fd))
		fail("pipe");
	for (int i = 0; i < 50; i++)
		if (write(fd[1], buf, sizeof(buf)) != sizeof(buf) || read(fd[0], buf, sizeof(buf)) != sizeof(buf))
			fail("pipe");
}

static void *echo_thread(void *arg)
{
	int *fd = arg;
	char c;

	while (read(fd[0], &c, 1) == 1 && write(fd[1], &c, 1) == 1)
		;
	return NULL;
}

static void ping_pong(void)
{
	static int there[2], back[2], ends[2];
	char c = 0;

	if (!there[1]) {
		pthread_t t;

		if (pipe(there) || pipe(back))
			fail("pipe");
		ends[0] = there[0];
		ends[1] = back[1];
		pthread_create(&t, NULL, echo_thread, ends);
	}
	for (int i = 0; i < 20; i++)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			fail("pipe");
}

static void on_signal(int sig)
{
	sink += (uint64_t)sig;
}

static void signals(void)
{
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 50; i++)
		raise(SIGUSR1);
}

/* A small file written, read and removed. */
static void files(void)
{
	static char text[4096];

	for (int i = 0; i < 4; i++) {
		int fd = open("/tmp/anykvm-bench-file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		if (fd < 0 || write(fd, text, sizeof(text)) != sizeof(text) || pread(fd, text, sizeof(text), 0) < 0)
			fail("/tmp/anykvm-bench-file");
		close(fd);
		unlink("/tmp/anykvm-bench-file");
	}
}

static void stat_file(void)
{
	struct stat st;

	for (int i = 0; i < 50; i++)
		if (stat("/proc/self/exe", &st))
			fail("/proc/self/exe");
}

static void read_clock(void)
{
	struct timespec t;

	for (int i = 0; i < 100; i++) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		sink += (uint64_t)t.tv_nsec;
	}
}

static void *nothing(void *arg)
{
	return arg;
}

static void threads(void)
{
	pthread_t t;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL))
			fail("pthread_create");
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	mprotect((void *)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
}

/* Write barriers by page protection, as garbage collectors have them. */
static void protect(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	char *p = big1 + (1 << 20);

	sigaction(SIGSEGV, &action, NULL);
	for (int i = 0; i < 10; i++) {
		mprotect(p + i * 4096, 4096, PROT_READ);
		p[i * 4096] = 1;
	}
	signal(SIGSEGV, SIG_DFL);
}

static const struct workload workloads[] = {
	{ "fork-exit", fork_exit },
	{ "fork-exec", fork_exec },
	{ "page-faults", page_faults },
	{ "mmap", map_unmap },
	{ "copy-on-write", copy_on_write },
	{ "protect", protect },
	{ "getppid", system_call },
	{ "stat", stat_file },
	{ "files", files },
	{ "clock", read_clock },
	{ "pipe", pipe_read_write },
	{ "ping-pong", ping_pong },
	{ "signals", signals },
	{ "threads", threads },
	{ NULL, NULL },
};

const struct workload_class os_class = { "os", workloads, 0 };
