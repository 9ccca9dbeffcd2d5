/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The public interface: handles over the ioctl edge of core. */
#pragma GCC visibility push(default)
#include "anykvm.h"
#pragma GCC visibility pop
#include "posix.h"
#include "soft.h"
#include "translate.h"

struct anykvm_handle {
	const struct engine_ops *engine;
	bool system; /* else object */
	struct object object;
	u32 forks; /* host_fork_count when it was made */
	struct monitor *monitor;
};

const char *anykvm_version(void)
{
	return "0.1.0";
}

static struct anykvm_handle *new_handle(const struct engine_ops *engine)
{
	struct anykvm_handle *h = host_alloc(sizeof(*h));

	if (h) {
		h->engine = engine;
		h->forks = __atomic_load_n(&host_fork_count, __ATOMIC_RELAXED);
		h->monitor = host_monitor();
	}
	return h;
}

static int check_options(const struct anykvm_options *o)
{
	if (!o)
		return 0;
	if (o->size < sizeof(o->size) + sizeof(o->engine) || o->size > sizeof(*o))
		return -EINVAL;
	switch (o->engine) {
	case ANYKVM_ENGINE_AUTO:
	case ANYKVM_ENGINE_INTERPRETER:
	case ANYKVM_ENGINE_TRANSLATOR:
	case ANYKVM_ENGINE_LOCKSTEP: return 0;
	}
	return -EINVAL;
}

int anykvm_probe(enum anykvm_engine engine)
{
	struct host_code code;
	int ret;

	if (engine == ANYKVM_ENGINE_TRANSLATOR || engine == ANYKVM_ENGINE_LOCKSTEP)
		return tr_probe();
	if (engine != ANYKVM_ENGINE_AUTO && engine != ANYKVM_ENGINE_INTERPRETER)
		return -EINVAL;
	ret = host_code_alloc(&code, 4096);
	host_code_free(&code);
	return ret;
}

static const struct engine_ops *engine_of(const struct anykvm_options *o)
{
	switch (o ? o->engine : ANYKVM_ENGINE_AUTO) {
	case ANYKVM_ENGINE_INTERPRETER: return &soft_interpreter_engine;
	case ANYKVM_ENGINE_LOCKSTEP: return &soft_lockstep_engine;
	default: return &soft_engine;
	}
}

int anykvm_open(const struct anykvm_options *opts, struct anykvm_handle **sys)
{
	struct anykvm_handle *h;
	int ret = check_options(opts);

	if (ret < 0)
		return ret;
	if (opts && (opts->engine == ANYKVM_ENGINE_TRANSLATOR || opts->engine == ANYKVM_ENGINE_LOCKSTEP) &&
	    tr_probe() < 0)
		return -ENOSYS;
	signal_activate();
	h = new_handle(engine_of(opts));
	if (!h)
		return -ENOMEM;
	h->system = true;
	*sys = h;
	return 0;
}

static bool makes_object(unsigned long request)
{
	return request == KVM_CREATE_VM || request == KVM_CREATE_VCPU || request == KVM_CREATE_DEVICE ||
	       request == KVM_GET_STATS_FD;
}

static long dispatch(struct anykvm_handle *h, u32 cmd, unsigned long arg, struct object *made)
{
	if (h->system)
		return system_ioctl(h->engine, cmd, arg, made);
	switch (h->object.type) {
	case OBJ_VM: return vm_ioctl(h->object.vm, cmd, arg, made);
	case OBJ_VCPU: return vcpu_ioctl(h->object.vcpu, cmd, arg, made);
	default: return -ENOTTY;
	}
}

static int handle_ioctl(struct anykvm_handle *h, unsigned long request, void *arg, struct anykvm_handle **made)
{
	struct object object = { .type = OBJ_NONE };
	struct anykvm_handle *new = NULL;
	long ret;

	/* As in the kernel: a VM belongs to the process that made it. */
	if (!h->system && h->forks != __atomic_load_n(&host_fork_count, __ATOMIC_RELAXED))
		return -EIO;
	/* First: a vCPU that has been made cannot be taken back. */
	if (makes_object((u32)request)) {
		new = new_handle(h->engine);
		if (!new)
			return -ENOMEM;
		/* Handlers may have been installed by ways that the library does not see (sigset, raw system calls). */
		signal_activate();
	}
	ret = dispatch(h, (u32)request, (unsigned long)arg, &object);
	if (ret >= 0 && object.type != OBJ_NONE) {
		new->object = object;
		*made = new;
	} else {
		host_free(new);
	}
	return (int)ret;
}

static int traced_ioctl(struct anykvm_handle *h, unsigned long request, void *arg, struct anykvm_handle **made)
{
	struct monitor_call call = { .request = (u32)request };
	size_t size = _IOC_SIZE(request);
	u64 begin;
	int ret;

	if (!h->system && h->object.type == OBJ_VM)
		call.vm = h->object.vm;
	if (!h->system && h->object.type == OBJ_VCPU) {
		call.vcpu = h->object.vcpu;
		call.vm = call.vcpu->vm;
	}
	/* What cannot be read shows as zero, and the ioctl itself will say so. */
	if (_IOC_DIR(request) & _IOC_WRITE)
		(void)host_copy_from_user(call.arg, arg, size < sizeof(call.arg) ? size : sizeof(call.arg));
	else if (_IOC_DIR(request) == _IOC_NONE)
		call.arg[0] = (u64)(unsigned long)arg;
	begin = host_tsc();
	ret = handle_ioctl(h, request, arg, made);
	monitor_ioctl(h->monitor, &call, begin, ret);
	return ret;
}

int anykvm_ioctl_handle(struct anykvm_handle *h, unsigned long request, void *arg, struct anykvm_handle **made)
{
	int ret;

	*made = NULL;
	signal_enter();
	if (unlikely(__atomic_load_n(&h->monitor->active, __ATOMIC_RELAXED) & MONITOR_TRACE))
		ret = traced_ioctl(h, request, arg, made);
	else
		ret = handle_ioctl(h, request, arg, made);
	signal_leave();
	return ret;
}

int anykvm_ioctl(struct anykvm_handle *h, unsigned long request, void *arg)
{
	struct anykvm_handle *none;

	if (makes_object((u32)request))
		return -ENOTTY;
	return anykvm_ioctl_handle(h, request, arg, &none);
}

int anykvm_create_vm(struct anykvm_handle *sys, unsigned long type, struct anykvm_handle **vm)
{
	return anykvm_ioctl_handle(sys, KVM_CREATE_VM, (void *)type, vm);
}

int anykvm_create_vcpu(struct anykvm_handle *vm, unsigned long id, struct anykvm_handle **vcpu)
{
	return anykvm_ioctl_handle(vm, KVM_CREATE_VCPU, (void *)id, vcpu);
}

static struct host_shared *shared_of(const struct anykvm_handle *h)
{
	return h && !h->system && h->object.type == OBJ_VCPU ? h->object.vcpu->shared : NULL;
}

void *anykvm_map(struct anykvm_handle *vcpu, size_t *size)
{
	struct host_shared *m = shared_of(vcpu);

	if (!m)
		return NULL;
	if (size)
		*size = host_shared_size(m);
	return host_shared_ptr(m);
}

int anykvm_map_fd(struct anykvm_handle *vcpu)
{
	struct host_shared *m = shared_of(vcpu);

	return m ? host_shared_fd(m) : -EINVAL;
}

long anykvm_pread(struct anykvm_handle *stats, void *buf, size_t len, long long offset)
{
	long ret;

	if (stats->system || stats->object.type != OBJ_STATS)
		return -EINVAL;
	signal_enter();
	ret = stats_read(stats->object.stats, buf, len, offset);
	signal_leave();
	return ret;
}

void anykvm_close(struct anykvm_handle *h)
{
	if (!h)
		return;
	signal_enter();
	/* In a forked child the VM's locks and threads are in an unknown state: leave it to exec or exit. */
	if (!h->system && h->forks == __atomic_load_n(&host_fork_count, __ATOMIC_RELAXED))
		object_put(&h->object);
	host_free(h);
	signal_leave();
}
