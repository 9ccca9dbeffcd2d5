/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * tests/insn's library CPU with the soft engine's way to run vector instructions (engine/soft/fpu.c), its state put
 * away after each: cpu->vector is always current.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "native_run.h"
#include "vectors.h"
#include "../../engine/soft/fpu.h"

#define STUBS_SIZE (1u << 20)

static u8 *stubs;
static size_t stubs_used;
static struct sigaction bare_fpe;

/* What engine/soft/stub.c does for the engine; here nothing is shared and the memory starts over when full. */
void *soft_stub_alloc(struct x86_state *s, const u8 *code, unsigned len);

void *soft_stub_alloc(struct x86_state *s, const u8 *code, unsigned len)
{
	u8 *p;

	if (stubs_used + len > STUBS_SIZE)
		stubs_used = 0;
	p = stubs + stubs_used;
	memcpy(p, code, len);
	stubs_used += (len + 15) & ~15u;
	return p;
}

/* There is no engine around: no vCPU runs, nothing is translated. */
bool tr_fixup(void *sv, const struct host_fault *f);

struct vcpu *host_running_vcpu(void)
{
	return NULL;
}

bool tr_fixup(void *sv, const struct host_fault *f)
{
	return false;
}

enum x86_result native_run(struct x86_state *s, const struct x86_insn *i, void *mem)
{
	enum x86_result r = soft_native(s, i, mem);

	if (s->fpu_live)
		soft_fpu_leave(s);
	return r;
}

/* SIGFPE is the stub's, or the bare CPU's. */
static void handle_fpe(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct host_fault f = { .rip = (u64 *)&regs[REG_RIP],
				.rsp = (u64 *)&regs[REG_RSP],
				.rbp = (u64 *)&regs[REG_RBP],
				.r12 = (u64 *)&regs[REG_R12],
				.arithmetic = true };

	if (!soft_fixup(&f))
		bare_fpe.sa_sigaction(sig, info, context);
}

bool vectors_init(void)
{
	struct sigaction action = { .sa_sigaction = handle_fpe, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	stubs = mmap(NULL, STUBS_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return stubs != MAP_FAILED && !sigaction(SIGFPE, &action, &bare_fpe);
}
