# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make check-cli                      anykvm check, stat, trace
# make check-cli CLI_ONLY='check'     only these

.PHONY: check-cli
check-cli: $(BUILD)/anykvm $(BUILD)/libanykvm-preload.so $(BOOT_DIR)/tiny64 $(BUILD)/tests/clients/device
	$(Q)sh tests/cli/run.sh $(BUILD)/anykvm $(BOOT_DIR)/tiny64 $(BUILD)/tests/clients/device $(BUILD)/tests/cli $(CLI_ONLY)
