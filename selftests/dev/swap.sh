#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
#
# This test will swap to a device while a program needs more memory than its cgroup
# has, and see the program find all of it again.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program pressure mkswap swapon jq
cgroup=/sys/fs/cgroup/r3map-test
grep -qw memory /sys/fs/cgroup/cgroup.controllers || skip "no memory cgroups here"

device_mount mem:128M
mkswap -q "$DEV" >/dev/null
swapon -d "$DEV"
cleanup_fn swapoff "$DEV"
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir $cgroup
cleanup_fn rmdir $cgroup
# a limit that makes the program wait; at a hard one it would be killed when swapping is slow
echo 24M >$cgroup/memory.high
writes=$(device_counter writes)
(
	echo $BASHPID >$cgroup/cgroup.procs
	exec pressure "$(slow 64 40)" "$(slow 3 1)"
)
[ $(($(device_counter write_bytes) >> 20)) -ge 8 ] || fail "nothing was swapped: $writes writes"
[ "$(device_counter errors)" = 0 ] || fail "errors"
