/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The guest's time stamp counter and the VM's kvmclock.
 *
 * guest TSC = (host TSC * ratio >> 32) + offset. kvmclock = host TSC since the VM's creation in nanoseconds
 * + offset. Both come from the one host TSC, so a guest that computes kvmclock from its TSC and the page of
 * pv.c gets the same value on each vCPU, provided that all vCPUs have the same offset (clock_stable).
 */
#include "irqchip.h"
#include "parts.h"

#define NS_PER_SEC 1000000000ull
#define RATIO_MAX (1ull << 40)
#define TOLERANCE_PPM 250

u64 clock_scale_tsc(u64 tsc, u64 ratio)
{
	return ratio == TSC_RATIO_ONE ? tsc : (u64)((u128)tsc * ratio >> 32);
}

u32 clock_guest_khz(const struct vcpu *v)
{
	return (u32)((host_tsc_khz() * (u128)v->tsc_ratio + (1u << 31)) >> 32);
}

u64 vcpu_read_tsc(struct vcpu *v)
{
	s64 offset = __atomic_load_n(&v->tsc_offset, __ATOMIC_RELAXED);

	return clock_scale_tsc(host_tsc(), v->tsc_ratio) + (u64)offset;
}

/*
 * ns = (cycles << shift) * mul >> 32 (a negative shift is to the right): the format of the pvclock page.
 * The multiplier keeps 32 significant bits: 1/2 <= mul / 2^32 < 1.
 */
void clock_scale(u32 khz, s8 *shift, u32 *mul)
{
	u64 scaled = NS_PER_SEC, base = (u64)khz * 1000;
	s8 sh = 0;

	while (base > scaled * 2 || base >> 32) {
		base >>= 1;
		sh--;
	}
	while (base <= scaled || scaled >> 32) {
		if (scaled >> 32 || base & 0x80000000u)
			scaled >>= 1;
		else
			base <<= 1;
		sh++;
	}
	*shift = sh;
	*mul = (u32)((scaled << 32) / base);
}

static u64 cycles_to_ns(u64 cycles, u32 khz)
{
	s8 shift;
	u32 mul;

	clock_scale(khz, &shift, &mul);
	cycles = shift < 0 ? cycles >> -shift : cycles << shift;
	return (u64)((u128)cycles * mul >> 32);
}

static u64 ns_to_cycles(u64 ns, u32 khz)
{
	/* In two parts: kernels have no 128-bit division. */
	return ns / 1000000 * khz + ns % 1000000 * khz / 1000000;
}

/* --- kvmclock -------------------------------------------------------------------------------------- */

void clock_vm_init(struct vm *vm)
{
	host_lock_init(&vm->clock_lock);
	vm->clock_base_tsc = host_tsc();
	vm->default_tsc_khz = host_tsc_khz();
}

void clock_vm_destroy(struct vm *vm)
{
	host_lock_destroy(&vm->clock_lock);
}

/* Do all vCPUs have one TSC? Under clock_lock. */
static bool stable_locked(struct vm *vm)
{
	return vm->tsc_matched + 1 == vm_nr_vcpus(vm) && !vm->old_kvmclock;
}

/*
 * Move the base instant to now, so that the guest's TSC has a sane value there. The extra nanosecond makes
 * up for rounding down twice: the clock must not step back. Under clock_lock.
 */
static void rebase_locked(struct vm *vm)
{
	u64 tsc = host_tsc();

	vm->clock_base_ns += cycles_to_ns(tsc - vm->clock_base_tsc, host_tsc_khz()) + 1;
	vm->clock_base_tsc = tsc;
}

static u64 clock_at(struct vm *vm, u64 tsc)
{
	unsigned long state = host_lock_acquire(&vm->clock_lock);
	u64 ns = vm->clock_base_ns + (u64)vm->kvmclock_offset;

	if (tsc > vm->clock_base_tsc)
		ns += cycles_to_ns(tsc - vm->clock_base_tsc, host_tsc_khz());
	host_lock_release(&vm->clock_lock, state);
	return ns;
}

u64 kvmclock_now(struct vm *vm)
{
	return clock_at(vm, host_tsc());
}

void clock_base(struct vm *vm, u64 *tsc, u64 *clock_ns, bool *stable)
{
	unsigned long state = host_lock_acquire(&vm->clock_lock);

	*tsc = vm->clock_base_tsc;
	*clock_ns = vm->clock_base_ns + (u64)vm->kvmclock_offset;
	*stable = stable_locked(vm);
	host_lock_release(&vm->clock_lock, state);
}

int clock_get_ioctl(struct vm *vm, unsigned long arg)
{
	struct kvm_clock_data d;
	u64 tsc = host_tsc(), base_tsc, base_ns;
	bool stable;

	memset(&d, 0, sizeof(d));
	clock_base(vm, &base_tsc, &base_ns, &stable);
	d.clock = clock_at(vm, tsc);
	if (stable) {
		d.flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
		d.realtime = host_realtime_ns();
		d.host_tsc = tsc;
	}
	return host_copy_to_user((void *)arg, &d, sizeof(d));
}

int clock_set_ioctl(struct vm *vm, unsigned long arg)
{
	struct kvm_clock_data d;
	unsigned long state;

	if (host_copy_from_user(&d, (void *)arg, sizeof(d)))
		return -EFAULT;
	if (d.flags & ~(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC))
		return -EINVAL;
	if (d.flags & KVM_CLOCK_REALTIME) {
		u64 now = host_realtime_ns();

		/* The time that has passed since the clock was read, but never backwards. */
		if (now > d.realtime)
			d.clock += now - d.realtime;
	}
	state = host_lock_acquire(&vm->clock_lock);
	rebase_locked(vm);
	vm->kvmclock_offset = (s64)(d.clock - vm->clock_base_ns);
	host_lock_release(&vm->clock_lock, state);
	vm_request_all(vm, REQ_CLOCK_UPDATE);
	return 0;
}

/* --- a vCPU's TSC ---------------------------------------------------------------------------------- */

/* All users of offset or ratio look again. */
static void tsc_changed(struct vcpu *v)
{
	if (v->lapic)
		lapic_tsc_changed(v);
	vcpu_request(v, REQ_SETTINGS | REQ_CLOCK_UPDATE);
}

static void set_offset(struct vcpu *v, u64 offset)
{
	__atomic_store_n(&v->tsc_offset, (s64)offset, __ATOMIC_RELEASE);
}

/* Record a host's TSC write. matched: it continues the current generation. Under clock_lock. */
static void tsc_written(struct vcpu *v, u64 val, u64 offset, u64 now, bool matched)
{
	struct vm *vm = v->vm;

	vm->tsc_write_ns = now;
	vm->tsc_write_value = val;
	vm->tsc_write_offset = offset;
	vm->tsc_write_khz = v->tsc_khz;
	rebase_locked(vm);
	if (!matched) {
		vm->tsc_generation++;
		vm->tsc_generation_offset = offset;
		vm->tsc_matched = 0;
	} else if (v->clock->tsc_generation != vm->tsc_generation) {
		vm->tsc_matched++;
	}
	v->clock->tsc_generation = vm->tsc_generation;
	set_offset(v, offset);
}

/*
 * User space sets TSCs of vCPUs one after the other, so "the same" value comes a little later for each. A
 * write of 0 (reset), or of what the last written TSC would have become by now give or take a second, gets
 * the same offset as that one.
 */
static bool writes_same_time(struct vcpu *v, u64 val, u64 now)
{
	struct vm *vm = v->vm;
	u64 expected, second = (u64)v->tsc_khz * 1000;

	if (v->tsc_khz != vm->tsc_write_khz)
		return false;
	if (!val)
		return true;
	expected = vm->tsc_write_value + ns_to_cycles(now - vm->tsc_write_ns, v->tsc_khz);
	return val < expected + second && val + second > expected;
}

static void host_writes_tsc(struct vcpu *v, u64 val)
{
	struct vm *vm = v->vm;
	u64 now = host_now_ns(), offset = val - clock_scale_tsc(host_tsc(), v->tsc_ratio);
	unsigned long state = host_lock_acquire(&vm->clock_lock);
	bool matched = vm->tsc_generation && writes_same_time(v, val, now);

	tsc_written(v, val, matched ? vm->tsc_generation_offset : offset, now, matched);
	host_lock_release(&vm->clock_lock, state);
	tsc_changed(v);
	vm_request_all(vm, REQ_CLOCK_UPDATE);
}

void clock_write_tsc(struct vcpu *v, u64 val, bool host)
{
	u64 delta;

	if (host) {
		host_writes_tsc(v, val);
		return;
	}
	delta = val - vcpu_read_tsc(v);
	set_offset(v, (u64)v->tsc_offset + delta);
	v->clock->tsc_adjust += delta;
	tsc_changed(v);
}

void clock_write_tsc_adjust(struct vcpu *v, u64 val, bool host)
{
	if (!host && val != v->clock->tsc_adjust) {
		set_offset(v, (u64)v->tsc_offset + val - v->clock->tsc_adjust);
		tsc_changed(v);
	}
	v->clock->tsc_adjust = val;
}

int vcpu_set_tsc_khz(struct vcpu *v, u32 khz)
{
	u32 host = host_tsc_khz();
	u64 ratio = TSC_RATIO_ONE, slack = (u64)host * TOLERANCE_PPM / 1000000;

	if (!khz)
		khz = host;
	if (!host)
		return -EINVAL;
	/* Within the tolerance of oscillators scaling would only cost. */
	if (khz < host - slack || khz > host + slack) {
		ratio = ((u64)khz << 32) / host;
		if (!ratio || ratio >= RATIO_MAX)
			return -EINVAL;
	}
	v->tsc_khz = khz;
	v->tsc_ratio = ratio;
	tsc_changed(v);
	return 0;
}

static int set_tsc_offset(struct vcpu *v, u64 offset)
{
	struct vm *vm = v->vm;
	u64 val = clock_scale_tsc(host_tsc(), v->tsc_ratio) + offset, now = host_now_ns();
	unsigned long state = host_lock_acquire(&vm->clock_lock);
	bool matched = vm->tsc_write_khz == v->tsc_khz && vm->tsc_write_offset == offset;

	tsc_written(v, val, offset, now, matched);
	host_lock_release(&vm->clock_lock, state);
	tsc_changed(v);
	vm_request_all(vm, REQ_CLOCK_UPDATE);
	return 0;
}

long vcpu_tsc_attr(struct vcpu *v, u32 cmd, unsigned long arg)
{
	struct kvm_device_attr attr;
	void *user;
	u64 val;

	if (host_copy_from_user(&attr, (void *)arg, sizeof(attr)))
		return -EFAULT;
	if (attr.group != KVM_VCPU_TSC_CTRL || attr.attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;
	user = (void *)(unsigned long)attr.addr;
	switch (cmd) {
	case KVM_HAS_DEVICE_ATTR: return 0;
	case KVM_GET_DEVICE_ATTR: val = (u64)v->tsc_offset; return host_copy_to_user(user, &val, sizeof(val));
	default:
		if (host_copy_from_user(&val, user, sizeof(val)))
			return -EFAULT;
		return set_tsc_offset(v, val);
	}
}

int clock_create(struct vcpu *v)
{
	v->clock = host_alloc(sizeof(*v->clock));
	if (!v->clock)
		return -ENOMEM;
	v->tsc_ratio = TSC_RATIO_ONE;
	vcpu_set_tsc_khz(v, __atomic_load_n(&v->vm->default_tsc_khz, __ATOMIC_RELAXED));
	host_writes_tsc(v, 0);
	return 0;
}

void clock_reset(struct vcpu *v, bool init)
{
	pv_reset(v);
	if (init)
		return;
	v->clock->system_time_msr = 0;
	v->clock->tsc_adjust = 0;
	v->clock->guest_paused = false;
}

void clock_destroy(struct vcpu *v)
{
	struct vm *vm = v->vm;
	unsigned long state;

	if (!v->clock)
		return;
	/* A vCPU whose creation failed is not one of those that share a TSC. */
	state = host_lock_acquire(&vm->clock_lock);
	if (v->clock->tsc_generation == vm->tsc_generation)
		vm->tsc_matched--;
	host_lock_release(&vm->clock_lock, state);
	host_free(v->clock);
	v->clock = NULL;
}
