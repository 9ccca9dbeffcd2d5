# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make bench                                   everything, interleaved on the bare CPU, QEMU TCG, anykvm (about 6 minutes)
# make bench BENCH_ARGS='--only sieve,os --rounds 3'
# make bench BENCH_ARGS='--docs docs/performance.md'      put the result into the documentation

BENCH_DIR := $(BUILD)/bench

$(BENCH_DIR)/work: $(wildcard bench/work*.c bench/work.h)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -static -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-parameter -o $@ $(filter %.c,$^) \
		-pthread -lm

$(BENCH_DIR)/initramfs.gz: $(BENCH_DIR)/work
	$(Q)rm -rf $(BENCH_DIR)/root && mkdir -p $(BENCH_DIR)/root/bin
	$(Q)cp $< $(BENCH_DIR)/root/init && cp /bin/busybox $(BENCH_DIR)/root/bin/
	$(Q)(cd $(BENCH_DIR)/root && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -1 >$@

.PHONY: bench
bench: $(BUILD)/anykvm
	sh scripts/install-deps.sh build run bench
	+$(MAKE) --no-print-directory BUILD=$(BUILD) $(BENCH_DIR)/initramfs.gz
	kernel=$$(sh scripts/fetch-kernel.sh $(GUEST)) && \
	python3 bench/bench.py --work $(BENCH_DIR)/work --anykvm $(BUILD)/anykvm --kernel "$$kernel" \
		--initrd $(BENCH_DIR)/initramfs.gz --output $(BENCH_DIR) $(BENCH_ARGS)
