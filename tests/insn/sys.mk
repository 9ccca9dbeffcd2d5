# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The tests of system instructions against Debian's kvm-intel in Bochs (some minutes; see sys_kvm.c).

.PHONY: check-insn-vmx
check-insn-vmx: $(BUILD)/tests/insn/insn-tests-static
	BUILD=$(BUILD) sh tests/insn/run-in-vmx.sh -e INSN_KVM=/dev/kvm $< --only sys --verbose

$(BUILD)/tests/insn/insn-tests-static: $(INSN_OBJ) $(X86_OBJ)
	$(CC) $(LDSAN) -static -o $@ $^ -pthread
