#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: initramfs.sh NAME
#
# Makes the initramfs of one kernel of the lab (busybox, init.sh and the
# modules that reach the host's file system) and prints its path. Kept in
# the cache, keyed by everything that is inside. Uncompressed on purpose:
# under TCG the guest would pay for unpacking.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

here=$(cd "$(dirname "$0")" && pwd -P)
[ $# = 1 ] || vm_usage "give one kernel: 6.1, 6.12 or 7.2"
env=$("$here/kernel.sh" "$1")
eval "$env"

busybox=$(command -v busybox) ||
	vm_die "busybox is missing: install the package busybox-static"
key=$({
	echo "$KERNEL_ROOT"
	cat "$0" "$here/init.sh" "$busybox"
} | sha256sum | cut -c1-16)
image=$R3MAP_CACHE/initramfs/$1-$key.cpio
if [ ! -e "$image" ]; then
	mkdir -p "$R3MAP_CACHE/initramfs"
	tmp=$(mktemp -d "$R3MAP_CACHE/initramfs/.new-XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	mkdir -p "$tmp"/root/{bin,dev,proc,sys,host,rw,new,modules}
	cp "$busybox" "$tmp/root/bin/busybox"
	cp "$here/init.sh" "$tmp/root/init"
	chmod 755 "$tmp/root/init" "$tmp/root/bin/busybox"
	n=100
	declare -A seen=()
	for want in virtio_pci 9pnet_virtio 9p overlay; do
		while read -r verb path _; do
			[ "$verb" = insmod ] || continue
			[ -z "${seen[$path]:-}" ] || continue
			seen[$path]=1
			n=$((n + 1))
			out=$tmp/root/modules/$n-$(basename "${path%%.ko*}").ko
			case $path in
			*.ko.xz) xz -dc "$path" >"$out" ;;
			*.ko.zst) zstd -qdc "$path" >"$out" ;;
			*.ko.gz) gzip -dc "$path" >"$out" ;;
			*) cp "$path" "$out" ;;
			esac
		done < <(/sbin/modprobe -d "$KERNEL_ROOT" -S "$KERNEL_RELEASE" \
			--show-depends --ignore-install "$want")
	done
	(cd "$tmp/root" && find . | busybox cpio -o -H newc) >"$tmp/image" 2>/dev/null
	mv "$tmp/image" "$image"
fi
printf '%s\n' "$image"
