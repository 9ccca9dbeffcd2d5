/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Other processes. A child of fork goes on here with a copy of everything; a child that shares memory (vfork) needs nothing.
 * The filter outlives execve: the next program is started by anykvm-inject, whatever it is. Only 32-bit programs are not,
 * for the filter does not look at their calls.
 */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "../calls.h"
#include "../program.h"
#include "../start.h"
#include "host.h"
#include "injected.h"

#define MAX_ARGUMENTS 16384 /* pointers to them stand on our stack */

int own_fd[NR_OWN] = { -1, -1 };

/* --- fork ------------------------------------------------------------------------------------------------------- */

static void in_child(struct trap *t, u64 flags)
{
	inject_blocks_forked(t->block);
	trap_after_fork();
	if (t->nr != SYS_clone)
		return;
	if (t->arg[1])
		t->uc->uc_mcontext.gregs[REG_RSP] = (greg_t)t->arg[1];
	if (flags & CLONE_SETTLS)
		t->block->program_fs = t->arg[4];
}

/* By our own C library, whose locks other threads may hold at the moment. */
static void plain_fork(struct trap *t, u64 flags)
{
	pid_t pid = fork(), tid;

	t->result = pid < 0 ? -errno : pid;
	if (pid > 0 && (flags & CLONE_PARENT_SETTID))
		host_copy_to_user((void *)t->arg[2], &pid, sizeof(pid));
	if (pid)
		return;
	in_child(t, flags);
	tid = gettid();
	if (flags & CLONE_CHILD_SETTID)
		host_copy_to_user((void *)t->arg[3], &tid, sizeof(tid));
	syscall(SYS_set_tid_address, flags & CLONE_CHILD_CLEARTID ? t->arg[3] : 0);
}

/* New name spaces and the like. The stack is copied: the child returns by the same frame, then takes its own. */
static void other_clone(struct trap *t, u64 flags)
{
	struct trap call = *t;

	call.arg[0] = flags & ~(u64)CLONE_SETTLS;
	call.arg[1] = 0;
	trap_pass(&call);
	t->result = call.result;
	if (t->result)
		return;
	host_after_fork();
	shim_count_fork();
	in_child(t, flags);
}

void trap_fork(struct trap *t)
{
	const u64 simple = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | SIGCHLD;
	u64 flags = t->nr == SYS_clone ? t->arg[0] : SIGCHLD;

	if ((flags & 0xff) == SIGCHLD && !(flags & ~simple))
		plain_fork(t, flags);
	else
		other_clone(t, flags);
}

/* --- execve ----------------------------------------------------------------------------------------------------- */

struct call {
	char path[PATH_MAX];
	u64 argv, envp;
};

/* One of our own numbers for a program that is named by a descriptor: it must live until it is mapped. -1: none. */
static int keep_descriptor(char *path, size_t size)
{
	char *tail;
	long fd;

	if (strncmp(path, "/proc/self/fd/", 14) != 0)
		return -1;
	fd = strtol(path + 14, &tail, 10);
	if (*tail || tail == path + 14)
		return -1;
	fd = fcntl((int)fd, F_DUPFD, 0);
	if (fd >= 0)
		snprintf(path, size, "/proc/self/fd/%ld", fd);
	return (int)fd;
}

static long get_call(struct trap *t, struct call *c)
{
	bool at = t->nr == SYS_execveat;
	char path[PATH_MAX];
	long n = read_string(path, t->arg[at], sizeof(path));

	c->argv = t->arg[1 + at];
	c->envp = t->arg[2 + at];
	if (n < 0)
		return n;
	if (!at || path[0] == '/' || (int)t->arg[0] == AT_FDCWD)
		n = snprintf(c->path, sizeof(c->path), "%s", path);
	else if (!n && (t->arg[4] & AT_EMPTY_PATH))
		n = snprintf(c->path, sizeof(c->path), "/proc/self/fd/%d", (int)t->arg[0]);
	else
		n = snprintf(c->path, sizeof(c->path), "/proc/self/fd/%d/%s", (int)t->arg[0], path);
	if (n >= (long)sizeof(c->path))
		return -ENAMETOOLONG;
	if (names_exe(c->path) && own_fd[OWN_PROGRAM] >= 0)
		n = snprintf(c->path, sizeof(c->path), "/proc/self/fd/%d", own_fd[OWN_PROGRAM]);
	return n;
}

/* A filter of the program's may forbid it: the same call, without hope of success. */
static long allowed(const struct trap *t)
{
	struct trap probe = { .nr = t->nr };

	if (t->nr == SYS_execveat) {
		probe.arg[0] = (u64)(long)AT_FDCWD;
		probe.arg[1] = (u64) "";
	} else {
		probe.arg[0] = (u64) "";
	}
	trap_pass(&probe);
	return probe.result == -ENOENT ? 0 : probe.result;
}

static long start_injected(struct trap *t, const struct call *c, struct program *p)
{
	const char *argv[MAX_ARGUMENTS + PROGRAM_WORDS + 8];
	char settings[PATH_MAX + 512];
	int kept = keep_descriptor(p->path, sizeof(p->path));
	size_t n = 0, i;
	long r;

	argv[n++] = "anykvm-inject";
	argv[n++] = settings;
	argv[n++] = p->path;
	for (int w = 0; w < p->nr_words; w++)
		argv[n++] = p->word[w];
	/* The script's name takes the place of argument 0. */
	for (i = 0; c->argv; i++) {
		u64 from = c->argv + i * 8, word;

		if (host_copy_from_user(&word, (void *)from, sizeof(word)) < 0)
			return -EFAULT;
		if (!word)
			break;
		if (i >= MAX_ARGUMENTS)
			return -E2BIG;
		if (i || !p->nr_words)
			argv[n++] = (const char *)word;
	}
	argv[n] = NULL;
	shim_settings(settings, sizeof(settings));
	n = strlen(settings);
	snprintf(settings + n, sizeof(settings) - n, "FILTER=1\nFD=%d\nCLOSE=%d\nMASK=%llx\n", own_fd[OWN_INJECT], kept,
		 (unsigned long long)(*(u64 *)&t->uc->uc_sigmask |
				      (t->block->sigsys_blocked ? 1ull << (SIGSYS - 1) : 0)));
	if (own_fd[OWN_INJECT] >= 0)
		syscall(SYS_execveat, own_fd[OWN_INJECT], "", argv, c->envp, AT_EMPTY_PATH);
	r = syscall(SYS_execve, inject_path, argv, c->envp) < 0 ? -errno : 0;
	if (kept >= 0)
		close(kept);
	return r;
}

/* As the program asked for it, with the program's signal mask. */
static void start_foreign(struct trap *t)
{
	u64 old;

	host_injected_enter(0, false);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &t->uc->uc_sigmask, &old, 8);
	trap_pass(t);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
	host_injected_leave();
}

void trap_exec(struct trap *t)
{
	struct program p;
	struct call c;

	t->result = allowed(t);
	if (!t->result)
		t->result = get_call(t, &c);
	if (t->result >= 0)
		t->result = program_examine(c.path, &p);
	if (t->result < 0)
		return;
	if (p.kind == PROGRAM_FOREIGN)
		start_foreign(t);
	else
		t->result = start_injected(t, &c, &p);
}
