#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:2
#
# This test will write and read back random data by fio, through the page cache and
# past it, by several engines, sizes and queues, with every block checked.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program fio

device_mount --queues 2 --depth 16 mem:32M
size=$(slow 16 6)m
verify=(--filename="$DEV" --verify=crc32c --verify_fatal=1 --verify_dump=0 --size="$size")
fio_run "${verify[@]}" --rw=randwrite --bsrange=512-64k --bs_unaligned=0 --ioengine=sync --direct=1
fio_run "${verify[@]}" --rw=randwrite --bs=4k --ioengine=libaio --iodepth=64 --direct=1
fio_run "${verify[@]}" --rw=randwrite --bsrange=4k-1m --serialize_overlap=1 --ioengine=io_uring --iodepth=16 --direct=1
fio_run "${verify[@]}" --rw=randwrite --bsrange=1k-128k --ioengine=psync --fsync=16
fio_run "${verify[@]}" --rw=write --bs=2m --ioengine=libaio --iodepth=4 --direct=1
fio_run --filename="$DEV" --verify=crc32c --rw=randwrite --bs=4k --ioengine=libaio --iodepth=8 --direct=1 \
	--numjobs=2 --size=4m --offset_increment=8m
r3map umount "$DEV"

# an area that holds one request at a time, and hardly any slots
device_mount --depth 2 --max-io 64K --area 128K mem:8M
fio_run --filename="$DEV" --verify=crc32c --size=4m --rw=randwrite --bsrange=4k-256k --serialize_overlap=1 --ioengine=libaio \
	--iodepth=32 --direct=1
