#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Run cmocka programs, show what fails, add up their results.
# usage: run.sh PROGRAM...
passed=0 failed=0
log=$(mktemp); trap 'rm -f "$log"' EXIT
for program in "$@"; do
	echo "== ${program##*/}"
	timeout 120 "$program" >"$log" 2>&1
	status=$?
	grep -vE '^\[(==========| RUN      |       OK |  PASSED  )' "$log"
	p=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
	f=$(sed -n 's/^\[  FAILED  \] [^:]*: \([0-9]*\) test.*\|^\[  FAILED  \] \([0-9]*\) test.*/\1\2/p' "$log" |
		awk '{ n += $1 } END { print n + 0 }')
	# A program that dies, hangs or reports a leak without a failed test counts as one.
	[ $status -ne 0 ] && [ "$f" -eq 0 ] && f=1 && echo "${program##*/}: exit status $status"
	passed=$((passed + p)) failed=$((failed + f))
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
