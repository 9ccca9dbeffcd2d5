# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The kernel module. Included by the top Makefile; nothing of it is part of all or check.
#   module      anykvm.ko for the kernel whose headers are in KERNEL_HEADERS
#   check-svm   API tests and a Linux guest on it, in a machine that QEMU emulates with SVM
KERNEL_HEADERS ?= $(lastword $(sort $(wildcard /usr/src/linux-headers-*-cloud-amd64)))
MODULE_DIR := $(BUILD)/module
MODULE_FOLDERS := include x86 core irqchip engine/hw engine/svm engine/vmx host/linux

.PHONY: module check-svm
module:
	@[ -n "$(KERNEL_HEADERS)" ] || { echo "no kernel headers: apt-get install linux-headers-cloud-amd64" >&2; exit 1; }
	@sh scripts/module-tree.sh $(MODULE_DIR) $(MODULE_FOLDERS)
	$(Q)$(MAKE) -C $(KERNEL_HEADERS) M=$(abspath $(MODULE_DIR)) modules
	@cp $(MODULE_DIR)/anykvm.ko $(BUILD)/anykvm.ko

# Programs for the machine: static, it has no libraries.
SVM_DIR := $(BUILD)/tests/svm
SVM_MACHINE = BUILD=$(BUILD) GUEST=$(GUEST) sh tests/svm/machine.sh
$(SVM_DIR)/anykvm: $(BUILD)/anykvm
	@mkdir -p $(@D)
	$(Q)$(CC) -static -o $@ $(call obj,$(CLI_SRC)) $(BUILD)/libanykvm.a -pthread

$(SVM_DIR)/notifier: tests/svm/notifier.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 $(WARN) -static -pthread -o $@ $<

check-svm: module $(SVM_DIR)/anykvm $(SVM_DIR)/notifier $(BUILD)/tests/api/api-tests-device $(BUILD)/tests/boot/initramfs.gz
	$(SVM_MACHINE) -t 900 -a $(BUILD)/tests/api/api-tests-device:/api-tests \
		-a tests/svm/differences.txt:/differences -a $(SVM_DIR)/notifier:/notifier tests/svm/api.sh
	$(SVM_MACHINE) -t 900 -a $(SVM_DIR)/anykvm:/anykvm -a tests/boot/host-guest.sh:/host-guest.sh \
		-a $(BUILD)/tests/boot/initramfs.gz:/initrd -a "$$(sh scripts/fetch-kernel.sh $(GUEST))":/vmlinuz \
		tests/svm/boot.sh
