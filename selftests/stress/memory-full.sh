#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
#
# This test will take nearly all memory of the machine and then write more through the page
# cache above a device than is left: pages can only be had by writing others to the device, and
# all data must be right.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program hog fio
# it would be everybody's memory; the lab's machines have 1 and 2 GiB and nobody else in them
[ "$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)" -lt $((4 << 20)) ] ||
	skip "this machine has more than 4 GiB of memory: somebody may need it"

left=64 size=$(slow 192 96)

# vm NAME...: the sum of these in /proc/vmstat
vm() { awk -v names=" $* " 'index(names, " " $1 " ") { n += $2 } END { print n + 0 }' /proc/vmstat; }

# pages may be dirty until memory is needed, not only until there are many of them
for name in dirty_background_ratio dirty_ratio; do
	cleanup_fn eval "echo $(</proc/sys/vm/$name) >/proc/sys/vm/$name"
done

# short TRANSPORT
short()
{
	local TRANSPORT=$1 hog had stolen ooms
	# a request that is lost is lost for longer, too; one that is slow without memory is not meant
	device_mount --queues 2 --depth 16 --timeout 5m --no-part-scan "mem:${size}M"
	# all the memory that the backend will ever need
	dd if=/dev/zero of="$DEV" bs=1M count="$size" oflag=direct status=none
	mkfifo "$TEST_DIR/had.$1"
	hog $left >"$TEST_DIR/had.$1" &
	hog=$!
	cleanup_fn eval "kill -9 $hog 2>/dev/null || :"
	read -r had <"$TEST_DIR/had.$1" || fail "$1: the memory cannot be taken"
	note "$1: $had MiB are taken, $left MiB were left, $size MiB will be written"
	echo 80 >/proc/sys/vm/dirty_ratio
	echo 60 >/proc/sys/vm/dirty_background_ratio
	stolen=$(vm pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgsteal_proactive)
	ooms=$(vm oom_kill)
	fio_run --filename="$DEV" --size="${size}m" --bs=64k --rw=randwrite --ioengine=psync \
		--verify=crc32c --verify_fatal=1 --verify_dump=0 --end_fsync=1 || fail "$1: see above"
	stolen=$(($(vm pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgsteal_proactive) - stolen))
	note "$1: $((stolen >> 8)) MiB had to be taken back; $(device_counter delayed) messages were delayed"
	kill -0 $hog || fail "$1: the memory was not taken all the time"
	kill -9 $hog
	wait $hog 2>/dev/null || :
	# written once and read once
	[ $stolen -ge $(((size - left) << 8)) ] || fail "$1: memory was not short"
	[ "$(vm oom_kill)" = "$ooms" ] || fail "$1: somebody was killed for memory"
	[ "$(device_counter errors)" = 0 ] || fail "$1: $(device_counter errors) errors"
	device_is live || fail "$1: it is $(device_sysfs state)"
	r3map umount "$DEV"
}

short shared
short inline
