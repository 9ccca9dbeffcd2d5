#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Run cmocka programs, show what fails, add up their results.
# usage: run.sh PROGRAM...
# Sanitizers: failed allocations are to be seen by the code, as they are without.
export ASAN_OPTIONS="allocator_may_return_null=1:${ASAN_OPTIONS:-}" TSAN_OPTIONS="allocator_may_return_null=1:${TSAN_OPTIONS:-}"
passed=0 failed=0 skipped=0
log=$(mktemp); trap 'rm -f "$log"' EXIT
for program in "$@"; do
	echo "== ${program##*/}"
	timeout 900 "$program" >"$log" 2>&1
	status=$?
	grep -vE '^\[(==========| RUN      |       OK |  PASSED  )' "$log"
	p=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
	f=$(sed -n 's/^\[  FAILED  \] [^:]*: \([0-9]*\) test.*\|^\[  FAILED  \] \([0-9]*\) test.*/\1\2/p' "$log" |
		awk '{ n += $1 } END { print n + 0 }')
	# A program that dies, hangs or reports a leak without a failed test counts as one.
	[ $status -ne 0 ] && [ "$f" -eq 0 ] && f=1 && echo "${program##*/}: exit status $status"
	s=$(sed -n 's/^\[  SKIPPED \] [^:]*: \([0-9]*\) test.*\|^\[  SKIPPED \] \([0-9]*\) test.*/\1\2/p' "$log" |
		awk '{ n += $1 } END { print n + 0 }')
	skipped=$((skipped + s))
	passed=$((passed + p)) failed=$((failed + f))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
