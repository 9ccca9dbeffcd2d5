/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The trace of KVM ioctls. See trace.h. */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

bool trace_on;
static int trace_fd = -1;

struct name {
	unsigned long request;
	const char *text;
};

#define N(x)                                                                                                           \
	{                                                                                                              \
		x, #x                                                                                                  \
	}
static const struct name names[] = {
	N(KVM_GET_API_VERSION),
	N(KVM_CREATE_VM),
	N(KVM_GET_MSR_INDEX_LIST),
	N(KVM_GET_MSR_FEATURE_INDEX_LIST),
	N(KVM_CHECK_EXTENSION),
	N(KVM_GET_VCPU_MMAP_SIZE),
	N(KVM_GET_SUPPORTED_CPUID),
	N(KVM_CREATE_VCPU),
	N(KVM_GET_DIRTY_LOG),
	N(KVM_CLEAR_DIRTY_LOG),
	N(KVM_SET_USER_MEMORY_REGION),
	N(KVM_SET_TSS_ADDR),
	N(KVM_SET_IDENTITY_MAP_ADDR),
	N(KVM_CREATE_IRQCHIP),
	N(KVM_IRQ_LINE),
	N(KVM_IRQ_LINE_STATUS),
	N(KVM_GET_IRQCHIP),
	N(KVM_SET_IRQCHIP),
	N(KVM_CREATE_PIT2),
	N(KVM_GET_PIT2),
	N(KVM_SET_PIT2),
	N(KVM_SET_GSI_ROUTING),
	N(KVM_IRQFD),
	N(KVM_IOEVENTFD),
	N(KVM_SIGNAL_MSI),
	N(KVM_REGISTER_COALESCED_MMIO),
	N(KVM_UNREGISTER_COALESCED_MMIO),
	N(KVM_GET_CLOCK),
	N(KVM_SET_CLOCK),
	N(KVM_RUN),
	N(KVM_GET_REGS),
	N(KVM_SET_REGS),
	N(KVM_GET_SREGS),
	N(KVM_SET_SREGS),
	N(KVM_GET_SREGS2),
	N(KVM_SET_SREGS2),
	N(KVM_TRANSLATE),
	N(KVM_INTERRUPT),
	N(KVM_NMI),
	N(KVM_GET_MSRS),
	N(KVM_SET_MSRS),
	N(KVM_SET_CPUID),
	N(KVM_SET_CPUID2),
	N(KVM_GET_CPUID2),
	N(KVM_SET_SIGNAL_MASK),
	N(KVM_GET_FPU),
	N(KVM_SET_FPU),
	N(KVM_GET_LAPIC),
	N(KVM_SET_LAPIC),
	N(KVM_GET_MP_STATE),
	N(KVM_SET_MP_STATE),
	N(KVM_GET_VCPU_EVENTS),
	N(KVM_SET_VCPU_EVENTS),
	N(KVM_GET_DEBUGREGS),
	N(KVM_SET_DEBUGREGS),
	N(KVM_GET_XSAVE),
	N(KVM_GET_XSAVE2),
	N(KVM_SET_XSAVE),
	N(KVM_GET_XCRS),
	N(KVM_SET_XCRS),
	N(KVM_SET_GUEST_DEBUG),
	N(KVM_TPR_ACCESS_REPORTING),
	N(KVM_SET_VAPIC_ADDR),
	N(KVM_ENABLE_CAP),
	N(KVM_SET_TSC_KHZ),
	N(KVM_GET_TSC_KHZ),
	N(KVM_KVMCLOCK_CTRL),
	N(KVM_X86_SETUP_MCE),
	N(KVM_X86_GET_MCE_CAP_SUPPORTED),
	N(KVM_X86_SET_MSR_FILTER),
	N(KVM_GET_STATS_FD),
	N(KVM_SET_BOOT_CPU_ID),
	N(KVM_CREATE_DEVICE),
	N(KVM_SET_DEVICE_ATTR),
	N(KVM_GET_DEVICE_ATTR),
	N(KVM_HAS_DEVICE_ATTR),
	N(KVM_SMI),
};

static const char *const exits[] = {
	"UNKNOWN",
	"EXCEPTION",
	"IO",
	"HYPERCALL",
	"DEBUG",
	"HLT",
	"MMIO",
	"IRQ_WINDOW_OPEN",
	"SHUTDOWN",
	"FAIL_ENTRY",
	"INTR",
	"SET_TPR",
	"TPR_ACCESS",
	[17] = "INTERNAL_ERROR",
	[24] = "SYSTEM_EVENT",
	[26] = "IOAPIC_EOI",
	[29] = "X86_RDMSR",
	[30] = "X86_WRMSR",
};

bool trace_start(void)
{
	const char *path = getenv("ANYKVM_TRACE");

	if (!path || !*path)
		return true;
	trace_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	trace_on = trace_fd >= 0;
	return trace_on;
}

/* What user space is told at the end of KVM_RUN. */
static int describe_exit(char *buf, size_t size, const struct kvm_run *run)
{
	unsigned why = run->exit_reason;
	const char *text = why < sizeof(exits) / sizeof(exits[0]) && exits[why] ? exits[why] : "reason";

	switch (why) {
	case KVM_EXIT_IO:
		return snprintf(buf, size, " IO %s port 0x%x size %u count %u", run->io.direction ? "out" : "in",
				run->io.port, run->io.size, run->io.count);
	case KVM_EXIT_MMIO:
		return snprintf(buf, size, " MMIO %s 0x%llx len %u", run->mmio.is_write ? "write" : "read",
				run->mmio.phys_addr, run->mmio.len);
	case KVM_EXIT_INTERNAL_ERROR: return snprintf(buf, size, " INTERNAL_ERROR suberror %u", run->internal.suberror);
	default: return snprintf(buf, size, " %s (%u)", text, why);
	}
}

void trace_ioctl(int fd, const struct shim_object *o, unsigned long request, const void *arg, int result)
{
	const char *text = NULL;
	struct timespec now;
	char line[256];
	int err = errno;
	size_t n;

	for (size_t i = 0; !text && i < sizeof(names) / sizeof(names[0]); i++) {
		if ((unsigned)names[i].request == (unsigned)request)
			text = names[i].text;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	n = (size_t)snprintf(line, sizeof(line), "%ld.%06ld %ld fd %d %s(0x%lx: %p) = %d", now.tv_sec,
			     now.tv_nsec / 1000, syscall(SYS_gettid), fd, text ? text : "?", request, arg, result);
	if (result < 0)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " errno %d", err);
	else if (request == KVM_RUN && o->kind == SHIM_VCPU)
		n += (size_t)describe_exit(line + n, sizeof(line) - n, anykvm_map(o->handle, NULL));
	line[n++] = '\n';
	if (write(trace_fd, line, n) < 0)
		trace_on = false; /* a full disk must not stop the guest */
	errno = err;
}
