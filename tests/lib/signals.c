/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "signals.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define KERNEL_SIGSET_SIZE 8

volatile sig_atomic_t signal_count;

int signal_mask_for_run(struct cpu *cpu, const sigset_t *blocked)
{
	struct {
		struct kvm_signal_mask header;
		uint8_t set[KERNEL_SIGSET_SIZE];
	} __attribute__((packed)) mask = { .header.len = KERNEL_SIGSET_SIZE };

	if (!blocked)
		return kt_ioctl(cpu->kt, KVM_SET_SIGNAL_MASK, NULL);
	memcpy(mask.set, blocked, KERNEL_SIGSET_SIZE);
	return kt_ioctl(cpu->kt, KVM_SET_SIGNAL_MASK, &mask);
}

void signal_pend_for_run(struct cpu *cpu, int signal)
{
	sigset_t set;

	sigemptyset(&set);
	check_ok(signal_mask_for_run(cpu, &set));
	sigaddset(&set, signal);
	signal_handle(signal);
	check_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	check_eq(pthread_kill(pthread_self(), signal), 0);
}

bool signal_is_pending(int signal)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, signal);
}

void signal_take(int signal)
{
	struct timespec now = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	check_eq(sigtimedwait(&set, NULL, &now), signal);
}

static void count_signal(int signal)
{
	(void)signal;
	signal_count++;
}

void signal_handle(int signal)
{
	struct sigaction action = { .sa_handler = count_signal };

	check_eq(sigaction(signal, &action, NULL), 0);
}

static void pause_briefly(void)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	nanosleep(&pause, NULL);
}

static void *kick(void *opaque)
{
	struct signal_kicker *kicker = opaque;

	while (kicker->flag && !__atomic_load_n(kicker->flag, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&kicker->stop, __ATOMIC_ACQUIRE))
		pause_briefly();
	while (!__atomic_load_n(&kicker->stop, __ATOMIC_ACQUIRE)) {
		pthread_kill(kicker->target, kicker->signal);
		pause_briefly();
	}
	return NULL;
}

void signal_kicker_start(struct signal_kicker *kicker, int signal, volatile void *flag)
{
	kicker->target = pthread_self();
	kicker->signal = signal;
	kicker->flag = flag;
	kicker->stop = false;
	check_eq(pthread_create(&kicker->thread, NULL, kick, kicker), 0);
}

void signal_kicker_stop(struct signal_kicker *kicker)
{
	__atomic_store_n(&kicker->stop, true, __ATOMIC_RELEASE);
	pthread_join(kicker->thread, NULL);
}
