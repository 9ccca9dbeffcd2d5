# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check-translate: the size of generated code, per guest instruction, against counts.txt (make update-translate: anew), and what
# translating over old code leaves alone.

TRANSLATE_TEST := $(BUILD)/tests/translate/counts
TRANSLATE_OVER := $(BUILD)/tests/translate/over
$(BUILD)/tests/translate/counts.o $(TRANSLATE_OVER).o: FLAGS = $(BASE) $(HOSTINC) -Iinclude -Ix86 -Iengine/soft -Iengine/soft/translate
$(TRANSLATE_TEST) $(TRANSLATE_OVER): %: %.o $(LIB_OBJ)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDSAN) -o $@ $^ -pthread

.PHONY: check-translate update-translate
check-translate: $(TRANSLATE_TEST) $(TRANSLATE_OVER)
	$(LIMITED) $(TRANSLATE_TEST) tests/translate/counts.txt
	$(LIMITED) $(TRANSLATE_OVER)
update-translate: $(TRANSLATE_TEST)
	$(LIMITED) $< --update tests/translate/counts.txt

-include $(TRANSLATE_TEST).d $(TRANSLATE_OVER).d
