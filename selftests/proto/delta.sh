#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will bring files to a receiver with r3map send, and look whether they are there as they
# are here, whether only what differed was sent, and what a kill in the midst of it leaves.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/delta.inc.sh"
requires_program jq cmp python3
ktap_plan 16

chunk=65536

# root_of FILE [STRONG]: the root by hand: what both ends print is what the document says
root_of()
{
	PYTHONPATH=$TEST_TOP/selftests/proto PYTHONDONTWRITEBYTECODE=1 python3 - "$@" $chunk <<-'END'
		import sys, syncraw
		strong = getattr(syncraw, sys.argv[2] if len(sys.argv) == 4 else "blake2")
		print(syncraw.root_of(open(sys.argv[1], "rb").read(), int(sys.argv[-1]), strong).hex())
	END
}

whole()
{
	mkdir -p src/sub/deep
	random_file src/a 5M
	random_file src/odd 123457
	: >src/empty
	random_file src/sub/deep/b 1
	printf x >"src/name with spaces"
	receive_once s out send s src/ >sent || return
	diff -r src out || return
	[ "$(wc -l <sent)" = 5 ] && diff <(sort sent) <(sort s.out) || return
	grep -qx "$(root_of src/odd)  odd" sent && grep -qx "$(root_of src/a)  a" sent || return
	receive_once s out send s --hash sha256 src/odd >sent || return
	grep -qx "$(root_of src/odd sha256)  odd" sent
}
ktap_test "files, empty and odd ones, in folders; both ends print the hash that the document says" whole

changed()
{
	for n in 3 17 40; do
		dd if=/dev/urandom of=src/a bs=$chunk seek=$n count=1 conv=notrunc status=none
	done
	receive_once s out send s -j src/a >sent || return
	cmp src/a out/a || return
	[ "$(json sent .data_bytes)" = $((3 * chunk)) ] && [ "$(json sent .chunks)" = 3 ] || return
	# nothing at all
	receive_once s out send s -j src/a >sent || return
	[ "$(json sent .data_bytes)" = 0 ] && [ "$(json sent '.files[0].root')" = "$(root_of src/a)" ]
}
ktap_test "of a file that is there only the chunks are sent that differ" changed

sizes()
{
	local size
	for size in 5242881 5242880 65537 65535 1 0 70000 200000; do
		truncate -s $size src/a
		[ $size -lt 60000 ] || dd if=/dev/urandom of=src/a bs=1 seek=$((size - 3)) count=3 conv=notrunc status=none
		{ receive_once s out send s src/a >/dev/null && cmp src/a out/a; } || { note "with $size"; return 1; }
	done
}
ktap_test "a file that grows and shrinks" sizes

sparse()
{
	rm -f src/hole
	truncate -s 64M src/hole
	dd if=/dev/urandom of=src/hole bs=$chunk seek=100 count=2 conv=notrunc status=none
	printf x | dd of=src/hole bs=1 seek=$((63 << 20)) conv=notrunc status=none
	receive_once s out send s -j src/hole >sent && cmp src/hole out/hole || return
	[ "$(du -k out/hole | cut -f1)" -le 1024 ] || { note "it takes $(du -k out/hole)"; return 1; }
	[ "$(json sent .data_bytes)" -le $((4 * chunk)) ] || return
	# what becomes zeroes becomes a hole
	random_file src/full 8M
	receive_once s out send s src/full >/dev/null || return
	dd if=/dev/zero of=src/full bs=1M count=8 conv=notrunc status=none
	receive_once s out send s -j src/full >sent && cmp src/full out/full || return
	[ "$(json sent .data_bytes)" = 0 ] && [ "$(json sent .zero_bytes)" = $((8 << 20)) ] || return
	[ "$(du -k out/full | cut -f1)" -le 256 ] || { note "it takes $(du -k out/full)"; return 1; }
}
ktap_test "holes are neither read nor sent, and zeroes become holes" sparse

many()
{
	rm -rf many
	mkdir many
	python3 - <<-'END' || return
		import os
		for i in range(1500):
		    os.makedirs("many/%d" % (i % 7), exist_ok=True)
		    open("many/%d/%d" % (i % 7, i), "wb").write(os.urandom(i * 37 % 5000))
	END
	receive_once s out send s many >sent && diff -r many out/many || return
	[ "$(wc -l <sent)" = 1500 ]
}
ktap_test "1500 files over one connection" many

# each takes all the credit there is for it, and COMMIT costs some, too
narrow()
{
	rm -rf narrow
	mkdir narrow
	for n in {1..40}; do
		random_file "narrow/$n" $((n % 4 * chunk))
	done
	receive_start s out --once --max-window 0
	send s narrow >sent && wait "$receiver" && diff -r narrow out/narrow || return
	[ "$(wc -l <sent)" = 40 ] || return
	rm -r out/narrow
	receive_once s out send s narrow >sent && diff -r narrow out/narrow
}
ktap_test "more files than there is room for" narrow

hashes()
{
	local hash
	for hash in xxh3 blake2 sha256 crc32c; do
		random_file src/h 3M
		receive_once s out send s --hash $hash --chunk-size 4K -j src/h >sent && cmp src/h out/h || return
		dd if=/dev/urandom of=src/h bs=4096 seek=77 count=1 conv=notrunc status=none
		receive_once s out send s --hash $hash --chunk-size 4K -j src/h >sent && cmp src/h out/h || return
		[ "$(json sent .hash)" = $hash ] && [ "$(json sent .data_bytes)" = 4096 ] || return
	done
}
ktap_test "each hash, small chunks" hashes

# Two chunks with the same CRC: crc32c is linear, so four bytes can make up for any others.
collision()
{
	python3 - <<-'END' || return
		import os
		def crc(data):
		    c = 0xffffffff
		    for byte in data:
		        c ^= byte
		        for _ in range(8):
		            c = c >> 1 ^ 0x82f63b78 if c & 1 else c >> 1
		    return c ^ 0xffffffff
		a = os.urandom(4096)
		b = bytearray(a)
		b[0] ^= 0xff
		# the last 32 bits that bring it to the same CRC: solve a linear system over GF(2)
		want = crc(a) ^ crc(bytes(b))
		rows = []
		for bit in range(32):
		    t = bytearray(b)
		    t[4092 + bit // 8] ^= 1 << bit % 8
		    rows.append((crc(bytes(t)) ^ crc(bytes(b)), 1 << bit))
		basis = {}
		for value, mask in rows:
		    while value and value.bit_length() in basis:
		        v, m = basis[value.bit_length()]
		        value ^= v
		        mask ^= m
		    assert value
		    basis[value.bit_length()] = value, mask
		mask = 0
		while want:
		    v, m = basis[want.bit_length()]
		    want ^= v
		    mask ^= m
		for bit in range(32):
		    if mask >> bit & 1:
		        b[4092 + bit // 8] ^= 1 << bit % 8
		assert crc(a) == crc(bytes(b)) and a != bytes(b)
		open("src/c", "wb").write(bytes(b) + os.urandom(100000))
		os.makedirs("out", exist_ok=True)
		rest = open("src/c", "rb").read()[4096:]
		open("out/c", "wb").write(a + rest)
	END
	! cmp -s src/c out/c || return
	receive_once s out send s --hash crc32c --chunk-size 4K -j src/c >sent && cmp src/c out/c || return
	[ "$(json sent .repaired)" = 1 ] && [ "$(json sent .data_bytes)" = 4096 ]
}
ktap_test "two chunks that crc32c takes for one are told apart in the end" collision

# killed WHO: SIGKILL for one of both when the network has stopped in the midst of it, in a chunk
killed()
{
	rm -rf out via
	random_file src/big 24M
	receive_start s out --once
	python3 "$(dirname "$TEST_LIB")/proto/syncraw.py" via s 10000000 >via.out &
	cleanup_fn pid_end $!
	wait_until 20 "there is a network" test -S via
	send_start via src/big
	wait_until 60 "it has stopped" grep -q holds via.out
	wait_until 60 "what came is written" big_written
	if [ "$1" = receiver ]; then
		pid_end "$receiver" KILL
		! wait "$sender" || { note "the sender does not know"; return 1; }
	else
		pid_end "$sender" KILL
		! wait "$receiver" || { note "the receiver does not know"; return 1; }
	fi
	{ [ ! -s sent ] && [ ! -s s.out ]; } || { note "it was told to be there"; return 1; }
	! cmp -s src/big out/big || return
	receive_once s out send s -j src/big >sent && cmp src/big out/big || return
	[ "$(json sent .data_bytes)" -lt $((16 << 20)) ] || { note "all was sent again"; return 1; }
}
big_written()
{
	[ "$(du -k out/big | cut -f1)" -ge 9216 ]
}
ktap_test "a receiver that is killed in the midst: it is resumed" killed receiver
ktap_test "a sender that is killed in the midst: it is resumed" killed sender

# a round without changes comes after one with them, so that a file is not looked at while it is written
followed()
{
	rm -rf src2 out
	mkdir src2
	random_file src2/one 1M
	receive_start s out
	send_start s -j -i 100ms src2/
	wait_until 60 "the first is there" cmp src2/one out/one
	random_file src2/two 300000
	wait_until 60 "one that appears" cmp src2/two out/two
	python3 - <<-'END'
		import mmap, os
		f = os.open("src2/one", os.O_RDWR)
		m = mmap.mmap(f, 0)
		m[500000:500010] = b"through it"
	END
	wait_until 60 "what was written through mmap" cmp src2/one out/one
	truncate -s 3000001 src2/one
	wait_until 60 "it grew" cmp src2/one out/one
	truncate -s 99999 src2/two
	wait_until 60 "it shrank" cmp src2/two out/two
	random_file src2/new 500000
	mv src2/new src2/two
	wait_until 60 "it was replaced" cmp src2/two out/two
	rm src2/one
	wait_until 60 "it is gone" test ! -e out/one
	pid_end "$receiver"
	receive_start s out
	random_file src2/three 100000
	wait_until 60 "another receiver, the same sender" cmp src2/three out/three
	kill "$sender"
	wait "$sender" || { note "status $? of the sender: $(cat sent.err)"; return 1; }
	pid_end "$receiver"
	diff -r src2 out
}
ktap_test "files that change, appear, grow, shrink, are replaced and removed" followed

# A folder that cannot be read for once, for want of descriptors, is not one that is gone.
unread()
{
	local deep=src4
	rm -rf src4 out
	for _ in {1..40}; do deep+=/d; done
	mkdir -p "$deep"
	random_file "$deep/file" 1000
	random_file src4/other 1000
	receive_start s out
	send_start s -j -i 100ms src4/
	wait_until 60 "both are there" diff -r src4 out
	python3 - "$sender" <<-'END' || return
		import resource, sys
		hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
		resource.prlimit(int(sys.argv[1]), resource.RLIMIT_NOFILE, (30, hard))
	END
	wait_until 60 "it cannot read all folders" grep -q "cannot read the folder" sent.err
	random_file src4/other 1000
	wait_until 60 "the other one has changed" cmp src4/other out/other
	[ -f "out${deep#src4}/file" ] || { note "it was removed"; return 1; }
	pid_end "$sender"
	pid_end "$receiver"
}
ktap_test "a folder that cannot be read" unread

# writing is never still while it is sent; each round both agree on what was read
written()
{
	local writer
	rm -rf out
	random_file src/busy 8M
	python3 - <<-'END' &
		import os, random
		f = os.open("src/busy", os.O_RDWR)
		while not os.path.exists("stop"):
		    os.pwrite(f, os.urandom(512), random.randrange(8 << 20) & ~511)
	END
	writer=$!
	cleanup_fn pid_end $writer
	receive_start s out
	send_start s -j -i 1ms src/busy
	wait_until 60 "five rounds" five_rounds
	touch stop
	wait $writer || return
	wait_until 60 "what was written last" cmp src/busy out/busy
	kill "$sender"
	wait "$sender" || { note "status $? of the sender: $(cat sent.err)"; return 1; }
	pid_end "$receiver"
	[ "$(jq -s '[.[] | .failed] | add' sent)" = 0 ]
}
five_rounds()
{
	[ "$(wc -l <sent)" -ge 5 ]
}
ktap_test "a file that is written to all the time" written

# traced: the system calls of one that is to have all on the disk; without --fsync there are none
durable()
{
	if ! command -v strace >/dev/null; then
		ktap_skip "no strace"
		return
	fi
	rm -rf src5 out
	mkdir -p src5/new/deep
	random_file src5/new/deep/file 100000
	# a leak checker is a debugger, too, and two of them are one too many
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -yy -o trace -e trace=fsync,fdatasync,unlink r3map receive --once --fsync -l "unix:$PWD/f" \
		out >f.out 2>f.err &
	receiver=$!
	cleanup_fn pid_end "$receiver"
	wait_until 60 "the receiver listens" grep -qs 'listens on' f.err
	send f src5/ >sent && wait "$receiver" && diff -r src5 out || return
	local what
	for what in "fdatasync.*/out/new/deep/file>" "fsync.*/out/new/deep>" "fsync.*/out/new>" "fsync.*/out>"; do
		grep -q "$what) *= 0" trace || { note "no $what: $(cat trace)"; return 1; }
	done
}
ktap_test "--fsync: a new file is on the disk, and its name in all folders above it" durable

refused()
{
	mkdir -p trap out
	rm -f out/l
	ln -s ../trap out/l
	mkdir -p src3/l out/a-folder
	random_file src3/l/x 100
	random_file src3/a-folder 100
	random_file src3/fine 100
	receive_start s out
	! send s src3/ >sent 2>sent.err || return
	{ grep -q "l/x.*symbolic link" sent.err && grep -q "a-folder" sent.err; } || { note "$(cat sent.err)"; return 1; }
	[ -z "$(ls trap)" ] && cmp src3/fine out/fine && [ "$(wc -l <sent)" = 1 ] || return
	pid_end "$receiver"
	# names that differ in nothing
	mkdir -p other
	: >other/a
	receive_start s out
	! send s src/a other/a 2>sent.err && grep -q "same name" sent.err || return
	pid_end "$receiver"
	! send s src/a 2>sent.err && grep -q "does r3map receive" sent.err
}
ktap_test "symbolic links are not followed, and one that fails takes nothing from the others" refused

devices()
{
	random_file disk 1M
	random_file src/image 700000
	receive_once s out send s src/image >/dev/null || return
	receive_start s out --once --device "image=$PWD/disk"
	send s src/image >/dev/null && wait "$receiver" || return
	cmp src/image disk
}
ktap_test "a name that the receiver has another place for" devices
ktap_status
