#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1 6.12 7.2:1
#
# This test will discard, zero, flush and force to disk, and see that each reaches the
# backend as what it is, and what the data is afterwards.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program jq xfs_io peer

truncate -s 32M "$TEST_DIR/file"
device_mount --no-part-scan "file:$TEST_DIR/file"
[ "$(cat "/sys/block/$NAME/queue/write_cache")" = "write back" ] || fail "write_cache"
[ "$(cat "/sys/block/$NAME/queue/fua")" = 1 ] || fail "fua"
[ "$(cat "/sys/block/$NAME/queue/discard_max_bytes")" != 0 ] || fail "no discard"
dd if=/dev/urandom of="$DEV" bs=1M count=32 oflag=direct status=none
full=$(du -k "$TEST_DIR/file" | cut -f 1)
blkdiscard -f -o 8M -l 8M "$DEV"
[ "$(device_counter discards)" = 1 ] || fail "discards: $(device_counter discards)"
[ $((full - $(du -k "$TEST_DIR/file" | cut -f 1))) = 8192 ] || fail "the file did not get smaller"
cmp -n 8M -i 8M:0 "$DEV" /dev/zero || fail "what was discarded from a file is not zero"
blkdiscard -f -z -o 16M -l 4M "$DEV"
[ "$(device_counter zeroes)" = 1 ] || fail "zeroes: $(device_counter zeroes)"
cmp -n 4M -i 16M:0 "$DEV" /dev/zero || fail "not zero"
# fallocate on a block device: zero the range, with and without giving space back
xfs_io -d -c "fzero -k 20M 1M" "$DEV" 2>/dev/null || xfs_io -d -c "fzero 20M 1M" "$DEV"
xfs_io -d -c "fpunch 21M 1M" "$DEV"
cmp -n 2M -i 20M:0 "$DEV" /dev/zero || fail "not zero after fallocate"
[ "$(device_counter zeroes)" -ge 3 ] || fail "zeroes: $(device_counter zeroes)"
cmp -n 1M -i 22M:0 "$DEV" /dev/zero >/dev/null && fail "zeroed too much"

flushes=$(device_counter flushes)
dd if=/dev/zero of="$DEV" bs=4k count=1 conv=fsync status=none
[ "$(device_counter flushes)" -gt "$flushes" ] || fail "fsync flushed nothing"
r3map umount "$DEV"

# a backend without a cache: flushes end in the kernel
device_mount --no-part-scan mem:8M
[ "$(cat "/sys/block/$NAME/queue/write_cache")" = "write through" ] || fail "mem: has a cache"
dd if=/dev/zero of="$DEV" bs=4k count=1 conv=fsync status=none
[ "$(device_counter flushes)" = 0 ] || fail "a flush where none is needed"
r3map umount "$DEV"

# a flush that fails is told to who asked for it
truncate -s 8M "$TEST_DIR/other"
device_mount --no-part-scan "fault:op=flush:file:$TEST_DIR/other"
expect_fail dd if=/dev/zero of="$DEV" bs=4k count=1 conv=fsync status=none
dd if=/dev/zero of="$DEV" bs=4k count=1 oflag=direct status=none
r3map umount "$DEV"

# what the helper is told: FUA with the data, then the flush that the page cache's sync asks for
peer <<'END'
socket c
socket q
map a 4M
c new size=8M max_io=64K flags=0x2e
q bind queue=0 area_addr=@a area_size=1M
c start
spawn dd if=/dev/zero of=$DEV bs=4096 count=1 oflag=direct,dsync conv=notrunc status=none
recv q 1
check 0 op=write offset=0 length=4096 flags=1
q complete queue=0 seq=@seq comp=@t0:0:4096
recv q 1
check 1 op=flush offset=0 length=0 flags=0 area=0
q complete queue=0 seq=@seq comp=@t1:0:0
wait 0
expect writes=1 flushes=1
spawn blkdiscard -f -o 4096 -l 8192 $DEV
recv q 1
check 2 op=discard offset=4096 length=8192 flags=0 area=0
q complete queue=0 seq=@seq comp=@t2:0:0
wait 0
spawn blkdiscard -f -z -o 4096 -l 8192 $DEV
recv q 1
check 3 op=zeroes offset=4096 length=8192 area=0
q complete queue=0 seq=@seq comp=@t3:0:0
wait 0
expect discards=1 zeroes=1 errors=0
c del
await gone
END
