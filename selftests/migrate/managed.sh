#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12
#
# This test will move the region of a managed mount, of which only a part is local and most of what was written is not at
# its backend: a leecher gets the one from the store and the rest from the backend, and in the end the backend has what the
# region was when it went; also if the helper is killed before. Then one that is pulled, pushed and written to all the time: no number is lost.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program nbdinfo sequence

# write_at DEVICE SIZE BLOCK: random bytes, there and in $WANT
write_at()
{
	head -c "$2" /dev/urandom >"$TEST_DIR/block"
	dd if="$TEST_DIR/block" of="$1" bs="$2" seek="$3" oflag=direct conv=notrunc status=none
	dd if="$TEST_DIR/block" of="$WANT" bs="$2" seek="$3" conv=notrunc status=none
}

# local_is 0|1 OFFSET...: are these bytes told to be local, or not to be?
local_is()
{
	local want=$1 at
	shift
	for at; do
		nbdinfo --map=r3map:local "$URI" | awk -v at="$at" -v want="$want" \
			'at >= $1 && at < $1 + $2 { found = $3 == want } END { exit !found }' ||
			fail "byte $at: local is not $want"
	done
}

WANT=$TEST_DIR/want
head -c 12M /dev/urandom >"$TEST_DIR/image"
fallocate -p -o 4M -l 2M "$TEST_DIR/image"
# a chunk that is not whole, at the end
truncate -s $((12 * 1048576 + 1536)) "$TEST_DIR/image"
cp "$TEST_DIR/image" "$WANT"

seed "file:$TEST_DIR/image" --managed --chunk-size 4K --pull-workers 0 --push-interval 0
local_is 0 2867200 3072000 1048576 4587520 8192000
write_at "$SOURCE" 4096 700
write_at "$SOURCE" 512 6000
write_at "$SOURCE" 65536 70
blkdiscard -z -o 1M -l 64K "$SOURCE"
dd if=/dev/zero of="$WANT" bs=64K seek=16 count=1 conv=notrunc status=none
dd if="$SOURCE" of=/dev/null bs=4K skip=2000 count=1 iflag=direct status=none
local_is 1 2867200 3072000 1048576 4587520 8192000
local_is 0 2871296 3076096 1114112 5242880 8196096
# whoever reads it by NBD has the device's bytes, in requests that are of both, and of holes what is in them
nbdcopy "$URI" "$TEST_DIR/copy"
cmp "$TEST_DIR/copy" "$WANT" || fail "another client reads other bytes"
local_is 0 2871296 3076096 1114112 5242880 8196096
! cmp -s "$TEST_DIR/image" "$WANT" || fail "it was pushed already"

# the next helper finds the store as it was
kill -KILL "$(of "$SOURCE" .helper_pid)"
of_await "$SOURCE" .state PARKED
r3map seed --daemon --log "$TEST_DIR/seed.log" --unix "$TEST_DIR/seed.sock" --recover "$SOURCE" --pull-workers 0 \
	--push-interval 0 "file:$TEST_DIR/image" >/dev/null
local_is 1 2867200 3072000 1048576 4587520 8192000
nbdcopy "$URI" "$TEST_DIR/copy"
cmp "$TEST_DIR/copy" "$WANT" || fail "after a takeover another client reads other bytes"

leech
of_await "$TARGET" .migration.phase following
write_at "$SOURCE" 4096 2500
write_at "$SOURCE" 512 9000
write_at "$SOURCE" 1048576 5
write_at "$SOURCE" 512 24576
exec 9<"$SOURCE"
r3map finalize "$TARGET"
cp "$WANT" "$TEST_DIR/went"
write_at "$TARGET" 4096 7
cmp "$TARGET" "$WANT" || fail "it is not what it was"
of_await "$TARGET" .migration.phase complete
expect_fail dd if=/dev/zero of="$SOURCE" bs=4K count=1 oflag=direct status=none
exec 9<&-
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
cmp "$TEST_DIR/image" "$TEST_DIR/went" || fail "the backend has not what the region was"
cmp "$TARGET" "$WANT" || fail "it is not what it was, without the seeder"
r3map umount "$TARGET"

# a store that outlives the mount, and a backend that is far: pull, push and leecher meet everywhere
for way in direct mmap; do
	rm -f "$state" "$TEST_DIR/store"*
	truncate -s 20M "$TEST_DIR/region"
	seed "delay:1ms:file:$TEST_DIR/region" --managed --store "$TEST_DIR/store" --pull-rate 10M --push-interval 10ms --index 0
	writer $way /dev/r3map0 /dev/r3map1
	leech --index 1
	of_await "$TARGET" .migration.phase following
	writer_goes_on
	r3map finalize "$TARGET"
	of_await "$TARGET" .migration.phase complete
	writer_goes_on
	wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
	writer_ends "$TARGET"
	r3map umount "$TARGET"
done
