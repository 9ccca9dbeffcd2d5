/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * inject.h - /dev/kvm for programs that make their own system calls: static ones, Go, musl, raw syscall().
 *
 * anykvm-inject is a static program at an address where no program lies. It maps the program beside itself, as the kernel
 * would have, and jumps to it; libanykvm and a C library of its own stay. A seccomp filter turns the calls that may concern
 * /dev/kvm into SIGSYS, unless they are made from our own text; all other calls never leave the kernel's fast path.
 *
 *	load.c		maps the program and its loader, builds its stack
 *	start.c		main(): puts everything in place
 *	filter.c	the seccomp filter; the program's own filters
 *	entry.S		signals arrive here and get our thread pointer and stack
 *	block.c		a thread pointer and a stack for each thread of the program
 *	trap.c		what a caught call does
 *	path.c		... calls that name a file
 *	exec.c		... execve: the next program is started by anykvm-inject as well, for the filter stays
 *
 * Text below 4 GiB, from GATE_START on, is exempt from our filter. From [GATE_START, GATE_END) calls are made on behalf of the
 * program: its own filters apply. The rest of our text is exempt from those too: the library's calls are not the program's.
 */
#ifndef INJECT_H
#define INJECT_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <ucontext.h>
#include <host/types.h>

#define GATE_SIZE 0x10000ull
#define IMAGE_START 0x70000000ull /* -Ttext-segment in inject.mk */
#define GATE_START (IMAGE_START - GATE_SIZE)
#define GATE_END IMAGE_START
extern char etext[];

/* What the filter's SIGSYS carries in si_errno: no filter of the program's is likely to. */
#define TRAP_MAGIC 0xa4cd

/* --- block.c, entry.S -------------------------------------------------------------------------------------- */

/* What a thread of the program has of ours while it lives. The first three are known to entry.S. */
struct inject_block {
	u64 fs;                    /* thread pointer of our C library */
	u64 stack_top;             /* of a stack that is only used between trap and return */
	u64 program_fs;            /* the program's thread pointer, put back when a handler of the program is called */
	u32 tid;                   /* a  0: spare */
	u32 shadow;                /* a  futex: 0 when the thread that was made for this block has ended */
	bool sigsys_blocked;       /* as the program sees it */
	bool fresh;                /* its thread is new */
	struct inject_block *next; /* spare */
};

/* The calling thread's block; makes use of no thread pointer. */
struct inject_block *inject_block(void);
/* Once, on the first thread, before it runs the program. False: no memory or no threads. */
bool inject_blocks_start(void);
/* Make a spare block if there is none. With our thread pointer, on a stack of our own. */
void inject_blocks_refill(void);
/* In a child that has a copy of our memory. */
void inject_blocks_forked(struct inject_block *mine);

u64 inject_fs(void);
extern bool inject_user_fs; /* rdfsbase, wrfsbase are there */
void inject_entry(int sig, siginfo_t *info, void *context);
/* Back to the program from a ucontext anywhere in memory. */
_Noreturn void inject_return(ucontext_t *uc, u64 fs);
/* Enter the program with a new stack. */
_Noreturn void inject_jump(u64 entry, u64 sp);

/* --- filter.c ---------------------------------------------------------------------------------------------- */

/* 0 or -errno. */
int filter_install(void);
/* seccomp(2) of the program. A filter is installed with our text exempted. */
long filter_of_program(unsigned op, unsigned flags, const void *arg);

/* --- trap.c ------------------------------------------------------------------------------------------------ */

struct trap {
	ucontext_t *uc;
	struct inject_block *block;
	long nr;
	u64 arg[6];
	long result;
};

/* Make the call on behalf of the program, here. */
void trap_pass(struct trap *t);
/* Let the program make the call itself, with its signals, when the trap returns. */
void trap_rerun(struct trap *t);
/* In the child of a fork. */
void trap_after_fork(void);
bool gate_start(void);

/* --- path.c: each sets t->result or passes ------------------------------------------------------------------ */

void trap_open(struct trap *t);
void trap_look(struct trap *t); /* stat and its kin, access */
void trap_readlink(struct trap *t);
/* A string of the program's. Its length or -EFAULT, -ENAMETOOLONG. */
long read_string(char *to, u64 from, size_t size);

/* --- load.c, start.c, exec.c ----------------------------------------------------------------------------------- */

struct loaded {
	u64 entry; /* of the loader if there is one */
	u64 program_entry, phdr, phnum, base;
};

/* Map the ELF file. 0 or -errno, with a message. */
int load_program(const char *path, struct loaded *l);

extern char program_path[PATH_MAX]; /* absolute, as /proc/self/exe would show it */
extern char inject_path[PATH_MAX];  /* anykvm-inject's */

/*
 * Descriptors of ours that must outlive what the program closes, for its root folder may change: anykvm-inject itself, for the
 * next execve, and the program's file, for what it does with /proc/self/exe. -1: none.
 */
enum { OWN_INJECT, OWN_PROGRAM, NR_OWN };
extern int own_fd[NR_OWN];
bool names_exe(const char *path);
void anykvm_restorer(void);

void trap_exec(struct trap *t);
void trap_fork(struct trap *t);

#endif /* INJECT_H */
