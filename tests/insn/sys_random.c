/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Random system instructions on random descriptor tables: whatever happens, a fault changes nothing but accessed
 * bits, and what is left is a consistent processor. Where there is a KVM device to compare with: the same as there.
 */
#include "sys_env.h"

static u64 rng;

static u64 rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static unsigned pick(unsigned n)
{
	return (rnd() >> 20) % n;
}

static bool chance(unsigned one_in)
{
	return pick(one_in) == 0;
}

static u16 random_sel(void)
{
	static const u16 common[] = {
		KERNEL_CS, KERNEL_DS, USER_CS32 | 3, USER_DS | 3, USER_CS | 3, SEL_TSS, SEL_LDT, SEL_TSS2, 0, 3,
	};

	return chance(3) ? common[pick(ARRAY_SIZE(common))] : pick(40) * 8 + (rnd() >> 30 & 7);
}

static u64 random_desc(void)
{
	static const u32 limits[] = { 0xfffff, 0xffff, 0x67, 0x2b, 0, 0x1ffff };
	unsigned access = rnd() >> 40 & 0xff;

	if (!chance(6))
		access |= D_P;
	if (chance(2))
		return sys_gate(random_sel(), SYS_CODE + pick(64), access & ~0x10u) | (u64)pick(4) << 32;
	return sys_desc(chance(2) ? 0 : SYS_DATA, limits[pick(ARRAY_SIZE(limits))], access, rnd() >> 50 & 15);
}

static u64 random_value(void)
{
	switch (pick(6)) {
	case 0: return random_sel();
	case 1: return SYS_CODE + pick(0x1000);
	case 2: return SYS_STACK3 - 4 * pick(64);
	case 3: return rnd() & 0x3fffff;
	case 4: return 0x7ffffffffff8ull + pick(16);
	default: return rnd();
	}
}

static void random_tables(struct sys_env *e)
{
	unsigned k;

	for (k = SEL_TEST; k < SEL_TSS2; k += 8)
		sys_set_desc(e, k, random_desc());
	for (k = 0; k < 32; k++)
		sys_write(e, SYS_LDT + k * 8, 8, random_desc());
	for (k = 0; k < 8; k++)
		sys_set_idt(e, chance(2) ? pick(32) : 0x80 + pick(8), random_desc());
	for (k = 0; k < 104; k += 4)
		sys_write(e, SYS_TSS2 + k, 4, random_value());
	if (chance(4))
		sys_write(e, SYS_TSS + 8, 2, random_sel());
	if (chance(4))
		sys_write(e, SYS_TSS, 2, random_sel());
	if (chance(4))
		sys_write(e, SYS_TSS + 4, 4, random_value());
}

/* Something that IRET and RETF may like. */
static void random_frame(struct sys_env *e, u32 at)
{
	unsigned size = e->s.mode == X86_MODE_LONG && !chance(4) ? 8 : 4, k;
	const u16 cs = random_sel(), ss = chance(3) ? random_sel() : USER_DS | 3;
	const u64 flags = rnd() & (RFLAGS_VALID & ~(u64)(chance(4) ? 0 : RFLAGS_VM));
	const u64 iret[] = { random_value(), cs, flags, random_value(), ss };
	const u64 retf[] = { random_value(), cs, random_value(), ss, random_value(), ss };

	if (chance(2)) {
		for (k = 0; k < ARRAY_SIZE(iret); k++)
			sys_write(e, at + size * k, size, iret[k]);
	} else {
		for (k = 0; k < ARRAY_SIZE(retf); k++)
			sys_write(e, at + size * k, size, retf[k]);
	}
}

static void random_state(struct sys_env *e)
{
	const u64 flags = RFLAGS_ARITH | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_AC | RFLAGS_VIF | RFLAGS_VIP | RFLAGS_ID;
	struct x86_state *s = &e->s;
	unsigned k;

	for (k = 0; k < 16; k++)
		if (k != X86_RSP)
			s->gpr[k] = random_value();
	s->gpr[X86_RSP] -= 64 + 4 * pick(8);
	for (k = 0; k < 16; k++)
		sys_write(e, s->gpr[X86_RSP] + s->seg[SEG_SS].base + 4 * k, 4, random_value());
	if (!chance(3))
		random_frame(e, s->gpr[X86_RSP]);
	for (k = 0; k < 64; k++)
		sys_write(e, SYS_DATA + 4 * k, 4, random_value());
	x86_set_rflags(s, (rnd() & flags) | (chance(8) ? RFLAGS_NT : 0));
	/* Together they fault at the next instruction; Bochs does so with IOPL 3, too, and not in 64-bit mode. */
	if (s->rflags & RFLAGS_VIF)
		x86_set_rflags(s, s->rflags & ~(u64)RFLAGS_VIP);
	s->cr4 |= rnd() & (CR4_VME | CR4_PVI | CR4_UMIP | CR4_DE | CR4_TSD | CR4_FSGSBASE);
	s->vendor_amd = chance(2);
	s->efer |= X86_EFER_SCE;
	s->star = (u64)(USER_CS32 | 3) << 48 | (u64)KERNEL_CS << 32 | SYS_CODE;
	s->lstar = s->cstar = SYS_CODE;
	s->sysenter_cs = chance(3) ? 0 : KERNEL_CS;
	s->sysenter_eip = SYS_CODE;
	s->sysenter_esp = SYS_IST1;
	if (chance(2))
		s->ldt = (struct x86_seg){ .sel = SEL_LDT, .base = SYS_LDT, .limit = 0xff, .attr = SEG_P | 2 };
	if (chance(8))
		s->tr.limit = pick(0x80);
}

/* One random instruction at SYS_CODE; memory operands are at SYS_DATA. */
static void random_insn(struct sys_env *e, bool long_mode)
{
	static const char *const plain[] = {
		"\xcf",         "\xcb",         "\xca\x08",     "\xcd\x80",     "\xcd\x03",     "\xcc",
		"\xce",         "\xf1",         "\x8e\xd8",     "\x8e\xd0",     "\x8e\xe1",     "\x07",
		"\x1f",         "\x17",         "\x0f\xa1",     "\x0f\xa9",     "\x0f\x00\xd8", "\x0f\x00\xd0",
		"\x0f\x02\xc1", "\x0f\x03\xc1", "\x0f\x00\xe0", "\x0f\x00\xe8", "\x0f\x05",     "\x0f\x07",
		"\x0f\x34",     "\x0f\x35",     "\x0f\x22\xc0", "\x0f\x22\xd8", "\x0f\x22\xe0", "\x0f\x23\xf8",
		"\x0f\x23\xc8", "\x0f\x01\xf0", "\xfa",         "\xfb",         "\x0f\x06",     "\xe6\x10",
		"\xec",         "\x0f\x01\xca", "\x0f\x01\xf8", "\x0f\x30",     "\x0f\x32",     "\x0f\x31",
	};
	/* ModRM with a 32-bit displacement (64-bit mode: SIB without base), address SYS_DATA. */
	static const u8 memory[][2] = {
		{ 0xff, 3 }, { 0xff, 5 }, { 0xc4, 0 }, { 0xc5, 1 }, { 0xb2, 2 }, { 0xb4, 3 }, { 0xb5, 4 },
	};
	u8 *p = e->ram + SYS_CODE;
	u32 addr = SYS_DATA + 4 * pick(60);
	unsigned k, n;

	if (chance(4))
		*p++ = 0x66;
	if (long_mode && chance(2))
		*p++ = 0x48;
	if (chance(2)) {
		const char *code = plain[chance(4) ? pick(3) : pick(ARRAY_SIZE(plain))];

		n = code[0] == 0x0f || code[0] == '\xca' || code[0] == '\xcd' || code[0] == '\x8e' || code[0] == '\xe6'
			    ? 3
			    : 1;
		memcpy(p, code, n);
		return;
	}
	if (!long_mode && chance(3)) {
		*p++ = chance(2) ? 0xea : 0x9a;
		k = p > e->ram + SYS_CODE + 1 ? 2 : 4;
		sys_write(e, p - e->ram, k, SYS_CODE + pick(0x100));
		sys_write(e, p - e->ram + k, 2, random_sel());
		return;
	}
	k = pick(ARRAY_SIZE(memory));
	if (memory[k][0] >= 0xb0 && memory[k][0] < 0xc0)
		*p++ = 0x0f;
	*p++ = memory[k][0];
	*p++ = memory[k][1] << 3 | (long_mode ? 4 : 5);
	if (long_mode)
		*p++ = 0x25;
	memcpy(p, &addr, 4);
	sys_write(e, addr + 4, 2, random_sel());
}

/* --- what must hold ------------------------------------------------------------------------------------------- */

/* Everything that tables and stacks point to, most of the time. */
#define WATCHED 0x58000u
static u8 before_ram[WATCHED];

/* The first difference in RAM that is not an accessed bit of a descriptor or page table; WATCHED: none. */
static u32 ram_difference(struct sys_env *e)
{
	u32 a;

	for (a = 0; a < WATCHED; a += 8) {
		u64 diff = *(u64 *)(before_ram + a) ^ *(u64 *)(e->ram + a);

		if (a >= SYS_GDT && a < SYS_GDT + GDT_ENTRIES * 8u + 8)
			diff &= ~(1ull << 40);
		if (a >= SYS_LDT && a < SYS_LDT + 0x100)
			diff &= ~(1ull << 40);
		if (a >= SYS_PAGE_TABLES && a < SYS_PT + 0x1000)
			diff &= ~0x60ull;
		if (diff)
			return a;
	}
	return WATCHED;
}

static bool same_state(struct x86_state a, struct x86_state b)
{
	/* What a fault may change: its own record, NMI blocking (IRET). */
	memset(&a.fault, 0, sizeof(a.fault));
	memset(&b.fault, 0, sizeof(b.fault));
	a.nmi_blocked = b.nmi_blocked;
	a.keep_rf = b.keep_rf;
	a.dr6_pending = b.dr6_pending;
	return !memcmp(&a, &b, sizeof(a));
}

static bool consistent(const struct x86_state *s)
{
	struct x86_state t = *s;
	const u32 ss = s->seg[SEG_SS].attr;

	x86_update_mode(&t);
	if (t.mode != s->mode || t.mmu_index != s->mmu_index)
		return false;
	if (!(s->rflags & RFLAGS_FIXED) || s->rflags & ~(u64)RFLAGS_VALID)
		return false;
	if (s->mode == X86_MODE_REAL)
		return s->cpl == 0;
	if (s->mode == X86_MODE_VM86)
		return s->cpl == 3 && s->seg[SEG_SS].limit == 0xffff;
	/* A fault inside a task switch shows selectors that are not loaded yet. */
	return (s->seg[SEG_CS].sel & 3) == s->cpl && (ss & SEG_UNUSABLE || SEG_DPL(ss) == s->cpl);
}

static void describe(struct sys_env *e, const char *what, unsigned round)
{
	const u8 *p = before_ram + SYS_CODE;

	insn_fail("round %u, %s: %02x %02x %02x %02x %02x %02x %02x %02x; rip %llx cpl %u vector %u error %x", round,
		  what, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], e->s.rip, e->s.cpl, e->s.fault.vector,
		  e->s.fault.error);
}

static struct sys_env *random_env(void)
{
	unsigned mode = pick(5);
	struct sys_env *e = mode == 0  ? sys_real()
			    : mode < 3 ? sys_prot(chance(2) ? 3 : 0)
				       : sys_long(chance(2) ? 3 : 0);

	if (mode) {
		random_tables(e);
		random_state(e);
	}
	memset(e->ram + SYS_CODE, 0xf4, 0x1000);
	random_insn(e, mode >= 3);
	e->s.rip = mode ? SYS_CODE : 0;
	memcpy(before_ram, e->ram, WATCHED);
	return e;
}

static void one_round(unsigned round)
{
	struct sys_env *e = random_env();
	struct x86_state before = e->s;
	struct x86_event ev;
	enum x86_result r;
	u32 diff;

	r = x86_step(&e->s, &e->insn);
	if (r == X86_FAULT) {
		diff = ram_difference(e);
		if (!same_state(before, e->s) || diff != WATCHED)
			describe(e, "a fault has changed something", round);
		ev = e->s.fault;
		before = e->s;
		r = x86_deliver(&e->s, &ev);
	}
	if (r == X86_OK || r == X86_EXIT) {
		if (!consistent(&e->s))
			describe(e, "inconsistent", round);
	} else if (r != X86_SHUTDOWN) {
		describe(e, "result", round);
	}
}

/* RDTSC, RDMSR, WRMSR: the device has registers and a time of its own. */
static bool depends_on_device(const u8 *code)
{
	while (*code == 0x66 || *code == 0x48)
		code++;
	return code[0] == 0x0f && code[1] >= 0x30 && code[1] <= 0x32;
}

/* What ends in HLT or shutdown, most of it, ends so on the device, with the same state. */
static void one_comparison(unsigned round)
{
	struct sys_env *e = random_env();
	unsigned failures = insn_failures();
	enum x86_result r;

	e->s.vendor_amd = false;
	if (depends_on_device(e->ram + SYS_CODE) || !sys_kvm_takes(e))
		return;
	r = sys_run(e, 64);
	if (r != X86_EXIT && r != X86_SHUTDOWN)
		return;
	sys_kvm_finish(e, r);
	if (insn_failures() != failures)
		describe(e, "the device differs", round);
}

SYS_TEST(random_system, "sys: random system instructions")
{
	bool compare = sys_kvm_wanted();
	unsigned round, rounds = compare ? 100 : 4000;

	rng = insn_options.seed * 0x9e3779b97f4a7c15ull | 1;
	for (round = 0; round < rounds && insn_failures() < 5; round++) {
		if (compare)
			one_comparison(round);
		else
			one_round(round);
	}
}
