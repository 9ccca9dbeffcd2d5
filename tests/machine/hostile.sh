#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: a process that means no good, while somebody wants to unload the module and looks at its counters all the time.
# /hostile-arguments: SEED LIVES MILLISECONDS. Where the kernel can let allocations fail, they do.
mount -t debugfs none /sys/kernel/debug 2>/dev/null
for faults in failslab fail_page_alloc; do
	[ -d /sys/kernel/debug/$faults ] || continue
	echo N >/sys/kernel/debug/$faults/ignore-gfp-wait
	echo 0 >/sys/kernel/debug/$faults/verbose
done
[ ! -d /sys/kernel/debug/fail_page_alloc ] || echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
exec 3<"$DEVICE"
touch /tmp/on
while [ -e /tmp/on ]; do
	[ "$MODULE" != anykvm ] || ! rmmod anykvm 2>/dev/null || touch /tmp/unloaded
	cat /sys/kernel/debug/anykvm/*/* >/dev/null 2>&1
	usleep 20000
done &
# shellcheck disable=SC2046 # words on purpose
/hostile "$DEVICE" $(cat /hostile-arguments)
status=$?
rm /tmp/on
wait
exec 3<&-
[ ! -e /tmp/unloaded ] || { echo "hostile: unloaded while in use"; exit 1; }
[ $status = 0 ] || exit 1
# Afterwards all is as it was.
/notifier "$DEVICE" || exit 1
echo "1 passed, 0 failed, 0 skipped"
