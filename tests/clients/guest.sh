#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# What the guests of the client tests do. Runs in the busybox initramfs.
# usage: guest.sh WORK[:ARGUMENT...]
set -u

load()
{
	for name in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover \
		virtio_net virtio_rng; do
		insmod /lib/$name.ko || exit 1
	done
}

# The kernel must have no complaint of its own.
serious='WARNING: CPU|BUG:|Oops|soft lockup|rcu_.*stall'
complaints()
{
	! dmesg | grep -E "$serious|unstable because"
}

cpus()
{
	echo "cpus $(nproc)"
	[ "$(nproc)" = "$1" ] && complaints
}

# The kernel sees Hyper-V, and works with its clock and its timers.
hyperv()
{
	clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
	ticks=$(awk '/^ *HVS:/ { print $2 }' /proc/interrupts)
	dmesg | grep -E 'Hyper-V: (Using|priv)'
	echo "clock $clock, timer interrupts $ticks"
	# shellcheck disable=SC2119
	[ "$clock" = hyperv_clocksource_tsc_page ] && [ "${ticks:-0}" -gt 0 ] && dmesg | grep -q 'Using hypercall for remote TLB flush' &&
		dmesg | grep -q 'Using IPI hypercalls' && busy
}

# DOWNLOAD-SUM DISK-SUM: fetch a file, read the disk's first half, write it to its second.
virtio()
{
	load
	ip link set eth0 up
	ip addr add 10.0.2.15/24 dev eth0
	tftp -g -r download -l /tmp/download 10.0.2.2 || return 1
	[ "$(sha256sum </tmp/download | cut -c 1-64)" = "$1" ] || return 1
	echo download ok
	[ "$(head -c 4194304 /dev/vda | sha256sum | cut -c 1-64)" = "$2" ] || return 1
	dd if=/dev/vda of=/dev/vda bs=1M count=4 seek=4 conv=notrunc,fsync || return 1
	echo disk ok
	cat /sys/class/misc/hw_random/rng_current
	[ "$(head -c 100000 /dev/hwrng | wc -c)" = 100000 ] && complaints
}

# CPUS KILOBYTES: until the machine has grown to so many CPUs and so much memory; then all of it works.
grown()
{
	echo online >/sys/devices/system/memory/auto_online_blocks
	echo ready
	until [ "$(nproc)" -ge "$1" ] && [ "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -ge "$2" ]; do
		for cpu in /sys/devices/system/cpu/cpu[0-9]*/online; do
			[ ! -e "$cpu" ] || [ "$(cat "$cpu")" = 1 ] || echo 1 >"$cpu"
		done
		sleep 0.1
	done
	echo "cpus $(nproc)"
	cpu=0
	while [ $cpu -lt "$1" ]; do
		[ "$(taskset $((1 << cpu)) seq 1 1000 | awk '{ s += $1 } END { print s }')" = 500500 ] || return 1
		cpu=$((cpu + 1))
	done
	mkdir -p /grown
	mount -t tmpfs -o size=100% none /grown
	head -c 60000000 /dev/zero | tr '\000' x >/grown/x
	[ "$(sha256sum </grown/x | cut -c 1-16)" = "$3" ] && complaints
}

# COPIES NUMBERS RESULT: copies of /tmp/a have its sum, arithmetic gives what it should.
checks()
{
	copy=0
	while [ $copy -lt "$1" ]; do
		cp /tmp/a /tmp/b
		[ "$(sha256sum </tmp/b)" = "$want" ] || return 1
		copy=$((copy + 1))
	done
	[ "$(seq 1 "$2" | awk '{ s += $1 * $1 % 7; f += 1 / $1 } END { printf "%d %.9f", s, f }')" = "$3" ]
}

# BYTES: the file that is checked; another process works with it, too.
begin_checks()
{
	head -c "$1" /dev/urandom >/tmp/a
	want=$(sha256sum </tmp/a)
	(while :; do gzip -c /tmp/a | gunzip | cmp - /tmp/a || echo bad; done) &
	other=$!
}

# Twelve rounds of checks of memory and of arithmetic, in two processes. "symbols": say first where the kernel's are.
# shellcheck disable=SC2120 # its argument is optional
busy()
{
	[ "${1:-}" != symbols ] || grep -E ' (vfs_write|jiffies_64|asm_sysvec_apic_timer_interrupt)$' /proc/kallsyms
	begin_checks 4000000
	for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
		checks 4 20000 '39999 10.480728217' || return 1
		echo "round $round ok"
	done
	kill $other
	complaints
}

# The same, for slow machines, in many rounds. Time never goes back; each CPU is used. The time-stamp counter may be called unstable:
# when QEMU stops a machine and starts one it does not stop and start with the other timers, by a millisecond on slow machines.
moving()
{
	begin_checks 2000000
	before=0
	for round in $(seq 1 40); do
		taskset $((1 << round % $(nproc))) sh -c : && checks 2 2000 '4003 8.178368104' || return 1
		now=$(date +%s)$(sed 's/ .*//; s/\.//' /proc/uptime)
		[ "$now" -ge "$before" ] || return 1
		before=$now
		echo "round $round ok"
	done
	kill $other
	! dmesg | grep -E "$serious"
}

work=$(echo "$1" | tr : ' ')
# shellcheck disable=SC2086 # words on purpose
$work
