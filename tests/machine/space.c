/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The address space that guest memory is in changes in every way that a process and its kernel have, while a guest writes to that
 * memory: the guest must never write to a page that is not the process's any more, must go on where it can, and KVM_RUN must
 * say EFAULT where it cannot.
 * usage: space DEVICE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "small.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define PAGE 4096ul
#define HUGE (2ul << 20)
#define LOW_SIZE 0x10000ul /* slot 0: the code */
#define GPA 0x400000ul     /* slot 1: what the tests are about */
#define SIZE (2 * HUGE)
#define WAIT_SECONDS 60 /* the machine may be slow */

static const char *device;
static int sys, vm, vcpu;
static uint8_t *low, *mem; /* slots 0 and 1 */
static struct kvm_run *run;
static int passed, failed, skipped;

/* --- a VM ---------------------------------------------------------------------------------------------------------- */

/* 1: inc dword [ebx]; jmp 1b */
static const uint8_t count_code[] = { 0xff, 0x03, 0xeb, 0xfc };
/* 1: mov ebx, GPA; 2: inc dword [ebx]; add ebx, PAGE; cmp ebx, GPA + SIZE; jb 2b; out 0x80, al; jmp 1b */
static const uint8_t sweep_code[] = { 0xbb, 0x00, 0x00, 0x40, 0x00, 0xff, 0x03, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00,
				      0x81, 0xfb, 0x00, 0x00, 0x80, 0x00, 0x72, 0xf0, 0xe6, 0x80, 0xeb, 0xe7 };

static void aim(uint64_t rip, uint64_t rbx)
{
	struct kvm_regs regs = { .rip = rip, .rbx = rbx, .rflags = 0x202 };

	must(ioctl(vcpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
}

static void make_vm(void)
{
	struct kvm_regs regs = { .rflags = 2 };

	sys = small_open(device);
	vm = small_vm(sys);
	low = small_memory(LOW_SIZE);
	memcpy(low + 0x1000, count_code, sizeof(count_code));
	memcpy(low + 0x2000, sweep_code, sizeof(sweep_code));
	small_slot(vm, 0, 0, low, LOW_SIZE, 0);
	vcpu = small_vcpu(vm, 0);
	small_protected(vcpu, &regs);
	run = small_run(sys, vcpu);
}

/* Anonymous memory for slot 1, in place for large pages. */
static void make_memory(void)
{
	uint8_t *at = small_memory(SIZE + HUGE);

	mem = (uint8_t *)(((uintptr_t)at + HUGE - 1) & ~(HUGE - 1));
	small_slot(vm, 1, GPA, mem, SIZE, 0);
}

static void end_memory(void)
{
	small_slot(vm, 1, GPA, mem, 0, 0);
	must(munmap(mem, SIZE) == 0, "munmap");
}

/* --- a thread that runs it -------------------------------------------------------------------------------------------- */

static pthread_t thread;
static volatile int ended, end_errno;

static void nothing(int sig)
{
}

static void *runs(void *unused)
{
	/* Until an error: EINTR when the test is over. */
	while (ioctl(vcpu, KVM_RUN, 0) == 0)
		;
	end_errno = errno;
	ended = 1;
	return NULL;
}

static void start(void)
{
	ended = 0;
	must(pthread_create(&thread, NULL, runs, NULL) == 0, "pthread_create");
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* How it has ended by itself; -1: it has not. */
static int ends(void)
{
	double end = now() + WAIT_SECONDS;

	while (!ended && now() < end)
		usleep(1000);
	if (!ended)
		return -1;
	pthread_join(thread, NULL);
	return end_errno;
}

static int stop(void)
{
	int waited = 0;

	while (!ended && waited++ < WAIT_SECONDS * 100) {
		pthread_kill(thread, SIGUSR1);
		usleep(10000);
	}
	return ends();
}

/* Does the guest write to what is there now? */
static int counts(volatile uint32_t *word)
{
	double end = now() + WAIT_SECONDS;
	uint32_t before = *word;

	while (*word == before)
		if (ended || now() > end)
			return 0;
	return 1;
}

/* The guest counts in the first word of slot 1. */
static void start_counting(void)
{
	aim(0x1000, GPA);
	start();
}

#define EXPECT(cond)                                                                                                   \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			fprintf(stderr, "%s:%d: %s (KVM_RUN: %s)\n", __FILE__, __LINE__, #cond,                        \
				ended ? strerror(end_errno) : "runs");                                                 \
			return 0;                                                                                      \
		}                                                                                                      \
	} while (0)

/* --- the tests: 1 passed, 0 failed, -1 skipped -------------------------------------------------------------------------- */

static int unmapped_and_mapped_again(void)
{
	int i;

	for (i = 0; i < 20; i++) {
		start_counting();
		EXPECT(counts((void *)mem));
		must(munmap(mem, PAGE) == 0, "munmap");
		EXPECT(ends() == EFAULT);
		must(mmap(mem, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == mem,
		     "mmap");
		start();
		EXPECT(counts((void *)mem));
		EXPECT(stop() == EINTR);
	}
	return 1;
}

static int protected_and_allowed_again(void)
{
	static const int prot[] = { PROT_READ, PROT_NONE };
	uint32_t at_end;
	int i;

	for (i = 0; i < 20; i++) {
		start_counting();
		EXPECT(counts((void *)mem));
		must(mprotect(mem, PAGE, prot[i % 2]) == 0, "mprotect");
		EXPECT(ends() == EFAULT);
		must(mprotect(mem, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
		at_end = *(volatile uint32_t *)mem;
		usleep(1000);
		EXPECT(at_end == *(volatile uint32_t *)mem);
		start();
		EXPECT(counts((void *)mem));
		EXPECT(stop() == EINTR);
	}
	return 1;
}

static int moved_away_and_back(void)
{
	uint8_t *elsewhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t word;

	must(elsewhere != MAP_FAILED, "mmap");
	start_counting();
	EXPECT(counts((void *)mem));
	must(mremap(mem, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere) == elsewhere, "mremap");
	EXPECT(ends() == EFAULT);
	word = *(volatile uint32_t *)elsewhere;
	usleep(10000);
	EXPECT(word == *(volatile uint32_t *)elsewhere);
	must(mremap(elsewhere, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mem) == mem, "mremap");
	EXPECT(*(volatile uint32_t *)mem == word);
	start();
	EXPECT(counts((void *)mem));
	EXPECT(stop() == EINTR);
	return 1;
}

/* The child has the page as it was; the guest is the parent's, and so is every write of it. */
static int child(void)
{
	struct kvm_regs regs;
	volatile uint32_t *word = (void *)mem;
	uint32_t was = *word;

	usleep(20000);
	if (*word != was)
		return 1;
	*word = 0xffffffff;
	if (ioctl(vcpu, KVM_GET_REGS, &regs) != -1 || errno != EIO)
		return 2;
	if (ioctl(vm, KVM_CREATE_VCPU, 7) != -1 || errno != EIO)
		return 3;
	return 0;
}

static int forked(void)
{
	int i, status;
	pid_t pid;

	start_counting();
	for (i = 0; i < 30; i++) {
		EXPECT(counts((void *)mem));
		pid = fork();
		must(pid >= 0, "fork");
		if (!pid)
			_exit(child());
		EXPECT(counts((void *)mem));
		must(waitpid(pid, &status, 0) == pid, "waitpid");
		if (status)
			fprintf(stderr, "space: the child's status is %#x\n", status);
		EXPECT(status == 0);
		EXPECT(*(volatile uint32_t *)mem < 0xf0000000);
	}
	EXPECT(stop() == EINTR);
	return 1;
}

static int shared_memory_punched_and_truncated(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC), i;
	volatile uint32_t *other;

	must(fd >= 0 && ftruncate(fd, SIZE) == 0, "memfd");
	other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(other != MAP_FAILED, "mmap");
	must(mmap(mem, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == mem, "mmap");
	start_counting();
	for (i = 0; i < 50; i++) {
		EXPECT(counts(other));
		must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) == 0, "fallocate");
	}
	EXPECT(counts(other));
	must(ftruncate(fd, 0) == 0, "ftruncate");
	EXPECT(ends() == EFAULT);
	must(ftruncate(fd, SIZE) == 0, "ftruncate");
	start();
	EXPECT(counts(other));
	EXPECT(stop() == EINTR);
	munmap((void *)other, PAGE);
	close(fd);
	return 1;
}

static int large_pages(void)
{
	int fd = open("/proc/sys/vm/nr_hugepages", O_WRONLY), i;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB;

	if (fd < 0)
		return -1;
	must(write(fd, "4", 1) == 1, "nr_hugepages");
	for (i = 0; i < 10; i++) {
		must(mmap(mem, SIZE, PROT_READ | PROT_WRITE, flags, -1, 0) == mem, "mmap of large pages");
		start_counting();
		EXPECT(counts((void *)mem));
		must(munmap(mem, HUGE) == 0, "munmap");
		EXPECT(ends() == EFAULT);
	}
	must(mmap(mem, SIZE, PROT_READ | PROT_WRITE, flags & ~MAP_HUGETLB, -1, 0) == mem, "mmap");
	must(write(fd, "0", 1) == 1, "nr_hugepages");
	close(fd);
	return 1;
}

static volatile int over;
static int collapses;

/* Large pages are broken up and put together while the guest goes over them. */
static void *splits(void *unused)
{
	size_t at = 0;

	while (!over) {
		uint8_t *page = mem + at;

		must(mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0, "mprotect");
		usleep(500);
		must(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
		collapses += madvise(mem, SIZE, MADV_COLLAPSE) == 0;
		usleep(500);
		at = (at + 37 * PAGE) % SIZE;
	}
	return NULL;
}

static int large_pages_split_and_collapsed(void)
{
	uint32_t round, rounds = 200;
	pthread_t splitter;
	size_t at;

	must(madvise(mem, SIZE, MADV_HUGEPAGE) == 0, "MADV_HUGEPAGE");
	memset(mem, 0, SIZE);
	aim(0x2000, 0);
	over = collapses = 0;
	must(pthread_create(&splitter, NULL, splits, NULL) == 0, "pthread_create");
	for (round = 1; round <= rounds; round++) {
		must(ioctl(vcpu, KVM_RUN, 0) == 0 && run->exit_reason == KVM_EXIT_IO, "KVM_RUN");
		for (at = 0; at < SIZE; at += PAGE)
			if (*(volatile uint32_t *)(mem + at) != round)
				break;
		if (at != SIZE)
			break;
	}
	over = 1;
	pthread_join(splitter, NULL);
	if (round <= rounds)
		fprintf(stderr, "space: round %u: %#zx has %u\n", round, at, *(uint32_t *)(mem + at));
	EXPECT(round > rounds);
	EXPECT(collapses > 0);
	return 1;
}

/* A page of user space's own choice, while the guest waits for it. */
static int pages_by_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), i;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)mem, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	static uint32_t page[PAGE / 4] __attribute__((aligned(4096)));

	if (fd < 0 && errno == ENOSYS)
		return -1;
	must(fd >= 0, "userfaultfd");
	must(ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &reg) == 0, "UFFDIO_REGISTER");
	must(madvise(mem, PAGE, MADV_DONTNEED) == 0, "madvise");
	start_counting();
	for (i = 1; i <= 20; i++) {
		struct uffdio_copy copy = { .dst = (uintptr_t)mem, .src = (uintptr_t)page, .len = PAGE };
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct uffd_msg msg;

		EXPECT(poll(&p, 1, WAIT_SECONDS * 1000) == 1);
		must(read(fd, &msg, sizeof(msg)) == sizeof(msg), "read of the userfaultfd");
		EXPECT(msg.event == UFFD_EVENT_PAGEFAULT &&
		       (msg.arg.pagefault.address & ~(PAGE - 1)) == (uintptr_t)mem);
		page[0] = (uint32_t)i << 24;
		must(ioctl(fd, UFFDIO_COPY, &copy) == 0, "UFFDIO_COPY");
		EXPECT(counts((void *)mem));
		EXPECT(*(volatile uint32_t *)mem >= page[0]);
		must(i == 20 || madvise(mem, PAGE, MADV_DONTNEED) == 0, "madvise");
	}
	EXPECT(stop() == EINTR);
	close(fd);
	return 1;
}

/* What a checkpoint goes by: is the page marked when the guest has written to it? */
static int writes_are_seen_by_soft_dirty(void)
{
	int clear = open("/proc/self/clear_refs", O_WRONLY), map = open("/proc/self/pagemap", O_RDONLY), i;
	off_t at = (off_t)((uintptr_t)mem / PAGE * 8);
	uint64_t entry;

	if (clear < 0 || map < 0)
		return -1;
	*(volatile uint32_t *)mem = 1;
	must(pread(map, &entry, 8, at) == 8, "pagemap");
	if (!(entry >> 55 & 1))
		return -1;
	start_counting();
	for (i = 0; i < 50; i++) {
		must(write(clear, "4", 1) == 1, "clear_refs");
		EXPECT(counts((void *)mem));
		must(pread(map, &entry, 8, at) == 8, "pagemap");
		EXPECT(entry >> 55 & 1);
	}
	EXPECT(stop() == EINTR);
	close(clear);
	close(map);
	return 1;
}

/* The files of a VM outlive its address space, in another process. */
static int files_outlive_the_process(void)
{
	int done[2], status, result = 1;
	struct kvm_regs regs;
	pid_t pid;

	must(pipe(done) == 0, "pipe");
	pid = fork();
	must(pid >= 0, "fork");
	if (!pid) {
		make_vm();
		make_memory();
		start_counting();
		if (!counts((void *)mem))
			_exit(1);
		pid = fork();
		if (pid)
			_exit(pid < 0);
		while (getppid() != 1)
			usleep(1000);
		result = ioctl(vcpu, KVM_GET_REGS, &regs) == -1 && errno == EIO ? 0 : 1;
		_exit(write(done[1], &result, sizeof(result)) != sizeof(result));
	}
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	EXPECT(status == 0);
	must(read(done[0], &result, sizeof(result)) == sizeof(result), "read of a pipe");
	close(done[0]);
	close(done[1]);
	EXPECT(result == 0);
	return 1;
}

/* /proc/keys has a line with this name. */
static int key_seen(const char *name)
{
	char line[256];
	FILE *f = fopen("/proc/keys", "r");
	int seen = 0;

	must(f != NULL, "/proc/keys");
	while (fgets(line, sizeof(line), f))
		seen |= strstr(line, name) != NULL;
	fclose(f);
	return seen;
}

/*
 * What the kernel has for a thread to do before it returns to user space is not put off for as long as its guest runs: a child gives
 * its parent, which is in KVM_RUN all the time, another session keyring, and the one that the parent had goes.
 */
static int work_of_the_thread_is_done(void)
{
	double end = now() + WAIT_SECONDS;
	int status, seen;
	pid_t pid;

	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "space-old") < 0)
		return -1;
	EXPECT(key_seen("space-old"));
	aim(0x1000, GPA);
	pid = fork();
	must(pid >= 0, "fork");
	if (!pid) {
		must(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "space-new") >= 0, "keyctl");
		must(syscall(SYS_keyctl, KEYCTL_SESSION_TO_PARENT) == 0, "keyctl");
		while ((seen = key_seen("space-old")) && now() < end)
			usleep(10000);
		kill(getppid(), SIGUSR1);
		_exit(seen);
	}
	EXPECT(ioctl(vcpu, KVM_RUN, 0) == -1 && errno == EINTR);
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	EXPECT(status == 0);
	return 1;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ok;

	if (fd < 0)
		return 0;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* /sys/fs/cgroup is mounted. The guest takes more than its VMM may have: the kernel kills that, and gets everything back. */
static int out_of_memory(void)
{
	const size_t size = 256ul << 20;
	int status;
	pid_t pid;

	if (mkdir("/sys/fs/cgroup/space", 0755) && errno != EEXIST)
		return -1;
	if (!put("/sys/fs/cgroup/cgroup.subtree_control", "+memory") ||
	    !put("/sys/fs/cgroup/space/memory.max", "33554432"))
		return -1;
	put("/sys/fs/cgroup/space/memory.swap.max", "0");
	pid = fork();
	must(pid >= 0, "fork");
	if (!pid) {
		/* 1: inc dword [ebx]; add ebx, PAGE; jmp 1b */
		static const uint8_t take[] = { 0xff, 0x03, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00, 0xeb, 0xf6 };

		must(put("/sys/fs/cgroup/space/cgroup.procs", "0"), "cgroup.procs");
		make_vm();
		memcpy(low + 0x3000, take, sizeof(take));
		mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		must(mem != MAP_FAILED, "mmap");
		small_slot(vm, 1, GPA, mem, size, 0);
		aim(0x3000, GPA);
		ioctl(vcpu, KVM_RUN, 0);
		_exit(1);
	}
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	rmdir("/sys/fs/cgroup/space");
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return 1;
}

static const struct test {
	const char *name;
	int (*run)(void);
} tests[] = {
#define TEST(f)                                                                                                        \
	{                                                                                                              \
#f, f                                                                                                  \
	}
	TEST(unmapped_and_mapped_again),
	TEST(protected_and_allowed_again),
	TEST(moved_away_and_back),
	TEST(forked),
	TEST(large_pages),
	TEST(large_pages_split_and_collapsed),
	TEST(pages_by_userfaultfd),
	TEST(writes_are_seen_by_soft_dirty),
	TEST(files_outlive_the_process),
	TEST(work_of_the_thread_is_done),
	TEST(out_of_memory),
	TEST(shared_memory_punched_and_truncated),
};

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = nothing };
	size_t i;

	must(argc == 2, "usage: space DEVICE");
	device = argv[1];
	sigaction(SIGUSR1, &sa, NULL);
	make_vm();
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		int r;

		make_memory();
		r = tests[i].run();
		passed += r > 0;
		failed += r == 0;
		skipped += r < 0;
		printf("%s space: %s\n", r > 0 ? "PASS" : r ? "SKIP" : "FAIL", tests[i].name);
		fflush(stdout);
		/* The guest may still run in whatever memory there was. */
		if (!r)
			break;
		end_memory();
	}
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed != 0;
}
