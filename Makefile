# SPDX-License-Identifier: MIT OR GPL-2.0-only
# anykvm: KVM on any machine. `make run` boots a stock Debian kernel, `make check` tests everything.
#
#   make            the library (libanykvm.so, libanykvm.a) and the anykvm command, in $(BUILD)
#   make run        install what is missing, build, boot a stock Debian kernel to a shell
#   make check      all tests that fit CI; see docs/architecture.md for the single targets
#   make bench      the benchmark, against QEMU TCG and the bare CPU (docs/performance.md)
#   make check-ci   those, then QEMU, other clients and the kernel's KVM selftests as far as they are installed
#   make install    PREFIX=/usr/local, DESTDIR
#   SAN=address,undefined | SAN=thread    build with sanitizers (use another BUILD)

BUILD ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
# V=1 shows whole command lines.
Q := $(if $(V),,@)
OPT ?= -O2 -g
PREFIX ?= /usr/local

WARN := -Wall -Wextra -Werror -Wno-unused-parameter -Wmissing-prototypes -Wstrict-prototypes
BASE := -std=gnu11 $(OPT) $(WARN) -fno-strict-aliasing -D_GNU_SOURCE -MMD -MP -fPIC -fvisibility=hidden
ifneq ($(SAN),)
BASE += -fsanitize=$(SAN) -fno-omit-frame-pointer -DANYKVM_FPU_EAGER
LDSAN := -fsanitize=$(SAN)
# Fences alone are not seen by it: core/monitor.c has one, for readers in other processes.
ifneq ($(findstring thread,$(SAN)),)
BASE += -Wno-tsan
endif
endif

# Code that runs while the guest's vector registers are in the host's: no vector code from the compiler.
FREESTANDING := -mgeneral-regs-only -ffreestanding
HOSTINC := -Ihost/posix/include
X86_FLAGS := $(BASE) $(FREESTANDING) $(HOSTINC)
CORE_FLAGS := $(BASE) $(FREESTANDING) $(HOSTINC) -Iinclude -Ix86
HOST_FLAGS := $(BASE) $(HOSTINC) -Iinclude -Ix86 -Iengine/soft -Iengine/soft/translate -pthread

X86_SRC := $(wildcard x86/*.c)
CORE_SRC := $(wildcard core/*.c irqchip/*.c engine/soft/*.c engine/soft/*.S engine/soft/translate/*.c)
HOST_SRC := $(wildcard host/posix/*.c host/posix/*.S)
CLI_SRC := $(wildcard cli/*.c)

obj = $(patsubst %,$(BUILD)/%.o,$(basename $(1)))
X86_OBJ := $(call obj,$(X86_SRC))
CORE_OBJ := $(call obj,$(CORE_SRC))
HOST_OBJ := $(call obj,$(HOST_SRC))
ANYKVM_OBJ := $(call obj,$(CLI_SRC) shim/program.c shim/start.c)
LIB_OBJ := $(X86_OBJ) $(CORE_OBJ) $(HOST_OBJ)

.PHONY: all
all: $(BUILD)/libanykvm.so $(BUILD)/libanykvm.a $(BUILD)/anykvm

# For tests that hang. A slow or busy machine is no failure.
LIMITED := timeout 900

# Fragments add rules for their folders (tests, scripts, shim).
-include $(wildcard scripts/*.mk shim/*.mk cli/*.mk tests/*/*.mk fuzz/*.mk bench/*.mk tools/*.mk)

$(X86_OBJ): FLAGS = $(X86_FLAGS)
$(CORE_OBJ): FLAGS = $(CORE_FLAGS) -Iengine/soft -Iengine/soft/translate
$(HOST_OBJ): FLAGS = $(HOST_FLAGS)
$(call obj,$(CLI_SRC)): FLAGS = $(BASE) -Iinclude -pthread

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -c -o $@ $<
$(BUILD)/%.o: %.S
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -c -o $@ $<

# One relocatable object with only the public symbols global, so that the archive cannot clash with a program's names.
$(BUILD)/libanykvm.o: $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(LD) -r -o $@ $^
	$(Q)objcopy --localize-hidden $@
$(BUILD)/libanykvm.a: $(BUILD)/libanykvm.o
	@echo "  AR      $@"
	$(Q)rm -f $@ && ar rcs $@ $<
$(BUILD)/libanykvm.so: $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) -shared $(LDSAN) -Wl,-soname,libanykvm.so.0 -Wl,-z,defs -o $@ $^ -pthread
$(BUILD)/anykvm: $(ANYKVM_OBJ) $(BUILD)/libanykvm.a
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -o $@ $^ -pthread -l:libjansson.a

# Everything that fits CI, in order of increasing distance from the code.
CHECKS := check-unit check-insn check-native check-length check-engine check-translate check-api check-api-inject check-routes check-boot check-cli
.PHONY: check
check: all
	@sh scripts/check.sh $(MAKE) $(CHECKS)

# With stock clients and the kernel's own tests: what CI runs, a quarter of an hour. `sh scripts/install-deps.sh clients selftests`
# installs what they need; what is not there is skipped.
.PHONY: check-ci
check-ci: export BOOTS := 12
check-ci: all
	@sh scripts/check.sh $(MAKE) $(CHECKS) check-selftests check-boots check-clients

# DESTDIR=... for packages. The preloaded library lies where `anykvm run` looks for it.
.PHONY: install uninstall
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/anykvm $(DESTDIR)$(PREFIX)/include \
		$(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(BUILD)/anykvm $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(BUILD)/libanykvm.so $(DESTDIR)$(PREFIX)/lib/libanykvm.so.0
	ln -sf libanykvm.so.0 $(DESTDIR)$(PREFIX)/lib/libanykvm.so
	install -m 644 $(BUILD)/libanykvm.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(BUILD)/libanykvm-preload.so $(BUILD)/anykvm-inject $(DESTDIR)$(PREFIX)/lib/anykvm/
	install -m 644 include/anykvm.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 docs/anykvm.1 $(DESTDIR)$(PREFIX)/share/man/man1/
uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/anykvm lib/libanykvm.so.0 lib/libanykvm.so lib/libanykvm.a \
		lib/anykvm/libanykvm-preload.so lib/anykvm/anykvm-inject include/anykvm.h share/man/man1/anykvm.1)

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(LIB_OBJ:.o=.d) $(patsubst %.o,%.d,$(call obj,$(CLI_SRC)))
