/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Stubs of native.h on the bare CPU, by the same traps as the instructions under test. */
#include <string.h>
#include "bare.h"
#include "native_run.h"

/* Where the stub is written, and the INT3 that it returns to; both away from CODE_AT. */
#define STUB_AT (CODE_PAGE + 0x100)
#define RETURN_AT (CODE_PAGE + 0x200)

/* What the trap gives back of the XSAVE area; the rest (header, addresses of instructions) is not the stub's. */
static void take_vectors(u8 *area, const u8 *result)
{
	const u64 present = 7;

	memcpy(area, result, XSAVE_SOFTWARE);
	memcpy(area + XSAVE_YMM, result + XSAVE_YMM, VECTOR_STATE_SIZE - XSAVE_YMM);
	memcpy(area + XSAVE_HEADER, &present, sizeof(present));
}

enum x86_result native_run(struct x86_state *s, const struct x86_insn *i, void *mem)
{
	static struct cpu_regs regs;
	static struct cpu_result out;
	u64 return_slot[2] = { RETURN_AT };
	struct x86_native_regs r;
	u8 *stub = bare_code() + STUB_AT % X86_PAGE_SIZE;
	unsigned len = x86_native_encode(i, stub);

	if (!len)
		return X86_UNHANDLED;
	x86_native_load(s, i, mem, &r);
	memset(regs.gpr, 0, sizeof(regs.gpr));
	regs.gpr[X86_RAX] = r.rax;
	regs.gpr[X86_RCX] = r.rcx;
	regs.gpr[X86_RDX] = r.rdx;
	regs.gpr[X86_RSP] = (u64)return_slot;
	regs.rip = STUB_AT;
	regs.rflags = (i->flags & INSN_FLAGS ? r.flags & RFLAGS_ARITH : 0) | RFLAGS_FIXED | RFLAGS_IF;
	memcpy(regs.vector, s->xsave, VECTOR_STATE_SIZE);
	bare_run(64, &regs, true, &out);
	memset(stub, 0xcc, X86_NATIVE_MAX);
	take_vectors(s->xsave, out.regs.vector);
	if (out.vector == X86_EXC_MF || out.vector == X86_EXC_XM)
		return x86_raise(s, out.vector);
	if (out.vector != VECTOR_NONE || out.regs.rip != RETURN_AT)
		return X86_UNHANDLED;
	r.rax = out.regs.gpr[X86_RAX];
	r.rcx = out.regs.gpr[X86_RCX];
	r.rdx = out.regs.gpr[X86_RDX];
	r.flags = out.regs.rflags & RFLAGS_ARITH;
	x86_native_store(s, i, &r);
	return X86_OK;
}
