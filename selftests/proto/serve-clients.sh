#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will let the NBD clients that people have, young and old, use what r3map serve
# offers: list it, copy it both ways, write to it in all ways they know, and compare.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program nbdinfo nbdcopy nbdsh qemu-img qemu-io nbdkit nbd-client python3 cmp
ktap_plan 9

# a file of data, holes and odd ends
image 24M
dd if=/dev/urandom of="$IMAGE" bs=1M count=1 conv=notrunc status=none
dd if=/dev/urandom of="$IMAGE" bs=1M count=3 seek=11 conv=notrunc status=none
printf 'a few bytes' | dd of="$IMAGE" bs=1 seek=20000001 conv=notrunc status=none
serve_start -D image='a file' -D memory='some memory' image="file:$IMAGE?ro" memory=mem:24M \
	second=mem:24M
uri()
{
	echo "nbd+unix:///$1?socket=$SOCKET"
}

libnbd_info()
{
	nbdinfo --list --json "$(uri '')" >"$TEST_DIR/list" || return
	python - "$TEST_DIR/list" <<-'END' || return
		import json, sys
		told = json.load(open(sys.argv[1]))
		exports = {e["export-name"]: e for e in told["exports"]}
		assert list(exports) == ["image", "memory", "second"], list(exports)
		image, memory = exports["image"], exports["memory"]
		assert image["description"] == "a file" and memory["description"] == "some memory"
		assert "description" not in exports["second"]
		assert image["export-size"] == memory["export-size"] == 24 << 20
		assert image["is_read_only"] and not memory["is_read_only"]
		assert image["contexts"] == ["base:allocation"]
		for what in "can_df", "can_fast_zero", "can_flush", "can_fua", "can_multi_conn", \
			    "can_trim", "can_zero":
		    assert memory[what], what
		assert image["block_size_minimum"] >= 1
	END
	[ "$(nbdinfo --size "$(uri memory)")" = 25165824 ] || return
	nbdinfo --can connect "$(uri image)" && ! nbdinfo --can write "$(uri image)" || return
	nbdinfo --map "$(uri memory)" >"$TEST_DIR/map" || return
	[ "$(tr -s ' ' <"$TEST_DIR/map")" = " 0 25165824 3 hole,zero" ]
}
ktap_test "nbdinfo" libnbd_info

libnbd_copy()
{
	nbdcopy "$(uri image)" "$TEST_DIR/copy" && cmp "$IMAGE" "$TEST_DIR/copy" || return
	[ "$(du -k "$TEST_DIR/copy" | cut -f 1)" -lt 8192 ] || return	# it is sparse
	nbdcopy --connections=4 "$IMAGE" "$(uri memory)" &&
		nbdcopy "$(uri memory)" - | cmp - "$IMAGE" || return
	nbdcopy --synchronous --flush "$(uri memory)" "$(uri second)" &&
		nbdcopy --request-size=2097152 "$(uri second)" - | cmp - "$IMAGE" || return
	# holes are holes on the other side, too
	nbdinfo --map --totals "$(uri second)" | grep -q 'hole,zero'
}
ktap_test "nbdcopy" libnbd_copy

qemu_image()
{
	qemu-img info "$(uri memory)" | grep -q 'virtual size: 24 MiB' || return
	qemu-img compare -f raw -F raw "$(uri image)" "$(uri memory)" >/dev/null || return
	qemu-img convert -f raw -O qcow2 "$(uri image)" "$TEST_DIR/q.qcow2" &&
		qemu-img convert -n -W -m 8 -f qcow2 -O raw "$TEST_DIR/q.qcow2" "$(uri second)" &&
		qemu-img compare -f qcow2 -F raw "$TEST_DIR/q.qcow2" "$(uri second)" >/dev/null
}
ktap_test "qemu-img" qemu_image

# qemu_io CMD...: all must succeed, qemu-io itself does not tell
qemu_io()
{
	local args=() c
	for c; do args+=(-c "$c"); done
	qemu-io -f raw "${args[@]}" "$(uri second)" >"$TEST_DIR/qemu-io" 2>&1 || return
	! grep -iE 'failed|error|verification' "$TEST_DIR/qemu-io"
}

qemu_commands()
{
	qemu_io 'write -P 0x11 0 8M' 'write -f -P 0x22 1M 64k' 'write -z 2M 1M' 'write -zu 4M 1M' \
		'write -zn 6M 64k' 'discard 7M 1M' 'aio_write -P 0x33 9M 2M' 'aio_write -P 0x44 12M 5' \
		'aio_write -f -P 0x55 13M 64k' 'aio_flush' 'flush' \
		'read -P 0x11 0 1M' 'read -P 0x22 1M 64k' 'read -P 0 2M 1M' 'read -P 0x11 3M 1M' \
		'read -P 0 4M 1M' 'read -P 0x11 5M 1M' 'read -P 0 6M 64k' 'read -P 0 7M 1M' \
		'read -P 0x33 9M 2M' 'read -P 0x44 12M 5' 'read -P 0x55 13M 64k' || return
	# the other way round: what qemu-io does not like it does tell
	! qemu_io 'read -P 0x11 1M 64k' >/dev/null
}
ktap_test "qemu-io" qemu_commands

between()
{
	local first=$SOCKET
	qemu-img convert -n -f raw -O raw "$IMAGE" "$(uri memory)" || return
	nbdkit_start nbd uri="$(uri memory)"
	nbdcopy "$NBD" - | cmp - "$IMAGE" || return
	nbdinfo --map --totals "$NBD" | grep -q 'hole,zero' || return
	backend-io random -n "$(slow 2000)" -F "$NBD" || return
	nbd_pid_end "$PIDFILE"
	SOCKET=$first
}
ktap_test "nbdkit as a client, and a server" between

own()
{
	backend-io fill -b 64K "$(uri memory)" && backend-io verify -b 4K "$(uri memory)" &&
		backend-io random -n "$(slow 3000)" -F "$(uri second)" || return
	info_is "$(uri memory)" size=25165824 can_flush=1 can_fua=1 can_discard=1 can_zeroes=1 \
		read_only=0
	info_is "$(uri image)" read_only=1
	result_is EPERM write "$(uri image)"
	! r3map info --help >/dev/null 2>&1 || r3map info "$(uri memory)" >/dev/null
}
ktap_test "r3map's own client" own

old()
{
	python - "$SOCKET" <<-'END'
		import sys, nbd

		def opened(structured, flags, name="memory"):
		    h = nbd.NBD()
		    h.set_export_name(name)
		    h.set_request_structured_replies(structured)
		    h.set_handshake_flags(flags)
		    h.connect_unix(sys.argv[1])
		    return h

		both = nbd.HANDSHAKE_FLAG_FIXED_NEWSTYLE | nbd.HANDSHAKE_FLAG_NO_ZEROES
		data = bytes(range(256)) * 1024
		# flags 0: the handshake of before 2013, with EXPORT_NAME and 124 zeroes
		for structured, flags in ((True, both), (False, both), (False, 0), (True, 0),
		                          (False, nbd.HANDSHAKE_FLAG_FIXED_NEWSTYLE)):
		    h = opened(structured, flags)
		    assert h.get_structured_replies_negotiated() == (structured and flags != 0)
		    assert h.get_size() == 24 << 20
		    h.zero(1 << 20, 0)
		    h.pwrite(data, 12345, nbd.CMD_FLAG_FUA)
		    assert h.pread(len(data), 12345) == data
		    assert h.pread(100, 12345 + len(data)) == bytes(100)
		    h.trim(65536, 0, nbd.CMD_FLAG_FUA)
		    h.flush()
		    if h.get_structured_replies_negotiated():
		        assert h.pread_structured(65536, 12345, lambda *a: 0, nbd.CMD_FLAG_DF)
		    h.shutdown()

		# the handshake step by step
		h = nbd.NBD()
		h.set_opt_mode(True)
		if hasattr(h, 'set_request_meta_context'):
		    h.set_request_meta_context(False)
		h.set_full_info(True)
		h.connect_unix(sys.argv[1])
		found = []
		assert h.opt_list(lambda name, text: found.append((name, text)) or 0) == 3
		assert found[:2] == [("image", "a file"), ("memory", "some memory")], found
		h.set_export_name("nobody")
		for attempt in h.opt_info, h.opt_go:
		    try:
		        attempt()
		        sys.exit("there is no such export")
		    except nbd.Error:
		        pass
		h.set_export_name("image")
		h.opt_info()
		assert h.get_export_description() == "a file" and h.is_read_only()
		contexts = []
		h.add_meta_context("base:")
		h.opt_list_meta_context(contexts.append)
		assert contexts == ["base:allocation"], contexts
		h.clear_meta_contexts()
		h.add_meta_context("base:allocation")
		h.add_meta_context("x-other:thing")
		h.opt_go()
		assert h.can_meta_context("base:allocation")
		status = []
		h.block_status(24 << 20, 0, lambda name, at, extents, error: status.extend(extents) or 0)
		assert sum(status[::2]) == 24 << 20 and status[1] == 0 and status[3] == 3, status
		h.shutdown()
		h = nbd.NBD()
		h.set_opt_mode(True)
		h.connect_unix(sys.argv[1])
		h.opt_abort()
	END
}
if libnbd_python; then
	ktap_test "clients without new things" old

# many under way, each sent by itself: the server lets them gather
libnbd_shell()
{
	# which python3 it finds matters: the system's has its module
	PATH=/usr/bin:$PATH nbdsh --base-allocation -u "$(uri memory)" -c - <<-'END'
		import os
		blocks = [os.urandom(4096) for i in range(4096)]
		errors, back = [], {}
		def done(error):
		    errors.append(error.value)
		    return 1
		for i in range(8192):
		    while h.aio_in_flight() >= 64:
		        h.poll(-1)
		    if i < 4096:
		        buffer = nbd.Buffer.from_bytearray(bytearray(blocks[i]))
		        h.aio_pwrite(buffer, 4096 * i, completion=done)
		    else:
		        back[i - 4096] = nbd.Buffer(4096)
		        h.aio_pread(back[i - 4096], 4096 * (i - 4096), completion=done)
		    if i == 4095:
		        while h.aio_in_flight():
		            h.poll(-1)
		while h.aio_in_flight():
		    h.poll(-1)
		assert errors == [0] * 8192, len(errors)
		assert all(bytes(back[i].to_bytearray()) == blocks[i] for i in range(4096))
		h.zero(40960, 4096)
		h.trim(65536, 65536)
		h.flush()
		assert h.pread(4096 + 40960 + 1, 0) == blocks[0] + bytes(40960) + blocks[11][:1]
		extents = []
		h.block_status(16 << 20, 0, lambda context, offset, told, error: extents.extend(told))
		assert sum(extents[::2]) == 16 << 20 and 3 in extents[1::2], extents
		h.shutdown()
	END
}
ktap_test "nbdsh" libnbd_shell
else
	ktap_skip "clients without new things" "python3-libnbd is not installed"
	ktap_skip "nbdsh" "python3-libnbd is not installed"
fi

newest()
{
	nbd-client -l 127.0.0.1 -p "$1" >"$TEST_DIR/list" 2>&1 || { cat "$TEST_DIR/list"; return 1; }
	grep -qx memory "$TEST_DIR/list" || { cat "$TEST_DIR/list"; return 1; }
	python - "$1" <<-'END'
		import sys
		from nbdraw import *
		where = ("localhost", int(sys.argv[1]))
		for headers in None, STRUCTURED, EXTENDED_HEADERS:
		    c = client(where, "memory", headers, headers is not None)
		    data = bytes(range(256)) * 300
		    assert not c.write(1000, data, FUA).error
		    got = c.read(1000, len(data))
		    assert not got.error and got.data == data
		    assert not c.call(TRIM, 0, 1 << 20).error
		    assert not c.call(WRITE_ZEROES, 0, 24 << 20, FAST_ZERO).error
		    assert not c.call(FLUSH).error
		    if headers:
		        assert c.call(BLOCK_STATUS, 0, 24 << 20).extents == [(24 << 20, 3)]
		    assert c.call(TRIM, 0, (24 << 20) + 1).error == EINVAL
		    c.disconnect()
		c = Client(where)
		assert c.greet(0) == 3
		assert c.export_name("memory", True) == bytes(124)
		assert not c.write(0, b"old").error and c.read(0, 3).data == b"old"
		c.disconnect()
	END
}
serve_end
serve_start_at --listen 127.0.0.1:0 memory=mem:24M
SOCKET=
port=${NBD%/*} port=${port##*:}
ktap_test "nbd-client, extended headers, EXPORT_NAME, by TCP" newest "$port"
serve_end
