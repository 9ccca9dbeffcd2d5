/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the files of host/linux share among each other. */
#ifndef HOST_LINUX_H
#define HOST_LINUX_H

#include <linux/list.h>
#include <linux/tracepoint-defs.h>
#include "engine.h"
#include "host.h"
#include "hw_engines.h"
#include "vm.h"
#include "vcpu.h"

struct dentry;
struct file;
struct page;

/* work.c: what the kernel has for the calling thread to do before it returns to user space. May sleep. */
void thread_work(void);

/* mem.c: page number index of the area, NULL: nothing there. Are pages of the ring among count pages from first on? */
struct page *host_shared_page(struct host_shared *m, unsigned long index);
bool host_shared_has_ring(const struct host_shared *m, unsigned long first, unsigned long count);

/*
 * debugfs.c: counters in /sys/kernel/debug/anykvm. A VM is shown from vm_create, its vCPUs from vcpu_create, until vm_destroy,
 * which waits for readers; before the VM's end.
 */
struct debugfs_vm {
	struct list_head list;
	struct vm *vm;
	struct dentry *dir;
};
void debugfs_init(void);
void debugfs_exit(void);
void debugfs_vm_create(struct debugfs_vm *d, struct vm *vm);
void debugfs_vcpu_create(struct debugfs_vm *d, struct vcpu *v);
void debugfs_vm_destroy(struct debugfs_vm *d);

/* perf.c: this CPU can be in guest mode from now on, or no more; before virtualization is turned on, and after. Interrupts are off. */
void perf_virt_on(void);
void perf_virt_off(void);

/* trace.c: an ioctl on a "system", "vm" or "vcpu" file has ended. */
DECLARE_TRACEPOINT(anykvm_ioctl);
void trace_ioctl(const char *on, u32 cmd, u64 arg, long ret);

/* compat.c: vm_ioctl() for a 32-bit caller. */
long vm_ioctl32(struct vm *vm, u32 cmd, unsigned long arg, struct object *made);

/* fd.c: the system device's operations, for main.c; the engine that open files get their VMs from. */
extern const struct file_operations anykvm_system_fops;
extern const struct engine_ops *anykvm_engine;

#endif /* HOST_LINUX_H */
