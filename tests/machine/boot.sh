#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: a stock Linux guest works like the machine itself, with one processor and with two; the module stays while it
# is in use, and gets back what a guest held that is killed.

passed=0
failed=0
numbers=60000
append=quiet
# Bochs is slow: less work, and no tests of ciphers in the guest's kernel.
[ "$MACHINE" = svm ] || numbers=2000 append='quiet cryptomgr.notests'

result() # STATUS NAME
{
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
		echo "PASS $2"
	else
		failed=$((failed + 1))
		echo "FAIL $2"
	fi
}

guest() # COMMAND OPTIONS...
{
	command=$1
	shift
	/anykvm boot --device "$DEVICE" --memory 256M --kernel /vmlinuz --initrd /initrd \
		--append "$append anykvm.cmd=\"$command\"" "$@" </dev/null | tr -d '\r'
}

# The lines that /tmp/here has, at the end of what the guest has said.
same_work()
{
	guest "host-guest.sh /bin/busybox $numbers" >/tmp/there
	sed '/anykvm-cmd:/,$d' /tmp/there | tail -n "$(wc -l </tmp/here)" | cmp - /tmp/here || {
		cat /tmp/there
		return 1
	}
}

two_processors()
{
	guest "grep -c ^processor /proc/cpuinfo" --cpus 2 >/tmp/there
	grep -qx 2 /tmp/there || {
		cat /tmp/there
		return 1
	}
}

# Started and seen alive: the module must not go; then the guest goes the hard way.
killed_guest()
{
	/anykvm boot --device "$DEVICE" --memory 256M --kernel /vmlinuz --initrd /initrd \
		--append "$append anykvm.cmd=\"echo alive; while :; do :; done\"" </dev/null >/tmp/there &
	pid=$!
	until grep -q alive /tmp/there; do
		sleep 1
		kill -0 $pid || return 1
	done
	rmmod "$MODULE" 2>/tmp/refusal
	result $((1 - ($? != 0))) "the module stays while a guest runs"
	kill -9 $pid
	wait $pid
	[ $? = 137 ]
}

sh /host-guest.sh /bin/busybox $numbers >/tmp/here
same_work
result $? "a guest's work has the machine's results"
two_processors
result $? "a guest with two processors"
killed_guest
result $? "a guest is killed"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
