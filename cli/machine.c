/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dump.h"
#include "message.h"
#include "vcpu.h"

/* Intel hosts need four pages of guest-physical space: keep clear of RAM and of the chips. */
#define IDENTITY_MAP_ADDRESS 0xfffbc000ull
#define TSS_ADDRESS 0xfffbd000ull

static bool failed(const char *what, int err)
{
	message("%s failed: %s", what, strerror(-err));
	return false;
}

static bool check_kvm(struct machine *m, unsigned int cpus)
{
	static const struct {
		unsigned int cap;
		const char *name;
	} needed[] = {
		{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
		{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
		{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
		{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
		{ KVM_CAP_PIT2, "KVM_CAP_PIT2" },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	};
	int max;
	int version = kvmdev_ioctl_number(m->sys, KVM_GET_API_VERSION, 0);

	if (version != KVM_API_VERSION) {
		message("the KVM device speaks API version %d; version %d is needed", version, KVM_API_VERSION);
		return false;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (kvmdev_ioctl_number(m->sys, KVM_CHECK_EXTENSION, needed[i].cap) <= 0) {
			message("the KVM device lacks %s", needed[i].name);
			return false;
		}
	}
	max = kvmdev_ioctl_number(m->sys, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (max > 0 && cpus > (unsigned int)max) {
		message("--cpus %u is too many: this KVM device takes up to %d", cpus, max);
		return false;
	}
	return true;
}

static bool create_vm(struct machine *m)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = IDENTITY_MAP_ADDRESS;
	int err = kvmdev_make(m->sys, KVM_CREATE_VM, 0, &m->vm);

	if (err < 0)
		return failed("KVM_CREATE_VM", err);
	err = kvmdev_ioctl_number(m->vm, KVM_SET_TSS_ADDR, TSS_ADDRESS);
	if (err < 0)
		return failed("KVM_SET_TSS_ADDR", err);
	err = kvmdev_ioctl(m->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (err < 0)
		return failed("KVM_SET_IDENTITY_MAP_ADDR", err);
	err = kvmdev_ioctl_number(m->vm, KVM_CREATE_IRQCHIP, 0);
	if (err < 0)
		return failed("KVM_CREATE_IRQCHIP", err);
	err = kvmdev_ioctl(m->vm, KVM_CREATE_PIT2, &pit);
	if (err < 0)
		return failed("KVM_CREATE_PIT2", err);
	return true;
}

static bool add_slot(struct machine *m, unsigned int slot, uint64_t address, uint64_t offset, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = address,
		.memory_size = size,
		.userspace_addr = (uintptr_t)m->ram + offset,
	};
	int err;

	if (!size)
		return true;
	err = kvmdev_ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region);
	return err < 0 ? failed("KVM_SET_USER_MEMORY_REGION", err) : true;
}

static bool create_ram(struct machine *m, uint64_t size)
{
	void *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (ram == MAP_FAILED) {
		message("cannot get %" PRIu64 " MiB for the guest's memory: %s; give a smaller --memory", size >> 20,
			strerror(errno));
		return false;
	}
	m->ram = ram;
	m->ram_size = size;
	m->ram_low = size < RAM_HOLE_START ? size : RAM_HOLE_START;
	/* Fewer host page faults; and a core dump of ours shall not hold the guest. */
	madvise(ram, size, MADV_HUGEPAGE);
	madvise(ram, size, MADV_DONTDUMP);
	return add_slot(m, 0, 0, 0, m->ram_low) && add_slot(m, 1, RAM_HOLE_END, m->ram_low, size - m->ram_low);
}

bool machine_create(struct machine *m, struct kvmdev *sys, uint64_t ram_size, unsigned int cpus)
{
	int size;

	memset(m, 0, sizeof(*m));
	m->sys = sys;
	pthread_mutex_init(&m->end_lock, NULL);
	m->end_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->end_event < 0)
		return failed("eventfd", -errno);
	if (!check_kvm(m, cpus) || !create_vm(m) || !create_ram(m, ram_size))
		return false;
	size = kvmdev_ioctl_number(m->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return failed("KVM_GET_VCPU_MMAP_SIZE", size < 0 ? size : -EINVAL);
	m->run_size = size;
	m->vcpus = calloc(cpus, sizeof(*m->vcpus));
	if (!m->vcpus)
		return failed("allocation", -ENOMEM);
	m->cpu_count = cpus;
	return true;
}

void machine_destroy(struct machine *m)
{
	for (unsigned int i = 0; i < m->cpu_count; i++)
		kvmdev_close(m->vcpus[i].dev);
	free(m->vcpus);
	kvmdev_close(m->vm);
	kvmdev_close(m->sys);
	if (m->ram)
		munmap(m->ram, m->ram_size);
	if (m->end_event >= 0)
		close(m->end_event);
	free(m->report);
	pthread_mutex_destroy(&m->end_lock);
}

void *machine_memory(struct machine *m, uint64_t address, uint64_t size)
{
	uint64_t high = m->ram_size - m->ram_low;

	if (address <= m->ram_low && size <= m->ram_low - address)
		return m->ram + address;
	if (address >= RAM_HOLE_END && address - RAM_HOLE_END <= high && size <= high - (address - RAM_HOLE_END))
		return m->ram + m->ram_low + (address - RAM_HOLE_END);
	return NULL;
}

void machine_irq(struct machine *m, unsigned int line, bool level)
{
	struct kvm_irq_level irq = { .irq = line, .level = level };
	int err = kvmdev_ioctl(m->vm, KVM_IRQ_LINE, &irq);

	if (err < 0)
		machine_end(m, MACHINE_ERROR, "KVM_IRQ_LINE failed: %s", strerror(-err));
}

void machine_end(struct machine *m, enum machine_end end, const char *format, ...)
{
	const uint64_t one = 1;
	va_list ap;

	pthread_mutex_lock(&m->end_lock);
	if (m->end == MACHINE_RUNNING) {
		m->end = end;
		va_start(ap, format);
		vsnprintf(m->end_text, sizeof(m->end_text), format, ap);
		va_end(ap);
		/* An eventfd takes this at any time; the counter cannot be full. */
		if (write(m->end_event, &one, sizeof(one)) < 0)
			abort();
	}
	pthread_mutex_unlock(&m->end_lock);
}

enum machine_end machine_ended(struct machine *m)
{
	enum machine_end end;

	pthread_mutex_lock(&m->end_lock);
	end = m->end;
	pthread_mutex_unlock(&m->end_lock);
	return end;
}

void machine_panicked(struct machine *m)
{
	struct vcpu *vcpu = vcpu_current();
	char *report = vcpu ? dump_vcpu(vcpu) : NULL;

	pthread_mutex_lock(&m->end_lock);
	m->panic_seen = true;
	if (!m->report) {
		m->report = report;
		report = NULL;
	}
	pthread_mutex_unlock(&m->end_lock);
	free(report);
}
