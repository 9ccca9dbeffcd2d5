/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The library under test: see testops.h. */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"
#include "native_run.h"
#include "optable.h"
#include "testops.h"

/* Guest-physical: page tables at 0x1000-0x5fff, descriptor tables behind them, code and data at their linear addresses. */
#define TABLES_SIZE 0x8000u
enum {
	PML4_AT = 0x1000,
	PDPT_AT = 0x2000,
	PD_AT = 0x3000,
	PT_CODE_AT = 0x4000,
	PT_DATA_AT = 0x5000,
	GDT_AT = 0x6000,
	LDT_AT = 0x7000,
};
/* Where the descriptor tables are seen, by the supervisor only. */
#define GDT_LINEAR (CODE_PAGE + 0x10000)
#define LDT_LINEAR (CODE_PAGE + 0x11000)
#define GDT_ENTRIES 16

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_NX (1ull << 63)

struct lib_cpu {
	struct x86_state state; /* first: ops find the rest by it */
	struct x86_tlb *tlb;
	u8 *tables, *code, *data;
	u8 vector[4096] __aligned(64);
};

/* --- memory ------------------------------------------------------------------------------------------------ */

static u8 *find_page(struct lib_cpu *cpu, u64 gpa)
{
	if (gpa < TABLES_SIZE)
		return cpu->tables + gpa;
	if (gpa - CODE_PAGE < X86_PAGE_SIZE)
		return cpu->code + (gpa - CODE_PAGE);
	if (gpa - DATA_AT < DATA_SIZE)
		return cpu->data + (gpa - DATA_AT);
	return NULL;
}

static bool op_ram(struct x86_state *s, u64 gpa, bool write, struct x86_ram *out)
{
	u8 *p = find_page((struct lib_cpu *)s, gpa & X86_PAGE_MASK);

	if (!p)
		return false;
	out->host = p;
	out->flags = 0;
	return true;
}

static enum x86_result op_ram_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	u8 *p = find_page((struct lib_cpu *)s, gpa);

	if (!p)
		return X86_UNHANDLED;
	memcpy(buf, p, size);
	return X86_OK;
}

static enum x86_result op_ram_write(struct x86_state *s, u64 gpa, const void *buf, unsigned size)
{
	u8 *p = find_page((struct lib_cpu *)s, gpa);

	if (!p)
		return X86_UNHANDLED;
	memcpy(p, buf, size);
	return X86_OK;
}

enum x86_result lib_cmpxchg(void *at, u64 old, u64 val, unsigned size)
{
	u32 old32 = (u32)old;
	bool same;

	if (size == 8)
		same = __atomic_compare_exchange_n((u64 *)at, &old, val, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	else
		same = __atomic_compare_exchange_n((u32 *)at, &old32, (u32)val, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_RELAXED);
	return same ? X86_OK : X86_RETRY;
}

static enum x86_result op_ram_cmpxchg(struct x86_state *s, u64 gpa, u64 old, u64 val, unsigned size)
{
	u8 *p = find_page((struct lib_cpu *)s, gpa);

	return p ? lib_cmpxchg(p, old, val, size) : X86_UNHANDLED;
}

/* There is no MMIO and no port that user code may reach: the library must not come here. */
static enum x86_result op_mmio_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	return X86_HOST_FAULT;
}

static enum x86_result op_mmio_write(struct x86_state *s, u64 gpa, const void *buf, unsigned size)
{
	return X86_HOST_FAULT;
}

static enum x86_result op_native(struct x86_state *s, const struct x86_insn *i, void *mem)
{
	return native_run(s, i, mem);
}

static const struct x86_ops ops = {
	.ram = op_ram,
	.ram_read = op_ram_read,
	.ram_write = op_ram_write,
	.ram_cmpxchg = op_ram_cmpxchg,
	.mmio_read = op_mmio_read,
	.mmio_write = op_mmio_write,
	.native = op_native,
};

/* --- features of this CPU ------------------------------------------------------------------------------------ */

enum { EAX, EBX, ECX, EDX };

/* Feature, leaf, subleaf, register, bit (SDM and APM, "CPUID"). */
/* clang-format off */
static const struct { u8 feature; u32 leaf, subleaf; u8 reg, bit; } cpuid_bits[] = {
	{ X86F_FPU, 1, 0, EDX, 0 }, { X86F_VME, 1, 0, EDX, 1 }, { X86F_DE, 1, 0, EDX, 2 },
	{ X86F_PSE, 1, 0, EDX, 3 }, { X86F_TSC, 1, 0, EDX, 4 }, { X86F_MSR, 1, 0, EDX, 5 },
	{ X86F_PAE, 1, 0, EDX, 6 }, { X86F_CX8, 1, 0, EDX, 8 }, { X86F_SEP, 1, 0, EDX, 11 },
	{ X86F_PGE, 1, 0, EDX, 13 }, { X86F_CMOV, 1, 0, EDX, 15 }, { X86F_CLFLUSH, 1, 0, EDX, 19 },
	{ X86F_MMX, 1, 0, EDX, 23 }, { X86F_FXSR, 1, 0, EDX, 24 }, { X86F_SSE, 1, 0, EDX, 25 },
	{ X86F_SSE2, 1, 0, EDX, 26 }, { X86F_SSE3, 1, 0, ECX, 0 }, { X86F_PCLMUL, 1, 0, ECX, 1 },
	{ X86F_MONITOR, 1, 0, ECX, 3 }, { X86F_SSSE3, 1, 0, ECX, 9 }, { X86F_FMA, 1, 0, ECX, 12 },
	{ X86F_CX16, 1, 0, ECX, 13 }, { X86F_SSE41, 1, 0, ECX, 19 }, { X86F_SSE42, 1, 0, ECX, 20 },
	{ X86F_MOVBE, 1, 0, ECX, 22 }, { X86F_POPCNT, 1, 0, ECX, 23 }, { X86F_AES, 1, 0, ECX, 25 },
	{ X86F_XSAVE, 1, 0, ECX, 26 }, { X86F_AVX, 1, 0, ECX, 28 }, { X86F_F16C, 1, 0, ECX, 29 },
	{ X86F_RDRAND, 1, 0, ECX, 30 }, { X86F_FSGSBASE, 7, 0, EBX, 0 }, { X86F_BMI1, 7, 0, EBX, 3 },
	{ X86F_AVX2, 7, 0, EBX, 5 }, { X86F_SMEP, 7, 0, EBX, 7 }, { X86F_BMI2, 7, 0, EBX, 8 },
	{ X86F_ERMS, 7, 0, EBX, 9 }, { X86F_INVPCID, 7, 0, EBX, 10 }, { X86F_RDSEED, 7, 0, EBX, 18 },
	{ X86F_ADX, 7, 0, EBX, 19 }, { X86F_SMAP, 7, 0, EBX, 20 }, { X86F_CLFLUSHOPT, 7, 0, EBX, 23 },
	{ X86F_CLWB, 7, 0, EBX, 24 }, { X86F_SHA, 7, 0, EBX, 29 }, { X86F_UMIP, 7, 0, ECX, 2 },
	{ X86F_GFNI, 7, 0, ECX, 8 }, { X86F_VAES, 7, 0, ECX, 9 }, { X86F_VPCLMUL, 7, 0, ECX, 10 },
	{ X86F_RDPID, 7, 0, ECX, 22 }, { X86F_MOVDIRI, 7, 0, ECX, 27 }, { X86F_MOVDIR64B, 7, 0, ECX, 28 },
	{ X86F_SERIALIZE, 7, 0, EDX, 14 }, { X86F_AVX_VNNI, 7, 1, EAX, 4 },
	{ X86F_XSAVEOPT, 13, 1, EAX, 0 }, { X86F_XSAVEC, 13, 1, EAX, 1 }, { X86F_XGETBV1, 13, 1, EAX, 2 },
	{ X86F_SYSCALL, 0x80000001, 0, EDX, 11 }, { X86F_NX, 0x80000001, 0, EDX, 20 },
	{ X86F_RDTSCP, 0x80000001, 0, EDX, 27 }, { X86F_LM, 0x80000001, 0, EDX, 29 },
	{ X86F_3DNOW, 0x80000001, 0, EDX, 31 }, { X86F_LAHF_LM, 0x80000001, 0, ECX, 0 },
	{ X86F_LZCNT, 0x80000001, 0, ECX, 5 }, { X86F_SSE4A, 0x80000001, 0, ECX, 6 },
	{ X86F_PREFETCHW, 0x80000001, 0, ECX, 8 }, { X86F_XOP, 0x80000001, 0, ECX, 11 },
	{ X86F_FMA4, 0x80000001, 0, ECX, 16 }, { X86F_TBM, 0x80000001, 0, ECX, 21 },
	{ X86F_CLZERO, 0x80000008, 0, EBX, 0 }, { X86F_MCOMMIT, 0x80000008, 0, EBX, 8 },
	{ X86F_WBNOINVD, 0x80000008, 0, EBX, 9 },
};
/* clang-format on */

static void set_features(struct x86_state *s)
{
	u32 r[4];
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(cpuid_bits); n++) {
		if (__get_cpuid_count(cpuid_bits[n].leaf, cpuid_bits[n].subleaf, &r[0], &r[1], &r[2], &r[3]) &&
		    r[cpuid_bits[n].reg] >> cpuid_bits[n].bit & 1)
			s->features[cpuid_bits[n].feature >> 6] |= 1ull << (cpuid_bits[n].feature & 63);
	}
	/* "AuthenticAMD" and its licensee. */
	__cpuid(0, r[0], r[1], r[2], r[3]);
	s->vendor_amd = r[1] == 0x68747541 || r[1] == 0x6f677948;
	s->maxphyaddr = 48;
}

/* --- the state of user mode ------------------------------------------------------------------------------------ */

static void put_pte(struct lib_cpu *cpu, u64 table, unsigned index, u64 pte)
{
	memcpy(cpu->tables + table + 8 * index, &pte, 8);
}

static void build_tables(struct lib_cpu *cpu)
{
	const u64 table = PTE_P | PTE_W | PTE_U;
	unsigned n;

	put_pte(cpu, PML4_AT, 0, PDPT_AT | table);
	put_pte(cpu, PDPT_AT, 0, PD_AT | table);
	put_pte(cpu, PD_AT, CODE_PAGE >> 21, PT_CODE_AT | table);
	put_pte(cpu, PD_AT, DATA_AT >> 21, PT_DATA_AT | table);
	put_pte(cpu, PT_CODE_AT, CODE_PAGE >> 12 & 511, CODE_PAGE | PTE_P | PTE_U);
	put_pte(cpu, PT_CODE_AT, GDT_LINEAR >> 12 & 511, GDT_AT | PTE_P | PTE_W);
	put_pte(cpu, PT_CODE_AT, LDT_LINEAR >> 12 & 511, LDT_AT | PTE_P | PTE_W);
	for (n = 0; n < DATA_SIZE / X86_PAGE_SIZE; n++)
		put_pte(cpu, PT_DATA_AT, (DATA_AT >> 12 & 511) + n,
			(DATA_AT + n * X86_PAGE_SIZE) | PTE_P | PTE_U | PTE_NX |
				(n * X86_PAGE_SIZE < DATA_WRITABLE ? PTE_W : 0));
}

/* What user mode can load, or see that it cannot (Linux, arch/x86/include/asm/segment.h). */
static void build_gdt(struct lib_cpu *cpu)
{
	static const struct {
		u16 sel;
		u64 desc;
	} gdt[] = {
		{ 0x08, 0x00cf9b000000ffff }, { 0x10, 0x00af9b000000ffff }, { 0x18, 0x00cf93000000ffff },
		{ 0x20, 0x00cffb000000ffff }, { 0x28, 0x00cff3000000ffff }, { 0x30, 0x00affb000000ffff },
		{ 0x40, 0x00008b0000000067 }, { 0x50, 0x0000820000000fff }, { 0x78, 0x0040f50000000000 },
	};
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(gdt); n++)
		memcpy(cpu->tables + GDT_AT + gdt[n].sel, &gdt[n].desc, 8);
	cpu->state.gdt = (struct x86_table){ .base = GDT_LINEAR, .limit = GDT_ENTRIES * 8 - 1 };
	cpu->state.ldt = (struct x86_seg){
		.base = LDT_LINEAR, .limit = TEST_LDT_ENTRIES * 8 - 1, .attr = SEG_P | 2, .sel = 0x50
	};
}

void lib_set_ldt(struct lib_cpu *cpu, unsigned n, const struct ldt_entry *e)
{
	u64 type = 0x11u | !e->read_exec_only << 1 | e->contents << 2; /* accessed, not a system segment */
	u64 desc = (e->limit & 0xffff) | (u64)(e->base & 0xffffff) << 16 | (type | 3 << 5 | !e->absent << 7) << 40 |
		   (u64)(e->limit >> 16 & 15) << 48 | 1ull << 52 | (u64)e->big << 54 | (u64)e->pages << 55 |
		   (u64)(e->base >> 24) << 56;

	memcpy(cpu->tables + LDT_AT + 8 * n, &desc, 8);
}

void lib_mode(struct lib_cpu *cpu, unsigned bits)
{
	const u32 user = SEG_P | SEG_S | 3 << SEG_DPL_SHIFT | SEG_G | SEG_TYPE_ACCESSED | SEG_TYPE_RW;
	const struct x86_seg data = { .limit = 0xffffffff, .attr = user | SEG_DB, .sel = 0x2b };
	struct x86_state *s = &cpu->state;
	unsigned n;

	for (n = 0; n < SEG_COUNT; n++)
		s->seg[n] = data;
	s->seg[SEG_CS] = (struct x86_seg){
		.limit = 0xffffffff,
		.attr = user | SEG_TYPE_CODE | (bits == 64 ? SEG_L : SEG_DB),
		.sel = bits == 64 ? 0x33 : 0x23,
	};
	for (n = SEG_FS; n <= SEG_GS; n++)
		s->seg[n] = (struct x86_seg){
			.attr = SEG_UNUSABLE,
			.base = n == SEG_FS ? bare_fs_base() : bare_gs_base(),
		};
	s->cpl = 3;
	x86_update_mode(s);
}

static struct x86_seg segment16(const struct segment16 *seg, u64 base, u32 type, u16 sel)
{
	return (struct x86_seg){
		.base = base,
		.sel = sel,
		.limit = seg->pages ? seg->limit << 12 | 0xfff : seg->limit,
		.attr = SEG_P | SEG_S | 3 << SEG_DPL_SHIFT | SEG_TYPE_ACCESSED | SEG_TYPE_RW | type |
			(seg->expand_down ? SEG_TYPE_DC : 0) | (seg->big ? SEG_DB : 0) | (seg->pages ? SEG_G : 0),
	};
}

void lib_segments(struct lib_cpu *cpu, const struct segment16 *data, const struct segment16 *stack)
{
	const struct segment16 code = { .limit = 0xfff };
	struct x86_state *s = &cpu->state;

	s->seg[SEG_CS] = segment16(&code, CODE_PAGE, SEG_TYPE_CODE, CODE16_SEL);
	s->seg[SEG_DS] = s->seg[SEG_ES] = segment16(data, DATA_AT, 0, DATA16_SEL);
	s->seg[SEG_SS] = segment16(stack, DATA_AT, 0, STACK16_SEL);
	x86_update_mode(s);
}

struct lib_cpu *lib_new(void)
{
	struct lib_cpu *cpu = aligned_alloc(64, sizeof(*cpu));
	struct x86_state *s = &cpu->state;

	if (!cpu)
		return NULL;
	memset(cpu, 0, sizeof(*cpu));
	cpu->tlb = aligned_alloc(64, (sizeof(*cpu->tlb) + 63) & ~63ull);
	cpu->tables = aligned_alloc(X86_PAGE_SIZE, TABLES_SIZE);
	cpu->code = aligned_alloc(X86_PAGE_SIZE, X86_PAGE_SIZE);
	cpu->data = aligned_alloc(X86_PAGE_SIZE, DATA_SIZE);
	if (!cpu->tlb || !cpu->tables || !cpu->code || !cpu->data)
		return NULL;
	x86_tlb_init(cpu->tlb);
	memset(cpu->tables, 0, TABLES_SIZE);
	memset(cpu->code, 0xcc, X86_PAGE_SIZE);
	memset(cpu->data, 0, DATA_SIZE);
	build_tables(cpu);
	set_features(s);
	s->ops = &ops;
	s->xsave = cpu->vector;
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s->cr3 = PML4_AT;
	s->cr4 = CR4_PAE | CR4_DE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_OSXSAVE;
	s->efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
	s->xcr0 = 7;
	s->dr6 = DR6_FIXED1;
	s->dr7 = DR7_FIXED1;
	s->tr = (struct x86_seg){ .limit = 0x5f, .attr = SEG_P | 11, .sel = 0x40 }; /* no I/O bitmap */
	build_gdt(cpu);
	lib_mode(cpu, 64);
	return cpu;
}

u8 *lib_data(struct lib_cpu *cpu)
{
	return cpu->data;
}

u8 *lib_code(struct lib_cpu *cpu)
{
	return cpu->code;
}

struct x86_state *lib_state(struct lib_cpu *cpu)
{
	return &cpu->state;
}

void lib_flush(struct lib_cpu *cpu)
{
	x86_tlb_flush(cpu->tlb);
}

/* --- running ----------------------------------------------------------------------------------------------------- */

/* As x86_step(), but with a chosen routine. */
static enum x86_result step(struct x86_state *s, enum lib_variant variant)
{
	u64 rip = s->rip;
	x86_exec_fn *fn = NULL;
	struct x86_insn i;
	enum x86_result r = x86_fetch_decode(s, &i);

	if (r != X86_OK)
		return r;
	if (variant == LIB_FAST)
		fn = x86_specialize(&i);
	if (!fn)
		fn = x86_exec_table[i.op];
	s->rip = x86_next_rip(s, i.len);
	r = fn(s, &i);
	if (r == X86_OK || r == X86_EXIT)
		x86_retire(s, s->shadow);
	else
		s->rip = rip;
	return r;
}

void lib_run(struct lib_cpu *cpu, enum lib_variant variant, const struct cpu_regs *regs, bool vectors,
	     struct cpu_result *out)
{
	struct x86_state *s = &cpu->state;
	enum x86_result r = X86_REPEAT;
	unsigned turns, n;

	s->tlb = variant == LIB_FAST ? cpu->tlb : NULL;
	memcpy(s->gpr, regs->gpr, sizeof(s->gpr));
	s->rip = regs->rip;
	x86_set_rflags(s, regs->rflags | RFLAGS_IF);
	if (vectors)
		memcpy(cpu->vector, regs->vector, VECTOR_STATE_SIZE);
	for (turns = 0; r == X86_REPEAT && turns < 100000; turns++)
		r = step(s, variant);
	memcpy(out->regs.gpr, s->gpr, sizeof(s->gpr));
	out->regs.rip = s->rip;
	out->regs.rflags = s->rflags;
	for (n = 0; n < SEG_COUNT; n++)
		out->sel[n] = s->seg[n].sel;
	if (vectors)
		memcpy(out->regs.vector, cpu->vector, VECTOR_STATE_SIZE);
	out->vector = VECTOR_NONE;
	if (r == X86_FAULT) {
		out->vector = s->fault.vector;
		out->error = s->fault.has_error ? s->fault.error : 0;
		out->cr2 = s->fault.cr2;
	} else if (r != X86_OK) {
		out->vector = VECTOR_ODD;
		out->error = r;
	}
}
