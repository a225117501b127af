#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12:2
# timeout: 600
#
# This test will mount with the kernel's NBD client as the device, direct and managed, and end that in
# every way: unmounted, by a signal, while it is in use, with a backend that fails, by somebody else, by
# force, and after the helper was killed. Nothing that was written is lost but by force.

export R3MAP_VIA=nbd
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

image 4194816
backend="file:$IMAGE"
helper() { device_fact helper_pid; }
# says TEXT: did the last expect_fail say it?
says() { grep -q "$1" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"; }

# direct: what is written is at the backend
device_mount --queues 2 "$backend"
[ "$(device_fact connections)" = 2 ] || fail "connections"
[ "$(blockdev --getsize64 "$DEV")" = 4194816 ] || fail "size"
same
put 100 77
same
r3map sync "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend after sync"
expect_fail r3map mount --via nbd --index "${DEV#/dev/nbd}" mem:1M
says "give another --index"
r3map umount "$DEV"
device_gone "$DEV" || fail "it is not gone"
expect_fail r3map umount "$DEV"
says "is no device of r3map"

# read-only
device_mount --read-only "$backend"
[ "$(blockdev --getro "$DEV")" = 1 ] || fail "it can be written"
same
r3map umount "$DEV"

# fsync means what --flush says; sync and the end mean all of it
device_mount --managed --push-interval 0 "$backend"
put 5 300
cmp -s "$IMAGE" "$WANT" && fail "the backend was written to already"
sync "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend after fsync"
r3map umount "$DEV"
device_mount --managed --push-interval 0 --flush local "$backend"
put 700 1
sync "$DEV"
cmp -s "$IMAGE" "$WANT" && fail "fsync has pushed"
r3map sync "$DEV"
is_clean || fail "after sync $(device_fact dirty) bytes are dirty"
cmp "$IMAGE" "$WANT" || fail "the backend after sync"
put 900 9

# in use: by a descriptor, by a mapping; served on, and released
pid=$(helper)
exec 4<"$DEV"
expect_fail r3map umount "$DEV"
says "in use: open in process"
kill -HUP "$pid"	# of two others in a row the second is force
signal_told() { grep -q "cannot unmount $DEV" "$TEST_DIR/helper.log"; }
wait_until 30 "the signal is refused" signal_told
same
exec 4<&-
mkfifo "$TEST_DIR/go"
mapped "$DEV" hold <"$TEST_DIR/go" >"$TEST_DIR/mapped" 2>&1 &
mapped=$!
exec 5>"$TEST_DIR/go"
wait_until 30 "it is mapped" grep -q mapped "$TEST_DIR/mapped"
expect_fail r3map umount "$DEV"
says "mapped by process"
echo >&5
wait $mapped || fail "mapped: $(cat "$TEST_DIR/mapped")"
exec 5>&-
# SIGTERM pushes what is dirty
is_clean && fail "nothing is dirty"
kill -TERM "$pid"
wait_until 30 "the helper has ended" process_ended "$pid"
device_gone "$DEV" || fail "it is not gone"
cmp "$IMAGE" "$WANT" || fail "the backend after SIGTERM"

# a backend that fails: nothing is lost, and the device stays
broken=$TEST_DIR/broken
device_mount --managed --push-interval 0 "fault:op=write+zero+flush,file=$broken:$backend"
put 40 400
touch "$broken"
expect_fail r3map sync "$DEV"
says "cannot bring"
expect_fail r3map umount "$DEV"
says "without losing what was written"
same
rm "$broken"
r3map umount "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend after an unmount that had failed"

# by somebody else: the helper brings what it has to the backend, and ends
device_mount --managed --push-interval 0 "$backend"
put 1000 100
pid=$(helper)
nbd-client -d "$DEV" >/dev/null
wait_until 30 "the helper has ended" process_ended "$pid"
cmp "$IMAGE" "$WANT" || fail "the backend after another's disconnect"

# the helper is killed: what is asked fails, and umount cleans up
device_mount --managed --push-interval 0 "$backend"
kill -9 "$(helper)"
reads_fail() { ! dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null; }
wait_until 30 "reads fail" reads_fail
expect_fail r3map show "$DEV"
says "is gone: r3map umount"
r3map umount "$DEV"
device_gone "$DEV" || fail "it is not gone"

# by force, which may lose
device_mount --managed --push-interval 0 "fault:file=$broken:$backend"
put 0 8
touch "$broken"
r3map umount --force "$DEV"
device_gone "$DEV" || fail "it is not gone"
rm "$broken"
cp "$IMAGE" "$WANT"

# a command
# shellcheck disable=SC2016 # for the shell of the command
r3map mount --via nbd --managed --run 'dd if=/dev/zero of=$R3MAP_DEVICE bs=64k count=2 status=none; exit 7' \
	"$backend" && fail "the status of the command"
[ $? = 7 ] || fail "the status of the command"
cmp -n 131072 "$IMAGE" /dev/zero || fail "the backend after the command"

# a server that takes less at once than the kernel sends
r3map serve --unix "$TEST_DIR/sock" --max-payload 4K "$backend" >"$TEST_DIR/uri" 2>"$TEST_DIR/log" &
server=$!
cleanup_fn eval "kill $server 2>/dev/null; wait $server"
wait_until 20 "the server listens" test -s "$TEST_DIR/uri"
cp "$IMAGE" "$WANT"
device_mount "$(cat "$TEST_DIR/uri")"
same
put 40 200
same
r3map umount "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend behind a server that takes little"
device_mount --managed --chunk-size 4K "$(cat "$TEST_DIR/uri")"
put 640 240
same
r3map umount "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend behind a server that takes little, managed"

# what makes no sense
expect_fail r3map mount --via nbd --recover /dev/r3map0 "$backend"
says "is for r3map's own driver"
expect_fail r3map mount --via nbd --managed --queues 2 "$backend"
says "queues with --managed is for"
expect_fail r3map sync /dev/nbd1
says "is no device of r3map"
# newer kernels load their client by themselves, for others it is told how
rmmod nbd
if modinfo -F alias nbd | grep -q family-nbd; then
	device_mount mem:1M
	cmp -n 1048576 "$DEV" /dev/zero || fail "a client that was not loaded"
	r3map umount "$DEV"
else
	expect_fail r3map mount --via nbd mem:1M
	says "modprobe nbd"
fi
