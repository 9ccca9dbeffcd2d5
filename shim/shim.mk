# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The preloaded library: libanykvm and the interposed calls in one shared object.

SHIM_OBJ := $(call obj,$(wildcard shim/*.c))
$(SHIM_OBJ): FLAGS = $(BASE) -U_FORTIFY_SOURCE -Iinclude -pthread

all: $(BUILD)/libanykvm-preload.so
$(BUILD)/libanykvm-preload.so: $(SHIM_OBJ) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -shared $(LDSAN) -Wl,-soname,libanykvm-preload.so -Wl,-z,defs -o $@ $^ -pthread -ldl

-include $(SHIM_OBJ:.o=.d)
