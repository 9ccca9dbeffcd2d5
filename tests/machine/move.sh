#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# In the machine: Debian's QEMU with -accel kvm takes in the guests that /moves names, each from its disk, in that order; each goes
# on for some rounds of its work, and leaves for the same disk.
passed=0
failed=0
if [ ! -e /dev/kvm ]; then
	ln -s "$DEVICE" /dev/kvm
	trap 'rm /dev/kvm' EXIT
fi
export LD_LIBRARY_PATH=/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu
# The guests' initramfs has the modules that this machine needs, too.
cd /tmp && gunzip -c /initrd | cpio -id 'lib/*' 2>/dev/null
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
	insmod /tmp/lib/$module.ko || exit 1
done
cd /

rounds()
{
	tr -d '\r' <"/tmp/$name.out" | grep -c '^round .* ok$'
}

# Commands for QEMU's monitor: it leaves when it has worked for three rounds here.
commands()
{
	until [ "$(rounds)" -ge 3 ] || [ -e "/tmp/$name.ended" ]; do
		sleep 1
	done
	echo "migrate \"exec:cat >$disk\""
	echo "info migrate"
	echo quit
}

guest() # NAME DISK QEMU-OPTIONS...
{
	name=$1
	disk=$2
	shift 2
	: >"/tmp/$name.out"
	commands | {
		timeout 300 qemu -L /share -nodefaults -no-user-config -no-reboot -display none -accel kvm -m 96 "$@" \
			-kernel /vmlinuz -initrd /initrd -append unused -serial "file:/tmp/$name.out" -monitor stdio \
			-incoming "exec:cat $disk" >"/tmp/$name.monitor" 2>&1
		echo $? >"/tmp/$name.ended"
	}
	if [ "$(cat "/tmp/$name.ended")" = 0 ] && [ "$(rounds)" -ge 3 ] && grep -q 'Migration status: completed' "/tmp/$name.monitor"; then
		passed=$((passed + 1))
		echo "PASS $name: $(rounds) rounds"
	else
		failed=$((failed + 1))
		echo "FAIL $name: QEMU's status $(cat "/tmp/$name.ended"), $(rounds) rounds"
		tail -n 20 "/tmp/$name.out"
		tr '\r' '\n' <"/tmp/$name.monitor" | tail -n 20
	fi
}

letters='a b c d e f g h'
while IFS=: read -r name options <&3; do
	letter=${letters%% *}
	letters=${letters#* }
	# shellcheck disable=SC2086 # words on purpose
	guest "$name" "/dev/vd$letter" $options
done 3</moves
sync
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
