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
#include <sys/stat.h>
#include "anykvm.h"

enum shim_kind { SHIM_SYSTEM, SHIM_VM, SHIM_VCPU, SHIM_STATS, SHIM_DEVICE };

struct shim_object {
	enum shim_kind kind;
	unsigned refs;            /* atomic: descriptors + calls in progress */
	unsigned fork_generation; /* the process that made it */
	struct anykvm_handle *handle;
	dev_t dev; /* of the file that stands for it: which descriptors are its */
	ino_t ino;
	int content;                   /* stats.c: a descriptor of the stand-in's content, or -1 */
	struct shim_object *next_read; /* stats.c */
};

/* The object of fd with a reference for the caller, or NULL. */
struct shim_object *shim_get(int fd);
void shim_put(struct shim_object *o);

/*
 * The same for calls that other descriptors get, too: an entry is forgotten here if the number has become another file's, past
 * the calls that we see (io_uring, a system call instruction). Costs an fstat() if there is an entry.
 */
struct shim_object *shim_get_checked(int fd);

/* The object that this file stands for, by another descriptor of this process, with a reference; or NULL. */
struct shim_object *shim_find(const struct stat *st);

/* Make fd name o (takes a reference of its own). 0 or -EMFILE (the table has a bound), -ENOMEM. */
int shim_bind(int fd, struct shim_object *o);
/* fd is closed or replaced: forget it. */
void shim_unbind(int fd);

/* A new object for fd with one reference (the caller's), owning the handle. NULL: no memory. */
struct shim_object *shim_object_new(int fd, enum shim_kind kind, struct anykvm_handle *handle);

/* Was the object made by another process (before a fork)? The kernel answers EIO to such callers. */
bool shim_foreign(const struct shim_object *o);
/* Before threads; and in the child of each fork. */
void shim_start(void);
void shim_count_fork(void);

#endif /* SHIM_FDTABLE_H */
