#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Boot KERNEL with INITRD in Bochs's emulation of VT-x with EPT; its serial console goes to standard output. Bochs is exact
# in segmentation, events and task switches, and slow. Its time-stamp counter counts instructions.
# usage: bochs.sh KERNEL INITRD MEGABYTES -i|'' CPUS|''
# MACHINE_CPU: another of its processors (bochs -help cpu)
# MACHINE_BOCHS: commands for its debugger, a file, instead of "go on"; what they say is in MACHINE_BOCHS.log, the second serial
# line's output in MACHINE_BOCHS.com2
# packages: bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso
set -eu
kernel=$1
initrd=$2
memory=$3
cpus=${5:-1}
# Instructions in a microsecond of the machine's time. The kernel must not believe CPUID's frequency, and the tests of its
# ciphers would be half of its start.
ips=100
work=$(mktemp -d)
pid=
finish()
{
	# It catches a friendlier signal and goes on.
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || :
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
iso=$work/iso
mkdir -p "$iso/isolinux"
cp "$kernel" "$iso/vmlinuz"
cp "$initrd" "$iso/initrd"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$iso/isolinux/"
cat >"$iso/isolinux/isolinux.cfg" <<CFG
DEFAULT linux
PROMPT 0
TIMEOUT 1
LABEL linux
KERNEL /vmlinuz
APPEND initrd=/initrd console=ttyS0 quiet panic=-1 no_timer_check tsc_early_khz=${ips}000 oops=panic cryptomgr.notests
CFG
xorriso -as mkisofs -quiet -o "$work/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
	-boot-load-size 4 -boot-info-table "$iso" 2>/dev/null
cat >"$work/bochsrc" <<RC
megs: $memory
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=${MACHINE_CPU:-corei7_skylake_x}, count=$cpus, ips=${ips}000000, reset_on_triple_fault=0
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=serial
display_library: term
sound: driver=dummy
log: bochs.log
panic: action=fatal
clock: sync=none
RC
# Debian's build starts in its debugger.
if [ -n "${MACHINE_BOCHS:-}" ]; then
	cp "$MACHINE_BOCHS" "$work/continue"
	echo "com2: enabled=1, mode=file, dev=$MACHINE_BOCHS.com2" >>"$work/bochsrc"
else
	echo c >"$work/continue"
fi
cd "$work"
: >serial
TERM=xterm bochs-bin -q -f bochsrc -unlock -rc continue </dev/null >"${MACHINE_BOCHS:-/dev/null}${MACHINE_BOCHS:+.log}" 2>&1 &
pid=$!
# Its screen is a pseudo-terminal: the machine stands when that is full.
drain_screen()
{
	until tty=$(sed -n 's/^tty-index:[[:space:]]*//p' /proc/$pid/fdinfo/* 2>/dev/null) && [ -n "$tty" ]; do
		kill -0 $pid || return
		sleep 1
	done
	exec cat "/dev/pts/$tty"
}
drain_screen >/dev/null 2>&1 &
tail -f --pid=$pid -n +1 serial
wait $pid || :
pid=
