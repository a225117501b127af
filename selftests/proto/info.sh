#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will look at backends and NBD servers with r3map info: what it
# shows must be what other programs know of the same server, with and without
# TLS, and a server must not be used up by it.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program r3map python3

# shows LINE...: the output of "r3map info" in $TEST_DIR/out has these lines
shows()
{
	local line
	for line; do
		grep -qxF -- "$line" "$TEST_DIR/out" ||
			fail "wanted '$line' in: $(cat "$TEST_DIR/out")"
	done
}

# info ARG...: r3map info, which must work and must not talk on stderr
info()
{
	r3map info "$@" >"$TEST_DIR/out" 2>"$TEST_DIR/stderr" ||
		fail "info $*: $(cat "$TEST_DIR/stderr")"
	[ ! -s "$TEST_DIR/stderr" ] || fail "info $*: $(cat "$TEST_DIR/stderr")"
}

# info_refused URI TEXT: it fails, with one sentence that has TEXT in it
info_refused()
{
	expect_fail r3map info "$1" >"$TEST_DIR/out"
	if [ "$(wc -l <"$TEST_DIR/stderr")" != 1 ] || ! grep -qF -- "$2" "$TEST_DIR/stderr"; then
		fail "$1: wanted '$2', got: $(cat "$TEST_DIR/stderr")"
	fi
}

# json PATH: the value there of the JSON in $TEST_DIR/out
json()
{
	python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    value = value[int(key) if key.isdigit() else key]
print(value)' "$TEST_DIR/out" "$1"
}

# json_is PATH VALUE
json_is()
{
	[ "$(json "$1")" = "$2" ] || fail "$1: wanted $2, got $(json "$1")"
}

# extents_r3map URI, extents_nbdinfo URI: "OFFSET LENGTH TYPE", neighbours of one type merged
merged()
{
	awk '$3 == type { length_ += $2; next }
	     NR > 1 { print start, length_, type }
	     { start = $1; length_ = $2; type = $3 }
	     END { print start, length_, type }'
}

extents_r3map()
{
	r3map info --map "$1" | awk 'NR > 1 && !NF { exit } NR > 1 { print $1, $2, $3 }'
}

extents_nbdinfo()
{
	nbdinfo --map "$1" | awk '{ print $1, $2, $4 }' | merged
}

# other backends
info mem:64M
shows 'mem:64M' '  size         67108864 (64M)' '  access       read and write'
info --size null:12345678
shows 12345678
info -j 'mem:1M'
json_is size 1048576
json_is backend mem:1M
image 8M
printf 'x%.0s' {1..5000} | dd of="$IMAGE" bs=1M seek=4 conv=notrunc status=none
info --map "file:$IMAGE"
shows '                   0              4194304  hole,zero  (4M)'
[ "$(extents_r3map "file:$IMAGE" | awk '{ print $3 }' | paste -sd ' ')" = 'hole,zero data hole,zero' ] ||
	fail "the map of a file: $(cat "$TEST_DIR/out")"
info --map -j "file:$IMAGE"
json_is extents.1.type data
json_is extents.1.offset 4194304
json_is known True
[ "$(json totals.data)" -ge 5000 ] || fail "5000 bytes were written, $(json totals.data) are data"

# nbdkit: names, flags, sizes
nbdkit_start memory 100M
info "nbd+unix:///any%20name?socket=$SOCKET"
shows "nbd+unix:///any%20name?socket=$SOCKET" '  protocol     fixed newstyle, structured replies' \
	'  encryption   none' "  export       'any name'" '  size         104857600 (100M)' \
	'  contexts     base:allocation'
grep -q '^  flags  .*flush, fua, trim, write-zeroes, df, multi-conn, cache, fast-zero' \
	"$TEST_DIR/out" || fail "flags: $(grep flags "$TEST_DIR/out")"
info -j "$NBD"
json_is headers structured
json_is tls None
json_is contexts.0 base:allocation
json_is read_only False
info --size "$NBD"
shows 104857600
(cd "$TEST_DIR" && r3map info "nbd+unix:///?socket=$(basename "$SOCKET")") >"$TEST_DIR/out"
shows "$NBD"
nbdkit_start -r --filter=blocksize-policy --filter=exportname memory 100M \
	blocksize-minimum=512 blocksize-preferred=65536 blocksize-maximum=1M \
	exportname=one exportname=two exportdesc=fixed:'what it is' exportname-list=explicit exportname-strict=true
info --list "$NBD"
shows '  exports      2' "  export       'one'" "  export       'two'" '  description  what it is' \
	'  blocks       minimum 512, preferred 65536 (64K), largest request 1048576 (1M)'
[ "$(grep -c '^  flags  .*read-only' "$TEST_DIR/out")" = 2 ] || fail "neither is read-only"
info --list -j "$NBD"
json_is exports.1.export two
json_is exports.1.max_io 1048576
info_refused "nbd+unix:///three?socket=$SOCKET" "the server has no export 'three'"
info_refused "nbd+unix:///three?socket=$SOCKET" "; it has 'one', 'two'"

# old ones
nbdkit_start --no-sr memory 16M
info "$NBD"
shows '  protocol     fixed newstyle, simple replies' '  contexts     none'
for flags in 0 1 2; do
	nbdkit_start --mask-handshake=$flags memory 16M
	info "$NBD"
	shows '  size         16777216 (16M)'
done
info_refused "$NBD&reconnect=0&headers=none" "headers is"

# asking about each of many exports is no attack
many=()
for n in $(seq 64); do many+=(--export "e$n=mem:1M"); done
serve_start "${many[@]}"
info --list -j "nbd+unix:///?socket=$SOCKET"
json_is exports.63.export e64
json_is exports.63.size 1048576
nbdinfo --list "nbd+unix:///?socket=$SOCKET" >"$TEST_DIR/out" 2>&1 ||
	fail "nbdinfo: $(tail -n 1 "$TEST_DIR/out")"
[ "$(grep -c 'export-size: 1048576' "$TEST_DIR/out")" = 64 ] || fail "nbdinfo does not list all"

# our own: extended headers, descriptions, a name that is missing
image 8M
printf 'x%.0s' {1..5000} | dd of="$IMAGE" bs=1M seek=4 conv=notrunc status=none
extents_r3map "file:$IMAGE" >"$TEST_DIR/file.map"	# before the server locks the file
serve_start --export a=mem:16M --export "b=file:$IMAGE" --description 'a=the first'
info --list -j "nbd+unix:///?socket=$SOCKET"
json_is headers extended
json_is exports.0.export a
json_is exports.0.description 'the first'
json_is exports.1.size 8388608
info_refused "nbd+unix:///c?socket=$SOCKET" "it has 'a', 'b'"
extents_r3map "nbd+unix:///b?socket=$SOCKET" | diff "$TEST_DIR/file.map" - >"$TEST_DIR/diff" ||
	fail "the server's map is not the file's: $(cat "$TEST_DIR/diff")"
for kind in simple structured extended; do
	info --map "nbd+unix:///b?socket=$SOCKET&headers=$kind"
	[ $kind = simple ] || grep -q hole,zero "$TEST_DIR/out" || fail "no hole with headers=$kind"
done
serve_stop

# nbd-server: several exports, one of them not for us
if command -v nbd-server >/dev/null; then
	image 16M
	nbd_server_start first 'readonly = true' '[second]' "exportname = $IMAGE"
	# it says no size before it is used, and does not say which exports it has
	info "$NBD"
	shows "  export       'first'" '  size         16777216 (16M)'
	grep -q '^  flags  .*read-only' "$TEST_DIR/out" || fail "first is read-only"
	info_refused "nbd+unix:///none?socket=$SOCKET" "the server has no export 'none'"
	expect_fail r3map info --list "$NBD"
	grep -q 'does not allow LIST' "$TEST_DIR/stderr" || fail "LIST: $(cat "$TEST_DIR/stderr")"
fi

# qemu-nbd: a map with everything in it, and a server that lives for one client
if command -v qemu-nbd >/dev/null && command -v qemu-img >/dev/null && command -v nbdinfo >/dev/null; then
	requires_program qemu-io
	qemu-img create -q -f qcow2 "$TEST_DIR/q.qcow2" 64M
	qemu-io -f qcow2 -c 'write -P 7 1M 192k' -c 'write -P 3 8M 2M' -c 'write -z 8M 1M' -c 'write -P 1 32M 64k' \
		"$TEST_DIR/q.qcow2" >/dev/null
	qemu_nbd_start --format=qcow2 --read-only "$TEST_DIR/q.qcow2"
	extents_r3map "$NBD" >"$TEST_DIR/ours"
	extents_nbdinfo "$NBD" >"$TEST_DIR/theirs"
	[ "$(wc -l <"$TEST_DIR/ours")" -ge 6 ] || fail "too simple a map: $(cat "$TEST_DIR/ours")"
	diff "$TEST_DIR/ours" "$TEST_DIR/theirs" >"$TEST_DIR/diff" ||
		fail "maps differ: $(cat "$TEST_DIR/diff")"
	nbd_pid_end "$PIDFILE"
	nbd_socket
	qemu-nbd --fork --socket="$SOCKET" --pid-file="$PIDFILE" --format=qcow2 \
		--export-name=q --description='a qcow2' "$TEST_DIR/q.qcow2"
	NBD="nbd+unix:///q?socket=$SOCKET"
	for _ in 1 2 3; do
		info "$NBD"
		shows '  description  a qcow2' '  size         67108864 (64M)'
	done
	info --list "$NBD"
	shows "  export       'q'"
	[ "$(extents_r3map "$NBD" | wc -l)" -ge 6 ] || fail "it was not there for its only client"
	wait_until 20 "it ends with its only client" test ! -e "$SOCKET"
fi
