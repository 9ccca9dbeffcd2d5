#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Work for busybox tools, the same on host and guest; the output must be the same too.
# usage: host-guest.sh BUSYBOX [NUMBERS]      (how many numbers it works on, at least 800)
# shellcheck disable=SC2094,SC2016 # the file is only read; awk's own variables
set -u
export LC_ALL=C
b=$1
n=${2:-60000}
tmp=$(mktemp -d)
cd "$tmp" || exit 1

"$b" seq 1 "$n" >numbers
"$b" sha256sum <numbers
"$b" sha512sum <numbers
"$b" sha1sum <numbers
"$b" md5sum <numbers
"$b" gzip -c <numbers | "$b" gunzip | "$b" md5sum
"$b" gzip -9 -n <numbers | "$b" tail -c 8 | "$b" od -An -tx1
"$b" bzip2 -c <numbers | "$b" bunzip2 | "$b" cmp - numbers && echo bzip2 same
"$b" awk '{ s += $1 / 3; t += $1 % 7; h = (h * 31 + $1) % 65521 } END { printf "%.9g %d %d\n", s, t, h }' numbers
"$b" sort -r numbers | "$b" md5sum
"$b" tr 0-9 a-j <numbers | "$b" sed 's/a\(.\)/\1-/g' | "$b" sort | "$b" uniq -c | "$b" md5sum
"$b" grep -c '7.*7' numbers
mkdir tree
for i in 1 2 3 4 5 6 7 8; do
	"$b" head -n $((i * 100)) numbers >tree/file$i
done
"$b" tar cf - tree/file* | "$b" tar xf - -O | "$b" md5sum
echo "scale=30; sqrt(2) * 3.7 ^ 21" | "$b" bc
i=0 s=0
while [ $i -lt 5000 ]; do
	s=$(((s * 33 + i) % 1000003))
	i=$((i + 1))
done
echo "shell $s"
cd /
rm -rf "$tmp"
