/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Machine-check banks (SDM, "Machine-Check Architecture"): the MSRs, and errors that user space injects.
 * LMCE is not offered.
 */
#include "irqchip.h"
#include "parts.h"

#define MCG_CTL_P (1ull << 8)
#define MCG_CMCI_P (1ull << 10)
#define MCG_SER_P (1ull << 24)
#define MCG_STATUS_MCIP (1ull << 2)
#define MCI_VAL (1ull << 63)
#define MCI_OVER (1ull << 62)
#define MCI_UC (1ull << 61)
#define MCI_PCC (1ull << 57)
#define MCI_S (1ull << 56)
#define MCI_AR (1ull << 55)
#define CTL2_CMCI_EN (1ull << 30)
#define CTL2_THRESHOLD 0x7fffull

#define MSR_MCG_CAP 0x179
#define MSR_MCG_STATUS 0x17a
#define MSR_MCG_CTL 0x17b
#define MSR_MC0_CTL2 0x280
#define MSR_MC0_CTL 0x400

enum { BANK_CTL, BANK_STATUS, BANK_ADDR, BANK_MISC };

const u64 mce_supported_cap = MCG_CTL_P | MCG_CMCI_P | MCG_SER_P;

int mce_create(struct vcpu *v)
{
	struct mce_state *m = v->mce = host_alloc(sizeof(*m));

	if (!m)
		return -ENOMEM;
	/* As Linux: all banks there can be, until KVM_X86_SETUP_MCE says otherwise. */
	m->mcg_cap = MCE_MAX_BANKS;
	return 0;
}

void mce_destroy(struct vcpu *v)
{
	host_free(v->mce);
	v->mce = NULL;
}

static u32 nr_banks(const struct mce_state *m)
{
	return m->mcg_cap & 0xff;
}

int mce_setup(struct vcpu *v, u64 mcg_cap)
{
	struct mce_state *m = v->mce;
	u32 banks = mcg_cap & 0xff, i;

	if (!banks || banks > MCE_MAX_BANKS || mcg_cap & ~(mce_supported_cap | 0xff00ff))
		return -EINVAL;
	m->mcg_cap = mcg_cap;
	if (mcg_cap & MCG_CTL_P)
		m->mcg_ctl = ~0ull;
	for (i = 0; i < banks; i++)
		m->bank[4 * i + BANK_CTL] = ~0ull;
	memset(m->ctl2, 0, sizeof(m->ctl2));
	lapic_set_cmci(v, mcg_cap & MCG_CMCI_P);
	return 0;
}

/* --- MSRs ---------------------------------------------------------------------------------------------- */

int mce_read_msr(struct vcpu *v, u32 index, u64 *val, bool host)
{
	struct mce_state *m = v->mce;

	switch (index) {
	case MSR_MCG_CAP: *val = m->mcg_cap; return MSR_OK;
	case MSR_MCG_STATUS: *val = m->mcg_status; return MSR_OK;
	case MSR_MCG_CTL: *val = m->mcg_ctl; return m->mcg_cap & MCG_CTL_P || host ? MSR_OK : MSR_INVALID;
	default: break;
	}
	if (index < MSR_MC0_CTL) { /* MCi_CTL2: without CMCI only user space may look */
		if (index - MSR_MC0_CTL2 >= nr_banks(m) || !(host || m->mcg_cap & MCG_CMCI_P))
			return MSR_INVALID;
		*val = m->ctl2[index - MSR_MC0_CTL2];
		return MSR_OK;
	}
	if (index - MSR_MC0_CTL >= 4 * nr_banks(m))
		return MSR_INVALID;
	*val = m->bank[index - MSR_MC0_CTL];
	return MSR_OK;
}

static int write_bank(struct vcpu *v, u32 reg, u64 val, bool host)
{
	struct mce_state *m = v->mce;

	if (reg >= 4 * nr_banks(m))
		return MSR_INVALID;
	/*
	 * CTL takes 0 or all ones; some systems clear bit 10 or bit 0 as a workaround for old processors,
	 * which Linux lets pass. STATUS can only be cleared, unless AMD's HWCR says otherwise.
	 */
	if (reg % 4 == BANK_CTL && val && (val | 1u << 10 | 1) != ~0ull)
		return MSR_INVALID;
	if (reg % 4 == BANK_STATUS && val && !host && !(v->state.vendor_amd && v->msrs->hwcr & HWCR_STATUS_WRITE))
		return MSR_INVALID;
	m->bank[reg] = val;
	return MSR_OK;
}

static int write_ctl2(struct mce_state *m, u32 bank, u64 val, bool host)
{
	if (bank >= nr_banks(m) || val & ~(CTL2_CMCI_EN | CTL2_THRESHOLD))
		return MSR_INVALID;
	if (!(m->mcg_cap & MCG_CMCI_P) && (val || !host))
		return MSR_INVALID;
	m->ctl2[bank] = val;
	return MSR_OK;
}

int mce_write_msr(struct vcpu *v, u32 index, u64 val, bool host)
{
	struct mce_state *m = v->mce;

	switch (index) {
	case MSR_MCG_STATUS: m->mcg_status = val; return MSR_OK;
	case MSR_MCG_CTL:
		if (!(m->mcg_cap & MCG_CTL_P) && (val || !host))
			return MSR_INVALID;
		if (val && val != ~0ull)
			return MSR_INVALID;
		m->mcg_ctl = val;
		return MSR_OK;
	default: break;
	}
	if (index < MSR_MC0_CTL)
		return write_ctl2(m, index - MSR_MC0_CTL2, val, host);
	return write_bank(v, index - MSR_MC0_CTL, val, host);
}

/* --- errors injected by user space ------------------------------------------------------------------ */

static void log_error(u64 *bank, const struct kvm_x86_mce *mce, u64 more_status)
{
	bank[BANK_STATUS] = mce->status | more_status;
	bank[BANK_ADDR] = mce->addr;
	bank[BANK_MISC] = mce->misc;
}

/* Uncorrected and no action required: logged, and told by CMCI where the bank asks for it. */
static bool is_ucna(const struct kvm_x86_mce *mce)
{
	return !mce->mcg_status && !(mce->status & (MCI_PCC | MCI_S | MCI_AR)) && mce->status & MCI_UC;
}

static void inject_uncorrected(struct vcpu *v, u64 *bank, const struct kvm_x86_mce *mce)
{
	struct mce_state *m = v->mce;
	struct x86_event ev = { .type = X86_EVENT_EXC, .vector = X86_EXC_MC };

	/* Reporting switched off for all banks, or for this one. */
	if ((m->mcg_cap & MCG_CTL_P && m->mcg_ctl != ~0ull) || bank[BANK_CTL] != ~0ull)
		return;
	vcpu_get_state(v, STATE_CR);
	/* A machine check during another, or with CR4.MCE clear, shuts the processor down. */
	if (m->mcg_status & MCG_STATUS_MCIP || !(v->state.cr4 & CR4_MCE)) {
		vcpu_request(v, REQ_TRIPLE_FAULT);
		return;
	}
	log_error(bank, mce, bank[BANK_STATUS] & MCI_VAL ? MCI_OVER : 0);
	m->mcg_status = mce->mcg_status;
	vcpu_queue_exception(v, &ev);
}

int mce_inject(struct vcpu *v, const struct kvm_x86_mce *mce)
{
	struct mce_state *m = v->mce;
	u64 *bank;

	if (mce->bank >= nr_banks(m) || !(mce->status & MCI_VAL))
		return -EINVAL;
	bank = &m->bank[4 * mce->bank];
	if (is_ucna(mce)) {
		log_error(bank, mce, 0);
		m->mcg_status = mce->mcg_status;
		if (m->mcg_cap & MCG_CMCI_P && m->ctl2[mce->bank] & CTL2_CMCI_EN)
			lapic_raise_cmci(v);
	} else if (mce->status & MCI_UC) {
		inject_uncorrected(v, bank, mce);
	} else if (!(bank[BANK_STATUS] & MCI_VAL) || !(bank[BANK_STATUS] & MCI_UC)) {
		log_error(bank, mce, bank[BANK_STATUS] & MCI_VAL ? MCI_OVER : 0);
	} else {
		/* A corrected error does not overwrite an uncorrected one. */
		bank[BANK_STATUS] |= MCI_OVER;
	}
	return 0;
}
