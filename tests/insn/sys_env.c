/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include "sys_env.h"
#include "testops.h"

static struct sys_env env;
static u8 ram[SYS_RAM] __aligned(4096);
static struct x86_tlb tlb;
static u8 xsave[4096] __aligned(64);

static struct sys_env *env_of(struct x86_state *s)
{
	return container_of(s, struct sys_env, s);
}

/* --- ops ------------------------------------------------------------------------------------------- */

static bool op_ram(struct x86_state *s, u64 gpa, bool write, struct x86_ram *out)
{
	if (gpa >= SYS_RAM)
		return false;
	*out = (struct x86_ram){ .host = ram + (gpa & X86_PAGE_MASK) };
	return true;
}

static enum x86_result op_ram_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	if (gpa + size > SYS_RAM)
		return X86_UNHANDLED;
	if ((gpa & ~X86_PAGE_MASK) + size > X86_PAGE_SIZE)
		insn_fail("ram_read crosses a page: %llx, %u bytes", gpa, size);
	memcpy(buf, ram + gpa, size);
	return X86_OK;
}

static enum x86_result op_ram_write(struct x86_state *s, u64 gpa, const void *buf, unsigned size)
{
	if (gpa + size > SYS_RAM)
		return X86_UNHANDLED;
	if ((gpa & ~X86_PAGE_MASK) + size > X86_PAGE_SIZE)
		insn_fail("ram_write crosses a page: %llx, %u bytes", gpa, size);
	memcpy(ram + gpa, buf, size);
	return X86_OK;
}

static enum x86_result op_ram_cmpxchg(struct x86_state *s, u64 gpa, u64 old, u64 val, unsigned size)
{
	return gpa + size <= SYS_RAM ? lib_cmpxchg(ram + gpa, old, val, size) : X86_UNHANDLED;
}

static enum x86_result op_mmio_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	memset(buf, 0xff, size);
	return X86_OK;
}

static enum x86_result op_mmio_write(struct x86_state *s, u64 gpa, const void *buf, unsigned size)
{
	return X86_OK;
}

static enum x86_result op_in(struct x86_state *s, u16 port, unsigned size, void *buf, unsigned count, unsigned *done)
{
	memcpy(buf, &env_of(s)->in_val, size);
	*done = 1;
	return X86_OK;
}

static enum x86_result op_out(struct x86_state *s, u16 port, unsigned size, const void *buf, unsigned count,
			      unsigned *done)
{
	struct sys_env *e = env_of(s);

	e->last_out.port = port;
	e->last_out.size = size;
	e->last_out.val = 0;
	memcpy(&e->last_out.val, buf, size);
	*done = 1;
	return X86_OK;
}

static enum x86_result op_rdmsr(struct x86_state *s, u32 msr, u64 *val)
{
	if (msr == 0xdead)
		return x86_raise_error(s, X86_EXC_GP, 0);
	*val = env_of(s)->msr[2];
	return X86_OK;
}

static enum x86_result op_wrmsr(struct x86_state *s, u32 msr, u64 val)
{
	if (msr == X86_MSR_EFER)
		return x86_write_efer(s, val);
	if (msr == 0xdead)
		return x86_raise_error(s, X86_EXC_GP, 0);
	env_of(s)->msr[0] = msr;
	env_of(s)->msr[1] = val;
	return X86_OK;
}

static void op_cpuid(struct x86_state *s)
{
	s->gpr[X86_RAX] = 0x663;
	s->gpr[X86_RBX] = s->gpr[X86_RCX] = s->gpr[X86_RDX] = 0;
}

static u64 op_rdtsc(struct x86_state *s)
{
	return 0x1122334455667788ull;
}

static u64 op_read_cr8(struct x86_state *s)
{
	return env_of(s)->cr8;
}

static enum x86_result op_write_cr8(struct x86_state *s, u64 val)
{
	env_of(s)->cr8 = val;
	return X86_OK;
}

static enum x86_result op_exit(struct x86_state *s)
{
	return X86_EXIT;
}

static enum x86_result op_hypercall(struct x86_state *s, const struct x86_insn *i)
{
	s->gpr[X86_RAX] = 0x4242;
	return X86_OK;
}

static void op_tlb_flushed(struct x86_state *s, enum x86_flush what, u64 lin)
{
	env_of(s)->flushes++;
}

static void op_debug_changed(struct x86_state *s)
{
	env_of(s)->debug_changes++;
}

static void op_mode_changed(struct x86_state *s)
{
	env_of(s)->mode_changes++;
}

static void op_events_enabled(struct x86_state *s)
{
	env_of(s)->events++;
}

static struct x86_ops ops = {
	.ram_read = op_ram_read,
	.ram_write = op_ram_write,
	.ram_cmpxchg = op_ram_cmpxchg,
	.mmio_read = op_mmio_read,
	.mmio_write = op_mmio_write,
	.in = op_in,
	.out = op_out,
	.rdmsr = op_rdmsr,
	.wrmsr = op_wrmsr,
	.cpuid = op_cpuid,
	.rdtsc = op_rdtsc,
	.read_cr8 = op_read_cr8,
	.write_cr8 = op_write_cr8,
	.hlt = op_exit,
	.mwait = op_exit,
	.hypercall = op_hypercall,
	.tlb_flushed = op_tlb_flushed,
	.mode_changed = op_mode_changed,
	.debug_changed = op_debug_changed,
	.events_enabled = op_events_enabled,
};

static bool no_reference;

void sys_no_reference(const char *reason)
{
	(void)reason; /* for the reader */
	no_reference = true;
}

static enum { WITH_TLB, WITHOUT_TLB, COPIED_RAM, VARIANTS } variant;

void sys_variants(void (*body)(void))
{
	static const char *const names[] = { "with the TLB", "without TLB", "with copied RAM" };

	for (variant = WITH_TLB; variant < (sys_kvm_wanted() ? WITHOUT_TLB : VARIANTS) && !insn_failures(); variant++) {
		no_reference = false;
		body();
		if (insn_failures())
			insn_fail("that was %s", names[variant]);
	}
}

/* --- memory ------------------------------------------------------------------------------------------ */

u64 sys_read(struct sys_env *e, u32 addr, unsigned size)
{
	u64 val = 0;

	memcpy(&val, e->ram + addr, size);
	return val;
}

void sys_write(struct sys_env *e, u32 addr, unsigned size, u64 val)
{
	memcpy(e->ram + addr, &val, size);
}

u64 sys_stack(struct sys_env *e, unsigned n, unsigned size)
{
	struct x86_state *s = &e->s;
	u64 mask = s->mode == X86_MODE_LONG ? ~0ull : s->seg[SEG_SS].attr & SEG_DB ? 0xffffffff : 0xffff;
	u64 base = s->mode == X86_MODE_LONG ? 0 : s->seg[SEG_SS].base;
	u64 at = base + ((s->gpr[X86_RSP] + n * size) & mask);

	if (at + size > SYS_RAM) {
		insn_fail("stack at %llx is outside RAM", at);
		return 0;
	}
	return sys_read(e, at, size);
}

u64 sys_desc(u32 base, u32 limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 |
	       (u64)flags << 52 | (u64)(base >> 24) << 56;
}

void sys_set_desc(struct sys_env *e, unsigned sel, u64 desc)
{
	sys_write(e, SYS_GDT + (sel & ~7u), 8, desc);
}

u64 sys_get_desc(struct sys_env *e, unsigned sel)
{
	return sys_read(e, SYS_GDT + (sel & ~7u), 8);
}

u64 sys_gate(u16 sel, u32 off, unsigned access)
{
	return (off & 0xffff) | (u64)sel << 16 | (u64)access << 40 | (u64)(off >> 16) << 48;
}

void sys_set_idt(struct sys_env *e, unsigned n, u64 gate)
{
	unsigned size = e->s.efer & X86_EFER_LMA ? 16 : 8;

	sys_write(e, SYS_IDT + n * size, 8, gate);
	if (size == 16)
		sys_write(e, SYS_IDT + n * size + 8, 8, 0);
}

/* --- modes ------------------------------------------------------------------------------------------------ */

struct sys_env *sys_real(void)
{
	struct sys_env *e = &env;
	unsigned v;

	memset(&env, 0, sizeof(env));
	memset(ram, 0, sizeof(ram));
	x86_tlb_init(&tlb);
	e->ram = ram;
	e->s.ops = &ops;
	e->s.tlb = variant == WITH_TLB ? &tlb : NULL;
	ops.ram = variant == COPIED_RAM ? NULL : op_ram;
	e->s.xsave = xsave;
	e->s.maxphyaddr = 40;
	e->s.features[0] = e->s.features[1] = ~0ull;
	x86_reset(&e->s, false);
	e->s.cr0 &= ~(u64)(CR0_CD | CR0_NW);
	for (v = 0; v < 256; v++) {
		ram[SYS_HANDLER(v)] = 0xf4;
		sys_write(e, v * 4, 4, (SYS_HANDLERS >> 4 << 16) | v * 16);
	}
	e->s.seg[SEG_CS].sel = SYS_CODE >> 4;
	e->s.seg[SEG_CS].attr = 0x93; /* as after a far jump */
	e->s.seg[SEG_CS].base = SYS_CODE;
	e->s.seg[SEG_SS].sel = 0x1000;
	e->s.seg[SEG_SS].base = 0x10000;
	e->s.gpr[X86_RSP] = 0xff00;
	e->s.idt.limit = 0x3ff;
	e->mode_changes = e->debug_changes = e->flushes = e->events = 0;
	return e;
}

static void load_all(struct sys_env *e, unsigned cpl, bool long_mode)
{
	struct x86_state *s = &e->s;
	u16 cs = cpl ? (long_mode ? USER_CS : USER_CS32) : KERNEL_CS, ds = cpl ? USER_DS : KERNEL_DS;
	unsigned k;

	for (k = 0; k < SEG_COUNT; k++) {
		u64 d = sys_get_desc(e, k == SEG_CS ? cs : ds);

		s->seg[k] = (struct x86_seg){
			.sel = (k == SEG_CS ? cs : ds) | cpl,
			.limit = 0xffffffff,
			.attr = (d >> 40) & 0xf0ff,
		};
	}
	s->gpr[X86_RSP] = cpl ? SYS_STACK3 : SYS_STACK0;
	s->cpl = cpl;
	x86_update_mode(s);
}

void sys_set_cpl(struct sys_env *e, unsigned cpl)
{
	load_all(e, cpl, e->s.mode == X86_MODE_LONG);
}

static struct sys_env *make_tables(bool long_mode)
{
	struct sys_env *e = sys_real();
	struct x86_state *s = &e->s;
	unsigned code = long_mode ? F_G | F_L : F_G | F_DB, data = F_G | F_DB;

	sys_set_desc(e, KERNEL_CS, sys_desc(0, 0xfffff, D_P | D_CODE, code));
	sys_set_desc(e, KERNEL_DS, sys_desc(0, 0xfffff, D_P | D_DATA, data));
	sys_set_desc(e, USER_CS32, sys_desc(0, 0xfffff, D_P | D_DPL(3) | D_CODE, F_G | F_DB));
	sys_set_desc(e, USER_DS, sys_desc(0, 0xfffff, D_P | D_DPL(3) | D_DATA, data));
	sys_set_desc(e, USER_CS, sys_desc(0, 0xfffff, D_P | D_DPL(3) | D_CODE, code));
	sys_set_desc(e, SEL_TSS, sys_desc(SYS_TSS, 0x67, D_P | 11, 0));
	sys_set_desc(e, SEL_LDT, sys_desc(SYS_LDT, 0xff, D_P | 2, 0));
	sys_set_desc(e, SEL_TSS2, sys_desc(SYS_TSS2, 0x67, D_P | 9, 0));
	s->gdt = (struct x86_table){ .base = SYS_GDT, .limit = GDT_ENTRIES * 8 - 1 };
	s->idt = (struct x86_table){ .base = SYS_IDT, .limit = long_mode ? 0xfff : 0x7ff };
	s->tr = (struct x86_seg){ .sel = SEL_TSS, .base = SYS_TSS, .limit = 0x67, .attr = SEG_P | 11 };
	s->ldt = (struct x86_seg){ .sel = 0, .attr = SEG_UNUSABLE };
	sys_write(e, SYS_TSS + 4, long_mode ? 8 : 4, SYS_STACK0);
	if (long_mode)
		sys_write(e, SYS_TSS + 36, 8, SYS_IST1);
	else
		sys_write(e, SYS_TSS + 8, 2, KERNEL_DS);
	sys_write(e, SYS_TSS + 102, 2, 0x68);
	return e;
}

static void make_idt(struct sys_env *e)
{
	unsigned v;

	/* User code may use INT 0x80 and up, INT3 and INTO. */
	for (v = 0; v < 256; v++)
		sys_set_idt(
			e, v,
			sys_gate(KERNEL_CS, SYS_HANDLER(v), D_P | 14 | (v >= 0x80 || v == 3 || v == 4 ? D_DPL(3) : 0)));
}

struct sys_env *sys_prot(unsigned cpl)
{
	struct sys_env *e = make_tables(false);

	e->s.cr0 |= CR0_PE;
	make_idt(e);
	load_all(e, cpl, false);
	e->mode_changes = e->debug_changes = e->flushes = e->events = 0;
	return e;
}

struct sys_env *sys_long(unsigned cpl)
{
	struct sys_env *e = make_tables(true);
	struct x86_state *s = &e->s;
	unsigned k;

	for (k = 0; k < 3; k++)
		sys_write(e, SYS_PAGE_TABLES + k * 0x1000, 8, (SYS_PAGE_TABLES + (k + 1) * 0x1000) | 7);
	for (k = 0; k < 512; k++)
		sys_write(e, SYS_PT + k * 8, 8, (k << 12) | 7);
	s->cr3 = SYS_PAGE_TABLES;
	s->cr4 = CR4_PAE;
	s->cr0 |= CR0_PE | CR0_PG | CR0_WP;
	s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NXE;
	make_idt(e);
	load_all(e, cpl, true);
	e->mode_changes = e->debug_changes = e->flushes = e->events = 0;
	return e;
}

/* --- running ------------------------------------------------------------------------------------------------ */

enum x86_result sys_run(struct sys_env *e, unsigned max)
{
	enum x86_result r = X86_OK;

	while (max--) {
		r = x86_step(&e->s, &e->insn);
		if (r == X86_FAULT) {
			struct x86_event ev = e->s.fault;

			r = x86_deliver(&e->s, &ev);
		}
		if (r != X86_OK && r != X86_REPEAT && r != X86_RETRY)
			break;
	}
	return r;
}

void sys_load(struct sys_env *e, u32 addr, const u8 *start, const u8 *end)
{
	memcpy(e->ram + addr, start, end + 1 - start);
	e->s.rip = addr - (e->s.mode == X86_MODE_LONG ? 0 : e->s.seg[SEG_CS].base);
}

enum x86_result sys_exec(struct sys_env *e, const u8 *start, const u8 *end)
{
	bool compare = variant == WITH_TLB && !no_reference && !e->s.vendor_amd && sys_kvm_wanted();
	enum x86_result r;

	sys_load(e, SYS_CODE, start, end);
	compare = compare && sys_kvm_start(e);
	r = sys_run(e, 1000);
	if (compare)
		sys_kvm_finish(e, r);
	return r;
}

void sys_expect_vector(struct sys_env *e, unsigned v, int line)
{
	u64 at = e->s.rip - 1 + (e->s.mode == X86_MODE_LONG ? 0 : e->s.seg[SEG_CS].base);

	if (at == SYS_HANDLER(v))
		return;
	if (at >= SYS_HANDLERS && at < SYS_HANDLERS + 256 * 16)
		insn_fail("line %d: vector %u instead of %u (error code %llx)", line,
			  (unsigned)(at - SYS_HANDLERS) / 16, v, sys_stack(e, 0, 4));
	else
		insn_fail("line %d: stopped at %llx instead of vector %u", line, at, v);
}

void sys_expect_eq(u64 a, u64 b, const char *text, int line)
{
	if (a != b)
		insn_fail("line %d: %s is %llx, expected %llx", line, text, a, b);
}

void sys_expect_done(struct sys_env *e, const u8 *start, const u8 *end, const char *name, int line)
{
	enum x86_result r = sys_exec(e, start, end);
	u64 at = e->s.rip - 1 + (e->s.mode == X86_MODE_LONG ? 0 : e->s.seg[SEG_CS].base);

	if (r != X86_EXIT)
		insn_fail("line %d: %s: result %d at %llx", line, name, r, at);
	else if (at >= SYS_HANDLERS && at < SYS_HANDLERS + 256 * 16)
		insn_fail("line %d: %s: vector %u, error code %llx", line, name, (unsigned)(at - SYS_HANDLERS) / 16,
			  sys_stack(e, 0, 4));
}
