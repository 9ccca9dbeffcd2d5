#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# A stock Linux guest that checks itself goes from QEMU on `anykvm run` into a machine with hardware virtualization, to QEMU on
# the KVM there, and back again: migration to a file each time, while it works. "N passed, N failed, N skipped" at the end.
#
# usage: moves.sh ANYKVM KERNEL WORK [NAME...] [-- WORDS-FOR-MACHINE.SH...]
#	KERNEL: a stock Debian cloud kernel's vmlinuz, with its modules in ../lib/modules
#	NAME: guests, as moves.txt has them, instead of all
#	WORDS: -k for Debian's KVM instead of anykvm.ko
# shellcheck disable=SC2086,SC2046 # lists of arguments are split on purpose
set -u

[ $# -ge 3 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$(realpath "$1")
kernel=$(realpath "$2")
mkdir -p "$3"
work=$(realpath "$3")
shift 3
limit=${CLIENTS_TIMEOUT:-600}
machine=$(dirname "$(realpath "$0")")
here=$machine/../clients
initrd=$work/initrd.gz
modules=$(dirname "$(dirname "$kernel")")/lib/modules

# shellcheck source=tests/lib/suite.sh
. "$machine/../lib/suite.sh"
# shellcheck source=tests/clients/lib.sh
. "$here/lib.sh"

names=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	names="$names $1"
	shift
done
[ $# -eq 0 ] || shift
[ -n "$names" ] || names=$(sed 's/:.*//' "$machine/moves.txt" | tr '\n' ' ')

options()
{
	sed -n "s/^$1://p" "$machine/moves.txt"
}

# A disk image for each guest: its state on the way there, then on the way back.
leave()
{
	rm -f "$work/$1.state"
	monitor_make "$1_leaves"
	vm_start "$1_leaves" -accel kvm -m 96 $(options $1) -kernel "$kernel" -initrd "$initrd" -append "$(linux moving)" $monitor_arguments
	vm_wait '^round 3 ok' || return
	monitor_do migrate "\"exec:cat >'$work/$1.state'\"" || return
	monitor_do info migrate || return
	grep -a -q 'Migration status: completed' "$monitor.log" || fail "the migration did not complete"
	monitor_quit
	vm_finish
	truncate -s 160M "$work/$1.state"
}

# What the machine said of it.
there()
{
	grep -q "^PASS $1:" "$work/machine.log" || fail "$(grep -m 1 "^FAIL $1:" "$work/machine.log" || echo "nothing was heard of it")"
}

come_back()
{
	vm_start "$1_is_back" -accel kvm -m 96 $(options $1) -kernel "$kernel" -initrd "$initrd" -append unused -incoming "exec:cat '$work/$1.state'"
	vm_finish
	tr -d '\r' <"$work/$1_is_back.out" | grep -a -q '^anykvm-cmd: exit status 0$' || fail "the guest's work failed"
	[ -n "$reason" ] || rm "$work/$1.state"
}

# each FUNCTION TITLE: a test for each guest that has come so far.
each()
{
	todo=$names
	names=
	for name in $todo; do
		failed_before=$failed
		run_test "$name $2" "$1" "$name"
		exec 4>&-
		[ $failed -ne $failed_before ] || names="$names $name"
	done
}

make_initrd || exit 1
each leave "leaves anykvm"
drives=
: >"$work/moves"
for name in $names; do
	echo "$name:$(options $name)" >>"$work/moves"
	drives="$drives -drive file=$work/$name.state,if=none,id=$name,format=raw -device virtio-blk-pci,drive=$name"
done
[ -z "$names" ] || MACHINE_QEMU=$drives sh "$machine/machine.sh" -M svm -t 1200 "$@" -a "$work/moves:/moves" -a "$initrd:/initrd" -a "$kernel:/vmlinuz" \
	$(sh "$machine/vmm-files.sh") "$machine/move.sh" 2>&1 | tee "$work/machine.log"
tail -n 1 "$work/machine.log" | grep -q ' 0 failed' || failed=$((failed + 1))
each there "is taken in, works, and leaves again"
each come_back "is back on anykvm, and ends its work"
suite_end
