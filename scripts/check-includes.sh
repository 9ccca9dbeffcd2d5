#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Dependencies point one way (docs/architecture.md). Prints each include that does not, and fails.
#
#	x86/		<host/types.h> and its own headers
#	include/	x86/, <host/*.h>, <linux/kvm.h>
#	core/ irqchip/	include/, x86/, their own; <linux/kvm*.h>, <asm/kvm*.h>
#	engine/E/	those, and its own folder; never another engine. engine/hw/ is what svm and vmx share
#	host/, shim/, cli/	anything but other modules' private headers
set -eu
cd "$(dirname "$0")/.."
bad=0

# has_own FOLDER HEADER: is the header in that folder or below?
has() { [ -e "$1/$2" ] || find "$1" -name "$(basename "$2")" 2>/dev/null | grep -q .; }

check() { # FOLDER SYSTEM-HEADERS-ALLOWED(regex) PLACES...
	folder=$1 system=$2; shift 2
	[ -d "$folder" ] || return 0
	for f in $(find "$folder" -name '*.[chS]' -o -name '*.def' | sort); do
		# shellcheck disable=SC2013 # headers have no blanks in their names
		for inc in $(sed -n 's/^[ \t]*#[ \t]*include[ \t]*\([<"][^>"]*[>"]\).*/\1/p' "$f"); do
			name=$(echo "$inc" | tr -d '<>"')
			case $inc in
			'<'*)	echo "$name" | grep -Eq "^($system)$" && continue ;;
			*)	ok=
				for place in "$@"; do has "$place" "$name" && ok=1 && break; done
				[ -n "$ok" ] && continue ;;
			esac
			echo "$f: must not include $inc"
			bad=1
		done
	done
}

kvm='linux/kvm(_para)?\.h|asm/kvm(_para)?\.h'
check x86 'host/types\.h' x86
check include "host/(types|sync|errno)\.h|$kvm|stddef\.h" include x86
check core "host/(types|trace)\.h|$kvm" core include x86
check irqchip "host/types\.h|$kvm" irqchip include x86
for e in engine/*/; do
	e=${e%/}
	# The world switch of a hardware engine is the kernel's kind of assembly.
	case $e in
	*soft) own='' shared=$e ;;
	*) own='|linux/(linkage|objtool)\.h|asm/(nospec-branch|unwind_hints)\.h' shared=engine/hw ;;
	esac
	check "$e" "host/types\.h|$kvm$own" "$e" "$shared" include x86
done
[ $bad -eq 0 ] && echo "include directions: ok"
exit $bad
