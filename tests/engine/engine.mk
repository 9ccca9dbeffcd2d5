# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-engine: the cases of tests/insn in a guest on each engine, against the bare CPU. Same options.

ENGINE_TEST_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/engine/*.c))
ENGINE_TEST_PARTS := $(addprefix $(BUILD)/tests/insn/,main.o bare.o compare.o generate.o testops.o native_run.o memory.o)
ENGINE_ROUNDS ?= 3

$(ENGINE_TEST_OBJ): FLAGS = $(BASE) $(HOSTINC) -Ix86 -Iinclude -Itests/insn -Itests/engine

$(BUILD)/tests/engine/engine-tests: $(ENGINE_TEST_OBJ) $(ENGINE_TEST_PARTS) $(X86_OBJ) $(BUILD)/libanykvm.a
	$(CC) $(LDSAN) -o $@ $^ -pthread

.PHONY: check-engine
check-engine: $(BUILD)/tests/engine/engine-tests
	$(LIMITED) $< --rounds $(ENGINE_ROUNDS)

-include $(ENGINE_TEST_OBJ:.o=.d)
