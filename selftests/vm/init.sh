#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
#
# The first process of a lab machine: loads what reaches the host's file
# system, puts a tmpfs over it and becomes guest.sh of the repository inside.
# When that cannot be, it switches the machine off; that the machine did what
# it was started for is told by the status file of guest.sh and nothing else.

bb=/bin/busybox

$bb mount -t proc proc /proc
$bb mount -t devtmpfs dev /dev
for ko in /modules/*.ko; do
	[ -e "$ko" ] && $bb insmod "$ko"
done
opt=trans=virtio,version=9p2000.L,msize=512000
$bb mount -t 9p -o ro,cache=loose,$opt host /host &&
	$bb mount -t tmpfs -o size=90% rw /rw &&
	$bb mkdir -p /rw/upper /rw/work /run &&
	$bb mount -t 9p -o cache=none,$opt run /run &&
	$bb tar -C /rw/upper -xf /run/hot.tar && # see hot.sh
	$bb mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work root /new &&
	$bb mount --move /dev /new/dev &&
	$bb mount --move /proc /new/proc &&
	$bb mkdir -p /new/mnt/r3map-run &&
	$bb mount --move /run /new/mnt/r3map-run &&
	exec $bb switch_root /new /bin/bash "$($bb cat /new/mnt/r3map-run/guest)"
# only by exec does the kernel, too, see the new root: it calls modprobe there
$bb poweroff -f
