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
sources=$tests/../source/tools/testing/selftests/kvm
mkdir -p "$3"
work=$(realpath "$3")
shift 3
limit=${SELFTEST_TIMEOUT:-600}

# Of Linux 6.1 and of later ones; what the source does not have is left out. Name, then arguments where the defaults take minutes or want more memory than a small machine has.
list='
x86_64/amx_test
x86_64/apic_bus_clock_test
x86_64/cpuid_test
x86_64/cr4_cpuid_sync_test
x86_64/debug_regs
x86_64/dirty_log_page_splitting_test
x86_64/emulator_error_test
x86_64/evmcs_test
x86_64/exit_on_emulation_failure_test
x86_64/fix_hypercall_test
x86_64/get_msr_index_features
x86_64/hwcr_msr_test
x86_64/hyperv_clock
x86_64/hyperv_cpuid
x86_64/hyperv_evmcs
x86_64/hyperv_extended_hypercalls
x86_64/hyperv_features
x86_64/hyperv_ipi
x86_64/hyperv_svm_test
x86_64/hyperv_tlb_flush
x86_64/kvm_clock_test
x86_64/kvm_pv_test
x86_64/max_vcpuid_cap_test
x86_64/mmio_warning_test
x86_64/monitor_mwait_test
x86_64/nested_exceptions_test
x86_64/nx_huge_pages_test
x86_64/platform_info_test
x86_64/pmu_counters_test
x86_64/pmu_event_filter_test
x86_64/private_mem_conversions_test
x86_64/private_mem_kvm_exits_test
x86_64/recalc_apic_map_test
x86_64/set_boot_cpu_id
x86_64/set_sregs_test
x86_64/sev_migrate_tests
x86_64/smaller_maxphyaddr_emulation_test
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
x86_64/xcr0_cpuid_test
x86_64/xen_shinfo_test
x86_64/xen_vmcall_test
x86_64/xss_msr_test
access_tracking_perf_test
coalesced_io_test
demand_paging_test
dirty_log_perf_test
dirty_log_test -i 10 -I 100
guest_memfd_test
guest_print_test
hardware_disable_test
kvm_binary_stats_test
kvm_create_max_vcpus
kvm_page_table_test
max_guest_memory_test -m 1
memslot_modification_stress_test
memslot_perf_test -s 512 -l 1
pre_fault_memory_test
rseq_test
set_memory_region_test
steal_time
system_counter_offset_test
'

asks_for()
{
	grep -q "$2" "$sources/$1.c"
}

# Tests that later kernels have made to ask for more than Linux 6.1 has.
later()
{
	if asks_for "$1" test_pv_unhalt; then
		echo "wants HLT to leave the guest no more, which software engines do not offer"
	elif asks_for "$1" kmovq && grep -q avx512f /proc/cpuinfo; then
		echo "uses AVX-512 where the host's state is offered, not the instructions (docs/status.md)"
	elif asks_for "$1" HV_X64_MSR_TSC_INVARIANT_CONTROL; then
		echo "wants Hyper-V's MSR for an invariant TSC (Linux 6.2)"
	elif asks_for "$1" RUNSTATE_UPDATE_FLAG; then
		echo "wants Xen's run state to cross a page (Linux 6.2)"
	elif asks_for "$1" '1L << 32'; then
		echo "wants the upper half of a vCPU's id to count (Linux 6.11)"
	fi
}

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
	emulator_error_test | exit_on_emulation_failure_test)
		# Its page has a reserved bit set, and it wants Linux's emulator to fail at an x87 instruction. Here the guest
		# gets the page fault that the manual asks for.
		echo "tests that KVM's emulator lacks an instruction" ;;
	hardware_disable_test)
		# 512 processes, each with four spinning vCPUs and 64 threads that open and close files.
		[ "${SELFTEST_SLOW:-}" = 1 ] || echo "takes ten minutes of two CPUs: SELFTEST_SLOW=1 runs it" ;;
	kvm_pv_test | state_test | hyperv_features | xen_shinfo_test | max_vcpuid_cap_test)
		later "$1" ;;
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
	[ -e "$sources/$name.c" ] || return
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
