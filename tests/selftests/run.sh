#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# The Linux kernel's own KVM selftests through `anykvm run`: one line per test, "N passed, N failed, N skipped" at the end;
# status 1 if one failed.
#
# usage: run.sh ANYKVM SELFTESTS WORK [TEST...]
#	SELFTESTS: the folder they were built in (selftests.mk)
#	WORK: for the output of each, TEST.out
#	SELFTEST_TIMEOUT (environment): seconds that one may take (600)
#	SELFTEST_SLOW=1 (environment): also those that take many minutes of a small machine
set -u

[ $# -ge 3 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$(realpath "$1")
tests=$(realpath "$2")
mkdir -p "$3"
work=$(realpath "$3")
shift 3
limit=${SELFTEST_TIMEOUT:-600}

# Name, then arguments where the defaults take minutes or want more memory than a small machine has.
list='
x86_64/amx_test
x86_64/cpuid_test
x86_64/cr4_cpuid_sync_test
x86_64/debug_regs
x86_64/emulator_error_test
x86_64/evmcs_test
x86_64/fix_hypercall_test
x86_64/get_msr_index_features
x86_64/hyperv_clock
x86_64/hyperv_cpuid
x86_64/hyperv_features
x86_64/hyperv_svm_test
x86_64/kvm_clock_test
x86_64/kvm_pv_test
x86_64/max_vcpuid_cap_test
x86_64/mmio_warning_test
x86_64/monitor_mwait_test
x86_64/nested_exceptions_test
x86_64/nx_huge_pages_test
x86_64/platform_info_test
x86_64/pmu_event_filter_test
x86_64/set_boot_cpu_id
x86_64/set_sregs_test
x86_64/sev_migrate_tests
x86_64/smm_test
x86_64/state_test
x86_64/svm_int_ctl_test
x86_64/svm_nested_shutdown_test
x86_64/svm_nested_soft_inject_test
x86_64/svm_vmcall_test
x86_64/sync_regs_test
x86_64/triple_fault_event_test
x86_64/tsc_msrs_test
x86_64/tsc_scaling_sync
x86_64/ucna_injection_test
x86_64/userspace_io_test
x86_64/userspace_msr_exit_test
x86_64/vmx_apic_access_test
x86_64/vmx_close_while_nested_test
x86_64/vmx_dirty_log_test
x86_64/vmx_exception_with_invalid_guest_state
x86_64/vmx_invalid_nested_guest_state
x86_64/vmx_msrs_test
x86_64/vmx_nested_tsc_scaling_test
x86_64/vmx_pmu_caps_test
x86_64/vmx_preemption_timer_test
x86_64/vmx_set_nested_state_test
x86_64/vmx_tsc_adjust_test
x86_64/xapic_ipi_test
x86_64/xapic_state_test
x86_64/xen_shinfo_test
x86_64/xen_vmcall_test
x86_64/xss_msr_test
access_tracking_perf_test
demand_paging_test
dirty_log_perf_test
dirty_log_test -i 10
hardware_disable_test
kvm_binary_stats_test
kvm_create_max_vcpus
kvm_page_table_test
max_guest_memory_test -m 1
memslot_modification_stress_test
memslot_perf_test -s 512 -l 1
rseq_test
set_memory_region_test
steal_time
system_counter_offset_test
'

# Why a test is not run; nothing: it is. Each reason must hold against the manual or stand in docs/status.md.
not_run()
{
	case ${1#x86_64/} in
	vmx_pmu_caps_test)
		echo "needs a PMU, which is not offered" ;;
	vmx_exception_with_invalid_guest_state)
		echo "tests what VT-x without unrestricted guests does with an impossible state" ;;
	evmcs_test | hyperv_svm_test | nested_exceptions_test | triple_fault_event_test | svm_* | vmx_*)
		echo "needs nested virtualization" ;;
	hyperv_cpuid)
		echo "wants Hyper-V's leaf of nested virtualization" ;;
	emulator_error_test)
		# Its page has a reserved bit set, and it wants Linux's emulator to fail at an x87 instruction. Here the guest
		# gets the page fault that the manual asks for.
		echo "tests that KVM's emulator lacks an instruction" ;;
	hardware_disable_test)
		# 512 processes, each with four spinning vCPUs and 64 threads that open and close files.
		[ "${SELFTEST_SLOW:-}" = 1 ] || echo "takes ten minutes of two CPUs: SELFTEST_SLOW=1 runs it" ;;
	mmio_warning_test)
		echo "tests a defect of Linux on Intel's processors" ;;
	esac
}

passed=0 failed=0 skipped=0

# one NAME ARGUMENT...
one()
{
	program=$tests/$1
	output=$work/$(basename "$1").out
	name=$1
	shift
	why=$(not_run "$name")
	if [ -z "$why" ] && [ ! -x "$program" ]; then
		why="did not build"
	fi
	if [ -n "$why" ]; then
		echo "skip $name: $why"
		skipped=$((skipped + 1))
		return
	fi
	begin=$(date +%s)
	timeout -k 5 "$limit" "$anykvm" run -- "$program" "$@" </dev/null >"$output" 2>&1
	status=$?
	seconds=$(($(date +%s) - begin))
	case $status in
	0)
		echo "pass $name ($seconds s)"
		passed=$((passed + 1))
		;;
	4)	# KSFT_SKIP
		echo "skip $name: $(grep -i skip "$output" | tail -n 1 | sed 's/^1..0 # SKIP - //')"
		skipped=$((skipped + 1))
		;;
	*)
		echo "FAIL $name: status $status, $(tail -n 1 "$output") ($seconds s)"
		failed=$((failed + 1))
		;;
	esac
}

if [ $# -gt 0 ]; then
	for test in "$@"; do
		# shellcheck disable=SC2046 # a name and its arguments
		one $(echo "$list" | grep -E "^(x86_64/)?$test( |\$)" || echo "$test")
	done
else
	while read -r line; do
		# shellcheck disable=SC2086 # a name and its arguments
		[ -z "$line" ] || one $line
	done <<LIST
$list
LIST
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
