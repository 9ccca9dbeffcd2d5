/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Locked instructions of two vCPU threads on one memory: no update may be lost. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "sys_env.h"

#define TURNS 100000u
#define COUNTERS SYS_DATA

/* Each loop makes TURNS updates to the counter at rdi. */
SYS_CODE_DEF(atomic_inc, 64, "1: lock inc dword ptr [rdi]\n dec ecx\n jnz 1b");
SYS_CODE_DEF(atomic_add, 64, "mov eax, 1\n 1: lock add qword ptr [rdi], rax\n dec ecx\n jnz 1b");
SYS_CODE_DEF(atomic_xadd, 64, "1: mov eax, 1\n lock xadd word ptr [rdi], ax\n dec ecx\n jnz 1b");
SYS_CODE_DEF(atomic_cmpxchg, 64,
	     "1: mov eax, [rdi]\n 2: lea edx, [rax + 1]\n lock cmpxchg [rdi], edx\n jnz 2b\n dec ecx\n jnz 1b");
SYS_CODE_DEF(atomic_cmpxchg16b, 64,
	     "mov r8d, ecx\n mov rax, [rdi]\n mov rdx, [rdi + 8]\n"
	     "1: mov rbx, rax\n mov rcx, rdx\n inc rbx\n dec rcx\n lock cmpxchg16b [rdi]\n jnz 1b\n dec r8d\n jnz 1b");
/* A spin lock by XCHG (which locks without a prefix) around an unlocked increment. */
SYS_CODE_DEF(atomic_xchg, 64,
	     "1: mov eax, 1\n 2: xchg [rdi + 8], eax\n test eax, eax\n jnz 2b\n"
	     "inc dword ptr [rdi]\n mov dword ptr [rdi + 8], 0\n dec ecx\n jnz 1b");
/* The same by BTS and BTR. */
SYS_CODE_DEF(atomic_bts, 64,
	     "1: lock bts dword ptr [rdi + 8], 5\n jc 1b\n"
	     "inc dword ptr [rdi]\n lock btr dword ptr [rdi + 8], 5\n dec ecx\n jnz 1b");

static unsigned waiting; /* threads that have not begun: they start together */

static void *run_cpu(void *arg)
{
	struct sys_env *e = arg;
	enum x86_result r;

	__atomic_sub_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
		sched_yield();
	do
		r = x86_step(&e->s, &e->insn);
	while (r == X86_OK);
	return (void *)(unsigned long)r;
}

/* Both CPUs with a TLB of their own, or (tlb = NULL) through the slow path. */
static u64 race(const u8 *start, const u8 *end, struct x86_tlb *tlb)
{
	struct sys_env *first = sys_long(0), *second = malloc(sizeof(*second));
	pthread_t thread;
	void *r1, *r2;

	if (!second) {
		insn_fail("out of memory");
		return 0;
	}
	sys_load(first, SYS_CODE, start, end);
	first->s.gpr[X86_RDI] = COUNTERS;
	first->s.gpr[X86_RCX] = TURNS;
	memcpy(second, first, sizeof(*second));
	first->s.tlb = tlb;
	second->s.tlb = tlb ? tlb + 1 : NULL;
	if (tlb) {
		x86_tlb_init(&tlb[0]);
		x86_tlb_init(&tlb[1]);
	}
	waiting = 2;
	if (pthread_create(&thread, NULL, run_cpu, second)) {
		insn_fail("no thread");
	} else {
		r1 = run_cpu(first);
		pthread_join(thread, &r2);
		EXPECT_EQ((unsigned long)r1, X86_EXIT);
		EXPECT_EQ((unsigned long)r2, X86_EXIT);
	}
	free(second);
	return sys_read(first, COUNTERS, 8);
}

static void all_races(struct x86_tlb *tlb)
{
	EXPECT_EQ(race(code_atomic_inc, code_atomic_inc_end, tlb), 2 * TURNS);
	EXPECT_EQ(race(code_atomic_add, code_atomic_add_end, tlb), 2 * TURNS);
	EXPECT_EQ(race(code_atomic_xadd, code_atomic_xadd_end, tlb), (u16)(2 * TURNS));
	EXPECT_EQ(race(code_atomic_cmpxchg, code_atomic_cmpxchg_end, tlb), 2 * TURNS);
	EXPECT_EQ(race(code_atomic_cmpxchg16b, code_atomic_cmpxchg16b_end, tlb), 2 * TURNS);
	EXPECT_EQ(race(code_atomic_xchg, code_atomic_xchg_end, tlb), 2 * TURNS);
	EXPECT_EQ(race(code_atomic_bts, code_atomic_bts_end, tlb), 2 * TURNS);
}

INSN_TEST(atomic, "atomic: locked instructions of two threads")
{
	struct x86_tlb *tlb = malloc(2 * sizeof(*tlb));

	if (!tlb) {
		insn_fail("out of memory");
		return;
	}
	all_races(tlb);
	all_races(NULL);
	free(tlb);
}
