# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make run                       boot a stock Debian kernel to a shell
# make run RUN_ARGS='--cpus 2'   more arguments for anykvm boot
# make run KERNEL_PACKAGE=linux-image-amd64
# make deps                      only install what is missing

# Kernels and initramfs: kept apart from $(BUILD), they do not depend on how we build.
GUEST ?= build/guest
KERNEL_PACKAGE ?= linux-image-cloud-amd64
INITRAMFS := $(GUEST)/initramfs.gz

.PHONY: deps run
deps:
	sh scripts/install-deps.sh build run

# The tools come first: nothing compiles before. Hence the second make.
run: deps
	+$(MAKE) --no-print-directory BUILD=$(BUILD) $(BUILD)/anykvm $(INITRAMFS)
	kernel=$$(sh scripts/fetch-kernel.sh -p $(KERNEL_PACKAGE) $(GUEST)) && \
	$(BUILD)/anykvm boot --kernel "$$kernel" --initrd $(INITRAMFS) --append quiet $(RUN_ARGS)

$(INITRAMFS): scripts/mkinitramfs.sh
	@mkdir -p $(@D)
	sh scripts/mkinitramfs.sh $@
