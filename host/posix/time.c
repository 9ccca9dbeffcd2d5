/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Clocks. The system's clocks are read through the vDSO: no system call. */
#include <fcntl.h>
#include "posix.h"

#define NSEC 1000000000ull

static u64 read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (u64)ts.tv_sec * NSEC + (u64)ts.tv_nsec;
}

struct timespec host_timespec(u64 ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NSEC), .tv_nsec = (long)(ns % NSEC) };
}

u64 host_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

u64 host_boottime_ns(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

u64 host_realtime_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

u64 host_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

struct sample {
	u64 ns, tsc;
};

/* The pair with the tightest bracket of several: an interruption between the two reads spoils only one try. */
static struct sample take_sample(void)
{
	struct sample best = { 0, 0 };
	u64 width = ~0ull;
	int i;

	for (i = 0; i < 16; i++) {
		u64 before = host_tsc();
		u64 ns = host_now_ns();
		u64 after = host_tsc();

		if (after - before < width) {
			width = after - before;
			best.ns = ns;
			best.tsc = before + width / 2;
		}
	}
	return best;
}

static u32 tsc_khz;

static void measure_tsc(void)
{
	struct timespec pause = host_timespec(10000000);
	struct sample a = take_sample(), b;

	/* Measured, not read from CPUID: inside VMs the nominal frequency is often not the real one. */
	do {
		syscall(SYS_nanosleep, &pause, NULL);
		b = take_sample();
	} while (b.ns - a.ns < 9000000 || b.tsc <= a.tsc);
	tsc_khz = (u32)((u128)(b.tsc - a.tsc) * 1000000 / (b.ns - a.ns));
}

u32 host_tsc_khz(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int saved = errno;

	pthread_once(&once, measure_tsc);
	errno = saved;
	return tsc_khz;
}

u64 host_run_time_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

/* The second number of "ticks-run wait-ns slices". */
u64 host_run_delay_ns(void)
{
	int saved = errno, fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	char text[96];
	ssize_t n, i = 0;
	u64 ns = 0;

	if (fd < 0) {
		errno = saved;
		return 0;
	}
	n = sys_read(fd, text, sizeof(text));
	sys_close(fd);
	errno = saved;
	while (i < n && text[i] != ' ')
		i++;
	for (i++; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		ns = ns * 10 + (u64)(text[i] - '0');
	return ns;
}
