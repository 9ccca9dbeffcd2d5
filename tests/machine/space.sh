#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: the address space changes under a running guest.
mkdir -p /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null
/space "$DEVICE" || exit 1
