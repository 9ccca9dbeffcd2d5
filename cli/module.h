/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * module.h - VMs of the kernel module anykvm.ko: their counters in debugfs (PID-N/counters, a line "name number" for each), their
 * events in tracefs (events/anykvm). Both are root's as a rule, and have to be mounted.
 */
#ifndef CLI_MODULE_H
#define CLI_MODULE_H

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>

struct module_counter {
	char name[48];
	unsigned long long value;
};

struct module_vm {
	struct module_vm *next;
	pid_t pid;       /* that made it */
	unsigned number; /* of all VMs since the module was loaded, from 1 */
	unsigned vcpus;
	char name[32]; /* of the program; empty if not known */
	size_t counters;
	struct module_counter *counter;
};

/* Those of process pid (0: all) with their counters now; NULL: none that can be seen. */
struct module_vm *module_find(pid_t pid);
void module_free(struct module_vm *list);

/* What has changed in so many seconds; a VM that old does not have counts from zero. Counters that are 0 are left out. */
void module_print(const struct module_vm *old, const struct module_vm *new, double interval);
json_t *module_json(const struct module_vm *old, const struct module_vm *new, double interval); /* an array */

/*
 * Copy the trace of process pid (0: of all) until it ends or *stopped. A trace instance of its own: other users of ftrace
 * notice nothing. STATUS_*, with a message.
 */
int module_trace(pid_t pid, FILE *out, const volatile sig_atomic_t *stopped);

#endif
