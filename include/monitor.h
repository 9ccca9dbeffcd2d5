/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * monitor.h - what a running VM shows to `anykvm stat` and `anykvm trace`: the layout of one file of shared memory.
 *
 * Each process that uses the library has one such file, a memfd named MONITOR_NAME (or a file, see below); who may open the
 * process's descriptors (/proc/PID/fd) may map it. It holds a header, a slot per vCPU with its counters, and a ring of trace
 * records. Counters always count, where they are read. Times and records cost a clock reading or more at each exit: they
 * are only made while somebody has asked for them, by a bit in active and an instant until which it holds; a watcher that
 * dies is forgotten then. In a kernel host nobody ever asks.
 *
 * With ANYKVM_TRACE=FOLDER in the environment the file is FOLDER/MONITOR_NAME.PID.N instead, and tracing is on from the start:
 * nothing is lost of a program that ends at once.
 *
 * The file can be written by whoever may read it: the library trusts nothing that it reads back from it.
 *
 * Times are TSC ticks of the host. W: written by the library, R: by the watcher, a: atomic.
 */
#ifndef ANYKVM_MONITOR_H
#define ANYKVM_MONITOR_H

#include <linux/kvm.h>

#define MONITOR_NAME "anykvm:monitor"
#define MONITOR_MAGIC 0x6e6f6d6d766b7961ull
#define MONITOR_VERSION 1
#define MONITOR_VCPUS 1024         /* those beyond count, but are not seen */
#define MONITOR_RECORDS (1u << 17) /* 9 MiB; takes memory when used */
#define MONITOR_CODES 40           /* enum vm_exit_code fits */
#define MONITOR_REASONS 48         /* KVM_EXIT_*; the last stands for all that are higher */
#define MONITOR_NAME_SIZE 16

enum monitor_active { MONITOR_TIMES = 1, MONITOR_TRACE = 2 };

/* The counters of a vCPU. Written by its thread only. */
struct vcpu_stat {
	__u64 exits, signal_exits, request_exits, irq_injections, nmi_injections, irq_window_exits;
	__u64 nmi_window_exits, halt_exits, halt_wakeup, io_exits, mmio_exits, insn_emulation, insn_emulation_fail;
	__u64 hypercalls, tlb_flush, exceptions, fpu_reload;
	__u64 by_code[MONITOR_CODES];     /* ends of an entry, enum vm_exit_code */
	__u64 by_reason[MONITOR_REASONS]; /* ends of KVM_RUN, KVM_EXIT_* */
};

struct monitor_vcpu {
	__u32 used;   /* Wa */
	__u32 vm;     /* W  number of the VM in its process, from 1 */
	__u32 id;     /* W  the vCPU's */
	__u32 thread; /* Wa the thread that ran it last, as the process sees its number */
	struct vcpu_stat stat;
	/* While MONITOR_TIMES is set. */
	__u64 guest_time;                   /* W  in guest mode */
	__u64 code_time[MONITOR_CODES];     /* W  from such an exit to the next entry or to the end of KVM_RUN */
	__u64 reason_time[MONITOR_REASONS]; /* W  from such an end of KVM_RUN to the next KVM_RUN */
} __attribute__((aligned(64)));

enum monitor_kind {
	MONITOR_IOCTL = 1, /* code: request; result; data: duration, then the start of the argument or its value */
	MONITOR_EXIT,      /* code: enum vm_exit_code; data: rip, time in guest mode, two of the exit's own */
	MONITOR_USER,      /* end of KVM_RUN. code: KVM_EXIT_*; result; data: three of the reason's own */
	MONITOR_INJECT,    /* code: vector | type << 8 | has error code << 16; data: rip, error code, CR2 */
};

struct monitor_record {
	__u64 seq; /* a  index in the endless sequence + 1 once the record is whole, 0 while it is written */
	__u64 tsc;
	__u32 thread;
	__u16 kind;
	__u16 vm;   /* 0: none */
	__u32 vcpu; /* ~0: none */
	__s32 result;
	__u64 data[4];
	__u32 code;
};

struct monitor {
	__u64 magic;
	__u32 version;
	__u32 size;                     /* of the whole file */
	__u32 pid;                      /* as the process sees it */
	__u32 active;                   /* Ra enum monitor_active; the library clears what has expired */
	__u32 epoch;                    /* Ra + 1 with each bit that is set: times begin anew */
	__u32 tracer;                   /* Ra pid of the one that reads the ring */
	__u64 times_until, trace_until; /* Ra TSC */
	__u64 base_tsc, base_ns;        /* the same instant in TSC and CLOCK_MONOTONIC */
	__u32 vms;                      /* Wa VMs made so far */
	char code_names[MONITOR_CODES][MONITOR_NAME_SIZE];
	__u64 head __attribute__((aligned(64))); /* Wa records written or begun */
} __attribute__((aligned(4096)));

struct monitor_file {
	struct monitor header;
	struct monitor_vcpu vcpu[MONITOR_VCPUS];
	struct monitor_record record[MONITOR_RECORDS] __attribute__((aligned(4096)));
};

#endif /* ANYKVM_MONITOR_H */
