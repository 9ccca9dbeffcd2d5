#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# A table of what bench-exits has logged: instructions per exit, ours, Debian's, and ours as a part of Debian's.
# usage: exits-table.sh FOLDER MACHINE...
set -eu
folder=$1
shift
for machine; do
	echo "| exit ($machine) | anykvm | Debian's KVM | ratio |"
	echo "|---|---|---|---|"
	awk '
	$1 != "exit" { next }
	FILENAME == ARGV[1] { ours[$2] = $3; order[++rows] = $2; next }
	{ theirs[$2] = $3; if (!($2 in ours)) order[++rows] = $2 }
	END {
		for (i = 1; i <= rows; i++) {
			name = order[i]
			a = name in ours ? ours[name] : "-"
			b = name in theirs ? theirs[name] : "-"
			ratio = a != "-" && b != "-" ? sprintf("%.2f", a / b) : "-"
			printf "| %s | %s | %s | %s |\n", name, a, b, ratio
		}
	}' "$folder/exits-$machine.log" "$folder/exits-$machine-k.log"
	echo
done
