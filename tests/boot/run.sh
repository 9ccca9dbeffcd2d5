#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Boot tests: one line per test, "N passed, N failed, N skipped" at the end; status 1 if one failed.
#
# usage: run.sh ANYKVM KERNEL PROGRAMS [ARGUMENTS [TEST...]]
#	KERNEL: a stock kernel; '' skips the tests that need it
#	PROGRAMS: the folder with guest-work, guest-work32, tiny32, tiny64, initramfs.gz and initramfs32.gz (see boot.mk)
#	ARGUMENTS: more words for 'anykvm boot', like '--device /dev/kvm'
#	KERNEL32 (environment): a stock 32-bit kernel; '' skips the tests that need it
#	BOOT_TIMEOUT (environment): seconds that one boot may take (300)
#	BOOT_KEEP (environment): keep the output of the boots there
# shellcheck disable=SC2086 # $arguments and lists of names are split on purpose
set -u

[ $# -ge 3 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$(realpath "$1")
kernel=$2
kernel32=${KERNEL32:-}
programs=$3
arguments=${4:-}
shift 3
[ $# -eq 0 ] || shift
limit=${BOOT_TIMEOUT:-300}
here=$(dirname "$0")
initrd=$programs/initramfs.gz

work=$(mktemp -d)
mkdir "$work/tmp"
export TMPDIR="$work/tmp"	# what a run leaves in it is a failure
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap '' PIPE

# A shell starts its background jobs with INT and QUIT ignored, and what is ignored stays ignored.
default_signals='env --default-signal=INT,QUIT'
interrupts='INT:130 QUIT:131'
if ! $default_signals true 2>/dev/null; then
	default_signals=
	interrupts=
fi

# shellcheck source=tests/lib/suite.sh
. "$here/../lib/suite.sh"

# start ARGUMENT...: boot in the background. Files: in (a fifo, our fd 3), out, err, status, pid.
start()
{
	rm -f "$work/in" "$work/status" "$work/pid"
	mkfifo "$work/in"
	: >"$work/out"
	: >"$work/err"
	# shellcheck disable=SC2016 # expanded by the inner shell
	(
		timeout "$limit" sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$work/pid" $default_signals \
			"$anykvm" boot $arguments "$@" <"$work/in" >"$work/out" 2>"$work/err"
		echo $? >"$work/status"
	) &
	exec 3>"$work/in"
}

say()
{
	printf '%s\n' "$*" >&3
}

ended()
{
	[ -s "$work/status" ]
}

# wait_for PATTERN: until the guest has printed a line like this; false if it ends before.
wait_for()
{
	until tr -d '\r' <"$work/out" | grep -q -e "$1"; do
		if ended; then
			tr -d '\r' <"$work/out" | grep -q -e "$1" && return 0
			fail "ended without printing '$1'"
			return 1
		fi
		sleep 0.1
	done
}

# finish STATUS: wait for the end, check the exit status and that nothing is left.
finish()
{
	wait
	exec 3>&-
	status=$(cat "$work/status")
	if [ "$status" -eq 124 ] && [ "$1" -ne 124 ]; then
		fail "did not end within $limit seconds"
	elif [ "$status" -ne "$1" ]; then
		fail "exit status $status instead of $1: $(head -n 1 "$work/err")"
	fi
	if kill -0 "$(cat "$work/pid")" 2>/dev/null; then
		fail "the process is still there"
	fi
	left=$(ls -A "$TMPDIR")
	[ -z "$left" ] || fail "left behind: $left"
}

# run STATUS ARGUMENT...: a boot without input, to its end.
run()
{
	expected=$1
	shift
	start "$@"
	finish "$expected"
}

printed()
{
	tr -d '\r' <"$work/out" | grep -q -e "$1" || fail "the guest did not print '$1'"
}

told()
{
	tr -d '\r' <"$work/err" | grep -q -e "$1" || fail "standard error has no '$1': $(head -n 1 "$work/err")"
}

told_nothing()
{
	[ ! -s "$work/err" ] || fail "unexpected message: $(head -n 1 "$work/err")"
}

# What the guest printed between the lines BEGIN and END, without carriage returns.
between_marks()
{
	tr -d '\r' <"$work/out" | sed -n '/^BEGIN$/,/^END$/p' | sed '1d;$d'
}

same_as()
{
	between_marks | cmp -s - "$1" && return
	fail "results differ: $(between_marks | diff - "$1" | grep '^[<>]' | head -n 2 | tr '\n' ' ')"
}

boot_linux()
{
	expected=$1 command=$2
	shift 2
	run "$expected" --kernel "$kernel" --initrd "$initrd" --append "quiet anykvm.cmd=\"$command\"" "$@"
}

boot_linux32()
{
	command=$1
	shift
	run 0 --kernel "$kernel32" --initrd "$programs/initramfs32.gz" --append "quiet anykvm.cmd=\"$command\"" "$@"
}

# Tests with the stock kernel.

test_shell()
{
	start --kernel "$kernel" --initrd "$initrd"
	wait_for 'Linux version'
	if ! wait_for '^This is Linux' || ! wait_for '^~ # '; then
		finish 0
		return
	fi
	say 'echo begin; uname -sm; cat /proc/interrupts'
	wait_for '^Linux x86_64$'
	wait_for ' ttyS0$'
	say 'grep -c ^processor /proc/cpuinfo | sed s/^/cpus-/; tty'
	wait_for '^cpus-1$'
	say 'date +year-%Y'
	wait_for "^year-$(date -u +%Y)\$"
	say 'echo sleep-begins; sleep 100'
	wait_for '^sleep-begins$'
	printf '\003' >&3		# job control: an interrupt from the terminal
	say 'echo status-$?'
	wait_for '^status-130$'
	say poweroff
	finish 0
	told_nothing
}

test_reboot()
{
	boot_linux 0 'reboot; sleep 100'
	printed 'Restarting system'
	told 'the guest rebooted'
}

test_panic()
{
	boot_linux 3 'echo c > /proc/sysrq-trigger'
	printed 'Kernel panic - not syncing: sysrq triggered crash'
	told "the guest's kernel panicked"
	told '^  RIP ffffffff'
}

# A program that prints such a line has not panicked.
test_no_panic()
{
	boot_linux 0 'echo Kernel panic - not syncing: it says'
	printed '^Kernel panic - not syncing: it says'
	told_nothing
}

test_two_cpus()
{
	boot_linux 0 'echo BEGIN; nproc; taskset 1 echo first; taskset 2 echo second; grep -c ^processor /proc/cpuinfo; echo END' --cpus 2
	printf '2\nfirst\nsecond\n2\n' >"$work/expected"
	same_as "$work/expected"
}

test_guest_work()
{
	"$programs/guest-work" >"$work/expected" || fail 'guest-work fails on the host'
	boot_linux 0 'echo BEGIN; guest-work; echo END'
	same_as "$work/expected"
}

# The same for 32 bits: compatibility mode.
test_guest_work_32()
{
	"$programs/guest-work32" >"$work/expected" || fail 'guest-work32 fails on the host'
	boot_linux 0 'echo BEGIN; guest-work32; echo END'
	same_as "$work/expected"
}

test_guest_work_two_cpus()
{
	"$programs/guest-work" >"$work/expected" || fail 'guest-work fails on the host'
	boot_linux 0 'echo BEGIN; guest-work; echo END' --cpus 2
	same_as "$work/expected"
}

# --engine auto, which the other tests use, may be more than the interpreter.
test_interpreter()
{
	case " $arguments " in
	*' --device '* | *' --engine '*)
		skip 'another engine was asked for'
		return
		;;
	esac
	"$programs/guest-work" >"$work/expected" || fail 'guest-work fails on the host'
	boot_linux 0 'echo BEGIN; guest-work; echo END' --cpus 2 --engine interpreter
	same_as "$work/expected"
}

# Code memory that is full again and again.
test_little_code_memory()
{
	case " $arguments " in
	*' --device '* | *' --engine '*)
		skip 'another engine was asked for'
		return
		;;
	esac
	"$programs/guest-work" >"$work/expected" || fail 'guest-work fails on the host'
	export ANYKVM_CODE_MIB=1 ANYKVM_COUNTERS="$work/counters"
	boot_linux 0 'echo BEGIN; guest-work; echo END'
	unset ANYKVM_CODE_MIB ANYKVM_COUNTERS
	same_as "$work/expected"
	dropped=$(sed -n 's/^vcpu0 code cache dropped *//p' "$work/counters")
	[ "${dropped:-0}" -ge 10 ] || fail "code was dropped ${dropped:-0} times, not at least 10"
}

test_busybox_work()
{
	sh "$here/host-guest.sh" "$(command -v busybox)" >"$work/expected" 2>&1
	boot_linux 0 'echo BEGIN; sh /bin/host-guest.sh busybox 2>&1; echo END'
	same_as "$work/expected"
}

# A kernel and tools of 32 bits, with PAE.
test_linux32()
{
	{
		echo i686
		"$programs/guest-work32"
	} >"$work/expected" || fail 'guest-work32 fails on the host'
	boot_linux32 'echo BEGIN; uname -m; guest-work32; echo END'
	same_as "$work/expected"
}

test_linux32_two_cpus()
{
	sh "$here/host-guest.sh" "$(command -v busybox)" >"$work/expected" 2>&1
	echo 2 >>"$work/expected"
	boot_linux32 'echo BEGIN; sh /bin/host-guest.sh busybox 2>&1; nproc; echo END' --cpus 2
	same_as "$work/expected"
}

# Serial output is complete and in order, piped input too.
test_serial()
{
	seq 1 2000 >"$work/expected"
	start --kernel "$kernel" --initrd "$initrd" --append quiet
	{
		echo 'stty -echo; cat >/tmp/got <<END'
		seq 1 2000
		echo END
		echo 'echo; echo BEGIN; cat /tmp/got; echo END; poweroff'
	} >&3
	finish 0
	same_as "$work/expected"
}

# Tests with a kernel of a few hundred bytes.

tiny()
{
	expected=$1 word=$2
	shift 2
	run "$expected" --kernel "$programs/tiny64" --append "tiny=$word" "$@"
	printed "^tiny: console=ttyS0 panic=-1 tiny=$word\$"
}

test_tiny_poweroff()
{
	tiny 0 p
	told_nothing
}

test_tiny_reset()
{
	tiny 0 r
	told 'the guest rebooted'
}

test_tiny_keyboard_reset()
{
	tiny 0 k
	told 'the guest rebooted'
}

test_tiny_pvpanic()
{
	tiny 3 v
	told "the guest's kernel panicked"
	told '^  RIP 00000000002'
}

test_tiny_triple_fault()
{
	tiny 3 f
	told 'the guest crashed with a triple fault'
	told '^  RAX '
}

test_tiny_nobody_there()
{
	tiny 0 n
	printed '^ffffffff000000ffffffffff$'
}

test_tiny_pvh()
{
	run 0 --kernel "$programs/tiny32" --append tiny=p
	printed '^tiny: console=ttyS0 panic=-1 tiny=p$'
}

test_tiny_large_memory()
{
	tiny 0 p --memory 5G
}

test_tiny_polled_input()
{
	start --kernel "$programs/tiny64" --append tiny=e
	printf 'hello, \001\001 polled world.' >&3
	finish 0
	printed "^hello, $(printf '\001') polled world\\.\$"
}

test_tiny_quit()
{
	for word in s h e; do
		start --kernel "$programs/tiny64" --append tiny=$word
		wait_for '^tiny: '
		printf '\001x' >&3
		finish 0
		told 'ended by Ctrl-A x'
	done
}

test_tiny_signals()
{
	for pair in TERM:143 HUP:129 $interrupts; do
		for word in s h; do
			start --kernel "$programs/tiny64" --append tiny=$word --cpus 2
			wait_for '^tiny: '
			kill -s "${pair%:*}" "$(cat "$work/pid")"
			finish "${pair#*:}"
		done
	done
}

# Nobody reads the output: a signal must end it all the same.
test_tiny_stuck_output()
{
	rm -f "$work/status" "$work/full"
	mkfifo "$work/full"
	: >"$work/err"
	exec 4<>"$work/full"
	# shellcheck disable=SC2016 # expanded by the inner shell
	(
		timeout "$limit" sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$work/pid" "$anykvm" boot $arguments \
			--kernel "$programs/tiny64" --append tiny=l </dev/null >"$work/full" 2>"$work/err"
		echo $? >"$work/status"
	) &
	sleep 3
	kill -TERM "$(cat "$work/pid")"
	finish 143
	exec 4>&-
}

test_tiny_closed_files()
{
	"$anykvm" boot $arguments --kernel "$programs/tiny64" --append tiny=p <&- >"$work/out" 2>"$work/err" ||
		fail "closed input: exit status $?"
	printed '^tiny: '
	"$anykvm" boot $arguments --kernel "$programs/tiny64" --append tiny=p </dev/null >&- 2>"$work/err" ||
		fail "closed output: exit status $?"
	"$anykvm" boot $arguments --kernel "$programs/tiny64" --append tiny=p <&- >&- 2>&- ||
		fail "all closed: exit status $?"
}

# on_terminal INPUT STATUS ARGUMENT...: INPUT is a shell command whose output is typed.
on_terminal()
{
	input=$1 expected=$2
	shift 2
	rm -f "$work/status" "$work/before" "$work/after"
	: >"$work/out"
	cat >"$work/inside" <<-INSIDE
		stty -g >$work/before
		(echo \$\$ >/dev/null; exec sh -c 'echo \$\$ >$work/pid; exec "\$@"' sh $anykvm boot $arguments $*)
		echo \$? >$work/status
		stty -g >$work/after
	INSIDE
	sh -c "$input" | timeout "$limit" script -qec "sh $work/inside" /dev/null >"$work/out" 2>&1
	status=$(cat "$work/status" 2>/dev/null)
	[ "$status" = "$expected" ] || fail "exit status $status instead of $expected on a terminal"
	cmp -s "$work/before" "$work/after" || fail 'the terminal was not restored'
}

test_terminal()
{
	if ! script -qec true /dev/null </dev/null >/dev/null 2>&1; then
		skip 'no script command to make a terminal'
		return
	fi
	greeted="until grep -q ^tiny: $work/out; do sleep 0.1; done"
	on_terminal "$greeted; printf '\\001h'; sleep 0.3; printf '\\001x'; sleep 1" 0 \
		--kernel "$programs/tiny64" --append tiny=h
	printed 'end the virtual machine'
	on_terminal "$greeted; printf 'ab\\003\\032.'; sleep 1" 0 --kernel "$programs/tiny64" --append tiny=e
	printed "^ab$(printf '\003\032')\\."
	on_terminal "$greeted; kill -TERM \$(cat $work/pid); sleep 1" 143 \
		--kernel "$programs/tiny64" --append tiny=s
	on_terminal "$greeted; kill -ABRT \$(cat $work/pid); sleep 1" 134 \
		--kernel "$programs/tiny64" --append tiny=s
}

# refused STATUS TEXT ARGUMENT...: one line on standard error, nothing else.
refused()
{
	expected=$1 text=$2
	shift 2
	"$anykvm" "$@" </dev/null >"$work/out" 2>"$work/err"
	status=$?
	[ $status -eq "$expected" ] || fail "anykvm $*: exit status $status instead of $expected"
	told "^anykvm: .*$text"
	[ "$(wc -l <"$work/err")" -eq 1 ] || fail "anykvm $*: more than one line on standard error"
	[ ! -s "$work/out" ] || fail "anykvm $*: something on standard output"
}

test_bad_arguments()
{
	refused 2 'no command' nonsense
	refused 2 'no kernel given' boot
	refused 2 'needs a value' boot --kernel
	refused 2 'no option --nonsense' boot --nonsense
	refused 2 'unexpected argument b' boot a b
	refused 2 'not a size' boot --kernel a --memory much
	refused 2 'too little' boot --kernel a --memory 1M
	refused 2 'too much' boot --kernel a --memory 99999T
	refused 2 'give a number' boot --kernel a --cpus 0
	refused 2 'give a number' boot --kernel a --cpus 1x
	refused 2 'the engines are' boot --kernel a --engine warp
	refused 2 'exclude each other' boot --kernel a --engine auto --device /dev/kvm
	refused 1 'cannot open the KVM device' boot --kernel a --device /nonexistent
	"$anykvm" --help | grep -q '^usage:' || fail '--help'
	"$anykvm" boot --help | grep -q '^usage:' || fail 'boot --help'
	"$anykvm" --version | grep -q '^anykvm [0-9]' || fail '--version'
}

test_bad_files()
{
	head -c 100000 "$kernel" >"$work/short"
	head -c 5000 /dev/zero >"$work/zeros"
	: >"$work/empty"
	head -c 100 "$programs/tiny64" >"$work/short-elf"
	for case in "No such file:$work/none" "cut short:$work/short" "not a kernel:$work/zeros" \
		"is empty:$work/empty" "damaged:$work/short-elf" "not a regular file:$work"; do
		refused 1 "${case%%:*}" boot $arguments --kernel "${case#*:}"
	done
	refused 1 'cannot open the initrd' boot $arguments --kernel "$kernel" --initrd "$work/none"
	refused 1 'too little memory' boot $arguments --kernel "$kernel" --memory 16M
	refused 1 'too little memory' boot $arguments --kernel "$programs/tiny64" --initrd "$kernel" --memory 8M
	refused 1 'command line' boot $arguments --kernel "$programs/tiny64" \
		--append "$(head -c 3000 /dev/zero | tr '\0' x)"
}

one()
{
	case $1 in
	tiny_* | terminal | bad_arguments) call_test "$1" ;;
	linux32*)
		if [ -f "$kernel32" ]; then
			call_test "$1"
		else
			skip 'no stock 32-bit kernel'
		fi
		;;
	*)
		if [ -f "$kernel" ]; then
			call_test "$1"
		else
			skip 'no stock kernel'
		fi
		;;
	esac
	if [ -n "${BOOT_KEEP:-}" ]; then
		mkdir -p "$BOOT_KEEP"
		cat "$work/out" "$work/err" >"$BOOT_KEEP/$1.log"
	fi
}

all="bad_arguments bad_files tiny_poweroff tiny_reset tiny_keyboard_reset tiny_pvpanic tiny_triple_fault
	tiny_nobody_there tiny_pvh tiny_large_memory tiny_polled_input tiny_quit tiny_signals
	tiny_stuck_output tiny_closed_files terminal
	shell reboot panic no_panic two_cpus serial busybox_work guest_work guest_work_32 guest_work_two_cpus
	interpreter little_code_memory linux32 linux32_two_cpus"
[ $# -gt 0 ] || set -- $all
for name; do
	run_test "$name" one "$name"
done
suite_end
