/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The local APIC: registers, priorities, state (SDM, "Advanced Programmable Interrupt Controller (APIC)"). */
#include "chips.h"

#define VERSION_INTEGRATED 0x14u
#define LVT_COUNT 6
#define LVT_BASE_MASK (APIC_LVT_MASKED | (1u << 12) | 0xffu) /* mask, delivery status, vector */
#define LVT_MODE_MASK 0x700u
#define LVT_PIN_MASK (LVT_MODE_MASK | (7u << 13)) /* polarity, remote IRR, trigger mode */
#define LVT_RESET_EXTINT (DELIVER_EXTINT << 8)
#define X2APIC_MSR_BASE 0x800

/* --- priorities ------------------------------------------------------------------------------- */

static u32 vector_word(struct lapic *a, unsigned base, unsigned i)
{
	return __atomic_load_n(&a->reg[base / 4 + i * 4], __ATOMIC_ACQUIRE);
}

/* Most often there is none, and each entry asks. */
static bool no_vector(struct lapic *a, unsigned base)
{
	return !(vector_word(a, base, 0) | vector_word(a, base, 1) | vector_word(a, base, 2) | vector_word(a, base, 3) |
		 vector_word(a, base, 4) | vector_word(a, base, 5) | vector_word(a, base, 6) | vector_word(a, base, 7));
}

static int highest_vector(struct lapic *a, unsigned base)
{
	int i;

	if (likely(no_vector(a, base)))
		return -1;
	for (i = 7; i >= 0; i--) {
		u32 word = vector_word(a, base, (unsigned)i);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

static u32 update_ppr(struct lapic *a)
{
	u32 tpr = apic_get(a, APIC_TPR) & 0xff, ppr;
	int isr = highest_vector(a, APIC_ISR);

	if (isr < 0 || (tpr & 0xf0) >= ((u32)isr & 0xf0))
		ppr = tpr;
	else
		ppr = (u32)isr & 0xf0;
	if (ppr != apic_get(a, APIC_PPR))
		apic_set(a, APIC_PPR, ppr);
	return ppr;
}

/* The vector to deliver next, or -1. */
static int next_vector(struct lapic *a)
{
	int irr;

	if (!apic_hw_enabled(a))
		return -1;
	irr = highest_vector(a, APIC_IRR);
	if (irr < 0 || ((u32)irr & 0xf0) <= (update_ppr(a) & 0xf0))
		return -1;
	return irr;
}

bool lapic_accepts_extint(struct vcpu *v)
{
	u32 lvt0;

	if (!v->lapic || !apic_hw_enabled(v->lapic))
		return true;
	lvt0 = apic_get(v->lapic, APIC_LVT0);
	return !(lvt0 & APIC_LVT_MASKED) && APIC_LVT_MODE(lvt0) == DELIVER_EXTINT;
}

static bool pic_waits(struct vcpu *v)
{
	return vm_irqchip_mode(v->vm) == IRQCHIP_KERNEL && pic_output(v->vm) && lapic_accepts_extint(v);
}

bool irq_pending(struct vcpu *v)
{
	return v->lapic && (pic_waits(v) || next_vector(v->lapic) >= 0);
}

int irq_acknowledge(struct vcpu *v)
{
	struct lapic *a = v->lapic;
	int vector;

	if (!a)
		return -1;
	if (pic_waits(v))
		return pic_acknowledge(v->vm);
	vector = next_vector(a);
	if (vector < 0)
		return -1;
	__atomic_fetch_and(apic_vector_word(a, APIC_IRR, (unsigned)vector), ~BIT(vector & 31), __ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&v->hv.auto_eoi[vector / 64], __ATOMIC_ACQUIRE) >> (vector & 63) & 1)) {
		/* It is never in service: there may be one below it that can be delivered at once. */
		vcpu_request(v, REQ_EVENT);
		return vector;
	}
	__atomic_fetch_or(apic_vector_word(a, APIC_ISR, (unsigned)vector), BIT(vector & 31), __ATOMIC_SEQ_CST);
	update_ppr(a);
	return vector;
}

static void end_of_interrupt(struct lapic *a)
{
	struct vm *vm = a->v->vm;
	int isr = highest_vector(a, APIC_ISR);
	unsigned vector = (unsigned)isr;

	if (isr < 0)
		return;
	__atomic_fetch_and(apic_vector_word(a, APIC_ISR, vector), ~BIT(vector & 31), __ATOMIC_SEQ_CST);
	update_ppr(a);
	if (unlikely(__atomic_load_n(&a->v->hv.sint_vectors[vector / 64], __ATOMIC_ACQUIRE) >> (vector & 63) & 1))
		hyperv_eoi(a->v, vector);
	if (vm_irqchip_mode(vm) == IRQCHIP_KERNEL) {
		ioapic_eoi(vm, a->v, vector);
	} else if (irq_split_handles_vector(a->v, vector)) {
		__atomic_fetch_or(&a->eoi_exits[vector / 64], 1ull << (vector & 63), __ATOMIC_SEQ_CST);
		vcpu_request(a->v, REQ_APIC);
	}
	vcpu_request(a->v, REQ_EVENT);
}

int lapic_take_eoi_exit(struct vcpu *v)
{
	struct lapic *a = v->lapic;
	int i;

	for (i = 3; i >= 0; i--) {
		u64 word = __atomic_load_n(&a->eoi_exits[i], __ATOMIC_RELAXED);

		if (word) {
			int bit = 63 - __builtin_clzll(word);

			__atomic_fetch_and(&a->eoi_exits[i], ~(1ull << bit), __ATOMIC_SEQ_CST);
			return i * 64 + bit;
		}
	}
	return -1;
}

static void set_tpr(struct lapic *a, u32 tpr)
{
	apic_set(a, APIC_TPR, tpr);
	update_ppr(a);
	vcpu_request(a->v, REQ_EVENT);
}

u64 lapic_get_tpr(struct vcpu *v)
{
	return apic_get(v->lapic, APIC_TPR) >> 4 & 0xf;
}

void lapic_set_tpr(struct vcpu *v, u64 cr8)
{
	set_tpr(v->lapic, (u32)(cr8 & 0xf) << 4);
}

u8 lapic_tpr_shadow(struct vcpu *v, u32 *threshold)
{
	struct lapic *a = v->lapic;
	u32 tpr = apic_get(a, APIC_TPR) & 0xf0;
	int irr;

	*threshold = 0;
	if (likely(!tpr) || !apic_hw_enabled(a))
		return (u8)tpr;
	irr = highest_vector(a, APIC_IRR);
	if (irr >= 0 && ((u32)irr & 0xf0) <= tpr)
		*threshold = (u32)irr >> 4;
	return (u8)tpr;
}

/* --- local vector table ----------------------------------------------------------------------- */

static const struct {
	u16 reg;
	u32 mask; /* bits that can be written */
} lvts[] = {
	{ APIC_LVTT, LVT_BASE_MASK | APIC_TIMER_MODE_MASK }, { APIC_LVTTHMR, LVT_BASE_MASK | LVT_MODE_MASK },
	{ APIC_LVTPC, LVT_BASE_MASK | LVT_MODE_MASK },       { APIC_LVT0, LVT_BASE_MASK | LVT_PIN_MASK },
	{ APIC_LVT1, LVT_BASE_MASK | LVT_PIN_MASK },         { APIC_LVTERR, LVT_BASE_MASK },
	{ APIC_CMCI, LVT_BASE_MASK | LVT_MODE_MASK },
};

/* Index in lvts, -1: this LAPIC has no such entry. */
static int lvt_index(const struct lapic *a, unsigned reg)
{
	unsigned i;

	for (i = 0; i < a->lvt_count; i++)
		if (lvts[i].reg == reg)
			return (int)i;
	return -1;
}

static void mask_all_lvts(struct lapic *a)
{
	unsigned i;

	for (i = 0; i < a->lvt_count; i++)
		apic_set(a, lvts[i].reg, apic_get(a, lvts[i].reg) | APIC_LVT_MASKED);
}

static int write_lvt(struct lapic *a, unsigned reg, u32 val)
{
	int i = lvt_index(a, reg);

	if (i < 0)
		return 1;
	val &= lvts[i].mask;
	if (reg == APIC_LVTT)
		val &= ~(APIC_TIMER_MODE_MASK & ~lapic_timer_modes(a));
	if (!apic_sw_enabled(a))
		val |= APIC_LVT_MASKED;
	if (reg == APIC_LVTT)
		lapic_timer_catch_up(a);
	apic_set(a, reg, val);
	if (reg == APIC_LVTT)
		lapic_timer_set_lvt(a);
	if (reg == APIC_LVT0) /* a PIC interrupt may get through now */
		vcpu_request(a->v, REQ_EVENT);
	return 0;
}

void lapic_set_cmci(struct vcpu *v, bool on)
{
	struct lapic *a = v->lapic;

	if (!a)
		return;
	a->lvt_count = on ? LVT_COUNT + 1 : LVT_COUNT;
	apic_set(a, APIC_CMCI, on ? APIC_LVT_MASKED : 0);
	apic_set(a, APIC_VERSION, (apic_get(a, APIC_VERSION) & ~0xff0000u) | (a->lvt_count - 1) << 16);
}

void lapic_raise_cmci(struct vcpu *v)
{
	if (v->lapic && lvt_index(v->lapic, APIC_CMCI) >= 0)
		lapic_local(v->lapic, APIC_CMCI);
}

/* --- registers -------------------------------------------------------------------------------- */

static void write_spiv(struct lapic *a, u32 val)
{
	u32 mask = 0x3ff;

	if (apic_get(a, APIC_VERSION) & APIC_VERSION_DIRECTED_EOI)
		mask |= APIC_SPIV_NO_EOI_BROADCAST;
	apic_set(a, APIC_SPIV, val & mask);
	/* SDM, "Local APIC State After It Has Been Software Disabled". */
	if (!(val & APIC_SPIV_ENABLE))
		mask_all_lvts(a);
}

/* Registers that exist in xAPIC mode only. 1: not in this mode. */
static int write_xapic_only(struct lapic *a, unsigned reg, u32 val)
{
	if (apic_x2apic(a))
		return 1;
	switch (reg) {
	case APIC_ID: apic_set(a, reg, val & 0xff000000u); break;
	case APIC_LDR: apic_set(a, reg, val & 0xff000000u); break;
	case APIC_DFR: apic_set(a, reg, val | 0x0fffffffu); break;
	case APIC_ICR2: apic_set(a, reg, val & 0xff000000u); break;
	}
	return 0;
}

static int write_esr(struct lapic *a, u32 val)
{
	if (apic_x2apic(a) && val)
		return 1;
	/* SDM, "Error Handling": a write shows what has been gathered since the last one. */
	apic_set(a, APIC_ESR, __atomic_exchange_n(&a->errors, 0, __ATOMIC_SEQ_CST));
	return 0;
}

static int write_self_ipi(struct lapic *a, u32 val)
{
	struct lapic_message m = { .vector = val & 0xff, .shorthand = 1 };

	if (!apic_x2apic(a) || val & ~0xffu)
		return 1;
	lapic_deliver(a->v->vm, a->v, &m);
	return 0;
}

/* 0, or 1: no such register, or not writable (#GP in x2APIC mode). */
static int write_register(struct lapic *a, unsigned reg, u32 val)
{
	switch (reg) {
	case APIC_ID:
	case APIC_LDR:
	case APIC_DFR:
	case APIC_ICR2: return write_xapic_only(a, reg, val);
	case APIC_TPR: set_tpr(a, val & 0xff); return 0;
	case APIC_EOI: end_of_interrupt(a); return 0;
	case APIC_SPIV: write_spiv(a, val); return 0;
	case APIC_ICR: lapic_write_icr(a, val, apic_get(a, APIC_ICR2)); return 0;
	case APIC_TMICT:
		if (a->timer.mode != APIC_TIMER_TSC_DEADLINE) {
			apic_set(a, reg, val);
			lapic_timer_start(a);
		}
		return 0;
	case APIC_TDCR:
		apic_set(a, reg, val & 0xb);
		lapic_timer_set_divide(a);
		return 0;
	case APIC_ESR: return write_esr(a, val);
	case APIC_SELF_IPI: return write_self_ipi(a, val);
	default: return write_lvt(a, reg, val);
	}
}

static bool is_readable(struct lapic *a, unsigned reg)
{
	switch (reg) {
	case APIC_ID:
	case APIC_VERSION:
	case APIC_TPR:
	case APIC_PPR:
	case APIC_LDR:
	case APIC_SPIV:
	case APIC_ESR:
	case APIC_ICR:
	case APIC_TMICT:
	case APIC_TMCCT:
	case APIC_TDCR: return true;
	case APIC_APR:
	case APIC_DFR:
	case APIC_ICR2: return !apic_x2apic(a);
	}
	if (reg >= APIC_ISR && reg < APIC_ESR)
		return true;
	return lvt_index(a, reg) >= 0;
}

static u32 read_register(struct lapic *a, unsigned reg)
{
	switch (reg) {
	case APIC_APR: return 0;
	case APIC_PPR: return update_ppr(a);
	case APIC_TMCCT: return lapic_timer_count(a);
	default: return apic_get(a, reg);
	}
}

#define X2APIC_ICR_RESERVED (0xfff00000u | 3u << 16 | 1u << 13)

/* --- registers as MSRs: x2APIC's, Hyper-V's ---------------------------------------------------- */

int lapic_read_reg(struct vcpu *v, unsigned reg, u64 *val)
{
	struct lapic *a = v->lapic;

	if (!a || reg >= KVM_APIC_REG_SIZE || !is_readable(a, reg))
		return 1;
	*val = read_register(a, reg);
	if (reg == APIC_ICR)
		*val |= (u64)apic_get(a, APIC_ICR2) << 32;
	return 0;
}

int lapic_write_reg(struct vcpu *v, unsigned reg, u64 val)
{
	struct lapic *a = v->lapic;

	if (!a || reg >= KVM_APIC_REG_SIZE)
		return 1;
	if (reg == APIC_ICR) {
		if (val & X2APIC_ICR_RESERVED)
			return 1;
		lapic_write_icr(a, (u32)val, (u32)(val >> 32));
		return 0;
	}
	if (val >> 32)
		return 1;
	return write_register(a, reg, (u32)val);
}

int lapic_read_msr(struct vcpu *v, u32 msr, u64 *val)
{
	if (!v->lapic || !apic_x2apic(v->lapic))
		return 1;
	return lapic_read_reg(v, (msr - X2APIC_MSR_BASE) << 4, val);
}

int lapic_write_msr(struct vcpu *v, u32 msr, u64 val)
{
	if (!v->lapic || !apic_x2apic(v->lapic))
		return 1;
	return lapic_write_reg(v, (msr - X2APIC_MSR_BASE) << 4, val);
}

/* --- xAPIC: registers in memory --------------------------------------------------------------- */

/* Does the page show registers, or only take the room (disabled, x2APIC)? */
static bool page_active(const struct lapic *a)
{
	return apic_hw_enabled(a) && !apic_x2apic(a);
}

bool lapic_owns(struct vcpu *v, u64 gpa)
{
	struct lapic *a = v->lapic;

	if (!a || (gpa & APIC_BASE_ADDRESS) != (apic_base_of(v) & APIC_BASE_ADDRESS))
		return false;
	return page_active(a) ||
	       !(__atomic_load_n(&v->vm->disabled_quirks, __ATOMIC_RELAXED) & KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
}

int lapic_mmio_read(struct vcpu *v, u64 gpa, u32 len, void *val)
{
	struct lapic *a = v->lapic;
	unsigned off = gpa & 0xfff, byte = off & 0xf, reg = off & 0xff0;
	u32 word;

	memset(val, page_active(a) ? 0 : 0xff, len);
	/* SDM: 32-bit accesses at 16-byte steps; parts of a register read as such, the gaps as 0. */
	if (!page_active(a) || byte + len > 4 || off >= KVM_APIC_REG_SIZE || !is_readable(a, reg))
		return 0;
	word = read_register(a, reg);
	memcpy(val, (u8 *)&word + byte, len);
	return 0;
}

int lapic_mmio_write(struct vcpu *v, u64 gpa, u32 len, const void *val)
{
	struct lapic *a = v->lapic;
	unsigned off = gpa & 0xfff;
	u32 word;

	/* Writes other than to a whole register are undefined; KVM drops them. */
	if (!page_active(a) || len != 4 || off & 0xf || off >= KVM_APIC_REG_SIZE)
		return 0;
	memcpy(&word, val, sizeof(word));
	write_register(a, off, word);
	return 0;
}

/* --- IA32_APIC_BASE --------------------------------------------------------------------------- */

static u32 x2apic_ldr(u32 id)
{
	return id >> 4 << 16 | BIT(id & 0xf);
}

static void set_x2apic_id(struct lapic *a)
{
	apic_set(a, APIC_ID, a->v->id);
	apic_set(a, APIC_LDR, x2apic_ldr(a->v->id));
}

static void base_changed(struct lapic *a, u64 old, u64 new)
{
	u64 changed = old ^ new;

	if (changed & new &APIC_BASE_ENABLE)
		apic_set(a, APIC_ID, a->v->id << 24);
	if (changed & new &APIC_BASE_X2APIC)
		set_x2apic_id(a);
	if (changed & ~new &APIC_BASE_X2APIC &&new &APIC_BASE_ENABLE)
		apic_set(a, APIC_ID, a->v->id << 24);
	/* While it is disabled the PIC goes past it. */
	vcpu_request(a->v, REQ_EVENT);
}

int lapic_set_base(struct vcpu *v, u64 val, bool host)
{
	const u64 mode = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
	u64 old = apic_base_of(v), reserved = 0x2ff, high = v->state.maxphyaddr;

	if (high && high < 64)
		reserved |= ~0ull << high;
	if (!x86_has(&v->state, X86F_X2APIC))
		reserved |= APIC_BASE_X2APIC;
	if (val & reserved || (val & mode) == APIC_BASE_X2APIC)
		return 1;
	/* SDM, "x2APIC State Transitions": x2APIC is entered from xAPIC, and left by disabling the APIC. */
	if (!host &&
	    (((old & mode) == mode && (val & mode) == APIC_BASE_ENABLE) || (!(old & mode) && (val & mode) == mode)))
		return 1;
	__atomic_store_n(&v->apic_base, val, __ATOMIC_RELEASE);
	if (v->lapic)
		base_changed(v->lapic, old, val);
	return 0;
}

bool lapic_is_bsp(struct vcpu *v)
{
	return v->id == v->vm->boot_cpu_id;
}

/* --- INIT and SIPI ---------------------------------------------------------------------------- */

bool lapic_has_events(struct vcpu *v)
{
	return lapic_events(v);
}

u32 lapic_events(struct vcpu *v)
{
	return __atomic_load_n(&v->lapic->events, __ATOMIC_ACQUIRE);
}

u32 lapic_take_events(struct vcpu *v, u8 *sipi_vector)
{
	u32 events = __atomic_exchange_n(&v->lapic->events, 0, __ATOMIC_SEQ_CST);

	*sipi_vector = (u8)__atomic_load_n(&v->lapic->sipi_vector, __ATOMIC_ACQUIRE);
	return events;
}

void lapic_change_events(struct vcpu *v, u32 set, u32 clear)
{
	__atomic_fetch_and(&v->lapic->events, ~clear, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&v->lapic->events, set, __ATOMIC_SEQ_CST);
	vcpu_request(v, REQ_APIC | REQ_EVENT);
	vcpu_kick(v);
}

void lapic_set_sipi_vector(struct vcpu *v, u8 vector)
{
	__atomic_store_n(&v->lapic->sipi_vector, vector, __ATOMIC_RELEASE);
}

/* --- life ------------------------------------------------------------------------------------- */

static void set_version(struct lapic *a)
{
	u32 version = VERSION_INTEGRATED | (a->lvt_count - 1) << 16;

	/* Only a user-space IOAPIC may have the EOI register that goes with it. */
	if (x86_has(&a->v->state, X86F_X2APIC) && vm_irqchip_mode(a->v->vm) != IRQCHIP_KERNEL)
		version |= APIC_VERSION_DIRECTED_EOI;
	apic_set(a, APIC_VERSION, version);
}

static void reset_lvts(struct lapic *a)
{
	bool lint0 = !(a->v->vm->disabled_quirks & KVM_X86_QUIRK_LINT0_REENABLED);
	unsigned i;

	for (i = 0; i < a->lvt_count; i++)
		apic_set(a, lvts[i].reg, APIC_LVT_MASKED);
	/* Not what the manual says, but what firmware that knows only the PIC relies on. */
	if (lapic_is_bsp(a->v) && lint0)
		apic_set(a, APIC_LVT0, LVT_RESET_EXTINT);
	lapic_timer_set_lvt(a);
}

void lapic_reset(struct vcpu *v, bool init)
{
	static const u16 zeroed[] = { APIC_TPR, APIC_PPR, APIC_ESR, APIC_ICR, APIC_ICR2, APIC_TDCR, APIC_TMICT };
	struct lapic *a = v->lapic;
	unsigned i;

	if (!init)
		__atomic_store_n(&v->apic_base,
				 APIC_DEFAULT_BASE | APIC_BASE_ENABLE | (lapic_is_bsp(v) ? APIC_BASE_BSP : 0),
				 __ATOMIC_RELEASE);
	if (!a)
		return;
	lapic_timer_stop(a);
	if (!init)
		apic_set(a, APIC_ID, v->id << 24);
	set_version(a);
	reset_lvts(a);
	apic_set(a, APIC_DFR, ~0u);
	apic_set(a, APIC_SPIV, 0xff);
	if (!apic_x2apic(a))
		apic_set(a, APIC_LDR, 0);
	for (i = 0; i < ARRAY_SIZE(zeroed); i++)
		apic_set(a, zeroed[i], 0);
	for (i = APIC_ISR; i < APIC_ESR; i += 16)
		__atomic_store_n(&a->reg[i / 4], 0, __ATOMIC_SEQ_CST);
	lapic_timer_set_divide(a);
	__atomic_store_n(&a->errors, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&a->arb, 0, __ATOMIC_RELAXED);
}

int lapic_create(struct vcpu *v)
{
	struct lapic *a = host_alloc(sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->v = v;
	a->lvt_count = LVT_COUNT;
	lapic_timer_create(a);
	v->lapic = a;
	return 0;
}

void lapic_destroy(struct vcpu *v)
{
	struct lapic *a = v->lapic;

	if (!a)
		return;
	lapic_timer_destroy(a);
	v->lapic = NULL;
	host_free(a);
}

/* --- state ioctls ----------------------------------------------------------------------------- */

static u32 state_get(const struct kvm_lapic_state *s, unsigned off)
{
	u32 val;

	memcpy(&val, s->regs + off, sizeof(val));
	return val;
}

static void state_put(struct kvm_lapic_state *s, unsigned off, u32 val)
{
	memcpy(s->regs + off, &val, sizeof(val));
}

/* In x2APIC mode the id register is 32 bits wide, but old user space knows only its top 8. */
static bool wide_ids(const struct lapic *a)
{
	return a->v->vm->x2apic_flags & KVM_X2APIC_API_USE_32BIT_IDS;
}

int lapic_get_state(struct vcpu *v, struct kvm_lapic_state *s)
{
	struct lapic *a = v->lapic;
	unsigned off;

	update_ppr(a);
	for (off = 0; off < KVM_APIC_REG_SIZE; off += 4)
		state_put(s, off, apic_get(a, off));
	state_put(s, APIC_TMCCT, lapic_timer_count(a));
	if (apic_x2apic(a) && !wide_ids(a))
		state_put(s, APIC_ID, apic_get(a, APIC_ID) << 24);
	return 0;
}

int lapic_set_state(struct vcpu *v, const struct kvm_lapic_state *s)
{
	struct lapic *a = v->lapic;
	u32 id = state_get(s, APIC_ID);
	unsigned off;

	if (apic_x2apic(a) && wide_ids(a) && id != v->id)
		return -EINVAL;
	lapic_timer_stop(a);
	for (off = 0; off < KVM_APIC_REG_SIZE; off += 4)
		__atomic_store_n(&a->reg[off / 4], state_get(s, off), __ATOMIC_SEQ_CST);
	if (apic_x2apic(a)) {
		if (!wide_ids(a))
			id >>= 24;
		apic_set(a, APIC_ID, id);
		apic_set(a, APIC_LDR, x2apic_ldr(id));
	}
	set_version(a);
	update_ppr(a);
	lapic_timer_restore(a);
	apic_set(a, APIC_TMCCT, 0);
	wake_vcpu(v);
	return 0;
}
