#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: what must not be. The module goes while somebody has one of its files; it takes what another KVM has; parameters that
# make no sense. /reference has Debian's KVM.
fail() { echo "refusals: $*"; dmesg | tail -n 5; exit 1; }

said() { # PATTERN: the kernel's log since the last look
	dmesg -c >/tmp/said
	grep -q "anykvm: $1" /tmp/said || { cat /tmp/said; fail "the log does not say: $1"; }
}

for kind in system vm vcpu mapping statistics eventfd; do
	touch /tmp/on
	rm -f /tmp/holds # what the last one said
	/holds /dev/anykvm $kind /tmp/on >/tmp/holds &
	pid=$!
	until grep -q holds /tmp/holds 2>/dev/null; do
		kill -0 $pid || fail "$kind: not even made"
		usleep 50000
	done
	if [ $kind = eventfd ]; then
		rmmod anykvm || fail "an eventfd keeps the module"
	elif rmmod anykvm 2>/dev/null; then
		fail "unloaded while $kind is open"
	fi
	rm /tmp/on
	wait $pid || fail "$kind: status $?"
done

dmesg -c >/dev/null
long=nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
for name in '' a/b .. 'a b' $long; do
	insmod /anykvm.ko "device=\"$name\"" 2>/tmp/err && fail "loaded as device '$name'"
	grep -q "Invalid" /tmp/err || fail "device '$name': $(cat /tmp/err)"
	said "device="
done
insmod /anykvm.ko unrestricted_guest=perhaps 2>/dev/null && fail "loaded with a parameter that is none"
insmod /anykvm.ko device=other-kvm_1 || fail "another name"
[ -c /dev/other-kvm_1 ] || fail "no device of another name"
insmod /anykvm.ko 2>/dev/null && fail "loaded twice"
rmmod anykvm || fail "not unloaded"

[ "$MACHINE" = svm ] && other=kvm-amd || other=kvm-intel
for module in irqbypass kvm $other; do
	insmod "/reference/$module.ko" || fail "insmod $module"
done
dmesg -c >/dev/null
insmod /anykvm.ko device=kvm 2>/tmp/err && fail "loaded as the /dev/kvm that another has"
grep -q busy /tmp/err || fail "device=kvm: $(cat /tmp/err)"
said "/dev/kvm cannot be made.*another KVM"
grep -q '^anykvm ' /proc/modules && fail "it stays"
insmod /anykvm.ko || fail "insmod beside another KVM"

alive() { # PID DEVICE-THAT-RUNS
	sleep 1
	rm /tmp/on
	wait "$1" || { cat /tmp/counter; fail "the guest on $2 did not live on"; }
}
for pair in "/dev/kvm /dev/anykvm" "/dev/anykvm /dev/kvm"; do
	first=${pair% *}
	second=${pair#* }
	touch /tmp/on
	/counter "$first" 2 /tmp/on >/tmp/counter 2>&1 &
	pid=$!
	sleep 1
	/counter "$second" 1 /tmp/on >/tmp/second 2>&1 && fail "$second runs beside $first"
	grep -q 'KVM_CREATE_VM: .*busy' /tmp/second || fail "$second: $(cat /tmp/second)"
	[ "$second" = /dev/kvm ] || said "virtualization cannot be turned on.*another hypervisor"
	alive $pid "$first"
	# It is free again.
	touch /tmp/on
	/counter "$second" 1 /tmp/on >/tmp/counter 2>&1 &
	alive $! "$second"
done
rmmod "$other" kvm irqbypass || fail "Debian's KVM does not go"
echo "1 passed, 0 failed, 0 skipped"
