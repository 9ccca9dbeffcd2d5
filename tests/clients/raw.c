/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * raw.c - what only the route without preload can do: raw system calls, other spellings of the device's name, a seccomp filter of
 * the program's own, signals on an alternate stack, vfork. Static or dynamic. Prints the first failure; exit status 0: none.
 *
 * usage: raw [--preloaded] [NODE]
 *	--preloaded: without the filter, which a preloaded library shares with its program
 *	NODE: a symbolic link to /dev/kvm is made there, used and removed
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void check_fd(long fd)
{
	CHECK(fd >= 0 && syscall(SYS_ioctl, fd, KVM_GET_API_VERSION, 0) == 12);
	CHECK(syscall(SYS_close, fd) == 0);
	CHECK(syscall(SYS_ioctl, fd, KVM_GET_API_VERSION, 0) == -1 && errno == EBADF);
}

static void check_names(const char *link)
{
	struct open_how how = { .flags = O_RDWR };
	int dev = open("/dev", O_PATH | O_DIRECTORY);
	struct stat st;
	FILE *f;

	check_fd(syscall(SYS_open, "/dev/kvm", O_RDWR));
	check_fd(syscall(SYS_open, "//dev/kvm", O_RDWR));
	check_fd(syscall(SYS_open, "/dev/../dev/./kvm", O_RDWR));
	check_fd(syscall(SYS_openat, AT_FDCWD, "/proc/self/root/dev/kvm", O_RDWR));
	check_fd(syscall(SYS_openat, dev, "kvm", O_RDWR));
	check_fd(syscall(SYS_openat2, AT_FDCWD, "/dev/kvm", &how, sizeof(how)));
	CHECK(fstatat(dev, "kvm", &st, 0) == 0 && S_ISCHR(st.st_mode));
	f = fopen("/dev/kvm", "r+");
	CHECK(f && ioctl(fileno(f), KVM_GET_API_VERSION, 0) == 12 && fclose(f) == 0);
	CHECK(syscall(SYS_open, "/dev/kvm/no", O_RDWR) == -1);
	if (link) {
		unlink(link);
		CHECK(symlink("/dev/kvm", link) == 0);
		check_fd(syscall(SYS_open, link, O_RDWR));
		CHECK(unlink(link) == 0);
	}
	close(dev);
}

/* A guest that spins, or halts at once. */
static int new_vcpu(struct kvm_run **run, const char *code)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	struct kvm_userspace_memory_region slot = { .memory_size = 4096 };
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	char *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	CHECK(vcpu >= 0 && *run != MAP_FAILED && mem != MAP_FAILED);
	memcpy(mem, code, 2);
	slot.userspace_addr = (unsigned long)mem;
	CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0);
	CHECK(ioctl(vcpu, KVM_GET_SREGS, &sregs) == 0);
	sregs.cs.base = sregs.cs.selector = 0;
	CHECK(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0 && ioctl(vcpu, KVM_SET_REGS, &regs) == 0);
	return vcpu;
}

static volatile int handled;
static char *volatile handler_stack;

static void on_alarm(int sig)
{
	char here;

	(void)sig;
	handler_stack = &here;
	handled++;
	/* A caught call in a handler, with every signal blocked. */
	CHECK(access("/dev/kvm", R_OK) == 0);
}

/* All signals blocked by the handler's mask and by the thread: what we need still arrives. */
static void check_signals(void)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_ONSTACK }, old;
	stack_t stack = { .ss_size = 65536, .ss_sp = malloc(65536) }, seen;
	struct kvm_run *run;
	int vcpu = new_vcpu(&run, "\xeb\xfe");
	sigset_t all, before, now;

	sigfillset(&sa.sa_mask);
	CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGALRM, &sa, NULL) == 0);
	CHECK(sigaction(SIGALRM, NULL, &old) == 0 && old.sa_handler == on_alarm);
	ualarm(20000, 0);
	CHECK(ioctl(vcpu, KVM_RUN, 0) == -1 && errno == EINTR && handled == 1);
	CHECK(handler_stack > (char *)stack.ss_sp && handler_stack < (char *)stack.ss_sp + stack.ss_size);
	CHECK(sigaltstack(NULL, &seen) == 0 && seen.ss_sp == stack.ss_sp && seen.ss_flags == 0);
	sigfillset(&all);
	CHECK(sigprocmask(SIG_SETMASK, &all, &before) == 0 && !sigismember(&before, SIGSYS));
	CHECK(access("/dev/kvm", R_OK) == 0);
	CHECK(sigprocmask(SIG_SETMASK, &before, &now) == 0 && sigismember(&now, SIGSYS) && sigismember(&now, SIGALRM));
	stack.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&stack, NULL) == 0);
	close(vcpu);
}

/* KVM_RUN from a handler on the alternate stack, as gVisor does it. */
static int handler_vcpu;
static volatile int handler_result;

static void run_in_handler(int sig)
{
	volatile uint64_t guard[64];

	(void)sig;
	for (unsigned i = 0; i < 64; i++)
		guard[i] = i * 77;
	handler_result = ioctl(handler_vcpu, KVM_RUN, 0);
	for (unsigned i = 0; i < 64; i++)
		CHECK(guard[i] == i * 77);
}

static void check_run_in_handler(void)
{
	struct sigaction sa = { .sa_handler = run_in_handler, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_size = 65536, .ss_sp = malloc(65536) };
	struct kvm_run *run;

	handler_vcpu = new_vcpu(&run, "\xf4\xf4");
	CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0);
	CHECK(raise(SIGUSR2) == 0 && handler_result == 0 && run->exit_reason == KVM_EXIT_HLT);
	close(handler_vcpu);
}

static void *thread(void *arg)
{
	struct kvm_run *run;
	int vcpu = new_vcpu(&run, "\xf4\xf4");

	(void)arg;
	CHECK(ioctl(vcpu, KVM_RUN, 0) == 0 && run->exit_reason == KVM_EXIT_HLT);
	close(vcpu);
	return NULL;
}

/* More threads, one after the other and at once, than there are spare places. */
static void check_threads(void)
{
	pthread_t t[8];

	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 8; i++)
			CHECK(pthread_create(&t[i], NULL, thread, NULL) == 0);
		for (int i = 0; i < 8; i++)
			CHECK(pthread_join(t[i], NULL) == 0);
	}
}

static volatile int sigsys_seen;

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	sigsys_seen = info->si_syscall;
}

/* KVM's numbers, and what this test needs; mprotect and memfd_create are errors, uname is a signal: as Firecracker's filters. */
static void install_filter(void)
{
	struct sock_filter insn[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_tgsigqueueinfo, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_stat, 2, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP | 5),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMLINK),
	};
	struct sock_fprog prog = { sizeof(insn) / sizeof(insn[0]), insn };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0);
}

static void under_filter(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };
	struct kvm_run *run;
	struct stat st;
	int vcpu;

	CHECK(sigaction(SIGSYS, &sa, NULL) == 0);
	install_filter();
	/* It holds for the program ... */
	CHECK(syscall(SYS_mprotect, 0, 0, 0) == -1 && errno == EMLINK);
	CHECK(syscall(SYS_memfd_create, "x", 0) == -1 && errno == EMLINK);
	CHECK(syscall(SYS_stat, "/", &st) == -1 && errno == EMLINK);
	syscall(SYS_uname, 0);
	CHECK(sigsys_seen == SYS_uname);
	/* ... and not for the library. */
	vcpu = new_vcpu(&run, "\xeb\xfe");
	handled = 0;
	ualarm(20000, 0);
	CHECK(ioctl(vcpu, KVM_RUN, 0) == -1 && errno == EINTR && handled == 1);
}

static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		fn();
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static volatile bool enough;

static void *ask(void *vcpu)
{
	struct kvm_regs regs;

	while (!enough)
		CHECK(ioctl((int)(long)vcpu, KVM_GET_REGS, &regs) == 0);
	return NULL;
}

/* A fork while other threads are inside: the child can go on. */
static void check_fork_beside(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0),
	    status;
	pthread_t t[2];
	pid_t pid;

	enough = false;
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, ask, (void *)(long)vcpu) == 0);
	for (int i = 0; i < 200; i++) {
		pid = fork();
		if (!pid) {
			alarm(60);
			_exit(close(vcpu) == 0 && close(vm) == 0 && ioctl(kvm, KVM_CREATE_VM, 0) >= 0 ? 0 : 1);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
	enough = true;
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK(close(vcpu) == 0 && close(vm) == 0 && close(kvm) == 0);
}

/* Started by its own name through /proc, by vfork and by a shell. */
static void check_exec(void)
{
	char self[4096], command[5000];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int status;
	pid_t pid;

	CHECK(n > 0);
	self[n] = 0;
	CHECK(strstr(self, "raw"));
	pid = vfork();
	if (!pid) {
		execl("/proc/self/exe", "raw", "--child", NULL);
		_exit(99);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	snprintf(command, sizeof(command), "'%s' --child && cat /dev/null", self);
	CHECK(system(command) == 0);
	CHECK(execl("/nowhere", "nowhere", NULL) == -1 && errno == ENOENT);
	CHECK(execl("/", "folder", NULL) == -1 && errno == EACCES);
}

int main(int argc, char **argv)
{
	bool preloaded = false;

	if (argc > 1 && !strcmp(argv[1], "--child")) {
		check_fd(open("/dev/kvm", O_RDWR));
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "--preloaded")) {
		preloaded = true;
		argv++;
		argc--;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	check_names(argc > 1 ? argv[1] : NULL);
	check_signals();
	check_run_in_handler();
	check_threads();
	in_child(check_threads);
	check_fork_beside();
	check_exec();
	if (!preloaded)
		in_child(under_filter);
	return 0;
}
