#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will let the kernel's own NBD client use what r3map serve offers: over two
# connections, a file system made, filled and checked, random writes verified, and the
# same bytes found in the served file afterwards.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program nbd-client fio mkfs.ext4 e2fsck
requires_filesystem ext4
# 7.2: unix sockets below its command lock; the report would end lockdep for all tests behind this
[ ! -e /proc/lockdep_stats ] || skip "lockdep reports a cycle within the kernel's own nbd driver"
[ -d /sys/module/nbd ] || modprobe -q nbd nbds_max=1 2>/dev/null || skip "this kernel has no nbd"
nbd=/dev/nbd0
[ -b $nbd ] || skip "no $nbd"

# kernel_attach [OPTION...]: $nbd of the server's only export
kernel_attach()
{
	nbd-client -b 4096 "$@" -unix "$TEST_DIR/sock" $nbd >"$TEST_DIR/nbd-client.log" 2>&1 || {
		cat "$TEST_DIR/nbd-client.log"
		fail "nbd-client $*"
	}
}

truncate -s 96M "$TEST_DIR/file"
r3map serve --unix "$TEST_DIR/sock" "file:$TEST_DIR/file" >"$TEST_DIR/uri" 2>"$TEST_DIR/log" &
server=$!
cleanup_fn eval "kill $server 2>/dev/null; wait $server"
cleanup_fn eval "nbd-client -d $nbd >/dev/null 2>&1 || :"
wait_until 20 "the server listens" test -s "$TEST_DIR/uri"

kernel_attach -connections 2
mkfs.ext4 -q $nbd
mkdir "$TEST_DIR/mnt"
mount $nbd "$TEST_DIR/mnt"
cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
for i in 1 2 3 4; do
	head -c "$(slow 3 1)M" /dev/urandom >"$TEST_DIR/mnt/$i"
done
(cd "$TEST_DIR/mnt" && sha256sum -- *[0-9]) >"$TEST_DIR/sums"
rm "$TEST_DIR/mnt/4"
umount "$TEST_DIR/mnt"
e2fsck -fn $nbd >/dev/null 2>&1 || fail "fsck of $nbd"
nbd-client -d $nbd >/dev/null

# what the server holds is what the kernel wrote
e2fsck -fn "$TEST_DIR/file" >/dev/null 2>&1 || fail "fsck of the served file"
kernel_attach
mount -o ro $nbd "$TEST_DIR/mnt"
(cd "$TEST_DIR/mnt" && grep -v ' 4$' "$TEST_DIR/sums" | sha256sum --quiet -c) || fail "the files"
umount "$TEST_DIR/mnt"

fio_run --filename=$nbd --verify=crc32c --verify_fatal=1 --rw=randwrite --bsrange=4k-128k \
	--serialize_overlap=1 --size="$(slow 24 6)m" --ioengine=libaio --iodepth=16 --direct=1
blkdiscard -o 0 -l 1M $nbd
cmp -n $((1 << 20)) $nbd /dev/zero || fail "discarded, but not zeroes"
nbd-client -d $nbd >/dev/null
kill -TERM $server
wait $server || fail "the server's end"
[ ! -s "$TEST_DIR/log" ] || { cat "$TEST_DIR/log"; fail "the server complained"; }
