# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Formatter, linters, include directions. `make lint` runs all; CI calls it.

LINT_SRC := $(wildcard x86/*.c core/*.c irqchip/*.c engine/soft/*.c engine/soft/translate/*.c host/posix/*.c cli/*.c shim/*.c shim/inject/*.c)
# Tables keep their columns, assembly its lines. world.h is assembly.
FORMAT_TABLES := core/cpuid_table.c core/msr_table.c core/msr_table.h core/cpuid_table.h core/caps.c engine/hw/world.h
FORMAT_SRC := $(filter-out $(FORMAT_TABLES) engine/hw/world.h,$(LINT_SRC) $(wildcard x86/*.h include/*.h core/*.h irqchip/*.h engine/soft/*.h engine/soft/translate/*.h engine/hw/*.[ch] engine/svm/*.[ch] engine/vmx/*.[ch] host/posix/*.h \
	host/posix/include/host/*.h $(filter-out host/linux/anykvm_events.h,$(wildcard host/linux/*.[ch])) host/linux/include/host/*.h cli/*.h shim/*.h shim/inject/*.h \
	bench/*.[ch] tools/*.c fuzz/*.[ch] tests/*/*.c tests/*/*.h))

.PHONY: lint check-includes format format-check tidy cppcheck shellcheck
lint: check-includes format-check shellcheck cppcheck

check-includes:
	$(Q)sh scripts/check-includes.sh

# Reformat in place.
format:
	clang-format -i $(FORMAT_SRC)
format-check:
	$(Q)clang-format --dry-run -Werror $(FORMAT_SRC)

CPPCHECK_FLAGS := --enable=warning,portability,performance --inline-suppr --error-exitcode=1 --quiet --std=c11 \
	--suppressions-list=.cppcheck -Iinclude -Ix86 -Iengine/soft -Ihost/posix/include --check-level=normal
cppcheck:
	$(Q)cppcheck $(filter-out --check-level=normal,$(CPPCHECK_FLAGS)) $(LINT_SRC)

# .shellcheckrc has the options.
shellcheck:
	$(Q)shellcheck $(wildcard .ci/* scripts/*.sh fuzz/*.sh bench/*.sh tests/*/*.sh)

# Not in lint: ten seconds of CPU time for each file. TIDY_SRC='core/run.c ...' for some.
TIDY_FLAGS := -std=gnu11 -D_GNU_SOURCE -Iinclude -Ix86 -Iengine/soft -Iengine/soft/translate -Ihost/posix/include
TIDY_SRC ?= $(LINT_SRC)
tidy:
	$(Q)printf '%s\n' $(TIDY_SRC) | xargs -n 1 -P "$$(nproc)" sh -c 'clang-tidy --quiet "$$1" -- $(TIDY_FLAGS) 2>/dev/null' tidy
