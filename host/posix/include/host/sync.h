/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The embedded types of host.h for user space. Their insides belong to host/posix alone. */
#ifndef HOST_SYNC_H
#define HOST_SYNC_H
#include <pthread.h>
struct host_mutex { pthread_mutex_t m; };
struct host_lock { pthread_mutex_t m; };
struct host_wait { u32 seq; u32 sleeping; };
struct host_srcu { u32 idx; u32 count[2]; u32 waiter; pthread_mutex_t m; };
struct host_timer { void (*fn)(void *); void *arg; u64 expires; u32 pos; bool running; };
#endif
