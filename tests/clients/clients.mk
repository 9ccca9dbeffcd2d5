# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make check-clients                             QEMU, stress-ng through `anykvm run`
# make check-clients CLIENTS_ONLY='iso migrate'   only these

.PHONY: check-clients
check-clients: $(BUILD)/anykvm $(BUILD)/libanykvm-preload.so
	kernel=$$(sh scripts/fetch-kernel.sh $(GUEST)) && \
	sh tests/clients/run.sh $(BUILD)/anykvm "$$kernel" $(BUILD)/tests/clients $(CLIENTS_ONLY)
