# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The kernel module. Included by the top Makefile; nothing of it is part of all or check.
#   module      anykvm.ko for the kernel whose headers are in KERNEL_HEADERS
#   dkms-deb    a package of its sources for DKMS, in $(BUILD); check-dkms builds the module from it
KERNEL_HEADERS ?= $(lastword $(sort $(wildcard /usr/src/linux-headers-*-cloud-amd64)))
MODULE_DIR := $(BUILD)/module
MODULE_FOLDERS := include x86 core irqchip engine/hw engine/svm engine/vmx host/linux

.PHONY: module
module:
	@[ -n "$(KERNEL_HEADERS)" ] || { echo "no kernel headers: apt-get install linux-headers-cloud-amd64" >&2; exit 1; }
	@sh scripts/module-tree.sh $(MODULE_DIR) $(MODULE_FOLDERS)
	$(Q)$(MAKE) -C $(KERNEL_HEADERS) M=$(abspath $(MODULE_DIR)) modules
	@cp $(MODULE_DIR)/anykvm.ko $(BUILD)/anykvm.ko

DKMS_VERSION ?= 0.$(shell git log -1 --format=%cd --date=format:%Y%m%d 2>/dev/null || date +%Y%m%d)
.PHONY: dkms-deb check-dkms
dkms-deb:
	@rm -f $(BUILD)/anykvm-dkms_*.deb
	@sh scripts/dkms-deb.sh $(DKMS_VERSION) $(BUILD) $(MODULE_FOLDERS)
check-dkms: dkms-deb
	@sh scripts/dkms-check.sh $(BUILD)/anykvm-dkms_*.deb $(KERNEL_HEADERS)
