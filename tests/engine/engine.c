/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The cases of tests/insn on a whole engine, in user mode of a small guest, in IA-32e mode or, 32-bit code only, in
 * protected mode with PAE paging: the first run is interpreted, the last one, after enough of them, translated. Both must agree with the bare CPU.
 *
 * Each case has a code page of its own in guest-physical memory, mapped at the one linear address that the case was made
 * for: engines key code by physical address, and pages that are rewritten all the time they do not translate.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "anykvm.h"
#include "compare.h"
#include "sequence.h"
#include "testops.h"

#define RUNS 16   /* of each case: more than makes code hot */
#define BATCH 512 /* cases in one virtual machine */

/*
 * Guest-physical layout of the first 64 KiB. It is mapped for the supervisor at LOW_LIN, where stray addresses of the
 * cases are unlikely.
 */
#define LOW_LIN 0x38000000ull
enum {
	PML4_AT = 0x1000,
	PDPT_AT = 0x2000,
	PD_AT = 0x3000,
	PT_CODE_AT = 0x4000,
	PT_DATA_AT = 0x5000,
	PT_LOW_AT = 0x6000,
	GDT_AT = 0x7000,
	IDT_AT = 0x8000,
	TSS_AT = 0x9000,
	HANDLERS_AT = 0xa000,
	START_AT = 0xb000,
	RAX_AT = 0xc000,
	FRAME_AT = 0xe000,
	STACK_TOP = 0xf000,
	LOW_SIZE = 0x10000,
	PAGES_AT = 0x1000000,
};
enum { KERNEL_CS = 0x10, KERNEL_SS = 0x18, USER_CS32 = 0x23, USER_DS = 0x2b, USER_CS64 = 0x33, TSS_SEL = 0x40 };

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_NX (1ull << 63)

/* Reload CR3 (the code page is another one now), then go to user mode by the frame at FRAME_AT. */
static const u8 start_code[] = {
	0x0f, 0x20, 0xd8,                               /* mov rax, cr3 */
	0x0f, 0x22, 0xd8,                               /* mov cr3, rax */
	0x48, 0x8b, 0x04, 0x25, 0x00, 0xc0, 0x00, 0x38, /* mov rax, [LOW_LIN + RAX_AT] */
	0x48, 0xcf,                                     /* iretq */
};

static const u8 start_code32[] = {
	0x0f, 0x20, 0xd8,             /* mov eax, cr3 */
	0x0f, 0x22, 0xd8,             /* mov cr3, eax */
	0xa1, 0x00, 0xc0, 0x00, 0x38, /* mov eax, [LOW_LIN + RAX_AT] */
	0xcf,                         /* iretd */
};

struct engine_case {
	struct insn_case c;
	struct sequence code;
	struct cpu_result bare;
	u8 before[DATA_SIZE], after[DATA_SIZE];
};

static struct lib_cpu *cpu;
static struct engine_case *cases;
static u8 *low, *data, *pages;
static struct anykvm_handle *sys, *vm, *vcpu;
static struct kvm_run *run;
static bool legacy;          /* the guest is in protected mode, not in IA-32e mode */
static bool first_run_exact; /* interpreted; in lockstep even the first run is translated */

/* --- the guest --------------------------------------------------------------------------------------------------- */

static void put64(u64 at, u64 val)
{
	memcpy(low + at, &val, 8);
}

static void put32(u64 at, u32 val)
{
	memcpy(low + at, &val, 4);
}

static void build_tables(void)
{
	const u64 table = PTE_P | PTE_W | PTE_U;
	unsigned n;

	put64(PML4_AT, PDPT_AT | table);
	put64(PDPT_AT, PD_AT | (legacy ? PTE_P : table)); /* PAE's have no other bits */
	put64(PD_AT + 8 * (LOW_LIN >> 21 & 511), PT_LOW_AT | table);
	put64(PD_AT + 8 * (CODE_PAGE >> 21), PT_CODE_AT | table);
	put64(PD_AT + 8 * (DATA_AT >> 21), PT_DATA_AT | table);
	for (n = 0; n < LOW_SIZE >> 12; n++)
		put64(PT_LOW_AT + 8 * n, n << 12 | PTE_P | PTE_W);
	for (n = 0; n < DATA_SIZE >> 12; n++)
		put64(PT_DATA_AT + 8 * ((DATA_AT >> 12 & 511) + n),
		      (DATA_AT + (n << 12)) | PTE_P | PTE_U | PTE_NX | (n << 12 < DATA_WRITABLE ? PTE_W : 0));
}

static void build_gate(unsigned v)
{
	u64 handler = LOW_LIN + HANDLERS_AT + 16 * v;

	put64(IDT_AT + (legacy ? 8 : 16) * v,
	      (handler & 0xffff) | (u64)KERNEL_CS << 16 | 0xee0000000000ull | handler >> 16 << 48);
	low[HANDLERS_AT + 16 * v] = 0xf4; /* hlt */
}

static void build_descriptors(void)
{
	unsigned v;

	put64(GDT_AT + KERNEL_CS, legacy ? 0x00cf9b000000ffffull : 0x00af9b000000ffffull);
	put64(GDT_AT + KERNEL_SS, 0x00cf93000000ffffull);
	put64(GDT_AT + (USER_CS32 & ~7), 0x00cffb000000ffffull);
	put64(GDT_AT + (USER_DS & ~7), 0x00cff3000000ffffull);
	put64(GDT_AT + (USER_CS64 & ~7), 0x00affb000000ffffull);
	put32(TSS_AT + 4, LOW_LIN + STACK_TOP);
	if (legacy)
		put32(TSS_AT + 8, KERNEL_SS);
	low[TSS_AT + 102] = 0x68; /* the I/O bitmap is beyond the limit */
	for (v = 0; v < 32; v++)
		build_gate(v);
	if (legacy)
		memcpy(low + START_AT, start_code32, sizeof(start_code32));
	else
		memcpy(low + START_AT, start_code, sizeof(start_code));
}

static struct kvm_segment segment(u16 sel, u64 base, u32 limit, unsigned type, unsigned dpl, bool code64)
{
	return (struct kvm_segment){
		.selector = sel,
		.base = base,
		.limit = limit,
		.type = type,
		.dpl = dpl,
		.present = 1,
		.s = type != 11,
		.g = limit > 0xffff,
		.l = code64,
		.db = !code64 && type != 11,
	};
}

static bool set_system_registers(void)
{
	struct kvm_segment user = segment(USER_DS, 0, 0xffffffff, 3, 3, false);
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = 7 };
	struct kvm_sregs s;

	if (anykvm_ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return false;
	s.cs = segment(KERNEL_CS, 0, 0xffffffff, 11, 0, !legacy);
	s.cs.s = 1;
	s.cs.db = legacy;
	s.ss = segment(KERNEL_SS, 0, 0xffffffff, 3, 0, false);
	s.ds = s.es = user;
	s.fs = s.gs = user;
	s.fs.selector = s.gs.selector = 0;
	s.fs.base = bare_fs_base();
	s.gs.base = bare_gs_base();
	s.tr = segment(TSS_SEL, LOW_LIN + TSS_AT, 0x67, 11, 0, false);
	s.ldt.unusable = 1;
	s.gdt.base = LOW_LIN + GDT_AT;
	s.gdt.limit = 0x7f;
	s.idt.base = LOW_LIN + IDT_AT;
	s.idt.limit = 32 * (legacy ? 8 : 16) - 1;
	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s.cr3 = legacy ? PDPT_AT : PML4_AT;
	s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_OSXSAVE;
	s.efer = X86_EFER_SCE | X86_EFER_NXE | (legacy ? 0 : X86_EFER_LME | X86_EFER_LMA);
	return anykvm_ioctl(vcpu, KVM_SET_SREGS, &s) >= 0 && anykvm_ioctl(vcpu, KVM_SET_XCRS, &xcrs) >= 0;
}

static bool set_slot(unsigned slot, u64 gpa, u8 *host, u64 size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (u64)host,
	};

	return anykvm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) >= 0;
}

static bool set_cpuid(void)
{
	const unsigned max = 256;
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + max * sizeof(cpuid->entries[0]));
	bool ok;

	if (!cpuid)
		return false;
	cpuid->nent = max;
	ok = anykvm_ioctl(sys, KVM_GET_SUPPORTED_CPUID, cpuid) >= 0 && anykvm_ioctl(vcpu, KVM_SET_CPUID2, cpuid) >= 0;
	free(cpuid);
	return ok;
}

static void close_guest(void)
{
	anykvm_close(vcpu);
	anykvm_close(vm);
	vcpu = vm = NULL;
}

static bool open_guest(void)
{
	memset(low, 0, LOW_SIZE);
	build_tables();
	build_descriptors();
	if (anykvm_create_vm(sys, 0, &vm) < 0 || !set_slot(0, 0, low, LOW_SIZE) ||
	    !set_slot(1, DATA_AT, data, DATA_SIZE) || !set_slot(2, PAGES_AT, pages, BATCH * X86_PAGE_SIZE) ||
	    anykvm_create_vcpu(vm, 0, &vcpu) < 0)
		return false;
	run = anykvm_map(vcpu, NULL);
	return run && set_cpuid() && set_system_registers();
}

/* --- one run -------------------------------------------------------------------------------------------------------- */

/* What IRET takes. */
static void put_frame(const struct insn_case *c)
{
	const u64 frame[] = { c->regs.rip, c->bits == 64 ? USER_CS64 : USER_CS32, c->regs.rflags, c->regs.gpr[X86_RSP],
			      USER_DS };
	unsigned n;

	for (n = 0; n < 5; n++) {
		if (legacy)
			put32(FRAME_AT + 4 * n, (u32)frame[n]);
		else
			put64(FRAME_AT + 8 * n, frame[n]);
	}
}

static void set_registers(const struct insn_case *c)
{
	const u64 *g = c->regs.gpr;
	struct kvm_regs r = {
		.rcx = g[X86_RCX],
		.rdx = g[X86_RDX],
		.rbx = g[X86_RBX],
		.rbp = g[X86_RBP],
		.rsi = g[X86_RSI],
		.rdi = g[X86_RDI],
		.r8 = g[8],
		.r9 = g[9],
		.r10 = g[10],
		.r11 = g[11],
		.r12 = g[12],
		.r13 = g[13],
		.r14 = g[14],
		.r15 = g[15],
		.rsp = LOW_LIN + FRAME_AT,
		.rip = LOW_LIN + START_AT,
		.rflags = RFLAGS_FIXED,
	};

	put64(RAX_AT, g[X86_RAX]);
	put_frame(c);
	anykvm_ioctl(vcpu, KVM_SET_REGS, &r);
	if (c->vectors) {
		static struct kvm_xsave x;

		memcpy(&x, c->regs.vector, VECTOR_STATE_SIZE);
		anykvm_ioctl(vcpu, KVM_SET_XSAVE, &x);
	}
}

/* The handler's stack frame: what the exception, or the INT3 behind the instruction, pushed. */
static void get_frame(u64 sp, struct cpu_result *out)
{
	const u8 *at = low + (sp & (LOW_SIZE - 1));
	u64 frame[6] = { 0 };
	unsigned n;

	for (n = 0; n < 6; n++)
		memcpy(&frame[n], at + (legacy ? 4 : 8) * n, legacy ? 4 : 8);
	if (out->vector < 32 && x86_exc_has_error(out->vector)) {
		out->error = frame[0];
		memmove(frame, frame + 1, 5 * sizeof(frame[0]));
	}
	out->regs.rip = frame[0];
	out->regs.rflags = frame[2];
	out->regs.gpr[X86_RSP] = frame[3];
}

static void get_registers(const struct insn_case *c, struct cpu_result *out)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	anykvm_ioctl(vcpu, KVM_GET_REGS, &r);
	out->regs = c->regs;
	memcpy(out->regs.gpr,
	       (u64[16]){ r.rax, r.rcx, r.rdx, r.rbx, 0, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
			  r.r14, r.r15 },
	       sizeof(out->regs.gpr));
	out->vector = (r.rip - LOW_LIN - HANDLERS_AT) / 16;
	out->error = 0;
	get_frame(r.rsp, out);
	if (out->vector == X86_EXC_PF) {
		anykvm_ioctl(vcpu, KVM_GET_SREGS, &s);
		out->cr2 = s.cr2;
	}
	if (out->vector == X86_EXC_BP) {
		out->vector = VECTOR_NONE;
		out->regs.rip--;
	} else if (out->vector == X86_EXC_PF && out->error & PFERR_I && out->cr2 == out->regs.rip) {
		out->vector = VECTOR_NONE;
	}
	if (c->vectors) {
		static struct kvm_xsave x;

		anykvm_ioctl(vcpu, KVM_GET_XSAVE, &x);
		memcpy(out->regs.vector, &x, VECTOR_STATE_SIZE);
	}
}

/* False: the guest did not come to its HLT. */
static bool run_once(const struct engine_case *e, struct cpu_result *out)
{
	static char code[SEQUENCE_TEXT];
	char input[TEXT_ROOM];
	unsigned ticks = 0;
	int r;

	memcpy(data, e->before, DATA_SIZE);
	set_registers(&e->c);
	/* The watchdog's signal comes each 100 ms. */
	do
		r = anykvm_ioctl(vcpu, KVM_RUN, NULL);
	while (r == -EINTR && ticks++ < 20);
	if (r < 0 || run->exit_reason != KVM_EXIT_HLT) {
		describe_case(&e->c, input);
		describe_sequence(&e->code, code);
		insn_fail("%s, %u-bit: KVM_RUN gives %d, exit %u: %s: %s", x86_op_name(e->c.insn.op), e->c.bits, r,
			  run->exit_reason, code, input);
		return false;
	}
	get_registers(&e->c, out);
	return true;
}

/*
 * Translated code does not keep flags that a later instruction of the block overwrites: an exception in between shows
 * older ones. AF is undefined after logical operations.
 */
static void forget_dead_flags(struct cpu_result *out, const struct cpu_result *bare)
{
	u64 dead = out->vector != VECTOR_NONE ? RFLAGS_ARITH : RFLAGS_AF;

	out->regs.rflags = (out->regs.rflags & ~dead) | (bare->regs.rflags & dead);
}

static bool check(const struct engine_case *e, const struct cpu_result *out, const char *when)
{
	static u8 after[DATA_SIZE];
	static char code[SEQUENCE_TEXT];
	char text[TEXT_ROOM], input[TEXT_ROOM];

	memcpy(after, e->after, DATA_SIZE);
	if (!compare(&e->c, out, data, &e->bare, after, text))
		return true;
	describe_case(&e->c, input);
	describe_sequence(&e->code, code);
	insn_fail("%s, %u-bit, %s: %s: %s%s", x86_op_name(e->c.insn.op), e->c.bits, when, code, input, text);
	return false;
}

static void run_case(const struct engine_case *e, unsigned index)
{
	static struct cpu_result out;
	unsigned n;

	put64(PT_CODE_AT + 8 * (CODE_PAGE >> 12 & 511), (PAGES_AT + index * X86_PAGE_SIZE) | PTE_P | PTE_U);
	for (n = 0; n < RUNS; n++) {
		if (!run_once(e, &out))
			return;
		if (n == 0 && first_run_exact && !check(e, &out, "first run"))
			return;
	}
	forget_dead_flags(&out, &e->bare);
	check(e, &out, "last run");
}

/* --- batches ----------------------------------------------------------------------------------------------------------- */

/* The bare CPU's result. False: not a case for here. */
static bool prepare(struct engine_case *e, unsigned index)
{
	struct insn_case *c = &e->c;
	u8 *page = pages + index * X86_PAGE_SIZE, *bare = bare_code() + CODE_AT % X86_PAGE_SIZE;

	/* Branches into themselves go on with something else, perhaps forever. */
	if (c->insn.opnd[0].kind == OPND_REL && c->insn.imm < 0 && c->insn.imm >= -(s64)c->len)
		return false;
	/* Handlers here are C code. */
	c->regs.rflags &= ~(u64)RFLAGS_AC;
	memcpy(bare_data(), e->before, DATA_SIZE);
	memcpy(bare, e->code.bytes, e->code.len);
	bare_run(c->bits, &c->regs, c->vectors, &e->bare);
	memset(bare, 0xcc, e->code.len);
	memcpy(e->after, bare_data(), DATA_SIZE);
	memset(page, 0xcc, X86_PAGE_SIZE);
	memcpy(page + CODE_AT % X86_PAGE_SIZE, e->code.bytes, e->code.len);
	return e->bare.vector != VECTOR_LOOP;
}

static void run_batch(unsigned count)
{
	unsigned n;

	if (!open_guest()) {
		insn_fail("the guest could not be set up");
	} else {
		for (n = 0; n < count; n++)
			run_case(&cases[n], n);
	}
	close_guest();
}

/* Batches are filled row after row: the table's order mixes operations well enough. */
static void run_rows(unsigned bits, struct random *r)
{
	unsigned row, n, k, count = 0;

	lib_mode(cpu, bits);
	for (row = 1; row < x86_opcode_count; row++) {
		for (n = 0; n < x86_opcodes[row].count; n++) {
			for (k = 0; k < insn_options.rounds; k++) {
				struct engine_case *e = &cases[count];

				generate_data(e->before, r);
				if (!generate(&e->c, &x86_opcodes[row], n, bits, lib_state(cpu), e->before, r) ||
				    !comparable(&e->c.insn))
					continue;
				e->code.len = e->c.len;
				memcpy(e->code.bytes, e->c.code, e->c.len);
				if (!prepare(e, count))
					continue;
				if (++count == BATCH) {
					run_batch(count);
					count = 0;
				}
			}
		}
	}
	if (count)
		run_batch(count);
}

/* Several instructions in one block. */
static void run_sequences(unsigned bits, struct random *r)
{
	unsigned n, count = 0;

	lib_mode(cpu, bits);
	for (n = 0; n < insn_options.rounds * 1000; n++) {
		struct engine_case *e = &cases[count];

		generate_data(e->before, r);
		if (!generate_sequence(&e->c, &e->code, bits, lib_state(cpu), e->before, r) || !prepare(e, count))
			continue;
		if (++count == BATCH) {
			run_batch(count);
			count = 0;
		}
	}
	if (count)
		run_batch(count);
}

static u8 *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool set_up(void)
{
	if (cpu)
		return true;
	if (!bare_init() || !(cpu = lib_new()))
		return false;
	cases = calloc(BATCH, sizeof(*cases));
	low = map(LOW_SIZE);
	data = map(DATA_SIZE);
	pages = map(BATCH * X86_PAGE_SIZE);
	return cases && low && data && pages;
}

static void run_engine(enum anykvm_engine engine, unsigned bits, void (*cases_of)(unsigned bits, struct random *r))
{
	struct anykvm_options options = { .size = sizeof(options), .engine = engine };
	struct random r = { insn_options.seed * 0x9e3779b97f4a7c15ull ^ bits };

	first_run_exact = engine != ANYKVM_ENGINE_LOCKSTEP;
	random_u64(&r);
	if (!set_up()) {
		insn_fail("set-up");
		return;
	}
	if (anykvm_open(&options, &sys) < 0) {
		insn_skip("this engine is not possible here");
		return;
	}
	cases_of(bits, &r);
	anykvm_close(sys);
}

static void run_legacy(enum anykvm_engine engine, unsigned bits, void (*cases_of)(unsigned bits, struct random *r))
{
	legacy = true;
	run_engine(engine, bits, cases_of);
	legacy = false;
}

#define SUITE(name, title, run, engine, bits, cases_of)                                                                \
	INSN_TEST(name, title)                                                                                         \
	{                                                                                                              \
		run(ANYKVM_ENGINE_##engine, bits, cases_of);                                                           \
	}

SUITE(interpreter64, "engine: interpreter, 64-bit code", run_engine, INTERPRETER, 64, run_rows)
SUITE(interpreter32, "engine: interpreter, 32-bit code", run_engine, INTERPRETER, 32, run_rows)
SUITE(translator64, "engine: translator, 64-bit code", run_engine, TRANSLATOR, 64, run_rows)
SUITE(translator32, "engine: translator, 32-bit code", run_engine, TRANSLATOR, 32, run_rows)
SUITE(interpreter_protected, "engine: interpreter, protected mode", run_legacy, INTERPRETER, 32, run_rows)
SUITE(translator_protected, "engine: translator, protected mode", run_legacy, TRANSLATOR, 32, run_rows)
SUITE(sequences_interpreter64, "sequences: interpreter, 64-bit code", run_engine, INTERPRETER, 64, run_sequences)
SUITE(sequences_translator64, "sequences: translator, 64-bit code", run_engine, TRANSLATOR, 64, run_sequences)
SUITE(sequences_translator32, "sequences: translator, 32-bit code", run_engine, TRANSLATOR, 32, run_sequences)
/* Block by block against the interpreter: also what the case itself does not show. */
SUITE(lockstep64, "engine: lockstep, 64-bit code", run_engine, LOCKSTEP, 64, run_rows)
SUITE(lockstep32, "engine: lockstep, 32-bit code", run_engine, LOCKSTEP, 32, run_rows)
SUITE(sequences_lockstep64, "sequences: lockstep, 64-bit code", run_engine, LOCKSTEP, 64, run_sequences)
SUITE(sequences_lockstep32, "sequences: lockstep, 32-bit code", run_engine, LOCKSTEP, 32, run_sequences)
