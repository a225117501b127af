#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1 6.12 7.2:1
#
# This test will read and write with RWF_NOWAIT, by a call and by io_uring: served where
# there is room, EAGAIN at once where the queue is full or the device is parked.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program nowait peer jq

# expect_nowait WORD: what all four ways come back with
expect_nowait()
{
	local op how is
	for op in read write; do
		for how in call ring; do
			is=$(nowait "$DEV" $op $how)
			[ "$is" = "$1" ] || fail "$op by $how: $is, not $1"
		done
	done
}
export -f expect_nowait fail

device_mount --park 1h mem:8M
expect_nowait "done"
device_kill
[ "$(device_sysfs state)" = parked ] || fail "not parked"
expect_nowait EAGAIN
[ "$(device_counter would_block)" -ge 4 ] || fail "would_block is not counted"
device_recover mem:8M
expect_nowait "done"
r3map umount "$DEV"

# one slot, and it is taken: the peer answers when it was seen that nobody waits
peer <<'END'
socket c
socket q
map a 4M
c new size=8M depth=1 max_io=64K flags=0x2e
q bind queue=0 area_addr=@a area_size=4M
c start
spawn dd if=$DEV of=/dev/null bs=4096 count=1 iflag=direct status=none
recv q 1
sh set -e; expect_nowait EAGAIN
expect would_block=4 in_flight=1 waiting=0
q complete queue=0 seq=@seq comp=@t0:0:4096
wait 0
serve set -e; expect_nowait "done"
c del
await gone
END
