/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What later kernels added to the ABI and we serve, for builds against an older <linux/kvm.h> (Debian 12's is Linux 6.1's).
 */
#ifndef ANYKVM_KVM_LATER_H
#define ANYKVM_KVM_LATER_H

#include <linux/kvm.h>

#ifndef KVM_CAP_USER_MEMORY2 /* Linux 6.8 */
#define KVM_CAP_USER_MEMORY2 231
#define KVM_MEM_GUEST_MEMFD (1UL << 2)

/* Begins as struct kvm_userspace_memory_region does. */
struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset; /* with KVM_MEM_GUEST_MEMFD, which we do not offer */
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#endif

#endif
