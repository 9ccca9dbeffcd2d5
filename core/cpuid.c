/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A vCPU's CPUID: what user space has chosen (KVM_SET_CPUID2), what follows from it, and what the instruction answers. */
#include <linux/kvm_para.h>
#include "cpuid_table.h"
#include "parts.h"

#define MAXPHYADDR_DEFAULT 36

#define APIC_BASE_ENABLE BIT(11)
#define MISC_ENABLE_MWAIT (1ull << 18)

/* --- the table --------------------------------------------------------------------------------------- */

static const struct kvm_cpuid_entry2 *find(const struct vcpu *v, u32 leaf, u32 subleaf)
{
	u32 i;

	for (i = 0; i < v->nr_cpuid; i++) {
		const struct kvm_cpuid_entry2 *e = &v->cpuid[i];

		if (e->function == leaf && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == subleaf))
			return e;
	}
	return NULL;
}

static u32 put_bit(u32 reg, unsigned bit, bool on)
{
	return on ? reg | BIT(bit) : reg & ~BIT(bit);
}

static bool is_dynamic(const struct kvm_cpuid_entry2 *e)
{
	return e->function == 1 || e->function == 7 || e->function == 0xd;
}

/* The bits that follow the processor's state. */
static void patch_dynamic(const struct vcpu *v, struct kvm_cpuid_entry2 *e)
{
	const struct x86_state *s = &v->state;
	bool mwait_by_msr = v->vm->disabled_quirks & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT;

	if (e->function == 1) {
		e->ecx = put_bit(e->ecx, 27, s->cr4 & CR4_OSXSAVE);
		e->edx = put_bit(e->edx, 9, v->apic_base & APIC_BASE_ENABLE);
		if (mwait_by_msr && v->msrs)
			e->ecx = put_bit(e->ecx, 3, v->msrs->misc_enable & MISC_ENABLE_MWAIT);
	} else if (e->function == 7 && e->index == 0) {
		e->ecx = put_bit(e->ecx, 4, s->cr4 & CR4_PKE);
	} else if (e->function == 0xd && e->index == 0) {
		e->ebx = cpuid_xsave_size(s->xcr0, false);
	} else if (e->function == 0xd && e->index == 1 && e->eax & (BIT(1) | BIT(3))) {
		e->ebx = cpuid_xsave_size(s->xcr0, true);
	}
}

bool cpuid_guest_bit(struct vcpu *v, u32 leaf, u32 subleaf, unsigned reg, unsigned bit)
{
	const struct kvm_cpuid_entry2 *e = find(v, leaf, subleaf);

	return e && (&e->eax)[reg] >> bit & 1;
}

/* May the library do what this bit stands for, if user space sets it? */
static bool bit_possible(const struct vcpu *v, const struct cpuid_bit *b)
{
	return b->offer == OFFER_NEVER || cpuid_bit_offered(b, v->vm->engine);
}

/*
 * A vCPU whose user space has said nothing (no leaf 1) can do all that is there, as on hardware: small VMMs
 * never call KVM_SET_CPUID2.
 */
static void update_features(struct vcpu *v)
{
	struct x86_state *s = &v->state;
	struct kvm_cpuid_entry2 now;
	bool no_table = !find(v, 1, 0);
	u32 i;

	s->features[0] = s->features[1] = 0;
	for (i = 0; i < cpuid_nr_bits; i++) {
		const struct cpuid_bit *b = &cpuid_bits[i];
		const struct kvm_cpuid_entry2 *e;
		bool on = no_table;

		if (b->feature == NO_X86F)
			continue;
		if (!on) {
			e = find(v, b->leaf, b->subleaf);
			if (e) {
				now = *e;
				patch_dynamic(v, &now);
				on = (&now.eax)[b->reg] >> b->bit & 1;
			}
		}
		/* By default MONITOR and MWAIT never fault, whatever CPUID says. */
		if (b->feature == X86F_MONITOR && !(v->vm->disabled_quirks & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS))
			on = true;
		if (on && bit_possible(v, b))
			s->features[b->feature / 64] |= 1ull << (b->feature % 64);
	}
}

/* Bits of IA32_SPEC_CTRL, and by which CPUID bits they are there; 0: IA32_PRED_CMD (APM volume 3, "CPUID"; SDM volume 4). */
static const struct speculation {
	u32 leaf;
	u8 reg, bit, spec_ctrl;
} speculation[] = {
	{ 7, OUT_EDX, 26, BIT(0) },          { 7, OUT_EDX, 26, 0 },
	{ 7, OUT_EDX, 27, BIT(1) },          { 7, OUT_EDX, 31, BIT(2) },
	{ 0x80000008, OUT_EBX, 14, BIT(0) }, { 0x80000008, OUT_EBX, 12, 0 },
	{ 0x80000008, OUT_EBX, 15, BIT(1) }, { 0x80000008, OUT_EBX, 24, BIT(2) },
	{ 0x80000008, OUT_EBX, 28, BIT(7) },
};

static bool speculation_offered(const struct vcpu *v, const struct speculation *c)
{
	u32 i;

	for (i = 0; i < cpuid_nr_bits; i++) {
		const struct cpuid_bit *b = &cpuid_bits[i];

		if (b->leaf == c->leaf && b->reg == c->reg && b->bit == c->bit && !b->subleaf)
			return cpuid_bit_offered(b, v->vm->engine);
	}
	return false;
}

u64 cpuid_spec_ctrl_offered(const struct vcpu *v)
{
	u64 bits = 0;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(speculation); i++)
		if (speculation_offered(v, &speculation[i]))
			bits |= speculation[i].spec_ctrl;
	return bits;
}

static void update_speculation(struct vcpu *v)
{
	u32 i;

	v->spec_ctrl_bits = 0;
	v->has_pred_cmd = false;
	for (i = 0; i < ARRAY_SIZE(speculation); i++) {
		const struct speculation *c = &speculation[i];

		if (!cpuid_guest_bit(v, c->leaf, 0, c->reg, c->bit) || !speculation_offered(v, c))
			continue;
		v->spec_ctrl_bits |= c->spec_ctrl;
		v->has_pred_cmd |= !c->spec_ctrl;
	}
}

static u8 guest_maxphyaddr(const struct vcpu *v)
{
	const struct kvm_cpuid_entry2 *e = find(v, 0x80000000, 0);
	u32 r[4];

	if (!v->nr_cpuid) {
		host_cpuid(0x80000008, 0, r);
		return (u8)r[0];
	}
	if (e && e->eax >= 0x80000008) {
		e = find(v, 0x80000008, 0);
		if (e)
			return (u8)e->eax;
	}
	return MAXPHYADDR_DEFAULT;
}

/*
 * The paravirtual leaves stand at the first base with the signature: other hypervisors' leaves may come
 * before. The leaf of the features, or NULL.
 */
static const struct kvm_cpuid_entry2 *find_pv_features(const struct vcpu *v)
{
	u32 base;

	for (base = PV_SIGNATURE; base < PV_SIGNATURE + 0x10000; base += 0x100) {
		const struct kvm_cpuid_entry2 *e = find(v, base, 0);

		if (!e || e->ebx != cpuid_pv_signature[0] || e->ecx != cpuid_pv_signature[1] ||
		    e->edx != cpuid_pv_signature[2])
			continue;
		return find(v, base | 1, 0);
	}
	return NULL;
}

static void update_pv_features(struct vcpu *v)
{
	const struct kvm_cpuid_entry2 *e = find_pv_features(v);

	/* A vCPU that halts in guest mode is woken by interrupts only, not by a hypercall. As on Linux its own CPUID says so. */
	if (e && __atomic_load_n(&v->vm->disabled_exits, __ATOMIC_ACQUIRE) & KVM_X86_DISABLE_EXITS_HLT)
		v->cpuid[e - v->cpuid].eax &= ~BIT(KVM_FEATURE_PV_UNHALT);
	v->pv_features = e ? e->eax : 0;
}

void vcpu_cpuid_changed(struct vcpu *v)
{
	struct x86_state *s = &v->state;
	const struct kvm_cpuid_entry2 *e;
	unsigned n;

	update_features(v);
	update_speculation(v);
	s->maxphyaddr = guest_maxphyaddr(v);
	e = find(v, 0, 0);
	s->vendor_amd = e ? cpuid_vendor_is_amd(e->ebx, e->ecx, e->edx) : cpuid_host_is_amd();
	update_pv_features(v);
	hyperv_cpuid_changed(v);
	v->xcr0_supported = cpuid_supported_xcr0();
	if (v->nr_cpuid) {
		e = find(v, 0xd, 0);
		v->xcr0_supported &= e ? e->eax | (u64)e->edx << 32 : 0;
	}
	s->xcr0_avx512 = (v->xcr0_supported & XCR0_ALL) == XCR0_ALL ? XCR0_AVX512 : 0;
	for (n = 0; n < ARRAY_SIZE(s->xsave_avx512); n++) {
		u32 r[4];

		host_cpuid(0xd, n + 5, r);
		s->xsave_avx512[n] = (u16)r[OUT_EBX];
	}
	vcpu_request(v, REQ_SETTINGS);
}

void cpuid_destroy(struct vcpu *v)
{
	host_free(v->cpuid);
	v->cpuid = NULL;
	v->nr_cpuid = 0;
}

/* --- KVM_SET_CPUID, KVM_SET_CPUID2, KVM_GET_CPUID2 ------------------------------------------------------ */

static int read_entries(unsigned long user, u32 nr, bool old_format, struct kvm_cpuid_entry2 *e)
{
	struct kvm_cpuid_entry old;
	u32 i;

	if (!old_format)
		return host_copy_from_user(e, (void *)user, nr * sizeof(*e));
	for (i = 0; i < nr; i++) {
		if (host_copy_from_user(&old, (void *)(user + i * sizeof(old)), sizeof(old)))
			return -EFAULT;
		e[i].function = old.function;
		e[i].eax = old.eax;
		e[i].ebx = old.ebx;
		e[i].ecx = old.ecx;
		e[i].edx = old.edx;
	}
	return 0;
}

static bool entries_equal(const struct vcpu *v, const struct kvm_cpuid_entry2 *e, u32 nr)
{
	u32 i;

	if (nr != v->nr_cpuid)
		return false;
	for (i = 0; i < nr; i++) {
		struct kvm_cpuid_entry2 a = v->cpuid[i], b = e[i];

		patch_dynamic(v, &a);
		patch_dynamic(v, &b);
		if (memcmp(&a, &b, offsetof(struct kvm_cpuid_entry2, padding)))
			return false;
	}
	return true;
}

static bool entries_valid(const struct kvm_cpuid_entry2 *e, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		u32 bits = e[i].eax >> 8 & 0xff;

		if (e[i].function == 0x80000008)
			return bits == 0 || bits == 48 || bits == 57;
	}
	return true;
}

int cpuid_set_ioctl(struct vcpu *v, unsigned long arg, bool old_format)
{
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 *e = NULL;
	int r = 0;

	if (host_copy_from_user(&head, (void *)arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > CPUID_MAX_ENTRIES)
		return -E2BIG;
	if (head.nent) {
		e = host_alloc(head.nent * sizeof(*e));
		if (!e)
			return -ENOMEM;
		r = read_entries(cpuid_entries_of(arg), head.nent, old_format, e);
	}
	/* A running guest's CPUID does not change; VMMs that set the same again are let. */
	if (!r && v->ran)
		r = entries_equal(v, e, head.nent) ? 1 : -EINVAL;
	if (!r && !entries_valid(e, head.nent))
		r = -EINVAL;
	if (r) {
		host_free(e);
		return r < 0 ? r : 0;
	}
	host_free(v->cpuid);
	v->cpuid = e;
	v->nr_cpuid = head.nent;
	vcpu_cpuid_changed(v);
	return 0;
}

int cpuid_get_ioctl(struct vcpu *v, unsigned long arg)
{
	struct kvm_cpuid_entry2 e;
	struct kvm_cpuid2 head;
	u32 i;
	int r = 0;

	if (host_copy_from_user(&head, (void *)arg, sizeof(head)))
		return -EFAULT;
	if (head.nent < v->nr_cpuid)
		return -E2BIG;
	for (i = 0; i < v->nr_cpuid && !r; i++) {
		e = v->cpuid[i];
		patch_dynamic(v, &e);
		r = host_copy_to_user((void *)(cpuid_entries_of(arg) + i * sizeof(e)), &e, sizeof(e));
	}
	head.nent = v->nr_cpuid;
	return r ? r : host_copy_to_user((void *)arg, &head, sizeof(head));
}

/* --- the instruction -------------------------------------------------------------------------------- */

/*
 * The entry for a leaf above its class's maximum (SDM, "CPUID", "INPUT EAX: returns CPUID leaf information
 * of the highest basic leaf"); AMD answers zeros. *leaf becomes the one that was taken.
 */
static const struct kvm_cpuid_entry2 *find_out_of_range(const struct vcpu *v, u32 *leaf, u32 subleaf)
{
	const struct kvm_cpuid_entry2 *basic = find(v, 0, 0), *class;

	if (!basic || cpuid_vendor_is_amd(basic->ebx, basic->ecx, basic->edx))
		return NULL;
	if (*leaf >= 0x40000000 && *leaf <= 0x4fffffff)
		class = find(v, *leaf & 0xffffff00, 0);
	else if (*leaf >= 0xc0000000)
		class = find(v, 0xc0000000, 0);
	else
		class = find(v, *leaf & 0x80000000, 0);
	if (class && *leaf <= class->eax)
		return NULL;
	*leaf = basic->eax;
	return find(v, basic->eax, subleaf);
}

/* A leaf that no entry gives: undefined levels of the topology still give the level number and the APIC id. */
static void no_entry(const struct vcpu *v, u32 leaf, u32 subleaf, struct kvm_cpuid_entry2 *e)
{
	const struct kvm_cpuid_entry2 *level = leaf == 0xb || leaf == 0x1f ? find(v, leaf, 1) : NULL;

	*e = (struct kvm_cpuid_entry2){ .function = leaf };
	if (level) {
		e->ecx = subleaf & 0xff;
		e->edx = level->edx;
	}
}

/* As the guest sees it: the table's, or made in *e. */
static const struct kvm_cpuid_entry2 *seen(const struct vcpu *v, u32 leaf, u32 subleaf, struct kvm_cpuid_entry2 *e)
{
	const struct kvm_cpuid_entry2 *found = find(v, leaf, subleaf);

	if (unlikely(!found))
		found = find_out_of_range(v, &leaf, subleaf);
	if (found && !is_dynamic(found))
		return found;
	if (found) {
		*e = *found;
		patch_dynamic(v, e);
	} else {
		no_entry(v, leaf, subleaf, e);
	}
	return e;
}

void cpuid_query(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4])
{
	struct kvm_cpuid_entry2 made;
	const struct kvm_cpuid_entry2 *e = seen(v, leaf, subleaf, &made);

	out[0] = e->eax;
	out[1] = e->ebx;
	out[2] = e->ecx;
	out[3] = e->edx;
}

void cpuid_execute(struct vcpu *v)
{
	struct x86_state *s = &v->state;
	struct kvm_cpuid_entry2 made;
	const struct kvm_cpuid_entry2 *e = seen(v, (u32)s->gpr[X86_RAX], (u32)s->gpr[X86_RCX], &made);

	s->gpr[X86_RAX] = e->eax;
	s->gpr[X86_RBX] = e->ebx;
	s->gpr[X86_RCX] = e->ecx;
	s->gpr[X86_RDX] = e->edx;
}
