/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* hostile.h - what the two files of the hostile process share: its files, its memory, its random numbers. */
#ifndef TESTS_HOSTILE_H
#define TESTS_HOSTILE_H

#include "small.h"

#define PAGE 4096ul
#define AREA (4ul << 20) /* memory for guests */
#define VMS 2
#define VCPUS 4
#define STATS 2
#define EVENTS 4
#define OTHERS 6

/* Places in fds; any thread may use or replace any of them at any time. -1: closed. */
enum {
	FD_SYSTEM,
	FD_VM,
	FD_VCPU = FD_VM + VMS,
	FD_STATS = FD_VCPU + VCPUS,
	FD_EVENT = FD_STATS + STATS,
	FD_OTHER = FD_EVENT + EVENTS, /* two ends of a socket, copies of others */
	NR_FDS = FD_OTHER + OTHERS,
};

enum kind { SYSTEM, VM, VCPU, STATS_FD, EVENT, OTHER, ANY_FD };

/* In memory that all lives share. */
struct counts {
	uint32_t begun; /* by the present life */
	uint32_t lived, crashed, calls, granted, runs, exits;
};

extern struct counts *counts;
extern uint8_t *area;
extern int fds[NR_FDS];
extern struct kvm_run *volatile run[VCPUS]; /* may be unmapped at any time: to be reached by system calls only */
extern size_t run_size;

void count(uint32_t *what);
uint64_t any(void);
uint32_t below(uint32_t n);
int fd_of(enum kind kind);
void put_fd(unsigned int at, int fd);

/* --- hostile_calls.c ------------------------------------------------------------------------------------------------ */

void make_area(void);
/* Some code, at random places. */
void fill_area(void);
/* A new VM, with or without interrupt chips, rings and memory; -1: refused. */
int make_vm(void);
int make_vcpu(int vm, uint64_t id);
/* Memory of size bytes that is not, or not all, there, or not to be written to. */
void *bad_pointer(size_t size);
/* An ioctl of the table, or a number that is none. */
void call_something(void);
void set_slot(void);
void run_something(void);
/* Random bytes into what the kernel shares with us. */
void scribble(void);

#endif /* TESTS_HOSTILE_H */
