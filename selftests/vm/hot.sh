#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: hot.sh [PATH...]
#
# Prints the files that tests start again and again: common programs, those
# given, and the libraries of all. A machine copies them into its memory when
# it starts, because every open of a file of the host costs it several
# messages over 9p; starting a program then is several times as fast.

set -euo pipefail

programs=(awk basename bash blkid blockdev cat chmod chroot cmp cp cut date dd df
	dirname dmesg echo env expr false find findmnt flock grep gzip head hostname id
	insmod ip jq kill ln losetup ls lsblk lsmod mkdir mkfifo mkfs.ext4 mknod mktemp
	modinfo modprobe mount mountpoint mv nproc nsenter od paste pgrep pkill
	printf ps pwd readlink realpath rm rmdir rmmod sed seq setpriv setsid sh sha256sum sleep
	sort stat stty sync tail tee test timeout touch tr true truncate uname
	umount uniq unshare wc xargs yes e2fsck)
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
files=("$@")
for p in "${programs[@]}"; do
	! f=$(type -P "$p") || files+=("$f")
done
{
	printf '%s\n' "${files[@]}" /etc/ld.so.cache /etc/passwd /etc/group /etc/nsswitch.conf
	ldd "${files[@]}" 2>/dev/null | sed -n 's/.*\(=> \|^\t\)\(\/[^ ]*\) (0x.*/\2/p'
} | sort -u | while read -r f; do
	# what is linked to, and the link itself, named without links before it
	[ -e "$f" ] || continue
	readlink -f "$f"
	printf '%s/%s\n' "$(readlink -f "$(dirname "$f")")" "$(basename "$f")"
done | sort -u
for f in /bin /sbin /lib /lib64; do
	[ ! -L $f ] || echo $f
done
