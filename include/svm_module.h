/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The svm engine as the kernel module's main file sees it. */
#ifndef ANYKVM_SVM_MODULE_H
#define ANYKVM_SVM_MODULE_H

#include "engine.h"

extern const struct engine_ops svm_engine;
/* Is AMD-V there and usable, and what engines need once: 0, -ENODEV (none), -EPERM (off in the firmware), -ENOMEM. */
int svm_module_init(void);
void svm_module_exit(void);

#endif /* ANYKVM_SVM_MODULE_H */
