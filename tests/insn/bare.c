/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The bare CPU: see bare.h. */
#include <asm/hwcap2.h>
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include "bare.h"

#define USER_CS32 0x23
#define USER_CS64 0x33
#define USER_DS 0x2b
#define FP_MAGIC1 0x46505853u

static u8 *data_alias, *code_alias;
static u64 fs_base, gs_base;
/* At the last signal: ES, DS, FS, GS; what to give FS and GS back, if can_set_bases. */
__attribute__((used)) static struct {
	u16 es, ds, fs, gs;
	u64 fs_base, gs_base;
	u64 can_set_bases;
} signal_segments;

static enum { PHASE_IDLE, PHASE_ENTER, PHASE_RUN } phase;
static struct {
	const struct cpu_regs *in;
	struct cpu_result *out;
	unsigned bits;
	bool vectors;
	unsigned number; /* of this run, and the one that the last tick of the watchdog saw */
	unsigned ticked;
	gregset_t saved_regs;
	u8 saved_fp[XSAVE_YMM + 256] __aligned(64);
} job;

static const int greg_of[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				 REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

/* --- vector state in the signal frame ----------------------------------------------------------------- */

static bool frame_has_xsave(const u8 *fp)
{
	u32 magic;

	memcpy(&magic, fp + XSAVE_SOFTWARE, 4);
	return magic == FP_MAGIC1;
}

/* All but the software-reserved bytes, which describe the frame. */
static void copy_state(u8 *dst, const u8 *src)
{
	memcpy(dst, src, XSAVE_SOFTWARE);
	memcpy(dst + XSAVE_YMM, src + XSAVE_YMM, 256);
}

static void vectors_in(u8 *fp, const u8 *area)
{
	u64 present;

	copy_state(fp, area);
	memcpy(&present, fp + XSAVE_HEADER, 8);
	present |= 7;
	memcpy(fp + XSAVE_HEADER, &present, 8);
}

/* Components that the frame leaves out are in their initial state. */
static void vectors_out(const u8 *fp, u8 *area)
{
	static const u8 x87_init[32] = { 0x7f, 0x03 };
	u64 present;

	memset(area, 0, VECTOR_STATE_SIZE);
	copy_state(area, fp);
	memcpy(&present, fp + XSAVE_HEADER, 8);
	if (!(present & 1)) {
		memcpy(area, x87_init, XSAVE_MXCSR);
		memset(area + XSAVE_ST, 0, 128);
	}
	if (!(present & 2))
		memset(area + XSAVE_XMM, 0, 256);
	if (!(present & 4))
		memset(area + XSAVE_YMM, 0, 256);
}

/* --- the two traps -------------------------------------------------------------------------------------- */

static void load_job(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	u64 selectors = (u64)USER_DS << 48 | (job.bits == 64 ? USER_CS64 : USER_CS32);
	unsigned n;

	if (job.bits == 16)
		selectors = (u64)STACK16_SEL << 48 | CODE16_SEL;
	memcpy(job.saved_regs, g, sizeof(job.saved_regs));
	for (n = 0; n < 16; n++)
		g[greg_of[n]] = job.in->gpr[n];
	g[REG_RIP] = job.in->rip;
	g[REG_EFL] = job.in->rflags;
	g[REG_CSGSFS] = (g[REG_CSGSFS] & 0x0000ffffffff0000ll) | selectors;
	if (job.vectors) {
		u8 *fp = (u8 *)uc->uc_mcontext.fpregs;

		if (!frame_has_xsave(fp))
			abort();
		copy_state(job.saved_fp, fp);
		memcpy(job.saved_fp + XSAVE_HEADER, fp + XSAVE_HEADER, 8);
		vectors_in(fp, job.in->vector);
	}
}

static void store_result(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	struct cpu_result *out = job.out;
	unsigned n;

	for (n = 0; n < 16; n++)
		out->regs.gpr[n] = g[greg_of[n]];
	out->regs.rip = g[REG_RIP];
	out->regs.rflags = g[REG_EFL];
	out->vector = g[REG_TRAPNO];
	out->error = g[REG_ERR];
	out->cr2 = g[REG_CR2];
	out->sel[SEG_ES] = signal_segments.es;
	out->sel[SEG_CS] = (u16)g[REG_CSGSFS];
	out->sel[SEG_SS] = (u16)(g[REG_CSGSFS] >> 48);
	out->sel[SEG_DS] = signal_segments.ds;
	out->sel[SEG_FS] = signal_segments.fs;
	out->sel[SEG_GS] = signal_segments.gs;
	if (out->vector == X86_EXC_BP) {
		out->vector = VECTOR_NONE;
		out->regs.rip--;
	} else if (out->vector == X86_EXC_PF && out->error & PFERR_I && job.bits != 16 && out->cr2 == out->regs.rip) {
		/* A branch out of the code page is complete; its target's fetch is another instruction. */
		out->vector = VECTOR_NONE;
	}
	if (job.vectors) {
		u8 *fp = (u8 *)uc->uc_mcontext.fpregs;

		vectors_out(fp, out->regs.vector);
		copy_state(fp, job.saved_fp);
		memcpy(fp + XSAVE_HEADER, job.saved_fp + XSAVE_HEADER, 8);
	}
	memcpy(g, job.saved_regs, sizeof(job.saved_regs));
}

/* Still the same instruction as a tick ago: it loops. */
static bool watchdog(ucontext_t *uc)
{
	bool looping = phase == PHASE_RUN && job.ticked == job.number;

	job.ticked = job.number;
	if (looping)
		uc->uc_mcontext.gregs[REG_TRAPNO] = VECTOR_LOOP;
	return looping;
}

__attribute__((used)) static void handle_signal(int signo, siginfo_t *info, void *context)
{
	if (signo == SIGVTALRM && !watchdog(context))
		return;
	switch (phase) {
	case PHASE_ENTER:
		phase = PHASE_RUN;
		load_job(context);
		break;
	case PHASE_RUN:
		phase = PHASE_IDLE;
		store_result(context);
		break;
	default:
		/* A fault of the test program itself. */
		signal(signo, SIG_DFL);
		break;
	}
}

/*
 * The handler begins with the flags of the instruction under test: AC would make C code fault. And with its segments: C code
 * needs its FS.
 */
void handle_signal_entry(int signo, siginfo_t *info, void *context);
asm(".pushsection .text\n"
    ".globl handle_signal_entry\n"
    ".hidden handle_signal_entry\n"
    "handle_signal_entry:\n"
    "	pushfq\n"
    "	andl	$~0x244000, (%rsp)\n" /* ID, AC, NT */
    "	popfq\n"
    "	movw	%es, signal_segments(%rip)\n"
    "	movw	%ds, signal_segments+2(%rip)\n"
    "	movw	%fs, signal_segments+4(%rip)\n"
    "	movw	%gs, signal_segments+6(%rip)\n"
    "	cmpq	$0, signal_segments+24(%rip)\n"
    "	je	1f\n"
    "	xorl	%eax, %eax\n"
    "	movl	%eax, %fs\n"
    "	movl	%eax, %gs\n"
    "	movq	signal_segments+8(%rip), %rax\n"
    "	wrfsbase %rax\n"
    "	movq	signal_segments+16(%rip), %rax\n"
    "	wrgsbase %rax\n"
    "1:	jmp	handle_signal\n"
    ".popsection\n");

void bare_run(unsigned bits, const struct cpu_regs *regs, bool vectors, struct cpu_result *out)
{
	job.in = regs;
	job.out = out;
	job.bits = bits;
	job.vectors = vectors;
	job.number++;
	phase = PHASE_ENTER;
	/* Signal frames do not carry DS and ES; 64-bit code does not care what is in them. */
	if (bits == 16)
		asm volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(DATA16_SEL));
	asm volatile("int3" : : : "memory");
	asm volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(USER_DS));
}

bool bare_can_load_fs(void)
{
	return signal_segments.can_set_bases;
}

bool bare_set_ldt(unsigned n, const struct ldt_entry *e)
{
	struct user_desc d = {
		.entry_number = n,
		.base_addr = e->base,
		.limit = e->limit,
		.seg_32bit = e->big,
		.contents = e->contents,
		.read_exec_only = e->read_exec_only,
		.limit_in_pages = e->pages,
		.seg_not_present = e->absent,
		.useable = 1,
	};

	return !syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
}

static struct ldt_entry segment16_entry(const struct segment16 *seg)
{
	return (struct ldt_entry){
		.base = DATA_AT, .limit = seg->limit, .contents = seg->expand_down, .big = seg->big, .pages = seg->pages
	};
}

bool bare_segments(const struct segment16 *data, const struct segment16 *stack)
{
	const struct ldt_entry code = { .base = CODE_PAGE, .limit = 0xfff, .contents = MODIFY_LDT_CONTENTS_CODE };
	const struct ldt_entry d = segment16_entry(data), s = segment16_entry(stack);

	return bare_set_ldt(CODE16_SEL >> 3, &code) && bare_set_ldt(DATA16_SEL >> 3, &d) &&
	       bare_set_ldt(STACK16_SEL >> 3, &s);
}

/* --- set-up ----------------------------------------------------------------------------------------------- */

static u8 *map_twice(u64 address, size_t size, int prot)
{
	int fd = memfd_create("insn-test", MFD_CLOEXEC);
	void *alias;

	if (fd < 0 || ftruncate(fd, size))
		return NULL;
	if (mmap((void *)address, size, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != (void *)address)
		return NULL;
	alias = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return alias == MAP_FAILED ? NULL : alias;
}

static bool install_handlers(void)
{
	static const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGVTALRM };
	const size_t stack_size = 256 << 10;
	stack_t stack = { .ss_size = stack_size };
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	const struct itimerval tick = { .it_interval.tv_usec = 100000, .it_value.tv_usec = 100000 };
	unsigned n;

	stack.ss_sp = malloc(stack_size);
	if (!stack.ss_sp || sigaltstack(&stack, NULL))
		return false;
	action.sa_sigaction = handle_signal_entry;
	sigaddset(&action.sa_mask, SIGVTALRM);
	for (n = 0; n < ARRAY_SIZE(signals); n++)
		if (sigaction(signals[n], &action, NULL))
			return false;
	return !setitimer(ITIMER_VIRTUAL, &tick, NULL);
}

bool bare_init(void)
{
	data_alias = map_twice(DATA_AT, DATA_SIZE, PROT_READ | PROT_WRITE);
	code_alias = map_twice(CODE_PAGE, X86_PAGE_SIZE, PROT_READ | PROT_EXEC);
	if (!data_alias || !code_alias || !install_handlers())
		return false;
	if (mprotect((void *)(DATA_AT + DATA_WRITABLE), DATA_SIZE - DATA_WRITABLE, PROT_READ))
		return false;
	memset(code_alias, 0xcc, X86_PAGE_SIZE);
	/* Present from now on: a write must find a read-only page, not an absent one. */
	(void)*(volatile u8 *)(DATA_AT + DATA_WRITABLE);
	/* Flat data segments: 64-bit processes start with null ones, which 32-bit code cannot use. */
	asm volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(USER_DS));
	gs_base = DATA_AT + 0x340;
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, gs_base) || syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base))
		return false;
	signal_segments.fs_base = fs_base;
	signal_segments.gs_base = gs_base;
	signal_segments.can_set_bases = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
	return true;
}

u8 *bare_data(void)
{
	return data_alias;
}

u8 *bare_code(void)
{
	return code_alias;
}

u64 bare_fs_base(void)
{
	return fs_base;
}

u64 bare_gs_base(void)
{
	return gs_base;
}
