#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Unmodified clients through `anykvm run`: one line per test, "N passed, N failed, N skipped" at the end; status 1 if one failed.
#
# usage: run.sh ANYKVM KERNEL WORK [TEST...]
#	KERNEL: a stock Debian cloud kernel's vmlinuz, with its modules in ../lib/modules
#	WORK: a folder for files that the tests make; each test's output stays there
#	CLIENTS_TIMEOUT (environment): seconds that one program may take (600: a busy machine is no failure)
# shellcheck disable=SC2086 # lists of arguments are split on purpose
set -u

[ $# -ge 3 ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
anykvm=$(realpath "$1")
kernel=$(realpath "$2")
mkdir -p "$3"
work=$(realpath "$3")
shift 3
limit=${CLIENTS_TIMEOUT:-600}
here=$(dirname "$(realpath "$0")")
initrd=$work/initrd.gz
modules=$(dirname "$(dirname "$kernel")")/lib/modules

# shellcheck source=tests/lib/suite.sh
. "$here/../lib/suite.sh"
# shellcheck source=tests/clients/lib.sh
. "$here/lib.sh"

test_pc() { direct pc cpus:1 -accel kvm; }
test_pc_split() { direct pc_split cpus:2 -accel kvm,kernel-irqchip=split -smp 2; }
test_pc_off() { direct pc_off cpus:1 -accel kvm,kernel-irqchip=off; }
test_q35_smp4() { direct q35_smp4 cpus:4 -M q35 -accel kvm -smp 4 -cpu max; }
test_q35_host() { direct q35_host cpus:2 -M q35 -accel kvm,kernel-irqchip=split -smp 2 -cpu host; }
test_cpu_qemu64() { direct cpu_qemu64 cpus:1 -accel kvm -cpu qemu64; }
test_cpu_named() { direct cpu_named cpus:1 -accel kvm -cpu Nehalem; }
test_microvm() { direct microvm cpus:2 -M microvm -accel kvm -smp 2; }
test_interpreter()
{
	ANYKVM_ENGINE=interpreter
	export ANYKVM_ENGINE
	direct interpreter cpus:1 -accel kvm
	unset ANYKVM_ENGINE
}

# A dynamic program of QEMU's size on the route for static ones.
test_injected()
{
	vm_route=inject
	direct injected cpus:2 -M q35 -accel kvm -smp 2
	vm_route=auto
}

# SeaBIOS, a boot loader from a CD, the kernel.
test_iso()
{
	for file in /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32; do
		[ -r $file ] || {
			skip "$file: apt-get install isolinux syslinux-common"
			return
		}
	done
	rm -rf "$work/iso"
	mkdir -p "$work/iso/isolinux"
	cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/isolinux/"
	cp "$kernel" "$work/iso/vmlinuz"
	cp "$initrd" "$work/iso/initrd.gz"
	printf 'DEFAULT linux\nPROMPT 0\nTIMEOUT 1\nLABEL linux\nKERNEL /vmlinuz\nAPPEND initrd=/initrd.gz %s\n' \
		"$(linux cpus:2)" >"$work/iso/isolinux/isolinux.cfg"
	xorriso -as mkisofs -quiet -o "$work/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
		-no-emul-boot -boot-load-size 4 -boot-info-table "$work/iso" 2>/dev/null
	vm_start iso -m 512 -accel kvm -smp 2 -vga std -cdrom "$work/boot.iso"
	vm_finish
	tr -d '\r' <"$work/iso.out" | grep -a -q '^anykvm-cmd: exit status 0$' || fail "the guest's work failed"
}

test_ovmf()
{
	code=/usr/share/OVMF/OVMF_CODE_4M.fd
	[ -r $code ] || {
		skip "$code: apt-get install ovmf"
		return
	}
	cp /usr/share/OVMF/OVMF_VARS_4M.fd "$work/vars.fd"
	direct ovmf cpus:1 -M q35 -accel kvm -drive if=pflash,format=raw,unit=0,readonly=on,file=$code \
		-drive if=pflash,format=raw,unit=1,file="$work/vars.fd"
	grep -a -q 'efi: EFI v' "$work/ovmf.out" || fail "the kernel was not started by the firmware"
}

# The firmware's own shell obeys a script.
test_ovmf_shell()
{
	code=/usr/share/OVMF/OVMF_CODE_4M.fd
	[ -r $code ] || {
		skip "$code: apt-get install ovmf"
		return
	}
	mkdir -p "$work/efi"
	printf 'echo -off\r\nver\r\necho %s-%s\r\nreset -s\r\n' "shell" "works" >"$work/efi/startup.nsh"
	vm_start ovmf_shell -M q35 -accel kvm -m 256 -drive if=pflash,format=raw,unit=0,readonly=on,file=$code \
		-drive format=raw,file="fat:rw:$work/efi"
	vm_finish
	tr -d '\r' <"$work/ovmf_shell.out" | grep -a -q 'UEFI Interactive Shell v' || fail "no shell"
	tr -d '\r' <"$work/ovmf_shell.out" | grep -a -q '^shell-works' || fail "the shell has not run the script"
}

# Debian's installer asks its first question.
test_installer()
{
	image=/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
	[ -r $image/linux ] || {
		skip "$image: apt-get install debian-installer-12-netboot-amd64"
		return
	}
	monitor_make installer
	vm_start installer -m 1024 -accel kvm -cpu max -kernel $image/linux -initrd $image/initrd.gz \
		-append 'console=ttyS0 DEBIAN_FRONTEND=text' $monitor_arguments
	vm_wait 'Choose the language' || return
	monitor_quit
	vm_finish
}

# pictures ACCELERATOR: of a text screen and of a framebuffer, as the monitor takes them.
pictures()
{
	monitor_make screen_$1
	vm_start screen_$1 -m 16 -accel $1 -vga std -drive format=raw,file="$work/screen.img" $monitor_arguments
	vm_wait '^t' || return
	monitor_do screendump "$work/$1-text.ppm" || return
	monitor_do sendkey ret || return
	vm_wait '^g' || return
	monitor_do screendump "$work/$1-pixels.ppm" || return
	monitor_quit
	vm_finish
}

# What is on the screen does not depend on who runs the guest.
test_screen()
{
	nasm -f bin -o "$work/screen.img" "$here/screen.asm" || {
		fail "nasm"
		return
	}
	rm -f "$work"/*.ppm
	for accelerator in tcg kvm; do
		pictures $accelerator
		[ -z "$reason" ] || return
	done
	for picture in text pixels; do
		cmp "$work/tcg-$picture.ppm" "$work/kvm-$picture.ppm" >/dev/null 2>&1 || fail "not the same picture: $picture"
		# Many colours, not one.
		[ "$(tail -c +20 "$work/kvm-$picture.ppm" | od -An -v -t x1 -w3 | sort -u | wc -l)" -ge 16 ] || fail "an empty picture: $picture"
	done
}

# Firmware that keeps its variables in system management mode, on all processors.
test_ovmf_smm()
{
	code=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd
	[ -r $code ] || {
		skip "$code: apt-get install ovmf"
		return
	}
	cp /usr/share/OVMF/OVMF_VARS_4M.fd "$work/vars.fd"
	direct ovmf_smm cpus:2 -M q35,smm=on -accel kvm -smp 2 -global driver=cfi.pflash01,property=secure,value=on \
		-global ICH9-LPC.disable_s3=1 -drive if=pflash,format=raw,unit=0,readonly=on,file=$code \
		-drive if=pflash,format=raw,unit=1,file="$work/vars.fd"
	grep -a -q 'efi: EFI v' "$work/ovmf_smm.out" || fail "the kernel was not started by the firmware"
}

# Disk, network (a download by TFTP) and random numbers. The disk comes back changed.
test_virtio()
{
	head -c 3000000 /dev/urandom >"$work/download"
	sum=$(sha256sum <"$work/download" | cut -c 1-64)
	rm -f "$work/disk.raw"
	head -c 8388608 /dev/urandom >"$work/disk.raw"
	disk_sum=$(head -c 4194304 "$work/disk.raw" | sha256sum | cut -c 1-64)
	direct virtio virtio:$sum:$disk_sum -accel kvm -smp 2 -object rng-random,filename=/dev/urandom,id=r -device virtio-rng-pci,rng=r \
		-drive if=none,id=d,format=raw,file="$work/disk.raw" -device virtio-blk-pci,drive=d \
		-netdev user,id=n,tftp="$work" -device virtio-net-pci,netdev=n
	[ "$(tail -c 4194304 "$work/disk.raw" | sha256sum | cut -c 1-64)" = "$disk_sum" ] || fail "the disk does not hold what the guest wrote"
}

# Not as KVM's guest, but as Hyper-V's.
test_hyperv()
{
	direct hyperv hyperv -accel kvm -smp 2 -cpu max,kvm=off,hv_relaxed,hv_vapic,hv_time,hv_vpindex,hv_synic,hv_stimer,hv_stimer_direct,hv_tlbflush,hv_ipi,hv_runtime,hv_frequencies
	# Linux does not know the name that is passed through: what is asked is that QEMU takes it all.
	direct hyperv_passthrough cpus:2 -accel kvm -smp 2 -cpu max,hv_passthrough
}

# The guest checks memory and arithmetic all the time; it must not notice.
test_savevm()
{
	rm -f "$work/snap.qcow2"
	qemu-img create -q -f qcow2 "$work/snap.qcow2" 16M
	monitor_make savevm
	vm_start savevm -m 256 -accel kvm -smp 2 -kernel "$kernel" -initrd "$initrd" -append "$(linux busy)" \
		-drive if=none,id=d,file="$work/snap.qcow2" -device virtio-blk-pci,drive=d $monitor_arguments
	vm_wait '^round 3 ok' || return
	monitor_do savevm one || return
	seen=$(grep -a -c '^round .* ok' "$work/savevm.out")
	vm_wait '^round .* ok' $((seen + 2)) || return
	monitor_do loadvm one || return
	monitor_close
	vm_finish
	tr -d '\r' <"$work/savevm.out" | grep -a -q '^anykvm-cmd: exit status 0$' || fail "the guest's work failed"
	[ "$(tr -d '\r' <"$work/savevm.out" | grep -a -c '^round 12 ok')" -eq 1 ] || fail "not all rounds"
}

test_migrate()
{
	machine="-m 256 -accel kvm -smp 2 -cpu max"
	rm -f "$work/migration"
	monitor_make migrate
	vm_start migrate $machine -kernel "$kernel" -initrd "$initrd" -append "$(linux busy)" $monitor_arguments
	vm_wait '^round 3 ok' || return
	monitor_do migrate_set_parameter max-bandwidth 200M || return
	# In the foreground: the guest goes on while its memory is copied (dirty log).
	monitor_do migrate "\"exec:cat >'$work/migration'\"" || return
	monitor_do info migrate || return
	grep -a -q 'Migration status: completed' "$monitor.log" || fail "the migration did not complete"
	monitor_quit
	vm_finish
	first=$(grep -a -c '^round .* ok' "$work/migrate.out")
	vm_start arrive $machine -kernel "$kernel" -initrd "$initrd" -append unused -incoming "exec:cat '$work/migration'"
	vm_finish
	tr -d '\r' <"$work/arrive.out" | grep -a -q '^anykvm-cmd: exit status 0$' || fail "the guest's work failed after $first rounds"
}

# From one running process to another, while the guest works.
test_migrate_live()
{
	live kvm
}

# Likewise, with dirty rings instead of bitmaps.
test_migrate_ring()
{
	live kvm,dirty-ring-size=4096
}

# The guest has gone over to the QEMU of that name: the first one goes, and the work is done to its end in the other.
ended_at()
{
	monitor_quit
	vm_finish
	vm=$1
	vm_finish
	tr -d '\r' <"$work/$1.out" | grep -a -q '^round 12 ok' || fail "the guest did not go on"
	tr -d '\r' <"$work/$1.out" | grep -a -q '^anykvm-cmd: exit status 0$' || fail "the guest's work failed"
}

# live ACCELERATOR
live()
{
	machine="-m 256 -accel $1 -smp 2 -cpu max"
	rm -f "$work/live.sock"
	vm_start live_to $machine -kernel "$kernel" -initrd "$initrd" -append unused -incoming "unix:$work/live.sock"
	monitor_make live_from
	vm_start live_from $machine -kernel "$kernel" -initrd "$initrd" -append "$(linux busy)" $monitor_arguments
	vm_wait '^round 3 ok' || return
	monitor_do migrate "unix:$work/live.sock" || return
	monitor_do info migrate || return
	grep -a -q 'Migration status: completed' "$monitor.log" || fail "the migration did not complete"
	ended_at live_to
}

# move FROM TO: each "device" or "anykvm". A guest that checks itself goes from one KVM to the other, in a file.
move()
{
	machine="-M pc,accel=kvm -cpu qemu64 -m 16 -device isa-debug-exit,iobase=0x501 -bios $work/move.rom"
	rm -f "$work/moving"
	monitor_make "move_$1"
	vm_device=
	[ "$1" = anykvm ] || vm_device=yes
	vm_start "move_$1" $machine $monitor_arguments
	vm_wait '^abcde' || return
	monitor_do migrate "\"exec:cat >'$work/moving'\"" || return
	monitor_do info migrate || return
	grep -a -q 'Migration status: completed' "$monitor.log" || fail "the migration from $1 did not complete"
	monitor_quit
	vm_finish
	before=$(tr -d '\r\n' <"$work/move_$1.out")
	vm_device=
	[ "$2" = anykvm ] || vm_device=yes
	vm_start "arrive_$2" $machine -incoming "exec:cat '$work/moving'"
	vm_finish 1
	vm_device=
	after=$(tr -d '\r\n' <"$work/arrive_$2.out")
	[ "$before$after" = abcdefghijklmnopqrstpass ] || fail "from $1 to $2: the guest printed '$before', then '$after'"
	[ "$before" = abcde ] || fail "from $1 to $2: it was not moved in its fifth round, but after '$before'"
}

# The guest goes on there before its memory has come; what it misses is fetched (userfaultfd).
test_postcopy()
{
	machine="-m 256 -accel kvm,kernel-irqchip=split -smp 4 -cpu max"
	rm -f "$work/post.sock"
	monitor_make post_to
	vm_start post_to $machine -kernel "$kernel" -initrd "$initrd" -append unused -incoming "unix:$work/post.sock" $monitor_arguments
	if ! monitor_do migrate_set_capability postcopy-ram on || grep -a -q 'Postcopy is not supported' "$monitor.log" "$work/post_to.err"; then
		monitor_quit
		vm_finish
		reason=
		skip "no userfaultfd for QEMU"
		return
	fi
	monitor_close
	monitor_make post_from
	vm_start post_from $machine -kernel "$kernel" -initrd "$initrd" -append "$(linux busy)" $monitor_arguments
	monitor_do migrate_set_capability postcopy-ram on || return
	monitor_do migrate_set_parameter max-bandwidth 20M || return
	vm_wait '^round 3 ok' || return
	monitor_do migrate -d "unix:$work/post.sock" || return
	monitor_do migrate_start_postcopy || return
	until grep -a -q 'Migration status: \(completed\|failed\)' "$monitor.log"; do
		monitor_do info migrate || return
		sleep 0.2
	done
	grep -a -q 'Migration status: completed' "$monitor.log" || fail "the migration did not complete"
	grep -a -q 'postcopy request count: [1-9]' "$monitor.log" || fail "nothing was fetched"
	ended_at post_to
}

# A CPU and memory are added while the guest runs.
test_hotplug()
{
	monitor_make hotplug
	sum=$(head -c 60000000 /dev/zero | tr '\000' x | sha256sum | cut -c 1-16)
	vm_start hotplug -M q35 -accel kvm -cpu qemu64 -smp 1,sockets=2,maxcpus=2 -m 256M,slots=2,maxmem=1G -kernel "$kernel" -initrd "$initrd" \
		-append "$(linux grown:2:400000:$sum)" $monitor_arguments
	vm_wait '^ready' || return
	monitor_do device_add qemu64-x86_64-cpu,id=c,socket-id=1,core-id=0,thread-id=0 || return
	monitor_do object_add memory-backend-ram,id=m,size=256M || return
	monitor_do device_add pc-dimm,id=d,memdev=m || return
	if grep -a -q '^Error' "$monitor.log"; then
		fail "$(tr -d '\r' <"$monitor.log" | grep -a -m 1 '^Error')"
		monitor_quit
	fi
	monitor_close
	vm_finish
	tr -d '\r' <"$work/hotplug.out" | grep -a -q '^anykvm-cmd: exit status 0$' || fail "the guest's work failed"
}

# All of QEMU's memory is locked; the translator's tables must not be filled by it.
test_locked()
{
	direct locked cpus:1 -accel kvm -overcommit mem-lock=on
	if grep -q 'mlockall\|lock.* memory' "$work/locked.err"; then
		reason=
		skip "no right to lock memory: $(tail -n 1 "$work/locked.err")"
	fi
}

# Between the machine's own KVM and ours, both ways. The guest is one that a weak KVM can run, too.
test_move()
{
	if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
		skip "no /dev/kvm to move from and to"
		return
	fi
	if ! nasm -f bin -o "$work/move.rom" "$here/move.asm"; then
		fail "nasm"
		return
	fi
	move anykvm device
	[ -n "$reason" ] || move device anykvm
}

test_gdb()
{
	command -v gdb >/dev/null || {
		skip "no gdb: apt-get install gdb"
		return
	}
	rm -f "$work/gdb.sock"
	vm_start gdb -m 256 -accel kvm -kernel "$kernel" -initrd "$initrd" -append "$(linux busy:symbols)" \
		-gdb "unix:$work/gdb.sock,server=on,wait=off"
	vm_wait '^round 2 ok' || return
	address()
	{
		tr -d '\r' <"$work/gdb.out" | sed -n "s/^\([0-9a-f]*\) [A-Za-z] $1$/0x\1/p"
	}
	timeout -k 5 120 gdb -nx -batch -ex 'set architecture i386:x86-64' -ex "target remote $work/gdb.sock" \
		-ex "set \$vfs_write = $(address vfs_write)" -ex "set \$jiffies = $(address jiffies_64)" \
		-ex "set \$timer_entry = $(address asm_sysvec_apic_timer_interrupt)" \
		-x "$here/debug.gdb" >"$work/gdb.log" 2>&1 || fail "gdb: $(tail -n 1 "$work/gdb.log")"
	for mark in 'hardware breakpoint ok' 'stepped 200 of 200' 'software breakpoint ok' 'second hit ok' \
		'register write ok' 'memory write ok' 'watchpoint done' '.*breakpoint already hit 1 time'; do
		grep -q "^$mark" "$work/gdb.log" || fail "gdb: not seen: $mark"
	done
	vm_finish
	tr -d '\r' <"$work/gdb.out" | grep -a -q '^anykvm-cmd: exit status 0$' || fail "the guest's work failed"
}

test_memtest()
{
	image=/boot/memtest86+x64.bin
	[ -r $image ] || {
		skip "$image: apt-get install memtest86+"
		return
	}
	vm=memtest
	limit_before=$limit
	limit=60
	monitor_make memtest
	vm_start memtest -m 64 -accel kvm -vga std -kernel $image -append console=ttyS0,115200 $monitor_arguments
	vm_wait 'Memtest86+' || return
	# The number of the running test: testing has begun.
	vm_wait '#[0-9]' || return
	monitor_quit
	vm_finish
	limit=$limit_before
}

test_stress_ng()
{
	command -v stress-ng >/dev/null || {
		skip "no stress-ng: apt-get install stress-ng"
		return
	}
	timeout -k 5 60 "$anykvm" run -- stress-ng --kvm 2 --timeout 5s --metrics-brief --verify >"$work/stress.log" 2>&1 ||
		fail "stress-ng: exit status $?"
	complaint=$(grep -m 1 'unsuccessful\|skipped\|fail' "$work/stress.log") && fail "stress-ng: $complaint"
	grep -q ' kvm  *[1-9]' "$work/stress.log" || fail "stress-ng: no operation was done"
}

# gVisor: a static Go program whose own process is the guest. Its output goes through a pipe, for it writes to files at offsets of its own.
test_runsc()
{
	command -v runsc >/dev/null || {
		skip "no runsc: apt-get install runsc"
		return
	}
	{
		# shellcheck disable=SC2016 # the inner shell's own
		timeout -k 5 "$limit" "$anykvm" run -- runsc --platform=kvm --rootless --network=none 'do' sh -c \
			'uname -r; for i in 1 2; do cat "$0" | sha256sum; done; exit 3' "$anykvm" 2>&1
		echo "exit status $?"
	} </dev/null | cat >"$work/runsc.log"
	grep -q '^exit status 3$' "$work/runsc.log" || fail "runsc: $(tail -n 2 "$work/runsc.log" | tr '\n' ' ')"
	[ "$(grep -c "^$(sha256sum <"$anykvm" | cut -c 1-64)" "$work/runsc.log")" -eq 2 ] || fail "runsc: wrong sums"
}

# What a program may do with the descriptors beside KVM's ioctls.
test_device()
{
	timeout -k 5 60 "$anykvm" run -- "$work/device" >"$work/device.log" 2>&1 || fail "$(tail -n 1 "$work/device.log")"
}

test_libguestfs()
{
	command -v guestfish >/dev/null || {
		skip "no guestfish: apt-get install libguestfs-tools"
		return
	}
	[ -n "$(find /boot -name 'vmlinuz-*' 2>/dev/null)" ] || {
		skip "no kernel in /boot for libguestfs's appliance: apt-get install linux-image-amd64"
		return
	}
	rm -f "$work/guestfs.img"
	truncate -s 64M "$work/guestfs.img"
	printf '%s\n' run 'part-disk /dev/sda mbr' 'mkfs ext4 /dev/sda1' 'mount /dev/sda1 /' 'write /hello "hello world"' \
		'cat /hello' umount-all |
		LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_kvm \
			timeout -k 5 "$limit" "$anykvm" run -- guestfish -a "$work/guestfs.img" >"$work/guestfs.log" 2>&1 ||
		fail "guestfish: $(tail -n 1 "$work/guestfs.log")"
	grep -q '^hello world' "$work/guestfs.log" || fail "the file does not hold what was written"
}

command -v qemu-system-x86_64 >/dev/null || {
	echo "qemu-system-x86_64 is not installed: apt-get install qemu-system-x86"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}
make_initrd || exit 1
all='device pc pc_split pc_off q35_smp4 q35_host cpu_qemu64 cpu_named microvm interpreter injected iso
	ovmf ovmf_smm ovmf_shell screen installer virtio hyperv savevm migrate migrate_live migrate_ring move gdb memtest stress_ng runsc libguestfs'
[ $# -gt 0 ] || set -- $all
one()
{
	call_test "$1"
	exec 4>&-
	wait
}
for test in "$@"; do
	run_test "$test" one "$test"
done
suite_end
