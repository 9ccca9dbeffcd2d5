/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Counters for the administrator, in /sys/kernel/debug/anykvm: "counters" has the sums over all VMs since the module was loaded,
 * PID-N/counters those of one VM and the sums over its vCPUs, PID-N/vcpuI one vCPU's. A line is a name and a number.
 */
#include <linux/debugfs.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "linux.h"

static struct dentry *top;
static DEFINE_MUTEX(list_lock);
/* Under list_lock: */
static LIST_HEAD(vms);
static u64 *past[2]; /* sums over VMs that are gone: [0] their own, [1] their vCPUs'; NULL: no memory for them */
static unsigned int serial;

static u64 vcpu_sum(struct vm *vm, u32 stat)
{
	u32 i, nr = vm_nr_vcpus(vm);
	u64 sum = 0;

	for (i = 0; i < nr; i++)
		sum += stat_value(vm->vcpu[i]->stat, true, stat);
	return sum;
}

static u64 vm_sum(struct vm *vm, bool vcpu, u32 stat)
{
	return vcpu ? vcpu_sum(vm, stat) : stat_value(vm, false, stat);
}

/* Under list_lock. */
static u64 total(bool vcpu, u32 stat)
{
	u64 sum = past[vcpu] ? past[vcpu][stat] : 0;
	struct debugfs_vm *d;

	list_for_each_entry(d, &vms, list) sum += vm_sum(d->vm, vcpu, stat);
	return sum;
}

static void line(struct seq_file *m, bool vcpu, u32 stat, u64 val)
{
	char name[STAT_NAME_SIZE];

	stat_name(vcpu, stat, name);
	seq_printf(m, "%s %llu\n", name, val);
}

static int vcpu_show(struct seq_file *m, void *unused)
{
	struct vcpu *v = m->private;
	u32 i;

	for (i = 0; i < stat_count(true); i++)
		line(m, true, i, stat_value(v->stat, true, i));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vcpu);

static int vm_show(struct seq_file *m, void *unused)
{
	unsigned int vcpu;
	u32 i;

	for (vcpu = 0; vcpu < 2; vcpu++)
		for (i = 0; i < stat_count(vcpu); i++)
			line(m, vcpu, i, vm_sum(m->private, vcpu, i));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vm);

static int total_show(struct seq_file *m, void *unused)
{
	unsigned int vcpu;
	u32 i;

	mutex_lock(&list_lock);
	for (vcpu = 0; vcpu < 2; vcpu++)
		for (i = 0; i < stat_count(vcpu); i++)
			line(m, vcpu, i, total(vcpu, i));
	mutex_unlock(&list_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(total);

void debugfs_vm_create(struct debugfs_vm *d, struct vm *vm)
{
	char name[32];

	d->vm = vm;
	mutex_lock(&list_lock);
	snprintf(name, sizeof(name), "%d-%u", task_pid_nr(current), ++serial);
	list_add_tail(&d->list, &vms);
	mutex_unlock(&list_lock);
	d->dir = debugfs_create_dir(name, top);
	debugfs_create_file("counters", 0444, d->dir, vm, &vm_fops);
}

void debugfs_vcpu_create(struct debugfs_vm *d, struct vcpu *v)
{
	char name[32];

	snprintf(name, sizeof(name), "vcpu%u", v->id);
	debugfs_create_file(name, 0444, d->dir, v, &vcpu_fops);
}

void debugfs_vm_destroy(struct debugfs_vm *d)
{
	unsigned int vcpu;
	u32 i;

	debugfs_remove(d->dir);
	mutex_lock(&list_lock);
	list_del(&d->list);
	for (vcpu = 0; vcpu < 2; vcpu++)
		for (i = 0; past[vcpu] && i < stat_count(vcpu); i++)
			past[vcpu][i] += vm_sum(d->vm, vcpu, i);
	mutex_unlock(&list_lock);
}

/* Without debugfs, or memory for it, there is nothing to see, and nothing else is missing. */
void debugfs_init(void)
{
	past[0] = kcalloc(stat_count(false), sizeof(u64), GFP_KERNEL);
	past[1] = kcalloc(stat_count(true), sizeof(u64), GFP_KERNEL);
	top = debugfs_create_dir("anykvm", NULL);
	debugfs_create_file("counters", 0444, top, NULL, &total_fops);
}

void debugfs_exit(void)
{
	debugfs_remove(top);
	kfree(past[0]);
	kfree(past[1]);
}
