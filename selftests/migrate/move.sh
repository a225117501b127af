#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:2
#
# This test will move a region while it is written to: what was written before, during and last is
# where it has moved to; nobody is served there before; and writes are refused where it was.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

# write_at DEVICE BLOCK: 64 KiB of random bytes, there and in $WANT
write_at()
{
	head -c 65536 /dev/urandom >"$TEST_DIR/block"
	dd if="$TEST_DIR/block" of="$1" bs=64K seek="$2" oflag=direct conv=notrunc status=none
	dd if="$TEST_DIR/block" of="$WANT" bs=64K seek="$2" conv=notrunc status=none
}

WANT=$TEST_DIR/want
head -c 24M /dev/urandom >"$TEST_DIR/image"
fallocate -p -o 4M -l 4M "$TEST_DIR/image"
cp "$TEST_DIR/image" "$WANT"

seed "file:$TEST_DIR/image"
write_at "$SOURCE" 3
leech
of_is "$TARGET" .hold all || fail "a leecher's device is not held"
# who reads it waits
dd if="$TARGET" of="$TEST_DIR/early" bs=64K count=1 iflag=direct status=none &
early=$!
of_await "$TARGET" .held 1
of_await "$TARGET" .migration.phase following
of_await "$SOURCE" .epochs 1
# a hole becomes data, data becomes other data, and zeroes
write_at "$SOURCE" 70
write_at "$SOURCE" 0
blkdiscard -z -o 1M -l 64K "$SOURCE"
dd if=/dev/zero of="$WANT" bs=64K seek=16 count=1 conv=notrunc status=none
round=$(of "$TARGET" .migration.round)
wait_until 60 "another round" eval '[ "$(of "$TARGET" .migration.round)" -gt $(('"$round"' + 1)) ]'
kill -0 $early || fail "somebody was served before the region was here"
write_at "$SOURCE" 100
write_at "$SOURCE" 71
# while somebody has it open, the seeder stays
exec 9<"$SOURCE"
r3map finalize "$TARGET" | tee "$TEST_DIR/told"
grep -q 'stopped for .* ms' "$TEST_DIR/told" || fail "finalize does not tell how long it was stopped"
wait $early || fail "who waited was not served"
cmp -n 65536 "$TEST_DIR/early" "$WANT" || fail "who waited was served something else"
expect_fail dd if=/dev/zero of="$SOURCE" bs=4K count=1 oflag=direct status=none
write_at "$TARGET" 5
cmp "$TARGET" "$WANT" || fail "it is not what it was"
of_await "$TARGET" .migration.phase complete
[ "$(of "$SOURCE" .hold)" = refused ] || fail "the seeder's device does not refuse"
r3map show "$SOURCE" | grep -q 'another host has the region' || fail "show does not say why writes fail"
# both ends count the bytes of NBD and of the control messages; the seeder also those that began a connection
sent=$(of "$SOURCE" .sent)
received=$(of "$TARGET" .migration.received)
((received > 20971520 && received <= sent && sent <= received + 65536)) ||
	fail "$sent bytes sent, $received received"
exec 9<&-
[ "$(of "$TARGET" '.migration.downtime.ns')" -gt 0 ] || fail "no downtime is told"
# the seeder is not needed any more, and goes by itself
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
write_at "$TARGET" 6
cmp "$TARGET" "$WANT" || fail "it is not what it was, without the seeder"
r3map umount "$TARGET"
