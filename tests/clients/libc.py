# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""KVM by libc's own functions, as a program finds them that loads libc by its name. Argument: libc's name, "" for the program's own."""
import ctypes
import os
import stat
import sys

libc = ctypes.CDLL(sys.argv[1] or None, use_errno=True)
KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_CREATE_VCPU = 0xAE00, 0xAE01, 0xAE41

kvm = libc.open(b"/dev/kvm", os.O_RDWR)
vm = libc.ioctl(kvm, KVM_CREATE_VM, 0)
assert kvm >= 0 and libc.ioctl(kvm, KVM_GET_API_VERSION, 0) == 12
assert vm >= 0 and libc.ioctl(vm, KVM_CREATE_VCPU, 0) >= 0
assert stat.S_ISCHR(os.fstat(kvm).st_mode)
# Not the machine's own.
assert os.readlink(f"/proc/self/fd/{kvm}").startswith("/memfd:anykvm")
libc.dlsym.restype = ctypes.c_void_p
assert libc.dlsym(None, b"ioctl") == ctypes.cast(libc.ioctl, ctypes.c_void_p).value
assert libc.getpid() == os.getpid() and libc.close(vm) == 0
