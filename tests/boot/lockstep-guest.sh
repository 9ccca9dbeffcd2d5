# SPDX-License-Identifier: MIT OR GPL-2.0-only
# shellcheck shell=sh disable=SC2034
# What the guest of lockstep.sh does as init: processes, pipes, files, arithmetic, page faults.
i=0
while [ $i -lt 20 ]; do
	i=$((i + 1))
	cat /proc/cpuinfo >/dev/null
done
dd if=/dev/zero bs=64k count=8 2>/dev/null | md5sum
seq 1 500 | awk '{ s += $1 * 1.5 } END { print s }'
seq 1 500 | sort -r | tail -n 1
echo "lockstep-guest: done"
poweroff -f
