#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: the module's life around running guests: processors that go and come, suspend, unloading, its parameter.
fail() { echo "life: $*"; exit 1; }

start() { # DEVICE
	touch /tmp/on
	/counter "$1" 2 /tmp/on >/tmp/counter 2>&1 &
	pid=$!
	sleep 1
}
stop() {
	rm /tmp/on
	wait $pid || { cat /tmp/counter; fail "$1: the guest did not live on"; }
	echo "life: $1: $(cat /tmp/counter)"
}

# Loaded and unloaded over and over, now and then with a guest, while a processor comes and goes.
touch /tmp/cycling
while [ -e /tmp/cycling ]; do
	echo 0 >/sys/devices/system/cpu/cpu1/online
	usleep 20000
	echo 1 >/sys/devices/system/cpu/cpu1/online
	usleep 20000
done &
cycler=$!
rmmod anykvm || fail "not unloaded"
i=0
# Bochs is slow.
[ "$MACHINE" = vmx ] && loads=5 || loads=100
while [ $i -lt "$loads" ]; do
	insmod /anykvm.ko || fail "not loaded the time $i"
	if [ $((i % 20)) = 0 ]; then
		touch /tmp/short
		/counter /dev/anykvm 1 /tmp/short >/tmp/counter 2>&1 &
		pid=$!
		usleep 200000
		rm /tmp/short
		wait $pid || { cat /tmp/counter; fail "no guest the time $i"; }
	fi
	rmmod anykvm || fail "not unloaded the time $i"
	i=$((i + 1))
done
rm /tmp/cycling
wait $cycler
[ ! -e /dev/anykvm ] || fail "unloaded, but there is a device"
insmod /anykvm.ko || fail "loading again"
echo "life: $i times loaded and unloaded"

start /dev/anykvm
rmmod anykvm 2>/dev/null && fail "unloaded while in use"
for _ in 1 2 3 4 5 6 7 8; do
	echo 0 >/sys/devices/system/cpu/cpu1/online || fail "a processor cannot go"
	usleep 300000
	echo 1 >/sys/devices/system/cpu/cpu1/online || fail "a processor cannot come"
	usleep 300000
done
stop "8 times a processor went and came"

echo 0 >/sys/devices/system/cpu/cpu1/online
start /dev/anykvm
echo 1 >/sys/devices/system/cpu/cpu1/online || fail "a processor cannot come after the first VM"
taskset -p 2 $pid >/dev/null 2>&1
sleep 1
stop "a processor that was not there when the VM began"

start /dev/anykvm
echo +5 >/sys/class/rtc/rtc0/wakealarm || fail "no alarm clock"
echo mem >/sys/power/state || fail "suspend"
stop "suspended to memory"
start /dev/anykvm
stop "a new guest after the suspend"
rmmod anykvm || fail "not unloaded"

insmod /anykvm.ko device=kvm || fail "device=kvm"
[ -c /dev/kvm ] || fail "no /dev/kvm"
[ -e /dev/anykvm ] && fail "device=kvm makes /dev/anykvm too"
start /dev/kvm
stop "device=kvm"
rmmod anykvm || fail "not unloaded"
insmod /anykvm.ko || fail "loading again"
# This one runs on while the machine is turned off.
touch /tmp/stays-in-use
echo "1 passed, 0 failed, 0 skipped"
start /dev/anykvm
