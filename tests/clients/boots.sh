#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Boots in a row: a stock kernel in QEMU through `anykvm run`, machine, interrupt chips and number of CPUs mixed. The guest
# must see all its CPUs, print no complaint of its kernel and power off. "N passed, N failed, N skipped" at the end; status 1
# if one failed. What a failed boot printed stays in WORK.
#
# usage: boots.sh ANYKVM KERNEL WORK [COUNT [FIRST]]
#	COUNT: 200; FIRST: where in the mixture to begin (0)
#	CLIENTS_TIMEOUT (environment): seconds that one boot may take (600: a busy machine is no failure)
# shellcheck disable=SC2086,SC2154 # lists of arguments are split on purpose; lib.sh sets vm
set -u

[ $# -ge 3 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$(realpath "$1")
kernel=$(realpath "$2")
mkdir -p "$3"
work=$(realpath "$3")
count=${4:-200}
boot=${5:-0}
limit=${CLIENTS_TIMEOUT:-600}
here=$(dirname "$(realpath "$0")")
initrd=$work/initrd.gz
modules=$(dirname "$(dirname "$kernel")")/lib/modules
# shellcheck source=tests/lib/suite.sh
. "$here/../lib/suite.sh"
# shellcheck source=tests/clients/lib.sh
. "$here/lib.sh"

command -v qemu-system-x86_64 >/dev/null || {
	echo "qemu-system-x86_64 is not installed: apt-get install qemu-system-x86"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}
make_initrd || exit 1
one()
{
	direct "$@"
	wait
	[ -n "$reason" ] || rm -f "$work/$1.out" "$work/$1.err" "$work/$1.status"
}
last=$((boot + count))
while [ $boot -lt $last ]; do
	case $((boot % 3)) in
	0) machine=pc ;;
	1) machine=q35 ;;
	2) machine=microvm ;;
	esac
	chips=on
	[ $((boot / 3 % 2)) -eq 0 ] || chips="split"
	cpus=$((boot / 6 % 2 + 1))
	# What a kernel uses of its own depends on the model: not all have fast string instructions, for one.
	case $((boot % 5)) in
	0) model=qemu64 ;;
	1) model=Nehalem ;;
	2) model=max ;;
	3) model=Haswell-noTSX ;;
	*) model=EPYC ;;
	esac
	run_test "boot $boot ($machine, irqchip $chips, $cpus CPU, $model)" one boot$boot cpus:$cpus -M $machine -accel kvm,kernel-irqchip=$chips -smp $cpus -cpu $model
	boot=$((boot + 1))
done
suite_end
