#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Run test suites (make targets) one after the other; add up their closing lines
# "N passed, N failed, N skipped" and end with such a line of the whole.
# usage: check.sh MAKE TARGET...
set -u
make=$1; shift
log=$(mktemp); trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0
for suite in "$@"; do
	echo "== $suite"
	{ "$make" --no-print-directory "$suite" 2>&1; echo "suite exit status $?"; } | tee "$log"
	status=$(sed -n 's/^suite exit status //p' "$log" | tail -1)
	closing=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log")
	if [ -z "$closing" ]; then
		echo "$suite: no closing line: counted as one failure"
		failed=$((failed + 1))
		continue
	fi
	sums=$(echo "$closing" | awk '{ p += $1; f += $3; s += $5 } END { print p, f, s }')
	set_failed=$(echo "$sums" | cut -d' ' -f2)
	passed=$((passed + $(echo "$sums" | cut -d' ' -f1)))
	skipped=$((skipped + $(echo "$sums" | cut -d' ' -f3)))
	# A suite that fails without counting a failure (crash after its line, sanitizer report) counts as one.
	[ "$status" != 0 ] && [ "$set_failed" = 0 ] && set_failed=1
	failed=$((failed + set_failed))
done
echo "== all"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
