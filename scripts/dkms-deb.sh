#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Make a Debian package with the module's sources for DKMS, which builds them for each kernel that is installed.
# usage: dkms-deb.sh VERSION OUTPUT-DIRECTORY FOLDER...	(folders of sources, relative to here)
set -eu

if [ $# -lt 3 ]; then
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
fi
version=$1
output=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
tree=$work/usr/src/anykvm-$version
doc=$work/usr/share/doc/anykvm-dkms
mkdir -p "$work/DEBIAN" "$tree" "$doc"

for folder; do
	find "$folder" -type f \( -name '*.[chS]' -o -name '*.def' -o -name '*.inc' -o -name Kbuild \)
done | while read -r file; do
	install -D -m 644 "$file" "$tree/$file"
done
# Kbuild looks at the top.
cp host/linux/Kbuild "$tree/Kbuild"
cp -r LICENSES "$tree/"
cp docs/hardware.md "$doc/"
cat >"$doc/copyright" <<COPYRIGHT
anykvm: MIT or GPL-2.0-only, see /usr/src/anykvm-$version/LICENSES.
COPYRIGHT

# shellcheck disable=SC2016 # DKMS expands these
printf '%s\n' 'PACKAGE_NAME="anykvm"' "PACKAGE_VERSION=\"$version\"" 'BUILT_MODULE_NAME[0]="anykvm"' \
	'DEST_MODULE_LOCATION[0]="/updates/dkms"' 'MAKE[0]="make -C ${kernel_source_dir} M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build modules"' \
	'CLEAN="make -C ${kernel_source_dir} M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build clean"' \
	'AUTOINSTALL="yes"' >"$tree/dkms.conf"

cat >"$work/DEBIAN/control" <<CONTROL
Package: anykvm-dkms
Version: $version
Section: kernel
Priority: optional
Architecture: amd64
Depends: dkms (>= 3)
Recommends: linux-headers-amd64 | linux-headers-cloud-amd64
Maintainer: anykvm maintainers <root@localhost>
Installed-Size: $(du -sk "$work/usr" | cut -f1)
Description: KVM's ABI on VT-x and AMD-V by another module (sources)
 anykvm.ko offers the KVM ABI at /dev/anykvm, or at /dev/kvm where no other KVM
 has it. It is experimental and has never run on real processors. It is built by
 DKMS and is not loaded by itself.
CONTROL
cat >"$work/DEBIAN/postinst" <<POSTINST
#!/bin/sh
set -e
if [ "\$1" = configure ]; then
	/usr/lib/dkms/common.postinst anykvm $version "" "" "\$2"
fi
POSTINST
cat >"$work/DEBIAN/prerm" <<PRERM
#!/bin/sh
set -e
case \$1 in
remove | upgrade | deconfigure) dkms remove -m anykvm -v $version --all || : ;;
esac
PRERM
chmod 755 "$work/DEBIAN/postinst" "$work/DEBIAN/prerm"
chmod -R go+rX,u+rwX "$work"
mkdir -p "$output"
dpkg-deb --root-owner-group --build "$work" "$output/anykvm-dkms_${version}_amd64.deb"
