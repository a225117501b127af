#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12:2 7.2:1
#
# This test will write to all of a managed device of which parts are being pulled and never arrive: who writes
# whole chunks waits for none of them, who writes a part does; then the backend has what was written.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

IMAGE=$TEST_DIR/image WANT=$TEST_DIR/want
head -c 1048576 /dev/urandom >"$IMAGE"
device_mount --managed --no-part-scan --chunk-size 4K --push-interval 0 --timeout 60min \
	"delay:0,read=60min:file:$IMAGE"
on_its_way() { r3map show --map -j "$DEV" | jq -e 'any(.[]; .busy)' >/dev/null; }
wait_until 30 "something is on its way" on_its_way

# a part of one that is on its way, before all others: it waits
at=$(r3map show --map -j "$DEV" | jq 'first(.[] | select(.busy)).offset / 512')
dd if=/dev/zero of="$DEV" bs=512 seek="$at" count=1 oflag=direct conv=notrunc status=none &
part=$!
part_waits() { [ "$(device_counter misses)" = 1 ] && [ "$(device_fact waiting)" = 1 ]; }
wait_until 30 "a write of a part waits" part_waits

head -c 1048576 /dev/urandom >"$WANT"
dd if="$WANT" of="$DEV" bs=4k oflag=direct conv=notrunc status=none
# which let the other one go: it is written now, over that
wait $part || fail "the write of a part failed"
dd if=/dev/zero of="$WANT" bs=512 seek="$at" count=1 conv=notrunc status=none
all_local || fail "all was written, and $(device_fact local) bytes are local"
on_its_way && fail "something is claimed still: $(r3map show --map -j "$DEV")"
[ "$(device_counter fill_bytes)" = 0 ] || fail "$(device_counter fill_bytes) bytes were pulled"
[ "$(device_counter fetches)" = 0 ] || fail "$(device_counter fetches) fetches"
same
r3map sync "$DEV"
r3map umount "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend"
