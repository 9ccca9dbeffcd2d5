# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make check-boot                            all boot tests on libanykvm
# make check-boot BOOT_ARGS='--device /dev/kvm'    on a KVM device
# make check-boot BOOT_ONLY='shell panic'          only these

BOOT_DIR := $(BUILD)/tests/boot
BOOT_WARN := -Wall -Wextra -Werror -std=gnu11 -D_GNU_SOURCE
BOOT_WORK := -O2 -ffp-contract=off -fno-math-errno -static -pthread
BOOT_TINY := -O1 -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
	-mgeneral-regs-only -nostdlib -static -no-pie -Wl,-Ttext-segment=0x200000 -Wl,--build-id=none
BOOT_PROGRAMS := $(BOOT_DIR)/guest-work $(BOOT_DIR)/guest-work32 $(BOOT_DIR)/tiny64 $(BOOT_DIR)/tiny32

$(BOOT_DIR)/guest-work: tests/boot/guest-work.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BOOT_WARN) $(BOOT_WORK) -o $@ $<
$(BOOT_DIR)/guest-work32: tests/boot/guest-work.c
	@mkdir -p $(@D)
	$(Q)$(CC) -m32 -msse2 $(BOOT_WARN) $(BOOT_WORK) -o $@ $<
$(BOOT_DIR)/tiny64: tests/boot/tiny.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BOOT_WARN) -m64 $(BOOT_TINY) -o $@ $<
$(BOOT_DIR)/tiny32: tests/boot/tiny.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BOOT_WARN) -m32 $(BOOT_TINY) -o $@ $<
# A 32-bit kernel needs 32-bit tools: Debian's for i386.
$(BOOT_DIR)/initramfs32.gz: scripts/mkinitramfs.sh $(BOOT_DIR)/guest-work32 tests/boot/host-guest.sh
	$(Q)folder=$$(sh scripts/fetch-package.sh -a i386 busybox-static $(GUEST)) && \
	sh scripts/mkinitramfs.sh -b "$$folder/bin/busybox" -a $(BOOT_DIR)/guest-work32:/bin/guest-work32 \
		-a tests/boot/host-guest.sh:/bin/host-guest.sh $@
$(BOOT_DIR)/initramfs.gz: scripts/mkinitramfs.sh $(BOOT_DIR)/guest-work $(BOOT_DIR)/guest-work32 tests/boot/host-guest.sh
	$(Q)sh scripts/mkinitramfs.sh -a $(BOOT_DIR)/guest-work:/bin/guest-work \
		-a $(BOOT_DIR)/guest-work32:/bin/guest-work32 \
		-a tests/boot/host-guest.sh:/bin/host-guest.sh $@

.PHONY: check-boot
check-boot: $(BUILD)/anykvm $(BOOT_PROGRAMS) $(BOOT_DIR)/initramfs.gz
	$(Q)kernel=$$(sh scripts/fetch-kernel.sh $(GUEST)) || kernel=; \
	kernel32=$$(sh scripts/fetch-kernel.sh -a i386 -p linux-image-686-pae $(GUEST)) && \
		$(MAKE) --no-print-directory $(BOOT_DIR)/initramfs32.gz || kernel32=; \
	KERNEL32="$$kernel32" sh tests/boot/run.sh $(BUILD)/anykvm "$$kernel" $(BOOT_DIR) '$(BOOT_ARGS)' $(BOOT_ONLY)

# make check-lockstep: a boot in which the interpreter checks every block of generated code. Takes minutes.
$(BOOT_DIR)/lockstep.gz: scripts/mkinitramfs.sh tests/boot/lockstep-guest.sh
	@mkdir -p $(@D)
	$(Q)sh scripts/mkinitramfs.sh -c tests/boot/lockstep-guest.sh $@
.PHONY: check-lockstep
check-lockstep: $(BUILD)/anykvm $(BOOT_DIR)/lockstep.gz
	@kernel=$$(sh scripts/fetch-kernel.sh -p $(KERNEL_PACKAGE) $(GUEST)) && \
	sh tests/boot/lockstep.sh $(BUILD)/anykvm "$$kernel" $(BOOT_DIR)/lockstep.gz
