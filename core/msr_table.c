/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every MSR a guest may touch. What is not here is unknown: #GP, or KVM_EXIT_X86_RDMSR where user space has
 * asked for it. Sources: SDM volume 4; AMD APM volume 2, appendix A; for what is ignored or constant and
 * for host rules, the behaviour of Linux 6.1; paravirtual ones: Linux,
 * "Documentation/virt/kvm/x86/msr.rst".
 */
#include <linux/kvm_para.h>
#include "irqchip.h"
#include "msr_table.h"

#define ANY (~0ull)

/* --- functions ------------------------------------------------------------------------------------- */

static int plain_write(struct vcpu *v, const struct msr_desc *d, u64 val)
{
	*msr_storage(v, d) = val;
	return MSR_OK;
}

static int read_tsc(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = vcpu_read_tsc(v);
	return MSR_OK;
}

static int write_tsc(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	clock_write_tsc(v, val, host);
	return MSR_OK;
}

static int read_tsc_adjust(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = v->clock->tsc_adjust;
	return MSR_OK;
}

static int write_tsc_adjust(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	/* Linux ignores writes where CPUID does not offer the MSR. */
	if (cpuid_guest_bit(v, 7, 0, 1, 1))
		clock_write_tsc_adjust(v, val, host);
	return MSR_OK;
}

static int read_apic_base(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = v->apic_base;
	return MSR_OK;
}

static int write_apic_base(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	return lapic_set_base(v, val, host) ? MSR_INVALID : MSR_OK;
}

static int read_x2apic(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	return !v->lapic || lapic_read_msr(v, index, val) ? MSR_INVALID : MSR_OK;
}

static int write_x2apic(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	return !v->lapic || lapic_write_msr(v, index, val) ? MSR_INVALID : MSR_OK;
}

static int read_tsc_deadline(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = v->lapic ? lapic_get_tsc_deadline(v) : 0;
	return MSR_OK;
}

static int write_tsc_deadline(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	if (v->lapic)
		lapic_set_tsc_deadline(v, val);
	return MSR_OK;
}

static int read_mce(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	return mce_read_msr(v, index, val, host);
}

static int write_mce(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	return mce_write_msr(v, index, val, host);
}

static int read_platform_info(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	if (!host && v->vm->platform_info_off)
		return MSR_INVALID;
	*val = v->msrs->platform_info;
	return MSR_OK;
}

/* PLATFORM_INFO; MISC_FEATURES_ENABLES. */
#define HAS_CPUID_FAULTING (1ull << 31)
#define CPUID_FAULTING 1ull

/* What is in use is not taken away. */
static int write_platform_info(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	if (!(val & HAS_CPUID_FAULTING) && v->msrs->misc_features & CPUID_FAULTING)
		return MSR_INVALID;
	v->msrs->platform_info = val;
	return MSR_OK;
}

static int write_misc_features(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	if (val & ~CPUID_FAULTING || (val && !(v->msrs->platform_info & HAS_CPUID_FAULTING)))
		return MSR_INVALID;
	v->msrs->misc_features = val;
	v->state.cpuid_faults = val & CPUID_FAULTING;
	return MSR_OK;
}

#define MISC_ENABLE_EMON (1ull << 7)
#define MISC_ENABLE_BTS_UNAVAILABLE (1ull << 11)
#define MISC_ENABLE_PEBS_UNAVAILABLE (1ull << 12)
#define MISC_ENABLE_MWAIT (1ull << 18)
#define MISC_ENABLE_PMU (MISC_ENABLE_BTS_UNAVAILABLE | MISC_ENABLE_PEBS_UNAVAILABLE)

static int write_misc_enable(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	u64 old = v->msrs->misc_enable;

	if (!host) {
		if ((old ^ val) & MISC_ENABLE_PMU)
			return MSR_INVALID;
		val = (val & ~MISC_ENABLE_EMON) | (old & MISC_ENABLE_EMON);
	}
	if ((old ^ val) & MISC_ENABLE_MWAIT && v->vm->disabled_quirks & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT) {
		if (!cpuid_guest_bit(v, 1, 0, 2, 0))	/* SSE3 */
			return MSR_INVALID;
		v->msrs->misc_enable = val;
		vcpu_cpuid_changed(v);
		return MSR_OK;
	}
	v->msrs->misc_enable = val;
	return MSR_OK;
}

static int write_feature_control(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	/* Bit 0 is the lock; no feature that the MSR controls exists here. */
	if (val & ~1ull || (!host && v->msrs->feature_control & 1))
		return MSR_INVALID;
	return plain_write(v, d, val);
}

/* Last-branch records and branch steps do not exist: AMD ignores all bits then, Intel drops those two. */
static int write_debugctl(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	return !cpuid_host_is_amd() && val & ~3ull ? MSR_INVALID : MSR_OK;
}

static int write_efer(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	u64 known = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_FFXSR;
	struct x86_state *s = &v->state;

	if (!host)
		return x86_write_efer(s, val) == X86_OK ? MSR_OK : MSR_INVALID;
	if (v->vm->engine->caps.soft)
		known |= X86_EFER_AIBRSE;
	if (val & ~known)
		return MSR_INVALID;
	s->efer = (val & ~(u64)X86_EFER_LMA) | (s->efer & X86_EFER_LMA);
	x86_update_mode(s);
	vcpu_request(v, REQ_TLB_FLUSH);
	return MSR_OK;
}

static bool has_tsc_aux(const struct vcpu *v)
{
	return x86_has(&v->state, X86F_RDTSCP) || x86_has(&v->state, X86F_RDPID);
}

static int read_tsc_aux(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	if (!host && !has_tsc_aux(v))
		return MSR_INVALID;
	*val = v->state.tsc_aux;
	return MSR_OK;
}

static int write_tsc_aux(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	if (!host && !has_tsc_aux(v))
		return MSR_INVALID;
	/* AMD ignores the upper half, Intel reserves it. */
	if (!v->state.vendor_amd && val >> 32)
		return MSR_INVALID;
	return plain_write(v, d, (u32)val);
}

static int write_sysenter(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	unsigned unused = 64 - (v->state.cr4 & CR4_LA57 ? 57 : 48);

	/* AMD has no 64-bit SYSENTER. */
	val = v->state.vendor_amd ? (u32)val : (u64)((s64)(val << unused) >> unused);
	return plain_write(v, d, val);
}

static bool memory_type_valid(u8 type, bool pat)
{
	return type < 8 && (pat ? 0xf3 : 0x73) >> type & 1;
}

static bool memory_types_valid(u64 val, bool pat)
{
	unsigned i;

	for (i = 0; i < 8; i++)
		if (!memory_type_valid(val >> (8 * i) & 0xff, pat))
			return false;
	return true;
}

static int write_pat(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	return memory_types_valid(val, true) ? plain_write(v, d, val) : MSR_INVALID;
}

#define MTRR_BASE0 0x200

static int read_mtrr_variable(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = v->msrs->mtrr_variable[index - MTRR_BASE0];
	return MSR_OK;
}

static int write_mtrr_variable(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	bool is_mask = (index - MTRR_BASE0) & 1;
	u64 reserved = v->state.maxphyaddr < 64 ? ~0ull << v->state.maxphyaddr : 0;

	if (!is_mask && !memory_type_valid(val & 0xff, false))
		return MSR_INVALID;
	if (val & (reserved | (is_mask ? 0x7ff : 0xf00)))
		return MSR_INVALID;
	v->msrs->mtrr_variable[index - MTRR_BASE0] = val;
	return MSR_OK;
}

/* 64 KiB ranges, two of 16 KiB, eight of 4 KiB. */
static unsigned mtrr_fixed_index(u32 index)
{
	if (index == 0x250)
		return 0;
	return index < 0x268 ? 1 + (index - 0x258) : 3 + (index - 0x268);
}

static int read_mtrr_fixed(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = v->msrs->mtrr_fixed[mtrr_fixed_index(index)];
	return MSR_OK;
}

static int write_mtrr_fixed(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	if (!memory_types_valid(val, false))
		return MSR_INVALID;
	v->msrs->mtrr_fixed[mtrr_fixed_index(index)] = val;
	return MSR_OK;
}

static int write_mtrr_default(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	if (val & ~0xcffull || !memory_type_valid(val & 0xff, false))
		return MSR_INVALID;
	return plain_write(v, d, val);
}

static bool guest_may_read_capabilities(struct vcpu *v, u32 index)
{
	return index == 0x10a ? cpuid_guest_bit(v, 7, 0, 3, 29) : cpuid_guest_bit(v, 1, 0, 2, 15);
}

static int read_capabilities(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	if (!host && !guest_may_read_capabilities(v, index))
		return MSR_INVALID;
	*val = *msr_storage(v, d);
	return MSR_OK;
}

#define HWCR_TSC_FREQ_SEL (1ull << 24) /* the TSC counts at the frequency of P0: nothing follows from it here */

static int write_hwcr(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	/* Cache and flush-filter switches and IGNNE emulation have nothing to switch here. */
	val &= ~0x148ull;
	if (val & ~(HWCR_STATUS_WRITE | HWCR_TSC_FREQ_SEL))
		return MSR_INVALID;
	return plain_write(v, d, val);
}

static bool has_osvw(struct vcpu *v)
{
	return cpuid_guest_bit(v, 0x80000001, 0, 2, 9);
}

static int read_osvw(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	if (!has_osvw(v))
		return MSR_INVALID;
	*val = *msr_storage(v, d);
	return MSR_OK;
}

static int write_osvw(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	return has_osvw(v) ? plain_write(v, d, val) : MSR_INVALID;
}

static u64 de_cfg_supported(const struct engine_ops *engine)
{
	u32 r[4];

	host_cpuid(0x80000000, 0, r);
	if (r[0] < 0x80000021)
		return 0;
	host_cpuid(0x80000021, 0, r);
	return r[0] & BIT(2) ? 2 : 0;	/* LFENCE serialises */
}

static int read_de_cfg(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = v->msrs->de_cfg;
	return MSR_OK;
}

static int write_de_cfg(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	u64 supported = de_cfg_supported(v->vm->engine);

	if (val & ~supported || (!host && val != supported))
		return MSR_INVALID;
	return plain_write(v, d, val);
}

/* User space may restore it before it sets CPUID. */
static int read_spec_ctrl(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = v->spec_ctrl;
	return host || v->spec_ctrl_bits ? MSR_OK : MSR_INVALID;
}

static int write_spec_ctrl(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	if (!host && !v->spec_ctrl_bits)
		return MSR_INVALID;
	if (val & ~(host ? cpuid_spec_ctrl_offered(v) : v->spec_ctrl_bits))
		return MSR_INVALID;
	return plain_write(v, d, val);
}

/* A command, which nothing is left of: IBPB. */
static int write_pred_cmd(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	if (!v->has_pred_cmd || val & ~1ull)
		return MSR_INVALID;
	if (val) {
		v->predictor_barrier = true;
		vcpu_request(v, REQ_SETTINGS);
	}
	return MSR_OK;
}

/* No supervisor component is offered to XSAVES, so only 0 may be written. */
static int write_xss(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	return val || (!host && !x86_has(&v->state, X86F_XSAVES)) ? MSR_INVALID : MSR_OK;
}

static int read_xss(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = 0;
	return host || x86_has(&v->state, X86F_XSAVES) ? MSR_OK : MSR_INVALID;
}

/* The guest may look at it from inside. */
static int read_smbase(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	if (!host && !v->state.in_smm)
		return MSR_INVALID;
	*val = v->state.smbase;
	return MSR_OK;
}

static int read_hyperv(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	return hyperv_read_msr(v, index, val, host);
}

static int write_hyperv(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	return hyperv_write_msr(v, index, val, host);
}

static int read_wall_clock(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = __atomic_load_n(&v->vm->wall_clock_gpa, __ATOMIC_RELAXED);
	return MSR_OK;
}

static int write_wall_clock(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	pv_write_wall_clock(v, val);
	return MSR_OK;
}

static int read_pv(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	const struct clock_state *c = v->clock;

	switch (index) {
	case MSR_KVM_STEAL_TIME: *val = c->steal_msr; break;
	case MSR_KVM_PV_EOI_EN: *val = c->pv_eoi_msr; break;
	case MSR_KVM_ASYNC_PF_EN: *val = c->apf_enable_msr; break;
	case MSR_KVM_ASYNC_PF_INT: *val = c->apf_vector_msr; break;
	default: *val = 0; /* ASYNC_PF_ACK */
	}
	return MSR_OK;
}

static int write_pv(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	switch (index) {
	case MSR_KVM_STEAL_TIME: return pv_write_steal(v, val);
	case MSR_KVM_PV_EOI_EN: return pv_write_eoi(v, val);
	case MSR_KVM_ASYNC_PF_EN: return pv_write_apf(v, val, host);
	case MSR_KVM_ASYNC_PF_INT: return pv_write_apf_vector(v, val, host);
	default: return pv_write_apf_ack(v, val);
	}
}

static int read_system_time(struct vcpu *v, const struct msr_desc *d, u32 index, u64 *val, bool host)
{
	*val = v->clock->system_time_msr;
	return MSR_OK;
}

static int write_system_time(struct vcpu *v, const struct msr_desc *d, u32 index, u64 val, bool host)
{
	pv_write_system_time(v, val, index == MSR_KVM_SYSTEM_TIME, host);
	return MSR_OK;
}

/* Microcode revisions that Linux gives its guests when user space chooses none. */
static u64 ucode_feature(const struct engine_ops *engine)
{
	return cpuid_host_is_amd() ? 0x01000065 : 0x100000000ull;
}

#define ARCH_CAP_SKIP_L1DFL BIT(3)
#define ARCH_CAP_PSCHANGE_MC_NO BIT(6)
/* RDCL_NO, MDS_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO */
#define ARCH_CAP_NOTHING_TO_DO                                                                              \
	(BIT(0) | BIT(5) | BIT(8) | BIT(13) | BIT(14) | BIT(15) | BIT(20) | BIT(24) | BIT(26) | BIT(27) | 1ull << 62)

/*
 * No flush is needed on entry, and page-size changes are safe: nothing speculative about them in our engines. In software what
 * a guest's kernel does against its own processes is without effect, as for AMD (cpuid_table.c).
 */
static u64 arch_capabilities_feature(const struct engine_ops *engine)
{
	return ARCH_CAP_SKIP_L1DFL | ARCH_CAP_PSCHANGE_MC_NO | (engine->caps.soft ? ARCH_CAP_NOTHING_TO_DO : 0) |
	       (engine->caps.arch_capabilities ? *engine->caps.arch_capabilities : 0);
}

static u64 perf_capabilities_feature(const struct engine_ops *engine)
{
	return 0;
}

/* --- the table ------------------------------------------------------------------------------------- */

#define STATE(field) .where = AT_VCPU, .offset = offsetof(struct vcpu, state.field)
#define KEPT(field) .where = AT_MSRS, .offset = offsetof(struct msr_state, field)
#define FN(name) .read = read_##name, .write = write_##name
#define ONE(n) .first = (n), .last = (n)
#define RANGE(a, b) .first = (a), .last = (b)
/* An MSR of the processor that is a plain value. More flags (|) or members may follow. */
#define REG(n, field) ONE(n), STATE(field), .state = STATE_MSR, .writable = ANY, .flags = MSR_SAVED
#define FIXED(n, val) { ONE(n), .where = CONSTANT, .value = (val) }
#define FIXED_IGNORED(a, b, val) \
	{ RANGE(a, b), .where = CONSTANT, .value = (val), .flags = MSR_WRITE_IGNORED }

const struct msr_desc msr_table[] = {
	FIXED(0x0, 0),							/* P5_MC_ADDR */
	FIXED(0x1, 0),							/* P5_MC_TYPE */
	{ ONE(X86_MSR_TSC), .flags = MSR_SAVED, FN(tsc) },
	{ ONE(MSR_KVM_WALL_CLOCK), .flags = MSR_EMULATED, .pv = KVM_FEATURE_CLOCKSOURCE + 1, FN(wall_clock) },
	{ ONE(MSR_KVM_SYSTEM_TIME), .flags = MSR_EMULATED, .pv = KVM_FEATURE_CLOCKSOURCE + 1,
	  FN(system_time) },
	FIXED(0x17, 0),							/* PLATFORM_ID */
	{ ONE(X86_MSR_APIC_BASE), FN(apic_base) },
	FIXED(0x2a, 0),							/* EBL_CR_POWERON */
	FIXED(0x2c, 1u << 24),	/* EBC_FREQUENCY_ID: ratio 1, never 0 */
	{ ONE(0x34), .flags = MSR_EMULATED | MSR_GUEST_RO, KEPT(smi_count), .writable = ANY },
	{ ONE(0x3a), .flags = MSR_SAVED | MSR_INTEL, KEPT(feature_control), .write = write_feature_control },
	{ ONE(0x3b), .flags = MSR_EMULATED, FN(tsc_adjust) },
	{ ONE(X86_MSR_SPEC_CTRL), .flags = MSR_SAVED, .where = AT_VCPU, .offset = offsetof(struct vcpu, spec_ctrl), .state = STATE_MSR,
	  FN(spec_ctrl) },
	{ ONE(X86_MSR_PRED_CMD), .write = write_pred_cmd },
	{ ONE(0x79), .flags = MSR_WRITE_IGNORED },			/* microcode update trigger */
	{ ONE(0x8b), .flags = MSR_EMULATED | MSR_GUEST_IGNORED, KEPT(ucode_rev), .writable = ANY,
	  .feature = ucode_feature },
	{ ONE(0x9e), .flags = MSR_EMULATED | MSR_GUEST_RO, STATE(smbase), .writable = 0xffffffff,
	  .read = read_smbase },
	FIXED_IGNORED(0xc1, 0xc2, 0),					/* P6 performance counters */
	FIXED(0xcd, 3),							/* FSB_FREQ */
	/*
	 * PLATFORM_INFO. Linux has CPUID faulting there from the start; here user space has to put it in: gVisor uses it where it
	 * finds it, and answers its programs by the host's CPUID, which has AVX-512.
	 */
	{ ONE(0xce), .flags = MSR_EMULATED | MSR_GUEST_RO, KEPT(platform_info), .writable = ANY,
	  .read = read_platform_info, .write = write_platform_info },
	FIXED(0xfe, 0x500 | MTRR_VARIABLE),	/* MTRRCAP: write-combining, fixed ranges */
	{ ONE(0x10a), .flags = MSR_EMULATED | MSR_INTEL | MSR_GUEST_RO, KEPT(arch_capabilities),
	  .writable = ANY,
	  .read = read_capabilities, .feature = arch_capabilities_feature },
	FIXED_IGNORED(0x11e, 0x11e, 0xbe702111),	/* BBL_CR_CTL3: an L2 cache is there */
	{ ONE(0x140), .flags = MSR_EMULATED, KEPT(misc_features), .writable = CPUID_FAULTING,
	  .write = write_misc_features },
	{ REG(X86_MSR_SYSENTER_CS, sysenter_cs) },
	{ REG(X86_MSR_SYSENTER_ESP, sysenter_esp), .write = write_sysenter },
	{ REG(X86_MSR_SYSENTER_EIP, sysenter_eip), .write = write_sysenter },
	{ ONE(0x179), .read = read_mce },				/* MCG_CAP */
	{ ONE(0x17a), .flags = MSR_EMULATED, FN(mce) },			/* MCG_STATUS */
	{ ONE(0x17b), .flags = MSR_EMULATED, FN(mce) },			/* MCG_CTL */
	FIXED_IGNORED(0x186, 0x187, 0),					/* P6 event select */
	FIXED(0x198, 1000ull | 4ull << 40),				/* PERF_STATUS */
	FIXED(0x199, 0),						/* PERF_CTL */
	{ ONE(0x1a0), .flags = MSR_EMULATED, KEPT(misc_enable), .value = MISC_ENABLE_PMU,
	  .write = write_misc_enable },
	{ ONE(X86_MSR_DEBUGCTL), .where = CONSTANT, .write = write_debugctl },
	{ RANGE(0x1db, 0x1de), .where = CONSTANT },	/* last branch and interrupt records */
	{ ONE(0x1fc), .flags = MSR_EMULATED, KEPT(power_ctl), .writable = ANY },
	{ RANGE(MTRR_BASE0, MTRR_BASE0 + 2 * MTRR_VARIABLE - 1), FN(mtrr_variable) },
	{ ONE(0x250), FN(mtrr_fixed) },
	{ RANGE(0x258, 0x259), FN(mtrr_fixed) },
	{ RANGE(0x268, 0x26f), FN(mtrr_fixed) },
	{ ONE(X86_MSR_PAT), .flags = MSR_SAVED, STATE(pat), .state = STATE_MSR, .write = write_pat },
	{ RANGE(0x280, 0x280 + MCE_MAX_BANKS - 1), FN(mce) },		/* MCi_CTL2 */
	{ ONE(0x2ff), KEPT(mtrr_default), .write = write_mtrr_default },
	{ ONE(0x345), .flags = MSR_EMULATED | MSR_INTEL | MSR_GUEST_RO, KEPT(perf_capabilities),
	  .read = read_capabilities,
	  .feature = perf_capabilities_feature },
	{ RANGE(0x400, 0x400 + 4 * MCE_MAX_BANKS - 1), FN(mce) },
	FIXED(0x606, 0),						/* RAPL: no energy readings */
	FIXED(0x611, 0),
	FIXED(0x619, 0),
	FIXED(0x639, 0),
	FIXED(0x641, 0),
	{ ONE(X86_MSR_TSC_DEADLINE), .flags = MSR_EMULATED, FN(tsc_deadline) },
	{ RANGE(0x800, 0x8ff), FN(x2apic) },
	{ ONE(X86_MSR_XSS), .flags = MSR_SAVED, FN(xss) },
	{ ONE(0x40000000), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000001), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000002), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000003), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000010), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000020), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000021), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000022), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000023), .flags = MSR_EMULATED, FN(hyperv) },
	{ RANGE(0x40000070, 0x40000072), FN(hyperv) },
	{ ONE(0x40000073), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000080), .flags = MSR_EMULATED, FN(hyperv) },
	{ RANGE(0x40000081, 0x40000084), FN(hyperv) },
	{ RANGE(0x40000090, 0x4000009f), FN(hyperv) },
	{ ONE(0x400000b0), .flags = MSR_EMULATED, FN(hyperv) },
	{ RANGE(0x400000b1, 0x400000b7), FN(hyperv) },
	{ ONE(0x400000f1), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x400000f2), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x400000f3), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x400000f4), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x400000f5), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x400000ff), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000100), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000101), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000102), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000103), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000104), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000105), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000106), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000107), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(0x40000108), .flags = MSR_EMULATED, FN(hyperv) },
	{ ONE(MSR_KVM_WALL_CLOCK_NEW), .flags = MSR_EMULATED, .pv = KVM_FEATURE_CLOCKSOURCE2 + 1,
	  FN(wall_clock) },
	{ ONE(MSR_KVM_SYSTEM_TIME_NEW), .flags = MSR_EMULATED, .pv = KVM_FEATURE_CLOCKSOURCE2 + 1,
	  FN(system_time) },
	{ ONE(MSR_KVM_ASYNC_PF_EN), .flags = MSR_EMULATED, .pv = KVM_FEATURE_ASYNC_PF + 1, FN(pv) },
	{ ONE(MSR_KVM_STEAL_TIME), .flags = MSR_EMULATED, .pv = KVM_FEATURE_STEAL_TIME + 1, FN(pv) },
	{ ONE(MSR_KVM_PV_EOI_EN), .flags = MSR_EMULATED, .pv = KVM_FEATURE_PV_EOI + 1, FN(pv) },
	{ ONE(MSR_KVM_POLL_CONTROL), .flags = MSR_EMULATED, .pv = KVM_FEATURE_POLL_CONTROL + 1,
	  KEPT(poll_control), .value = 1,
	  .writable = 1 },
	{ ONE(MSR_KVM_ASYNC_PF_INT), .flags = MSR_EMULATED, .pv = KVM_FEATURE_ASYNC_PF_INT + 1, FN(pv) },
	{ ONE(MSR_KVM_ASYNC_PF_ACK), .flags = MSR_EMULATED, .pv = KVM_FEATURE_ASYNC_PF_INT + 1, FN(pv) },
	{ ONE(X86_MSR_EFER), STATE(efer), .state = STATE_CR, .write = write_efer },
	{ REG(X86_MSR_STAR, star) },
	{ REG(X86_MSR_LSTAR, lstar) | MSR_CANONICAL },
	{ REG(X86_MSR_CSTAR, cstar) | MSR_CANONICAL },
	{ REG(X86_MSR_SFMASK, sfmask) },
	{ ONE(X86_MSR_FS_BASE), .flags = MSR_CANONICAL, STATE(seg[SEG_FS].base), .state = STATE_SEG,
	  .writable = ANY },
	{ ONE(X86_MSR_GS_BASE), .flags = MSR_CANONICAL, STATE(seg[SEG_GS].base), .state = STATE_SEG,
	  .writable = ANY },
	{ REG(X86_MSR_KERNEL_GS_BASE, kernel_gs_base) | MSR_CANONICAL },
	{ ONE(X86_MSR_TSC_AUX), .flags = MSR_SAVED, STATE(tsc_aux), .state = STATE_MSR, FN(tsc_aux) },
	FIXED_IGNORED(0xc0010000, 0xc0010007, 0),			/* K7 event select and counters */
	FIXED(0xc0010010, 0),						/* SYSCFG */
	{ ONE(0xc0010015), .flags = MSR_EMULATED, KEPT(hwcr), .write = write_hwcr },
	FIXED_IGNORED(0xc001001b, 0xc001001b, 0x20000000),		/* K7 CLK_CTL: ramp-up count */
	FIXED_IGNORED(0xc001001f, 0xc001001f, 0),			/* NB_CFG */
	{ ONE(0xc0010020), .flags = MSR_WRITE_IGNORED },		/* PATCH_LOADER */
	FIXED(0xc0010055, 0),						/* INT_PENDING_MSG */
	{ ONE(0xc0010058), KEPT(mmio_conf_base) },			/* MMIO_CONF_BASE: 0 only */
	FIXED(0xc0010112, 0),						/* TSEG_ADDR */
	FIXED(0xc0010113, 0),						/* TSEG_MASK */
	{ ONE(0xc0010114), .flags = MSR_AMD, KEPT(vm_cr) },		/* VM_CR: 0 only */
	{ ONE(0xc0010115), .flags = MSR_AMD | MSR_WRITE_IGNORED },	/* VM_IGNNE */
	FIXED_IGNORED(0xc0010117, 0xc0010117, 0),			/* VM_HSAVE_PA */
	{ ONE(0xc0010140), KEPT(osvw_length), FN(osvw) },
	{ ONE(0xc0010141), KEPT(osvw_status), FN(osvw) },
	{ ONE(0xc0011021), .flags = MSR_AMD, .where = CONSTANT },	/* IC_CFG */
	FIXED_IGNORED(0xc0011022, 0xc0011023, 0),			/* DC_CFG, TW_CFG */
	{ ONE(0xc0011029), .flags = MSR_AMD, KEPT(de_cfg), FN(de_cfg), .feature = de_cfg_supported },
	FIXED_IGNORED(0xc001102a, 0xc001102a, 0),			/* BU_CFG2 */
	FIXED_IGNORED(0xc001102c, 0xc001102c, 0),			/* EX_CFG */
};

const u32 msr_table_size = ARRAY_SIZE(msr_table);
