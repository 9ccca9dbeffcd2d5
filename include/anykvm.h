/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * anykvm.h - the public library: the Linux KVM ABI (version 12) as functions on handles.
 *
 * Everything that <linux/kvm.h> defines works here with the same numbers, structures and
 * semantics; only the way in differs. Where a program would open /dev/kvm it calls
 * anykvm_open(), where it would call ioctl(fd, ...) it calls anykvm_ioctl(handle, ...), where
 * it would mmap() a vCPU fd it calls anykvm_map().
 *
 *	struct anykvm_handle *sys, *vm, *vcpu;
 *	anykvm_open(NULL, &sys);
 *	anykvm_create_vm(sys, 0, &vm);
 *	anykvm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
 *	anykvm_create_vcpu(vm, 0, &vcpu);
 *	struct kvm_run *run = anykvm_map(vcpu, &size);
 *	while (anykvm_ioctl(vcpu, KVM_RUN, NULL) == 0)
 *		switch (run->exit_reason) ...
 *
 * Errors: every int function returns a value >= 0 on success and a negative errno (-EINVAL,
 * -EFAULT, ...) on failure, the one that Linux gives for the same call.
 *
 * Threads: every function may be called from any thread. As with the kernel, the ioctls of one
 * vCPU are serialised; the thread that calls KVM_RUN is that vCPU's thread while it runs.
 *
 * Ownership: a handle holds a reference on what it was made from (a vCPU on its VM), so handles
 * may be closed in any order. Guest memory stays the caller's: it must stay mapped until the
 * slot is deleted or the last handle of the VM is closed.
 */
#ifndef ANYKVM_H
#define ANYKVM_H

#include <stddef.h>
#include <linux/kvm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One object of the ABI: the system (/dev/kvm), a VM, a vCPU, a device or a statistics reader. */
struct anykvm_handle;

enum anykvm_engine {
	ANYKVM_ENGINE_AUTO = 0,    /* the fastest that this host allows */
	ANYKVM_ENGINE_INTERPRETER, /* soft engine, no translation */
	ANYKVM_ENGINE_TRANSLATOR,  /* soft engine with the translator */
	ANYKVM_ENGINE_LOCKSTEP,    /* both, compared block by block: a test of the translator, slow; vCPUs take turns */
};

/* Options of anykvm_open(). Zero means the default in every field; set size to sizeof. */
struct anykvm_options {
	size_t size;
	enum anykvm_engine engine;
	size_t code_memory; /* bytes for generated code per VM; 0: 64 MiB */
};

/* The version of this header and library, "major.minor.patch". */
const char *anykvm_version(void);

/*
 * Can this engine work in this process? 0, or what stands against it. -EINVAL: unknown engine. ANYKVM_ENGINE_AUTO: any.
 * -ENOSYS: the translator wants a processor with BMI2 and a kernel that lets programs set their GS base (FSGSBASE);
 * -ENOMEM: address space (RLIMIT_AS, strict overcommit) or memory; -EACCES, -EPERM and others: the system forbids memory
 * for generated code, which the interpreter needs a little of, too.
 */
int anykvm_probe(enum anykvm_engine engine);

/*
 * Open the system handle. opts may be NULL.
 * -EINVAL: unknown engine or size; -ENOSYS: that engine is not built or not possible here;
 * -ENOMEM.
 */
int anykvm_open(const struct anykvm_options *opts, struct anykvm_handle **sys);

/* KVM_CREATE_VM. type is the machine type, 0 on x86. -EINVAL, -ENOMEM. */
int anykvm_create_vm(struct anykvm_handle *sys, unsigned long type, struct anykvm_handle **vm);

/* KVM_CREATE_VCPU. -EINVAL: id out of range or VM dead; -EEXIST: id taken; -ENOMEM. */
int anykvm_create_vcpu(struct anykvm_handle *vm, unsigned long id, struct anykvm_handle **vcpu);

/*
 * Any other KVM ioctl on any handle. arg is the pointer, or the integer cast to a pointer where
 * the ioctl takes one (KVM_CHECK_EXTENSION, KVM_SET_TSC_KHZ, ...). Ioctls that would return a new
 * fd are refused with -ENOTTY here (see anykvm_ioctl_handle). -ENOTTY: not an ioctl of that object.
 */
int anykvm_ioctl(struct anykvm_handle *h, unsigned long request, void *arg);

/*
 * As anykvm_ioctl, also for the ioctls that make an object (KVM_CREATE_VM, KVM_CREATE_VCPU,
 * KVM_CREATE_DEVICE, KVM_GET_STATS_FD): then 0 is returned and *made is the new handle; otherwise
 * *made is set to NULL.
 */
int anykvm_ioctl_handle(struct anykvm_handle *h, unsigned long request, void *arg, struct anykvm_handle **made);

/*
 * The memory that a vCPU shares with user space: struct kvm_run, the port data page, the coalesced
 * MMIO ring, in the layout and size of KVM_GET_VCPU_MMAP_SIZE; with KVM_CAP_DIRTY_LOG_RING
 * also the dirty ring, KVM_DIRTY_LOG_PAGE_OFFSET pages from its start. It is valid while the handle is
 * open. *size may be NULL. NULL for handles that are not a vCPU.
 */
void *anykvm_map(struct anykvm_handle *vcpu, size_t *size);

/*
 * A file descriptor (memfd) that holds the same memory, owned by the handle: for callers that must
 * mmap it themselves. -EINVAL for handles that are not a vCPU.
 */
int anykvm_map_fd(struct anykvm_handle *vcpu);

/* read() of a statistics handle at an offset (see KVM_GET_STATS_FD). Bytes read, or -errno. */
long anykvm_pread(struct anykvm_handle *stats, void *buf, size_t len, long long offset);

/*
 * Tell KVM_RUN that a signal has arrived on this thread (async-signal-safe): a KVM_RUN in progress
 * on the calling thread ends with -EINTR, or does nothing if none is. The library sees by itself
 * all signals whose handlers were installed through libc's sigaction() or signal(); programs that
 * install handlers by raw system calls call this in their handler.
 */
void anykvm_signal_arrived(void);

/* Drop the handle. NULL is allowed. A running KVM_RUN on another thread must have returned. */
void anykvm_close(struct anykvm_handle *h);

#ifdef __cplusplus
}
#endif
#endif /* ANYKVM_H */
