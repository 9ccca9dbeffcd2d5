/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bootdata.h"
#include "dump.h"
#include "message.h"

#define KICK_SIGNAL SIGUSR1
#define KICK_INTERVAL_NS 50000000
#define KICK_ROUNDS 100

#define MSR_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRING 0x1
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLED_WB 0x806

#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LVT_MODE_EXTINT 0x700
#define LVT_MODE_NMI 0x400

#define CR0_PE 0x00000001ull
#define CR0_ET 0x00000010ull
#define CR0_PG 0x80000000ull
#define CR4_PAE 0x20ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull

static __thread struct vcpu *current;

struct vcpu *vcpu_current(void)
{
	return current;
}

static bool failed(const struct vcpu *vcpu, const char *what, int err)
{
	message("vCPU %u: %s failed: %s", vcpu->id, what, strerror(-err));
	return false;
}

/* As firmware leaves it: the PIC at LINT0 of the boot processor, NMI at LINT1. */
static bool set_lapic(struct vcpu *vcpu)
{
	static const uint32_t extint = LVT_MODE_EXTINT, nmi = LVT_MODE_NMI;
	struct kvm_lapic_state lapic;
	int err = kvmdev_ioctl(vcpu->dev, KVM_GET_LAPIC, &lapic);

	if (err < 0)
		return failed(vcpu, "KVM_GET_LAPIC", err);
	if (vcpu->id == 0)
		memcpy(lapic.regs + LAPIC_LVT_LINT0, &extint, sizeof(extint));
	memcpy(lapic.regs + LAPIC_LVT_LINT1, &nmi, sizeof(nmi));
	err = kvmdev_ioctl(vcpu->dev, KVM_SET_LAPIC, &lapic);
	return err < 0 ? failed(vcpu, "KVM_SET_LAPIC", err) : true;
}

static bool set_msrs(struct vcpu *vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[2];
	} msrs = {
		.head.nmsrs = 2,
		.entries = {
			{ .index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
			{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WB },
		},
	};
	int set = kvmdev_ioctl(vcpu->dev, KVM_SET_MSRS, &msrs);

	if (set < 0)
		return failed(vcpu, "KVM_SET_MSRS", set);
	if (set < 2) {
		message("vCPU %u: KVM does not take MSR %#x", vcpu->id, msrs.entries[set].index);
		return false;
	}
	return true;
}

static bool create(struct vcpu *vcpu)
{
	int err = kvmdev_make(vcpu->machine->vm, KVM_CREATE_VCPU, vcpu->id, &vcpu->dev);

	if (err < 0)
		return failed(vcpu, "KVM_CREATE_VCPU", err);
	err = vcpu->dev->ops->map(vcpu->dev, vcpu->machine->run_size, &vcpu->run);
	if (err < 0)
		return failed(vcpu, "mapping its kvm_run", err);
	return vcpu_set_cpuid(vcpu) && set_msrs(vcpu) && set_lapic(vcpu);
}

bool vcpu_create_all(struct machine *m)
{
	for (unsigned int i = 0; i < m->cpu_count; i++) {
		m->vcpus[i].machine = m;
		m->vcpus[i].id = i;
		if (!create(&m->vcpus[i]))
			return false;
	}
	return true;
}

static struct kvm_segment flat_segment(uint16_t selector, bool code, bool long_mode)
{
	return (struct kvm_segment){
		.selector = selector,
		.limit = 0xffffffff,
		.type = code ? 0xb : 0x3, /* readable or writable, accessed */
		.present = 1,
		.s = 1,
		.g = 1,
		.db = !(code && long_mode),
		.l = code && long_mode,
	};
}

static void set_mode(struct kvm_sregs *s, enum entry_mode mode)
{
	bool long_mode = mode == ENTRY_LONG;

	s->cs = flat_segment(BOOT_CS, true, long_mode);
	s->ds = flat_segment(BOOT_DS, false, long_mode);
	s->es = s->ds;
	s->fs = s->ds;
	s->gs = s->ds;
	s->ss = s->ds;
	s->tr = (struct kvm_segment){ .selector = BOOT_TSS, .limit = 0x67, .type = 0xb, .present = 1 };
	s->ldt = (struct kvm_segment){ .unusable = 1 };
	s->gdt.base = BOOT_GDT;
	s->gdt.limit = BOOT_GDT_SIZE - 1;
	s->idt.base = 0;
	s->idt.limit = 0;
	s->cr0 = CR0_PE | CR0_ET;
	s->cr4 = 0;
	s->efer = 0;
	if (long_mode) {
		s->cr0 |= CR0_PG;
		s->cr3 = BOOT_PAGE_TABLES;
		s->cr4 = CR4_PAE;
		s->efer = EFER_LME | EFER_LMA;
	}
}

bool vcpu_set_entry(struct machine *m, const struct entry *entry)
{
	struct vcpu *vcpu = &m->vcpus[0];
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rsi = entry->rsi,
		.rbx = entry->rbx,
		.rsp = BOOT_STACK_TOP,
		.rflags = 0x2,
	};
	struct kvm_sregs sregs;
	int err = kvmdev_ioctl(vcpu->dev, KVM_GET_SREGS, &sregs);

	if (err < 0)
		return failed(vcpu, "KVM_GET_SREGS", err);
	set_mode(&sregs, entry->mode);
	err = kvmdev_ioctl(vcpu->dev, KVM_SET_SREGS, &sregs);
	if (err < 0)
		return failed(vcpu, "KVM_SET_SREGS", err);
	err = kvmdev_ioctl(vcpu->dev, KVM_SET_REGS, &regs);
	return err < 0 ? failed(vcpu, "KVM_SET_REGS", err) : true;
}

/* Take the registers, then end: the report stays with the reason it belongs to. */
static void crash(struct vcpu *vcpu, const char *text)
{
	struct machine *m = vcpu->machine;
	char *report = dump_vcpu(vcpu);

	pthread_mutex_lock(&m->end_lock);
	if (m->end == MACHINE_RUNNING) {
		free(m->report);
		m->report = report;
		report = NULL;
	}
	pthread_mutex_unlock(&m->end_lock);
	free(report);
	machine_end(m, MACHINE_CRASH, "%s", text);
}

static void internal_error(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	char text[200];
	int n = snprintf(text, sizeof(text), "KVM reports an internal error, suberror %u", run->internal.suberror);

	for (unsigned int i = 0; i < run->internal.ndata && i < 4; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s %#llx", i ? "" : ", data", run->internal.data[i]);
	crash(vcpu, text);
}

static void system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN: machine_end(vcpu->machine, MACHINE_POWEROFF, "%s", ""); break;
	case KVM_SYSTEM_EVENT_RESET: machine_end(vcpu->machine, MACHINE_RESET, "%s", ""); break;
	default: crash(vcpu, "the guest crashed (KVM system event)");
	}
}

static void unknown_exit(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	char text[200];

	switch (run->exit_reason) {
	case KVM_EXIT_UNKNOWN:
		snprintf(text, sizeof(text),
			 "the guest stopped for a reason that KVM does not know: hardware reason %#llx",
			 run->hw.hardware_exit_reason);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(text, sizeof(text), "entering the guest failed: hardware reason %#llx",
			 run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		snprintf(text, sizeof(text), "KVM asks for something this program does not have: exit reason %u",
			 run->exit_reason);
	}
	crash(vcpu, text);
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *bus = &vcpu->machine->bus;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.direction == KVM_EXIT_IO_IN)
			bus_in(bus, run->io.port, run->io.size, run->io.count, (char *)run + run->io.data_offset);
		else
			bus_out(bus, run->io.port, run->io.size, run->io.count, (char *)run + run->io.data_offset);
		break;
	case KVM_EXIT_MMIO:
		/* There is no device in memory space beyond those of KVM. */
		if (!run->mmio.is_write)
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN: break;
	case KVM_EXIT_SHUTDOWN: crash(vcpu, "the guest crashed with a triple fault"); break;
	case KVM_EXIT_SYSTEM_EVENT: system_event(vcpu); break;
	case KVM_EXIT_INTERNAL_ERROR: internal_error(vcpu); break;
	default: unknown_exit(vcpu);
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct machine *m = vcpu->machine;

	current = vcpu;
	while (machine_ended(m) == MACHINE_RUNNING) {
		int err = kvmdev_ioctl(vcpu->dev, KVM_RUN, NULL);

		if (err >= 0)
			handle_exit(vcpu);
		else if (err != -EINTR && err != -EAGAIN)
			machine_end(m, MACHINE_ERROR, "vCPU %u: KVM_RUN failed: %s", vcpu->id, strerror(-err));
	}
	return NULL;
}

/* On the vCPU's own thread, which may be about to call KVM_RUN: hence immediate_exit. */
static void kick_handler(int signal)
{
	(void)signal;
	if (!current)
		return;
	current->run->immediate_exit = 1;
	current->dev->ops->signal_arrived();
}

bool vcpu_start_all(struct machine *m)
{
	struct sigaction action = { .sa_handler = kick_handler }; /* no SA_RESTART: ends writes too */

	sigaction(KICK_SIGNAL, &action, NULL);
	for (unsigned int i = 0; i < m->cpu_count; i++) {
		struct vcpu *vcpu = &m->vcpus[i];
		int err = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);

		if (err) {
			machine_end(m, MACHINE_ERROR, "cannot create a thread for vCPU %u: %s", i, strerror(err));
			return false;
		}
		vcpu->started = true;
	}
	return true;
}

static bool join_within(struct vcpu *vcpu, long nanoseconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += nanoseconds;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return !pthread_timedjoin_np(vcpu->thread, NULL, &until);
}

/*
 * A kick can come just before a blocking write, where no flag guards it, and a thread can wait for
 * another's lock: kick all of them until all are gone.
 */
bool vcpu_join_all(struct machine *m)
{
	unsigned int left = 0;

	for (unsigned int round = 0; round < KICK_ROUNDS; round++) {
		left = 0;
		for (unsigned int i = 0; i < m->cpu_count; i++) {
			if (m->vcpus[i].started)
				pthread_kill(m->vcpus[i].thread, KICK_SIGNAL);
		}
		for (unsigned int i = 0; i < m->cpu_count; i++) {
			struct vcpu *vcpu = &m->vcpus[i];

			if (vcpu->started && join_within(vcpu, left ? 0 : KICK_INTERVAL_NS))
				vcpu->started = false;
			left += vcpu->started;
		}
		if (!left)
			return true;
	}
	message("%u vCPU threads do not leave the guest", left);
	return false;
}
