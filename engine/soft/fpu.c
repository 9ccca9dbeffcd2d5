/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The guest's x87 and vector state in the host's registers; running host instructions that stand for guest ones. */
#include "soft.h"
#include "fpu.h"
#include "fpu_state.h"

/* fpu_asm.S */
void soft_fpu_swap_in(void *xsave, u64 mask, u16 *host_fcw, u32 *host_mxcsr);
void soft_fpu_swap_out(void *xsave, u64 mask, u16 host_fcw, u32 host_mxcsr);
u32 soft_fpu_status(void);
bool soft_fpu_call(void *stub, struct x86_native_regs *r);
bool soft_fpu_call_flags(void *stub, struct x86_native_regs *r);
extern char soft_fpu_return[], soft_fpu_return_flags[], soft_fpu_fault[];

#define SOFT_FPU_MARK 0x6670755f73747562ull /* also in fpu_asm.S */
/* Registers in the kernel's struct ucontext (Linux uapi, asm/ucontext.h and asm/sigcontext.h): index of 8-byte words. */
enum { UCONTEXT_RBP = 15, UCONTEXT_RSP = 20, UCONTEXT_RIP = 21 };
#define FSW_ES 0x80u

/* Components that guests can have and this host can switch; 0 without XSAVE. */
static u64 possible_components(void)
{
	static u64 cached = ~0ull; /* atomic; every thread finds the same value */
	u64 mask = __atomic_load_n(&cached, __ATOMIC_RELAXED);
	u32 r[4];

	if (likely(mask != ~0ull))
		return mask;
	host_cpuid(1, 0, r);
	mask = r[2] & BIT(27) ? host_xcr0() & XFEATURES : 0;
	__atomic_store_n(&cached, mask, __ATOMIC_RELAXED);
	return mask;
}

/* AVX-512 costs time and most guests do without. */
static u64 switched_components(const struct x86_state *s)
{
	return possible_components() & (s->xcr0 | ~(u64)XFEATURE_AVX512);
}

void soft_fpu_enter(struct x86_state *s)
{
	struct x86_xsave *x = s->xsave;
	u64 mask = switched_components(s);

	/* What XRSTOR would fault on. */
	x->xstate_bv &= possible_components();
	x->xcomp_bv = 0;
	memset(x->reserved, 0, sizeof(x->reserved));
	x->fx.mxcsr &= MXCSR_VALID;
	s->fpu_ip = x->xstate_bv & XFEATURE_X87 ? x->fx.fip : 0;
	s->fpu_dp = x->xstate_bv & XFEATURE_X87 ? x->fx.fdp : 0;
	s->fpu_op = x->xstate_bv & XFEATURE_X87 ? x->fx.fop : 0;
	soft_fpu_swap_in(x, mask, &s->host_fcw, &s->host_mxcsr);
	s->fpu_live = true;
}

void soft_fpu_leave(struct x86_state *s)
{
	struct x86_xsave *x = s->xsave;
	u64 mask = switched_components(s);

	soft_fpu_swap_out(x, mask, s->host_fcw, s->host_mxcsr);
	s->fpu_live = false;
	if (!mask)
		x->xstate_bv |= XFEATURE_X87 | XFEATURE_SSE;
	/* The host's registers have the addresses of stubs. */
	x->fx.fip = s->fpu_ip;
	x->fx.fdp = s->fpu_dp;
	x->fx.fop = s->fpu_op;
	if (s->fpu_ip | s->fpu_dp | s->fpu_op)
		x->xstate_bv |= XFEATURE_X87;
}

static void *make_stub(struct x86_state *s, const struct x86_insn *i)
{
	u8 code[X86_NATIVE_MAX];
	unsigned len = x86_native_encode(i, code);
	void *stub = soft_stub_alloc(s, code, len);

	/* The decoded instruction belongs to this vCPU; the stub is the one part of it that is made late. */
	((struct x86_insn *)i)->native = stub;
	return stub;
}

/* The exception that made the host raise SIGFPE at the stub. */
static enum x86_result stub_fault(struct x86_state *s, const struct x86_insn *i, u32 status)
{
	if (!(i->flags & (INSN_SSE | INSN_VEX)) || (i->flags & INSN_MMX && status & FSW_ES))
		return x86_raise(s, X86_EXC_MF);
	return x86_raise(s, s->cr4 & CR4_OSXMMEXCPT ? X86_EXC_XM : X86_EXC_UD);
}

enum x86_result soft_native(struct x86_state *s, const struct x86_insn *i, void *mem)
{
	struct x86_native_regs r;
	void *stub = i->native;
	u32 status = 0;
	bool fault;

	if (unlikely(!stub)) {
		stub = make_stub(s, i);
		if (!stub)
			return X86_RETRY;
	}
	if (unlikely(!s->fpu_live))
		soft_fpu_enter(s);
	x86_native_load(s, i, mem, &r);
	fault = i->flags & INSN_FLAGS ? soft_fpu_call_flags(stub, &r) : soft_fpu_call(stub, &r);
	if (unlikely(fault))
		status = soft_fpu_status();
#ifdef ANYKVM_FPU_EAGER
	soft_fpu_leave(s);
#endif
	if (unlikely(fault))
		return stub_fault(s, i, status);
	x86_native_store(s, i, &r);
	return X86_OK;
}

/* In a stub, which is a leaf, the return address is on top of the stack. */
bool soft_fixup(const struct host_fault *f)
{
	struct vcpu *v = host_running_vcpu();
	u64 back;

	if (v && tr_fixup(v->engine_vcpu, f))
		return true;
	if (!f->arithmetic || *f->rbp != SOFT_FPU_MARK)
		return false;
	back = *(const u64 *)(unsigned long)*f->rsp;
	if (back != (u64)soft_fpu_return && back != (u64)soft_fpu_return_flags)
		return false;
	*f->rsp += sizeof(u64);
	*f->rip = (u64)soft_fpu_fault;
	return true;
}
