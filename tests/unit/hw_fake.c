/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What both made-up processors have: hw.h, the log; and a VM on them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "hw_fake.h"
#include "posix.h"
#include "vcpu_call.h"

struct fake_processor cpu0;
struct hw_test hwt;

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
	*out = (struct hw_user_page){
		.pa = hva & ~4095ull, .writable = true, .shift = cpu0.large_pages ? 21 : 12, .ref = out
	};
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
	int now = cpu0.cpu;

	cpu0.cpu = cpu;
	fn(arg);
	cpu0.cpu = now;
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

u64 hw_rdmsr(u32 msr)
{
	assert_non_null(fake_msr(msr));
	return *fake_msr(msr);
}

void hw_wrmsr(u32 msr, u64 val)
{
	assert_non_null(fake_msr(msr));
	*fake_msr(msr) = val;
}

bool hw_rdmsr_safe(u32 msr, u64 *val)
{
	if (!fake_msr(msr))
		return false;
	*val = *fake_msr(msr);
	return true;
}

u64 hw_cr4(void)
{
	return cpu0.cr4[cpu0.cpu];
}

void hw_cr4_change(u64 set, u64 clear)
{
	cpu0.cr4[cpu0.cpu] = (cpu0.cr4[cpu0.cpu] & ~clear) | set;
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

bool hw_spec_ctrl_renewed(void)
{
	return cpu0.renewed;
}

int hw_flush_init(void)
{
	return cpu0.wants_flush;
}

bool hw_small_code(void)
{
	return cpu0.small_code;
}

void hw_flush_exit(void)
{
}

void hw_flush(bool touched)
{
	cpu0.flushes++;
	cpu0.touched += touched;
}

bool hw_counters_stop(void)
{
	cpu0.counters_stand = cpu0.counters_run;
	return cpu0.counters_run;
}

void hw_counters_go(void)
{
	assert_true(cpu0.counters_stand);
	cpu0.counters_stand = false;
}

u64 hw_debugctl(void)
{
	return cpu0.debugctl;
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

/* --- the log, as the engines see it --------------------------------------------------------------------------------------- */

void fake_log(enum host_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void fake_log(enum host_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cpu0.log, sizeof(cpu0.log), fmt, ap);
	va_end(ap);
	cpu0.log_lines++;
}

/* --- a VM ---------------------------------------------------------------------------------------------------------------- */

void hwt_protected_mode(void)
{
	struct kvm_segment flat = { .limit = ~0u, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1, .selector = 16 };
	struct kvm_sregs s;

	expect_eq(hwt_vcpu_ioctl(KVM_GET_SREGS, &s), 0);
	s.ds = s.es = s.ss = s.fs = s.gs = s.cs = flat;
	s.cs.type = 11;
	s.cs.selector = 8;
	s.cr0 |= CR0_PE;
	expect_eq(hwt_vcpu_ioctl(KVM_SET_SREGS, &s), 0);
}

/* At an address where large pages could be. */
static u8 *map_ram(void)
{
	u8 *p = mmap(NULL, RAM_SIZE + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	assert_true(p != MAP_FAILED);
	before = -(unsigned long)p % LARGE_PAGE;
	if (before)
		munmap(p, before);
	munmap(p + before + RAM_SIZE, LARGE_PAGE - before);
	return p + before;
}

void hwt_begin(void)
{
	struct kvm_userspace_memory_region slot = { .memory_size = RAM_SIZE };

	signal_activate();
	hwt = (struct hw_test){ 0 };
	expect_eq(hw_kind.init(), 0);
	hwt.ram = map_ram();
	expect_eq(vm_create(hw_kind.engine, 0, &hwt.vm), 0);
	slot.userspace_addr = (unsigned long)hwt.ram;
	expect_eq(vm_set_memory_region(hwt.vm, &slot), 0);
	expect_eq(vcpu_create(hwt.vm, 0, &hwt.v), 0);
	hwt.run = hwt.v->run;
	vcpu_real_mode(hwt.v, CODE);
	/* HLT wherever it goes. */
	memset(hwt.ram + CODE, 0xf4, 0x1000);
}

static int end_vm(void)
{
	if (hwt.inside) {
		virt_users = 0;
		all_off(virt_off, NR_CPUS);
		return 0;
	}
	vcpu_put(hwt.v);
	vm_put(hwt.vm);
	munmap(hwt.ram, RAM_SIZE);
	return hwt.next != hwt.nr_steps;
}

int hwt_end(void)
{
	int err = 0, i;

	if (hwt.vm) {
		err = end_vm();
		hw_kind.exit();
	}
	for (i = 0; i < NR_CPUS; i++)
		err |= hw_kind.is_on(i);
	err |= cpu0.pages && !hwt.inside;
	hwt = (struct hw_test){ 0 };
	return -err;
}

long hwt_vcpu_ioctl_int(u32 cmd, unsigned long arg)
{
	return vcpu_call(hwt.v, cmd, arg);
}

long hwt_vcpu_ioctl(u32 cmd, void *arg)
{
	return hwt_vcpu_ioctl_int(cmd, (unsigned long)arg);
}

long hwt_run(void)
{
	long r;

	hwt.inside = true;
	r = vcpu_call_run(hwt.v);
	hwt.inside = false;
	return r;
}

void hwt_run_exits(u32 reason)
{
	expect_eq(hwt_run(), 0);
	expect_eq(hwt.run->exit_reason, reason);
}

void hwt_code(const void *bytes, size_t n)
{
	memcpy(hwt.ram + CODE, bytes, n);
}

void hwt_regs(struct kvm_regs *r)
{
	expect_eq(hwt_vcpu_ioctl(KVM_GET_REGS, r), 0);
}

void hwt_expect_log(const char *part)
{
	expect_eq(cpu0.log_lines, 1);
	if (!strstr(cpu0.log, part))
		fail_msg("the log says: %s", cpu0.log);
}
