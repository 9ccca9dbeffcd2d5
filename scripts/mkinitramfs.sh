#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Make a busybox initramfs. The guest runs a command and powers off, or gives an interactive shell:
#   - anykvm.cmd=WORD or anykvm.cmd="COMMAND LINE" on the kernel's command line, else
#   - the script given with -c here, else
#   - a shell with job control on /dev/console's terminal; leaving it powers off.
# After a command the guest prints "anykvm-cmd: exit status N" and powers off.
#
# usage: mkinitramfs.sh [-c SCRIPT] [-a FILE:/PATH]... [-b BUSYBOX] OUTPUT
set -eu

usage()
{
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}

die()
{
	echo "mkinitramfs: $*" >&2
	exit 1
}

script=
busybox=
extra=
while getopts c:a:b: option; do
	case $option in
	c) script=$OPTARG ;;
	b) busybox=$OPTARG ;;
	a) extra="$extra$OPTARG
" ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || usage
output=$1

command -v cpio >/dev/null || die "cpio is not installed: apt-get install cpio"
if [ -z "$busybox" ]; then
	busybox=$(command -v busybox) ||
		die "busybox is not installed: apt-get install busybox-static"
fi
# The initramfs has no libraries.
if ldd "$busybox" >/dev/null 2>&1; then
	die "$busybox is not static: apt-get install busybox-static"
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir -p "$root/bin" "$root/dev" "$root/etc" "$root/proc" "$root/root" "$root/sys" "$root/tmp"
cp "$busybox" "$root/bin/busybox"
# The links are made here: the guest need not know where its applets belong.
for applet in $("$busybox" --list); do
	[ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"

if [ -n "$script" ]; then
	cp "$script" "$root/etc/anykvm-cmd" || die "cannot read the script $script"
	chmod 755 "$root/etc/anykvm-cmd"
fi
printf '%s' "$extra" | while IFS= read -r pair; do
	source=${pair%%:*}
	target=$root/${pair#*:}
	mkdir -p "$(dirname "$target")"
	cp "$source" "$target"
done || die "cannot add a file"

cat >"$root/init" <<'INIT'
#!/bin/sh
export PATH=/bin HOME=/root TERM="${TERM:-vt102}"
mount -t devtmpfs dev /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
exec init
INIT
cat >"$root/etc/inittab" <<'INITTAB'
::once:setsid cttyhack /etc/session
::ctrlaltdel:/bin/reboot
INITTAB
cat >"$root/etc/session" <<'SESSION'
#!/bin/sh
# The leader of the terminal's session: when it ends, the kernel throws away what the terminal has
# not sent yet. So it stays to the end, whatever Ctrl-C does to the command.
trap : INT
cd /root
line=$(cat /proc/cmdline)
case " $line" in
*' anykvm.cmd="'*)
	command=${line#*anykvm.cmd=\"}
	command=${command%%\"*}
	;;
*' "anykvm.cmd='*)
	command=${line#*\"anykvm.cmd=}
	command=${command%%\"*}
	;;
*' anykvm.cmd='*)
	command=${line#*anykvm.cmd=}
	command=${command%% *}
	;;
*)
	command=
	[ ! -x /etc/anykvm-cmd ] || command=/etc/anykvm-cmd
	;;
esac

if [ -n "$command" ]; then
	sh -c "$command"
	echo "anykvm-cmd: exit status $?"
else
	echo
	echo "This is $(uname -sr) in anykvm. Leave with 'poweroff' or Ctrl-A x."
	sh -l
fi
stty opost	# waits until all output is sent
poweroff -f
SESSION
chmod 755 "$root/init" "$root/etc/session"

tmp=$output.tmp.$$
trap 'rm -rf "$root" "$tmp"' EXIT
(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$tmp"
mv "$tmp" "$output"
