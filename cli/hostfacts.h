/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * hostfacts.h - what this machine offers to a hypervisor, for `anykvm check`. Facts only; what follows from them is in
 * cmd_check.c.
 */
#ifndef CLI_HOSTFACTS_H
#define CLI_HOSTFACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "trial.h"

enum device_state {
	DEVICE_ABSENT,       /* no such node, and the kernel has no KVM */
	DEVICE_NODE_MISSING, /* the kernel has KVM, the node is not here (container) */
	DEVICE_NO_PERMISSION,
	DEVICE_BROKEN,     /* it cannot be opened for another reason */
	DEVICE_CANNOT_RUN, /* a stock guest would not run on it */
	DEVICE_OK,
};

struct device_facts {
	const char *path;
	enum device_state state;
	char group[64];     /* of the node; empty if there is none */
	bool group_may;     /* its members may use it; false for root's own group, that is nobody's to join */
	struct trial trial; /* DEVICE_CANNOT_RUN, DEVICE_OK, DEVICE_BROKEN */
};

enum yes_no { NO, YES, UNKNOWN };

struct cpu_facts {
	char vendor[13];
	const char *extension;    /* "vmx", "svm", or NULL: the processor has neither */
	bool nested_paging;       /* svm: NPT; vmx: not to be seen without privilege, true */
	enum yes_no firmware_off; /* switched off in the firmware (or hidden by the kernel) */
	bool in_vm;               /* this is a virtual machine itself */
	bool bmi2;
	bool fsgsbase;      /* and the kernel lets programs use it */
	const char *module; /* the loaded KVM module for it, or NULL */
};

struct limit_facts {
	uint64_t address_space; /* RLIMIT_AS in bytes; UINT64_MAX: none */
	int overcommit;         /* vm.overcommit_memory; -1: not known */
	int selinux;            /* 1 enforcing, 0 permissive, -1 none */
	int seccomp;            /* of this process: 0 none, 1 strict, 2 filter; -1 not known */
	int memfd_noexec;       /* vm.memfd_noexec; -1: this kernel has no such setting */
};

struct engine_facts {
	int probe; /* anykvm_probe() */
	struct trial trial;
};

struct host_facts {
	struct device_facts device[2]; /* /dev/kvm, /dev/anykvm */
	struct cpu_facts cpu;
	struct limit_facts limits;
	struct engine_facts interpreter, translator;
};

/* False: a trial could not be made (message). */
bool host_facts_gather(struct host_facts *f);

const char *device_state_name(enum device_state state);

#endif
