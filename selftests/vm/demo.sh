#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What `make demo` does: installs what is missing, builds, makes a disk image
# with real files, and runs demo-guest.sh in a machine of the lab. With
# HOST=1, as root and where modules can be loaded, it runs on this kernel.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd -P)
kernel=${KERNEL:-6.12}

vm_say "1/4 packages"
"$here/packages.sh" build lab peers
vm_say "2/4 building the program"
mkdir -p "$R3MAP_CACHE/log"
vm_logged "$R3MAP_CACHE/log/demo-user.log" "building the program" \
	make --no-print-directory -C "$R3MAP_TOP/user"

# the disk: real files that this machine has, and a list of their checksums
vm_say "3/4 making a disk image of 256 MiB: /usr/include/linux and large programs of /usr/bin"
work=$(mktemp -d "$R3MAP_CACHE/demo.XXXXXX") # the guest has a /tmp of its own
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
cp -a /usr/include/linux "$work/tree/include"
mkdir "$work/tree/bin"
find /usr/bin -type f -size +1M -size -8M -printf '%s %p\n' | sort -rn | head -n 12 |
	while read -r _ f; do cp -a "$f" "$work/tree/bin/"; done
(cd "$work/tree" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) >"$work/sums"
cp "$work/sums" "$work/tree/SHA256SUMS"
truncate -s 256M "$work/image"
/sbin/mke2fs -q -F -t ext4 -d "$work/tree" "$work/image"
rm -rf "$work/tree"

host=${HOST:-0}
if [ "$host" = 1 ]; then
	why=''
	[ "$(id -u)" = 0 ] || why="you are not root"
	[ -e /proc/modules ] || why="this kernel cannot load modules"
	[ -n "$why" ] || [ -e "/lib/modules/$(uname -r)/build/Makefile" ] || "$here/packages.sh" headers
	[ -e "/lib/modules/$(uname -r)/build/Makefile" ] ||
		why="${why:-there are no headers of $(uname -r)}"
	if [ -n "$why" ]; then
		vm_say "HOST=1, but $why: using the lab's machine instead"
		host=0
	fi
fi
if [ "$host" = 1 ]; then
	vm_say "4/4 building the module, then the demonstration on this kernel, $(uname -r)"
	make --no-print-directory -C "$R3MAP_TOP" module >"$R3MAP_CACHE/log/demo-module.log" 2>&1 ||
		vm_die "the module does not build; the whole output is in $R3MAP_CACHE/log/demo-module.log"
	R3MAP_KO=$R3MAP_TOP/kmod/r3map.ko DEMO_DISK=$work "$here/demo-guest.sh"
else
	vm_say "4/4 kernel $kernel and the module for it, then the demonstration in the lab's machine"
	"$here/boot.sh" --kernel "$kernel" --env "DEMO_DISK=$work" -- "$here/demo-guest.sh"
fi
vm_say "done"
