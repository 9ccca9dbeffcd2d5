/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * stats.h - statistics descriptors on a route that does not catch read() (it would slow down every program): the stand-in holds
 * the values of the last KVM ioctl.
 */
#ifndef SHIM_STATS_H
#define SHIM_STATS_H

#include "fdtable.h"

/* From now on stand-ins have content. Without this call all others do nothing. */
void stats_start(void);
/* fd has been made for the statistics object o. */
void stats_made(struct shim_object *o, int fd);
/* A KVM ioctl has been made. */
void stats_refresh(void);
/* o is about to go. */
void stats_forget(struct shim_object *o);
/* In the child. */
void stats_after_fork(void);

#endif /* SHIM_STATS_H */
