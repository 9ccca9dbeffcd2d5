# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make check-clients                             QEMU, stress-ng through `anykvm run`
# make check-clients CLIENTS_ONLY='iso migrate'   only these
# make check-routes                              programs of every kind of linking, a few seconds
# make check-boots BOOTS=200                       as many boots in a row, machines mixed

$(BUILD)/tests/clients/device: tests/clients/device.c tests/clients/check.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -pthread -o $@ $<

.PHONY: check-clients
check-clients: $(BUILD)/anykvm $(BUILD)/libanykvm-preload.so $(BUILD)/anykvm-inject $(BUILD)/tests/clients/device
	kernel=$$(sh scripts/fetch-kernel.sh $(GUEST)) && \
	sh tests/clients/run.sh $(BUILD)/anykvm "$$kernel" $(BUILD)/tests/clients $(CLIENTS_ONLY)

# 200 boots in a row, BOOTS of them.
BOOTS ?= 200
.PHONY: check-boots
check-boots: $(BUILD)/anykvm $(BUILD)/libanykvm-preload.so
	kernel=$$(sh scripts/fetch-kernel.sh $(GUEST)) && \
	sh tests/clients/boots.sh $(BUILD)/anykvm "$$kernel" $(BUILD)/tests/boots $(BOOTS)

.PHONY: check-routes
check-routes: $(BUILD)/anykvm $(BUILD)/libanykvm-preload.so $(BUILD)/anykvm-inject
	sh tests/clients/routes.sh $(BUILD)/anykvm $(BUILD)/tests/clients/routes $(ROUTES_ONLY)
