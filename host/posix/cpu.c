/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Host CPUID, each leaf executed once: in a virtual machine it traps, at 4 to 70 microseconds apiece.
 * Fields that differ between processors (APIC ids) are those of the one that happened to be asked.
 */
#include "posix.h"

#define MAX_LEAVES 256 /* more than any processor has; beyond them nothing is remembered */

struct leaf {
	u32 leaf, subleaf, out[4];
};

static struct leaf leaves[MAX_LEAVES];
static u32 nr_leaves; /* entries below are complete (release) */
static pthread_mutex_t leaves_lock = PTHREAD_MUTEX_INITIALIZER;

static void cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

static bool find(u32 leaf, u32 subleaf, u32 out[4])
{
	u32 i, n = __atomic_load_n(&nr_leaves, __ATOMIC_ACQUIRE);

	for (i = 0; i < n; i++) {
		if (leaves[i].leaf == leaf && leaves[i].subleaf == subleaf) {
			memcpy(out, leaves[i].out, sizeof(leaves[i].out));
			return true;
		}
	}
	return false;
}

void host_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	u32 n;

	if (find(leaf, subleaf, out))
		return;
	pthread_mutex_lock(&leaves_lock);
	n = nr_leaves;
	if (!find(leaf, subleaf, out)) {
		cpuid(leaf, subleaf, out);
		if (n < MAX_LEAVES) {
			leaves[n] = (struct leaf){ leaf, subleaf, { out[0], out[1], out[2], out[3] } };
			__atomic_store_n(&nr_leaves, n + 1, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&leaves_lock);
}

void cpu_after_fork(void)
{
	pthread_mutex_init(&leaves_lock, NULL);
}

u64 host_xcr0(void)
{
	u32 r[4], lo, hi;

	host_cpuid(1, 0, r);
	if (!(r[2] & BIT(27))) /* OSXSAVE */
		return 3;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo | (u64)hi << 32;
}

u32 host_nr_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (u32)n : 1;
}
