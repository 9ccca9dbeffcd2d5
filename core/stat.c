/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Binary statistics (KVM_GET_STATS_FD; Linux, "Documentation/virt/kvm/api.rst", section KVM_GET_STATS_FD).
 * The file is: header, name of the object, descriptors, values. One table per object says everything.
 */
#include "vcpu.h"

struct stat_desc {
	u32 offset; /* of a u64 in struct vm or struct vcpu */
	const char *name;
};

#define VM_STAT(field, name)                                                                                           \
	{                                                                                                              \
		offsetof(struct vm, stat.field), name                                                                  \
	}
#define VCPU_STAT(field, name)                                                                                         \
	{                                                                                                              \
		offsetof(struct vcpu_stat, field), name                                                                \
	}

static const struct stat_desc vm_table[] = {
	VM_STAT(remote_tlb_flush, "remote_tlb_flush"),
	VM_STAT(mmu_slots_changed, "memslots_changed"),
	VM_STAT(irqs_injected, "irqs_injected"),
};

static const struct stat_desc vcpu_table[] = {
	VCPU_STAT(exits, "exits"),
	VCPU_STAT(signal_exits, "signal_exits"),
	VCPU_STAT(request_exits, "request_exits"),
	VCPU_STAT(irq_injections, "irq_injections"),
	VCPU_STAT(nmi_injections, "nmi_injections"),
	VCPU_STAT(irq_window_exits, "irq_window_exits"),
	VCPU_STAT(nmi_window_exits, "nmi_window_exits"),
	VCPU_STAT(halt_exits, "halt_exits"),
	VCPU_STAT(halt_wakeup, "halt_wakeup"),
	VCPU_STAT(io_exits, "io_exits"),
	VCPU_STAT(mmio_exits, "mmio_exits"),
	VCPU_STAT(insn_emulation, "insn_emulation"),
	VCPU_STAT(insn_emulation_fail, "insn_emulation_fail"),
	VCPU_STAT(hypercalls, "hypercalls"),
	VCPU_STAT(tlb_flush, "tlb_flush"),
	VCPU_STAT(exceptions, "exceptions"),
};

const char *const vm_exit_names[VM_EXIT_COUNT] = {
	[VM_EXIT_NONE] = "none",
	[VM_EXIT_USER] = "user",
	[VM_EXIT_HLT] = "hlt",
	[VM_EXIT_IRQ_WINDOW] = "irq_window",
	[VM_EXIT_NMI_WINDOW] = "nmi_window",
	[VM_EXIT_EXCEPTION] = "exception",
	[VM_EXIT_SHUTDOWN] = "shutdown",
	[VM_EXIT_EMULATE] = "emulate",
	[VM_EXIT_MEMORY] = "memory",
	[VM_EXIT_IO] = "io",
	[VM_EXIT_CPUID] = "cpuid",
	[VM_EXIT_RDMSR] = "rdmsr",
	[VM_EXIT_WRMSR] = "wrmsr",
	[VM_EXIT_CR] = "cr",
	[VM_EXIT_DR] = "dr",
	[VM_EXIT_INVLPG] = "invlpg",
	[VM_EXIT_RDTSC] = "rdtsc",
	[VM_EXIT_HYPERCALL] = "hypercall",
	[VM_EXIT_XSETBV] = "xsetbv",
	[VM_EXIT_WBINVD] = "wbinvd",
	[VM_EXIT_PAUSE] = "pause",
	[VM_EXIT_MWAIT] = "mwait",
	[VM_EXIT_MONITOR] = "monitor",
	[VM_EXIT_TASK_SWITCH] = "task_switch",
	[VM_EXIT_TPR] = "tpr",
	[VM_EXIT_DEBUG_STEP] = "debug_step",
	[VM_EXIT_INIT] = "init",
	[VM_EXIT_SIPI] = "sipi",
	[VM_EXIT_UNHANDLED] = "unhandled",
	[VM_EXIT_HOST_FAULT] = "host_fault",
	[VM_EXIT_FAIL_ENTRY] = "fail_entry",
	[VM_EXIT_UNKNOWN] = "unknown",
};

#define NAME_SIZE STAT_NAME_SIZE
#define DESC_SIZE (sizeof(struct kvm_stats_desc) + NAME_SIZE)

struct stats_fd {
	struct vm *vm;
	const void *base; /* struct vm or struct vcpu_stat */
	bool vcpu;
	char id[NAME_SIZE];
};

static char *append_text(char *to, const char *text)
{
	while (*text)
		*to++ = *text++;
	return to;
}

static char *append_number(char *to, u32 n)
{
	char digits[10];
	int i = 0;

	do {
		digits[i++] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	while (i)
		*to++ = digits[--i];
	return to;
}

/* --- one counter: those of a vCPU by exit code follow those of its table ------------------------------- */

u32 stat_count(bool vcpu)
{
	return vcpu ? ARRAY_SIZE(vcpu_table) + VM_EXIT_COUNT : ARRAY_SIZE(vm_table);
}

u64 stat_value(const void *base, bool vcpu, u32 i)
{
	u32 at;

	if (!vcpu)
		at = vm_table[i].offset;
	else if (i < ARRAY_SIZE(vcpu_table))
		at = vcpu_table[i].offset;
	else
		at = offsetof(struct vcpu_stat, by_code) + (i - ARRAY_SIZE(vcpu_table)) * sizeof(u64);
	return __atomic_load_n((const u64 *)((const u8 *)base + at), __ATOMIC_RELAXED);
}

void stat_name(bool vcpu, u32 i, char name[STAT_NAME_SIZE])
{
	memset(name, 0, STAT_NAME_SIZE);
	if (!vcpu)
		append_text(name, vm_table[i].name);
	else if (i < ARRAY_SIZE(vcpu_table))
		append_text(name, vcpu_table[i].name);
	else
		append_text(append_text(name, "exit_"), vm_exit_names[i - ARRAY_SIZE(vcpu_table)]);
}

/* --- the file ------------------------------------------------------------------------------------------ */

int stats_open(struct vm *vm, struct vcpu *v, struct stats_fd **out)
{
	struct stats_fd *s = host_alloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	vm_get(vm);
	s->vm = vm;
	s->vcpu = v;
	/* Readers tell KVM's statistics by "kvm-" in front. */
	if (v) {
		s->base = v->stat;
		append_number(append_text(s->id, "kvm-anykvm/vcpu-"), v->id);
	} else {
		s->base = vm;
		append_text(s->id, "kvm-anykvm");
	}
	*out = s;
	return 0;
}

void stats_put(struct stats_fd *s)
{
	vm_put(s->vm);
	host_free(s);
}

/* One piece of the file: copy the part of src (at file offset start) that the request covers. */
struct reader {
	u8 *user;
	u64 from, to; /* file offsets asked for */
	u64 at;       /* file offset of the next piece */
	int err;
};

static void piece(struct reader *r, const void *src, u64 size)
{
	u64 lo = r->from > r->at ? r->from : r->at;
	u64 hi = r->to < r->at + size ? r->to : r->at + size;

	if (lo < hi && !r->err)
		r->err = host_copy_to_user(r->user + (lo - r->from), (const u8 *)src + (lo - r->at), hi - lo);
	r->at += size;
}

static void piece_desc(struct reader *r, const struct stats_fd *s, u32 index)
{
	struct {
		struct kvm_stats_desc desc;
		char name[NAME_SIZE];
	} out;

	memset(&out, 0, sizeof(out));
	out.desc.flags = KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10;
	out.desc.size = 1;
	out.desc.offset = index * sizeof(u64);
	stat_name(s->vcpu, index, out.name);
	piece(r, &out, DESC_SIZE);
}

long stats_read(struct stats_fd *s, void *buf, size_t len, s64 offset)
{
	u32 nr = stat_count(s->vcpu);
	const struct kvm_stats_header header = {
		.name_size = NAME_SIZE,
		.num_desc = nr,
		.id_offset = sizeof(header),
		.desc_offset = sizeof(header) + NAME_SIZE,
		.data_offset = (u32)(sizeof(header) + NAME_SIZE + nr * DESC_SIZE),
	};
	u64 end = header.data_offset + nr * sizeof(u64);
	struct reader r = { .user = buf };
	u32 i;

	if (offset < 0)
		return -EINVAL;
	if ((u64)offset >= end)
		return 0;
	if (len > end - (u64)offset)
		len = end - (u64)offset;
	r.from = (u64)offset;
	r.to = r.from + len;
	piece(&r, &header, sizeof(header));
	piece(&r, s->id, NAME_SIZE);
	for (i = 0; i < nr; i++)
		piece_desc(&r, s, i);
	for (i = 0; i < nr; i++) {
		u64 val = stat_value(s->base, s->vcpu, i);

		piece(&r, &val, sizeof(val));
	}
	return r.err ? r.err : (long)len;
}
