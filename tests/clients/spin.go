// SPDX-License-Identifier: MIT OR GPL-2.0-only

// spin: KVM from Go, whose runtime makes its own system calls, signals its threads and starts them behind everybody's back.
// Four threads each run a guest: two halt, two spin until a signal; then the program executes itself once more.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	getAPIVersion       = 0xae00
	createVM            = 0xae01
	getVcpuMmapSize     = 0xae04
	createVcpu          = 0xae41
	setUserMemoryRegion = 0x4020ae46
	run                 = 0xae80
	setRegs             = 0x4090ae82
	getSregs            = 0x8138ae83
	setSregs            = 0x4138ae84
	exitHlt             = 5
	exitIntr            = 10
)

func must(what string, ok bool, detail interface{}) {
	if !ok {
		fmt.Println(what, "failed:", detail)
		os.Exit(1)
	}
}

func ioctl(fd, request uintptr, arg unsafe.Pointer) (uintptr, syscall.Errno) {
	r, _, e := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg))
	return r, e
}

func guest(kvm uintptr, n int) {
	runtime.LockOSThread()
	code := []byte{0xf4} // hlt
	want, reason := syscall.Errno(0), uint32(exitHlt)
	if n%2 == 1 {
		code = []byte{0xeb, 0xfe} // jmp .
		want, reason = syscall.EINTR, exitIntr
	}
	vm, e := ioctl(kvm, createVM, nil)
	must("KVM_CREATE_VM", e == 0, e)
	vcpu, e := ioctl(vm, createVcpu, nil)
	must("KVM_CREATE_VCPU", e == 0, e)
	size, _ := ioctl(kvm, getVcpuMmapSize, nil)
	mem, err := syscall.Mmap(-1, 0, 4096, 3, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	must("mmap", err == nil, err)
	copy(mem, code)
	slot := [4]uint64{0, 0, 4096, uint64(uintptr(unsafe.Pointer(&mem[0])))}
	_, e = ioctl(vm, setUserMemoryRegion, unsafe.Pointer(&slot))
	must("KVM_SET_USER_MEMORY_REGION", e == 0, e)
	shared, err := syscall.Mmap(int(vcpu), 0, int(size), 3, syscall.MAP_SHARED)
	must("mmap of the vCPU", err == nil, err)
	var sregs [312]byte
	_, e = ioctl(vcpu, getSregs, unsafe.Pointer(&sregs))
	must("KVM_GET_SREGS", e == 0, e)
	copy(sregs[:8], make([]byte, 8))    // cs.base
	copy(sregs[12:14], make([]byte, 2)) // cs.selector
	_, e = ioctl(vcpu, setSregs, unsafe.Pointer(&sregs))
	must("KVM_SET_SREGS", e == 0, e)
	regs := [18]uint64{17: 2} // rflags
	_, e = ioctl(vcpu, setRegs, unsafe.Pointer(&regs))
	must("KVM_SET_REGS", e == 0, e)
	tid := syscall.Gettid()
	done := make(chan bool)
	go func() {
		// Go's own signal of preemption, until it has hit KVM_RUN.
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				syscall.Tgkill(syscall.Getpid(), tid, syscall.SIGURG)
			}
		}
	}()
	_, e = ioctl(vcpu, run, nil)
	for n%2 == 0 && e == syscall.EINTR {
		_, e = ioctl(vcpu, run, nil)
	}
	close(done)
	got := *(*uint32)(unsafe.Pointer(&shared[8]))
	must("KVM_RUN", e == want && got == reason, fmt.Sprint(e, " exit ", got))
}

// Work for the garbage collector and the scheduler meanwhile.
func churn(stop chan bool) {
	var kept [64][]byte
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
			kept[i%64] = make([]byte, 65536)
		}
	}
}

func main() {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	must("open", err == nil, err)
	info, err := os.Stat("/dev/kvm")
	must("stat", err == nil && info.Mode()&os.ModeCharDevice != 0, err)
	version, e := ioctl(f.Fd(), getAPIVersion, nil)
	must("KVM_GET_API_VERSION", e == 0 && version == 12, version)
	stop := make(chan bool)
	go churn(stop)
	var all sync.WaitGroup
	for i := 0; i < 4; i++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			guest(f.Fd(), n)
		}(i)
	}
	all.Wait()
	close(stop)
	runtime.KeepAlive(f) // or the collector closes it
	if os.Getenv("SPIN_CHILD") != "" {
		return
	}
	self, err := os.Executable()
	must("os.Executable", err == nil && self != "", err)
	child, err := os.StartProcess("/proc/self/exe", []string{"spin"},
		&os.ProcAttr{Env: []string{"SPIN_CHILD=1"}, Files: []*os.File{nil, os.Stdout, os.Stderr}})
	must("start of the child", err == nil, err)
	state, err := child.Wait()
	must("child", err == nil && state.Success(), state)
}
