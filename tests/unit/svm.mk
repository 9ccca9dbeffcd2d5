# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-engine-svm: engine/svm and engine/hw on a made-up processor.

SVM_TEST_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/unit/hw_*.c tests/unit/svm_*.c)))
# The engine's sources see the test's CPUID and log.
SVM_TEST_ENGINE := $(patsubst %.c,$(BUILD)/tests/unit/svm/%.o,$(wildcard engine/hw/*.c engine/svm/*.c))
SVM_TEST_FLAGS = $(BASE) $(HOSTINC) -Iinclude -Ix86 -Iengine/hw -Iengine/svm -Ihost/posix -Itests/unit -pthread

$(SVM_TEST_OBJ): FLAGS = $(SVM_TEST_FLAGS)
$(SVM_TEST_ENGINE): $(BUILD)/tests/unit/svm/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(Q)$(CC) $(SVM_TEST_FLAGS) -Dhost_cpuid=fake_cpuid -Dhost_log=fake_log $(CFLAGS) -c -o $@ $<

$(BUILD)/tests/unit/svm-tests: $(SVM_TEST_OBJ) $(SVM_TEST_ENGINE) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -o $@ $^ -lcmocka -pthread

.PHONY: check-engine-svm
check-engine-svm: $(BUILD)/tests/unit/svm-tests
	$(LIMITED) $<

-include $(SVM_TEST_OBJ:.o=.d) $(SVM_TEST_ENGINE:.o=.d)
