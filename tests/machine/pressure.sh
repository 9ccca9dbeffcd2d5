#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: swap in compressed memory, page merging and compaction under a running guest. zram is built in, or in /zram/*.ko.
fail() { echo "pressure: $*"; exit 1; }

# Reads or writes so far; /proc/vmstat counts pages, where the kernel has such counters.
reads() {
	awk '{ print $1 }' /sys/block/zram0/stat
}
writes() {
	awk '{ print $5 }' /sys/block/zram0/stat
}

[ -d /sys/block/zram0 ] || for module in zsmalloc lzo_compress lzo lzo-rle zram; do
	[ ! -f /zram/$module.ko ] || insmod /zram/$module.ko || fail "insmod $module"
done
echo 128M >/sys/block/zram0/disksize
mkswap /dev/zram0 >/dev/null
swapon /dev/zram0 || fail "no swap"
in=$(reads) out=$(writes)
echo 1000 >/sys/kernel/mm/ksm/pages_to_scan
echo 20 >/sys/kernel/mm/ksm/sleep_millisecs
echo 1 >/sys/kernel/mm/ksm/run
/pressure "$DEVICE" 4 || exit 1
out=$(($(writes) - out)) in=$(($(reads) - in))
echo "pressure: $out transfers to swap, $in from it, $(cat /sys/kernel/mm/ksm/full_scans) scans for equal pages"
if [ $out -eq 0 ] || [ $in -eq 0 ]; then
	fail "nothing was swapped"
fi
echo 0 >/sys/kernel/mm/ksm/run
swapoff /dev/zram0
rmmod zram 2>/dev/null
echo "1 passed, 0 failed, 0 skipped"
