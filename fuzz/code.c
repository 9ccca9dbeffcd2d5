/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Random guest code on the lockstep engine: the engine itself stops where translator and interpreter differ. Page faults in
 * the guest's few pages are answered by mapping the page, other exceptions by going on one byte later, so that much of
 * the input is executed.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "guest.h"

#define EVENTS_MAX 24
#define USE_MAX 4000 /* inputs for one virtual machine */
#define MILLISECONDS 4

static struct guest guest;
static unsigned used;

static void on_alarm(int sig)
{
	(void)sig;
}

/* Endless loops end by a signal. */
static void set_alarm(unsigned ms)
{
	struct itimerval t = { .it_value.tv_usec = ms * 1000, .it_interval.tv_usec = ms * 1000 };

	setitimer(ITIMER_REAL, &t, NULL);
}

static bool page_fault(struct frame *f)
{
	struct kvm_sregs s;

	anykvm_ioctl(guest.vcpu, KVM_GET_SREGS, &s);
	if (!guest_fix_page(&guest, s.cr2))
		return false;
	guest_resume_at(&guest, f, f->rip);
	return true;
}

/* False: the run is over. */
static bool go_on_after_halt(void)
{
	struct frame f;

	if (!guest_frame(&guest, &f))
		return false;
	if (f.vector == 14 && page_fault(&f))
		return true;
	if (f.rip - CODE_LIN >= CODE_PAGES * 4096ull)
		return false;
	guest_resume_at(&guest, &f, f.vector == 1 ? f.rip : f.rip + 1);
	return true;
}

static void run(void)
{
	unsigned n;
	int r;

	for (n = 0; n < EVENTS_MAX; n++) {
		r = anykvm_ioctl(guest.vcpu, KVM_RUN, NULL);
		if (r == -EINTR)
			return;
		if (r < 0)
			fuzz_fail("KVM_RUN: %s", strerror(-r));
		switch (guest.run->exit_reason) {
		case KVM_EXIT_HLT:
			if (!go_on_after_halt())
				return;
			break;
		case KVM_EXIT_IO:
		case KVM_EXIT_SET_TPR:
		case KVM_EXIT_MMIO: break;
		case KVM_EXIT_SHUTDOWN: return;
		default: fuzz_fail("exit %u", guest.run->exit_reason);
		}
	}
}

static void start(void)
{
	struct sigaction a = { .sa_handler = on_alarm };
	int error;

	if (guest.vm)
		guest_close(&guest);
	if (!guest_open(&guest, &error)) {
		if (error != -ENOSYS)
			fuzz_fail("no virtual machine: %s", strerror(-error));
		exit(77);
	}
	sigaction(SIGALRM, &a, NULL);
	used = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct code_input in;

	if (size < sizeof(in) || size > sizeof(in) + 4096)
		return -1;
	memcpy(&in, data, sizeof(in));
	if (!guest.vm || used++ >= USE_MAX)
		start();
	guest_set_up(&guest, &in, data + sizeof(in), size - sizeof(in));
	set_alarm(MILLISECONDS);
	run();
	set_alarm(0);
	/* It may have left anything in the processor. */
	if (in.flags & CODE_KERNEL)
		used += USE_MAX / 32;
	return 0;
}
