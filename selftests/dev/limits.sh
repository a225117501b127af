#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12 7.2:2
#
# This test will make devices of every block size and with other limits, find each in
# /sys/block/*/queue, and see that no request is larger or less aligned than was said.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program jq nbdkit

# limit NAME WANT: what the block layer says
limit()
{
	local is
	is=$(cat "/sys/block/$NAME/queue/$1")
	[ "$is" = "$2" ] || fail "queue/$1 is $is, not $2"
}

for block in 512 1024 2048 4096; do
	device_mount --block-size $block --physical-block-size 4096 mem:8M
	limit logical_block_size $block
	limit physical_block_size 4096
	limit minimum_io_size 4096
	limit optimal_io_size 0
	[ "$(blockdev --getss "$DEV")" = $block ] || fail "blockdev --getss"
	dd if=/dev/urandom of="$TEST_DIR/data" bs=$block count=33 status=none
	dd if="$TEST_DIR/data" of="$DEV" bs=$block seek=7 oflag=direct status=none
	dd if="$DEV" bs=$block skip=7 count=33 iflag=direct status=none | cmp - "$TEST_DIR/data"
	[ $block = 512 ] || expect_fail dd if="$DEV" of=/dev/null bs=512 count=1 iflag=direct status=none
	r3map umount "$DEV"
done

device_mount --physical-block-size 16384 --io-min 65536 --io-opt 1M --max-io 256K \
	--max-discard 4M --depth 7 --queues 3 --no-part-scan mem:64M
limit physical_block_size 16384
limit minimum_io_size 65536
limit optimal_io_size 1048576
limit max_hw_sectors_kb 256
limit max_sectors_kb 256
limit discard_max_hw_bytes 4194304
limit discard_granularity 16384
limit write_zeroes_max_bytes 4194304
limit rotational 0
limit iostats 1
[ "$(device_sysfs depth)" = 7 ] || fail "depth"
[ "$(device_sysfs queues)" = 3 ] || fail "queues"
before=$(device_counter reads)
dd if="$DEV" of=/dev/null bs=4M count=1 iflag=direct status=none
requests=$(($(device_counter reads) - before))
# at least: the kernel's own bios need not be multiples of 256 KiB
[ $requests -ge 16 ] || fail "4 MiB are $requests requests: they are larger than 256 KiB"
blkdiscard -f "$DEV"
[ "$(device_counter discards)" = 16 ] || fail "64 MiB are not 16 discards of 4 MiB"
r3map umount "$DEV"

# what a server says of its blocks is used as far as a device can: whole pages, physical blocks
servers=0
# policy KEY=VALUE...: nbdkit's memory with these limits; sets NBD
policy()
{
	local sock=$TEST_DIR/$((++servers)).sock
	NBD="nbd+unix:///?socket=$sock"
	nbdkit -U "$sock" -P "$sock.pid" --filter=blocksize-policy memory 16M "$@" ||
		fail "nbdkit with $*"
	cleanup_fn eval "kill $(cat "$sock.pid") || :"
}
policy blocksize-minimum=512 blocksize-preferred=64K blocksize-maximum=66048 blocksize-error-policy=error
device_mount "$NBD"
limit max_hw_sectors_kb 64
limit optimal_io_size 65536
dd if=/dev/urandom of="$TEST_DIR/data" bs=1M count=4 status=none
dd if="$TEST_DIR/data" of="$DEV" bs=1M oflag=direct status=none
dd if="$DEV" bs=1M count=4 iflag=direct status=none | cmp - "$TEST_DIR/data"
r3map umount "$DEV"
policy blocksize-minimum=512 blocksize-preferred=8K blocksize-maximum=64K
device_mount --physical-block-size 16384 "$NBD"
limit optimal_io_size 131072
limit read_ahead_kb 256
r3map umount "$DEV"
policy blocksize-minimum=512 blocksize-preferred=512 blocksize-maximum=2048
expect_fail r3map mount --daemon "$NBD"
grep -q "no more than 2048 bytes at once, and a device needs 4096" "$TEST_DIR/stderr" ||
	fail "it says: $(cat "$TEST_DIR/stderr")"

# area BYTES BACKEND: that much is pinned for a queue if nobody says how much
area()
{
	device_mount --queues 1 "$2"
	[ "$(device_fact area)" = "$1" ] || fail "$2: the area has $(device_fact area) bytes, not $1"
	r3map umount "$DEV"
}
policy blocksize-minimum=512
area $((2 << 20)) mem:8M
area $((2 << 20)) "$NBD"
area $((4 << 20)) "delay:1ms:$NBD"

TRANSPORT=inline device_mount mem:8M
limit max_hw_sectors_kb 128
r3map umount "$DEV"
TRANSPORT=inline device_mount --max-io 256K mem:8M
limit max_hw_sectors_kb 256
dd if=/dev/urandom of="$TEST_DIR/data" bs=1M count=4 status=none
dd if="$TEST_DIR/data" of="$DEV" bs=1M oflag=direct status=none
dd if="$DEV" bs=1M count=4 iflag=direct status=none | cmp - "$TEST_DIR/data"
TRANSPORT=inline expect_fail r3map mount --daemon --transport inline --max-io 512K mem:8M
