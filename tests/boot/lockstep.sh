#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Boot a stock kernel with the lockstep engine: to init, some work in user space, power off.
#
# usage: lockstep.sh ANYKVM KERNEL INITRAMFS
#	INITRAMFS: made with tests/boot/lockstep-guest.sh as its script
#	LOCKSTEP_SECONDS (environment): time limit (1500)
#	LOCKSTEP_CPUS (environment): virtual CPUs (1)
set -u

[ $# -eq 3 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

ANYKVM_LOG=info timeout "${LOCKSTEP_SECONDS:-1500}" "$1" boot --engine lockstep --cpus "${LOCKSTEP_CPUS:-1}" --kernel "$2" --initrd "$3" \
	--append 'console=ttyS0 quiet' </dev/null >"$out" 2>&1
status=$?
if [ $status -eq 0 ] && grep -q '^lockstep-guest: done' "$out"; then
	sed -n 's/.*\(lockstep: .* comparisons.*\)/\1/p' "$out"
	echo "1 passed, 0 failed, 0 skipped"
else
	tail -n 100 "$out"
	echo "lockstep boot: status $status"
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi
