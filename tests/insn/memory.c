/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The memory functions of host/types.h, by libc's: nothing here keeps a guest's vector registers. */
#include <string.h>

void *anykvm_memcpy(void *dst, const void *src, size_t n);
void *anykvm_memmove(void *dst, const void *src, size_t n);
void *anykvm_memset(void *dst, int c, size_t n);
int anykvm_memcmp(const void *a, const void *b, size_t n);

void *anykvm_memcpy(void *dst, const void *src, size_t n)
{
	return memcpy(dst, src, n);
}

void *anykvm_memmove(void *dst, const void *src, size_t n)
{
	return memmove(dst, src, n);
}

void *anykvm_memset(void *dst, int c, size_t n)
{
	return memset(dst, c, n);
}

int anykvm_memcmp(const void *a, const void *b, size_t n)
{
	return memcmp(a, b, n);
}
