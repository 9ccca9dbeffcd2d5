/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The hostile process's ioctls and their arguments. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include "hostile.h"
#include "../lib/ioctls.h"
#include "../lib/words.h"

#define WORDS 1024 /* of an argument */
#define KERNEL_ADDRESS ((uint8_t *)0xffff888000100000ul)
#define NON_CANONICAL ((uint8_t *)0x8000000000000000ul)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint8_t *hole; /* an inaccessible page between two others, the one behind it read-only */

void make_area(void)
{
	area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	hole = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(area != MAP_FAILED && hole != MAP_FAILED, "mmap");
	hole += PAGE;
	must(mprotect(hole, PAGE, PROT_NONE) == 0 && mprotect(hole + PAGE, PAGE, PROT_READ) == 0, "mprotect");
	fill_area();
}

/* Bytes to memory of ours that may not be there. */
static void poke(void *to, const void *from, size_t size)
{
	struct iovec local = { (void *)(uintptr_t)from, size }, remote = { to, size };

	process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
}

/* --- guests ------------------------------------------------------------------------------------------------------------ */

/* 16-bit code, in pieces that go on with what follows. */
static const struct piece {
	uint8_t length, code[11];
} pieces[] = {
	{ 5, { 0x66, 0xff, 0x06, 0x00, 0x50 } },                         /* inc dword [0x5000] */
	{ 2, { 0xe6, 0x80 } },                                           /* out 0x80, al */
	{ 2, { 0xe4, 0x21 } },                                           /* in al, 0x21 */
	{ 6, { 0xba, 0x20, 0x00, 0xb0, 0x13, 0xee } },                   /* mov dx, 0x20; mov al, 0x13; out dx, al */
	{ 3, { 0xf3, 0x6e, 0x90 } },                                     /* rep outsb */
	{ 3, { 0xf3, 0x66, 0x6d } },                                     /* rep insd */
	{ 2, { 0x0f, 0xa2 } },                                           /* cpuid */
	{ 8, { 0x66, 0xb9, 0x0b, 0x08, 0x00, 0x00, 0x0f, 0x30 } },       /* mov ecx, 0x80b; wrmsr */
	{ 8, { 0x66, 0xb9, 0x01, 0x4d, 0x56, 0x4b, 0x0f, 0x30 } },       /* mov ecx, MSR_KVM_SYSTEM_TIME_NEW; wrmsr */
	{ 2, { 0x0f, 0x32 } },                                           /* rdmsr */
	{ 1, { 0xf4 } },                                                 /* hlt */
	{ 1, { 0xfb } },                                                 /* sti */
	{ 2, { 0x0f, 0x31 } },                                           /* rdtsc */
	{ 3, { 0x0f, 0x01, 0xd9 } },                                     /* vmmcall */
	{ 3, { 0x0f, 0x01, 0xc1 } },                                     /* vmcall */
	{ 6, { 0x0f, 0x20, 0xc0, 0x0f, 0x22, 0xc0 } },                   /* mov eax, cr0; mov cr0, eax */
	{ 6, { 0x66, 0x35, 0x01, 0x00, 0x00, 0x00 } },                   /* xor eax, 1 */
	{ 3, { 0x0f, 0x22, 0xc0 } },                                     /* mov cr0, eax */
	{ 3, { 0x0f, 0x22, 0xd8 } },                                     /* mov cr3, eax */
	{ 3, { 0x0f, 0x23, 0xf8 } },                                     /* mov dr7, eax */
	{ 9, { 0x66, 0xbe, 0x00, 0x00, 0xe0, 0xfe, 0x67, 0x8b, 0x06 } }, /* mov esi, 0xfee00000; mov ax, [esi] */
	{ 3, { 0x67, 0x89, 0x06 } },                                     /* mov [esi], ax */
	{ 4, { 0x67, 0xf0, 0xff, 0x06 } },                               /* lock inc word [esi] */
	{ 5, { 0x67, 0x0f, 0x6f, 0x06, 0x90 } },                         /* movq mm0, [esi] */
	{ 2, { 0xcd, 0x10 } },                                           /* int 0x10 */
	{ 2, { 0x0f, 0x0b } },                                           /* ud2 */
	{ 1, { 0xcc } },                                                 /* int3 */
	{ 2, { 0x0f, 0xaa } },                                           /* rsm */
	{ 2, { 0xf3, 0x90 } },                                           /* pause */
	{ 2, { 0xeb, 0x90 } },                                           /* jmp back */
	{ 3, { 0xe9, 0x00, 0xf0 } },                                     /* jmp far back */
	{ 7, { 0x66, 0x81, 0xc6, 0x00, 0x10, 0x00, 0x00 } },             /* add esi, 0x1000 */
};

void fill_area(void)
{
	uint8_t bytes[64];
	size_t used = 0;

	while (used + sizeof(pieces[0].code) < sizeof(bytes)) {
		const struct piece *p = &pieces[below(COUNT(pieces))];

		memcpy(bytes + used, p->code, p->length);
		used += p->length;
	}
	poke(area + (below(4) ? 0x1000 + below(0x2000) : below(AREA - sizeof(bytes))), bytes, used);
}

static void enable(int vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	ioctl(vm, KVM_ENABLE_CAP, &enable);
}

int make_vm(void)
{
	struct kvm_userspace_memory_region region = { .memory_size = AREA, .userspace_addr = (uintptr_t)area };
	struct kvm_pit_config pit = { 0 };
	int vm = ioctl(fds[FD_SYSTEM], KVM_CREATE_VM, below(16) ? 0 : any());

	if (vm < 0)
		return -1;
	if (!below(3))
		enable(vm, KVM_CAP_DIRTY_LOG_RING, PAGE << below(6));
	if (below(2))
		region.flags = KVM_MEM_LOG_DIRTY_PAGES;
	switch (below(4)) {
	case 0: break;
	case 1: enable(vm, KVM_CAP_SPLIT_IRQCHIP, 24); break;
	default: ioctl(vm, KVM_CREATE_IRQCHIP, 0); ioctl(vm, KVM_CREATE_PIT2, &pit);
	}
	ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
	return vm;
}

static void set_cpuid(int vcpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[100];
	} cpuid = { .head.nent = 100 };

	if (ioctl(fds[FD_SYSTEM], KVM_GET_SUPPORTED_CPUID, &cpuid) == 0)
		ioctl(vcpu, KVM_SET_CPUID2, &cpuid);
}

static void aim(int vcpu)
{
	struct kvm_regs regs = {
		.rip = 0x1000, .rsp = 0x8000, .rflags = 2 | (any() & 0x200), .rax = any(), .rcx = below(300)
	};
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return;
	sregs.cs.base = sregs.cs.selector = 0;
	ioctl(vcpu, KVM_SET_SREGS, &sregs);
	ioctl(vcpu, KVM_SET_REGS, &regs);
	ioctl(vcpu, KVM_SET_MP_STATE, &runnable);
}

int make_vcpu(int vm, uint64_t id)
{
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, id);

	if (vcpu < 0)
		return -1;
	if (below(2))
		set_cpuid(vcpu);
	aim(vcpu);
	return vcpu;
}

void run_something(void)
{
	int vcpu = fd_of(VCPU);

	if (!below(4))
		aim(vcpu);
	count(&counts->runs);
	if (ioctl(vcpu, KVM_RUN, below(64) ? 0 : any()) == 0)
		count(&counts->exits);
}

/* --- arguments ------------------------------------------------------------------------------------------------------------ */

static uint64_t word(void)
{
	if (below(2))
		return interesting_words[below(INTERESTING_WORDS)];
	return any() >> below(64);
}

void *bad_pointer(size_t size)
{
	switch (below(8)) {
	case 0: return NULL;
	case 1: return KERNEL_ADDRESS;
	case 2: return NON_CANONICAL;
	case 3: return (void *)(uintptr_t)word();
	case 4: return hole + PAGE; /* read-only */
	case 5: return hole - 1 - below(size ? (uint32_t)size : 1);
	case 6: return run[below(VCPUS)];
	default: return area + below(AREA);
	}
}

static const uint32_t msrs[] = { 0x10,       0x1b,       0x48,       0x49,       0x174,      0x1a0,      0x200,
				 0x277,      0x2ff,      0x400,      0x6e0,      0x80b,      0x830,      0x83f,
				 0xda0,      0xc0000081, 0xc0000102, 0xc0000103, 0xc0010117, 0x4b564d00, 0x4b564d01,
				 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05, 0x40000000, 0x40000001, 0x40000020,
				 0x40000021, 0x40000073, 0x40000080, 0x40000081, 0x40000083, 0x40000090, 0x400000b0,
				 0x400000b1, 0x40000118 };
static const uint32_t caps[] = {
	KVM_CAP_SPLIT_IRQCHIP,        KVM_CAP_DIRTY_LOG_RING,        KVM_CAP_X2APIC_API,
	KVM_CAP_HYPERV_SYNIC,         KVM_CAP_HYPERV_SYNIC2,         KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
	KVM_CAP_EXCEPTION_PAYLOAD,    KVM_CAP_X86_USER_SPACE_MSR,    KVM_CAP_HALT_POLL,
	KVM_CAP_MAX_VCPU_ID,          KVM_CAP_X86_DISABLE_EXITS,     KVM_CAP_EXIT_HYPERCALL,
	KVM_CAP_HYPERV_ENFORCE_CPUID, KVM_CAP_X86_TRIPLE_FAULT_EVENT
};

static void tame_region(struct kvm_userspace_memory_region *region)
{
	if (!below(8))
		return;
	region->slot = below(4) | below(2) << 16;
	region->flags = below(4);
	region->userspace_addr = (uintptr_t)area + (uint64_t)below(AREA / PAGE) * PAGE;
	region->guest_phys_addr = below(8) ? (uint64_t)below(AREA / PAGE) * PAGE : word() & ~(PAGE - 1);
	region->memory_size = below(4) ? (uint64_t)below(AREA / PAGE) * PAGE : 0;
}

/*
 * Registers that are nearly right; noise would be refused. EFER is left alone, here and among the MSRs: if a guest has LME without
 * CR4.PAE QEMU's #VMEXIT keeps its CR0, and the host goes on without paging and without interrupts.
 */
static bool tame_sregs(int vcpu, struct kvm_sregs *sregs)
{
	if (ioctl(vcpu, KVM_GET_SREGS, sregs) < 0)
		return false;
	switch (below(8)) {
	case 0: sregs->apic_base ^= word(); break;
	case 1: sregs->interrupt_bitmap[below(4)] = word(); break;
	case 2: sregs->cr8 = word(); break;
	case 3: sregs->ds.base = word(); break;
	case 4: sregs->es.limit = (uint32_t)word(); break;
	case 5: sregs->idt.base = word(); break;
	case 6: sregs->cr3 = word(); break;
	default: sregs->cs.base = (uint64_t)below(0x10000) << 4; break;
	}
	return true;
}

/* Where noise would always be refused, something that may be granted. False: not to be called. */
static bool tame(int fd, unsigned long request, void *argument, uint8_t *memory)
{
	uint32_t *head = argument;
	uint32_t i;

	switch (request) {
	case KVM_SET_USER_MEMORY_REGION: tame_region(argument); break;
	case KVM_SET_SREGS:
	case KVM_SET_SREGS2: return tame_sregs(fd, argument);
	case KVM_GET_DIRTY_LOG:
	case KVM_CLEAR_DIRTY_LOG:
		head[0] = below(4) | below(2) << 16;
		((struct kvm_dirty_log *)argument)->dirty_bitmap = memory;
		break;
	case KVM_X86_SET_MSR_FILTER:
		for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
			struct kvm_msr_filter_range *r = &((struct kvm_msr_filter *)argument)->ranges[i];

			r->bitmap = below(16) ? memory : bad_pointer(8);
			r->nmsrs = below(2) ? below(0x3100) : 0;
			r->flags = 1 + below(3);
		}
		head[0] = below(2);
		break;
	case KVM_SET_SIGNAL_MASK:
		head[0] = 8;
		/* A thread that nothing but its end gets out of KVM_RUN: not too many. */
		if (below(16))
			head[1] = head[2] = 0;
		break;
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		head[0] = 1 + below(4);
		for (i = 0; i < head[0]; i++)
			((struct kvm_msrs *)argument)->entries[i].index = msrs[below(COUNT(msrs))];
		break;
	case KVM_SET_CPUID:
	case KVM_SET_CPUID2:
	case KVM_SET_GSI_ROUTING: head[0] = below(below(16) ? 16 : 200); break;
	case KVM_ENABLE_CAP:
		head[0] = below(8) ? caps[below(COUNT(caps))] : below(240);
		head[1] = 0;
		break;
	case KVM_IRQFD:
		head[0] = (uint32_t)fd_of(below(8) ? EVENT : ANY_FD);
		head[1] = below(26);
		head[2] = below(4);
		head[3] = (uint32_t)fd_of(EVENT);
		break;
	case KVM_IOEVENTFD: {
		struct kvm_ioeventfd *io = argument;

		io->fd = fd_of(below(8) ? EVENT : ANY_FD);
		io->flags = below(8);
		io->len = (1u << below(4)) & 15;
		io->addr = below(2) ? 0x80 : word();
		break;
	}
	case KVM_HYPERV_EVENTFD: ((struct kvm_hyperv_eventfd *)argument)->fd = fd_of(EVENT); break;
	case KVM_IRQ_LINE:
	case KVM_IRQ_LINE_STATUS: head[0] = below(26); break;
	case KVM_SIGNAL_MSI: *(uint64_t *)argument = 0xfee00000 | (any() & 0xff00c); break;
	case KVM_GET_IRQCHIP:
	case KVM_SET_IRQCHIP: head[0] = below(4); break;
	case KVM_XEN_HVM_GET_ATTR:
	case KVM_XEN_HVM_SET_ATTR:
	case KVM_XEN_VCPU_GET_ATTR:
	case KVM_XEN_VCPU_SET_ATTR: *(uint16_t *)argument = (uint16_t)below(10); break;
	default: break;
	}
	return true;
}

static void called(long result)
{
	count(&counts->calls);
	if (result >= 0)
		count(&counts->granted);
}

static void call_noise(void)
{
	unsigned long request =
		below(8) ? _IOC(below(4), KVMIO, below(256), below(2) ? below(64) : below(1 << 14)) : any();

	called(ioctl(fd_of(ANY_FD), request, below(2) ? word() : (uint64_t)(uintptr_t)bad_pointer(64)));
}

/* Objects that are made are kept in the places for such: what the table says of KVM_CREATE_VM and its like is done there. */
void call_something(void)
{
	static _Thread_local uint64_t argument[WORDS], memory[WORDS];
	const struct ioctl_info *info = &ioctl_table[below(ioctl_count)];
	int fd = fd_of(below(16) ? (enum kind)info->object : ANY_FD);
	unsigned int i, used;

	if (!below(16)) {
		call_noise();
		return;
	}
	if (info->makes_object || info->request == KVM_RUN)
		return;
	if (info->direction == IOCTL_VALUE) {
		called(ioctl(fd, info->request, word()));
		return;
	}
	if (!below(8)) {
		called(ioctl(fd, info->request, bad_pointer(info->size)));
		return;
	}
	/* What is behind the structure is a variable part, or not read. */
	used = (unsigned int)info->size / 8 + 80;
	for (i = 0; i < used && i < WORDS; i++)
		argument[i] = word();
	if (tame(fd, info->request, argument, below(8) ? (uint8_t *)memory : bad_pointer(64)))
		called(ioctl(fd, info->request, argument));
}

void set_slot(void)
{
	struct kvm_userspace_memory_region region = { 0 };

	tame_region(&region);
	called(ioctl(fd_of(VM), KVM_SET_USER_MEMORY_REGION, &region));
}

void scribble(void)
{
	uint8_t *to = (uint8_t *)run[below(VCPUS)];
	uint64_t what[4] = { word(), word(), word(), word() };

	if (to)
		poke(to + (below(2) ? below(64) : below((uint32_t)run_size + 65 * PAGE)), what,
		     1 + below(sizeof(what)));
}
