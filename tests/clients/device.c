/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * device.c - what a program may do with /dev/kvm and its descriptors beside KVM's ioctls; run through `anykvm run`, and on a
 * machine with KVM as it is. Prints the first difference; exit status 0: none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

extern char **environ;

/* Has anykvm-inject started this program? */
static bool injected(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		found |= strstr(line, "/anykvm-inject") != NULL;
	fclose(maps);
	return found;
}

static void check_node(void)
{
	struct stat st;
	struct statx stx;
	int fd;

	CHECK(access("/dev/kvm", R_OK | W_OK) == 0);
	CHECK(faccessat(AT_FDCWD, "/dev/kvm", R_OK | W_OK, 0) == 0);
	CHECK(stat("/dev/kvm", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 232));
	CHECK(statx(AT_FDCWD, "/dev/kvm", 0, STATX_BASIC_STATS, &stx) == 0 && S_ISCHR(stx.stx_mode));
	CHECK(open("/dev/kvm", O_RDWR | O_DIRECTORY) == -1 && errno == ENOTDIR);
	CHECK(open("/dev/kvm", O_RDWR | O_CREAT | O_EXCL, 0600) == -1 && errno == EEXIST);
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(fstat(fd, &st) == 0 && S_ISCHR(st.st_mode));
	CHECK(close(fd) == 0);
	CHECK(ioctl(fd, KVM_GET_API_VERSION, 0) == -1 && errno == EBADF);
	fd = openat(AT_FDCWD, "/dev/kvm", O_RDWR);
	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == 0);
	CHECK(ioctl(fd, KVM_GET_API_VERSION, 0) == 12);
	/* KVM's answer to a stranger's ioctl (TCGETS); the stand-in's own where only KVM's are caught. */
	CHECK(ioctl(fd, 0x5401, &st) == -1 && errno == (injected() ? ENOTTY : EINVAL));
	CHECK(close(fd) == 0);
}

/* Owner and mode of the node, as libvirtd sets them for its private /dev. Where it is a file, it stays as it was. */
static void check_owner(void)
{
	struct stat before, st;
	bool changed, seen;

	if (geteuid() || injected())
		return;
	CHECK(stat("/dev/kvm", &before) == 0);
	changed = chown("/dev/kvm", 12, 34) == 0 && chmod("/dev/kvm", 0640) == 0;
	seen = stat("/dev/kvm", &st) == 0;
	/* Before anything is checked: it may be the machine's own. */
	CHECK(chown("/dev/kvm", before.st_uid, before.st_gid) == 0 && chmod("/dev/kvm", before.st_mode & 0777) == 0);
	CHECK(changed && seen && st.st_uid == 12 && st.st_gid == 34 && st.st_mode == (S_IFCHR | 0640));
	CHECK(mknod("/dev/kvm", S_IFCHR | 0600, makedev(10, 232)) == -1 && errno == EEXIST);
}

/* close() as no library sees it. */
static long hidden_close(int fd)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_close), "D"((long)fd) : "rcx", "r11", "memory");
	return r;
}

/* Other files are untouched: a number that was ours and is a plain file's now. */
static void check_reuse(void)
{
	int kvm = open("/dev/kvm", O_RDWR), file;
	char c;

	CHECK(hidden_close(kvm) == 0);
	file = open("/dev/zero", O_RDONLY);
	CHECK(file == kvm && read(file, &c, 1) == 1 && c == 0);
	CHECK(close(file) == 0);
	kvm = open("/dev/kvm", O_RDWR);

	CHECK(close(kvm) == 0);
	file = open("/dev/zero", O_RDONLY);
	CHECK(file == kvm && read(file, &c, 1) == 1 && c == 0);
	CHECK(ioctl(file, KVM_GET_API_VERSION, 0) == -1 && errno == ENOTTY);
	CHECK(close(file) == 0);
}

static void check_duplicates(void)
{
	int kvm = open("/dev/kvm", O_RDWR), a, b, c, vm;

	a = dup(kvm);
	b = fcntl(kvm, F_DUPFD_CLOEXEC, 100);
	c = dup2(kvm, 90);
	CHECK(a >= 0 && b >= 100 && c == 90);
	CHECK(close(kvm) == 0);
	CHECK(ioctl(a, KVM_GET_API_VERSION, 0) == 12);
	CHECK(ioctl(b, KVM_GET_API_VERSION, 0) == 12 && fcntl(b, F_GETFD) == FD_CLOEXEC);
	vm = ioctl(c, KVM_CREATE_VM, 0);
	CHECK(vm >= 0 && fcntl(vm, F_GETFD) == FD_CLOEXEC);
	CHECK(dup2(STDIN_FILENO, c) == c);
	CHECK(ioctl(c, KVM_GET_API_VERSION, 0) == -1);
	CHECK(close_range(90, 200, 0) == 0);
	CHECK(ioctl(b, KVM_GET_API_VERSION, 0) == -1 && errno == EBADF);
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) > 0);
	CHECK(close(a) == 0 && close(vm) == 0);
}

/* Another program's descriptors have arrived here: the device is as good as one's own, a VM stays with its maker. */
static void use_arrived(int kvm, int vm)
{
	struct kvm_userspace_memory_region slot = { .memory_size = 4096 };
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	struct statx stx;
	struct stat st;
	int vcpu, copy;
	char *mem;

	CHECK(fstat(kvm, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 232));
	CHECK(statx(kvm, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0 && S_ISCHR(stx.stx_mode));
	CHECK(ioctl(vm, KVM_CREATE_VCPU, 1) == -1 && errno == EIO);
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP) == -1 && errno == EIO);
	copy = dup(kvm);
	vm = ioctl(copy, KVM_CREATE_VM, 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	CHECK(close(copy) == 0 && vcpu >= 0);
	run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(run != MAP_FAILED && mem != MAP_FAILED);
	mem[0] = (char)0xf4;
	slot.userspace_addr = (unsigned long)mem;
	CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0 && ioctl(vcpu, KVM_GET_SREGS, &sregs) == 0);
	sregs.cs.base = sregs.cs.selector = 0;
	CHECK(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0 && ioctl(vcpu, KVM_SET_REGS, &regs) == 0);
	CHECK(ioctl(vcpu, KVM_RUN, 0) == 0 && run->exit_reason == KVM_EXIT_HLT);
	CHECK(close(vcpu) == 0 && close(vm) == 0);
}

#define TWO_FDS (2 * sizeof(int))

static void send_two(int socket, const int fds[2])
{
	char byte = 0, control[CMSG_SPACE(TWO_FDS)] = { 0 };
	struct iovec io = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	*h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(TWO_FDS), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(h), fds, TWO_FDS);
	CHECK(sendmsg(socket, &m, 0) == 1);
}

static void receive_two(int socket, int fds[2])
{
	char byte, control[CMSG_SPACE(TWO_FDS)];
	struct iovec io = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};

	CHECK(recvmsg(socket, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m));
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), TWO_FDS);
}

/* What a launcher does that opens the device for a program with fewer rights. */
static void arrived(int inherited_kvm, int inherited_vm, int socket)
{
	int fds[2];

	use_arrived(inherited_kvm, inherited_vm);
	receive_two(socket, fds);
	use_arrived(fds[0], fds[1]);
}

static void check_arrival(const char *self)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0), pair[2], status;
	char numbers[3][16];
	char *argv[] = { (char *)self, numbers[0], numbers[1], numbers[2], NULL };
	pid_t pid;

	CHECK(vm >= 0 && fcntl(vm, F_SETFD, 0) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	send_two(pair[0], (int[]){ kvm, vm });
	snprintf(numbers[0], sizeof(numbers[0]), "%d", kvm);
	snprintf(numbers[1], sizeof(numbers[1]), "%d", vm);
	snprintf(numbers[2], sizeof(numbers[2]), "%d", pair[1]);
	CHECK(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(ioctl(vm, KVM_CREATE_VCPU, 0) >= 0);
	CHECK(close(pair[0]) == 0 && close(pair[1]) == 0 && close(vm) == 0 && close(kvm) == 0);
}

/* One's own VM and vCPU, come back through a socket. */
static void check_return(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0),
	    pair[2], fds[2];
	struct kvm_regs regs = { .rax = 77, .rflags = 2 }, seen;

	CHECK(vcpu >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	send_two(pair[0], (int[]){ vm, vcpu });
	receive_two(pair[1], fds);
	CHECK(ioctl(vcpu, KVM_SET_REGS, &regs) == 0);
	CHECK(ioctl(fds[1], KVM_GET_REGS, &seen) == 0 && seen.rax == 77);
	CHECK(ioctl(fds[0], KVM_CREATE_VCPU, 0) == -1 && errno == EEXIST);
	CHECK(close(vcpu) == 0 && close(vm) == 0);
	CHECK(ioctl(fds[1], KVM_GET_REGS, &seen) == 0 && seen.rax == 77);
	CHECK(close(fds[0]) == 0 && close(fds[1]) == 0 && close(pair[0]) == 0 && close(pair[1]) == 0 &&
	      close(kvm) == 0);
}

/* No number is left for a vCPU's descriptor: it can be made when there is one. */
static void check_exhaustion(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0), last, vcpu;
	struct rlimit before, few;

	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	few = before;
	few.rlim_cur = 100;
	CHECK(vm >= 0 && setrlimit(RLIMIT_NOFILE, &few) == 0);
	while ((last = dup(STDIN_FILENO)) >= 0)
		;
	CHECK(errno == EMFILE && ioctl(vm, KVM_CREATE_VCPU, 0) == -1 && errno == EMFILE);
	CHECK(ioctl(kvm, KVM_CREATE_VM, 0) == -1 && errno == EMFILE);
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0 && close_range(60, 99, 0) == 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	CHECK(vcpu == 60 && fcntl(vcpu, F_GETFD) == FD_CLOEXEC);
	CHECK(close_range((unsigned)kvm, 99, 0) == 0);
}

static void check_children(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0), status;
	struct pollfd p = { .fd = vm, .events = POLLIN };
	pid_t pid;

	CHECK(vm >= 0 && poll(&p, 1, 0) >= 0 && !(p.revents & POLLNVAL));
	pid = fork();
	if (!pid) {
		/* A VM belongs to the process that made it; the device to everybody. */
		CHECK(ioctl(vm, KVM_CREATE_VCPU, 0) == -1 && errno == EIO);
		CHECK(ioctl(kvm, KVM_GET_API_VERSION, 0) == 12);
		CHECK(close(vm) == 0);
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
		CHECK(vm >= 0 && ioctl(vm, KVM_CREATE_VCPU, 0) >= 0);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	pid = vfork();
	if (!pid) {
		close(vm);
		close(kvm);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		CHECK(ioctl(vm, KVM_CREATE_VCPU, 0) == -1 && errno == EIO);
		CHECK(close(kvm) == 0);
		kvm = open("/dev/kvm", O_RDWR);
		CHECK(ioctl(kvm, KVM_GET_API_VERSION, 0) == 12);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(ioctl(vm, KVM_CREATE_VCPU, 0) >= 0);
	CHECK(close(vm) == 0 && close(kvm) == 0);
}

static void on_signal(int sig)
{
	(void)sig;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static pthread_t runner;
static volatile double sent;

static void *send_signal(void *arg)
{
	struct timespec t = { .tv_nsec = 20000000 };

	(void)arg;
	nanosleep(&t, NULL);
	sent = seconds();
	pthread_kill(runner, SIGUSR1);
	return NULL;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The guest spins in one jump: a signal ends KVM_RUN at once. */
static void check_signal(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size_t size = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_userspace_memory_region slot = { .memory_size = 4096 };
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	double late[21];
	char *mem;

	CHECK(vcpu >= 0);
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(run != MAP_FAILED && mem != MAP_FAILED);
	memcpy(mem, "\xeb\xfe", 2);
	slot.userspace_addr = (unsigned long)mem;
	CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0);
	CHECK(ioctl(vcpu, KVM_GET_SREGS, &sregs) == 0);
	sregs.cs.base = sregs.cs.selector = 0;
	CHECK(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0 && ioctl(vcpu, KVM_SET_REGS, &regs) == 0);
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	runner = pthread_self();
	for (int i = 0; i < 21; i++) {
		pthread_t t;

		CHECK(pthread_create(&t, NULL, send_signal, NULL) == 0);
		CHECK(ioctl(vcpu, KVM_RUN, 0) == -1 && errno == EINTR && run->exit_reason == KVM_EXIT_INTR);
		late[i] = seconds() - sent;
		pthread_join(t, NULL);
	}
	qsort(late, 21, sizeof(late[0]), compare_doubles);
	printf("a signal ends KVM_RUN after %.0f us (median), %.0f us (worst)\n", late[10] * 1e6, late[20] * 1e6);
	CHECK(late[20] < 0.5);
	run->immediate_exit = 1;
	CHECK(ioctl(vcpu, KVM_RUN, 0) == -1 && errno == EINTR);
	CHECK(munmap(run, size) == 0 && close(vcpu) == 0 && close(vm) == 0 && close(kvm) == 0);
}

/* All memory locked, with a vCPU in it and before the next is made. */
static void check_locked(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm, vcpu, status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		for (int i = 0; i < 2; i++) {
			vm = ioctl(kvm, KVM_CREATE_VM, 0);
			vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
			CHECK(vm >= 0 && vcpu >= 0);
			/* Without the right to lock as much as it needs it may be refused, but never for another reason. */
			CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ||
			      ((errno == ENOMEM || errno == EPERM) && geteuid()));
		}
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0 && close(kvm) == 0);
}

/* Nothing can be written to the device, to a VM, or mapped from them. */
static void check_empty(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);

	CHECK(write(kvm, "x", 1) == -1 && write(vm, "x", 1) == -1);
	CHECK(ftruncate(kvm, 4096) == -1 && ftruncate(vm, 4096) == -1);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, kvm, 0) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vm, 0) == MAP_FAILED);
	CHECK(close(vm) == 0 && close(kvm) == 0);
}

static void check_statistics(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0), fd = ioctl(vm, KVM_GET_STATS_FD, 0);
	struct kvm_stats_header a, b;

	CHECK(fd >= 0 && read(fd, &a, sizeof(a)) == sizeof(a) && pread(fd, &b, sizeof(b), 0) == sizeof(b));
	CHECK(a.num_desc && !memcmp(&a, &b, sizeof(a)));
	/* Where read is not caught the stand-in is an empty file. */
	CHECK(read(vm, &a, sizeof(a)) <= 0);
	CHECK(close(fd) == 0 && close(vm) == 0 && close(kvm) == 0);
}

int main(int argc, char **argv)
{
	if (argc > 3) { /* the program that check_arrival() starts */
		arrived(atoi(argv[1]), atoi(argv[2]), atoi(argv[3]));
		return 0;
	}
	check_node();
	check_owner();
	check_reuse();
	check_duplicates();
	check_children();
	check_arrival("/proc/self/exe");
	check_return();
	check_exhaustion();
	check_signal();
	check_locked();
	check_empty();
	check_statistics();
	return 0;
}
