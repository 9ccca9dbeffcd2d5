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
		offsetof(struct vcpu, stat.field), name                                                                \
	}
#define VCPU_EXIT(code, name)                                                                                          \
	{                                                                                                              \
		offsetof(struct vcpu, stat.by_code[VM_EXIT_##code]), name                                              \
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
	VCPU_EXIT(NONE, "exit_none"),
	VCPU_EXIT(USER, "exit_user"),
	VCPU_EXIT(HLT, "exit_hlt"),
	VCPU_EXIT(IRQ_WINDOW, "exit_irq_window"),
	VCPU_EXIT(NMI_WINDOW, "exit_nmi_window"),
	VCPU_EXIT(EXCEPTION, "exit_exception"),
	VCPU_EXIT(SHUTDOWN, "exit_shutdown"),
	VCPU_EXIT(EMULATE, "exit_emulate"),
	VCPU_EXIT(MEMORY, "exit_memory"),
	VCPU_EXIT(IO, "exit_io"),
	VCPU_EXIT(CPUID, "exit_cpuid"),
	VCPU_EXIT(RDMSR, "exit_rdmsr"),
	VCPU_EXIT(WRMSR, "exit_wrmsr"),
	VCPU_EXIT(CR, "exit_cr"),
	VCPU_EXIT(DR, "exit_dr"),
	VCPU_EXIT(INVLPG, "exit_invlpg"),
	VCPU_EXIT(RDTSC, "exit_rdtsc"),
	VCPU_EXIT(HYPERCALL, "exit_hypercall"),
	VCPU_EXIT(XSETBV, "exit_xsetbv"),
	VCPU_EXIT(WBINVD, "exit_wbinvd"),
	VCPU_EXIT(PAUSE, "exit_pause"),
	VCPU_EXIT(MWAIT, "exit_mwait"),
	VCPU_EXIT(MONITOR, "exit_monitor"),
	VCPU_EXIT(TASK_SWITCH, "exit_task_switch"),
	VCPU_EXIT(TPR, "exit_tpr"),
	VCPU_EXIT(DEBUG_STEP, "exit_debug_step"),
	VCPU_EXIT(INIT, "exit_init"),
	VCPU_EXIT(SIPI, "exit_sipi"),
	VCPU_EXIT(UNHANDLED, "exit_unhandled"),
	VCPU_EXIT(HOST_FAULT, "exit_host_fault"),
	VCPU_EXIT(FAIL_ENTRY, "exit_fail_entry"),
	VCPU_EXIT(UNKNOWN, "exit_unknown"),
};

#define NAME_SIZE 48
#define DESC_SIZE (sizeof(struct kvm_stats_desc) + NAME_SIZE)

struct stats_fd {
	struct vm *vm;
	const u8 *base; /* struct vm or struct vcpu */
	const struct stat_desc *table;
	u32 nr;
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

int stats_open(struct vm *vm, struct vcpu *v, struct stats_fd **out)
{
	struct stats_fd *s = host_alloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	vm_get(vm);
	s->vm = vm;
	/* Readers tell KVM's statistics by "kvm-" in front. */
	if (v) {
		s->base = (const u8 *)v;
		s->table = vcpu_table;
		s->nr = ARRAY_SIZE(vcpu_table);
		append_number(append_text(s->id, "kvm-anykvm/vcpu-"), v->id);
	} else {
		s->base = (const u8 *)vm;
		s->table = vm_table;
		s->nr = ARRAY_SIZE(vm_table);
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

static void piece_desc(struct reader *r, const struct stat_desc *d, u32 index)
{
	struct {
		struct kvm_stats_desc desc;
		char name[NAME_SIZE];
	} out;

	memset(&out, 0, sizeof(out));
	out.desc.flags = KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10;
	out.desc.size = 1;
	out.desc.offset = index * sizeof(u64);
	append_text(out.name, d->name);
	piece(r, &out, DESC_SIZE);
}

long stats_read(struct stats_fd *s, void *buf, size_t len, s64 offset)
{
	const struct kvm_stats_header header = {
		.name_size = NAME_SIZE,
		.num_desc = s->nr,
		.id_offset = sizeof(header),
		.desc_offset = sizeof(header) + NAME_SIZE,
		.data_offset = (u32)(sizeof(header) + NAME_SIZE + s->nr * DESC_SIZE),
	};
	u64 end = header.data_offset + s->nr * sizeof(u64);
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
	for (i = 0; i < s->nr; i++)
		piece_desc(&r, &s->table[i], i);
	for (i = 0; i < s->nr; i++) {
		u64 val = __atomic_load_n((const u64 *)(s->base + s->table[i].offset), __ATOMIC_RELAXED);

		piece(&r, &val, sizeof(val));
	}
	return r.err ? r.err : (long)len;
}
