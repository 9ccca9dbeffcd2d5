# SPDX-License-Identifier: MIT OR GPL-2.0-only
# shellcheck shell=sh disable=SC2154,SC2034,SC2086 # variables of the script that reads this
# What the client tests share: the guest's initramfs, running QEMU in the background, waiting for its guest, its monitor.
# Variables of the script: anykvm, kernel, initrd, work, limit, here.

virtio_modules='virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover virtio_net
	virtio_rng'

make_initrd()
{
	set --
	for name in $virtio_modules; do
		# The file of virtio_rng is virtio-rng.ko.
		file=$(find "$modules" -name "$name.ko" -o -name "$(echo $name | tr _ -).ko" | head -n 1)
		[ -n "$file" ] && set -- "$@" -a "$file:/lib/$name.ko"
	done
	sh "$here/../../scripts/mkinitramfs.sh" -a "$here/guest.sh:/bin/guest" "$@" "$initrd"
}

# The guest's command line; guest FUNCTION of guest.sh is what it does.
linux()
{
	echo "console=ttyS0 panic=-1 anykvm.cmd=\"sh /bin/guest $*\""
}

# direct NAME FUNCTION ARGUMENT...: boot the kernel directly, the guest does FUNCTION and powers off.
direct()
{
	name=$1
	work_in_guest=$2
	shift 2
	vm_start $name -m 512 -kernel "$kernel" -initrd "$initrd" -append "$(linux $work_in_guest)" "$@"
	# shellcheck disable=SC2119
	vm_finish
	tr -d '\r' <"$work/$name.out" | grep -a -q '^anykvm-cmd: exit status 0$' || fail "$name: the guest's work failed"
}

# vm_start NAME ARGUMENT...: QEMU on anykvm, or where $vm_device is set, on the machine's own /dev/kvm. Its serial console goes
# to $work/NAME.out.
vm_device=
vm_start()
{
	vm=$1
	shift
	rm -f "$work/$vm.status"
	: >"$work/$vm.out"
	set -- qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -serial "file:$work/$vm.out" "$@"
	[ -n "$vm_device" ] || set -- "$anykvm" run --route "${vm_route:-auto}" -- "$@"
	(
		timeout -k 5 "$limit" "$@" </dev/null >"$work/$vm.err" 2>&1
		echo $? >"$work/$vm.status"
	) &
}

vm_ended()
{
	[ -s "$work/$vm.status" ]
}

# vm_wait PATTERN [COUNT]: until the guest has printed COUNT such lines (1).
vm_wait()
{
	until [ "$(tr -d '\r' <"$work/$vm.out" | grep -a -c -e "$1")" -ge "${2:-1}" ]; do
		if vm_ended; then
			[ "$(tr -d '\r' <"$work/$vm.out" | grep -a -c -e "$1")" -ge "${2:-1}" ] && return 0
			fail "$vm: ended without printing '$1': $(tail -n 1 "$work/$vm.err")"
			return 1
		fi
		sleep 0.1
	done
}

# vm_finish [STATUS]: the program must end by itself and well (0).
# shellcheck disable=SC2120 # the status is optional
vm_finish()
{
	until vm_ended; do
		sleep 0.1
	done
	[ "$(cat "$work/$vm.status")" -eq "${1:-0}" ] ||
		fail "$vm: exit status $(cat "$work/$vm.status"): $(tail -n 1 "$work/$vm.err")"
}

# A monitor on a pair of fifos for the next VM: vm_start gets $monitor_arguments.
monitor_make()
{
	monitor=$work/$1.monitor
	rm -f "$monitor.in" "$monitor.out"
	mkfifo "$monitor.in" "$monitor.out"
	: >"$monitor.log"
	monitor_arguments="-chardev pipe,id=mon,path=$monitor -mon chardev=mon,mode=readline"
	cat "$monitor.out" >"$monitor.log" &
	exec 4<>"$monitor.in"
}

prompts()
{
	grep -a -o '(qemu)' "$monitor.log" | wc -l
}

# monitor_do COMMAND: and wait until it is done (the next prompt).
monitor_do()
{
	until [ "$(prompts)" -gt 0 ]; do
		vm_ended && break
		sleep 0.1
	done
	before=$(prompts)
	printf '%s\n' "$*" >&4
	until [ "$(prompts)" -gt "$before" ]; do
		vm_ended && {
			fail "$vm: ended at the monitor command $*"
			return 1
		}
		sleep 0.1
	done
}

monitor_quit()
{
	printf 'quit\n' >&4
	monitor_close
}

monitor_close()
{
	exec 4>&-
}
