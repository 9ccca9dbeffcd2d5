/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* anykvm-inject: a program beside the library that serves it. See inject.h for how, ../start.h for its arguments. */
#include "inject.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "../calls.h"
#include "../start.h"
#include "../stats.h"
#include "injected.h"

#define STATUS_CANNOT_RUN 126
#define OWN_FD 1000 /* out of the way of numbers that programs count on */
#define PRELOAD "libanykvm-preload.so"
#define KERNEL_SA_RESTORER 0x04000000ul

char inject_path[PATH_MAX];

static bool filter_there;
static int close_later = -1;
static u64 first_mask; /* of signals, for the program */
static bool mask_given;

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "anykvm: %s: %s\n", what, strerror(err));
	_exit(STATUS_CANNOT_RUN);
}

/* --- settings ---------------------------------------------------------------------------------------------------- */

static void setting(char *line)
{
	char *value = strchr(line, '=');

	if (!value)
		return;
	*value++ = 0;
	if (!strcmp(line, "FILTER"))
		filter_there = true;
	else if (!strcmp(line, "FD"))
		own_fd[OWN_INJECT] = atoi(value);
	else if (!strcmp(line, "CLOSE"))
		close_later = atoi(value);
	else if (!strcmp(line, "MASK"))
		mask_given = sscanf(value, "%llx", (unsigned long long *)&first_mask) == 1;
	else
		setenv(line, value, 1); /* in our environment: the program has its own */
}

/* The program's environment stays as the kernel laid it out. Ours has the settings that we were given. */
static void own_environment(char **envp)
{
	size_t n = 0;
	char **copy;

	while (envp[n++])
		;
	copy = malloc(n * sizeof(*copy));
	if (!copy)
		die("environment", ENOMEM);
	for (n = 0; *envp; envp++)
		if (strncmp(*envp, SETTING_PREFIX, strlen(SETTING_PREFIX)) != 0)
			copy[n++] = *envp;
	copy[n] = NULL;
	environ = copy;
}

static void read_settings(const char *settings)
{
	char *copy = strdup(settings), *line, *rest = copy;

	while (rest && (line = strsep(&rest, "\n")))
		setting(line);
	free(copy);
}

/* --- what the program finds ---------------------------------------------------------------------------------------- */

/* The library for the other route is of no use here, and neither to the program's children. */
static void strip_preload(char *value)
{
	char *at = strstr(value, PRELOAD), *end;

	if (!at)
		return;
	end = at + strlen(PRELOAD);
	while (at > value && at[-1] != ':' && at[-1] != ' ')
		at--;
	end += strspn(end, ": ");
	memmove(at, end, strlen(end) + 1);
}

/* Let ps and pgrep see the program's arguments alone: move the strings to where ours were. */
static void move_arguments(int argc, char **argv)
{
	char *to = argv[0], *end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;

	for (int i = 3; i < argc; i++) {
		size_t n = strlen(argv[i]) + 1;

		memmove(to, argv[i], n);
		argv[i] = to;
		to += n;
	}
	memset(to, 0, (size_t)(end - to));
}

static u64 auxiliary(const Elf64_auxv_t *a, const struct loaded *l)
{
	switch (a->a_type) {
	case AT_PHDR: return l->phdr;
	case AT_PHNUM: return l->phnum;
	case AT_BASE: return l->base;
	case AT_ENTRY: return l->program_entry;
	case AT_EXECFN: return (u64)program_path;
	default: return a->a_un.a_val;
	}
}

/* The kernel's layout: argument count, arguments, environment, auxiliary vector; on the stack that the kernel made. */
static _Noreturn void run(int argc, char **argv, char **envp, const struct loaded *l)
{
	size_t words = 1 + (size_t)argc + 1, n = 0;
	const Elf64_auxv_t *aux;
	char **e = envp;

	while (*e)
		e++;
	words += (size_t)(e - envp) + 1;
	for (aux = (const Elf64_auxv_t *)(e + 1); aux->a_type != AT_NULL; aux++)
		words += 2;
	words += 2;
	u64 block[words + 2];
	u64 *sp = (u64 *)(((u64)block + 15) & ~15ull);

	sp[n++] = (u64)argc;
	for (int i = 0; i < argc; i++)
		sp[n++] = (u64)argv[i];
	sp[n++] = 0;
	for (e = envp; *e; e++)
		sp[n++] = (u64)*e;
	sp[n++] = 0;
	for (aux = (const Elf64_auxv_t *)(e + 1);; aux++) {
		sp[n++] = aux->a_type;
		sp[n++] = auxiliary(aux, l);
		if (aux->a_type == AT_NULL)
			break;
	}
	inject_jump(l->entry, (u64)sp);
}

/* --- putting ourselves in place ------------------------------------------------------------------------------------ */

/* A number out of the way of those that programs count on. Closes fd. */
static int move_up(int fd, int command)
{
	int up = fd < 0 ? -1 : fcntl(fd, command, OWN_FD);

	if (fd >= 0 && up < 0)
		up = fcntl(fd, command, 3);
	if (fd >= 0)
		close(fd);
	return up;
}

static void remember_paths(const char *program)
{
	char link[64];
	ssize_t n = readlink("/proc/self/exe", inject_path, sizeof(inject_path) - 1);

	inject_path[n > 0 ? n : 0] = 0;
	own_fd[OWN_PROGRAM] = move_up(open(program, O_RDONLY), F_DUPFD_CLOEXEC);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", own_fd[OWN_PROGRAM]);
	n = readlink(link, program_path, sizeof(program_path) - 1);
	if (n < 0)
		n = snprintf(program_path, sizeof(program_path), "%s", program);
	program_path[n] = 0;
	if (own_fd[OWN_INJECT] < 0)
		own_fd[OWN_INJECT] = move_up(open(inject_path, O_PATH), F_DUPFD);
}

static void take_signals(void)
{
	/* The handlers run with every signal but the faults blocked. */
	const u64 faults = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGFPE - 1);
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		u64 mask;
	} k = { (void *)inject_entry, SA_SIGINFO | SA_ONSTACK | KERNEL_SA_RESTORER, (void *)anykvm_restorer, ~faults },
	  dfl = { 0 };
	u64 sys = 1ull << (SIGSYS - 1);

	/* Signal 33 is our C library's since the first thread was made; it would not be ours to answer. */
	syscall(SYS_rt_sigaction, 33, &dfl, NULL, 8);
	host_injected_start((void *)inject_entry);
	if (syscall(SYS_rt_sigaction, SIGSYS, &k, NULL, 8) < 0)
		die("SIGSYS", errno);
	if (!mask_given)
		syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &first_mask, 8);
	inject_block()->sigsys_blocked = first_mask & sys;
	first_mask &= ~sys;
}

/* Undo what our C library has told the kernel about this thread. */
static void forget_thread(void)
{
#ifdef RSEQ_SIG
	if (__rseq_size)
		syscall(SYS_rseq, (char *)inject_fs() + __rseq_offset, 32, 1 /* RSEQ_FLAG_UNREGISTER */, RSEQ_SIG);
#endif
	syscall(SYS_set_tid_address, NULL);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &first_mask, NULL, 8);
}

int main(int argc, char **argv, char **envp)
{
	struct loaded l;
	const char *name;
	int err;

	if (argc < 4) {
		fprintf(stderr, "anykvm-inject is started by `anykvm run`\n");
		return STATUS_CANNOT_RUN;
	}
	own_environment(envp);
	read_settings(argv[1]);
	remember_paths(argv[2]);
	if (load_program(argv[2], &l) < 0)
		return STATUS_CANNOT_RUN;
	if (close_later >= 0)
		close(close_later);
	name = strrchr(program_path, '/');
	prctl(PR_SET_NAME, name ? name + 1 : program_path);
	if (!inject_blocks_start() || !gate_start())
		die("cannot prepare the program's process", errno);
	shim_start();
	stats_start();
	pthread_atfork(NULL, NULL, shim_count_fork);
	take_signals();
	err = filter_there ? 0 : filter_install();
	if (err)
		die("this machine lets no program install a seccomp filter, which static programs need here", -err);
	for (char **e = envp; *e; e++)
		if (!strncmp(*e, "LD_PRELOAD=", 11))
			strip_preload(*e + 11);
	move_arguments(argc, argv);
	forget_thread();
	run(argc - 3, argv + 3, envp, &l);
}
