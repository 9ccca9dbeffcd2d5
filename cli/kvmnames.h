/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* kvmnames.h - the names of <linux/kvm.h>'s numbers. NULL: not known. */
#ifndef CLI_KVMNAMES_H
#define CLI_KVMNAMES_H

const char *kvm_ioctl_name(unsigned request);
const char *kvm_exit_name(unsigned reason); /* without KVM_EXIT_ */

#endif
