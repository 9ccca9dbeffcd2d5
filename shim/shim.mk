# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The preloaded library: libanykvm and the interposed calls in one shared object.

SHIM_OBJ := $(call obj,$(wildcard shim/*.c))
$(SHIM_OBJ): FLAGS = $(BASE) -U_FORTIFY_SOURCE -Iinclude -pthread

all: $(BUILD)/libanykvm-preload.so
$(BUILD)/libanykvm-preload.so: $(SHIM_OBJ) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -shared $(LDSAN) -Wl,-soname,libanykvm-preload.so -Wl,-z,defs -Wl,--wrap=syscall -o $@ $^ -pthread -ldl

-include $(SHIM_OBJ:.o=.d)

# The other route: a static program with libanykvm in it, at an address where no program lies (shim/inject/inject.h).
INJECT_OBJ := $(call obj,$(wildcard shim/inject/*.c shim/inject/*.S) $(addprefix shim/,calls.c device.c fdtable.c program.c \
	start.c stats.c))
$(call obj,$(wildcard shim/inject/*)): FLAGS = $(BASE) -U_FORTIFY_SOURCE -Iinclude -Ihost/posix -Ihost/posix/include -Ix86 \
	-fno-stack-protector -pthread

# Sanitizers do not go into static programs.
ifeq ($(SAN),)
all: $(BUILD)/anykvm-inject
endif
$(BUILD)/anykvm-inject: $(INJECT_OBJ) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -static -no-pie -Wl,-Ttext-segment=0x70000000 -Wl,-z,noexecstack -o $@ $^ -pthread

-include $(INJECT_OBJ:.o=.d)
