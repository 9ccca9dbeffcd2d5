# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Instruction tests: the library against the bare CPU. Included by the top Makefile.
#   check-insn         bounded, deterministic
#   check-insn-long    as long as ROUNDS and SEED say

INSN_SRC := $(filter-out tests/insn/length%.c,$(sort $(wildcard tests/insn/*.c)))
INSN_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(INSN_SRC))
ROUNDS ?= 20000
SEED ?= 1

$(INSN_OBJ): FLAGS = $(BASE) $(HOSTINC) -Ix86 -Itests/insn

$(BUILD)/tests/insn/insn-tests: $(INSN_OBJ) $(X86_OBJ)
	$(CC) $(LDSAN) -o $@ $^ -pthread

.PHONY: check-insn check-insn-long
check-insn: $(BUILD)/tests/insn/insn-tests
	$(LIMITED) $<
check-insn-long: $(BUILD)/tests/insn/insn-tests
	$< --rounds $(ROUNDS) --seed $(SEED)

-include $(INSN_OBJ:.o=.d)
