#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:2
#
# This test will read from backends and find how the bytes have come: large reads of memory are lent
# and copied once, small ones, those of a file and those of the inline transport are not.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

head -c 2M /dev/urandom >"$TEST_DIR/data"
cp "$TEST_DIR/data" "$TEST_DIR/file"

# lent WANT SIZE BACKEND [OPTION...]: 16 reads of SIZE, of which WANT are lent
lent()
{
	local want=$1 size=$2 reads
	shift 2
	device_mount --no-part-scan "${@:2}" "$1"
	dd if="$TEST_DIR/data" of="$DEV" bs=128K oflag=direct status=none
	reads=$(device_counter reads)
	[ "$(device_counter lent)" = 0 ] || fail "$*: $(device_counter lent) were lent before"
	dd if="$DEV" of="$TEST_DIR/got" bs="$size" count=16 iflag=direct status=none
	[ $(($(device_counter reads) - reads)) = 16 ] || fail "$*: $(($(device_counter reads) - reads)) reads"
	[ "$(device_counter lent)" = "$want" ] || fail "$*: $(device_counter lent) of 16 reads of $size were lent"
	cmp -n "$(stat -c %s "$TEST_DIR/got")" "$TEST_DIR/got" "$TEST_DIR/data" || fail "$*: other bytes"
	r3map umount "$DEV"
}

lent 16 128K mem:2M --transport shared
lent 16 16K mem:2M --transport shared
lent 0 4K mem:2M --transport shared
lent 0 128K "file:$TEST_DIR/file" --transport shared
lent 0 128K mem:2M --transport inline
