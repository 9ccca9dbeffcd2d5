#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Words for machine.sh that put Debian's QEMU into the machine: the program, its libraries and its firmware.
# packages: qemu-system-x86 seabios
set -eu
qemu=$(command -v qemu-system-x86_64) || {
	echo "vmm-files.sh: no qemu-system-x86_64: apt-get install qemu-system-x86" >&2
	exit 1
}
echo "-a $qemu:/bin/qemu"
ldd "$qemu" | sed -n -E 's|.* => (/[^ ]*) .*|\1|p; s|^[[:space:]]*(/[^ ]*) .*|\1|p' | sed 's|.*|-a &:&|'
for file in /usr/share/seabios/bios-256k.bin /usr/share/qemu/bios-microvm.bin /usr/share/qemu/linuxboot_dma.bin \
	/usr/share/qemu/kvmvapic.bin; do
	echo "-a $file:/share/${file##*/}"
done
