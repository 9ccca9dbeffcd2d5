#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Run fuzzers one after the other, each for some seconds; "N passed, N failed, N skipped" at the end.
#
# usage: run.sh BUILD SECONDS NAME...
#        run.sh -r BUILD INPUT NAME		one input again
set -u

replay=
[ "${1:-}" != -r ] || {
	replay=1
	shift
}
[ $# -ge 3 ] || {
	sed -n 's/^# *usage: /usage: /p' "$0" >&2
	exit 2
}
build=$(realpath "$1") seconds=$2
shift 2
# The library has its own handlers for faults of guest code.
flags='-handle_segv=0 -handle_bus=0 -handle_fpe=0 -handle_ill=0 -error_exitcode=1'

if [ -n "$replay" ]; then
	# shellcheck disable=SC2086
	exec "$build/fuzz-$1" $flags "$seconds"
fi
passed=0 failed=0 skipped=0
mkdir -p "$build/failures"
for name in "$@"; do
	corpus=$build/corpus/$name
	mkdir -p "$corpus"
	case $name in
	code | engines | decode)
		[ -n "$(ls "$corpus")" ] || "$build/fuzz-seeds" "$name" "$corpus" 400
		;;
	esac
	limit=4300
	[ "$name" != decode ] || limit=17
	# shellcheck disable=SC2086
	timeout $((seconds + 300)) "$build/fuzz-$name" $flags -max_total_time="$seconds" -max_len=$limit -timeout=60 \
		-rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$build/failures/$name-" "$corpus" \
		>"$build/$name.log" 2>&1
	status=$?
	grep -E '^stat::number_of_executed_units|cov: .* DONE|^Done' "$build/$name.log" | sed "s/^/$name: /"
	case $status in
	0) passed=$((passed + 1)) ;;
	77)
		echo "$name: not possible on this host"
		skipped=$((skipped + 1))
		;;
	*)
		tail -n 60 "$build/$name.log"
		echo "$name: status $status; make fuzz-replay FUZZ_ONLY=$name INPUT=..."
		failed=$((failed + 1))
		;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
