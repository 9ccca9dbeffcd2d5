/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Control and debug registers, EFER, XCR0, I/O permission.
 * SDM volume 3, "Control Registers", "Paging", "Debug Registers"; volume 1, "Input/Output".
 */
#include "desc.h"

static enum x86_result gp0(struct x86_state *s)
{
	return x86_raise_error(s, X86_EXC_GP, 0);
}

static void notify_mode(struct x86_state *s)
{
	u8 mode = s->mode;

	/* x86_update_mode() tells the engine if the mode differs; other bits of CR0 and CR4 matter to it too. */
	x86_update_mode(s);
	if (s->mode == mode && s->ops->mode_changed)
		s->ops->mode_changed(s);
}

static void notify_events(struct x86_state *s)
{
	if (s->ops->events_enabled)
		s->ops->events_enabled(s);
}

/* --- what the guest's features allow -------------------------------------------------------------------- */

struct feature_bit {
	u8 feature;
	u32 bits;
};

static u64 collect(const struct x86_state *s, const struct feature_bit *f, unsigned n, u64 always)
{
	unsigned k;

	for (k = 0; k < n; k++)
		if (x86_has(s, f[k].feature))
			always |= f[k].bits;
	return always;
}

/* Has the guest what each of these bits needs? As collect(), without looking at what is not asked for. */
static bool allowed(const struct x86_state *s, const struct feature_bit *f, unsigned n, u64 val)
{
	unsigned k;

	for (k = 0; val && k < n; k++) {
		if (!(val & f[k].bits))
			continue;
		if (!x86_has(s, f[k].feature))
			return false;
		val &= ~(u64)f[k].bits;
	}
	return !val;
}

#define CR4_ALWAYS (CR4_MCE | CR4_PCE)
/* Those that most guests have set come first. */
static const struct feature_bit cr4_bits[] = {
	{ X86F_PAE, CR4_PAE },           { X86F_FXSR, CR4_OSFXSR },       { X86F_SSE, CR4_OSXMMEXCPT },
	{ X86F_PGE, CR4_PGE },           { X86F_XSAVE, CR4_OSXSAVE },     { X86F_SMEP, CR4_SMEP },
	{ X86F_SMAP, CR4_SMAP },         { X86F_FSGSBASE, CR4_FSGSBASE }, { X86F_PCID, CR4_PCIDE },
	{ X86F_UMIP, CR4_UMIP },         { X86F_PSE, CR4_PSE },           { X86F_DE, CR4_DE },
	{ X86F_VME, CR4_VME | CR4_PVI }, { X86F_TSC, CR4_TSD },           { X86F_LA57, CR4_LA57 },
	{ X86F_PKU, CR4_PKE },
};

u64 x86_cr4_valid(const struct x86_state *s)
{
	return collect(s, cr4_bits, ARRAY_SIZE(cr4_bits), CR4_ALWAYS);
}

u64 x86_efer_valid(const struct x86_state *s)
{
	static const struct feature_bit bits[] = {
		{ X86F_SYSCALL, X86_EFER_SCE },    { X86F_LM, X86_EFER_LME | X86_EFER_LMA }, { X86F_NX, X86_EFER_NXE },
		{ X86F_FXSR_OPT, X86_EFER_FFXSR }, { X86F_AUTOIBRS, X86_EFER_AIBRSE },
	};

	return collect(s, bits, ARRAY_SIZE(bits), 0);
}

/* XCR0: 0 x87, 1 SSE, 2 AVX, 5-7 AVX-512, 9 PKRU (SDM volume 1, "XSAVE-Supported Features"). */
#define XCR0_SSE 2u
#define XCR0_AVX 4u
#define XCR0_AVX512 0xe0u
#define XCR0_PKRU 0x200u

u64 x86_xcr0_valid(const struct x86_state *s)
{
	static const struct feature_bit bits[] = {
		{ X86F_SSE, XCR0_SSE },
		{ X86F_AVX, XCR0_AVX },
		{ X86F_PKU, XCR0_PKRU },
	};

	return x86_has(s, X86F_XSAVE) ? collect(s, bits, ARRAY_SIZE(bits), 1) | s->xcr0_avx512 : 1;
}

/* --- paging ------------------------------------------------------------------------------------------------ */

/* Bits of a physical address that the guest does not have. */
static u64 phys_reserved(const struct x86_state *s)
{
	return ~((1ull << s->maxphyaddr) - 1);
}

enum x86_result x86_load_pdptes(struct x86_state *s, u64 cr3)
{
	/* Present entries: bits 1-2, 5-8 and those above the physical address are reserved. */
	const u64 reserved = phys_reserved(s) | 0x1e6;
	u64 gpa = cr3 & 0xffffffe0, pdpte[4];
	enum x86_result r;
	struct x86_ram ram;
	unsigned k;

	if (s->ops->ram) {
		if (!s->ops->ram(s, gpa & X86_PAGE_MASK, false, &ram))
			return gp0(s);
		memcpy(pdpte, ram.host + (gpa & ~X86_PAGE_MASK), sizeof(pdpte));
	} else {
		r = s->ops->ram_read(s, gpa, pdpte, sizeof(pdpte));
		if (r != X86_OK)
			return r == X86_UNHANDLED ? gp0(s) : r;
	}
	for (k = 0; k < 4; k++)
		if (pdpte[k] & 1 && pdpte[k] & reserved)
			return gp0(s);
	memcpy(s->pdpte, pdpte, sizeof(pdpte));
	return X86_OK;
}

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & X86_EFER_LMA);
}

static enum x86_result write_cr0(struct x86_state *s, u64 val)
{
	const u64 defined =
		CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;
	u64 efer = s->efer, changed;
	enum x86_result r;

	if (val >> 32)
		return gp0(s);
	val = (val & defined) | CR0_ET;
	changed = val ^ s->cr0;
	if ((val & CR0_PG && !(val & CR0_PE)) || (val & CR0_NW && !(val & CR0_CD)))
		return gp0(s);
	if (changed & CR0_PG && val & CR0_PG && efer & X86_EFER_LME) {
		if (!(s->cr4 & CR4_PAE) || s->seg[SEG_CS].attr & SEG_L)
			return gp0(s);
		efer |= X86_EFER_LMA;
	} else if (changed & CR0_PG && !(val & CR0_PG)) {
		if (s->mode == X86_MODE_LONG || s->cr4 & CR4_PCIDE)
			return gp0(s);
		efer &= ~(u64)X86_EFER_LMA;
	}
	if (changed & (CR0_PG | CR0_CD | CR0_NW) && pae_paging(val, s->cr4, efer)) {
		r = x86_load_pdptes(s, s->cr3);
		if (r != X86_OK)
			return r;
	}
	s->cr0 = val;
	s->efer = efer;
	if (changed & (CR0_PG | CR0_WP | CR0_PE))
		x86_flush_all(s);
	if (changed & CR0_PE)
		s->cpl = 0;
	if (changed)
		notify_mode(s);
	return X86_OK;
}

static enum x86_result write_cr3(struct x86_state *s, u64 val)
{
	bool keep = s->cr4 & CR4_PCIDE && val >> 63;
	enum x86_result r;

	if (s->cr4 & CR4_PCIDE)
		val &= ~(1ull << 63);
	if (x86_lma(s) && val & phys_reserved(s))
		return gp0(s);
	if (pae_paging(s->cr0, s->cr4, s->efer)) {
		r = x86_load_pdptes(s, val);
		if (r != X86_OK)
			return r;
	}
	/* The TLB has no tags for PCIDs: it keeps its contents only if the address space stays. */
	keep = keep && val == s->cr3;
	s->cr3 = val;
	if (!keep)
		x86_flush_nonglobal(s);
	return X86_OK;
}

static enum x86_result write_cr4(struct x86_state *s, u64 val)
{
	const u64 paging = CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE;
	u64 changed = val ^ s->cr4;
	enum x86_result r;

	if (!allowed(s, cr4_bits, ARRAY_SIZE(cr4_bits), val & ~(u64)CR4_ALWAYS))
		return gp0(s);
	if (x86_lma(s) && (!(val & CR4_PAE) || changed & CR4_LA57))
		return gp0(s);
	if (changed & val & CR4_PCIDE && (!x86_lma(s) || s->cr3 & 0xfff))
		return gp0(s);
	if (changed & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP) && pae_paging(s->cr0, val, s->efer)) {
		r = x86_load_pdptes(s, s->cr3);
		if (r != X86_OK)
			return r;
	}
	s->cr4 = val;
	if (changed & paging)
		x86_flush_all(s);
	if (changed)
		notify_mode(s);
	return X86_OK;
}

static enum x86_result write_cr8(struct x86_state *s, u64 val)
{
	enum x86_result r = X86_OK;

	if (val > 15)
		return gp0(s);
	if (s->ops->write_cr8)
		r = s->ops->write_cr8(s, val);
	else
		s->cr8 = val;
	if (r == X86_OK || r == X86_EXIT)
		notify_events(s);
	return r;
}

enum x86_result x86_write_cr(struct x86_state *s, unsigned n, u64 val)
{
	switch (n) {
	case 0: return write_cr0(s, val);
	case 2: s->cr2 = val; return X86_OK;
	case 3: return write_cr3(s, val);
	case 4: return write_cr4(s, val);
	case 8: return write_cr8(s, val);
	default: return x86_raise(s, X86_EXC_UD);
	}
}

u64 x86_read_cr(struct x86_state *s, unsigned n)
{
	switch (n) {
	case 0: return s->cr0;
	case 2: return s->cr2;
	case 3: return s->cr3;
	case 4: return s->cr4;
	case 8: return s->ops->read_cr8 ? s->ops->read_cr8(s) : s->cr8;
	default: return 0;
	}
}

enum x86_result x86_write_efer(struct x86_state *s, u64 val)
{
	u64 changed;

	if (val & ~x86_efer_valid(s))
		return gp0(s);
	/* LMA is the processor's to change. */
	val = (val & ~(u64)X86_EFER_LMA) | (s->efer & X86_EFER_LMA);
	changed = val ^ s->efer;
	if (changed & X86_EFER_LME && s->cr0 & CR0_PG)
		return gp0(s);
	s->efer = val;
	if (changed & X86_EFER_NXE)
		x86_flush_all(s);
	return X86_OK;
}

enum x86_result x86_write_xcr(struct x86_state *s, unsigned n, u64 val)
{
	if (n != 0 || !(val & 1) || val & ~x86_xcr0_valid(s))
		return gp0(s);
	if (val & XCR0_AVX && !(val & XCR0_SSE))
		return gp0(s);
	if (val & XCR0_AVX512 && (val & (XCR0_AVX512 | XCR0_AVX)) != (XCR0_AVX512 | XCR0_AVX))
		return gp0(s);
	/* The extended state in use may change: the engine reloads it under the new mask. */
	if (s->ops->fpu_save)
		s->ops->fpu_save(s);
	s->xcr0 = val;
	if (s->ops->fpu_load)
		s->ops->fpu_load(s);
	notify_mode(s);
	return X86_OK;
}

enum x86_result x86_invlpg(struct x86_state *s, u64 lin)
{
	/* A non-canonical address has no translation to drop. */
	if (s->mode != X86_MODE_LONG)
		lin = (u32)lin;
	if (x86_canonical(s, lin))
		x86_flush_page(s, lin);
	return X86_OK;
}

/* --- debug registers ---------------------------------------------------------------------------------------- */

/* Bits that software may change; the others read as the fixed values. */
#define DR6_WRITABLE 0xe00fu
#define DR7_WRITABLE 0xffff23ffu

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE; any access faults while DR7.GD is set. */
static enum x86_result check_dr(struct x86_state *s, unsigned *n)
{
	if (*n == 4 || *n == 5) {
		if (s->cr4 & CR4_DE)
			return x86_raise(s, X86_EXC_UD);
		*n += 2;
	}
	if (*n > 7)
		return x86_raise(s, X86_EXC_UD);
	if (s->dr7 & DR7_GD || s->trap_dr) {
		x86_raise(s, X86_EXC_DB);
		s->fault.cr2 = DR6_BD;
		return X86_FAULT;
	}
	return X86_OK;
}

enum x86_result x86_write_dr(struct x86_state *s, unsigned n, u64 val)
{
	enum x86_result r = check_dr(s, &n);

	if (r != X86_OK)
		return r;
	if (n < 4) {
		s->dr[n] = val;
	} else {
		if (val >> 32)
			return gp0(s);
		if (n == 6)
			s->dr6 = (val & DR6_WRITABLE) | DR6_FIXED1;
		else
			s->dr7 = (val & DR7_WRITABLE) | DR7_FIXED1;
	}
	if (n != 6 && s->ops->debug_changed)
		s->ops->debug_changed(s);
	return X86_OK;
}

enum x86_result x86_read_dr(struct x86_state *s, unsigned n, u64 *val)
{
	enum x86_result r = check_dr(s, &n);

	if (r == X86_OK)
		*val = n < 4 ? s->dr[n] : n == 6 ? s->dr6 : s->dr7;
	return r;
}

/* --- ports ---------------------------------------------------------------------------------------------------- */

/* I/O breakpoints (CR4.DE): they trap after the instruction. */
static void check_io_breakpoints(struct x86_state *s, u16 port, unsigned size)
{
	static const u8 length[4] = { 1, 2, 8, 4 };
	unsigned n;

	for (n = 0; n < 4; n++) {
		u64 len = length[DR7_LEN(s->dr7, n)], first = s->dr[n] & ~(len - 1);

		if (s->dr7 & DR7_ENABLE(n) && DR7_TYPE(s->dr7, n) == 2 && port < first + len && first < port + size)
			s->dr6_pending |= DR6_B(n);
	}
}

/* The permission bit map in the TSS. Two bytes are always read, so the byte behind must be in the limit too. */
static enum x86_result check_io_bitmap(struct x86_state *s, u16 port, unsigned size)
{
	enum x86_result r;
	u64 iomap, bits;

	if (!(SEG_TYPE(s->tr.attr) & 8) || s->tr.limit < 103)
		return gp0(s);
	r = x86_read_sys(s, s->tr.base + 102, 2, &iomap);
	if (r != X86_OK)
		return r;
	iomap += port / 8;
	if (iomap + 1 > s->tr.limit)
		return gp0(s);
	r = x86_read_sys(s, s->tr.base + iomap, 2, &bits);
	if (r != X86_OK)
		return r;
	return bits >> (port & 7) & ((1u << size) - 1) ? gp0(s) : X86_OK;
}

enum x86_result x86_check_io(struct x86_state *s, u16 port, unsigned size)
{
	enum x86_result r;

	if (s->cr0 & CR0_PE && (s->mode == X86_MODE_VM86 || s->cpl > x86_iopl(s))) {
		r = check_io_bitmap(s, port, size);
		if (r != X86_OK)
			return r;
	}
	if (unlikely(s->dr7 & DR7_ENABLE_ANY && s->cr4 & CR4_DE))
		check_io_breakpoints(s, port, size);
	return X86_OK;
}
