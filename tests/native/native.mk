# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-native: x87 and vector instructions, by the soft engine's stubs, against the bare CPU. Same options and
# parts as tests/insn.

NATIVE_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/native/*.c))
NATIVE_PARTS := $(addprefix $(BUILD)/,tests/insn/main.o tests/insn/bare.o tests/insn/generate.o tests/insn/testops.o \
	engine/soft/fpu.o engine/soft/fpu_asm.o host/posix/mem.o host/posix/cpu.o)
NATIVE_ROUNDS ?= 60

$(NATIVE_OBJ): FLAGS = $(BASE) $(HOSTINC) -Ix86 -Iinclude -Itests/insn -Itests/native

$(BUILD)/tests/native/native-tests: $(NATIVE_OBJ) $(NATIVE_PARTS) $(X86_OBJ)
	$(CC) $(LDSAN) -o $@ $^

.PHONY: check-native
check-native: $(BUILD)/tests/native/native-tests
	$(LIMITED) $< --rounds $(NATIVE_ROUNDS)

-include $(NATIVE_OBJ:.o=.d)
