#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:2
#
# This test will delete devices that are idle, open, mounted and under I/O, with
# and without force; what is in use is spared unless force is given, and nothing hangs.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program jq mkfs.ext4 fio

# idle: no force needed, and the helper ends well
device_mount mem:16M
helper=$(device_sysfs helper_pid)
unused() { [ "$(device_fact openers)" = 0 ]; }
wait_until 20 "partitions have been looked for" unused
r3map umount "$DEV"
device_gone "$DEV" || fail "umount did not wait"
wait_until 20 "the helper has ended" test ! -e "/proc/$helper"

# open: refused, and the device goes on; with force its reader gets errors
device_mount mem:16M
exec 9<>"$DEV"
expect_fail r3map umount --json --timeout 1s "$DEV" 99 >"$TEST_DIR/told"
grep -q . "$TEST_DIR/stderr" || fail "refused without a word"
jq -e --arg dev "$DEV" 'map([.device, .removed]) == [[$dev, false], ["/dev/r3map99", false]] and
	(.[0].error | test("in use")) and (.[1].error | test("no device"))' "$TEST_DIR/told" >/dev/null ||
	fail "as JSON: $(cat "$TEST_DIR/told")"
[ "$(device_sysfs state)" = live ] || fail "state after a refusal"
dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none
expect_fail rmmod r3map
device_counter reads >/dev/null
r3map umount -jf "$DEV" >"$TEST_DIR/told"
jq -e --arg dev "$DEV" '. == [{device: $dev, removed: true}]' "$TEST_DIR/told" >/dev/null ||
	fail "as JSON: $(cat "$TEST_DIR/told")"
device_gone "$DEV" || fail "a forced umount did not wait"
expect_fail dd if=/dev/stdin of=/dev/null bs=4k count=1 status=none <&9
exec 9>&-

# under I/O
test_busy() { [ "$(device_counter reads)" -gt 50 ]; }
device_mount --queues 2 mem:32M
fio_run --filename="$DEV" --rw=randrw --bs=4k --size=32m --ioengine=libaio --iodepth=16 \
	--direct=1 --time_based --runtime=3600 &
wait_until 30 "I/O is under way" test_busy
expect_fail r3map umount "$DEV"
r3map umount --force "$DEV"
device_gone "$DEV" || fail "a forced umount under I/O did not wait"
wait $! && fail "fio saw no error"

# mounted, with dirty pages
device_mount mem:32M
mkfs.ext4 -q "$DEV"
mkdir "$TEST_DIR/mnt"
mount "$DEV" "$TEST_DIR/mnt"
dd if=/dev/zero of="$TEST_DIR/mnt/file" bs=64k count=64 status=none
expect_fail r3map umount "$DEV"
sync -f "$TEST_DIR/mnt"
dd if=/dev/zero of="$TEST_DIR/mnt/file" bs=64k count=64 status=none
r3map umount --force "$DEV"
umount "$TEST_DIR/mnt"
device_gone "$DEV" || fail "it is still there"
module_unload
module_load
