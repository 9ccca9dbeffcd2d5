/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * machine.h - one virtual PC: memory, in-kernel interrupt chips, ports, vCPUs, and how it ends.
 *
 * Threads: the main thread creates and destroys the machine and runs the console; each vCPU has a
 * thread of its own. Locks are leaves: a device may raise an interrupt (machine_irq) or end the
 * machine (machine_end) under its own lock; nothing calls back from there.
 */
#ifndef CLI_MACHINE_H
#define CLI_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "kvmdev.h"

/* RAM fills the space below the hole, the rest goes above 4 GiB. */
#define RAM_HOLE_START 0xc0000000ull
#define RAM_HOLE_END 0x100000000ull

#define MAX_CPUS 254 /* APIC ids 0 to 253: below the 8-bit broadcast id */

enum machine_end {
	MACHINE_RUNNING,
	MACHINE_POWEROFF, /* the guest powered off */
	MACHINE_RESET,    /* the guest asked for a reset */
	MACHINE_QUIT,     /* the user ended it */
	MACHINE_SIGNAL,   /* a signal to this process ended it */
	MACHINE_CRASH,    /* the guest cannot go on; its registers were taken */
	MACHINE_PANIC,    /* the guest said that it panicked (pvpanic) */
	MACHINE_ERROR,    /* KVM or the host failed */
};

struct machine;

struct vcpu {
	struct machine *machine;
	unsigned int id; /* also the APIC id */
	struct kvmdev *dev;
	struct kvm_run *run;
	pthread_t thread;
	bool started; /* main thread only */
};

struct machine {
	struct kvmdev *sys;
	struct kvmdev *vm;
	size_t run_size; /* KVM_GET_VCPU_MMAP_SIZE */

	uint8_t *ram;      /* all of it, in one mapping */
	uint64_t ram_size; /* bytes, a multiple of the page size */
	uint64_t ram_low;  /* bytes below the hole, from address 0 */

	struct bus bus;
	struct vcpu *vcpus;
	unsigned int cpu_count;

	int end_event;            /* eventfd: readable once end is set */
	pthread_mutex_t end_lock; /* end, end_text, report, panic_seen */
	enum machine_end end;     /* the first reason counts */
	char end_text[256];       /* what to tell the user; may be empty */
	char *report;             /* register dump of the crash or panic, or NULL; malloc */
	bool panic_seen;          /* the guest said so, see machine_panicked() */
	int end_signal;           /* MACHINE_SIGNAL: which; main thread only */
};

/*
 * Create the VM with memory and interrupt chips; vCPUs come with vcpu_create_all(). Takes sys over.
 * On failure it has told the user, and machine_destroy() must still be called.
 */
bool machine_create(struct machine *m, struct kvmdev *sys, uint64_t ram_size, unsigned int cpus);
void machine_destroy(struct machine *m);

/* Bytes [address, address + size) of guest memory, or NULL where they are not one piece of RAM. */
void *machine_memory(struct machine *m, uint64_t address, uint64_t size);

/* Drive an input of the interrupt chips. */
void machine_irq(struct machine *m, unsigned int line, bool level);

/* End the machine: from any thread, also with a vCPU's exit half handled. */
void machine_end(struct machine *m, enum machine_end end, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
enum machine_end machine_ended(struct machine *m);

/*
 * The guest says that it panics. Called on the vCPU's own thread; keeps its registers for the end.
 * The machine goes on: the guest may have more to print.
 */
void machine_panicked(struct machine *m);

#endif
