# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The kernel module. Included by the top Makefile; nothing of it is part of all or check.
#   module   anykvm.ko for the kernel whose headers are in KERNEL_HEADERS
KERNEL_HEADERS ?= $(lastword $(sort $(wildcard /usr/src/linux-headers-*-cloud-amd64)))
MODULE_DIR := $(BUILD)/module
MODULE_FOLDERS := include x86 core irqchip engine/hw engine/svm engine/vmx host/linux

.PHONY: module
module:
	@[ -n "$(KERNEL_HEADERS)" ] || { echo "no kernel headers: apt-get install linux-headers-cloud-amd64" >&2; exit 1; }
	@sh scripts/module-tree.sh $(MODULE_DIR) $(MODULE_FOLDERS)
	$(Q)$(MAKE) -C $(KERNEL_HEADERS) M=$(abspath $(MODULE_DIR)) modules
	@cp $(MODULE_DIR)/anykvm.ko $(BUILD)/anykvm.ko
