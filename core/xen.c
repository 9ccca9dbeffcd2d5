/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guests of Xen: the hypercall page, hypercalls, the attributes that user space sets. */
#include "irqchip.h"
#include "xen.h"

#define PAGE_BYTES 4096u
#define CALL_BYTES 32u /* of the hypercall page for each call */
#define FIRST_VECTOR 0x10

enum {
	XEN_SET_TIMER_OP = 15,
	XEN_VERSION = 17,
	XEN_VCPU_OP = 24,
	XEN_SCHED_OP = 29,
	XEN_EVENT_CHANNEL_OP = 32,
};
#define XENVER_VERSION 0
#define EVTCHNOP_SEND 4
#define SCHEDOP_YIELD 0
#define SCHEDOP_POLL 3
/* A hypercall of Hyper-V where both are there. */
#define CALL_IS_HYPERV 0x80000000u

/* --- the hypercall page ---------------------------------------------------------------------------------------- */

int xen_config(struct vm *vm, const struct kvm_xen_hvm_config *c)
{
	if (c->flags & ~(KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND))
		return -EINVAL;
	/* The page is made here, or given, not both. */
	if (c->flags & KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL &&
	    (c->blob_addr_32 || c->blob_addr_64 || c->blob_size_32 || c->blob_size_64))
		return -EINVAL;
	host_mutex_lock(&vm->lock);
	vm->xen.blob[0] = c->blob_addr_32;
	vm->xen.blob[1] = c->blob_addr_64;
	vm->xen.blob_pages[0] = c->blob_size_32;
	vm->xen.blob_pages[1] = c->blob_size_64;
	__atomic_store_n(&vm->xen.flags, c->flags, __ATOMIC_RELEASE);
	__atomic_store_n(&vm->xen.msr, c->msr, __ATOMIC_RELEASE);
	host_mutex_unlock(&vm->lock);
	return 0;
}

static bool has_flag(const struct vm *vm, u32 flag)
{
	return __atomic_load_n(&vm->xen.flags, __ATOMIC_ACQUIRE) & flag;
}

bool xen_hypercalls(const struct vm *vm)
{
	return has_flag(vm, KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL);
}

/* mov eax, number; vmcall; ret */
static int make_page(struct vcpu *v, u64 gpa)
{
	u8 code[CALL_BYTES] = { 0xb8, 0, 0, 0, 0, 0x0f, 0x01, v->state.vendor_amd ? 0xd9 : 0xc1, 0xc3 };
	u32 i;

	memset(code + 9, 0xcc, sizeof(code) - 9);
	for (i = 0; i < PAGE_BYTES / CALL_BYTES; i++) {
		code[1] = (u8)i;
		if (vcpu_write_guest(v, gpa + i * CALL_BYTES, code, sizeof(code)))
			return MSR_INVALID;
	}
	return MSR_OK;
}

static int copy_page(struct vcpu *v, u64 gpa, u32 page, bool wide)
{
	const struct vm *vm = v->vm;
	u8 piece[256];
	u32 at;

	if (page >= vm->xen.blob_pages[wide])
		return MSR_INVALID;
	for (at = 0; at < PAGE_BYTES; at += sizeof(piece)) {
		u64 from = vm->xen.blob[wide] + (u64)page * PAGE_BYTES + at;

		if (host_copy_from_user(piece, (void *)(unsigned long)from, sizeof(piece)) ||
		    vcpu_write_guest(v, gpa + at, piece, sizeof(piece)))
			return MSR_INVALID;
	}
	return MSR_OK;
}

int xen_write_hypercall_page(struct vcpu *v, u64 val)
{
	u64 gpa = val & X86_PAGE_MASK;
	bool wide = v->state.efer & X86_EFER_LMA;
	u32 page = (u32)(val & ~X86_PAGE_MASK);
	int r;

	/* From here on the guest's structures have the layout of its mode. */
	__atomic_store_n(&v->vm->xen.long_mode, wide, __ATOMIC_RELEASE);
	if (xen_hypercalls(v->vm))
		r = page ? MSR_INVALID : make_page(v, gpa);
	else
		r = copy_page(v, gpa, page, wide);
	vcpu_request(v, REQ_EVENT); /* new code: the engine looks anew when it is entered */
	return r;
}

/* --- hypercalls -------------------------------------------------------------------------------------------------- */

bool xen_read_virtual(struct vcpu *v, u64 lin, void *buf, u32 size)
{
	struct x86_translation t;

	vcpu_get_state(v, STATE_ALL);
	while (size) {
		u32 in_page = PAGE_BYTES - (u32)(lin & (PAGE_BYTES - 1)), n = size < in_page ? size : in_page;

		if (x86_translate(&v->state, MMU_SUPER, lin, ACC_READ, 0, &t) != X86_OK ||
		    vm_read_guest(v->vm, t.gpa, buf, n))
			return false;
		lin += n;
		buf = (u8 *)buf + n;
		size -= n;
	}
	return true;
}

static bool sched_op(struct vcpu *v, const u64 *p, bool wide, s64 *ret)
{
	switch (p[0]) {
	case SCHEDOP_POLL:
		return v->lapic && has_flag(v->vm, KVM_XEN_HVM_CONFIG_EVTCHN_SEND) && xen_poll(v, p[1], wide, ret);
	case SCHEDOP_YIELD:
		host_yield();
		*ret = 0;
		return true;
	default: return false;
	}
}

/* False: user space's. */
static bool handled(struct vcpu *v, u64 nr, const u64 *p, bool wide, s64 *ret)
{
	u32 version;

	switch (nr) {
	case XEN_VERSION:
		version = __atomic_load_n(&v->vm->xen.version, __ATOMIC_RELAXED);
		*ret = version;
		return p[0] == XENVER_VERSION && version;
	case XEN_EVENT_CHANNEL_OP: return p[0] == EVTCHNOP_SEND && xen_send(v, p[1], ret);
	case XEN_SCHED_OP: return sched_op(v, p, wide, ret);
	case XEN_VCPU_OP: return xen_vcpu_op(v, p[0], p[1], p[2], wide, ret);
	/* 32-bit guests pass the time in two halves. */
	case XEN_SET_TIMER_OP: return xen_set_timer(v, wide ? p[0] : p[0] | p[1] << 32, ret);
	default: return false;
	}
}

static void parameters(const struct x86_state *s, bool wide, u64 *p)
{
	static const u8 regs[2][6] = {
		{ X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RBP },
		{ X86_RDI, X86_RSI, X86_RDX, X86_R10, X86_R8, X86_R9 },
	};
	u32 i;

	for (i = 0; i < 6; i++)
		p[i] = wide ? s->gpr[regs[1][i]] : (u32)s->gpr[regs[0][i]];
}

static enum x86_result ask_user(struct vcpu *v, u64 nr, const u64 *p, bool wide)
{
	struct kvm_xen_exit *e = &v->run->xen;

	v->io.pending = IO_XEN_CALL;
	v->run->exit_reason = KVM_EXIT_XEN;
	memset(e, 0, sizeof(*e));
	e->type = KVM_EXIT_XEN_HCALL;
	e->u.hcall.longmode = wide;
	e->u.hcall.cpl = v->state.cpl;
	e->u.hcall.input = nr;
	memcpy(e->u.hcall.params, p, sizeof(e->u.hcall.params));
	return X86_EXIT;
}

enum x86_result xen_hypercall(struct vcpu *v)
{
	struct x86_state *s = &v->state;
	bool wide = s->mode == X86_MODE_LONG;
	u64 nr = wide ? s->gpr[X86_RAX] : (u32)s->gpr[X86_RAX], p[6];
	s64 ret = 0;

	if (nr & CALL_IS_HYPERV && hyperv_hypercalls(v))
		return hyperv_hypercall(v);
	v->stat->hypercalls++;
	parameters(s, wide, p);
	/* From user mode only what user space allows. */
	if (s->cpl || !handled(v, nr, p, wide, &ret))
		return ask_user(v, nr, p, wide);
	s->gpr[X86_RAX] = (u64)ret;
	return s->halted ? X86_EXIT : X86_OK;
}

/* --- attributes of the VM -------------------------------------------------------------------------------------------- */

static bool bad_vector(u8 vector)
{
	return vector && vector < FIRST_VECTOR;
}

static int set_shared_info(struct vm *vm, u64 gfn)
{
	struct vcpu *writer;
	u64 gpa = gfn << 12;
	int idx, r = 0;

	if (gfn == XEN_NOWHERE) {
		__atomic_store_n(&vm->xen.shared_info, XEN_NOWHERE, __ATOMIC_RELEASE);
		return 0;
	}
	if (gpa >> 12 != gfn)
		return -EINVAL;
	idx = host_srcu_read_lock(&vm->srcu);
	/* The page is exempt from dirty logs; any vCPU will do. */
	writer = vm_nr_vcpus(vm) ? vm->vcpu[0] : NULL;
	if (writer)
		r = xen_write_wall_clock(writer, gpa);
	host_srcu_read_unlock(&vm->srcu, idx);
	if (!r)
		__atomic_store_n(&vm->xen.shared_info, gpa, __ATOMIC_RELEASE);
	return r;
}

static int set_vm_attr(struct vm *vm, const struct kvm_xen_hvm_attr *a)
{
	switch (a->type) {
	case KVM_XEN_ATTR_TYPE_LONG_MODE:
		if (a->u.long_mode > 1)
			return -EINVAL;
		__atomic_store_n(&vm->xen.long_mode, a->u.long_mode, __ATOMIC_RELEASE);
		return 0;
	case KVM_XEN_ATTR_TYPE_SHARED_INFO: return set_shared_info(vm, a->u.shared_info.gfn);
	case KVM_XEN_ATTR_TYPE_UPCALL_VECTOR:
		if (bad_vector(a->u.vector))
			return -EINVAL;
		__atomic_store_n(&vm->xen.vector, a->u.vector, __ATOMIC_RELEASE);
		return 0;
	case KVM_XEN_ATTR_TYPE_EVTCHN: return xen_set_port(vm, a);
	case KVM_XEN_ATTR_TYPE_XEN_VERSION:
		__atomic_store_n(&vm->xen.version, a->u.xen_version, __ATOMIC_RELAXED);
		return 0;
	default: return -ENOENT;
	}
}

static int get_vm_attr(struct vm *vm, struct kvm_xen_hvm_attr *a)
{
	u64 gpa = vm->xen.shared_info;

	switch (a->type) {
	case KVM_XEN_ATTR_TYPE_LONG_MODE: a->u.long_mode = vm->xen.long_mode; return 0;
	case KVM_XEN_ATTR_TYPE_SHARED_INFO:
		a->u.shared_info.gfn = gpa == XEN_NOWHERE ? XEN_NOWHERE : gpa >> 12;
		return 0;
	case KVM_XEN_ATTR_TYPE_UPCALL_VECTOR: a->u.vector = vm->xen.vector; return 0;
	case KVM_XEN_ATTR_TYPE_XEN_VERSION: a->u.xen_version = vm->xen.version; return 0;
	default: return -ENOENT;
	}
}

int xen_vm_attr(struct vm *vm, struct kvm_xen_hvm_attr *a, bool set)
{
	int r;

	host_mutex_lock(&vm->lock);
	r = set ? set_vm_attr(vm, a) : get_vm_attr(vm, a);
	host_mutex_unlock(&vm->lock);
	return r;
}

/* --- attributes of a vCPU ---------------------------------------------------------------------------------------------- */

/* A structure of this size, aligned for atomic access, within a page; or nowhere. */
static bool place_ok(u64 gpa, u32 size)
{
	return gpa == XEN_NOWHERE || (!(gpa & 7) && (gpa & (PAGE_BYTES - 1)) + size <= PAGE_BYTES);
}

#define INFO_BYTES 64
#define TIME_BYTES 32
#define RUNSTATE_BYTES 48

static int set_timer_attr(struct vcpu *v, const struct kvm_xen_vcpu_attr *a)
{
	if (a->u.timer.port && a->u.timer.priority != KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL)
		return -EINVAL;
	if (a->u.timer.port >= xen_max_ports(v->vm))
		return -EINVAL;
	v->xen->timer_port = a->u.timer.port;
	xen_start_timer(v, a->u.timer.port ? a->u.timer.expires_ns : 0);
	return 0;
}

static int set_clock_place(struct vcpu *v, u64 *place, u64 gpa, u32 size)
{
	if (!place_ok(gpa, size))
		return -EINVAL;
	__atomic_store_n(place, gpa, __ATOMIC_RELEASE);
	vcpu_request(v, REQ_CLOCK_UPDATE);
	return 0;
}

static int set_runstate_place(struct vcpu *v, u64 gpa)
{
	if (!place_ok(gpa, RUNSTATE_BYTES))
		return -EINVAL;
	v->xen->runstate = gpa;
	return 0;
}

static int set_vcpu_attr(struct vcpu *v, const struct kvm_xen_vcpu_attr *a)
{
	struct xen_vcpu *x = v->xen;

	switch (a->type) {
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO: return set_clock_place(v, &x->info, a->u.gpa, INFO_BYTES);
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO: return set_clock_place(v, &x->time_info, a->u.gpa, TIME_BYTES);
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR: return set_runstate_place(v, a->u.gpa);
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST: return xen_set_runstate(v, a);
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID:
		if (a->u.vcpu_id >= VM_MAX_VCPUS)
			return -EINVAL;
		x->id = a->u.vcpu_id;
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_TIMER: return set_timer_attr(v, a);
	case KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR:
		if (bad_vector(a->u.vector))
			return -EINVAL;
		__atomic_store_n(&x->vector, a->u.vector, __ATOMIC_RELAXED);
		return 0;
	default: return -ENOENT;
	}
}

static int get_vcpu_attr(struct vcpu *v, struct kvm_xen_vcpu_attr *a)
{
	const struct xen_vcpu *x = v->xen;

	switch (a->type) {
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO: a->u.gpa = x->info; return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO: a->u.gpa = x->time_info; return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR: a->u.gpa = x->runstate; return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT: a->u.runstate.state = x->state; return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
		a->u.runstate.state = x->state;
		a->u.runstate.state_entry_time = x->entered;
		a->u.runstate.time_running = x->times[0];
		a->u.runstate.time_runnable = x->times[1];
		a->u.runstate.time_blocked = x->times[2];
		a->u.runstate.time_offline = x->times[3];
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST: return -EINVAL;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID: a->u.vcpu_id = x->id; return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_TIMER:
		a->u.timer.port = x->timer_port;
		a->u.timer.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
		a->u.timer.expires_ns = __atomic_load_n(&x->timer_expires, __ATOMIC_ACQUIRE);
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR: a->u.vector = x->vector; return 0;
	default: return -ENOENT;
	}
}

int xen_vcpu_attr(struct vcpu *v, struct kvm_xen_vcpu_attr *a, bool set)
{
	return set ? set_vcpu_attr(v, a) : get_vcpu_attr(v, a);
}

/* --- life ------------------------------------------------------------------------------------------------------------------ */

void xen_vm_init(struct vm *vm)
{
	vm->xen.shared_info = XEN_NOWHERE;
}

void xen_vm_destroy(struct vm *vm)
{
	xen_free_ports(vm);
}

int xen_create(struct vcpu *v)
{
	struct xen_vcpu *x = host_alloc(sizeof(*x));

	if (!x)
		return -ENOMEM;
	v->xen = x;
	x->info = x->time_info = x->runstate = XEN_NOWHERE;
	x->state = XEN_OFFLINE;
	x->id = v->index;
	xen_timers_create(v);
	return 0;
}

void xen_destroy(struct vcpu *v)
{
	if (!v->xen)
		return;
	xen_timers_destroy(v);
	host_free(v->xen);
}
