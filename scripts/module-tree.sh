#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Make a folder in which Kbuild can build the module: links to the sources, objects beside them.
# usage: module-tree.sh TREE FOLDER...
set -eu
tree=$1
shift
here=$(pwd)
mkdir -p "$tree"
# Links to files that are gone would stop the build.
find "$tree" -xtype l -delete
for folder; do
	find "$folder" -type f \( -name '*.[chS]' -o -name '*.def' -o -name '*.inc' -o -name Kbuild \) | while read -r file; do
		mkdir -p "$tree/$(dirname "$file")"
		[ -L "$tree/$file" ] || ln -s "$here/$file" "$tree/$file"
	done
done
ln -sf host/linux/Kbuild "$tree/Kbuild"
