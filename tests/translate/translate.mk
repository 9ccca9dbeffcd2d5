# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-translate: the size of generated code, per guest instruction, against counts.txt; make update-translate: anew.

TRANSLATE_TEST := $(BUILD)/tests/translate/counts
$(BUILD)/tests/translate/counts.o: FLAGS = $(BASE) $(HOSTINC) -Iinclude -Ix86 -Iengine/soft -Iengine/soft/translate
$(TRANSLATE_TEST): $(BUILD)/tests/translate/counts.o $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -o $@ $^ -pthread

.PHONY: check-translate update-translate
check-translate: $(TRANSLATE_TEST)
	$(LIMITED) $< tests/translate/counts.txt
update-translate: $(TRANSLATE_TEST)
	$(LIMITED) $< --update tests/translate/counts.txt

-include $(BUILD)/tests/translate/counts.d
