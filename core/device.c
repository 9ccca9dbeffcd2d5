/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * KVM_CREATE_DEVICE. x86 has no device of its own, and VFIO needs a host that passes hardware through: so
 * far no type exists and every request is answered as Linux answers an unknown type. The place for a table
 * of types is here.
 */
#include "vcpu.h"

int device_create(struct vm *vm, struct kvm_create_device *cd, struct object *made)
{
	return -ENODEV;
}
