/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Reading and writing MSRs by the table, their ioctls, and the VM's filters. */
#include "msr_table.h"

#define MAX_IO_MSRS 256
#define X2APIC_FIRST 0x800
#define X2APIC_LAST 0x8ff
#define FILTER_MAX_BYTES 0x600

const struct msr_desc *msr_find(u32 index)
{
	u32 lo = 0, hi = msr_table_size;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (msr_table[mid].last < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < msr_table_size && msr_table[lo].first <= index ? &msr_table[lo] : NULL;
}

bool msr_exists(const struct msr_desc *d)
{
	if (d->flags & MSR_INTEL)
		return !cpuid_host_is_amd();
	return !(d->flags & MSR_AMD) || cpuid_host_is_amd();
}

u64 *msr_storage(struct vcpu *v, const struct msr_desc *d)
{
	u8 *base = d->where == AT_VCPU ? (u8 *)v : (u8 *)v->msrs;

	return (u64 *)(void *)(base + d->offset);
}

/* A guest that uses one MSR often, the x2APIC's or the timer's, pays for the look-up once. */
static const struct msr_desc *find_again(struct vcpu *v, u32 index)
{
	const struct msr_desc *d = v->msrs->recent;

	if (d && index >= d->first && index <= d->last)
		return d;
	d = msr_find(index);
	v->msrs->recent = d;
	return d;
}

/* The descriptor, if the access may be tried at all; else *r says why not. */
static const struct msr_desc *accessible(struct vcpu *v, u32 index, bool host, int *r)
{
	const struct msr_desc *d = find_again(v, index);

	*r = MSR_UNKNOWN;
	if (!d || !msr_exists(d))
		return NULL;
	if (d->pv && v->pv_enforce && !(v->pv_features >> (d->pv - 1) & 1))
		return NULL;
	*r = MSR_INVALID;
	return !host && d->flags & MSR_HOST_ONLY ? NULL : d;
}

int vcpu_get_msr(struct vcpu *v, u32 index, u64 *val, bool host)
{
	int r;
	const struct msr_desc *d = accessible(v, index, host, &r);

	*val = 0;
	if (!d)
		return r;
	if (d->state)
		vcpu_get_state(v, d->state);
	if (d->read)
		return d->read(v, d, index, val, host);
	switch ((enum msr_where)d->where) {
	case CONSTANT: *val = d->value; return MSR_OK;
	case AT_VCPU:
	case AT_MSRS: *val = *msr_storage(v, d); return MSR_OK;
	case AT_NOWHERE: break;
	}
	return MSR_UNKNOWN;
}

static int store(struct vcpu *v, const struct msr_desc *d, u64 val)
{
	if (d->where != AT_VCPU && d->where != AT_MSRS)
		return MSR_UNKNOWN;
	if (val & ~d->writable)
		return MSR_INVALID;
	if (d->flags & MSR_CANONICAL && !x86_canonical(&v->state, val))
		return MSR_INVALID;
	*msr_storage(v, d) = val;
	return MSR_OK;
}

int vcpu_set_msr(struct vcpu *v, u32 index, u64 val, bool host)
{
	int r;
	const struct msr_desc *d;

	/* User space has chosen the number, which may be that of another MSR. */
	if (unlikely(index && index == __atomic_load_n(&v->vm->xen.msr, __ATOMIC_ACQUIRE)))
		return xen_write_hypercall_page(v, val);
	d = accessible(v, index, host, &r);
	if (!d)
		return r;
	if (d->flags & MSR_WRITE_IGNORED || (!host && d->flags & MSR_GUEST_IGNORED))
		return MSR_OK;
	if (!host && d->flags & MSR_GUEST_RO)
		return MSR_INVALID;
	if (d->state)
		vcpu_get_state(v, d->state | (d->flags & MSR_CANONICAL ? STATE_CR : 0));
	r = d->write ? d->write(v, d, index, val, host) : store(v, d, val);
	if (r == MSR_OK && d->state)
		vcpu_put_state(v, d->state);
	return r;
}

/* --- a vCPU's values --------------------------------------------------------------------------------- */

int msrs_create(struct vcpu *v)
{
	v->msrs = host_alloc(sizeof(*v->msrs));
	if (!v->msrs)
		return -ENOMEM;
	msrs_reset(v, false);
	return 0;
}

void msrs_reset(struct vcpu *v, bool init)
{
	u32 i;

	/* INIT leaves MSRs alone (SDM, "Processor State After Reset"). */
	if (init)
		return;
	v->spec_ctrl = 0;
	memset(v->msrs, 0, sizeof(*v->msrs));
	for (i = 0; i < msr_table_size; i++) {
		const struct msr_desc *d = &msr_table[i];

		if (d->where == AT_MSRS)
			*msr_storage(v, d) = d->feature ? d->feature(v->vm->engine) : d->value;
	}
}

void msrs_destroy(struct vcpu *v)
{
	host_free(v->msrs);
	v->msrs = NULL;
}

/* --- KVM_GET_MSRS, KVM_SET_MSRS ------------------------------------------------------------------------ */

static int get_feature(const struct engine_ops *engine, u32 index, u64 *val)
{
	const struct msr_desc *d = msr_find(index);

	if (!d || !d->feature || !msr_exists(d))
		return MSR_UNKNOWN;
	*val = d->feature(engine);
	return MSR_OK;
}

/* How many were done before the first that failed. */
static u32 do_msrs(struct vcpu *v, const struct engine_ops *engine, struct kvm_msr_entry *e, u32 n, bool set)
{
	u32 i;
	int r;

	for (i = 0; i < n; i++) {
		u64 val = e[i].data;

		if (set)
			r = vcpu_set_msr(v, e[i].index, val, true);
		else if (v)
			r = vcpu_get_msr(v, e[i].index, &val, true);
		else
			r = get_feature(engine, e[i].index, &val);
		if (r != MSR_OK)
			break;
		e[i].data = val;
	}
	return i;
}

/* v NULL: the engine's feature MSRs. */
static long msrs_ioctl(struct vcpu *v, const struct engine_ops *engine, unsigned long arg, bool set)
{
	void *user = (void *)(arg + offsetof(struct kvm_msrs, entries));
	struct kvm_msr_entry *e;
	struct kvm_msrs head;
	size_t size;
	long r, done;

	if (host_copy_from_user(&head, (void *)arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MAX_IO_MSRS)
		return -E2BIG;
	if (!head.nmsrs)
		return 0;
	size = head.nmsrs * sizeof(*e);
	e = host_alloc(size);
	if (!e)
		return -ENOMEM;
	r = host_copy_from_user(e, user, size);
	if (!r) {
		done = do_msrs(v, engine, e, head.nmsrs, set);
		if (!set)
			r = host_copy_to_user(user, e, size);
		if (!r)
			r = done;
	}
	host_free(e);
	return r;
}

long msr_ioctl(struct vcpu *v, unsigned long arg, bool set)
{
	return msrs_ioctl(v, v->vm->engine, arg, set);
}

long msr_features_ioctl(const struct engine_ops *engine, unsigned long arg)
{
	return msrs_ioctl(NULL, engine, arg, false);
}

/* --- index lists ------------------------------------------------------------------------------------- */

static bool in_list(const struct msr_desc *d, u16 flag, bool features)
{
	if (!msr_exists(d))
		return false;
	return features ? d->feature != NULL : d->flags & flag;
}

/* Append the list's indices, or only count them where user is 0. */
static int list_part(u16 flag, bool features, unsigned long user, u32 *nr)
{
	u32 i;

	for (i = 0; i < msr_table_size; i++) {
		const struct msr_desc *d = &msr_table[i];

		if (!in_list(d, flag, features))
			continue;
		if (user && host_copy_to_user((void *)(user + *nr * sizeof(u32)), &d->first, sizeof(u32)))
			return -EFAULT;
		++*nr;
	}
	return 0;
}

static int list_all(bool features, unsigned long user, u32 *nr)
{
	int r = list_part(MSR_SAVED, features, user, nr);

	if (!r && !features)
		r = list_part(MSR_EMULATED, false, user, nr);
	return r;
}

int msr_list_ioctl(unsigned long arg, bool features)
{
	struct kvm_msr_list head;
	u32 room, nr = 0;

	if (host_copy_from_user(&head, (void *)arg, sizeof(head)))
		return -EFAULT;
	room = head.nmsrs;
	head.nmsrs = 0;
	list_all(features, 0, &head.nmsrs);
	if (host_copy_to_user((void *)arg, &head, sizeof(head)))
		return -EFAULT;
	if (room < head.nmsrs)
		return -E2BIG;
	return list_all(features, arg + offsetof(struct kvm_msr_list, indices), &nr);
}

/* --- filters (KVM_X86_SET_MSR_FILTER) ------------------------------------------------------------------ */

struct msr_filter {
	bool default_allow;
	u32 nr;
	struct {
		u32 flags, base, nmsrs;
		u8 *bitmap;
	} range[KVM_MSR_FILTER_MAX_RANGES];
};

bool vcpu_msr_allowed(struct vcpu *v, u32 index, bool write)
{
	const struct msr_filter *f = __atomic_load_n(&v->vm->msr_filter, __ATOMIC_ACQUIRE);
	u32 kind = write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ, i;

	/* The x2APIC's registers cannot be filtered. */
	if (!f || (index >= X2APIC_FIRST && index <= X2APIC_LAST))
		return true;
	for (i = 0; i < f->nr; i++) {
		u32 bit = index - f->range[i].base;

		if (index >= f->range[i].base && bit < f->range[i].nmsrs && f->range[i].flags & kind)
			return f->range[i].bitmap[bit / 8] >> (bit % 8) & 1;
	}
	return f->default_allow;
}

void msr_filter_free(struct msr_filter *f)
{
	u32 i;

	for (i = 0; f && i < f->nr; i++)
		host_free(f->range[i].bitmap);
	host_free(f);
}

static int filter_add(struct msr_filter *f, const struct kvm_msr_filter_range *r)
{
	size_t size = (r->nmsrs + 63ull) / 64 * 8;

	if (!r->nmsrs)
		return 0;
	if (!r->flags || r->flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE) || size > FILTER_MAX_BYTES)
		return -EINVAL;
	f->range[f->nr].flags = r->flags;
	f->range[f->nr].base = r->base;
	f->range[f->nr].nmsrs = r->nmsrs;
	f->range[f->nr].bitmap = host_alloc(size);
	if (!f->range[f->nr].bitmap)
		return -ENOMEM;
	return host_copy_from_user(f->range[f->nr++].bitmap, r->bitmap, size);
}

static int filter_fill(struct msr_filter *f, const struct kvm_msr_filter *in)
{
	u32 i;
	int r = 0;

	f->default_allow = !(in->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES && !r; i++)
		r = filter_add(f, &in->ranges[i]);
	/* To deny everything is surely a mistake. */
	return !r && !f->nr && !f->default_allow ? -EINVAL : r;
}

int msr_set_filter(struct vm *vm, const struct kvm_msr_filter *in)
{
	struct msr_filter *f, *old;
	int r;

	if (in->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	f = host_alloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	r = filter_fill(f, in);
	if (r) {
		msr_filter_free(f);
		return r;
	}
	host_mutex_lock(&vm->slots_lock);
	old = vm->msr_filter;
	__atomic_store_n(&vm->msr_filter, f, __ATOMIC_SEQ_CST);
	/* Whoever runs now must look at the new filter before the ioctl returns. */
	vm_request_all(vm, REQ_SETTINGS);
	host_srcu_synchronize(&vm->srcu);
	host_mutex_unlock(&vm->slots_lock);
	msr_filter_free(old);
	return 0;
}
