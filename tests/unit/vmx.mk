# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-engine-vmx: engine/vmx and engine/hw on a made-up processor.

VMX_TEST_OBJ := $(patsubst %.c,$(BUILD)/tests/unit/vmx/%.o,$(sort $(wildcard tests/unit/hw_*.c tests/unit/vmx_*.c)))
VMX_TEST_ENGINE := $(patsubst %.c,$(BUILD)/tests/unit/vmx/%.o,$(wildcard engine/hw/*.c engine/vmx/*.c))
# Privileged instructions are the test's.
VMX_TEST_FLAGS = $(BASE) $(HOSTINC) -Iinclude -Ix86 -Iengine/hw -Iengine/vmx -Ihost/posix -Itests/unit -pthread \
	-include tests/unit/vmx_insn.h

$(VMX_TEST_OBJ): $(BUILD)/tests/unit/vmx/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(Q)$(CC) $(VMX_TEST_FLAGS) $(CFLAGS) -c -o $@ $<
# The engine's sources see the test's CPUID and log.
$(VMX_TEST_ENGINE): $(BUILD)/tests/unit/vmx/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(Q)$(CC) $(VMX_TEST_FLAGS) -Dhost_cpuid=fake_cpuid -Dhost_log=fake_log $(CFLAGS) -c -o $@ $<

$(BUILD)/tests/unit/vmx-tests: $(VMX_TEST_OBJ) $(VMX_TEST_ENGINE) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -o $@ $^ -lcmocka -pthread

.PHONY: check-engine-vmx
check-engine-vmx: $(BUILD)/tests/unit/vmx-tests
	$(LIMITED) $<

-include $(VMX_TEST_OBJ:.o=.d) $(VMX_TEST_ENGINE:.o=.d)
