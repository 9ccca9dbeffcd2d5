# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The kernel module. Included by the top Makefile; nothing of it is part of all or check.
#   module      anykvm.ko for the kernel whose headers are in KERNEL_HEADERS
#   check-sparse    sparse finds nothing in it
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

# The decoder's table of last rows overrides its own entries on purpose.
.PHONY: check-sparse
check-sparse: module
	@echo "  SPARSE  $(MODULE_DIR)"
	$(Q)$(MAKE) -C $(KERNEL_HEADERS) M=$(abspath $(MODULE_DIR)) C=2 CF=-Wno-override-init modules >$(MODULE_DIR)/sparse.log 2>&1 || \
		{ cat $(MODULE_DIR)/sparse.log; exit 1; }
	@grep -q 'CHECK .*/core/run.c' $(MODULE_DIR)/sparse.log || { echo "check-sparse: sparse has not run" >&2; exit 1; }
	@! grep -E -A 1 '(warning|error):' $(MODULE_DIR)/sparse.log
	@echo "check-sparse: 1 passed, 0 failed, 0 skipped"

DKMS_VERSION ?= 0.$(shell git log -1 --format=%cd --date=format:%Y%m%d 2>/dev/null || date +%Y%m%d)
.PHONY: dkms-deb check-dkms
dkms-deb:
	@rm -f $(BUILD)/anykvm-dkms_*.deb
	@sh scripts/dkms-deb.sh $(DKMS_VERSION) $(BUILD) $(MODULE_FOLDERS)
check-dkms: dkms-deb
	@sh scripts/dkms-check.sh $(BUILD)/anykvm-dkms_*.deb $(KERNEL_HEADERS)
