/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* State ioctls: what goes in comes out, what Linux refuses is refused; creation under allocation failures. */
#include <stdlib.h>
#include "core_tests.h"
#include "posix.h"

static void registers_keep_their_values(void **state)
{
	struct kvm_regs in = {
		.rax = 1, .rbx = 2, .rcx = 3, .rdx = 4, .rsi = 5, .rdi = 6, .rsp = 7, .rbp = 8, .r8 = 9, .r9 = 10,
		.r10 = 11, .r11 = 12, .r12 = 13, .r13 = 14, .r14 = 15, .r15 = 16, .rip = 17, .rflags = 0x202,
	}, out;

	assert_int_equal(fake_ioctl(KVM_SET_REGS, &in), 0);
	assert_int_equal(fake_ioctl(KVM_GET_REGS, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(fake.v->state.gpr[X86_RSI], 5);
	assert_int_equal(fake.v->state.gpr[X86_RSP], 7);
}

static long try_sregs(u64 cr0, u64 cr4, u64 efer, u8 cs_l)
{
	struct kvm_sregs s;

	assert_int_equal(fake_ioctl(KVM_GET_SREGS, &s), 0);
	s.cr0 = cr0;
	s.cr4 = cr4;
	s.efer = efer;
	s.cs.l = cs_l;
	return fake_ioctl(KVM_SET_SREGS, &s);
}

static void impossible_modes_are_refused(void **state)
{
	const u64 pg = CR0_PG | CR0_PE, lme = X86_EFER_LME, lma = X86_EFER_LMA;

	assert_int_equal(try_sregs(CR0_PG, 0, 0, 0), -EINVAL);
	assert_int_equal(try_sregs(CR0_NW, 0, 0, 0), -EINVAL);
	assert_int_equal(try_sregs(1ull << 32, 0, 0, 0), -EINVAL);
	assert_int_equal(try_sregs(pg, 0, lme, 0), -EINVAL);
	assert_int_equal(try_sregs(pg, CR4_PAE, lme, 0), -EINVAL);
	assert_int_equal(try_sregs(pg, 0, lme | lma, 0), -EINVAL);
	assert_int_equal(try_sregs(CR0_PE, 0, lma, 0), -EINVAL);
	assert_int_equal(try_sregs(CR0_PE, 0, 0, 1), -EINVAL);
	assert_int_equal(try_sregs(CR0_PE, 1ull << 31, 0, 0), -EINVAL);
	assert_int_equal(try_sregs(CR0_PE, 0, 0, 0), 0);
}

static void unusable_segments_stay_unusable(void **state)
{
	struct kvm_sregs s;

	assert_int_equal(fake_ioctl(KVM_GET_SREGS, &s), 0);
	assert_int_equal(s.ds.present, 1);
	assert_int_equal(s.ds.unusable, 0);
	s.fs.unusable = 1;
	s.gs.present = 0;
	s.gs.type = 3;
	assert_int_equal(fake_ioctl(KVM_SET_SREGS, &s), 0);
	assert_int_equal(fake_ioctl(KVM_GET_SREGS, &s), 0);
	assert_int_equal(s.fs.unusable, 1);
	assert_int_equal(s.fs.present, 0);
	assert_int_equal(s.gs.unusable, 1);
	assert_int_equal(s.gs.type, 3);
}

static void pending_vector_travels_in_the_interrupt_bitmap(void **state)
{
	struct kvm_sregs s;

	assert_int_equal(fake_ioctl(KVM_GET_SREGS, &s), 0);
	s.interrupt_bitmap[2] = 1ull << 5;
	assert_int_equal(fake_ioctl(KVM_SET_SREGS, &s), 0);
	assert_int_equal(fake.v->ev.irq.nr, 133);
	assert_int_equal(fake_ioctl(KVM_GET_SREGS, &s), 0);
	assert_int_equal(s.interrupt_bitmap[2], 1ull << 5);
}

static void pdptes_are_accepted_only_with_pae_paging(void **state)
{
	struct kvm_sregs2 s;

	assert_int_equal(fake_ioctl(KVM_GET_SREGS2, &s), 0);
	assert_int_equal(s.flags, 0);
	s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	assert_int_equal(fake_ioctl(KVM_SET_SREGS2, &s), -EINVAL);
	s.flags = 2;
	assert_int_equal(fake_ioctl(KVM_SET_SREGS2, &s), -EINVAL);
}

static void reserved_debug_register_bits_are_refused(void **state)
{
	struct kvm_debugregs d;

	assert_int_equal(fake_ioctl(KVM_GET_DEBUGREGS, &d), 0);
	assert_int_equal(d.dr6, 0xffff0ff0);
	assert_int_equal(d.dr7, 0x400);
	d.dr7 |= 1ull << 32;
	assert_int_equal(fake_ioctl(KVM_SET_DEBUGREGS, &d), -EINVAL);
	d.dr7 = 0x400;
	d.dr6 |= 1ull << 40;
	assert_int_equal(fake_ioctl(KVM_SET_DEBUGREGS, &d), -EINVAL);
	d.dr6 = 0xffff0ff0;
	d.flags = 1;
	assert_int_equal(fake_ioctl(KVM_SET_DEBUGREGS, &d), -EINVAL);
}

static void bad_xcr0_is_refused(void **state)
{
	struct kvm_xcrs x;

	assert_int_equal(fake_ioctl(KVM_GET_XCRS, &x), 0);
	assert_int_equal(x.nr_xcrs, 1);
	assert_int_equal(x.xcrs[0].value, 1);
	x.xcrs[0].value = 0;
	assert_int_equal(fake_ioctl(KVM_SET_XCRS, &x), -EINVAL);
	x.xcrs[0].value = 1ull << 62 | 1;
	assert_int_equal(fake_ioctl(KVM_SET_XCRS, &x), -EINVAL);
	x.xcrs[0].value = 1;
	x.nr_xcrs = KVM_MAX_XCRS + 1;
	assert_int_equal(fake_ioctl(KVM_SET_XCRS, &x), -EINVAL);
	x.nr_xcrs = 1;
	assert_int_equal(fake_ioctl(KVM_SET_XCRS, &x), 0);
}

static void bad_events_are_refused(void **state)
{
	struct kvm_vcpu_events e, good;

	assert_int_equal(fake_ioctl(KVM_GET_VCPU_EVENTS, &good), 0);
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &good), 0);
	e = good;
	e.flags |= 1u << 31;
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &e), -EINVAL);
	e = good;
	e.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &e), -EINVAL);
	e = good;
	e.exception.injected = 1;
	e.exception.nr = 2;
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &e), -EINVAL);
	e.exception.nr = 32;
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &e), -EINVAL);
	e.exception.nr = 13;
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &e), 0);
}

static void shadows_are_exchanged_in_the_abis_numbers(void **state)
{
	struct kvm_vcpu_events e;

	fake.v->state.shadow = X86_SHADOW_STI;
	assert_int_equal(fake_ioctl(KVM_GET_VCPU_EVENTS, &e), 0);
	assert_int_equal(e.interrupt.shadow, KVM_X86_SHADOW_INT_STI);
	e.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	assert_int_equal(fake_ioctl(KVM_SET_VCPU_EVENTS, &e), 0);
	assert_int_equal(fake.v->state.shadow, X86_SHADOW_MOV_SS);
}

static long set_mp_state(u32 mp)
{
	struct kvm_mp_state s = { .mp_state = mp };

	return fake_ioctl(KVM_SET_MP_STATE, &s);
}

static void mp_states_need_a_lapic(void **state)
{
	assert_int_equal(set_mp_state(KVM_MP_STATE_HALTED), -EINVAL);
	assert_int_equal(set_mp_state(KVM_MP_STATE_UNINITIALIZED), -EINVAL);
	assert_int_equal(set_mp_state(77), -EINVAL);
	assert_int_equal(set_mp_state(KVM_MP_STATE_RUNNABLE), 0);
}

static void fpu_starts_in_its_reset_state_and_keeps_values(void **state)
{
	struct kvm_fpu f;

	assert_int_equal(fake_ioctl(KVM_GET_FPU, &f), 0);
	assert_int_equal(f.fcw, 0x37f);
	f.fpr[2][3] = 0x55;
	f.xmm[15][0] = 0x66;
	f.last_ip = 0x1234;
	assert_int_equal(fake_ioctl(KVM_SET_FPU, &f), 0);
	memset(&f, 0, sizeof(f));
	assert_int_equal(fake_ioctl(KVM_GET_FPU, &f), 0);
	assert_int_equal(f.fpr[2][3], 0x55);
	assert_int_equal(f.xmm[15][0], 0x66);
	assert_int_equal(f.last_ip, 0x1234);
}

static void xsave_is_checked(void **state)
{
	static struct kvm_xsave x;

	assert_int_equal(fake_ioctl(KVM_GET_XSAVE, &x), 0);
	assert_int_equal(x.region[128] & 3, 3); /* XSTATE_BV */
	assert_int_equal(x.region[6], 0x1f80);  /* MXCSR */
	assert_int_equal(fake_ioctl(KVM_SET_XSAVE, &x), 0);
	x.region[129] |= 1u << 30;
	assert_int_equal(fake_ioctl(KVM_SET_XSAVE, &x), -EINVAL);
	x.region[129] = 0;
	x.region[130] = 1; /* XCOMP_BV */
	assert_int_equal(fake_ioctl(KVM_SET_XSAVE, &x), -EINVAL);
	x.region[130] = 0;
	x.region[133] = 1; /* reserved part of the header */
	assert_int_equal(fake_ioctl(KVM_SET_XSAVE, &x), -EINVAL);
	x.region[133] = 0;
	x.region[6] = 1u << 20;
	assert_int_equal(fake_ioctl(KVM_SET_XSAVE, &x), -EINVAL);
	x.region[6] = 0x1f80;
	assert_int_equal(fake_ioctl(KVM_SET_XSAVE, &x), 0);
}

static void synchronised_registers_go_both_ways(void **state)
{
	fake.run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.run->s.regs.regs.rip, CODE + 1);
	fake.run->s.regs.regs.rbx = 0xabcd;
	fake.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	fake_script(step_hlt, NULL);
	fake_run_exits(KVM_EXIT_HLT);
	assert_int_equal(fake.v->state.gpr[X86_RBX], 0xabcd);
	assert_int_equal(fake.run->kvm_dirty_regs, 0);
	fake.run->kvm_valid_regs = 1ull << 40;
	assert_int_equal(fake_run(), -EINVAL);
	fake.run->kvm_valid_regs = 0;
}

static void bad_addresses_are_efault(void **state)
{
	const u32 cmds[] = {
		KVM_GET_REGS,      KVM_SET_REGS,     KVM_GET_SREGS,       KVM_SET_SREGS,       KVM_GET_SREGS2,
		KVM_SET_SREGS2,    KVM_GET_FPU,      KVM_SET_FPU,         KVM_GET_XSAVE,       KVM_SET_XSAVE,
		KVM_GET_XCRS,      KVM_SET_XCRS,     KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_GET_DEBUGREGS,
		KVM_SET_DEBUGREGS, KVM_GET_MP_STATE, KVM_SET_MP_STATE,    KVM_SET_GUEST_DEBUG, KVM_TRANSLATE,
		KVM_GET_MSRS,      KVM_SET_MSRS,     KVM_SET_CPUID2,      KVM_GET_CPUID2,      KVM_INTERRUPT,
		KVM_X86_SETUP_MCE, KVM_X86_SET_MCE,  KVM_SET_SIGNAL_MASK, KVM_ENABLE_CAP,      KVM_TPR_ACCESS_REPORTING,
	};
	unsigned n;

	for (n = 0; n < ARRAY_SIZE(cmds); n++)
		assert_int_equal(fake_ioctl(cmds[n], (void *)0x10), -EFAULT);
}

static void lapic_ioctls_need_a_lapic(void **state)
{
	static struct kvm_lapic_state s;
	struct kvm_vapic_addr addr = { 0 };

	assert_int_equal(fake_ioctl(KVM_GET_LAPIC, &s), -EINVAL);
	assert_int_equal(fake_ioctl(KVM_SET_LAPIC, &s), -EINVAL);
	assert_int_equal(fake_ioctl(KVM_SET_VAPIC_ADDR, &addr), -EINVAL);
}

static void translation_without_paging_is_the_identity(void **state)
{
	struct kvm_translation t = { .linear_address = 0x12345 };

	assert_int_equal(fake_ioctl(KVM_TRANSLATE, &t), 0);
	assert_int_equal(t.valid, 1);
	assert_int_equal(t.physical_address, 0x12345);
}

static void ids_are_checked(void **state)
{
	struct vcpu *v;

	assert_int_equal(vcpu_create(fake.vm, 0, &v), -EEXIST);
	assert_int_equal(vcpu_create(fake.vm, VM_MAX_VCPU_ID, &v), -EINVAL);
	fake.vm->max_vcpu_ids = 3;
	assert_int_equal(vcpu_create(fake.vm, 3, &v), -EINVAL);
	assert_int_equal(vcpu_create(fake.vm, 2, &v), 0);
	assert_int_equal(v->index, 1);
	vcpu_put(v);
}

static void every_failing_allocation_of_a_creation_is_enomem(void **state)
{
	struct vcpu *v;
	unsigned n;
	int err = -ENOMEM;

	for (n = 1; err == -ENOMEM && n < 100; n++) {
		host_fail_alloc(n);
		err = vcpu_create(fake.vm, 1, &v);
	}
	host_fail_alloc(0);
	assert_int_equal(err, 0);
	assert_true(n > 4);
	vcpu_put(v);
}

int core_state_tests(void)
{
	const struct CMUnitTest tests[] = {
		CORE_TEST(registers_keep_their_values),
		CORE_TEST(impossible_modes_are_refused),
		CORE_TEST(unusable_segments_stay_unusable),
		CORE_TEST(pending_vector_travels_in_the_interrupt_bitmap),
		CORE_TEST(pdptes_are_accepted_only_with_pae_paging),
		CORE_TEST(reserved_debug_register_bits_are_refused),
		CORE_TEST(bad_xcr0_is_refused),
		CORE_TEST(bad_events_are_refused),
		CORE_TEST(shadows_are_exchanged_in_the_abis_numbers),
		CORE_TEST(mp_states_need_a_lapic),
		CORE_TEST(fpu_starts_in_its_reset_state_and_keeps_values),
		CORE_TEST(xsave_is_checked),
		CORE_TEST(synchronised_registers_go_both_ways),
		CORE_TEST(bad_addresses_are_efault),
		CORE_TEST(lapic_ioctls_need_a_lapic),
		CORE_TEST(translation_without_paging_is_the_identity),
		CORE_TEST(ids_are_checked),
		CORE_TEST(every_failing_allocation_of_a_creation_is_enomem),
	};

	return cmocka_run_group_tests_name("core: state", tests, NULL, NULL);
}
