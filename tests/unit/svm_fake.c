/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The made-up processor: hw.h, CPUID, the log, VMRUN; and a VM on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "svm_fake.h"
#include "posix.h"

struct fake_processor cpu0;
struct svm_test svmt;

/* --- pages and the like: counted ---------------------------------------------------------------------------- */

static void *counted(size_t size)
{
	void *p;

	if (cpu0.fail_page && !--cpu0.fail_page)
		return NULL;
	p = aligned_alloc(4096, (size + 4095) & ~4095ul);
	assert_non_null(p);
	memset(p, 0, size);
	cpu0.pages++;
	return p;
}

static void uncounted(void *p)
{
	if (!p)
		return;
	assert_true(cpu0.pages > 0);
	cpu0.pages--;
	free(p);
}

void *hw_page_alloc(void)
{
	return counted(4096);
}

void *hw_pages_alloc(unsigned order)
{
	return counted(4096ul << order);
}

void hw_pages_free(void *p, unsigned order)
{
	uncounted(p);
}

u64 hw_pa(const void *p)
{
	return (u64)(unsigned long)p;
}

void *hw_va(u64 pa)
{
	return (void *)(unsigned long)pa;
}

int hw_user_page_get(u64 hva, bool write, struct hw_user_page *out)
{
	*out = (struct hw_user_page){ .pa = hva & ~4095ull, .writable = true, .shift = 12, .ref = out };
	return 0;
}

void hw_user_page_put(struct hw_user_page *p)
{
}

bool hw_words_same(const struct hw_word *w, unsigned nr)
{
	unsigned i;

	for (i = 0; i < nr; i++)
		if (*(const volatile u64 *)(unsigned long)w[i].user != w[i].val)
			return false;
	return true;
}

struct hw_lock *hw_lock_create(void)
{
	return counted(64);
}

void hw_lock_destroy(struct hw_lock *l)
{
	uncounted(l);
}

void hw_lock(struct hw_lock *l)
{
}

void hw_unlock(struct hw_lock *l)
{
}

/* --- processors -------------------------------------------------------------------------------------------------- */

int hw_cpu(void)
{
	return cpu0.cpu;
}

unsigned hw_nr_cpus(void)
{
	return NR_CPUS;
}

void hw_kick_cpu(int cpu)
{
}

void hw_call_cpu(int cpu, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

void hw_wait_cpu(int cpu)
{
}

static unsigned virt_users;

static void all_off(void (*off)(void), int nr)
{
	int now = cpu0.cpu;

	for (cpu0.cpu = 0; cpu0.cpu < nr; cpu0.cpu++)
		off();
	cpu0.cpu = now;
}

static void (*virt_off)(void);

int hw_virt_get(int (*on)(void), void (*off)(void))
{
	int now = cpu0.cpu, i, err;

	if (virt_users++)
		return 0;
	virt_off = off;
	for (i = 0; i < NR_CPUS; i++) {
		cpu0.cpu = i;
		err = on();
		cpu0.cpu = now;
		if (!err)
			continue;
		all_off(off, i);
		virt_users = 0;
		return err;
	}
	return 0;
}

void hw_virt_put(void)
{
	if (!--virt_users)
		all_off(virt_off, NR_CPUS);
}

bool hw_virt_is_on(void)
{
	return virt_users;
}

static u64 *msr_of(u32 msr)
{
	static u64 tsc_aux;

	switch (msr) {
	case X86_MSR_EFER: return &cpu0.efer[cpu0.cpu];
	case SVM_MSR_HSAVE_PA: return &cpu0.hsave[cpu0.cpu];
	case SVM_MSR_VM_CR: return &cpu0.vm_cr;
	case X86_MSR_SPEC_CTRL: return &cpu0.spec_ctrl;
	case X86_MSR_TSC_AUX: return &tsc_aux;
	case SVM_MSR_TSC_RATIO: return cpu0.features & HAS_TSC_RATIO ? &cpu0.tsc_ratio[cpu0.cpu] : NULL;
	default: return NULL;
	}
}

u64 hw_rdmsr(u32 msr)
{
	assert_non_null(msr_of(msr));
	return *msr_of(msr);
}

void hw_wrmsr(u32 msr, u64 val)
{
	assert_non_null(msr_of(msr));
	*msr_of(msr) = val;
}

bool hw_rdmsr_safe(u32 msr, u64 *val)
{
	if (!msr_of(msr))
		return false;
	*val = *msr_of(msr);
	return true;
}

u64 hw_cr4(void)
{
	return 0;
}

void hw_cr4_change(u64 set, u64 clear)
{
}

/* --- around an entry ------------------------------------------------------------------------------------------------ */

int hw_enter_begin(void)
{
	return cpu0.cpu;
}

void hw_enter_end(void)
{
}

int hw_pin(void)
{
	return cpu0.cpu;
}

void hw_unpin(void)
{
}

void hw_predictor_barrier(void)
{
	cpu0.barriers++;
}

u64 hw_spec_ctrl(void)
{
	return cpu0.spec_ctrl;
}

void hw_debug_load(const u64 db[4])
{
}

void hw_nmi(void)
{
	cpu0.nmis++;
}

void hw_machine_check(void)
{
	cpu0.machine_checks++;
}

struct hw_fpu *hw_fpu_create(void)
{
	return counted(64);
}

void hw_fpu_destroy(struct hw_fpu *f)
{
	uncounted(f);
}

void hw_fpu_swap(struct hw_fpu *f, bool guest)
{
}

void hw_fpu_store(struct hw_fpu *f, void *xsave, u32 size)
{
}

int hw_fpu_load(struct hw_fpu *f, const void *xsave)
{
	return 0;
}

void hw_xcr0_set(u64 val)
{
}

void hw_vector_get(unsigned reg, void *val)
{
	memset(val, 0, HW_VECTOR_BYTES);
}

void hw_vector_set(unsigned reg, const void *val)
{
}

bool hw_x87_pending(void)
{
	return false;
}

void hw_mmx_get(unsigned reg, u64 *val)
{
	*val = 0;
}

void hw_mmx_set(unsigned reg, u64 val)
{
}

/* --- CPUID and the log, as the engines see them (svm.mk) -------------------------------------------------------------- */

void fake_cpuid(u32 leaf, u32 subleaf, u32 out[4]);
void fake_log(enum host_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void fake_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	memset(out, 0, 4 * sizeof(*out));
	switch (leaf) {
	case 0x80000000: out[0] = cpu0.asids ? 0x8000000a : 0x80000004; break;
	case 0x80000001:
		out[2] = cpu0.svm ? BIT(2) : 0;
		out[3] = BIT(27);
		break;
	case 0x80000008: out[1] = cpu0.cpuid_8_ebx; break;
	case 0x8000000a:
		out[1] = cpu0.asids;
		out[3] = cpu0.features;
		break;
	default: break;
	}
}

void fake_log(enum host_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cpu0.log, sizeof(cpu0.log), fmt, ap);
	va_end(ap);
	cpu0.log_lines++;
}

/* --- VMRUN ------------------------------------------------------------------------------------------------------------- */

void svm_world_switch(u64 *gpr, u64 vmcb_pa, u64 host_pa, const struct svm_spec_ctrl *spec)
{
	struct vmcb *c = hw_va(vmcb_pa);

	assert_true(svmt.next < svmt.nr_steps);
	assert_true(c->asid > 0 && c->asid < cpu0.asids);
	assert_true(cpu0.efer[cpu0.cpu] & X86_EFER_SVME);
	svmt.next_rip = c->next_rip;
	c->exit_code = X_INTR;
	c->exit_int_info = c->info1 = c->info2 = c->next_rip = 0;
	if (spec)
		cpu0.spec_ctrl = spec->guest;
	cpu0.spec_ctrl_in_guest = cpu0.spec_ctrl;
	svmt.steps[svmt.next++](c, gpr);
	if (spec)
		cpu0.spec_ctrl = spec->host;
	/* It clears what it was told once. */
	c->tlb_control = 0;
}

void step_hlt(struct vmcb *c, u64 *gpr)
{
	c->exit_code = X_HLT;
	if (cpu0.features & HAS_NRIP)
		c->next_rip = c->rip + 1;
}

void step_intr(struct vmcb *c, u64 *gpr)
{
}

/* --- a VM ---------------------------------------------------------------------------------------------------------------- */

void fake_processor_reset(u32 features)
{
	cpu0 = (struct fake_processor){ .svm = true, .features = HAS_NPT | features, .asids = 16 };
}

static void real_mode(void)
{
	struct kvm_sregs s;
	struct kvm_regs r = { .rip = CODE, .rflags = 2, .rsp = 0x8000 };

	expect_eq(svm_vcpu_ioctl(KVM_GET_SREGS, &s), 0);
	s.cs.base = s.cs.selector = 0;
	expect_eq(svm_vcpu_ioctl(KVM_SET_SREGS, &s), 0);
	expect_eq(svm_vcpu_ioctl(KVM_SET_REGS, &r), 0);
}

void svm_protected_mode(void)
{
	struct kvm_segment flat = { .limit = ~0u, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1, .selector = 16 };
	struct kvm_sregs s;

	expect_eq(svm_vcpu_ioctl(KVM_GET_SREGS, &s), 0);
	s.ds = s.es = s.ss = s.fs = s.gs = s.cs = flat;
	s.cs.type = 11;
	s.cs.selector = 8;
	s.cr0 |= CR0_PE;
	expect_eq(svm_vcpu_ioctl(KVM_SET_SREGS, &s), 0);
}

void svm_test_begin(u32 features)
{
	struct kvm_userspace_memory_region slot = { .memory_size = RAM_SIZE };

	signal_activate();
	if (!cpu0.asids)
		fake_processor_reset(0);
	cpu0.features = HAS_NPT | features;
	svmt = (struct svm_test){ 0 };
	svmt.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(svmt.ram != MAP_FAILED);
	expect_eq(svm_module_init(), 0);
	expect_eq(vm_create(&svm_engine, 0, &svmt.vm), 0);
	slot.userspace_addr = (unsigned long)svmt.ram;
	expect_eq(vm_set_memory_region(svmt.vm, &slot), 0);
	expect_eq(vcpu_create(svmt.vm, 0, &svmt.v), 0);
	svmt.run = svmt.v->run;
	svmt.c = svm_of(svmt.v)->vmcb;
	real_mode();
	/* HLT wherever it goes. */
	memset(svmt.ram + CODE, 0xf4, 0x1000);
}

int svm_test_end(void **state)
{
	int err = 0;

	if (svmt.vm) {
		err = svmt.next != svmt.nr_steps;
		vcpu_put(svmt.v);
		vm_put(svmt.vm);
		svm_module_exit();
		munmap(svmt.ram, RAM_SIZE);
	}
	svmt = (struct svm_test){ 0 };
	err |= cpu0.pages != 0 || (cpu0.efer[0] | cpu0.efer[1]) & X86_EFER_SVME || cpu0.hsave[0] || cpu0.hsave[1];
	if (cpu0.features & HAS_TSC_RATIO)
		err |= cpu0.tsc_ratio[0] != TSC_RATIO_ONE || cpu0.tsc_ratio[1] != TSC_RATIO_ONE;
	cpu0 = (struct fake_processor){ 0 };
	return err ? -1 : 0;
}

void svm_script(svm_step *first, ...)
{
	va_list ap;
	svm_step *s;

	svmt.nr_steps = svmt.next = 0;
	va_start(ap, first);
	for (s = first; s; s = va_arg(ap, svm_step *)) {
		assert_true(svmt.nr_steps < ARRAY_SIZE(svmt.steps));
		svmt.steps[svmt.nr_steps++] = s;
	}
	va_end(ap);
}

long svm_vcpu_ioctl_int(u32 cmd, unsigned long arg)
{
	struct object made;
	long r;

	/* As the library's edge does it. */
	signal_enter();
	r = vcpu_ioctl(svmt.v, cmd, arg, &made);
	signal_leave();
	return r;
}

long svm_vcpu_ioctl(u32 cmd, void *arg)
{
	return svm_vcpu_ioctl_int(cmd, (unsigned long)arg);
}

long svm_run(void)
{
	svmt.run->exit_reason = 0xdead;
	return svm_vcpu_ioctl(KVM_RUN, NULL);
}

void svm_run_exits(u32 reason)
{
	expect_eq(svm_run(), 0);
	expect_eq(svmt.run->exit_reason, reason);
}

void svm_code(const void *bytes, size_t n)
{
	memcpy(svmt.ram + CODE, bytes, n);
}

void svm_regs(struct kvm_regs *r)
{
	expect_eq(svm_vcpu_ioctl(KVM_GET_REGS, r), 0);
}
