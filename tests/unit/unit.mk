# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-unit: all unit tests. Included by the top Makefile.
#   chip-tests   the interrupt chips on a clock that stands still
#   host-tests   host/posix: waiting, timers, signals, faults, eventfds
#   alloc-tests  the n-th allocation fails, for all n

UNIT_FLAGS = $(BASE) $(HOSTINC) -Iinclude -Ix86 -Iirqchip -Icore -Ihost/posix -Itests/unit -pthread

CHIP_TEST_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/unit/chip_*.c)))
HOST_TEST_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/unit/host_*.c)))
ALLOC_TEST_OBJ := $(BUILD)/tests/unit/alloc.o
$(CHIP_TEST_OBJ) $(HOST_TEST_OBJ) $(ALLOC_TEST_OBJ): FLAGS = $(UNIT_FLAGS)

# The chips with the real host services, but for time.
CHIP_TEST_LIB := $(filter $(BUILD)/irqchip/%,$(LIB_OBJ)) \
	$(patsubst %,$(BUILD)/host/posix/%.o,mem sync srcu wait cpu log signal user access fork cancel eventfd trace)

$(BUILD)/tests/unit/chip-tests: $(CHIP_TEST_OBJ) $(CHIP_TEST_LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -o $@ $^ -lcmocka -pthread
$(BUILD)/tests/unit/host-tests: $(HOST_TEST_OBJ) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -o $@ $^ -lcmocka -pthread
$(BUILD)/tests/unit/alloc-tests: $(ALLOC_TEST_OBJ) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -o $@ $^ -lcmocka -pthread

UNIT_PROGRAMS := $(patsubst %,$(BUILD)/tests/unit/%,chip-tests host-tests alloc-tests core-tests vm-tests svm-tests vmx-tests)

.PHONY: check-unit check-chips check-host
check-unit: $(UNIT_PROGRAMS)
	sh tests/unit/run.sh $^
check-chips: $(BUILD)/tests/unit/chip-tests
	$(LIMITED) $<
check-host: $(BUILD)/tests/unit/host-tests
	$(LIMITED) $<

-include $(CHIP_TEST_OBJ:.o=.d) $(HOST_TEST_OBJ:.o=.d) $(ALLOC_TEST_OBJ:.o=.d)
