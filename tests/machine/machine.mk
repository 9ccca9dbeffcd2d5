# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Tests in emulated machines with hardware virtualization (not part of check: slow). Included by the top Makefile.
#   check-svm, check-vmx                        anykvm.ko on AMD-V in QEMU, on VT-x in Bochs
#   check-svm-reference, check-vmx-reference    the same on Debian's kvm-amd, kvm-intel
#   MACHINE_PARTS='api boot'         scripts to run instead of all: api (ABI), insn (system
#                                    instructions, vmx), boot (Linux guests), observe (tracepoints and counters, not for Debian's)
#   MACHINE_API='--verbose mmio'     arguments for the API tests
#   MACHINE_ARGS='-c 2 -m 512'       arguments for tests/machine/machine.sh

# QEMU is not exact enough for insn.
MACHINE_PARTS_svm := api boot
MACHINE_PARTS_vmx := api insn boot
MACHINE_DIR := $(BUILD)/tests/machine
MACHINE_API_TESTS := $(BUILD)/tests/api/api-tests-device
MACHINE_INITRD := $(BUILD)/tests/boot/initramfs.gz
MACHINE_INSN := $(MACHINE_DIR)/insn-tests

# Programs for the machine are static: it has no libraries.
$(MACHINE_DIR)/anykvm: $(ANYKVM_OBJ) $(BUILD)/libanykvm.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDSAN) -static -o $@ $^ -pthread -l:libjansson.a
$(MACHINE_DIR)/notifier $(MACHINE_DIR)/counter: $(MACHINE_DIR)/%: tests/machine/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 $(WARN) -static -pthread -o $@ $<
$(MACHINE_INSN): $(INSN_OBJ) $(X86_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDSAN) -static -o $@ $^ -pthread

MACHINE_NEEDS := $(MACHINE_DIR)/anykvm $(MACHINE_DIR)/notifier $(MACHINE_DIR)/counter $(MACHINE_INSN) $(MACHINE_API_TESTS) $(MACHINE_INITRD)

# $(call machine_run,svm|vmx,DIFFERENCES,[-k],[PARTS-OF-ANYKVM-ALONE])
define machine_run
	@echo '$(MACHINE_API)' >$(MACHINE_DIR)/api-arguments
	$(Q)kernel=$$(sh scripts/fetch-kernel.sh $(GUEST)) && BUILD=$(BUILD) GUEST=$(GUEST) sh tests/machine/machine.sh \
		-M $(1) $(3) -t 3000 $(MACHINE_ARGS) -a $(MACHINE_API_TESTS):/api-tests -a $(MACHINE_DIR)/api-arguments:/api-arguments \
		-a tests/machine/$(2).txt:/differences -a $(MACHINE_DIR)/notifier:/notifier -a $(MACHINE_DIR)/counter:/counter -a $(MACHINE_INSN):/insn-tests \
		-a $(MACHINE_DIR)/anykvm:/anykvm -a tests/boot/host-guest.sh:/host-guest.sh -a $(MACHINE_INITRD):/initrd \
		-a "$$kernel":/vmlinuz $(patsubst %,tests/machine/%.sh,$(or $(MACHINE_PARTS),$(MACHINE_PARTS_$(1)) $(4)))
endef

.PHONY: check-svm check-vmx check-svm-reference check-vmx-reference
check-svm: module $(MACHINE_NEEDS)
	$(call machine_run,svm,differences-svm,,observe)
check-vmx: module $(MACHINE_NEEDS)
	$(call machine_run,vmx,differences-vmx,,observe)
check-svm-reference: $(MACHINE_NEEDS)
	$(call machine_run,svm,differences-kvm-amd,-k)
check-vmx-reference: $(MACHINE_NEEDS)
	$(call machine_run,vmx,differences-kvm-intel,-k)
