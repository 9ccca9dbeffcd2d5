#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In a machine whose processor has not enough for the module: it says so, and nothing of it stays.
fail() { echo "absent: $*"; dmesg | tail -n 5; exit 1; }

reason='neither VT-x nor AMD-V'
grep -qw svm /proc/cpuinfo && reason='no nested paging'
insmod /anykvm.ko 2>/tmp/err && fail "loaded"
grep -q "No such device" /tmp/err || fail "insmod says: $(cat /tmp/err)"
dmesg | grep -q "anykvm: .*$reason" || fail "the log does not say: $reason"
grep -q '^anykvm ' /proc/modules && fail "it stays"
[ -e /dev/anykvm ] && fail "there is a device"
echo "absent: $reason"
echo "1 passed, 0 failed, 0 skipped"
