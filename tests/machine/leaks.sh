#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine with a debug kernel, after other scripts: have they left memory behind that nobody can reach?
mount -t debugfs none /sys/kernel/debug 2>/dev/null
[ -f /sys/kernel/debug/kmemleak ] || exit 1
# What is young does not count yet.
sleep 6
echo scan >/sys/kernel/debug/kmemleak
echo scan >/sys/kernel/debug/kmemleak
cat /sys/kernel/debug/kmemleak >/tmp/leaks
[ ! -s /tmp/leaks ] || { cat /tmp/leaks; exit 1; }
echo "1 passed, 0 failed, 0 skipped"
