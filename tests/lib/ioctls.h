/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* ioctls.h - every ioctl of the ABI as data, for tests that go through all of them. */
#ifndef TESTS_IOCTLS_H
#define TESTS_IOCTLS_H

#include <stdbool.h>
#include <stddef.h>

enum ioctl_object { IOCTL_SYSTEM, IOCTL_VM, IOCTL_VCPU };

enum ioctl_direction {
	IOCTL_VALUE, /* an integer or nothing */
	IOCTL_IN,    /* the target reads the structure (and may write it back) */
	IOCTL_OUT,   /* the target only writes it */
};

struct ioctl_info {
	const char *name;
	unsigned long request;
	enum ioctl_object object;
	unsigned int objects_mask; /* further objects that know the number: 1 << enum ioctl_object */
	enum ioctl_direction direction;
	size_t size; /* of the fixed part; 0 with IOCTL_VALUE */
	bool null_is_valid;
	bool skip_pointer_test; /* the errno depends on more than the pointer */
	bool makes_object;
};

extern const struct ioctl_info ioctl_table[];
extern const unsigned int ioctl_count;

#endif /* TESTS_IOCTLS_H */
