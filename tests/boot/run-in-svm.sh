#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# The boot tests on Debian's kvm-amd, in QEMU's emulation of SVM: the reference where there is no
# real KVM. A test that fails here is a wrong test, or a fault of 'anykvm boot' itself.
#
# usage: run-in-svm.sh ANYKVM KERNEL PROGRAMS [TEST...]
#	ANYKVM: statically linked
#	KERNEL: vmlinuz of an unpacked linux-image package; runs both machines, gives the modules
#	PROGRAMS: as for run.sh
# packages: qemu-system-x86 seabios, and what mkinitramfs.sh needs
set -eu

[ $# -ge 3 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$1
kernel=$2
programs=$3
shift 3
here=$(dirname "$0")
limit=${BOOT_TIMEOUT:-900}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cat >"$work/script" <<SCRIPT
#!/bin/sh
for module in irqbypass kvm kvm-amd; do
	insmod /lib/\$module.ko
done
dmesg -n 1
# The tests look for programs where Debian has them.
mkdir -p /usr
ln -s /bin /usr/bin
sh /tests/run.sh /bin/anykvm /guest/vmlinuz /programs '--device /dev/kvm' $*
SCRIPT
set -- -c "$work/script" -a "$anykvm:/bin/anykvm" -a "$kernel:/guest/vmlinuz" \
	-a "$here/run.sh:/tests/run.sh" -a "$here/host-guest.sh:/tests/host-guest.sh"
for program in guest-work guest-work32 tiny32 tiny64 initramfs.gz; do
	set -- "$@" -a "$programs/$program:/programs/$program"
done
for module in irqbypass kvm kvm-amd; do
	file=$(find "$(dirname "$kernel")/../lib/modules" -name "$module.ko")
	set -- "$@" -a "$file:/lib/$module.ko"
done
sh "$here/../../scripts/mkinitramfs.sh" "$@" "$work/initramfs.gz"

timeout "$limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu EPYC,+svm,+npt -smp 2 -m 2048 \
	-nodefaults -no-user-config -nographic -serial stdio -no-reboot \
	-kernel "$kernel" -initrd "$work/initramfs.gz" -append 'console=ttyS0 quiet panic=-1' \
	</dev/null 2>/dev/null | tr -d '\r' | tee "$work/log" | grep -E '^(ok|not ok|skip) |passed' || true
[ "$(sed -n 's/^anykvm-cmd: exit status //p' "$work/log")" = 0 ]
