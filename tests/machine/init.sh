# SPDX-License-Identifier: MIT OR GPL-2.0-only
# shellcheck shell=sh disable=SC2154 # machine.sh writes the first lines: modules, parameters, scripts
# The emulated machine's init.

/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp
mkdir -p /dev/pts /dev/shm
mount -t devpts none /dev/pts
dmesg -n 1
MODULE=$(echo "${modules##* }" | tr - _)
export MODULE

load()
{
	for module in $modules; do
		# shellcheck disable=SC2086 # words on purpose
		case $module in
		irqbypass | kvm) insmod "/$module.ko" ;;
		*) insmod "/$module.ko" $parameters ;;
		esac || return 1
	done
}

unload()
{
	reversed=
	for module in $modules; do
		reversed="$module $reversed"
	done
	for module in $reversed; do
		rmmod "$module" || return 1
	done
}

# One script: what it counts, and what must hold whatever it does.
run_script()
{
	failures=0
	[ -n "$unloaded" ] || load || { echo "FAIL $1: the module does not load"; failures=$((failures + 1)); }
	: >/tmp/out
	sh "/etc/scripts/$1" >/tmp/out 2>&1 &
	pid=$!
	# Seen as it comes, and kept for the count.
	tail -f -s 1 -n +1 /tmp/out &
	shower=$!
	wait $pid
	status=$?
	sleep 2
	kill $shower
	wait $shower 2>/dev/null
	counted=$(awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { n += $3 } END { print n + 0 }' /tmp/out)
	if [ $status != 0 ] && [ "$counted" = 0 ]; then
		echo "FAIL $1: exit status $status"
		failures=$((failures + 1))
	fi
	[ -n "$unloaded" ] || [ -e /tmp/stays-in-use ] || unload || { echo "FAIL $1: the module does not unload"; failures=$((failures + 1)); }
	dmesg -c >/tmp/log
	if grep -E 'WARNING: CPU|BUG: |Oops|rcu: INFO|soft lockup|scheduling while atomic|general protection|Bad page' /tmp/log >/tmp/complaints; then
		echo "FAIL $1: the kernel complains"
		sed 's/^/kernel-complaint: /' /tmp/complaints
		# Where it was then.
		tail -n 150 /tmp/log | sed 's/^/kernel-log: /'
		failures=$((failures + 1))
	fi
	echo "0 passed, $failures failed, 0 skipped"
}

dmesg -c >/tmp/boot-log
for script in $scripts; do
	echo "-- $script"
	run_script "$script"
done
echo machine-end
stty opost </dev/console # waits until all output is sent
sleep 1
poweroff -f
