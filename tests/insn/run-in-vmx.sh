#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Run a statically linked program inside a stock Debian kernel with its kvm-intel, in Bochs's emulation of VT-x with
# EPT: a reference that is exact in segmentation, events and task switches, where no real KVM exists. Slow.
#
# usage: run-in-vmx.sh [-t SECONDS] [-e NAME=VALUE]... PROGRAM [ARGUMENT...]
#   -e NAME=VALUE   in the program's environment
# Its output goes to standard output; the exit status is the program's.
# REFERENCE_KERNEL: an unpacked linux-image package; without it scripts/fetch-kernel.sh fetches one to $BUILD/guest.
# packages: bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso bsdutils busybox-static cpio
set -eu

usage()
{
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}

limit=900
environment=
while getopts t:e: option; do
	case $option in
	t) limit=$OPTARG ;;
	e) environment="$environment $OPTARG" ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || usage
program=$1
shift
kernel=${REFERENCE_KERNEL:-}
if [ -n "$kernel" ]; then
	image=$(find "$kernel/boot" -name 'vmlinuz-*' | head -n 1)
else
	image=$(sh "$(dirname "$0")/../../scripts/fetch-kernel.sh" "${BUILD:-build}/guest")
	kernel=$(dirname "$(dirname "$image")")
fi

work=$(mktemp -d)
machine=
finish()
{
	[ -z "$machine" ] || kill "$machine" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 3' INT TERM
root=$work/root
iso=$work/iso
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$iso/isolinux"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$program" "$root/program"
for module in irqbypass kvm kvm-intel; do
	find "$kernel/lib/modules" -name "$module.ko" -exec cp {} "$root/" \;
done
for argument; do
	printf '%s\n' "$argument"
done >"$root/arguments"
cat >"$root/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t proc none /proc
for module in irqbypass kvm kvm-intel; do
	/bin/busybox insmod /\$module.ko
done
set --
while read -r argument; do
	set -- "\$@" "\$argument"
done </arguments
env $environment /program "\$@"
echo "program-exit-status \$?"
/bin/busybox sleep 1 # the serial port is slow
/bin/busybox poweroff -f
INIT
sed -i 's|^env |/bin/busybox env |' "$root/init"
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$iso/initrd"
cp "$image" "$iso/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$iso/isolinux/"
cat >"$iso/isolinux/isolinux.cfg" <<'CFG'
DEFAULT reference
PROMPT 0
TIMEOUT 1
LABEL reference
KERNEL /vmlinuz
APPEND initrd=/initrd console=ttyS0 quiet panic=-1
CFG
xorriso -as mkisofs -quiet -o "$work/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
	-boot-load-size 4 -boot-info-table "$iso" 2>/dev/null
cat >"$work/bochsrc" <<'RC'
megs: 512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=corei7_skylake_x, count=1, ips=50000000, reset_on_triple_fault=0
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
# Debian's build starts in its debugger, which wants a terminal.
echo c >"$work/continue"
cd "$work"
: >serial
TERM=xterm timeout "$limit" script -qc 'exec bochs-bin -q -f bochsrc -unlock -rc continue' /dev/null </dev/null >/dev/null 2>&1 &
machine=$!
tail -f --pid=$machine -n +1 serial | tr -d '\r'
wait $machine || true
status=$(tr -d '\r' <serial | sed -n 's/^program-exit-status //p')
[ -n "$status" ] || { echo "run-in-vmx: the machine ended without a result" >&2; exit 3; }
exit "$status"
