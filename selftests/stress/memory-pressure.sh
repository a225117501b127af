#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12
#
# This test will write more through the page cache above a device than the writer's
# cgroup has memory: the kernel must write back to go on, and all data must be right.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program mkfs.ext4
cgroup=/sys/fs/cgroup/r3map-pressure
grep -qw memory /sys/fs/cgroup/cgroup.controllers || skip "no memory cgroups here"

truncate -s 128M "$TEST_DIR/file"
device_mount --no-part-scan "file:$TEST_DIR/file"
mkfs.ext4 -q "$DEV"
mkdir "$TEST_DIR/mnt"
mount "$DEV" "$TEST_DIR/mnt"
cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir $cgroup
cleanup_fn rmdir $cgroup
# 6.1 has no cgroup.kill; what a failure leaves in there must not keep the file system busy
empty() { ! grep -q . $cgroup/cgroup.procs; }
cleanup_fn eval "xargs -r kill -9 <$cgroup/cgroup.procs; wait_until 30 '$cgroup is empty' empty"
# the limit that throttles; at the one that kills, a cgroup full of dirty pages is just killed
echo 16M >$cgroup/memory.high
echo 96M >$cgroup/memory.max
(
	echo $BASHPID >$cgroup/cgroup.procs
	for i in 1 2 3; do
		dd if=/dev/urandom bs=256k count="$(slow 96 32)" status=none |
			tee "$TEST_DIR/mnt/$i" | sha256sum >"$TEST_DIR/sum$i"
	done
)
pressed=$(sed -n 's/^high //p' $cgroup/memory.events)
[ "$pressed" -gt 0 ] || fail "the writers never ran into the limit"
sync -f "$TEST_DIR/mnt"
umount "$TEST_DIR/mnt"
e2fsck -fn "$DEV" >/dev/null 2>&1 || fail "fsck"
mount "$DEV" "$TEST_DIR/mnt"
for i in 1 2 3; do
	sha256sum <"$TEST_DIR/mnt/$i" | cmp - "$TEST_DIR/sum$i" || fail "file $i"
done
[ "$(device_counter errors)" = 0 ] || fail "errors"
