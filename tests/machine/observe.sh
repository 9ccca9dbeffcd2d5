#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: tracepoints and counters of a running guest.
mount -t debugfs none /sys/kernel/debug
mount -t tracefs none /sys/kernel/tracing
events=/sys/kernel/tracing/events/anykvm
counters=/sys/kernel/debug/anykvm
fail() { echo "observe: $*"; exit 1; }

value() { # FILE NAME
	sed -n "s/^$2 //p" "$1"
}

touch /tmp/on
/counter /dev/anykvm 2 /tmp/on &
pid=$!
# As long as it takes to see both vCPUs; the machine may be slow.
sleep 1
echo 64 >/sys/kernel/tracing/buffer_size_kb
echo 1 >$events/enable
i=0
# Not while it is written to: where a guest makes events faster than they are read that has no end.
look() {
	echo 0 >/sys/kernel/tracing/tracing_on
	cat /sys/kernel/tracing/trace >/tmp/trace
	echo 1 >/sys/kernel/tracing/tracing_on
}
until look
	grep -q 'anykvm_exit: vcpu 1 reason io ' /tmp/trace && grep -q 'anykvm_user_exit: vcpu 0 reason io ' /tmp/trace; do
	i=$((i + 1))
	[ $i -lt 60 ] || { tail -n 20 /tmp/trace; fail "not both vCPUs in the trace"; }
	sleep 1
done
echo 0 >$events/enable
for event in anykvm_entry anykvm_exit anykvm_user_exit anykvm_ioctl; do
	grep -q " $event: " /tmp/trace || fail "no $event"
done
grep -q 'anykvm_exit: vcpu 1 reason io rip 0x[0-9a-f]* info1 0x80 ' /tmp/trace || fail "no port access of vCPU 1"
grep -q 'anykvm_user_exit: vcpu 0 reason io error 0' /tmp/trace || fail "no exit to user space of vCPU 0"
grep -q 'anykvm_ioctl: vcpu cmd 0x0000ae80 ' /tmp/trace || fail "no KVM_RUN"

vm=$(echo $counters/$pid-*)
[ -f "$vm/vcpu1" ] || fail "no vCPU in $vm"
[ "$(value "$vm/vcpu0" exit_io)" -gt 0 ] || fail "no exits of vCPU 0"
[ "$(value "$vm/counters" exits)" -gt "$(value "$vm/vcpu1" exits)" ] || fail "the VM has no more exits than a vCPU"

# The same by the command.
stat=$(/anykvm stat --pid $pid --once) || fail "anykvm stat"
echo "$stat" | grep -q "^counter (pid $pid), VM [0-9]* of the kernel module, 2 vCPUs" || fail "anykvm stat: $stat"
echo "$stat" | grep -Eq '^  exit_io +[1-9][0-9]* +[1-9]' || fail "anykvm stat counts no exits: $stat"
/anykvm stat --once --json | grep -q "\"pid\":$pid,\"name\":\"counter\"" || fail "anykvm stat --json"
/anykvm stat --pid 1 --once 2>/tmp/err && fail "anykvm stat finds machines of init"
for what in "--pid $pid" --module; do
	# shellcheck disable=SC2086 # words on purpose
	/anykvm trace -o /tmp/trace $what &
	tracer=$!
	i=0
	until grep -q ' anykvm_exit: vcpu 1 reason io ' /tmp/trace 2>/dev/null && grep -q ' anykvm_ioctl: vcpu cmd ' /tmp/trace; do
		i=$((i + 1))
		[ $i -lt 60 ] || { tail -n 20 /tmp/trace; fail "anykvm trace $what"; }
		sleep 1
	done
	kill $tracer
	wait $tracer || fail "anykvm trace $what: status $?"
	rm /tmp/trace
done
[ -z "$(ls /sys/kernel/tracing/instances)" ] || fail "anykvm trace leaves an instance"
rm /tmp/on
wait $pid || exit 1
[ -e "$vm" ] && fail "counters of a VM that is gone"
[ "$(value $counters/counters exit_io)" -gt 0 ] || fail "no sums"

# An interrupt or exception on its way in: a guest of the API tests.
echo 1 >$events/anykvm_inject/enable
/api-tests --device /dev/anykvm interrupt_split_queue_holds_one >/tmp/log || { cat /tmp/log; exit 1; }
echo 0 >$events/anykvm_inject/enable
grep -q ' anykvm_inject: vcpu 0 interrupt vector 0x' /sys/kernel/tracing/trace || fail "no injection"
echo "1 passed, 0 failed, 0 skipped"
