#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Boot a stock Debian cloud kernel in an emulated machine that has hardware virtualization, load a KVM there and run
# scripts with it: each one with the module freshly loaded, and unloaded after it.
#
# usage: machine.sh -M svm|vmx [-k] [-i] [-n] [-c CPUS] [-t SECONDS] [-m MEGABYTES] [-p MODULE-PARAMETERS] [-a FILE:/PATH]... SCRIPT...
#   -M   svm: AMD-V with nested paging, emulated by QEMU; vmx: VT-x with EPT, emulated by Bochs
#   -k   Debian's kvm-amd or kvm-intel instead of anykvm.ko, as the reference
#   -n   the module is not loaded: the scripts do that
#   -i   the time-stamp counter counts executed instructions (Bochs's always does, with one CPU)
#   MACHINE_EMULATOR=bochs: AMD-V in Bochs, with MACHINE_CPU=trinity_apu; see docs/status.md, "API tests"
#   BUILD: where anykvm.ko is (build); MACHINE_KERNEL: an unpacked linux-image package, by default the one in GUEST ($BUILD/guest)
# The scripts find in their environment MACHINE (svm, vmx), MODULE (anykvm, kvm_amd, kvm_intel) and DEVICE (its node).
# Their lines "N passed, N failed, N skipped" are added up to one; a script that ends in another status than 0 without a failure
# counted, a complaint of the kernel (a warning, a bug, a stall) and a module that does not unload are a failure each.
# packages: busybox-static cpio, and those of qemu.sh or bochs.sh
set -eu

usage()
{
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}

machine=
cpus=
limit=900
memory=1024
parameters=
reference=
unloaded=
count=
files=
while getopts M:kinc:t:m:p:a: option; do
	case $option in
	M) machine=$OPTARG ;;
	k) reference=yes ;;
	i) count=yes ;;
	n) unloaded=yes ;;
	c) cpus=$OPTARG ;;
	t) limit=$OPTARG ;;
	m) memory=$OPTARG ;;
	p) parameters=$OPTARG ;;
	a) files="$files $OPTARG" ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || usage
case $machine in
svm) launcher=${MACHINE_EMULATOR:-qemu}.sh vendor=amd ;;
vmx) launcher=bochs.sh vendor=intel ;;
*) usage ;;
esac
here=$(dirname "$0")
build=${BUILD:-build}
kernel=${MACHINE_KERNEL:-}
if [ -z "$kernel" ]; then
	kernel=$(sh "$here/../../scripts/fetch-kernel.sh" "${GUEST:-$build/guest}")
	kernel=${kernel%/boot/*}
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
root=$work/root
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/etc/scripts"
cp "$(command -v busybox)" "$root/bin/busybox"
for file in $files; do
	mkdir -p "$root/$(dirname "${file#*:}")"
	cp "${file%%:*}" "$root/${file#*:}"
done
scripts=
for script; do
	cp "$script" "$root/etc/scripts/"
	scripts="$scripts $(basename "$script")"
done
if [ -n "$reference" ]; then
	modules="irqbypass kvm kvm-$vendor"
	for module in $modules; do
		find "$kernel/lib/modules" -name "$module.ko" -exec cp {} "$root/" \;
	done
	device=/dev/kvm
else
	modules=anykvm
	cp "$build/anykvm.ko" "$root/"
	device=/dev/anykvm
fi
{
	echo '#!/bin/busybox sh'
	echo "export PATH=/bin MACHINE=$machine DEVICE=$device"
	echo "modules='$modules' parameters='$parameters' scripts='$scripts' unloaded=$unloaded"
	cat "$here/init.sh"
} >"$root/init"
chmod +x "$root/init"
# Debugging information would take longer to unpack than everything else.
find "$root" -type f -size +64k | while read -r file; do
	# A kernel image is no ELF file, and must stay as it is.
	case $(head -c 4 "$file" | od -An -c) in
	*' 177   E   L   F') strip --strip-debug "$file" ;;
	esac
done
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"
echo "== the $machine machine, ${modules##* }"
timeout "$limit" sh "$here/$launcher" "$(find "$kernel/boot" -name 'vmlinuz-*' | head -n 1)" "$work/initrd" \
	"$memory" "${count:+-i}" "$cpus" </dev/null | sed -u 's|\r$||' | tee "$work/log" |
	sed -u -E 's/^([0-9]+ passed, [0-9]+ failed, [0-9]+ skipped)$/  \1/' || :
awk '
/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed += $1; failed += $3; skipped += $5 }
/^machine-end$/ { ended = 1 }
END {
	if (!ended) {
		print "FAIL the machine ended without a result"
		failed++
	}
	printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
	exit failed != 0
}' "$work/log"
