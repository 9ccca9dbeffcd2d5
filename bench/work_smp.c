/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The same work by one thread, and by two at once: two vCPUs against one. A unit is long, as what a thread's start and end
 * cost is another workload's (threads): of a unit of 3 ms it would be a fifth in a guest, where both wake a halted vCPU.
 */
#include <pthread.h>
#include <stddef.h>
#include "work.h"

static void *work(void *arg)
{
	uint64_t x = 1, sum = 0;
	static const uint32_t table[256] = { 1, 2, 3 };

	for (int i = 0; i < 20000000; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		sum += table[x >> 56];
	}
	sink += sum;
	return arg;
}

static void one_thread(void)
{
	work(NULL);
}

static void two_threads(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, work, NULL))
		fail("pthread_create");
	work(NULL);
	pthread_join(t, NULL);
}

static const struct workload workloads[] = {
	{ "one-thread", one_thread },
	{ "two-threads", two_threads },
	{ NULL, NULL },
};

const struct workload_class smp_class = { "smp", workloads, 1 };
