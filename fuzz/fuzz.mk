# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make fuzz                       each fuzzer for FUZZ_SECONDS (60); needs clang
# make fuzz FUZZ_ONLY=code        one of: decode, code, engines, api
# make fuzz FUZZ_ONLY='decode api' SAN=address BUILD=build-asan      with a sanitizer (not code and engines: it is not for guest registers)
# make fuzz-replay FUZZ_ONLY=code INPUT=FILE
#
# What is found interesting is kept in $(BUILD)/fuzz/corpus/NAME, failing inputs in $(BUILD)/fuzz/failures/NAME-*.

FUZZ_BUILD := $(BUILD)/fuzz
FUZZ_SECONDS ?= 60
FUZZ_ONLY ?= decode code engines api
FUZZ_COVERAGE := -fsanitize-coverage=inline-8bit-counters,pc-table
# No calls into the sanitizer from code that runs while the guest's vector registers are live.
FUZZ_MAKE = $(MAKE) --no-print-directory BUILD=$(FUZZ_BUILD) CC=clang OPT='-O1 -g' \
	CFLAGS='$(FUZZ_COVERAGE) -Wno-error'

FUZZ_PROGRAMS := $(addprefix $(BUILD)/,fuzz-decode fuzz-code fuzz-engines fuzz-api)
FUZZ_SEEDS := $(BUILD)/fuzz-seeds
FUZZ_FLAGS := $(BASE) $(HOSTINC) -Iinclude -Ix86 -Iengine/soft -Iengine/soft/translate -Ifuzz \
	-Itests/insn -Itests/engine
$(patsubst %.c,$(BUILD)/%.o,$(wildcard fuzz/*.c)): FLAGS = $(FUZZ_FLAGS)

$(BUILD)/fuzz-decode: $(BUILD)/fuzz/decode.o $(BUILD)/fuzz/fail.o $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -fsanitize=fuzzer $(LDSAN) -o $@ $^ -pthread
FUZZ_GUEST := $(patsubst %,$(BUILD)/fuzz/%.o,guest drive program fail)
$(BUILD)/fuzz-code $(BUILD)/fuzz-engines: $(BUILD)/fuzz-%: $(BUILD)/fuzz/%.o $(FUZZ_GUEST) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -fsanitize=fuzzer $(LDSAN) -o $@ $^ -pthread
$(BUILD)/fuzz-api: $(BUILD)/fuzz/api.o $(BUILD)/fuzz/fail.o $(BUILD)/tests/lib/ioctls.o $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -fsanitize=fuzzer $(LDSAN) -o $@ $^ -pthread
$(FUZZ_SEEDS): $(BUILD)/fuzz/seeds.o $(addprefix $(BUILD)/tests/,insn/generate.o insn/testops.o insn/native_run.o insn/bare.o \
		engine/sequence.o insn/compare.o) $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -fsanitize-coverage=inline-8bit-counters,pc-table -fsanitize=undefined -o $@ $^ -pthread

.PHONY: fuzz-programs fuzz fuzz-replay
fuzz-programs: $(FUZZ_PROGRAMS) $(FUZZ_SEEDS)
fuzz:
	@$(FUZZ_MAKE) fuzz-programs
	sh fuzz/run.sh $(FUZZ_BUILD) $(FUZZ_SECONDS) $(FUZZ_ONLY)
fuzz-replay:
	@$(FUZZ_MAKE) $(FUZZ_BUILD)/fuzz-$(FUZZ_ONLY)
	sh fuzz/run.sh -r $(FUZZ_BUILD) $(INPUT) $(FUZZ_ONLY)

-include $(wildcard $(BUILD)/fuzz/*.d)
