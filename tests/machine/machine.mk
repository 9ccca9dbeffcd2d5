# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Tests in emulated machines with hardware virtualization (not part of check: slow). Included by the top Makefile.
#   check-svm, check-vmx                        anykvm.ko on AMD-V in QEMU, on VT-x in Bochs
#   check-svm-reference, check-vmx-reference    the same on Debian's kvm-amd, kvm-intel
#   check-moves                                 guests move between QEMU on `anykvm run` and QEMU on anykvm.ko and Debian's kvm-amd there
#   check-svm-debug                             the same as check-svm on a kernel with lockdep, KASAN and their like, which it
#                                               builds first, in DEBUG_KERNEL ($(BUILD)/debug-kernel): slow
#   MACHINE_PARTS='api boot'         scripts to run instead of all: api (ABI), insn (system
#                                    instructions, vmx), boot (Linux guests), observe (tracepoints and counters, not for Debian's),
#                                    compat (a 32-bit program), pressure (swap, page merging), space (what a process does
#                                    to its memory), hostile (random ioctls and worse: not for Debian's), refusals (unloading, parameters, another KVM: not for Debian's),
#                                    life (hotplug, suspend; last)
#                                    vmm (Debian's QEMU with -accel kvm, not on vmx)
#   MACHINE_VMM='microvm pc split user'  guests of vmm; microvm pc if not given
#   MACHINE_HOSTILE='1 40 500'       for hostile: a seed, how many processes, their longest time in milliseconds
#   MACHINE_API='--verbose mmio'     arguments for the API tests
#   MACHINE_ARGS='-c 2 -m 512'       arguments for tests/machine/machine.sh
#   MACHINE_PARAMETERS='unrestricted_guest=0'    of anykvm.ko

# QEMU is not exact enough for insn.
MACHINE_PARTS_svm := api boot compat space
MACHINE_PARTS_vmx := api insn boot space
MACHINE_VMM ?= microvm pc
MACHINE_HOSTILE ?= 1 40 500
MACHINE_DIR := $(BUILD)/tests/machine
MACHINE_API_TESTS := $(BUILD)/tests/api/api-tests-device
MACHINE_INITRD := $(BUILD)/tests/boot/initramfs.gz
MACHINE_INSN := $(MACHINE_DIR)/insn-tests

# Programs for the machine are static: it has no libraries.
$(MACHINE_DIR)/anykvm: $(ANYKVM_OBJ) $(BUILD)/libanykvm.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDSAN) -static -o $@ $^ -pthread -l:libjansson.a
MACHINE_PROGRAMS := $(addprefix $(MACHINE_DIR)/,notifier counter pressure space holds)
MACHINE_CC = @mkdir -p $(@D); $(if $(V),set -x;) $(CC) -std=gnu11 -O1 $(WARN) -static -pthread -o $@ $(filter-out %.h,$^)
$(MACHINE_PROGRAMS): $(MACHINE_DIR)/%: tests/machine/%.c tests/machine/small.c tests/machine/small.h
	$(MACHINE_CC)
$(MACHINE_DIR)/hostile: $(addprefix tests/machine/,hostile.c hostile_calls.c small.c hostile.h small.h) tests/lib/words.h $(BUILD)/tests/lib/ioctls.o
	$(MACHINE_CC)
$(MACHINE_DIR)/compat32: tests/machine/compat32.c
	@mkdir -p $(@D)
	$(Q)$(CC) -m32 -std=gnu11 -O1 $(WARN) -static -o $@ $<
$(MACHINE_INSN): $(INSN_OBJ) $(X86_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDSAN) -static -o $@ $^ -pthread

MACHINE_NEEDS := $(MACHINE_DIR)/anykvm $(MACHINE_PROGRAMS) $(addprefix $(MACHINE_DIR)/,compat32 hostile) $(MACHINE_INSN) $(MACHINE_API_TESTS) $(MACHINE_INITRD)

# $(call machine_parts,svm|vmx,[PARTS-OF-ANYKVM-ALONE])
machine_parts = $(or $(MACHINE_PARTS),$(MACHINE_PARTS_$(1)) $(2))
# $(call machine_run,svm|vmx,DIFFERENCES,[-k],PARTS,[ENVIRONMENT])
define machine_run
	@echo '$(MACHINE_API)' >$(MACHINE_DIR)/api-arguments
	@echo '$(MACHINE_VMM)' >$(MACHINE_DIR)/vmm-guests
	@echo '$(MACHINE_HOSTILE)' >$(MACHINE_DIR)/hostile-arguments
	$(Q)kernel=$$(sh scripts/fetch-kernel.sh $(GUEST)) && modules=$${kernel%/boot/*}/lib/modules && \
		BUILD=$(BUILD) GUEST=$(GUEST) $(5) sh tests/machine/machine.sh \
		-M $(1) $(or $(3),-p '$(MACHINE_PARAMETERS)') -t 3000 $(MACHINE_ARGS) -a $(MACHINE_API_TESTS):/api-tests -a $(MACHINE_DIR)/api-arguments:/api-arguments \
		-a tests/machine/$(2).txt:/differences $(foreach p,$(MACHINE_PROGRAMS) $(MACHINE_DIR)/compat32 $(MACHINE_DIR)/hostile,-a $(p):/$(notdir $(p))) \
		-a $(MACHINE_DIR)/hostile-arguments:/hostile-arguments -a $(MACHINE_INSN):/insn-tests \
		-a $(MACHINE_DIR)/anykvm:/anykvm -a tests/boot/host-guest.sh:/host-guest.sh -a $(MACHINE_INITRD):/initrd \
		$$(find "$$modules" -name 'zram.ko' -o -name 'zsmalloc.ko' -o -name 'lzo*.ko' | sed 's|.*/\(.*\)|-a & :/zram/\1|; s| :|:|') \
		$(if $(filter refusals,$(4)),$$(find "$$modules" -name 'kvm*.ko' -o -name irqbypass.ko | sed 's|.*/\(.*\)|-a & :/reference/\1|; s| :|:|')) \
		$(if $(filter vmm,$(4)),$$(sh tests/machine/vmm-files.sh) -a $(MACHINE_DIR)/vmm-guests:/vmm-guests) \
		-a "$$kernel":/vmlinuz $(patsubst %,tests/machine/%.sh,$(4))
endef
# $(call machine_run_svm,DIFFERENCES,[-k],PARTS,[ENVIRONMENT]): observe makes the kernel change its code, see qemu.sh.
define machine_run_svm
	$(if $(filter-out observe,$(3)),$(call machine_run,svm,$(1),$(2),$(filter-out observe,$(3)),$(4)))
	$(if $(filter observe,$(3)),$(call machine_run,svm,$(1),$(2),observe,$(4) MACHINE_THREADS=single))
endef

.PHONY: check-moves check-svm check-vmx check-svm-debug check-svm-reference check-vmx-reference
check-svm: module $(MACHINE_NEEDS)
	$(call machine_run_svm,differences-svm,,$(call machine_parts,svm,observe pressure hostile vmm refusals life))
	$(Q)for cpu in EPYC,-svm EPYC,+svm,-npt; do \
		BUILD=$(BUILD) GUEST=$(GUEST) MACHINE_CPU=$$cpu sh tests/machine/machine.sh -M svm -n tests/machine/absent.sh || exit 1; \
	done
check-vmx: module $(MACHINE_NEEDS)
	$(call machine_run,vmx,differences-vmx,,$(call machine_parts,vmx,observe))
	$(if $(MACHINE_PARTS),,$(Q)$(MAKE) check-vmx MACHINE_PARTS='api boot' MACHINE_API=y2006 MACHINE_PARAMETERS=unrestricted_guest=0)
check-svm-reference: $(MACHINE_NEEDS)
	$(call machine_run_svm,differences-kvm-amd,-k,$(call machine_parts,svm))
check-vmx-reference: $(MACHINE_NEEDS)
	$(call machine_run,vmx,differences-kvm-intel,-k,$(call machine_parts,vmx))

# MOVES: guests of tests/machine/moves.txt instead of all
check-moves: module $(BUILD)/anykvm $(BUILD)/libanykvm-preload.so
	$(Q)kernel=$$(sh scripts/fetch-kernel.sh $(GUEST)) && for reference in '' -k; do \
		BUILD=$(BUILD) GUEST=$(GUEST) sh tests/machine/moves.sh $(BUILD)/anykvm "$$kernel" $(MACHINE_DIR)/moves $(MOVES) -- $$reference || exit 1; \
	done

# The guests' kernel stays Debian's; zram comes from the debug kernel itself.
DEBUG_KERNEL ?= $(BUILD)/debug-kernel
check-svm-debug: MACHINE_PARTS := api compat space observe pressure hostile leaks life
check-svm-debug: MACHINE_ARGS := -m 2048
check-svm-debug: $(MACHINE_NEEDS)
	sh scripts/debug-kernel.sh $(DEBUG_KERNEL)
	$(MAKE) module BUILD=$(BUILD)/debug KERNEL_HEADERS=$(abspath $(DEBUG_KERNEL))/build
	$(call machine_run_svm,differences-svm,,$(MACHINE_PARTS),BUILD=$(BUILD)/debug MACHINE_KERNEL=$(DEBUG_KERNEL)/kernel)
