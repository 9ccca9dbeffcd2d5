# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make check-userland                                   real programs of a Debian userland, in guests with one and two CPUs
# make check-userland USERLAND_ARGS='--engine lockstep' USERLAND_CPUS=1
#
# Heavy and in no other target: as root, about 300 MB to fetch, 4 GiB of memory for the guest.
# USERLAND_MORE=1: Java, Go, Erlang, SBCL, PyPy, OCaml, tcc as well; another 600 MB, 9 GiB.

# Apart from $(BUILD): it does not depend on how we build.
USERLAND ?= build/userland
USERLAND_CPUS ?= 1 2

.PHONY: check-userland
check-userland: $(BUILD)/anykvm
	@kernel=$$(sh scripts/fetch-kernel.sh $(GUEST)) && \
	sh tests/userland/run.sh $(BUILD)/anykvm "$$kernel" $(USERLAND) '$(USERLAND_CPUS)' '$(USERLAND_ARGS)'
