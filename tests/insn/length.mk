# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-length: the decoder against Zydis. LENGTH_FILES: code to sweep (default: libc and, if it has been fetched,
# the stock kernel's image, unpacked).

LENGTH_OBJ := $(addprefix $(BUILD)/,x86/decode.o x86/names.o host/posix/mem.o host/posix/cpu.o tests/insn/length-test.o)
LENGTH_LIBC := $(firstword $(wildcard /lib/x86_64-linux-gnu/libc.so.6 /usr/lib64/libc.so.6 /usr/lib/libc.so.6))
LENGTH_VMLINUX := $(BUILD)/tests/insn/vmlinux
LENGTH_FILES ?= $(LENGTH_LIBC) $(LENGTH_VMLINUX)
LENGTH_MILLIONS ?= 12

$(BUILD)/tests/insn/length-test.o: FLAGS = $(BASE) $(HOSTINC) -Ix86
$(BUILD)/tests/insn/length-test: $(LENGTH_OBJ)
	$(CC) $(LDSAN) -o $@ $^ -lZydis

$(LENGTH_VMLINUX): tests/insn/length-kernel.sh
	@mkdir -p $(@D)
	sh $< $@ || rm -f $@

.PHONY: check-length
check-length: $(BUILD)/tests/insn/length-test $(LENGTH_VMLINUX)
	$(LIMITED) $< -n $(LENGTH_MILLIONS) $(LENGTH_FILES)

-include $(BUILD)/tests/insn/length-test.d
