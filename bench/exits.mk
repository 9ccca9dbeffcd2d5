# SPDX-License-Identifier: MIT OR GPL-2.0-only
# bench-exits: instructions per exit, ours and Debian's KVM, on AMD-V in QEMU and VT-x in Bochs. Table: $(BUILD)/bench/exits.md
#   EXITS_MACHINES='svm'    only there
EXITS_MACHINES ?= svm vmx
EXITS := $(BUILD)/bench/exits

$(BUILD)/bench/exits.o: FLAGS = -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -pthread
$(EXITS): $(BUILD)/bench/exits.o $(API_LIB_OBJECTS) $(API_NAMES)
	$(Q)$(CC) -static -pthread -o $@ $^

.PHONY: bench-exits
bench-exits: module $(EXITS)
	$(Q)for machine in $(EXITS_MACHINES); do for kvm in '' -k; do \
		BUILD=$(BUILD) GUEST=$(GUEST) sh tests/machine/machine.sh -M $$machine $$kvm -i -c 1 -a $(EXITS):/exits bench/exits-inside.sh \
			>$(BUILD)/bench/exits-$$machine$$kvm.log || { cat $(BUILD)/bench/exits-$$machine$$kvm.log; status=1; }; \
	done; done; sh bench/exits-table.sh $(BUILD)/bench $(EXITS_MACHINES) | tee $(BUILD)/bench/exits.md; exit $${status:-0}
