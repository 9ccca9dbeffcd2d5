# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make check-selftests                               the kernel's KVM selftests through `anykvm run`
# make check-selftests SELFTESTS_ONLY='state_test'    only these
#
# They are built from Debian's linux-source-6.1 (apt-get install linux-source-6.1). Another source, such as that of
# linux-source-6.12: LINUX_SOURCE=FILE.

LINUX_SOURCE ?= /usr/src/linux-source-6.1.tar.xz
SELFTESTS_DIR := $(abspath $(BUILD))/$(patsubst linux-source-%.tar.xz,selftests-%,$(notdir $(LINUX_SOURCE)))

# Of the source only what they and its headers are made from. The kernel's makefiles must not see our variables. Debian's
# dirty_log_test of Linux 6.1 uses a macro by the name that later kernels gave it; the <linux/stddef.h> of its tools is too old for its <asm/kvm.h>.
# It also lets the vCPU go on before the guest has the number of the next iteration: if the vCPU's thread then loses its processor
# between loading the old number and storing it, the page is reported one iteration too late (Linux 6.15 turns the two around,
# "Sync dirty_log_test iteration to guest *before* resuming"; so does the sed).
$(SELFTESTS_DIR)/built: $(LINUX_SOURCE) tests/selftests/selftests.mk
	@mkdir -p $(@D)/source $(@D)/out
	tar -xf $< -C $(@D)/source --strip-components=1 --wildcards '*/tools/testing/selftests/*.[hm]*' \
		'*/tools/testing/selftests/kvm/*' '*/tools/testing/selftests/rseq/*' '*/tools/include/*' '*/tools/arch/x86/*' \
		'*/tools/scripts/*' '*/tools/build/*' '*/tools/lib/*' '*/lib/*.c' '*/scripts/*' '*/Makefile*' '*/Kbuild*' '*/arch/x86/*' '*/include/*'
	env -u MAKEFLAGS -u MAKELEVEL -u BUILD $(MAKE) -C $(@D)/source ARCH=x86_64 headers >$(@D)/headers.log 2>&1
	sed -i '/sem_post(&sem_vcpu_cont);$$/{N;s/^\(.*\)\n\(.*sync_global_to_guest(vm, iteration);\)$$/\2\n\1/}' \
		$(@D)/source/tools/testing/selftests/kvm/dirty_log_test.c
	-env -u MAKEFLAGS -u MAKELEVEL -u BUILD $(MAKE) -k -C $(@D)/source/tools/testing/selftests/kvm ARCH=x86_64 \
		OUTPUT=$(@D)/out CC=$(CC) KHDR_INCLUDES="-isystem $(@D)/source/usr/include -include $(@D)/source/usr/include/linux/stddef.h \
		$$(grep -qs TEST_ASSERT_EQ $(@D)/source/tools/testing/selftests/kvm/include/test_util.h || echo -DTEST_ASSERT_EQ=ASSERT_EQ)" >$(@D)/build.log 2>&1
	@test -x $(@D)/out/x86_64/state_test || { tail -n 20 $(@D)/build.log; exit 1; }
	@touch $@

.PHONY: check-selftests
ifeq ($(wildcard $(LINUX_SOURCE)),)
check-selftests:
	@echo "skip all: no $(LINUX_SOURCE): apt-get install linux-source-6.1"
	@echo "0 passed, 0 failed, 1 skipped"
else
check-selftests: $(BUILD)/anykvm $(BUILD)/libanykvm-preload.so $(SELFTESTS_DIR)/built
	sh tests/selftests/run.sh $(BUILD)/anykvm $(SELFTESTS_DIR)/out $(BUILD)/tests/selftests $(SELFTESTS_ONLY)
endif
