/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "tracetext.h"

#include <string.h>
#include <sys/ioctl.h>

#include "kvmnames.h"

/* The types of events that processors inject (SDM, "Format of the VM-Entry Interruption-Information Field"). */
static const char *const event_types[] = {
	"interrupt", "event", "nmi", "exception", "int-n", "priv-exception", "soft-exception",
};

static double microseconds(const struct watched *w, uint64_t ticks)
{
	return (double)ticks / watch_ticks_per_ns(w) / 1e3;
}

/* -1 ENAME, as strace has it. */
static void print_result(FILE *out, int result)
{
	const char *name = result < 0 ? strerrorname_np(-result) : NULL;

	if (name)
		fprintf(out, " = -1 %s", name);
	else
		fprintf(out, " = %d", result);
}

static void print_argument(FILE *out, const struct monitor_record *r)
{
	size_t size = _IOC_SIZE(r->code);

	if (_IOC_DIR(r->code) == _IOC_NONE) {
		if (r->data[1])
			fprintf(out, "0x%llx", r->data[1]);
		return;
	}
	if (!(_IOC_DIR(r->code) & _IOC_WRITE))
		return;
	/* The first 24 bytes of what it points at, in words. */
	for (unsigned i = 0; i < 3 && i * 8 < size; i++)
		fprintf(out, "%s%0*llx", i ? " " : "{", size >= i * 8 + 8 ? 16 : (int)(2 * (size - i * 8)),
			r->data[i + 1]);
	fputs(size > 24 ? " ...}" : "}", out);
}

static void print_ioctl(FILE *out, const struct watched *w, const struct monitor_record *r)
{
	const char *name = kvm_ioctl_name(r->code);

	if (name)
		fprintf(out, "ioctl %s(", name);
	else
		fprintf(out, "ioctl 0x%x(", r->code);
	print_argument(out, r);
	fputc(')', out);
	print_result(out, r->result);
	fprintf(out, " <%.1f us>", microseconds(w, r->data[0]));
}

static void print_exit(FILE *out, const struct watched *w, const struct monitor_record *r)
{
	char name[MONITOR_NAME_SIZE] = "?";

	if (r->code < MONITOR_CODES)
		memcpy(name, w->file->header.code_names[r->code], sizeof(name) - 1);
	fprintf(out, "exit %s rip 0x%llx", name, r->data[0]);
	if (!strcmp(name, "exception"))
		fprintf(out, " vector %llu error 0x%llx", r->data[2], r->data[3]);
	else if (!strcmp(name, "memory") || !strcmp(name, "emulate"))
		fprintf(out, " gpa 0x%llx%s", r->data[2], r->data[3] & 1 ? " write" : "");
	else if (!strcmp(name, "io"))
		fprintf(out, " port 0x%llx %s size %llu", r->data[2], r->data[3] >> 8 ? "in" : "out",
			r->data[3] & 0xff);
	else if (r->data[2])
		fprintf(out, " hardware 0x%llx", r->data[2]);
	fprintf(out, " <%.1f us in guest>", microseconds(w, r->data[1]));
}

static void print_user(FILE *out, const struct monitor_record *r)
{
	const char *name = kvm_exit_name(r->code);
	const __u64 *d = r->data;

	if (name)
		fprintf(out, "user %s", name);
	else
		fprintf(out, "user reason %u", r->code);
	if (r->result < 0) {
		print_result(out, r->result);
		return;
	}
	switch (r->code) {
	case KVM_EXIT_IO:
		fprintf(out, " %s port 0x%llx size %llu count %llu", d[0] >> 24 & 0xff ? "out" : "in", d[0] & 0xffff,
			d[0] >> 16 & 0xff, d[0] >> 32);
		if (d[0] >> 24 & 0xff)
			fprintf(out, " data 0x%llx", d[1]);
		break;
	case KVM_EXIT_MMIO:
		fprintf(out, " %s 0x%llx len %llu", d[1] >> 8 ? "write" : "read", d[0], d[1] & 0xff);
		if (d[1] >> 8)
			fprintf(out, " data 0x%llx", d[2]);
		break;
	case KVM_EXIT_INTERNAL_ERROR: fprintf(out, " suberror %llu, data 0x%llx", d[0], d[2]); break;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR: fprintf(out, " msr 0x%llx data 0x%llx", d[0], d[1]); break;
	case KVM_EXIT_FAIL_ENTRY:
	case KVM_EXIT_UNKNOWN: fprintf(out, " hardware 0x%llx", d[0]); break;
	case KVM_EXIT_EXCEPTION: fprintf(out, " vector %llu error 0x%llx", d[0], d[1]); break;
	case KVM_EXIT_DEBUG: fprintf(out, " vector %llu rip 0x%llx dr6 0x%llx", d[0], d[1], d[2]); break;
	case KVM_EXIT_HYPERCALL: fprintf(out, " number %llu", d[0]); break;
	case KVM_EXIT_SYSTEM_EVENT: fprintf(out, " type %llu", d[0]); break;
	case KVM_EXIT_IOAPIC_EOI: fprintf(out, " vector 0x%llx", d[0]); break;
	default: break;
	}
}

static void print_inject(FILE *out, const struct monitor_record *r)
{
	unsigned type = r->code >> 8 & 0xff;

	fprintf(out, "inject %s 0x%x",
		type < sizeof(event_types) / sizeof(event_types[0]) ? event_types[type] : "event", r->code & 0xff);
	if (r->code >> 16)
		fprintf(out, " error 0x%llx", r->data[1]);
	if ((r->code & 0xff) == 14 && type == 3)
		fprintf(out, " cr2 0x%llx", r->data[2]);
	fprintf(out, " rip 0x%llx", r->data[0]);
}

void trace_print(FILE *out, const struct watched *w, const struct monitor_record *r)
{
	fprintf(out, "%.7f %u/%u ", watch_instant(w, r->tsc) / 1e9, w->file->header.pid, r->thread);
	if (r->vm)
		fprintf(out, "vm%u ", r->vm);
	if (r->vcpu != ~0u)
		fprintf(out, "vcpu%u ", r->vcpu);
	switch (r->kind) {
	case MONITOR_IOCTL: print_ioctl(out, w, r); break;
	case MONITOR_EXIT: print_exit(out, w, r); break;
	case MONITOR_USER: print_user(out, r); break;
	case MONITOR_INJECT: print_inject(out, r); break;
	default: fprintf(out, "record of kind %u", r->kind);
	}
	fputc('\n', out);
}
