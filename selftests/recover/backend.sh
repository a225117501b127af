#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:2
#
# This test will have backends that fail, answer by half, hang and go away, and see that
# whoever asked gets an error, nobody else does, and nothing waits for ever.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program nbdkit

# fails OP: reading or writing 64 KiB must fail
fails()
{
	case $1 in
	read) expect_fail dd if="$DEV" of=/dev/null bs=64k count=1 iflag=direct status=none ;;
	write) expect_fail dd if=/dev/zero of="$DEV" bs=64k count=1 oflag=direct status=none ;;
	esac
}

# errors, by their name
device_mount --no-part-scan "fault:op=read,errno=ENOSPC,range=0-64K:mem:8M"
fails read
grep -q 'No space left' "$TEST_DIR/stderr" || fail "dd said: $(cat "$TEST_DIR/stderr")"
dd if="$DEV" of=/dev/null bs=64k skip=1 count=8 iflag=direct status=none
dd if=/dev/zero of="$DEV" bs=64k count=8 oflag=direct status=none
r3map umount "$DEV"

# half of it, and all of it with the answer lost
for mode in short lost; do
	device_mount --no-part-scan "fault:op=read+write,count=2,mode=$mode:mem:8M"
	fails read
	fails write
	dd if="$DEV" of=/dev/null bs=64k count=8 iflag=direct status=none
	[ "$(device_counter errors)" = 2 ] || fail "$mode: $(device_counter errors) errors"
	r3map umount "$DEV"
done

# hangs: the timeout frees the reader, and force frees the device
device_mount --no-part-scan --timeout 300ms "fault:op=read,mode=hang:mem:8M"
fails read
[ "$(device_counter timeouts)" = 1 ] || fail "$(device_counter timeouts) timeouts"
r3map set --timeout 30s "$DEV"
dd if=/dev/zero of="$DEV" bs=64k count=8 oflag=direct status=none
r3map umount --force "$DEV"

# an NBD server that is killed
nbdkit -U "$TEST_DIR/sock" -P "$TEST_DIR/pid" memory 16M
cleanup_fn eval "kill \$(cat $TEST_DIR/pid) 2>/dev/null || :"
wait_until 20 "nbdkit listens" test -S "$TEST_DIR/sock"
device_mount --no-part-scan --park 1h "nbd+unix:///?socket=$TEST_DIR/sock"
dd if=/dev/urandom of="$DEV" bs=64k count=32 oflag=direct status=none
r3map set --timeout 3s "$DEV"
kill -9 "$(cat "$TEST_DIR/pid")"
timeout 60 dd if="$DEV" of=/dev/null bs=64k count=1 iflag=direct status=none 2>/dev/null &&
	fail "a read without a server succeeded"
timeout 60 r3map umount --force "$DEV"
device_gone "$DEV" || fail "it is still there"
