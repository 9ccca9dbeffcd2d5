/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the files of host/linux share among each other. */
#ifndef HOST_LINUX_H
#define HOST_LINUX_H

#include "engine.h"
#include "host.h"
#include "hw_engines.h"
#include "vm.h"
#include "vcpu.h"

struct file;
struct page;

/* mem.c: page number index of the area, NULL: beyond its end. */
struct page *host_shared_page(struct host_shared *m, unsigned long index);

/* fd.c: the system device's operations, for main.c; the engine that open files get their VMs from. */
extern const struct file_operations anykvm_system_fops;
extern const struct engine_ops *anykvm_engine;

#endif /* HOST_LINUX_H */
