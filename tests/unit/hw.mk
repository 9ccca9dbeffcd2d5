# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-engine-svm, check-engine-vmx: an engine and engine/hw on a made-up processor.

HW_TEST_FLAGS = $(BASE) $(HOSTINC) -Iinclude -Ix86 -Iengine/hw -Iengine/$(1) -Ihost/posix -Itests/unit -pthread
# Privileged instructions are the test's.
HW_TEST_FLAGS_vmx := -include tests/unit/vmx_insn.h

# $(call hw_test,svm|vmx). The engine's sources see the test's CPUID and log.
define hw_test
HW_TEST_OBJ_$(1) := $(patsubst %.c,$(BUILD)/tests/unit/$(1)/%.o,$(sort $(wildcard tests/unit/hw_*.c tests/unit/$(1)_*.c)))
HW_TEST_ENGINE_$(1) := $(patsubst %.c,$(BUILD)/tests/unit/$(1)/%.o,$(wildcard engine/hw/*.c engine/$(1)/*.c))
$$(HW_TEST_ENGINE_$(1)): HW_TEST_SEES := -Dhost_cpuid=fake_cpuid -Dhost_log=fake_log
$$(HW_TEST_OBJ_$(1)) $$(HW_TEST_ENGINE_$(1)): $(BUILD)/tests/unit/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	@echo "  CC      $$@"
	$$(Q)$$(CC) $$(call HW_TEST_FLAGS,$(1)) $$(HW_TEST_FLAGS_$(1)) $$(HW_TEST_SEES) $$(CFLAGS) -c -o $$@ $$<

$(BUILD)/tests/unit/$(1)-tests: $$(HW_TEST_OBJ_$(1)) $$(HW_TEST_ENGINE_$(1)) $$(LIB_OBJ)
	@echo "  LD      $$@"
	$$(Q)$$(CC) $$(LDSAN) -o $$@ $$^ -lcmocka -pthread

.PHONY: check-engine-$(1)
check-engine-$(1): $(BUILD)/tests/unit/$(1)-tests
	$$(LIMITED) $$<

-include $$(HW_TEST_OBJ_$(1):.o=.d) $$(HW_TEST_ENGINE_$(1):.o=.d)
endef
$(eval $(call hw_test,svm))
$(eval $(call hw_test,vmx))
