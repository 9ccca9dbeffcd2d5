#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Put the guest kernel's symbols into a perf map: "guest:ffffffff81000123" becomes "guest:start_secondary+0x23".
# Boot the guest with nokaslr, with ANYKVM_PERF_MAP=1, under `perf record -e cpu-clock`; then
#	sh tools/perf-symbols.sh /tmp/perf-PID.map System.map && perf report
#
# usage: perf-symbols.sh MAP SYMBOLS		SYMBOLS: System.map or /proc/kallsyms of the guest
set -eu

[ $# -eq 2 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
new=$(mktemp "$1.XXXXXX")
trap 'rm -f "$new"' EXIT
# Sort symbols and blocks by guest address together, in a form that sorts as text; -s keeps symbols in front.
{
	awk 'length($1) == 16 && $2 ~ /[tTwW]/ { print $1, "s", $3 }' "$2"
	awk '{ g = $3; sub(/^guest:/, "", g); while (length(g) < 16) g = "0" g; print g, "t", $0 }' "$1"
} | LC_ALL=C sort -s -k1,1 -k2,2 | awk '
	function value(h,   n, v, k) {
		v = 0
		for (k = 1; k <= length(h); k++)
			v = v * 16 + index("0123456789abcdef", substr(h, k, 1)) - 1
		return v
	}
	$2 == "s" { symbol = $3; at = $1; next }
	# Kernel and modules lie in the upper half; the low 32 bits of a distance are all that is shown.
	$5 ~ /^guest:/ && $1 ~ /^ffff/ && symbol != "" {
		printf "%s %s guest:%s+0x%x\n", $3, $4, symbol, value(substr($1, 9)) - value(substr(at, 9))
		next
	}
	{ print $3, $4, $5 }' >"$new"
cat "$new" >"$1"
