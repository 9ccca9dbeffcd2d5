/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * File descriptors: the system device, VMs, vCPUs, statistics.
 *
 * Every file of a VM holds a reference on a struct host_vm, which ties the VM to the address space that its memory is in: the
 * notifier is gone before the VM's last reference is given back, so that the engine is never called for a VM that dies.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "linux.h"

const struct engine_ops *anykvm_engine;

struct host_vm {
	refcount_t refs; /* open files */
	struct vm *vm;
	struct mm_struct *mm; /* grabbed: compared and held, not used */
	struct mmu_notifier notifier;
	struct debugfs_vm debugfs;
};

/* What a file of ours stands for. */
struct host_file {
	struct host_vm *hvm;
	struct object obj;
};

/* --- the address space ----------------------------------------------------------------------------- */

static struct vm *notified_vm(struct mmu_notifier *n)
{
	return container_of(n, struct host_vm, notifier)->vm;
}

static int invalidate_start(struct mmu_notifier *n, const struct mmu_notifier_range *range)
{
	struct vm *vm = notified_vm(n);

	vm->engine->unmap_hva(vm, range->start, range->end - range->start);
	return 0;
}

static void invalidate_end(struct mmu_notifier *n, const struct mmu_notifier_range *range)
{
	struct vm *vm = notified_vm(n);

	vm->engine->unmap_hva_done(vm, range->start, range->end - range->start);
}

/* The address space ends while files of the VM live on in another process. */
static void mm_released(struct mmu_notifier *n, struct mm_struct *mm)
{
	struct vm *vm = notified_vm(n);

	vm->engine->unmap_hva(vm, 0, TASK_SIZE_MAX);
	vm->engine->unmap_hva_done(vm, 0, TASK_SIZE_MAX);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.release = mm_released,
};

static int host_vm_create(struct vm *vm, struct host_vm **out)
{
	struct host_vm *h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);
	int err;

	if (!h)
		return -ENOMEM;
	refcount_set(&h->refs, 1);
	h->vm = vm;
	h->mm = current->mm;
	h->notifier.ops = &notifier_ops;
	mmgrab(h->mm);
	err = mmu_notifier_register(&h->notifier, h->mm);
	if (err) {
		mmdrop(h->mm);
		kfree(h);
		return err;
	}
	debugfs_vm_create(&h->debugfs, vm);
	*out = h;
	return 0;
}

static void host_vm_put(struct host_vm *h)
{
	if (!refcount_dec_and_test(&h->refs))
		return;
	debugfs_vm_destroy(&h->debugfs);
	mmu_notifier_unregister(&h->notifier, h->mm);
	mmdrop(h->mm);
	kfree(h);
}

/* --- files ----------------------------------------------------------------------------------------- */

static int release(struct inode *inode, struct file *file)
{
	struct host_file *f = file->private_data;

	if (f->hvm)
		host_vm_put(f->hvm);
	object_put(&f->obj);
	kfree(f);
	return 0;
}

static const struct file_operations vm_fops, vcpu_fops, stats_fops;

/* A file that stands for nothing yet, and its number; both unknown to the process until shown. It holds a reference on hvm. */
struct new_file {
	struct file *file;
	int fd;
};

static struct object *object_of(struct new_file *n)
{
	return &((struct host_file *)n->file->private_data)->obj;
}

static int new_file(struct host_vm *hvm, enum object_type type, struct new_file *n)
{
	struct host_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	const struct file_operations *fops;
	const char *name;
	int flags = O_RDWR;

	if (!f)
		return -ENOMEM;
	switch (type) {
	case OBJ_VM:
		fops = &vm_fops;
		name = "kvm-vm";
		break;
	case OBJ_VCPU:
		fops = &vcpu_fops;
		name = "kvm-vcpu";
		break;
	case OBJ_STATS:
		fops = &stats_fops;
		name = "kvm-stats";
		flags = O_RDONLY;
		break;
	default: n->fd = -EINVAL; goto no_fd;
	}
	n->fd = get_unused_fd_flags(O_CLOEXEC);
	if (n->fd < 0)
		goto no_fd;
	n->file = anon_inode_getfile(name, fops, f, flags);
	if (IS_ERR(n->file)) {
		put_unused_fd(n->fd);
		n->fd = PTR_ERR(n->file);
		goto no_fd;
	}
	if (type == OBJ_STATS)
		n->file->f_mode |= FMODE_PREAD;
	f->hvm = hvm;
	f->obj.type = OBJ_NONE;
	refcount_inc(&hvm->refs);
	return 0;

no_fd:
	kfree(f);
	return n->fd;
}

static int show(struct new_file *n)
{
	fd_install(n->fd, n->file);
	return n->fd;
}

/* The file goes later, when the VM may be gone. */
static void drop(struct new_file *n)
{
	struct host_file *f = n->file->private_data;

	host_vm_put(f->hvm);
	f->hvm = NULL;
	put_unused_fd(n->fd);
	fput(n->file);
}

/* The result of an ioctl: its number, or an fd of what it has made. */
static long result(struct host_vm *hvm, long ret, struct object *made)
{
	struct new_file n;
	int err;

	if (ret < 0 || made->type == OBJ_NONE)
		return ret;
	err = new_file(hvm, made->type, &n);
	if (err) {
		object_put(made);
		return err;
	}
	*object_of(&n) = *made;
	return show(&n);
}

/* A vCPU is there as long as its VM: it is made only when nothing else can fail. */
static long create_vcpu(struct host_file *vm_file, unsigned long id)
{
	struct new_file n;
	long err = new_file(vm_file->hvm, OBJ_VCPU, &n);

	if (err)
		return err;
	err = vm_ioctl(vm_file->obj.vm, KVM_CREATE_VCPU, id, object_of(&n));
	if (err) {
		drop(&n);
		return err;
	}
	debugfs_vcpu_create(&vm_file->hvm->debugfs, object_of(&n)->vcpu);
	return show(&n);
}

static long traced(const char *on, unsigned int cmd, unsigned long arg, long ret)
{
	if (tracepoint_enabled(anykvm_ioctl))
		trace_ioctl(on, cmd, arg, ret);
	return ret;
}

/* A file for a new VM. */
static long show_vm(struct object *made)
{
	struct vm *vm = made->vm;
	struct host_vm *hvm;
	long ret = host_vm_create(vm, &hvm);

	if (ret) {
		object_put(made);
		return ret;
	}
	/* Where there is no file for it the VM must not go before its notifier. */
	vm_get(vm);
	ret = result(hvm, 0, made);
	host_vm_put(hvm);
	vm_put(vm);
	return ret;
}

static long system_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct object made = { .type = OBJ_NONE };
	long ret = system_ioctl(anykvm_engine, cmd, arg, &made);

	if (ret >= 0 && made.type == OBJ_VM)
		ret = show_vm(&made);
	return traced("system", cmd, arg, ret);
}

/* Guest memory is that of one address space; whoever got the fd by another way cannot use it. */
static bool foreign(const struct host_file *f)
{
	return f->hvm->mm != current->mm;
}

static long vm_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct host_file *f = file->private_data;
	struct object made = { .type = OBJ_NONE };

	if (foreign(f))
		return -EIO;
	if (cmd == KVM_CREATE_VCPU)
		return traced("vm", cmd, arg, create_vcpu(f, arg));
	return traced("vm", cmd, arg, result(f->hvm, vm_ioctl(f->obj.vm, cmd, arg, &made), &made));
}

static long vcpu_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct host_file *f = file->private_data;
	struct object made = { .type = OBJ_NONE };

	if (foreign(f))
		return -EIO;
	return traced("vcpu", cmd, arg, result(f->hvm, vcpu_ioctl(f->obj.vcpu, cmd, arg, &made), &made));
}

#ifdef CONFIG_COMPAT
static long vm_file_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct host_file *f = file->private_data;
	struct object made = { .type = OBJ_NONE };

	if (foreign(f))
		return -EIO;
	if (cmd == KVM_CREATE_VCPU)
		return traced("vm", cmd, arg, create_vcpu(f, arg));
	return traced("vm", cmd, arg, result(f->hvm, vm_ioctl32(f->obj.vm, cmd, arg, &made), &made));
}
#else
#define vm_file_compat_ioctl NULL
#endif

/* --- the memory that a vCPU shares with user space --------------------------------------------------- */

static vm_fault_t shared_fault(struct vm_fault *vmf)
{
	struct host_file *f = vmf->vma->vm_file->private_data;
	struct page *page = host_shared_page(f->obj.vcpu->shared, vmf->pgoff);

	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct shared_vm_ops = {
	.fault = shared_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct host_file *f = file->private_data;

	/* What is written to a private copy of the ring would not arrive. */
	if ((vma->vm_flags & VM_EXEC || !(vma->vm_flags & VM_SHARED)) &&
	    host_shared_has_ring(f->obj.vcpu->shared, vma->vm_pgoff, vma_pages(vma)))
		return -EINVAL;
	vma->vm_ops = &shared_vm_ops;
	return 0;
}

static ssize_t stats_file_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct host_file *f = file->private_data;
	long n = stats_read(f->obj.stats, (void __force *)buf, len, *pos);

	if (n > 0)
		*pos += n;
	return n;
}

/* anon_inode_getfile() takes a reference on the module for each file. */
static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = release,
	.unlocked_ioctl = vm_file_ioctl,
	.compat_ioctl = vm_file_compat_ioctl,
	.llseek = noop_llseek,
};

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = release,
	.unlocked_ioctl = vcpu_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.release = release,
	.read = stats_file_read,
	.llseek = noop_llseek,
};

const struct file_operations anykvm_system_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = system_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};
