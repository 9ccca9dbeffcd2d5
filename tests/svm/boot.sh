#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: a stock Linux guest works like the machine itself; the module stays while it is in use.
# It gives back what it took when a guest is killed.

guest() { # OPTIONS... COMMAND
	command=$1
	shift
	/anykvm boot --device /dev/anykvm --memory 256M --kernel /vmlinuz --initrd /initrd --append "quiet anykvm.cmd=\"$command\"" "$@"
}

echo "a guest with one processor, and work whose result is known"
sh /host-guest.sh /bin/busybox >/tmp/here
guest "host-guest.sh /bin/busybox" >/tmp/there </dev/null || exit 1
tr -d '\r' </tmp/there | sed '/anykvm-cmd:/q' | tail -n "$(($(wc -l </tmp/here) + 1))" | head -n "$(wc -l </tmp/here)" >/tmp/same
cmp /tmp/here /tmp/same || { cat /tmp/there; exit 1; }

echo "a guest with two processors"
guest "grep -c ^processor /proc/cpuinfo" --cpus 2 </dev/null | tee /tmp/there || exit 1
tr -d '\r' </tmp/there | grep -qx 2 || exit 1

echo "a guest that is killed"
guest "while :; do :; done" </dev/null >/tmp/there &
pid=$!
sleep 20
rmmod anykvm 2>/dev/null && { echo "the module was unloaded under a guest"; exit 1; }
killall -9 anykvm
wait $pid
sleep 1
rmmod anykvm || exit 1
