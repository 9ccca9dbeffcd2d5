# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-core: core/ against a fake engine.

CORE_TEST_SRC := $(sort $(wildcard tests/unit/core_*.c))
CORE_TEST_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(CORE_TEST_SRC))

$(CORE_TEST_OBJ): FLAGS = $(BASE) $(HOSTINC) -Iinclude -Ix86 -Ihost/posix -Itests/unit -pthread

$(BUILD)/tests/unit/core-tests: $(CORE_TEST_OBJ) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -Wl,--wrap=host_resched -o $@ $^ -lcmocka -pthread

.PHONY: check-core
check-core: $(BUILD)/tests/unit/core-tests
	$(LIMITED) $<

-include $(CORE_TEST_OBJ:.o=.d)
