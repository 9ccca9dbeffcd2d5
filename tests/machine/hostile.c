/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A process that means no good: threads that give each ioctl whatever they can think of, on right and wrong files, while others run the
 * vCPUs, take guest memory and mappings away, close, duplicate and send the files, fork and execute. Each life of it ends in the middle,
 * by itself or by SIGKILL; then comes the next. Nothing is expected of any single call. What is expected: each life ends at once when it
 * is killed, the kernel's log stays clean (the script looks), and a VM works at the end.
 * usage: hostile DEVICE SEED LIVES MILLISECONDS     lives of at most so many milliseconds
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "hostile.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define THREADS 4
#define END_SECONDS 60 /* the machine may be slow */
/* As /proc/PID/fail-nth has it: the so-many-th allocation from now on fails. Only kernels for debugging have it. */
#define FAIL_NTH "/proc/thread-self/fail-nth"

struct counts *counts;
uint8_t *area;
int fds[NR_FDS];
struct kvm_run *volatile run[VCPUS];
size_t run_size;
static const char *device;
static char *self;
static bool can_fail; /* allocations */

void count(uint32_t *what)
{
	__atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

/* --- random numbers: xorshift64*, one row for each thread ----------------------------------------------------------- */

static _Thread_local uint64_t seed;

uint64_t any(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1dull;
}

uint32_t below(uint32_t n)
{
	return (uint32_t)(any() >> 32) % n;
}

static void begin_row(uint64_t number)
{
	int i;

	seed = (number + 1) * 0x9e3779b97f4a7c15ull;
	for (i = 0; i < 8; i++)
		any();
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

int fd_of(enum kind kind)
{
	static const uint8_t first[] = { FD_SYSTEM, FD_VM, FD_VCPU, FD_STATS, FD_EVENT, FD_OTHER, NR_FDS };

	if (kind == ANY_FD)
		return fds[below(NR_FDS)];
	return fds[first[kind] + below((uint32_t)(first[kind + 1] - first[kind]))];
}

/* A new file in this place; the old one goes. */
void put_fd(unsigned int at, int fd)
{
	int old;

	if (fd < 0)
		return;
	old = __atomic_exchange_n(&fds[at], fd, __ATOMIC_SEQ_CST);
	if (old >= 0)
		close(old);
}

static void map_vcpu(unsigned int n)
{
	static const int prot[] = { PROT_READ | PROT_WRITE, PROT_READ, PROT_READ | PROT_WRITE | PROT_EXEC, PROT_NONE };
	size_t size = below(4) ? run_size : (size_t)below(80) * PAGE;
	off_t at = below(4) ? 0 : (off_t)(below(8) ? below(80) : any() >> 13) * PAGE;
	void *p = mmap(NULL, size, prot[below(2) ? 0 : below(4)], below(8) ? MAP_SHARED : MAP_PRIVATE, fds[FD_VCPU + n],
		       at);
	void *old;

	if (p == MAP_FAILED)
		return;
	old = run[n];
	run[n] = p;
	/* Others may be using it: they reach it by system calls only. It may have no more than this page. */
	if (old && below(2))
		munmap(old, PAGE);
}

static void new_file(void)
{
	int sv[2];

	switch (below(8)) {
	case 0: put_fd(FD_VM + below(VMS), make_vm()); break;
	case 1: put_fd(FD_STATS + below(STATS), ioctl(fd_of(ANY_FD), KVM_GET_STATS_FD, NULL)); break;
	case 2:
		put_fd(FD_EVENT + below(EVENTS), eventfd(below(3), EFD_NONBLOCK | (below(4) ? 0 : EFD_SEMAPHORE)));
		break;
	case 3: put_fd(FD_OTHER + below(OTHERS), dup(fd_of(ANY_FD))); break;
	case 4:
		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sv) < 0)
			break;
		put_fd(FD_OTHER, sv[0]);
		put_fd(FD_OTHER + 1, sv[1]);
		break;
	case 5: put_fd(FD_OTHER + 2, open(device, O_RDWR | O_CLOEXEC)); break;
	default: {
		unsigned int n = below(VCPUS);

		put_fd(FD_VCPU + n, make_vcpu(fd_of(VM), below(8) ? below(6) : any()));
		map_vcpu(n);
	}
	}
}

static void close_file(void)
{
	int old = __atomic_exchange_n(&fds[1 + below(NR_FDS - 1)], -1, __ATOMIC_SEQ_CST);

	if (old >= 0)
		close(old);
}

/* Through a socket to ourselves; what nobody takes out goes with the socket. */
static void send_file(void)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	int fd;

	memset(&control, 0, sizeof(control));
	control.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS };
	fd = fd_of(ANY_FD);
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	if (below(2)) {
		sendmsg(fds[FD_OTHER], &msg, MSG_DONTWAIT);
		return;
	}
	if (recvmsg(fds[FD_OTHER + 1], &msg, MSG_DONTWAIT) < 0 || msg.msg_controllen < CMSG_LEN(sizeof(int)))
		return;
	memcpy(&fd, CMSG_DATA(&control.align), sizeof(fd));
	put_fd(FD_OTHER + 2 + below(OTHERS - 2), fd);
}

static void read_or_poll(void)
{
	struct pollfd p = { .fd = fd_of(ANY_FD), .events = (short)any() };
	uint64_t word = any() >> below(64);
	char buf[512];

	switch (below(6)) {
	case 0: (void)!pread(p.fd, buf, below(sizeof(buf)), (off_t)(below(2) ? below(4096) : any())); break;
	case 1: (void)!read(fd_of(STATS_FD), bad_pointer(64), below(4096)); break;
	case 2: (void)!write(fd_of(EVENT), &word, sizeof(word)); break;
	case 3: lseek(p.fd, (off_t)any(), (int)below(5)); break;
	case 4: fcntl(p.fd, F_SETFL, (int)any() & (O_NONBLOCK | O_APPEND)); break;
	default: poll(&p, 1, 0); break;
	}
}

/* --- the address space ------------------------------------------------------------------------------------------------- */

static void change_memory(void)
{
	uint8_t *at = area + (size_t)below(AREA / PAGE) * PAGE;
	size_t size = (size_t)(1 + below(below(2) ? 4 : AREA / PAGE)) * PAGE;
	int shared = below(2) ? MAP_PRIVATE : MAP_SHARED;

	if (size > (size_t)(area + AREA - at))
		size = (size_t)(area + AREA - at);
	switch (below(9)) {
	case 0: madvise(at, size, MADV_DONTNEED); break;
	case 1: madvise(at, size, MADV_PAGEOUT); break;
	case 2: madvise(at, size, below(2) ? MADV_HUGEPAGE : MADV_COLLAPSE); break;
	case 3: mprotect(at, size, (int)below(8)); break;
	case 4: munmap(at, size); break;
	case 5: mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, area + (size_t)below(AREA / PAGE) * PAGE); break;
	case 6: /* its own vCPU as guest memory */
		mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fds[FD_VCPU + below(VCPUS)], 0);
		break;
	default: mmap(at, size, PROT_READ | PROT_WRITE, shared | MAP_ANONYMOUS | MAP_FIXED, -1, 0); break;
	}
	fill_area();
}

static void forks(void)
{
	char list[NR_FDS * 12] = "", seed_text[24];
	char *argv[] = { self, "--heir", list, seed_text, NULL };
	pid_t pid;
	int i;

	for (i = 0; i < NR_FDS; i++)
		sprintf(list + strlen(list), "%d ", fds[i]);
	sprintf(seed_text, "%u", below(1u << 30));
	pid = below(4) ? fork() : vfork();
	if (pid)
		return;
	if (seed_text[0] < '4')
		_exit(0);
	for (i = 0; i < NR_FDS; i++)
		fcntl(fds[i], F_SETFD, 0);
	execv("/proc/self/exe", argv);
	_exit(1);
}

/* Another program with our files. */
static int heir(char *list, const char *row)
{
	int i;

	for (i = 0; i < NR_FDS; i++)
		fds[i] = (int)strtol(list, &list, 10);
	begin_row((uint64_t)atol(row));
	make_area();
	for (i = 0; i < 30; i++) {
		call_something();
		map_vcpu(below(VCPUS));
	}
	return 0;
}

/* --- a life -------------------------------------------------------------------------------------------------------------- */

static void set_fail_nth(unsigned int n)
{
	int fd = open(FAIL_NTH, O_WRONLY | O_CLOEXEC);
	char text[12];

	if (fd < 0)
		return;
	if (write(fd, text, (size_t)sprintf(text, "%u", n)) < 0)
		can_fail = false;
	close(fd);
}

static void act(void)
{
	switch (below(24)) {
	case 0: new_file(); break;
	case 1: close_file(); break;
	case 2: send_file(); break;
	case 3: read_or_poll(); break;
	case 4:
	case 5: change_memory(); break;
	case 6: set_slot(); break;
	case 7: scribble(); break;
	case 8:
		if (!below(8))
			forks();
		break;
	case 9: map_vcpu(below(VCPUS)); break;
	case 10:
	case 11:
	case 12:
	case 13:
	case 14:
	case 15: run_something(); break;
	default: call_something(); break;
	}
}

static void *lives(void *number)
{
	begin_row((uint64_t)(uintptr_t)number);
	for (;;) {
		bool fails = can_fail && !below(4);

		if (fails)
			set_fail_nth(1 + below(below(4) ? 12 : 60));
		act();
		if (fails)
			set_fail_nth(0);
	}
	return NULL;
}

static void nothing(int sig)
{
	(void)sig;
}

static void begin(void)
{
	unsigned int i;

	for (i = 0; i < NR_FDS; i++)
		fds[i] = -1;
	fds[FD_SYSTEM] = open(device, O_RDWR | O_CLOEXEC);
	must(fds[FD_SYSTEM] >= 0, device);
	make_area();
	for (i = 0; i < VMS; i++)
		put_fd(FD_VM + i, make_vm());
	for (i = 0; i < EVENTS; i++)
		put_fd(FD_EVENT + i, eventfd(0, EFD_NONBLOCK));
	for (i = 0; i < VCPUS; i++) {
		put_fd(FD_VCPU + i, make_vcpu(fds[FD_VM + i % VMS], i));
		map_vcpu(i);
	}
}

static void sleep_ms(uint32_t ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* Never returns. Some end themselves, their threads in the middle of something; others wait for their end. */
static void life(uint64_t number, uint32_t ms)
{
	struct sigaction ignore = { .sa_handler = nothing };
	pthread_t thread[THREADS];
	uint32_t slept;
	uintptr_t i;

	begin_row(number);
	setpgid(0, 0);
	sigaction(SIGUSR1, &ignore, NULL);
	signal(SIGCHLD, SIG_IGN);
	/* Should it be short of memory, it is the one to go. */
	i = (uintptr_t)open("/proc/self/oom_score_adj", O_WRONLY);
	(void)!write((int)i, "1000", 4);
	close((int)i);
	begin();
	__atomic_store_n(&counts->begun, 1, __ATOMIC_RELEASE);
	for (i = 0; i < THREADS; i++)
		must(pthread_create(&thread[i], NULL, lives, (void *)(number * THREADS + i)) == 0, "pthread_create");
	for (slept = 0; slept < ms; slept += 2) {
		sleep_ms(2);
		pthread_kill(thread[below(THREADS)], SIGUSR1);
	}
	if (below(2))
		_exit(0);
	for (;;)
		pause();
}

/* Is the child gone within END_SECONDS of its death sentence? */
static bool ends(pid_t pid, int *status)
{
	unsigned int i;

	for (i = 0; i < END_SECONDS * 100; i++) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		sleep_ms(10);
	}
	return false;
}

static void one_life(uint64_t number, uint32_t most_ms)
{
	uint32_t ms = 10 + below(most_ms), waited;
	int status;
	pid_t pid;

	counts->begun = 0;
	pid = fork();
	must(pid >= 0, "fork");
	if (!pid)
		life(number, ms);
	for (waited = 0; !__atomic_load_n(&counts->begun, __ATOMIC_ACQUIRE) && waited < END_SECONDS * 1000; waited++)
		sleep_ms(1);
	sleep_ms(ms + 20);
	kill(pid, SIGKILL);
	if (!ends(pid, &status)) {
		fprintf(stderr, "hostile: life %llu (pid %d) cannot be ended\n", (unsigned long long)number, pid);
		exit(1);
	}
	/* Those of its own group: what it has forked. */
	kill(-pid, SIGKILL);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		must(0, "a life did not even begin");
	count(WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL ? &counts->crashed : &counts->lived);
}

int main(int argc, char **argv)
{
	uint32_t i, number, most_ms;
	int keep;

	self = argv[0];
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(counts != MAP_FAILED, "mmap");
	if (argc == 4 && !strcmp(argv[1], "--heir"))
		return heir(argv[2], argv[3]);
	must(argc == 5, "usage: hostile DEVICE SEED LIVES MILLISECONDS");
	device = argv[1];
	number = (uint32_t)atoi(argv[3]);
	most_ms = (uint32_t)atoi(argv[4]);
	can_fail = access(FAIL_NTH, W_OK) == 0;
	/* The module stays in use from first to last. */
	keep = open(device, O_RDWR | O_CLOEXEC);
	must(keep >= 0, device);
	run_size = (size_t)ioctl(keep, KVM_GET_VCPU_MMAP_SIZE, 0);
	begin_row((uint64_t)atol(argv[2]));
	for (i = 0; i < number; i++) {
		if (i % 16 == 0)
			fprintf(stderr, "hostile: life %u\n", i);
		one_life(any() >> 8, most_ms);
	}
	printf("hostile: %u lives, %u ended by themselves' faults; %u calls, %u of them granted; %u runs, %u of them "
	       "to user space%s\n",
	       counts->lived + counts->crashed, counts->crashed, counts->calls, counts->granted, counts->runs,
	       counts->exits, can_fail ? "; allocations failed" : "");
	if (!counts->granted || !counts->exits || counts->crashed == number) {
		fprintf(stderr, "hostile: that was nothing\n");
		return 1;
	}
	return 0;
}
