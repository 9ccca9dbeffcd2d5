# SPDX-License-Identifier: MIT OR GPL-2.0-only
# API tests. Included by the top Makefile.
#   check-api          on libanykvm, each engine
#   check-api-inject   on the route of `anykvm run` for static programs, each engine
#   check-api-device   on a device: DEVICE=/dev/kvm, DIFFERENCES=file
#   in emulated machines with hardware virtualization: tests/machine/machine.mk

API_TEST_SOURCES := $(sort $(wildcard tests/api/*.c))
API_LIB_SOURCES := $(filter-out tests/lib/kvm_target_library.c,$(sort $(wildcard tests/lib/*.c)))
API_LIB_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(API_LIB_SOURCES))
API_TEST_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(API_TEST_SOURCES)) $(API_LIB_OBJECTS)
API_NAMES := $(BUILD)/cli/kvmnames.o
API_LIBRARY_OBJECT := $(BUILD)/tests/lib/kvm_target_library.o
API_SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
API_TEST_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -pthread $(API_SANITIZE)

$(API_TEST_OBJECTS) $(API_LIBRARY_OBJECT): $(BUILD)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(API_TEST_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/api/api-tests: $(API_TEST_OBJECTS) $(API_NAMES) $(API_LIBRARY_OBJECT) $(BUILD)/libanykvm.a
	$(Q)$(CC) $(API_SANITIZE) -pthread -o $@ $^

# Without the library: for devices, and static, for machines that hold nothing else.
$(BUILD)/tests/api/api-tests-device: $(API_TEST_OBJECTS) $(API_NAMES)
	$(Q)$(CC) -static -pthread -o $@ $^

DEVICE ?= /dev/kvm

check-api: $(BUILD)/tests/api/api-tests
	@status=0; for engine in interpreter translator; do \
		echo "api-tests --engine $$engine"; $< --engine $$engine || status=1; \
	done; exit $$status

check-api-device: $(BUILD)/tests/api/api-tests-device
	$(BUILD)/tests/api/api-tests-device --device $(DEVICE) $(if $(DIFFERENCES),--differences $(DIFFERENCES))

-include $(API_TEST_OBJECTS:.o=.d) $(API_LIBRARY_OBJECT:.o=.d)

.PHONY: check-api check-api-device

# Unmodified and static, through `anykvm run`.
check-api-inject: $(BUILD)/tests/api/api-tests-device $(BUILD)/anykvm $(BUILD)/anykvm-inject
	@status=0; for engine in interpreter translator; do \
		echo "api-tests by anykvm run --engine $$engine"; \
		$(BUILD)/anykvm run --engine $$engine --route inject -- $< --device /dev/kvm \
			--differences tests/api/differences-inject.txt || status=1; \
	done; exit $$status
.PHONY: check-api-inject
