/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The vCPUs of a VM in lockstep run one at a time. */
#include "lockstep_data.h"

#define TURN_BLOCKS 2000
#define YIELDS_MAX 1000 /* to one that waits, but whose thread does not come */

static struct lockstep_turns *turns_of(struct soft_vcpu *sv)
{
	return &((struct soft_vm *)sv->vcpu->vm->engine_vm)->turns;
}

static bool requested(const struct soft_vcpu *sv)
{
	return __atomic_load_n(&sv->vcpu->requests, __ATOMIC_RELAXED);
}

/* Who had the last turn lets others in first. */
static void step_back(struct soft_vcpu *sv, struct lockstep_turns *t)
{
	unsigned n;

	for (n = 0; n < YIELDS_MAX && __atomic_load_n(&t->last, __ATOMIC_RELAXED) == sv &&
		    __atomic_load_n(&t->waiting, __ATOMIC_RELAXED) && !requested(sv);
	     n++)
		host_yield();
}

bool lockstep_take_turn(struct soft_vcpu *sv)
{
	struct lockstep *l = sv->tr.lockstep;
	struct lockstep_turns *t = turns_of(sv);
	bool taken;

	if (likely(!l))
		return true;
	step_back(sv, t);
	__atomic_fetch_add(&t->waiting, 1, __ATOMIC_RELAXED);
	while ((taken = __atomic_exchange_n(&t->taken, 1, __ATOMIC_ACQUIRE)) && !requested(sv))
		host_yield();
	__atomic_fetch_sub(&t->waiting, 1, __ATOMIC_RELAXED);
	l->turn = !taken;
	l->turn_left = TURN_BLOCKS;
	return l->turn;
}

void lockstep_end_turn(struct soft_vcpu *sv)
{
	struct lockstep *l = sv->tr.lockstep;
	struct lockstep_turns *t = turns_of(sv);

	if (likely(!l) || !l->turn)
		return;
	l->turn = false;
	__atomic_store_n(&t->last, sv, __ATOMIC_RELAXED);
	__atomic_store_n(&t->taken, 0, __ATOMIC_RELEASE);
}

bool lockstep_turn_ends(struct soft_vcpu *sv)
{
	struct lockstep *l = sv->tr.lockstep;

	if (likely(!l) || (l->turn_left && --l->turn_left))
		return false;
	return __atomic_load_n(&turns_of(sv)->waiting, __ATOMIC_RELAXED);
}
