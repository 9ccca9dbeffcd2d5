/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * host/types.h for the kernel: what host/posix/include/host/types.h gives. Freestanding sources see no more of the kernel than
 * its integer types, since its many names would meet theirs; host/linux (HOST_LINUX) has the kernel's headers.
 */
#ifndef HOST_TYPES_H
#define HOST_TYPES_H

#include <linux/stddef.h>
#include <linux/types.h>
#ifdef HOST_LINUX
#include <linux/kernel.h>
#include <linux/string.h>
#else
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1u << (n))
#define BIT_ULL(n) (1ull << (n))
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif
#endif

typedef unsigned __int128 u128;
#ifndef s128
typedef __int128 anykvm_s128;
#define s128 anykvm_s128
#endif
#ifndef __noinline
#define __noinline noinline
#endif

/* Functions of ours with names that the kernel exports. */
#define bus_register anykvm_bus_register
#define bus_unregister anykvm_bus_unregister
#define device_create anykvm_device_create

#endif /* HOST_TYPES_H */
