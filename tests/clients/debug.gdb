# SPDX-License-Identifier: MIT OR GPL-2.0-only
# What the gdb test does in a busy guest. $vfs_write, $jiffies, $timer_entry: addresses in the guest's kernel.
set pagination off
set confirm off

hbreak *$vfs_write
continue
if $rip == $vfs_write
	echo hardware breakpoint ok\n
end
delete

# Interrupts are pending all the time; stepping must not end in their entry.
set $n = 0
set $stepped = 0
while $n < 200
	stepi
	if $rip != $timer_entry
		set $stepped = $stepped + 1
	end
	set $n = $n + 1
end
printf "stepped %d of 200\n", $stepped

break *$vfs_write
continue
if $rip == $vfs_write
	echo software breakpoint ok\n
end
# Over it, and to it again.
continue
if $rip == $vfs_write
	echo second hit ok\n
end

set $saved = $rbx
set $rbx = 0x1122334455667788
maintenance flush register-cache
if $rbx == 0x1122334455667788
	echo register write ok\n
end
set $rbx = $saved

set $cell = (unsigned long *)($rsp - 4096)
set $saved = *$cell
set *$cell = 0x8877665544332211
maintenance flush dcache
if *$cell == 0x8877665544332211
	echo memory write ok\n
end
set *$cell = $saved
delete

watch *(unsigned long *)$jiffies
continue
# The value changed under the watchpoint: by one tick.
echo watchpoint done\n
info breakpoints
delete
detach
