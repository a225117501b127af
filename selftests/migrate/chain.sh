#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will move a region on and on: whoever has got it seeds it from the same device, under an application that
# never stops writing, from one to the next and back to the first, by each way of writing; no number that it was
# told to be on the device is lost or older than it was.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program nbdinfo sequence

# link FROM TO [OPTION...]: the region of r3mapFROM, which seeds on FROM.sock, moves to r3mapTO, which then does likewise
link()
{
	local from=$1 to=$2 device=/dev/r3map$2 lines before
	shift 2
	lines=$(r3map leech --daemon --log "$TEST_DIR/leech.log" --index "$to" --seed-unix "$TEST_DIR/$to.sock" "$@" \
		"nbd+unix:///?socket=$TEST_DIR/$from.sock") || fail "r3map leech of $from"
	cleanup_fn device_remove "$device"
	[ "$lines" = "$device"$'\n'"nbd+unix:///?socket=$TEST_DIR/$to.sock" ] || fail "it prints $lines"
	# it has nothing to seed yet
	expect_fail r3map info "nbd+unix:///?socket=$TEST_DIR/$to.sock"
	of_await "$device" .migration.phase following
	before=$(number)
	r3map finalize "$device"
	of_await "$device" '.leechers | type' array
	of_is "$device" .migration.phase complete || fail "it seeds before it has all"
	[ "$(nbdinfo --map=r3map:local "nbd+unix:///?socket=$TEST_DIR/$to.sock" | awk '{ print $1, $2, $3 }')" = "0 20971520 1" ] ||
		fail "it does not tell that it has all"
	wait_until 60 "the device it came from is gone" device_gone "/dev/r3map$from"
	writer_goes_on
	[ "$(number)" -gt "$before" ] || fail "numbers go backwards"
}

for way in direct write mmap; do
	rm -f "$state" "$TEST_DIR/region"
	truncate -s 20M "$TEST_DIR/region"
	seed "file:$TEST_DIR/region" --unix "$TEST_DIR/0.sock" --index 0
	writer $way /dev/r3map0 /dev/r3map1 /dev/r3map2
	link 0 1
	rm -f "$TEST_DIR/kept"
	link 1 2 --store "$TEST_DIR/kept"
	link 2 0
	# who has it last is a device like any other
	writer_ends /dev/r3map0
	r3map umount /dev/r3map0
done
