/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * fdtable.h - which file descriptors of the process stand for objects of the library.
 *
 * An object is a library handle with a count of the descriptors that name it and of the calls inside it. Looking up a
 * descriptor that is not ours costs two loads and takes no lock.
 */
#ifndef SHIM_FDTABLE_H
#define SHIM_FDTABLE_H

#include <stdbool.h>
#include "anykvm.h"

enum shim_kind { SHIM_SYSTEM, SHIM_VM, SHIM_VCPU, SHIM_STATS, SHIM_DEVICE };

struct shim_object {
	enum shim_kind kind;
	unsigned refs;            /* atomic: descriptors + calls in progress */
	unsigned fork_generation; /* the process that made it */
	struct anykvm_handle *handle;
	int content;                   /* stats.c: a descriptor of the stand-in's content, or -1 */
	struct shim_object *next_read; /* stats.c */
};

/* The object of fd with a reference for the caller, or NULL. */
struct shim_object *shim_get(int fd);
void shim_put(struct shim_object *o);

/* Is fd one of ours? Without a reference. */
bool shim_is_ours(int fd);

/* Make fd name o (takes a reference of its own). 0 or -EMFILE (the table has a bound), -ENOMEM. */
int shim_bind(int fd, struct shim_object *o);
/* fd is closed or replaced: forget it. */
void shim_unbind(int fd);

/* A new object with one reference (the caller's), owning the handle. NULL: no memory. */
struct shim_object *shim_object_new(enum shim_kind kind, struct anykvm_handle *handle);

/* Was the object made by another process (before a fork)? The kernel answers EIO to such callers. */
bool shim_foreign(const struct shim_object *o);
/* Before threads; and in the child of each fork. */
void shim_start(void);
void shim_count_fork(void);

#endif /* SHIM_FDTABLE_H */
