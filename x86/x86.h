/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * x86.h - the instruction library: how the rest of anykvm uses it.
 *
 * A pure library: no operating system, no allocation, no globals that change. It reaches everything
 * outside struct x86_state through s->ops. Three users: the soft engine's interpreter, the emulator of the
 * hardware engines, the translator's fallback.
 *
 * Executing: the caller decodes (x86_decode), sets s->rip to the NEXT instruction (x86_next_rip) and calls
 * insn->exec(s, insn). A routine that branches changes s->rip. If the result is X86_OK or X86_EXIT the
 * caller retires the instruction (x86_retire); for every other result it puts the old rip back. x86_step()
 * does all that for one instruction.
 */
#ifndef X86_X86_H
#define X86_X86_H

#include "mem.h"

/* What a flush of the TLB must not spare: all, all but global pages (MOV to CR3 with CR4.PGE), one page. */
enum x86_flush { X86_FLUSH_ALL, X86_FLUSH_NONGLOBAL, X86_FLUSH_PAGE };

/*
 * The way out. Called on the vCPU's thread, with no lock held. Hooks marked "optional" may be NULL.
 */
struct x86_ops {
	/*
	 * Memory at guest-physical addresses. ram: find the host memory of the page that holds gpa; false: not
	 * RAM, i.e. MMIO. write says that a write is coming: the page is marked in the dirty log. NULL where guest memory
	 * cannot be addressed directly (kernel): then ram_read and ram_write are used for everything.
	 */
	bool (*ram)(struct x86_state *s, u64 gpa, bool write, struct x86_ram *out);
	/* Copy within one page. X86_OK, X86_UNHANDLED (not RAM, or read-only on write), X86_HOST_FAULT. */
	enum x86_result (*ram_read)(struct x86_state *s, u64 gpa, void *buf, unsigned size);
	enum x86_result (*ram_write)(struct x86_state *s, u64 gpa, const void *buf, unsigned size);
	/*
	 * Atomic compare-exchange of a page-table entry (size 4 or 8): X86_OK, X86_RETRY if it had changed, X86_UNHANDLED
	 * (not RAM or read-only: it stays). NULL is allowed with ram: then the library does it.
	 */
	enum x86_result (*ram_cmpxchg)(struct x86_state *s, u64 gpa, u64 old, u64 val, unsigned size);
	/*
	 * Walks done lately (optional; both or none). recall: true and *t if the same walk by x86_translate() would end as it did
	 * when it was remembered: same control registers, and every entry of the tables is still what it was, which recall has
	 * to look up, since nobody tells it of changes. After false the walk is done; remember follows if it has succeeded.
	 */
	bool (*recall)(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc, struct x86_translation *t);
	void (*remember)(struct x86_state *s, unsigned mmu, u64 lin, enum x86_access acc,
			 const struct x86_translation *t);
	/* size bytes at gpa of a RAM_NOTIFY page have been written. */
	void (*ram_written)(struct x86_state *s, u64 gpa, unsigned size);
	/* size 1 to 8 (odd sizes at page ends), within one page. Read: X86_OK or X86_PENDING. Write: X86_OK (done or queued), X86_PENDING. */
	enum x86_result (*mmio_read)(struct x86_state *s, u64 gpa, void *buf, unsigned size);
	enum x86_result (*mmio_write)(struct x86_state *s, u64 gpa, const void *buf, unsigned size);

	/*
	 * Ports; size 1, 2, 4; permission already checked. count elements (strings; else 1). in: *done elements were
	 * stored to buf, X86_PENDING if none is there yet. out: *done elements were taken.
	 * in, out return X86_OK, X86_PENDING (the instruction runs again when user space has served it) or X86_EXIT (the
	 * instruction retires and KVM_RUN must go to user space).
	 */
	enum x86_result (*in)(struct x86_state *s, u16 port, unsigned size, void *buf, unsigned count, unsigned *done);
	enum x86_result (*out)(struct x86_state *s, u16 port, unsigned size, const void *buf, unsigned count,
			       unsigned *done);

	/* X86_OK; X86_FAULT with s->fault = #GP(0); X86_PENDING (user space decides); X86_EXIT for wrmsr. CPL is checked. */
	enum x86_result (*rdmsr)(struct x86_state *s, u32 msr, u64 *val);
	enum x86_result (*wrmsr)(struct x86_state *s, u32 msr, u64 val);
	/* CPUID for leaf eax/subleaf ecx of s into the four registers. */
	void (*cpuid)(struct x86_state *s);
	u64 (*rdtsc)(struct x86_state *s);
	/* CR8 (task priority): NULL hooks use s->cr8. */
	u64 (*read_cr8)(struct x86_state *s);
	enum x86_result (*write_cr8)(struct x86_state *s, u64 val);

	/* HLT at CPL 0: X86_EXIT. MWAIT likewise or X86_OK to go on. */
	enum x86_result (*hlt)(struct x86_state *s);
	enum x86_result (*mwait)(struct x86_state *s);
	/* VMCALL or VMMCALL (insn->opcode tells). Result in rax as the paravirtual ABI says. X86_OK, X86_EXIT, X86_FAULT. */
	enum x86_result (*hypercall)(struct x86_state *s, const struct x86_insn *i);
	/* PAUSE, optional: spin hint. */
	void (*pause)(struct x86_state *s);

	/*
	 * The library's TLB (s->tlb) has been flushed; engines drop what they derived.
	 * Called for CR0/CR3/CR4/EFER changes that affect paging, INVLPG, INVPCID. Optional.
	 */
	void (*tlb_flushed)(struct x86_state *s, enum x86_flush what, u64 lin);
	/*
	 * Host address of lin where the engine knows that the access is possible and needs no notice, for the bytes up to the
	 * page's end; NULL: look into the TLB. Optional: for what goes through more pages than the TLB holds.
	 */
	u8 *(*known)(struct x86_state *s, u64 lin, bool write);
	/* Something that decides translation of code has changed: mode, CPL, paging. Optional. */
	void (*mode_changed)(struct x86_state *s);
	/* DR0 to DR3 or DR7 have changed: the next instruction must find the new breakpoints. Optional. */
	void (*debug_changed)(struct x86_state *s);
	/* s->in_smm has changed: other memory may be seen. tlb_flushed has been called. Optional. */
	void (*smm_changed)(struct x86_state *s);
	/* Interrupts may have become deliverable (IF set, CR8 lowered, IRET, NMI unblocked). Optional. */
	void (*events_enabled)(struct x86_state *s);

	/* Vector, x87 and other pure computation by the host, see native.h. NULL: X86_UNHANDLED. */
	enum x86_result (*native)(struct x86_state *s, const struct x86_insn *i, void *mem);
	/* Make s->xsave current / take s->xsave as the new truth. NULL: it always is. */
	void (*fpu_save)(struct x86_state *s);
	void (*fpu_load)(struct x86_state *s);
};

/* --- execution (exec.c) ------------------------------------------------------------------------ */

static inline u64 x86_next_rip(const struct x86_state *s, unsigned len)
{
	u64 next = s->rip + len;

	/*
	 * 16-bit code too goes on behind 64 KiB where the segment does (firmware's "big real mode", SMM); elsewhere the fetch
	 * faults (SDM, "Segment Wraparound"). Only its branches cut eip, to the operand size.
	 */
	return likely(s->mode == X86_MODE_LONG) ? next : (u32)next;
}

/* The one place where an instruction ends. old_shadow: the shadow before the instruction. */
static inline void x86_retire(struct x86_state *s, u8 old_shadow)
{
	/* A shadow lasts one instruction; one set by this very instruction stays. */
	if (unlikely(s->shadow) && s->shadow == old_shadow)
		s->shadow = 0;
	if (unlikely(s->keep_rf))
		s->keep_rf = false;
	else
		s->rflags &= ~(u64)RFLAGS_RF;
}

/*
 * Fetch, decode and execute the one instruction at s->rip; rip advances if it retired. Exceptions are left in
 * s->fault (X86_FAULT), not delivered. *i is filled for the caller (may be reused). Without single-step or
 * breakpoint handling: that is the engine's.
 */
enum x86_result x86_step(struct x86_state *s, struct x86_insn *i);

/* Its two halves. Fetch at rip and decode, without executing. X86_FAULT: fetch fault or #UD in s->fault. */
enum x86_result x86_fetch_decode(struct x86_state *s, struct x86_insn *i);
enum x86_result x86_execute(struct x86_state *s, const struct x86_insn *i);

/*
 * Instructions that x86_fetch_decode() has decoded lately, for who executes one now and then (s->recent; NULL: none). An entry
 * counts only if the bytes in memory are its own; it must be forgotten (zeroed) when s->features or the vendor change.
 */
#define X86_RECENT 16
struct x86_recent {
	struct {
		u64 bytes[2]; /* those of the instruction, then zeros */
		u8 mode;      /* enum x86_mode + 1; 0: unused */
		struct x86_insn insn;
	} slot[X86_RECENT];
};

/* Leave an exception in s->fault and return X86_FAULT. */
enum x86_result x86_raise(struct x86_state *s, unsigned vector);
enum x86_result x86_raise_error(struct x86_state *s, unsigned vector, u32 error);
enum x86_result x86_raise_pf(struct x86_state *s, u64 lin, u32 error);

/* Does this exception vector push an error code? */
bool x86_exc_has_error(unsigned vector);

/* --- events (event.c) --------------------------------------------------------------------------- */

/*
 * Deliver an event through the IDT or the real-mode vector table, with privilege and stack switch, IST, task
 * gates; interrupted delivery escalates to #DF and shutdown (SDM, "Exception and Interrupt Reference").
 * X86_OK; X86_SHUTDOWN; X86_PENDING and X86_HOST_FAULT (nothing delivered: try again).
 */
enum x86_result x86_deliver(struct x86_state *s, const struct x86_event *ev);
/*
 * SYSCALL and SYSRET are stepped by the TF that they leave (a kernel masks it by SFMASK; SYSRET's traps before the first
 * instruction of the program), all others by the TF that they find. They leave DR6_BS in dr6_pending themselves.
 */
bool x86_steps_itself(const struct x86_insn *i);
/* Faults (not traps and aborts) are restarted with RF set (SDM, "Debug Exceptions", instruction breakpoints). */
bool x86_pushes_rf(const struct x86_event *ev);

/*
 * A second exception while the first is being delivered. X86_OK: *out is what to deliver next (second
 * alone, or #DF); X86_SHUTDOWN: triple fault. The only place with the contributory/page-fault classes.
 */
enum x86_result x86_combine_events(const struct x86_event *first, const struct x86_event *second,
				   struct x86_event *out);

/* --- system management mode (smm.c) --------------------------------------------------------------- */

/*
 * Take an SMI: save the state at SMBASE + 0xfe00 and begin at SMBASE + 0x8000 (SDM, "System Management Mode"). from_halt: the
 * processor was in HLT, and goes back there by RSM unless the handler wants otherwise. X86_OK; X86_HOST_FAULT: nothing has changed.
 */
enum x86_result x86_enter_smm(struct x86_state *s, bool from_halt);
/* For state ioctls: s->in_smm and what depends on it. */
void x86_set_smm(struct x86_state *s, bool in_smm);

/* --- privileged state (system.c, segment.c) ------------------------------------------------------ */

/* mov to CRn with all checks and consequences (TLB, mode, PDPTEs). X86_FAULT: #GP(0) in s->fault. */
/* Forget all translations of the guest's page tables. */
void x86_flush_all(struct x86_state *s);
enum x86_result x86_write_cr(struct x86_state *s, unsigned n, u64 val);
u64 x86_read_cr(struct x86_state *s, unsigned n);
enum x86_result x86_write_dr(struct x86_state *s, unsigned n, u64 val);
enum x86_result x86_read_dr(struct x86_state *s, unsigned n, u64 *val);
enum x86_result x86_write_efer(struct x86_state *s, u64 val);
enum x86_result x86_write_xcr(struct x86_state *s, unsigned n, u64 val);
enum x86_result x86_invlpg(struct x86_state *s, u64 lin);

/* The CR4 and EFER and XCR0 bits that the guest's features allow. */
u64 x86_cr4_valid(const struct x86_state *s);
u64 x86_efer_valid(const struct x86_state *s);
u64 x86_xcr0_valid(const struct x86_state *s);

/* Recompute cpl-independent derived state (mode, mmu_index) after seg/cr/efer/rflags changed from outside. */
void x86_update_mode(struct x86_state *s);
/* Load the four PDPTEs from CR3 (PAE). X86_FAULT: #GP(0). */
enum x86_result x86_load_pdptes(struct x86_state *s, u64 cr3);

/* Load a segment register with all checks of MOV/POP/far loads. SEG_CS is not allowed here. */
enum x86_result x86_load_segment(struct x86_state *s, unsigned seg, u16 sel);

/* SDM, "Task Switching". reason as in KVM_EXIT/VMX: */
enum x86_task_reason { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };
enum x86_result x86_task_switch(struct x86_state *s, u16 tss_sel, enum x86_task_reason why, bool has_error, u32 error);

/* Put the processor in its state after RESET or INIT (SDM, "Processor State After Reset"). */
void x86_reset(struct x86_state *s, bool init);

/* Write rflags (POPF, IRET, state ioctls use their own masks) and update what depends on it. */
void x86_set_rflags(struct x86_state *s, u64 val);

/* --- interface between the library's own files (internal.h has the rest) ------------------------- */

#endif /* X86_X86_H */
