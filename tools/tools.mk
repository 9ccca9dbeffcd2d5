# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make tools: what helps to work on the translator. Needs libzydis-dev.

$(BUILD)/anykvm-translations: tools/translations.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(OPT) $(WARN) -o $@ $< -lZydis

.PHONY: tools
tools: $(BUILD)/anykvm-translations
