#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will write through r3map serve to all kinds of backends, from several connections
# at once, and check every byte; and compare what it tells of holes with what other servers
# tell of the same file.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program nbdinfo nbdkit qemu-nbd fio python3 cmp
ktap_plan 6

uri()
{
	echo "nbd+unix:///$1?socket=$SOCKET"
}

# fio_verify URI JOBS: random reads, writes and trims of sizes, each verified
fio_verify()
{
	fio --name=verify --ioengine=nbd --uri="$1" --rw=randrw --bsrange=512-128k --bs_unaligned \
		--iodepth=16 --serialize_overlap=1 --size=3m --io_size=6m --numjobs="$2" \
		--offset_increment=3m --verify=crc32c --verify_fatal=1 --verify_state_save=0 --group_reporting \
		--minimal >"$TEST_DIR/fio" 2>&1 || { cat "$TEST_DIR/fio"; return 1; }
}

verified()
{
	fio --enghelp 2>&1 | grep -qw nbd || { ktap_skip "fio's verify" "fio has no nbd engine"; return; }
	image 16M
	serve_start --threads 3 "file=file:$IMAGE" mem=mem:16M "shared=mem:16M?name=r3map-test-$$" \
		"checked=delay:0s,jitter=1ms:file:$IMAGE.2"
	ktap_test "fio's verify on a file" fio_verify "$(uri file)" 4
	ktap_test "fio's verify on memory" fio_verify "$(uri mem)" 2
	ktap_test "fio's verify on named memory" fio_verify "$(uri shared)" 2
	serve_end
}
rm -f "$TEST_DIR/image.2"
truncate -s 16M "$TEST_DIR/image.2"
cleanup_fn rm -f "/dev/shm/r3map-r3map-test-$$"
verified

# extents URI: the map, as lines "offset length type"
extents()
{
	nbdinfo --map "$1" | awk '{ print $1, $2, $3 }'
}

maps()
{
	local place
	# where files are on disk, and where they are in memory
	for place in "$TEST_DIR" /dev/shm; do
		IMAGE=$place/r3map-test-$$.img
		cleanup_fn rm -f "$IMAGE"
		truncate -s 16M "$IMAGE"
		dd if=/dev/urandom of="$IMAGE" bs=64k count=3 seek=8 conv=notrunc status=none
		dd if=/dev/urandom of="$IMAGE" bs=4k count=1 seek=2000 conv=notrunc status=none
		dd if=/dev/urandom of="$IMAGE" bs=1M count=1 seek=15 conv=notrunc status=none
		serve_start "file:$IMAGE"
		extents "$NBD" >"$TEST_DIR/ours"
		nbdkit_start file "$IMAGE"
		extents "$NBD" >"$TEST_DIR/nbdkit"
		nbd_pid_end "$PIDFILE"
		qemu_nbd_start --format=raw --read-only "$IMAGE"
		extents "$NBD" >"$TEST_DIR/qemu"
		nbd_pid_end "$PIDFILE"
		SOCKET=
		serve_end
		diff "$TEST_DIR/ours" "$TEST_DIR/nbdkit" && diff "$TEST_DIR/ours" "$TEST_DIR/qemu" ||
			return
		[ "$(wc -l <"$TEST_DIR/ours")" = 6 ] || { cat "$TEST_DIR/ours"; return 1; }
	done
}
ktap_test "holes are where others see them" maps

sparse()
{
	image 64M
	dd if=/dev/urandom of="$IMAGE" bs=64k count=1 seek=16 conv=notrunc status=none
	serve_start file="file:$IMAGE" mem=mem:64M
	python - "$SOCKET" "$IMAGE" <<-'END' || return
		import os, sys
		from nbdraw import *
		where, image = sys.argv[1:]
		want = open(image, "rb").read(2 << 20)
		for headers in STRUCTURED, EXTENDED_HEADERS:
		    c = client(where, "file", headers, True)
		    got = c.read(0, 2 << 20)
		    assert got.data == want
		    assert sum(length for at, length in got.holes) == (2 << 20) - 65536, got.holes
		    assert got.pieces == [(1 << 20, 65536)] and got.wire < 65536 + 500, got.wire
		    whole = c.read(0, 2 << 20, DF)
		    assert whole.data == want and whole.chunks == 1 and not whole.holes
		    assert c.read(32 << 20, 32 << 20).wire < 500
		    # zeroes and trims make holes, writes fill them
		    assert not c.call(WRITE_ZEROES, 1 << 20, 32768).error
		    assert c.read(1 << 20, 65536).holes == [(1 << 20, 32768)]
		    assert not c.write(1 << 20, want[1 << 20:][:32768]).error
		    assert not c.call(TRIM, (1 << 20) + 32768, 32768).error
		    assert c.read(1 << 20, 65536).holes == [((1 << 20) + 32768, 32768)]
		    assert not c.write((1 << 20) + 32768, want[1 << 20:][32768:65536]).error
		    assert not c.call(WRITE_ZEROES, 2 << 20, 1 << 20, NO_HOLE).error
		    assert not c.read(2 << 20, 1 << 20, DF).holes
		    assert c.call(BLOCK_STATUS, 0, 64 << 20, REQ_ONE).extents == [(1 << 20, 3)]
		    assert sum(e[0] for e in c.call(BLOCK_STATUS, 512, 1 << 24).extents) <= 1 << 24
		    assert not c.call(TRIM, 2 << 20, 1 << 20).error
		    c.disconnect()
		plain = client(where, "file").read(0, 2 << 20)
		assert plain.data == want and plain.chunks == 1
		# a terabyte's worth of length is no other than a byte's, where it fits
		c = client(where, "mem", EXTENDED_HEADERS, True)
		assert not c.call(WRITE_ZEROES, 0, 64 << 20, FAST_ZERO).error
		assert c.call(WRITE_ZEROES, 0, 1 << 40).error == ENOSPC
		assert c.call(BLOCK_STATUS, 0, 64 << 20).extents == [(64 << 20, 3)]
		c.disconnect()
	END
	serve_end
}
ktap_test "holes are not sent" sparse

# A server that bears one connection only: all clients share it, whichever thread they are on.
behind()
{
	image 16M
	nbd_server_start disk "flush = true" "fua = true"
	serve_start --threads 4 "disk=$NBD"
	SOCKET=$TEST_DIR/$nbd_count.sock
	python - "$SOCKET" <<-'END' || return
		import sys
		from nbdraw import *
		kinds = [None, STRUCTURED, EXTENDED_HEADERS] * 3
		clients = [client(sys.argv[1], "disk", kind) for kind in kinds]
		for n, c in enumerate(clients):		# all at once
		    c.pending = c.request(WRITE, n * 65536, 65536, 0, bytes([n + 1]) * 65536)
		for n, c in enumerate(clients):
		    assert not c.answer(c.pending, n * 65536).error
		for n, c in enumerate(clients):		# each sees what another has written
		    m = (n + 4) % len(clients)
		    assert c.read(m * 65536, 65536).data == bytes([m + 1]) * 65536
		    assert not c.write(m * 65536, b"flushed", FUA).error
		    assert clients[m - 1].read(m * 65536, 7).data == b"flushed"
		for c in clients:
		    c.disconnect()
	END
	backend-io random -n 1500 -F "$(uri disk)" || return
	nbdcopy --connections=4 "$(uri disk)" - | cmp - "$IMAGE" || return
	serve_end
}
if command -v nbd-server >/dev/null; then
	ktap_test "a backend of one connection, for many clients" behind
else
	ktap_skip "a backend of one connection, for many clients" "nbd-server is not installed"
fi
