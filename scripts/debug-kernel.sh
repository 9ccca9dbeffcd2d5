#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Build Debian's kernel source with everything on that watches over a module (tests/machine/debug.config), laid out as the
# unpacked package of a kernel: DIRECTORY/kernel/boot, lib/modules. Prints the folder that modules are built against.
# It takes half an hour of a processor and 3 GB; what is there already is used again.
#
# usage: debug-kernel.sh [-j JOBS] DIRECTORY
# packages: linux-source-6.1 flex bison bc libelf-dev xz-utils
set -eu

usage()
{
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}

jobs=2
while getopts j: option; do
	case $option in
	j) jobs=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || usage
mkdir -p "$1"
dir=$(cd "$1" && pwd)
config=$(cd "$(dirname "$0")/.." && pwd)/tests/machine/debug.config
tree=$dir/source
out=$dir/build

if [ ! -d "$tree" ]; then
	archive=/usr/src/linux-source-6.1.tar.xz
	[ -f "$archive" ] || {
		echo "debug-kernel: no $archive: apt-get install linux-source-6.1" >&2
		exit 1
	}
	mkdir -p "$tree.part"
	tar -C "$tree.part" --strip-components=1 -xf "$archive"
	mv "$tree.part" "$tree"
fi
mkdir -p "$out"
if ! cmp -s "$config" "$out/fragment"; then
	KCONFIG_ALLCONFIG=$config make -s -C "$tree" O="$out" allnoconfig >&2
	# A wish that Kconfig has not granted is a mistake in the list.
	missing=$(grep -v '^#\|^$\|=n$' "$config" | grep -Fvxf "$out/.config" || :)
	[ -z "$missing" ] || {
		echo "debug-kernel: not granted:" "$missing" >&2
		exit 1
	}
	cp "$config" "$out/fragment"
fi
nice -n 19 make -s -C "$tree" O="$out" -j"$jobs" bzImage modules >&2
release=$(make -s -C "$tree" O="$out" kernelrelease)
mkdir -p "$dir/kernel/boot"
cp "$out/arch/x86/boot/bzImage" "$dir/kernel/boot/vmlinuz-$release"
rm -rf "$dir/kernel/lib"
nice -n 19 make -s -C "$tree" O="$out" INSTALL_MOD_PATH="$dir/kernel" modules_install >&2
printf '%s\n' "$out"
