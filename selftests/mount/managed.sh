#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will mount a file as a managed device: reads fetch what is missing and find the rest in
# the store, writes stay there until they are pushed, and what is pushed is what was written.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

image 9999872
size=9999872
# nothing in the background: only what is asked for is there
device_mount --managed --chunk-size 64K --pull-workers 0 --push-interval 0 --no-part-scan "file:$IMAGE"
[ "$(device_fact chunk)" = 65536 ] || fail "chunk"
[ "$(device_fact size)" = $size ] || fail "size"
[ "$(device_fact local)" = 0 ] || fail "something is local from the start"
dd if="$DEV" of="$TEST_DIR/got" bs=4096 skip=33 count=1 iflag=direct status=none
dd if="$IMAGE" bs=4096 skip=33 count=1 status=none | cmp - "$TEST_DIR/got"
[ "$(device_fact local)" = 65536 ] || fail "one read made $(device_fact local) bytes local"
[ "$(device_counter fetches)" = 1 ] || fail "fetches"
[ "$(device_counter misses)" = 1 ] || fail "misses"
# drawn: the driver's own devices only
if [ "$VIA" = r3map ]; then
	[ "$(r3map show --map -j "$DEV" | jq -c '[.[] | select(.local) | [.offset, .length]]')" = "[[131072,65536]]" ] ||
		fail "the map: $(r3map show --map -j "$DEV")"
	[ "$(r3map show --map "$DEV" | head -n 1)" = "  [..--$(printf '%.0s.' {1..60})]" ] ||
		fail "the picture: $(r3map show --map "$DEV")"
fi
# its size is that of its store
if [ "$VIA" = r3map ]; then
	expect_fail r3map resize "$DEV" 1M
	grep -q "a managed device cannot be resized" "$TEST_DIR/stderr" || fail "resize says: $(cat "$TEST_DIR/stderr")"
	[ "$(blockdev --getsize64 "$DEV")" = $size ] || fail "the size after a resize that was refused"
fi
# the same chunk again, without the helper
dd if="$DEV" of=/dev/null bs=4096 skip=34 count=8 iflag=direct status=none
[ "$(device_counter hits)" = 8 ] || fail "hits"
[ "$(device_counter fetches)" = 1 ] || fail "a hit was fetched"
same
all_local || fail "all was read, and $(device_fact local) of $size is local"
# one byte row in a chunk, a chunk as a whole, across chunks, the tail
put 5 1
put 256 128
put 1000 300
put $((size / 512 - 3)) 3
same
[ "$(device_fact dirty)" != 0 ] || fail "nothing is dirty"
cmp -s "$IMAGE" "$WANT" && fail "the backend was written to already"
r3map sync "$DEV"
is_clean || fail "after sync $(device_fact dirty) bytes are dirty"
cmp "$IMAGE" "$WANT" || fail "the backend after sync"
# zeroes, and a discard
fallocate -z -o 131072 -l 200704 "$DEV"
dd if=/dev/zero of="$WANT" bs=4096 seek=32 count=49 conv=notrunc status=none
same
r3map sync "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend after zeroes"
put 77 7
r3map umount "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend after umount"

# writes before anything is there: whole chunks are not fetched, parts of one are
device_mount --managed --chunk-size 64K --pull-workers 0 --push-interval 0 --no-part-scan "file:$IMAGE"
put 0 256
[ "$(device_counter fetches)" = 0 ] || fail "whole chunks were fetched to be overwritten"
put 300 1
[ "$(device_counter fetches)" = 1 ] || fail "part of a chunk: $(device_counter fetches) fetches"
r3map umount "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend after writes to what was not there"

# neighbours are written back together: 256 chunks are no more than four writes
device_mount --managed --chunk-size 4K --pull-workers 0 --push-interval 0 --no-part-scan "file:$IMAGE"
put 2048 2048
r3map sync "$DEV"
pushes=$(r3map show --latency -j "$DEV" | jq .pushes.count)
((pushes >= 1 && pushes <= 4)) || fail "1 MiB in chunks of 4 KiB was written back by $pushes writes"
cmp "$IMAGE" "$WANT" || fail "the backend after writes next to each other"
r3map umount "$DEV"

# all of it in the background
device_mount --managed --chunk-size 64K --push-interval 100ms "file:$IMAGE"
wait_until 30 "everything is local" all_local
put 4000 40
same
if [ "$VIA" = r3map ]; then	# it ends when all is local and nothing is dirty
	timeout 60 r3map show --watch "$DEV" >"$TEST_DIR/watched"
	tail -n 1 "$TEST_DIR/watched" | grep -q '^100% ' || fail "watch: $(tail -n 1 "$TEST_DIR/watched")"
	is_clean || fail "$(device_fact dirty) dirty"
fi
wait_until 30 "what was written is pushed" is_clean
cmp "$IMAGE" "$WANT" || fail "the backend after a push"
[ "$(device_counter fill_bytes)" -gt 0 ] || fail "nothing was pulled"
r3map umount "$DEV"
cmp "$IMAGE" "$WANT"

# two mounts of one export: each has a store of its own, what one has brought there the other fetches
r3map serve --unix "$TEST_DIR/sock" "file:$IMAGE" >"$TEST_DIR/uri" 2>"$TEST_DIR/log" &
server=$!
cleanup_fn eval "kill $server 2>/dev/null; wait $server || :"
wait_until 20 "the server listens" test -s "$TEST_DIR/uri"
device_mount --managed --chunk-size 64K --no-part-scan --pull-workers 0 --push-interval 0 "$(cat "$TEST_DIR/uri")"
first=$DEV
device_mount --managed --chunk-size 64K --no-part-scan --pull-workers 0 --push-interval 0 "$(cat "$TEST_DIR/uri")"
second=$DEV
DEV=$first
put 100 200
put 9000 60
cp "$WANT" "$WANT.first"
r3map sync "$DEV"
DEV=$second
same
put 5000 300
r3map sync "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend of two mounts"
cmp -n 1048576 "$first" "$WANT.first" || fail "the first of two mounts"
r3map umount "$second"
r3map umount "$first"
cmp "$IMAGE" "$WANT" || fail "the backend after two mounts"
