/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Hypercalls of Hyper-V (TLFS, "Hypercall Interface"): flushes of other processors' translations, interrupts to sets of
 * processors, spin waits. Messages and events go to user space, but events for which it has registered an eventfd
 * (KVM_HYPERV_EVENTFD).
 */
#include "hyperv.h"
#include "irqchip.h"

enum {
	HVCALL_FLUSH_SPACE = 0x0002,
	HVCALL_FLUSH_LIST = 0x0003,
	HVCALL_LONG_SPIN_WAIT = 0x0008,
	HVCALL_SEND_IPI = 0x000b,
	HVCALL_FLUSH_SPACE_EX = 0x0013,
	HVCALL_FLUSH_LIST_EX = 0x0014,
	HVCALL_SEND_IPI_EX = 0x0015,
	HVCALL_POST_MESSAGE = 0x005c,
	HVCALL_SIGNAL_EVENT = 0x005d,
	HVCALL_POST_DEBUG_DATA = 0x0069,
	HVCALL_RETRIEVE_DEBUG_DATA = 0x006a,
	HVCALL_RESET_DEBUG_SESSION = 0x006b,
};

enum {
	HV_STATUS_SUCCESS = 0,
	HV_STATUS_INVALID_CODE = 2,
	HV_STATUS_INVALID_INPUT = 3,
	HV_STATUS_INVALID_ALIGNMENT = 4,
	HV_STATUS_ACCESS_DENIED = 6,
	HV_STATUS_OPERATION_DENIED = 8,
	HV_STATUS_INVALID_PORT_ID = 17,
	ASK_USER = 0x10000, /* none: user space has the answer */
	RAISE_UD,
};

#define CONTROL_FAST BIT(16)
#define CONTROL_RESERVED 0xf000f000f8000000ull
#define FLUSH_ALL_PROCESSORS 1ull
#define SET_SPARSE 0ull
#define SET_ALL 1ull
#define MAX_BANKS 64
#define FIRST_IPI_VECTOR 0x10
#define LAST_IPI_VECTOR 0xff
#define SPINS_NEVER 0xffffffffu

struct call {
	struct vcpu *v;
	u64 control, in, out; /* guest-physical, or the first 16 bytes of the input itself */
	u32 code, header_words, reps, first_rep;
	bool fast;
	u64 block[14]; /* fast: in, out, XMM0 to XMM5 */
};

/* --- input ----------------------------------------------------------------------------------------------------- */

/* False: not readable, or more than registers hold. */
static bool input(const struct call *c, u32 at, void *buf, u32 size)
{
	if (!c->fast)
		return !vm_read_guest(c->v->vm, c->in + at, buf, size);
	if (at + size > sizeof(c->block))
		return false;
	memcpy(buf, (const u8 *)c->block + at, size);
	return true;
}

/* A set of processors by their VP index. */
struct vp_set {
	bool all;
	u64 bank[VM_MAX_VCPUS / 64];
};

static bool in_set(const struct vp_set *set, const struct vcpu *v)
{
	u32 vp = __atomic_load_n(&v->hv.vp_index, __ATOMIC_RELAXED);

	return set->all || (vp < VM_MAX_VCPUS && set->bank[vp / 64] >> (vp % 64) & 1);
}

static bool is_empty(const struct vp_set *set)
{
	u64 any = set->all;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(set->bank); i++)
		any |= set->bank[i];
	return !any;
}

/* TLFS, "Sparse Virtual Processor Set": format, mask of banks, banks; at an offset of the input. False: invalid. */
static bool input_set(const struct call *c, u32 at, struct vp_set *set)
{
	u64 head[2], mask, word;
	u32 i, banks = 0, n = 0;

	if (!input(c, at, head, sizeof(head)))
		return false;
	mask = head[1];
	for (i = 0; i < MAX_BANKS; i++)
		banks += mask >> i & 1;
	if (c->header_words != banks)
		return false;
	set->all = head[0] != SET_SPARSE;
	for (i = 0; i < MAX_BANKS && !set->all; i++) {
		if (!(mask >> i & 1))
			continue;
		if (!input(c, at + sizeof(head) + 8 * n++, &word, sizeof(word)))
			return false;
		if (i < ARRAY_SIZE(set->bank))
			set->bank[i] = word;
	}
	return true;
}

/* --- calls ------------------------------------------------------------------------------------------------------- */

static u64 long_spin_wait(const struct call *c)
{
	if (c->reps || c->first_rep || c->header_words)
		return HV_STATUS_INVALID_INPUT;
	host_yield();
	return HV_STATUS_SUCCESS;
}

/* Whatever addresses are named: everything of the vCPU. All are through with it before the guest goes on here. */
static u64 flush_set(const struct call *c, const struct vp_set *set)
{
	struct vm *vm = c->v->vm;
	u32 i, nr = vm_nr_vcpus(vm);

	for (i = 0; i < nr; i++) {
		if (!in_set(set, vm->vcpu[i]))
			continue;
		vcpu_request(vm->vcpu[i], REQ_GUEST_FLUSH);
		if (vm->vcpu[i] != c->v)
			vcpu_interrupt(vm->vcpu[i]);
	}
	vcpu_request(c->v, REQ_FLUSH_WAIT);
	return HV_STATUS_SUCCESS | (u64)c->reps << 32;
}

static u64 flush(const struct call *c, bool list, bool extended)
{
	struct vp_set set = { .all = false };
	u64 head[3]; /* address space, flags; then the processors */

	if (list ? !c->reps || c->first_rep : c->reps || c->first_rep)
		return HV_STATUS_INVALID_INPUT;
	if (!extended) {
		if (c->header_words || !input(c, 0, head, sizeof(head)))
			return HV_STATUS_INVALID_INPUT;
		set.bank[0] = head[2];
		/* Guests are known that mean all of them by none. */
		set.all = head[1] & FLUSH_ALL_PROCESSORS || !head[2];
	} else if (!input(c, 0, head, 16) || !input_set(c, 16, &set)) {
		return HV_STATUS_INVALID_INPUT;
	}
	if (is_empty(&set))
		return HV_STATUS_SUCCESS | (u64)c->reps << 32;
	return flush_set(c, &set);
}

static void send(const struct call *c, const struct vp_set *set, u8 vector)
{
	const struct lapic_message m = { .vector = vector, .delivery = DELIVER_FIXED, .level = true, .shorthand = 1 };
	struct vm *vm = c->v->vm;
	u32 i, nr = vm_nr_vcpus(vm);

	for (i = 0; i < nr; i++)
		if (in_set(set, vm->vcpu[i]))
			lapic_deliver(vm, vm->vcpu[i], &m);
}

static u64 send_ipi(const struct call *c, bool extended)
{
	struct vp_set set = { .all = false };
	u32 head[2]; /* vector, reserved; then the processors */

	if (c->reps || c->first_rep || !input(c, 0, head, sizeof(head)) || (c->fast && head[1]))
		return HV_STATUS_INVALID_INPUT;
	if (extended ? !input_set(c, 8, &set) : c->header_words || !input(c, 8, &set.bank[0], 8))
		return HV_STATUS_INVALID_INPUT;
	if (extended && is_empty(&set))
		return HV_STATUS_SUCCESS;
	if (head[0] < FIRST_IPI_VECTOR || head[0] > LAST_IPI_VECTOR)
		return HV_STATUS_INVALID_INPUT;
	send(c, &set, (u8)head[0]);
	return HV_STATUS_SUCCESS;
}

/* --- events and messages ------------------------------------------------------------------------------------------- */

struct hyperv_connections {
	u32 nr;
	struct {
		u32 id;
		struct host_eventfd *event;
	} c[];
};

static u64 post_message(const struct call *c)
{
	/* Without the controller user space has nothing to answer with. */
	if (c->reps || c->first_rep || c->header_words || !hyperv_synic_active(c->v))
		return HV_STATUS_INVALID_INPUT;
	return ASK_USER;
}

/* The connection's number; from 32 on, the flag's; the rest is reserved. */
static u64 event_parameter(const struct call *c, u64 *param)
{
	*param = c->in;
	if (c->fast)
		return HV_STATUS_SUCCESS;
	if (c->in & 7 || vm_read_guest(c->v->vm, c->in, param, sizeof(*param)))
		return HV_STATUS_INVALID_ALIGNMENT;
	return HV_STATUS_SUCCESS;
}

/* Flags other than the first, and connections without an eventfd, are user space's. */
static u64 signal_eventfd(const struct call *c)
{
	const struct hyperv_connections *t;
	u64 param, status = event_parameter(c, &param);
	u32 i;

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (param & 0xffff00000000ull)
		return HV_STATUS_INVALID_PORT_ID;
	if (param & ~(u64)KVM_HYPERV_CONN_ID_MASK)
		return HV_STATUS_INVALID_INPUT;
	t = __atomic_load_n(&c->v->vm->hv.connections, __ATOMIC_ACQUIRE);
	for (i = 0; t && i < t->nr; i++) {
		if (t->c[i].id == param) {
			host_eventfd_signal(t->c[i].event);
			return HV_STATUS_SUCCESS;
		}
	}
	return HV_STATUS_INVALID_PORT_ID;
}

static u64 signal_event(const struct call *c)
{
	u64 status;

	if (c->reps || c->first_rep || c->header_words)
		return HV_STATUS_INVALID_INPUT;
	status = signal_eventfd(c);
	return status == HV_STATUS_INVALID_PORT_ID ? post_message(c) : status;
}

static u64 debug(const struct call *c)
{
	if (c->fast && c->code != HVCALL_RESET_DEBUG_SESSION)
		return HV_STATUS_INVALID_INPUT;
	if (!hyperv_debug_enabled(c->v))
		return HV_STATUS_INVALID_CODE;
	return hyperv_debug_by_calls(c->v) ? ASK_USER : HV_STATUS_OPERATION_DENIED;
}

/* A copy of old with room for one more, or without the one at index drop. */
static struct hyperv_connections *copy_connections(const struct hyperv_connections *old, u32 drop)
{
	u32 nr = old ? old->nr : 0, i;
	struct hyperv_connections *t = host_alloc(sizeof(*t) + (nr + 1) * sizeof(t->c[0]));

	for (i = 0; t && i < nr; i++)
		if (i != drop)
			t->c[t->nr++] = old->c[i];
	return t;
}

/* Under vm->lock. e: NULL, or the event of a new connection. */
static int change_connection(struct vm *vm, u32 id, struct host_eventfd *e)
{
	struct hyperv_connections *old = vm->hv.connections, *t;
	u32 nr = old ? old->nr : 0, at;

	for (at = 0; at < nr && old->c[at].id != id; at++)
		;
	if (e ? at < nr : at == nr)
		return e ? -EEXIST : -ENOENT;
	t = copy_connections(old, at);
	if (!t)
		return -ENOMEM;
	if (e) {
		t->c[t->nr].id = id;
		t->c[t->nr++].event = e;
	}
	__atomic_store_n(&vm->hv.connections, t, __ATOMIC_SEQ_CST);
	host_srcu_synchronize(&vm->srcu);
	if (!e)
		host_eventfd_put(old->c[at].event);
	host_free(old);
	return 0;
}

int hyperv_eventfd(struct vm *vm, const struct kvm_hyperv_eventfd *args)
{
	struct host_eventfd *e = NULL;
	int r;

	if (args->flags & ~KVM_HYPERV_EVENTFD_DEASSIGN || args->conn_id & ~KVM_HYPERV_CONN_ID_MASK)
		return -EINVAL;
	if (!(args->flags & KVM_HYPERV_EVENTFD_DEASSIGN)) {
		r = host_eventfd_get(args->fd, &e);
		if (r)
			return r;
	}
	host_mutex_lock(&vm->lock);
	r = change_connection(vm, args->conn_id, e);
	host_mutex_unlock(&vm->lock);
	if (r && e)
		host_eventfd_put(e);
	return r;
}

void hyperv_vm_destroy(struct vm *vm)
{
	struct hyperv_connections *t = vm->hv.connections;
	u32 i;

	for (i = 0; t && i < t->nr; i++)
		host_eventfd_put(t->c[i].event);
	host_free(t);
}

/* --- dispatch --------------------------------------------------------------------------------------------------------- */

bool hyperv_hypercalls(const struct vcpu *v)
{
	return v->hv.enabled && __atomic_load_n(&v->vm->hv.os_id, __ATOMIC_RELAXED);
}

/* KVM_CAP_HYPERV_ENFORCE_CPUID. */
static bool may_call(const struct vcpu *v, u32 code)
{
	u32 recommended = v->hv.recommended, ex = HV_RECOMMEND_EX_MASKS;

	if (!v->hv.enforce)
		return true;
	switch (code) {
	case HVCALL_LONG_SPIN_WAIT: return v->hv.spins && v->hv.spins != SPINS_NEVER;
	case HVCALL_POST_MESSAGE: return v->hv.features_ebx & HV_EBX_POST_MESSAGES;
	case HVCALL_SIGNAL_EVENT: return v->hv.features_ebx & HV_EBX_SIGNAL_EVENTS;
	case HVCALL_FLUSH_SPACE:
	case HVCALL_FLUSH_LIST: return recommended & HV_RECOMMEND_REMOTE_FLUSH;
	case HVCALL_FLUSH_SPACE_EX:
	case HVCALL_FLUSH_LIST_EX: return recommended & HV_RECOMMEND_REMOTE_FLUSH && recommended & ex;
	/* A debugger that is not there is an unknown call. */
	case HVCALL_POST_DEBUG_DATA:
	case HVCALL_RETRIEVE_DEBUG_DATA:
	case HVCALL_RESET_DEBUG_SESSION: return !hyperv_debug_enabled(v) || v->hv.features_ebx & HV_EBX_DEBUGGING;
	case HVCALL_SEND_IPI: return recommended & HV_RECOMMEND_CLUSTER_IPI;
	case HVCALL_SEND_IPI_EX: return recommended & HV_RECOMMEND_CLUSTER_IPI && recommended & ex;
	default: return true;
	}
}

/* Does the input of this call, passed in registers, reach into the vector registers? */
static bool takes_vectors(u32 code)
{
	return (code >= HVCALL_FLUSH_SPACE_EX && code <= HVCALL_SEND_IPI_EX) || code == HVCALL_FLUSH_SPACE ||
	       code == HVCALL_FLUSH_LIST;
}

static u64 call(struct call *c)
{
	struct vcpu *v = c->v;

	if (!may_call(v, c->code))
		return HV_STATUS_ACCESS_DENIED;
	if (c->control & CONTROL_RESERVED)
		return HV_STATUS_INVALID_INPUT;
	c->block[0] = c->in;
	c->block[1] = c->out;
	if (c->fast && takes_vectors(c->code)) {
		if (v->hv.enforce && !(v->hv.features_edx & HV_EDX_XMM_INPUT))
			return RAISE_UD;
		vcpu_get_xmm(v, &c->block[2], 6);
	}
	switch (c->code) {
	case HVCALL_FLUSH_SPACE: return flush(c, false, false);
	case HVCALL_FLUSH_LIST: return flush(c, true, false);
	case HVCALL_FLUSH_SPACE_EX: return flush(c, false, true);
	case HVCALL_FLUSH_LIST_EX: return flush(c, true, true);
	case HVCALL_LONG_SPIN_WAIT: return long_spin_wait(c);
	case HVCALL_SEND_IPI: return send_ipi(c, false);
	case HVCALL_SEND_IPI_EX: return send_ipi(c, true);
	case HVCALL_POST_MESSAGE: return post_message(c);
	case HVCALL_SIGNAL_EVENT: return signal_event(c);
	case HVCALL_POST_DEBUG_DATA:
	case HVCALL_RETRIEVE_DEBUG_DATA:
	case HVCALL_RESET_DEBUG_SESSION: return debug(c);
	default: return HV_STATUS_INVALID_CODE;
	}
}

void hyperv_call_result(struct vcpu *v, u64 result)
{
	u64 *g = v->state.gpr;

	if (v->state.mode == X86_MODE_LONG) {
		g[X86_RAX] = result;
	} else {
		g[X86_RAX] = (u32)result;
		g[X86_RDX] = result >> 32;
	}
}

static enum x86_result ask_user(const struct call *c)
{
	struct kvm_hyperv_exit *e = hyperv_exit(c->v, KVM_EXIT_HYPERV_HCALL, IO_HYPERV_CALL);

	e->u.hcall.input = c->control;
	e->u.hcall.params[0] = c->in;
	e->u.hcall.params[1] = c->out;
	return X86_EXIT;
}

static void decode(struct call *c, const struct x86_state *s)
{
	const u64 *g = s->gpr;

	if (s->mode == X86_MODE_LONG) {
		c->control = g[X86_RCX];
		c->in = g[X86_RDX];
		c->out = g[X86_R8];
	} else {
		/* The highest bit of EAX only tells the call from Xen's. */
		c->control = g[X86_RDX] << 32 | ((u32)g[X86_RAX] & ~(xen_hypercalls(c->v->vm) ? 0x80000000u : 0));
		c->in = g[X86_RBX] << 32 | (u32)g[X86_RCX];
		c->out = g[X86_RDI] << 32 | (u32)g[X86_RSI];
	}
	c->code = (u16)c->control;
	c->fast = c->control & CONTROL_FAST;
	c->header_words = c->control >> 17 & 0x3ff;
	c->reps = c->control >> 32 & 0xfff;
	c->first_rep = c->control >> 48 & 0xfff;
}

enum x86_result hyperv_hypercall(struct vcpu *v)
{
	struct x86_state *s = &v->state;
	struct call c = { .v = v };
	u64 result;

	if (s->cpl || !(s->cr0 & CR0_PE))
		return x86_raise(s, X86_EXC_UD);
	decode(&c, s);
	result = call(&c);
	if (result == RAISE_UD)
		return x86_raise(s, X86_EXC_UD);
	v->stat->hypercalls++;
	if (result == ASK_USER)
		return ask_user(&c);
	hyperv_call_result(v, result);
	/* What it has asked for comes before the guest's next instruction. */
	return __atomic_load_n(&v->requests, __ATOMIC_RELAXED) & REQ_FLUSH_WAIT ? X86_EXIT : X86_OK;
}
