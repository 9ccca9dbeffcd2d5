/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Pages, processors and vector state for engines that drive hardware: hw.h. */
#include <linux/cpu.h>
#include <linux/hardirq.h>
#include <linux/hw_breakpoint.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>
#include <linux/vtime.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/tlbflush.h>
#include "hw.h"
#include "linux.h"

/* --- pages ----------------------------------------------------------------------------------------- */

void *hw_page_alloc(void)
{
	return (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
}

void *hw_pages_alloc(unsigned int order)
{
	return (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, order);
}

void hw_pages_free(void *p, unsigned int order)
{
	free_pages((unsigned long)p, order);
}

u64 hw_pa(const void *p)
{
	/* The encryption bit of the host's own mapping, where it has one, belongs to the address. */
	return __sme_pa(p);
}

void *hw_va(u64 pa)
{
	return __va(__sme_clr(pa));
}

/* Tables of the process cannot be freed while interrupts are off. */
static u8 mapping_shift(unsigned long hva)
{
	u8 shift = PAGE_SHIFT;
	unsigned long flags;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(current->mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_large(pud)) {
		shift = PUD_SHIFT;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_large(pmd))
		shift = PMD_SHIFT;
out:
	local_irq_restore(flags);
	return shift;
}

static int follow(struct mm_struct *mm, u64 hva, bool write, struct hw_user_page *out)
{
	spinlock_t *lock;
	pte_t *pte;
	int err = follow_pte(mm, hva, &pte, &lock);

	if (err)
		return err;
	__acquire(lock);
	out->writable = pte_write(*pte);
	/* The encryption bit, where there is one, is as the process has it. */
	out->pa = PFN_PHYS(pte_pfn(*pte)) | (pte_val(*pte) & sme_me_mask);
	pte_unmap_unlock(pte, lock);
	return write && !out->writable ? -EFAULT : 0;
}

/* What a driver has mapped for the process, which has no page to hold: the notifier alone says how long it is there. */
static int device_memory_get(u64 hva, bool write, struct hw_user_page *out)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	bool unlocked = false;
	int err = -EFAULT;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, hva);
	if (vma && vma->vm_flags & (VM_IO | VM_PFNMAP)) {
		err = follow(mm, hva, write, out);
		/* Drivers may enter it on demand. */
		if (err && !fixup_user_fault(mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked))
			err = unlocked ? -EAGAIN : follow(mm, hva, write, out);
	}
	mmap_read_unlock(mm);
	out->shift = PAGE_SHIFT;
	out->ref = NULL;
	return err;
}

int hw_user_page_get(u64 hva, bool write, struct hw_user_page *out)
{
	struct page *page;
	int n;

	out->writable = true;
	if (write) {
		n = get_user_pages_fast(hva, 1, FOLL_WRITE, &page);
	} else {
		n = get_user_pages_fast_only(hva, 1, FOLL_WRITE, &page);
		if (n != 1) {
			out->writable = false;
			n = get_user_pages_fast(hva, 1, 0, &page);
		}
	}
	if (n == -EFAULT)
		return device_memory_get(hva, write, out);
	if (n != 1)
		return n < 0 && n != -ENOMEM && n != -EHWPOISON ? n : -EFAULT;
	/* What the guest writes later is not seen by the page tables of the process. */
	if (out->writable)
		set_page_dirty_lock(page);
	out->shift = PageCompound(page) ? mapping_shift(hva) : PAGE_SHIFT;
	out->pa = __sme_set(page_to_phys(page));
	out->ref = page;
	return 0;
}

void hw_user_page_put(struct hw_user_page *p)
{
	if (p->ref)
		put_page(p->ref);
}

/* Slots lie in the address space of the process (host_user_range_ok): one check opens the way to all. */
bool hw_words_same(const struct hw_word *w, unsigned int nr)
{
	u64 val, differs = 0;
	unsigned int i;

	if (!user_access_begin((void __user *)w->user, sizeof(val)))
		return false;
	for (i = 0; i < nr; i++) {
		unsafe_get_user(val, (const u64 __user *)w[i].user, fault);
		differs |= val ^ w[i].val;
	}
	user_access_end();
	return !differs;
fault:
	user_access_end();
	return false;
}

struct hw_lock {
	spinlock_t l;
};

struct hw_lock *hw_lock_create(void)
{
	struct hw_lock *l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);

	if (l)
		spin_lock_init(&l->l);
	return l;
}

void hw_lock_destroy(struct hw_lock *l)
{
	kfree(l);
}

void hw_lock(struct hw_lock *l) __acquires(&l->l)
{
	spin_lock(&l->l);
}

void hw_unlock(struct hw_lock *l) __releases(&l->l)
{
	spin_unlock(&l->l);
}

/* --- processors -------------------------------------------------------------------------------------- */

int hw_cpu(void)
{
	return smp_processor_id();
}

unsigned int hw_nr_cpus(void)
{
	return nr_cpu_ids;
}

void hw_kick_cpu(int cpu)
{
	int me = get_cpu();

	/* A CPU that runs this code is not in guest mode. */
	if (cpu != me && cpu_online(cpu))
		smp_send_reschedule(cpu);
	put_cpu();
}

static void nothing(void *unused)
{
}

void hw_call_cpu(int cpu, void (*fn)(void *arg), void *arg)
{
	smp_call_function_single(cpu, fn, arg, 1);
}

void hw_wait_cpu(int cpu)
{
	/* Interrupts are taken outside guest mode: that the call was made is what is waited for. */
	smp_call_function_single(cpu, nothing, NULL, 1);
}

u64 hw_rdmsr(u32 msr)
{
	u64 val;

	rdmsrl(msr, val);
	return val;
}

void hw_wrmsr(u32 msr, u64 val)
{
	wrmsrl(msr, val);
}

bool hw_rdmsr_safe(u32 msr, u64 *val)
{
	return rdmsrl_safe(msr, val) == 0;
}

u64 hw_cr4(void)
{
	return cr4_read_shadow();
}

void hw_cr4_change(u64 set, u64 clear)
{
	cr4_update_irqsoff(set, clear);
}

/* --- turning virtualization on and off ------------------------------------------------------------------ */

static DEFINE_MUTEX(virt_lock);
/* Under virt_lock, and stable where CPUs cannot come or go: */
static unsigned int virt_users;
static int (*virt_on)(void);
static void (*virt_off)(void);
static enum cpuhp_state virt_state;
static bool virt_rebooting;
static DEFINE_PER_CPU(bool, virt_is_on);

static int cpu_on(void)
{
	int err;

	if (__this_cpu_read(virt_is_on))
		return 0;
	if (READ_ONCE(virt_rebooting))
		return -EBUSY;
	perf_virt_on();
	err = virt_on();
	if (err)
		perf_virt_off();
	if (err)
		pr_err("anykvm: virtualization cannot be turned on, CPU %d (%d)%s\n", smp_processor_id(), err,
		       err == -EBUSY ? ": another hypervisor uses it" : "");
	else
		__this_cpu_write(virt_is_on, true);
	return err;
}

static void cpu_off(void *unused)
{
	if (!__this_cpu_read(virt_is_on))
		return;
	__this_cpu_write(virt_is_on, false);
	virt_off();
	perf_virt_off();
}

static int cpu_comes(unsigned int cpu)
{
	unsigned long flags;
	int err;

	local_irq_save(flags);
	err = cpu_on();
	local_irq_restore(flags);
	return err;
}

static int cpu_goes(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	cpu_off(NULL);
	local_irq_restore(flags);
	return 0;
}

static int suspend(void)
{
	cpu_off(NULL);
	return 0;
}

static void resume(void)
{
	cpu_on();
}

static struct syscore_ops syscore = { .suspend = suspend, .resume = resume };

static int rebooting(struct notifier_block *n, unsigned long action, void *data)
{
	/* Firmware may not expect it; guests that still run leave at their next entry. */
	WRITE_ONCE(virt_rebooting, true);
	on_each_cpu(cpu_off, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_notifier = { .notifier_call = rebooting };

/* The hotplug state's callbacks turn it on for all CPUs that are there, and off on failure and at the end. */
static int virt_start(int (*on)(void), void (*off)(void))
{
	int state;

	virt_on = on;
	virt_off = off;
	state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "anykvm:online", cpu_comes, cpu_goes);
	if (state < 0)
		return state;
	virt_state = state;
	register_syscore_ops(&syscore);
	register_reboot_notifier(&reboot_notifier);
	return 0;
}

int hw_virt_get(int (*on)(void), void (*off)(void))
{
	int err = 0;

	mutex_lock(&virt_lock);
	if (!virt_users)
		err = virt_start(on, off);
	if (!err)
		virt_users++;
	mutex_unlock(&virt_lock);
	return err;
}

void hw_virt_put(void)
{
	mutex_lock(&virt_lock);
	if (!--virt_users) {
		unregister_reboot_notifier(&reboot_notifier);
		unregister_syscore_ops(&syscore);
		cpuhp_remove_state(virt_state);
	}
	mutex_unlock(&virt_lock);
}

bool hw_virt_is_on(void)
{
	return __this_cpu_read(virt_is_on);
}

/* --- around an entry ------------------------------------------------------------------------------------- */

int hw_pin(void)
{
	preempt_disable();
	local_irq_disable();
	return smp_processor_id();
}

void hw_unpin(void)
{
	local_irq_enable();
	preempt_enable();
}

static noinline void load_fpu(void)
{
	/* Another thread has had this CPU, or the kernel the vector registers: hw_flush(). */
	kvm_set_cpu_l1tf_flush_l1d();
	switch_fpu_return();
}

static __always_inline void fpu_ready(void)
{
	if (unlikely(test_thread_flag(TIF_NEED_FPU_LOAD)))
		load_fpu();
}

/* What host_resched() and host_signal_pending() see to. */
#define WANTED_OUTSIDE (_TIF_NEED_RESCHED | _TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL | _TIF_NOTIFY_RESUME)

int hw_enter_begin(void)
{
	preempt_disable();
	local_irq_disable();
	if (read_thread_flags() & WANTED_OUTSIDE || !__this_cpu_read(virt_is_on)) {
		hw_unpin();
		return HW_NO_CPU;
	}
	vtime_account_guest_enter();
	fpu_ready();
	return smp_processor_id();
}

void hw_enter_end(void)
{
	bool exact = vtime_accounting_enabled_this_cpu();

	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	/* Before user space runs again, whose branches the guest may have trained (VMSCAPE). */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
	if (exact)
		vtime_account_guest_exit();
	local_irq_enable();
	/* Where time is counted by ticks, the one that has ended guest mode is taken here, and counts as the guest's. */
	asm volatile("nop");
	if (!exact)
		vtime_account_guest_exit();
	preempt_enable();
}

u64 hw_debugctl(void)
{
	return __rdmsr(MSR_IA32_DEBUGCTLMSR);
}

void hw_debug_load(const u64 db[4])
{
	set_debugreg(db[0], 0);
	set_debugreg(db[1], 1);
	set_debugreg(db[2], 2);
	set_debugreg(db[3], 3);
}

void hw_segments_save(struct hw_segments *s)
{
	rdmsrl(MSR_FS_BASE, s->fs_base);
	rdmsrl(MSR_KERNEL_GS_BASE, s->user_gs_base);
	savesegment(es, s->es);
	savesegment(ds, s->ds);
	savesegment(fs, s->fs);
	savesegment(gs, s->gs);
	s->selectors = s->es | s->ds | s->fs | s->gs;
}

/* 64-bit programs have null selectors; loading others changes the bases. */
static void restore_selectors(const struct hw_segments *s)
{
	loadsegment(es, s->es);
	loadsegment(ds, s->ds);
	if (s->fs) {
		loadsegment(fs, s->fs);
		wrmsrl(MSR_FS_BASE, s->fs_base);
	}
	if (s->gs) {
		load_gs_index(s->gs);
		wrmsrl(MSR_KERNEL_GS_BASE, s->user_gs_base);
	}
}

void hw_segments_restore(const struct hw_segments *s)
{
	/* The processor has left the limits at 64 KiB and 103 bytes. */
	asm volatile("lgdt %0" : : "m"(s->gdt));
	if (unlikely(!this_cpu_read(__tss_limit_invalid)))
		invalidate_tss_limit();
	if (unlikely(s->selectors))
		restore_selectors(s);
	if (unlikely(s->ldt))
		asm volatile("lldt %0" : : "rm"(s->ldt));
}

void hw_nmi(void)
{
	asm volatile("int $2");
}

void hw_machine_check(void)
{
	asm volatile("int $18");
}

/* --- vector state ------------------------------------------------------------------------------------------ */

struct hw_fpu {
	struct fpu_guest guest;
};

struct hw_fpu *hw_fpu_create(void)
{
	struct hw_fpu *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (f && !fpu_alloc_guest_fpstate(&f->guest)) {
		kfree(f);
		return NULL;
	}
	return f;
}

void hw_fpu_destroy(struct hw_fpu *f)
{
	if (!f)
		return;
	fpu_free_guest_fpstate(&f->guest);
	kfree(f);
}

void hw_fpu_swap(struct hw_fpu *f, bool guest)
{
	fpu_swap_kvm_fpstate(&f->guest, guest);
}

void hw_fpu_store(struct hw_fpu *f, void *xsave, u32 size)
{
	fpu_copy_guest_fpstate_to_uabi(&f->guest, xsave, size, f->guest.xfeatures, 0);
}

int hw_fpu_load(struct hw_fpu *f, const void *xsave)
{
	u32 pkru = 0;

	return fpu_copy_uabi_to_guest_fpstate(&f->guest, xsave, host_xcr0(), &pkru);
}

void hw_xcr0_set(u64 val)
{
	xsetbv(XCR_XFEATURE_ENABLED_MASK, val);
}

#define EACH_VECTOR(op)                                                                                                \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define GET_YMM(n)                                                                                                     \
	case n:                                                                                                        \
		asm volatile("vmovdqu %%ymm" #n ", %0" : "=m"(*v));                                                    \
		break;
#define SET_YMM(n)                                                                                                     \
	case n:                                                                                                        \
		asm volatile("vmovdqu %0, %%ymm" #n : : "m"(*v));                                                      \
		break;
#define GET_XMM(n)                                                                                                     \
	case n:                                                                                                        \
		asm volatile("movdqu %%xmm" #n ", %0" : "=m"(*v));                                                     \
		break;
#define SET_XMM(n)                                                                                                     \
	case n: asm volatile("movdqu %0, %%xmm" #n : : "m"(*v)); break;

struct vector {
	u8 bytes[HW_VECTOR_BYTES];
};

static bool have_ymm(void)
{
	return boot_cpu_has(X86_FEATURE_AVX) && host_xcr0() & XFEATURE_MASK_YMM;
}

void hw_vector_get(unsigned int reg, void *val)
{
	struct vector *v = val;

	memset(v, 0, sizeof(*v));
	fpregs_lock();
	fpu_ready();
	if (have_ymm()) {
		switch (reg) {
			EACH_VECTOR(GET_YMM)
		}
	} else {
		switch (reg) {
			EACH_VECTOR(GET_XMM)
		}
	}
	fpregs_unlock();
}

void hw_vector_set(unsigned int reg, const void *val)
{
	const struct vector *v = val;

	fpregs_lock();
	fpu_ready();
	if (have_ymm()) {
		switch (reg) {
			EACH_VECTOR(SET_YMM)
		}
	} else {
		switch (reg) {
			EACH_VECTOR(SET_XMM)
		}
	}
	fpregs_unlock();
}

#define EACH_MMX(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)
#define GET_MMX(n)                                                                                                     \
	case n:                                                                                                        \
		asm volatile("movq %%mm" #n ", %0" : "=m"(*val));                                                      \
		break;
#define SET_MMX(n)                                                                                                     \
	case n: asm volatile("movq %0, %%mm" #n : : "m"(val)); break;

bool hw_x87_pending(void)
{
	u16 status;

	fpregs_lock();
	fpu_ready();
	asm volatile("fnstsw %0" : "=m"(status));
	fpregs_unlock();
	return status & 0x80;
}

void hw_mmx_get(unsigned int reg, u64 *val)
{
	fpregs_lock();
	fpu_ready();
	switch (reg) {
		EACH_MMX(GET_MMX)
	}
	fpregs_unlock();
}

void hw_mmx_set(unsigned int reg, u64 val)
{
	fpregs_lock();
	fpu_ready();
	switch (reg) {
		EACH_MMX(SET_MMX)
	}
	fpregs_unlock();
}
