/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The tests of system instructions against a KVM device: with INSN_KVM=/dev/kvm in the environment the code that a
 * test runs from start to HLT (SYS_EXEC) runs there as well, from the same state, and registers and RAM must agree.
 * Use it where the device is exact: on hardware, or on Debian's kvm-intel in Bochs (make check-vmx-reference).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "sys_env.h"

static struct {
	int kvm, vm, vcpu;
	u8 *ram;
	struct kvm_run *run;
	bool tried;
} ref = { .vcpu = -1 };

static void on_alarm(int signal)
{
	(void)signal; /* KVM_RUN ends with EINTR */
}

static bool set_cpuid(void)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} id = { .head.nent = 256 };

	return !ioctl(ref.kvm, KVM_GET_SUPPORTED_CPUID, &id) && !ioctl(ref.vcpu, KVM_SET_CPUID2, &id);
}

static bool open_device(const char *path)
{
	struct kvm_userspace_memory_region slot = { .memory_size = SYS_RAM };
	struct sigaction action = { .sa_handler = on_alarm };

	ref.kvm = open(path, O_RDWR | O_CLOEXEC);
	if (ref.kvm < 0)
		return false;
	ref.vm = ioctl(ref.kvm, KVM_CREATE_VM, 0);
	ref.ram = mmap(NULL, SYS_RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	slot.userspace_addr = (u64)ref.ram;
	if (ref.vm < 0 || ref.ram == MAP_FAILED || ioctl(ref.vm, KVM_SET_USER_MEMORY_REGION, &slot))
		return false;
	ioctl(ref.vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	ref.vcpu = ioctl(ref.vm, KVM_CREATE_VCPU, 0);
	if (ref.vcpu < 0)
		return false;
	ref.run =
		mmap(NULL, ioctl(ref.kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, ref.vcpu, 0);
	sigaction(SIGALRM, &action, NULL);
	return ref.run != MAP_FAILED && set_cpuid();
}

bool sys_kvm_wanted(void)
{
	const char *path = getenv("INSN_KVM");

	if (path && !ref.tried) {
		ref.tried = true;
		if (!open_device(path)) {
			fprintf(stderr, "insn-tests: cannot use %s\n", path);
			exit(2);
		}
	}
	return path != NULL;
}

/* --- state there and back ------------------------------------------------------------------------------ */

/* Where struct kvm_regs has the registers of encoding order. */
static u64 *kvm_gpr(struct kvm_regs *regs, unsigned n)
{
	static const u8 at[8] = { 0, 2, 3, 1, 6, 7, 4, 5 };

	return (u64 *)regs + (n < 8 ? at[n] : n);
}

static struct kvm_segment to_kvm(const struct x86_seg *seg)
{
	const u32 a = seg->attr;

	return (struct kvm_segment){
		.base = seg->base,
		.limit = seg->limit,
		.selector = seg->sel,
		.type = a & 15,
		.s = a >> 4 & 1,
		.dpl = a >> 5 & 3,
		.present = a >> 7 & 1,
		.avl = a >> 12 & 1,
		.l = a >> 13 & 1,
		.db = a >> 14 & 1,
		.g = a >> 15 & 1,
		.unusable = a >> 16 & 1,
	};
}

static struct kvm_segment *kvm_seg(struct kvm_sregs *sregs, unsigned n)
{
	struct kvm_segment *all[] = { &sregs->es, &sregs->cs, &sregs->ss, &sregs->ds, &sregs->fs, &sregs->gs };

	return all[n];
}

static bool set_sregs(const struct x86_state *s)
{
	struct kvm_sregs sregs;
	unsigned k;

	ioctl(ref.vcpu, KVM_GET_SREGS, &sregs);
	for (k = 0; k < SEG_COUNT; k++)
		*kvm_seg(&sregs, k) = to_kvm(&s->seg[k]);
	sregs.ldt = to_kvm(&s->ldt);
	sregs.tr = to_kvm(&s->tr);
	sregs.gdt.base = s->gdt.base;
	sregs.gdt.limit = s->gdt.limit;
	sregs.idt.base = s->idt.base;
	sregs.idt.limit = s->idt.limit;
	sregs.cr0 = s->cr0;
	sregs.cr2 = s->cr2;
	sregs.cr3 = s->cr3;
	sregs.cr4 = s->cr4;
	sregs.efer = s->efer;
	return !ioctl(ref.vcpu, KVM_SET_SREGS, &sregs);
}

static bool set_msrs(const struct x86_state *s)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[8];
	} msrs = {
		.head.nmsrs = 8,
		.entry = {
			{ .index = X86_MSR_STAR, .data = s->star },
			{ .index = X86_MSR_LSTAR, .data = s->lstar },
			{ .index = X86_MSR_CSTAR, .data = s->cstar },
			{ .index = X86_MSR_SFMASK, .data = s->sfmask },
			{ .index = X86_MSR_KERNEL_GS_BASE, .data = s->kernel_gs_base },
			{ .index = X86_MSR_SYSENTER_CS, .data = s->sysenter_cs },
			{ .index = X86_MSR_SYSENTER_ESP, .data = s->sysenter_esp },
			{ .index = X86_MSR_SYSENTER_EIP, .data = s->sysenter_eip },
		},
	};

	return ioctl(ref.vcpu, KVM_SET_MSRS, &msrs) == 8;
}

static bool set_state(const struct x86_state *s)
{
	struct kvm_regs regs = { .rip = s->rip, .rflags = s->rflags };
	struct kvm_vcpu_events events;
	struct kvm_debugregs dr;
	unsigned k;

	for (k = 0; k < 16; k++)
		*kvm_gpr(&regs, k) = s->gpr[k];
	ioctl(ref.vcpu, KVM_GET_DEBUGREGS, &dr);
	memcpy(dr.db, s->dr, sizeof(dr.db));
	dr.dr6 = s->dr6;
	dr.dr7 = s->dr7;
	memset(&events, 0, sizeof(events));
	events.nmi.masked = s->nmi_blocked;
	return set_sregs(s) && !ioctl(ref.vcpu, KVM_SET_REGS, &regs) && set_msrs(s) &&
	       !ioctl(ref.vcpu, KVM_SET_DEBUGREGS, &dr) && !ioctl(ref.vcpu, KVM_SET_VCPU_EVENTS, &events);
}

/* --- comparison ----------------------------------------------------------------------------------------- */

static void compare(u64 ours, u64 theirs, const char *what)
{
	if (ours != theirs)
		insn_fail("%s is %llx, on the device %llx", what, ours, theirs);
}

static void compare_seg(const struct x86_seg *ours, const struct kvm_segment *theirs, const char *name)
{
	struct kvm_segment o = to_kvm(ours);
	char what[32];

	snprintf(what, sizeof(what), "%s selector", name);
	compare(o.selector, theirs->selector, what);
	/* Devices differ in what they show of segments that cannot be used. */
	if (o.unusable || theirs->unusable)
		return;
	snprintf(what, sizeof(what), "%s base", name);
	compare(o.base, theirs->base, what);
	snprintf(what, sizeof(what), "%s limit", name);
	compare(o.limit, theirs->limit, what);
	snprintf(what, sizeof(what), "%s type", name);
	compare(o.type | o.s << 4 | o.dpl << 5 | o.present << 7 | o.l << 8 | o.db << 9 | o.g << 10,
		theirs->type | theirs->s << 4 | theirs->dpl << 5 | theirs->present << 7 | theirs->l << 8 |
			theirs->db << 9 | theirs->g << 10,
		what);
}

/*
 * Bits of RAM that are up to the processor: when accessed and dirty bits are set in advance; RF in the frame of #DF, of which the
 * manuals say nothing certain.
 */
static u64 open_bits(const struct x86_state *s, u32 addr)
{
	if (addr >= SYS_PAGE_TABLES && addr < SYS_PT + 0x1000)
		return 0x60;
	return s->rip == SYS_HANDLER(X86_EXC_DF) + 1 ? (u64)RFLAGS_RF << 32 | RFLAGS_RF : 0;
}

static void compare_state(struct sys_env *e)
{
	static const char *const names[] = { "ES", "CS", "SS", "DS", "FS", "GS" };
	const struct x86_state *s = &e->s;
	struct kvm_debugregs dr;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	char what[32];
	unsigned k;
	u32 addr;

	ioctl(ref.vcpu, KVM_GET_REGS, &regs);
	ioctl(ref.vcpu, KVM_GET_SREGS, &sregs);
	ioctl(ref.vcpu, KVM_GET_DEBUGREGS, &dr);
	compare(s->rip, regs.rip, "rip");
	compare(s->rflags, regs.rflags, "rflags");
	for (k = 0; k < 16; k++) {
		snprintf(what, sizeof(what), "register %u", k);
		compare(s->gpr[k], *kvm_gpr(&regs, k), what);
	}
	for (k = 0; k < SEG_COUNT; k++)
		compare_seg(&s->seg[k], kvm_seg(&sregs, k), names[k]);
	compare_seg(&s->tr, &sregs.tr, "TR");
	compare_seg(&s->ldt, &sregs.ldt, "LDTR");
	compare(s->gdt.base, sregs.gdt.base, "GDTR");
	compare(s->idt.base, sregs.idt.base, "IDTR");
	compare(s->cr0, sregs.cr0, "CR0");
	compare(s->cr2, sregs.cr2, "CR2");
	compare(s->cr3, sregs.cr3, "CR3");
	compare(s->cr4, sregs.cr4, "CR4");
	compare(s->efer, sregs.efer, "EFER");
	compare(s->dr6, dr.dr6, "DR6");
	for (addr = 0; addr < SYS_RAM; addr += 8) {
		u64 ours = *(u64 *)(e->ram + addr) & ~open_bits(s, addr);
		u64 theirs = *(u64 *)(ref.ram + addr) & ~open_bits(s, addr);

		if (ours == theirs)
			continue;
		snprintf(what, sizeof(what), "RAM at %x", addr);
		compare(ours, theirs, what);
	}
}

bool sys_kvm_takes(struct sys_env *e)
{
	memcpy(ref.ram, e->ram, SYS_RAM);
	return set_state(&e->s);
}

bool sys_kvm_start(struct sys_env *e)
{
	if (sys_kvm_takes(e))
		return true;
	insn_skip("the device does not take the state");
	return false;
}

/* What the machine around the processor does, as the ops of sys_env.c have it. False: the run has ended. */
static bool serve(struct sys_env *e)
{
	struct kvm_run *run = ref.run;

	if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	else if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN)
		memcpy((u8 *)run + run->io.data_offset, &e->in_val, run->io.size);
	return run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO;
}

void sys_kvm_finish(struct sys_env *e, enum x86_result ours)
{
	unsigned turns = 1000;
	enum x86_result theirs;

	alarm(5);
	while (!ioctl(ref.vcpu, KVM_RUN, 0) && serve(e) && turns--)
		;
	alarm(0);
	/* Linux delivers no event to a stack where no memory is. */
	if (ref.run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    ref.run->internal.suberror == KVM_INTERNAL_ERROR_DELIVERY_EV)
		return;
	switch (ref.run->exit_reason) {
	case KVM_EXIT_HLT: theirs = X86_EXIT; break;
	case KVM_EXIT_SHUTDOWN: theirs = X86_SHUTDOWN; break;
	default: insn_fail("the device leaves with exit reason %u", ref.run->exit_reason); return;
	}
	compare(ours, theirs, "result (5: HLT, 6: shutdown)");
	if (ours == X86_EXIT && theirs == X86_EXIT)
		compare_state(e);
}
