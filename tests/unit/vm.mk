# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-vm: memory slots, buses, CPUID, MSRs, clock, statistics, VM ioctls, without running a guest.

VM_TEST_SRC := $(sort $(wildcard tests/unit/vm_*.c))
VM_TEST_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(VM_TEST_SRC))

$(VM_TEST_OBJ): FLAGS = $(BASE) $(HOSTINC) -Iinclude -Ix86 -Icore -Ihost/posix -Itests/unit -pthread

$(BUILD)/tests/unit/vm-tests: $(VM_TEST_OBJ) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -o $@ $^ -lcmocka -pthread

.PHONY: check-vm
check-vm: $(BUILD)/tests/unit/vm-tests
	$(LIMITED) $<

-include $(VM_TEST_OBJ:.o=.d)
