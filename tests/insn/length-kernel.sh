#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Unpack the kernel proper (an ELF file) from a bzImage: the payload's place is in the setup header (Linux
# documentation, "The Linux/x86 Boot Protocol").
#
# usage: length-kernel.sh OUTPUT [VMLINUZ]
#	without VMLINUZ: scripts/fetch-kernel.sh finds a stock one
set -eu

out=$1
image=${2:-$(sh scripts/fetch-kernel.sh "${GUEST:-build/guest}")}

number()	# offset bytes: a little-endian number of the image
{
	od -An -tu"$2" -j"$1" -N"$2" "$image" | tr -d ' '
}

sectors=$(number 497 1)
start=$(((sectors + 1) * 512 + $(number 584 4)))
length=$(number 588 4)
magic=$(od -An -tx1 -j$start -N4 "$image" | tr -d ' ')
case $magic in
fd377a58) tool='xz -dc' ;;
28b52ffd) tool='zstd -dc' ;;
02214c18) tool='lz4 -dc' ;;
1f8b*) tool='gzip -dc' ;;
*)
	echo "length-kernel: unknown compression $magic" >&2
	exit 1
	;;
esac
# The payload ends in its unpacked size (4 bytes), which the tools take for garbage.
tail -c +$((start + 1)) "$image" | head -c $((length - 4)) | $tool >"$out"
