/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * host/types.h for user space: the basic types and memory functions of freestanding code.
 *
 * There is one such header for each host (this one and host/linux/include/host/types.h); it is
 * the only header that x86/ includes from outside its own folder. No operating system call is
 * declared here.
 *
 * The memory functions carry private linker names: the soft engine keeps the guest's vector
 * registers in the host's, and libc's memcpy would destroy them (compilers also emit calls to it
 * for structure copies, which these names redirect as well). See host/posix/mem.c.
 */
#ifndef HOST_TYPES_H
#define HOST_TYPES_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef unsigned __int128 u128;
typedef __int128 s128;

void *memcpy(void *dst, const void *src, size_t n) __asm__("anykvm_memcpy");
void *memmove(void *dst, const void *src, size_t n) __asm__("anykvm_memmove");
void *memset(void *dst, int c, size_t n) __asm__("anykvm_memset");
int memcmp(const void *a, const void *b, size_t n) __asm__("anykvm_memcmp");

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1u << (n))
#define BIT_ULL(n) (1ull << (n))
#ifndef offsetof
#define offsetof(t, m) __builtin_offsetof(t, m)
#endif
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define __noinline __attribute__((noinline))

#endif /* HOST_TYPES_H */
