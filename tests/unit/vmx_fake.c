/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The made-up processor with VT-x: CPUID, MSRs, the VMCS, the world switch. */
#include <string.h>
#include "vmx_fake.h"

struct fake_vmx vmxt;

/* --- MSRs and CPUID, as the engines see them (hw.mk) -------------------------------------------------------------------- */

u64 *fake_msr(u32 msr)
{
	static u64 others[16];
	static const u32 kept[] = {
		X86_MSR_TSC_AUX,        X86_MSR_EFER,        X86_MSR_PAT,          X86_MSR_GS_BASE,
		X86_MSR_KERNEL_GS_BASE, X86_MSR_SYSENTER_CS, X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP,
		X86_MSR_STAR,           X86_MSR_LSTAR,       X86_MSR_SFMASK,
	};
	unsigned i;

	if (msr >= MSR_VMX_BASIC && msr < MSR_VMX_BASIC + ARRAY_SIZE(vmxt.cap))
		return vmxt.vmx ? &vmxt.cap[msr - MSR_VMX_BASIC] : NULL;
	if (msr == MSR_FEATURE_CONTROL)
		return &vmxt.feature_control;
	if (msr == MSR_ARCH_CAPABILITIES)
		return vmxt.arch_capabilities ? &vmxt.arch_capabilities : NULL;
	if (msr == X86_MSR_SPEC_CTRL)
		return &cpu0.spec_ctrl;
	if (msr == X86_MSR_DEBUGCTL)
		return &cpu0.debugctl;
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i] == msr)
			return &others[i];
	return NULL;
}

void fake_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	memset(out, 0, 4 * sizeof(*out));
	switch (leaf) {
	case 0: out[0] = 7; break;
	case 1: out[2] = vmxt.vmx ? BIT(5) : 0; break;
	case 0x80000000: out[0] = 0x80000001; break;
	case 0x80000001: out[3] = BIT(27); break;
	default: break;
	}
}

void fake_lacks(u32 msr, u32 bits)
{
	vmxt.cap[msr - MSR_VMX_BASIC] &= ~((u64)bits << 32);
	if (msr <= MSR_VMX_ENTRY)
		vmxt.cap[msr - MSR_VMX_PIN + MSR_VMX_TRUE_PIN - MSR_VMX_BASIC] &= ~((u64)bits << 32);
}

void fake_vmx_reset(void)
{
	unsigned i;

	cpu0 = (struct fake_processor){ 0 };
	vmxt = (struct fake_vmx){ .vmx = true,
				  .options = { .unrestricted = true, .virtual_nmis = true, .monitor_trap = true } };
	for (i = 1; i < ARRAY_SIZE(vmxt.cap); i++)
		vmxt.cap[i] = ~0ull << 32;
	vmxt.cap[0] = VMX_BASIC_TRUE | 0x12;
	vmxt.cap[MSR_VMX_CR0_FIXED0 - MSR_VMX_BASIC] = CR0_PE | CR0_PG;
	vmxt.cap[MSR_VMX_CR0_FIXED1 - MSR_VMX_BASIC] = vmxt.cap[MSR_VMX_CR4_FIXED1 - MSR_VMX_BASIC] = ~0ull;
	vmxt.cap[MSR_VMX_CR4_FIXED0 - MSR_VMX_BASIC] = CR4_VMXE;
	vmxt.cap[MSR_VMX_EPT_VPID - MSR_VMX_BASIC] = ~0ull;
}

/* --- the VMCS ------------------------------------------------------------------------------------------------------------- */

/* What the processor keeps of a region that it was shown: fields by width, type and the low bits of the index. */
static struct fake_vmcs {
	u64 pa;
	bool launched;
	u64 field[512];
} vmcs[4];
static struct fake_vmcs *current[NR_CPUS];

static u64 *field_of(u64 field)
{
	struct fake_vmcs *c = current[cpu0.cpu];

	assert_non_null(c);
	assert_true((field & ~0x6c3eull) == 0);
	return &c->field[(field >> 13 & 3) << 7 | (field >> 10 & 3) << 5 | (field >> 1 & 31)];
}

u64 fake_field(u64 field)
{
	return *field_of(field);
}

void fake_set(u64 field, u64 val)
{
	*field_of(field) = val;
}

u64 vmread(u64 field)
{
	return *field_of(field);
}

void vmwrite(u64 field, u64 val)
{
	static const u64 width[] = { 0xffff, ~0ull, 0xffffffff, ~0ull };

	assert_true((field >> 10 & 3) != 1);
	assert_true(!(val & ~width[field >> 13 & 3]));
	*field_of(field) = val;
}

bool vmxon(u64 pa)
{
	assert_true(cpu0.cr4[cpu0.cpu] & CR4_VMXE && vmxt.feature_control & FEATURE_VMXON);
	vmxt.vmxon[cpu0.cpu] = pa;
	return true;
}

void vmxoff(void)
{
	assert_true(vmxt.vmxon[cpu0.cpu] != 0);
	vmxt.vmxon[cpu0.cpu] = 0;
	current[cpu0.cpu] = NULL;
}

static struct fake_vmcs *vmcs_of(u64 pa)
{
	unsigned i;

	assert_true(vmxt.vmxon[cpu0.cpu] && pa != vmxt.vmxon[cpu0.cpu]);
	for (i = 0; i < ARRAY_SIZE(vmcs); i++) {
		if (!vmcs[i].pa)
			vmcs[i].pa = pa;
		if (vmcs[i].pa == pa)
			return &vmcs[i];
	}
	fail_msg("more VMCSs than the test can have");
	return NULL;
}

bool vmclear(u64 pa)
{
	struct fake_vmcs *c = vmcs_of(pa);

	c->launched = false;
	if (current[cpu0.cpu] == c)
		current[cpu0.cpu] = NULL;
	return true;
}

bool vmptrld(u64 pa)
{
	current[cpu0.cpu] = vmcs_of(pa);
	return true;
}

void invept(u64 type, u64 eptp)
{
	vmxt.flushes++;
}

void invvpid(u64 type, u16 vpid)
{
	vmxt.flushes++;
}

/* --- other registers ------------------------------------------------------------------------------------------------------ */

u64 read_cr0(void)
{
	return CR0_PE | CR0_PG;
}

u64 read_cr2(void)
{
	return vmxt.cr2;
}

void write_cr2(u64 val)
{
	vmxt.cr2 = val;
}

u64 read_cr3(void)
{
	return 0x1000;
}

void read_tables(struct hw_table *gdt, struct hw_table *idt)
{
	static u64 descriptors[16];

	gdt->base = idt->base = (u64)(unsigned long)descriptors;
	gdt->limit = idt->limit = sizeof(descriptors) - 1;
}

void read_selectors(u16 *cs, u16 *ss, u16 *tr)
{
	*cs = 0x10;
	*ss = 0x18;
	*tr = 0x40;
}

u16 read_ldt(void)
{
	return 0;
}

void hw_segments_save(struct hw_segments *s)
{
}

void hw_segments_restore(const struct hw_segments *s)
{
}

/* --- the world switch ------------------------------------------------------------------------------------------------------- */

void fake_exit(u32 reason, u64 qualification, u32 insn_len)
{
	fake_set(EXIT_REASON, reason);
	fake_set(EXIT_QUALIFICATION, qualification);
	fake_set(EXIT_INSN_LEN, insn_len);
}

static void load_area(u64 address, u64 count)
{
	const struct vmx_msr *m = hw_va(fake_field(address));
	u64 n;

	for (n = 0; n < fake_field(count); n++)
		hw_wrmsr(m[n].index, m[n].val);
}

static void store_area(void)
{
	struct vmx_msr *m = hw_va(fake_field(EXIT_MSR_STORE));
	u64 n;

	for (n = 0; n < fake_field(EXIT_MSR_STORE_COUNT); n++)
		m[n].val = hw_rdmsr(m[n].index);
}

char vmx_guest_left[1];

bool vmx_world_switch(u64 *gpr, bool launched, u64 *host_rsp)
{
	struct fake_vmcs *c = current[cpu0.cpu];

	assert_non_null(c);
	assert_int_equal(launched, c->launched);
	assert_true(hwt.next < hwt.nr_steps);
	if (vmxt.refuses) {
		vmxt.refuses = false;
		hwt.next++;
		fake_set(INSTRUCTION_ERROR, 7);
		return false;
	}
	fake_exit(X_INTR, 0, 0);
	fake_set(EXIT_INTR_INFO, 0);
	fake_set(IDT_VECTORING_INFO, 0);
	load_area(ENTRY_MSR_LOAD, ENTRY_MSR_LOAD_COUNT);
	cpu0.spec_ctrl_in_guest = cpu0.spec_ctrl;
	vmxt.steps[hwt.next++](gpr);
	store_area();
	load_area(EXIT_MSR_LOAD, EXIT_MSR_LOAD_COUNT);
	/* SDM, "Loading Host Control Registers, Debug Registers, MSRs". */
	cpu0.debugctl = 0;
	if (fake_field(EXIT_REASON) & X_ENTRY_FAILED)
		return true;
	c->launched = true;
	/* SDM, "VM-Entry Controls for Event Injection": bit 31 is cleared on every VM exit. */
	fake_set(ENTRY_INTR_INFO, fake_field(ENTRY_INTR_INFO) & ~(u64)INTR_VALID);
	return true;
}

void step_hlt(u64 *gpr)
{
	fake_exit(X_HLT, 0, 1);
}

void step_intr(u64 *gpr)
{
}

/* --- a VM ------------------------------------------------------------------------------------------------------------------- */

static int init(void)
{
	return vmx_module_init(&vmxt.options);
}

static bool is_on(int cpu)
{
	return vmxt.vmxon[cpu] || cpu0.cr4[cpu] & CR4_VMXE;
}

const struct hw_kind hw_kind = {
	.engine = &vmx_engine,
	.reset = fake_vmx_reset,
	.init = init,
	.exit = vmx_module_exit,
	.is_on = is_on,
};

void vmx_test_begin(void)
{
	if (!vmxt.vmx)
		fake_vmx_reset();
	hwt_begin();
}

int vmx_test_end(void **state)
{
	int err = hwt_end();

	cpu0 = (struct fake_processor){ 0 };
	vmxt = (struct fake_vmx){ 0 };
	memset(vmcs, 0, sizeof(vmcs));
	memset(current, 0, sizeof(current));
	return err;
}

void vmx_script(vmx_step *first, ...)
{
	va_list ap;
	vmx_step *s;

	hwt.nr_steps = hwt.next = 0;
	va_start(ap, first);
	for (s = first; s; s = va_arg(ap, vmx_step *)) {
		assert_true(hwt.nr_steps < ARRAY_SIZE(vmxt.steps));
		vmxt.steps[hwt.nr_steps++] = s;
	}
	va_end(ap);
}
