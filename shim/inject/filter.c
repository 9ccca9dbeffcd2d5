/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The seccomp filter. Calls that it allows by their number alone cost next to nothing: the kernel remembers the answer
 * (Linux 5.11 and later). Of the others it looks at one argument where that tells them apart.
 */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "host.h"

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD_ARG(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#define LOAD_ARG_HIGH(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]) + 4)
#define AND(k) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, k)
#define IF_EQUAL(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, yes, no)
#define IF_AT_LEAST(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, k, yes, no)
#define RETURN(k) BPF_STMT(BPF_RET | BPF_K, k)

#define MAX_FILTER 256

/* Caught whatever their arguments. */
static const int always[] = {
	/* names of files */
	SYS_open,
	SYS_openat,
	SYS_openat2,
	SYS_creat,
	SYS_stat,
	SYS_lstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_access,
	SYS_faccessat,
	SYS_faccessat2,
	SYS_readlink,
	SYS_readlinkat,
	/* descriptors */
	SYS_close,
	SYS_close_range,
	SYS_dup,
	SYS_dup2,
	SYS_dup3,
	SYS_fstat,
	/* memory */
	SYS_mlockall,
	/* processes and signals */
	SYS_execve,
	SYS_execveat,
	SYS_fork,
	SYS_rt_sigaction,
};

struct program_text {
	struct sock_filter insn[MAX_FILTER];
	unsigned n;
};

static void put(struct program_text *p, struct sock_filter insn)
{
	if (p->n < MAX_FILTER)
		p->insn[p->n] = insn;
	p->n++;
}

#define PUT(...) put(p, (struct sock_filter)__VA_ARGS__)

/* Allow calls from [start, end), below 4 GiB. */
static void allow_text(struct program_text *p, u64 start, u64 end)
{
	PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4));
	PUT(IF_EQUAL(0, 0, 4));
	PUT(LOAD(instruction_pointer));
	/* The address is that after the instruction: a call from the last bytes of the gate is not one from our text. */
	PUT(IF_AT_LEAST((u32)start + 1, 0, 2));
	PUT(IF_AT_LEAST((u32)end, 1, 0));
	PUT(RETURN(SECCOMP_RET_ALLOW));
}

/* If the number is nr: the instructions that follow, up to finish(), decide. */
static unsigned begin(struct program_text *p, int nr)
{
	PUT(IF_EQUAL((u32)nr, 0, 0));
	return p->n - 1;
}

static void finish(struct program_text *p, unsigned at)
{
	if (at < MAX_FILTER)
		p->insn[at].jf = (u8)(p->n - at - 1);
}

static void trap_from_program(struct program_text *p, u32 action)
{
	allow_text(p, GATE_START, (u64)etext);
	PUT(RETURN(action));
}

/* Caught if the argument (low half) after the mask is one of two values. */
static void catch_argument(struct program_text *p, int nr, unsigned arg, u32 mask, u32 one, u32 other)
{
	unsigned at = begin(p, nr);

	PUT(LOAD_ARG(arg));
	PUT(AND(mask));
	PUT(IF_EQUAL(one, 2, 0));
	PUT(IF_EQUAL(other, 1, 0));
	PUT(RETURN(SECCOMP_RET_ALLOW));
	trap_from_program(p, SECCOMP_RET_TRAP | TRAP_MAGIC);
	finish(p, at);
}

/* Looking at the mask, and taking signals out of it, needs no help. */
static void catch_sigprocmask(struct program_text *p)
{
	unsigned at = begin(p, SYS_rt_sigprocmask);

	PUT(LOAD_ARG(0));
	PUT(IF_EQUAL(SIG_UNBLOCK, 4, 0));
	PUT(LOAD_ARG(1));
	PUT(IF_EQUAL(0, 0, 3));
	PUT(LOAD_ARG_HIGH(1));
	PUT(IF_EQUAL(0, 0, 1));
	PUT(RETURN(SECCOMP_RET_ALLOW));
	trap_from_program(p, SECCOMP_RET_TRAP | TRAP_MAGIC);
	finish(p, at);
}

static void put_always(struct program_text *p)
{
	const unsigned count = sizeof(always) / sizeof(always[0]);
	unsigned last;

	for (unsigned i = 0; i < count; i++)
		PUT(IF_EQUAL((u32)always[i], (u8)(count - i), 0));
	last = p->n;
	PUT(BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0));
	trap_from_program(p, SECCOMP_RET_TRAP | TRAP_MAGIC);
	p->insn[last].k = p->n - last - 1;
}

static void make_filter(struct program_text *p)
{
	unsigned at;

	PUT(LOAD(arch));
	PUT(IF_EQUAL(AUDIT_ARCH_X86_64, 1, 0));
	PUT(RETURN(SECCOMP_RET_ALLOW)); /* a 32-bit program: it cannot be helped */
	PUT(LOAD(nr));
	put_always(p);
	catch_argument(p, SYS_ioctl, 1, 0xff00, KVMIO << 8, KVMIO << 8);
	catch_argument(p, SYS_fcntl, 1, ~0u, F_DUPFD, F_DUPFD_CLOEXEC);
	catch_argument(p, SYS_clone, 0, CLONE_VM, 0, 0);
	catch_argument(p, SYS_prctl, 0, ~0u, PR_SET_SECCOMP, PR_SET_SECCOMP);
	catch_argument(p, SYS_seccomp, 0, ~1u, 0, 0); /* SECCOMP_SET_MODE_STRICT, _FILTER */
	catch_sigprocmask(p);
	/* Whether it makes a thread or a process stands in memory: libraries fall back to clone. */
	at = begin(p, SYS_clone3);
	trap_from_program(p, SECCOMP_RET_ERRNO | ENOSYS);
	finish(p, at);
	PUT(RETURN(SECCOMP_RET_ALLOW));
}

static long install(unsigned op, unsigned flags, const struct sock_fprog *prog)
{
	long r = syscall(SYS_seccomp, op, flags, prog);

	return r < 0 ? -errno : r;
}

int filter_install(void)
{
	struct program_text p = { .n = 0 };
	struct sock_fprog prog = { .filter = p.insn };
	long r;

	make_filter(&p);
	if (p.n > MAX_FILTER)
		return -E2BIG;
	prog.len = (unsigned short)p.n;
	r = install(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog);
	if (r == -EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		r = install(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog);
	return (int)r;
}

/* --- the program's filters ------------------------------------------------------------------------------------- */

static void say(const char *what)
{
	fprintf(stderr, "anykvm: the program's seccomp filter: %s\n", what);
}

static long wrap(unsigned flags, const struct sock_fprog *theirs)
{
	struct program_text *p = malloc(sizeof(*p));
	struct sock_fprog prog;
	size_t size;
	long r;

	if (!p)
		return -ENOMEM;
	p->n = 0;
	allow_text(p, GATE_END, (u64)etext);
	PUT(BPF_STMT(BPF_LD | BPF_IMM, 0)); /* the accumulator is 0 at the start */
	size = (size_t)theirs->len * sizeof(struct sock_filter);
	prog.len = (unsigned short)(theirs->len + p->n);
	prog.filter = malloc(p->n * sizeof(struct sock_filter) + size);
	r = prog.filter ? 0 : -ENOMEM;
	if (!r && prog.len > BPF_MAXINSNS) {
		say("too long to exempt the KVM library from it; it is refused (E2BIG)");
		r = -E2BIG;
	}
	if (!r) {
		memcpy(prog.filter, p->insn, p->n * sizeof(struct sock_filter));
		r = host_copy_from_user(prog.filter + p->n, theirs->filter, size);
	}
	if (!r)
		r = install(SECCOMP_SET_MODE_FILTER, flags, &prog);
	free(prog.filter);
	free(p);
	return r;
}

long filter_of_program(unsigned op, unsigned flags, const void *arg)
{
	struct sock_fprog theirs;

	if (op == SECCOMP_SET_MODE_STRICT) {
		say("strict mode would forbid what the KVM library does for it; it is refused (EINVAL)");
		return -EINVAL;
	}
	if (host_copy_from_user(&theirs, arg, sizeof(theirs)) < 0)
		return -EFAULT;
	if (!theirs.len || theirs.len > BPF_MAXINSNS)
		return -EINVAL;
	return wrap(flags, &theirs);
}
