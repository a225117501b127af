#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will let the kernel's own NBD client use what r3map serve offers: over two
# connections, a file system made, filled and checked, random writes verified, and the
# same bytes found in the served file afterwards.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/kernel-nbd.inc.sh"

truncate -s 96M "$TEST_DIR/file"
r3map serve --unix "$TEST_DIR/sock" "file:$TEST_DIR/file" >"$TEST_DIR/uri" 2>"$TEST_DIR/log" &
server=$!
cleanup_fn eval "kill $server 2>/dev/null; wait $server"
wait_until 20 "the server listens" test -s "$TEST_DIR/uri"

kernel_attach -connections 2 -unix "$TEST_DIR/sock" $nbd
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
kernel_detach

# what the server holds is what the kernel wrote
e2fsck -fn "$TEST_DIR/file" >/dev/null 2>&1 || fail "fsck of the served file"
kernel_attach -unix "$TEST_DIR/sock" $nbd
mount -o ro $nbd "$TEST_DIR/mnt"
(cd "$TEST_DIR/mnt" && grep -v ' 4$' "$TEST_DIR/sums" | sha256sum --quiet -c) || fail "the files"
umount "$TEST_DIR/mnt"

fio_run --filename=$nbd --verify=crc32c --verify_fatal=1 --rw=randwrite --bsrange=4k-128k \
	--serialize_overlap=1 --size="$(slow 24 6)m" --ioengine=libaio --iodepth=16 --direct=1
blkdiscard -o 0 -l 1M $nbd
cmp -n $((1 << 20)) $nbd /dev/zero || fail "discarded, but not zeroes"
kernel_detach
kill -TERM $server
wait $server || fail "the server's end"
[ ! -s "$TEST_DIR/log" ] || { cat "$TEST_DIR/log"; fail "the server complained"; }
