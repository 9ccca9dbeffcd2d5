#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Init of the userland's guest: work.sh, its lines marked, and off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
chmod 1777 /tmp /dev/shm
# A whole line in one write: the kernel's messages share the console.
env -i /bin/sh /work/work.sh | while read -r line; do
	printf '\nuserland: %s\n' "$line"
done
sync
echo o >/proc/sysrq-trigger
sleep 60
