#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
# timeout: 300
#
# This test will use regions by libr3map, direct and managed, by both drivers: memory and descriptor show
# the same, one page that is touched fetches one chunk, close brings all to the backend or leaves all
# as it was, and a process may serve the region that it uses.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

# begin ARGUMENT...: slice ARGUMENT..., to be asked
begin()
{
	coproc SLICE { exec slice "$@" 2>"$TEST_DIR/slice.log"; }
	# shellcheck disable=SC2153 # set by coproc, as long as it runs
	slice=$SLICE_PID
	exec 7<&"${SLICE[0]}" 8>&"${SLICE[1]}"
	# shellcheck disable=SC2034,SC2153 # of lib/device.sh
	DEV=$(says path)
	cleanup_fn device_remove "$DEV"
}

# says COMMAND: what slice answers
says()
{
	local answer
	echo "$1" >&8
	read -r -t $((120 * ${TEST_SLOW:-1})) answer <&7 || fail "no answer to '$1': $(cat "$TEST_DIR/slice.log")"
	printf '%s\n' "$answer"
}

# want PATTERN COMMAND: that is what slice answers
want()
{
	local answer
	answer=$(says "$2")
	# shellcheck disable=SC2053 # a pattern is meant
	[[ $answer == $1 ]] || fail "'$2' says '$answer', not '$1'"
}

# closed: it was the last command
closed()
{
	local status=0
	exec 7<&- 8>&-
	wait "$slice" || status=$?
	[ $status = 0 ] || fail "slice ended with $status: $(cat "$TEST_DIR/slice.log")"
	device_gone "$DEV" || fail "$DEV is not gone"
}

# byte OFFSET: of the image
byte()
{
	od -An -tu1 -j "$1" -N 1 "$IMAGE" | tr -d ' '
}

# both SIZE OPTION...: what holds for every region
both()
{
	local size=$1
	shift
	begin "file:$IMAGE" "$@"
	want "$size" size
	want "$(byte 70000)" "byte 70000"
	want ok "fill 70000 5000 7"
	want ok "put 8192 9"
	want 9 "byte 8200"
	want ok sync
	[ "$(byte 74999) $(byte 8200)" = "7 9" ] || fail "the backend after sync: $*"
	# somebody else has it open: it stays, memory and all
	want ok "fill $((size - 100)) 100 3"
	exec 4<"$DEV"
	want "*in use*" close
	exec 4<&-
	want 7 "byte 70000"
	want 3 "byte $((size - 1))"
	want ok "fill 100 1 5"
	want ok close
	closed
	[ "$(byte 100) $(byte $((size - 1)))" = "5 3" ] || fail "the backend after close: $*"
}

# cold OPTION...: a page of a large region costs a chunk
cold()
{
	begin "file:$IMAGE" managed pull-workers=0 push-interval=0 flush=local "$@"
	[ "$(device_fact local)" = 0 ] || fail "something is local from the start"
	want "$(byte 6000000)" "byte 6000000"
	[ "$(device_fact local)" = 4096 ] || fail "one page made $(device_fact local) bytes local"
	want ok "fill 4000000 1 1"
	# written to the device, and from there to the backend, by sync alone
	[ "$(device_fact local)" = 8192 ] || fail "two pages made $(device_fact local) bytes local"
	want ok sync
	[ "$(byte 4000000)" = 1 ] || fail "the backend after sync: $*"
	want ok close
	closed
}

# itself OPTION...: served by the very process that uses it
itself()
{
	begin --serve "$TEST_DIR/sock" 2M "nbd+unix:///?socket=$TEST_DIR/sock" "$@"
	want ok "fill 0 1500000 6"
	want ok sync
	want ok same
	want ok storm
	want ok sync
	want ok same
	want ok close
	closed
}

# broken OPTION...: the backend takes nothing, and then the helper is gone
broken()
{
	begin "fault:op=write+zero+flush,file=$TEST_DIR/broken:file:$IMAGE" managed push-interval=0 \
		pull-workers=0 flush=local "$@"
	want ok "fill 0 4096 8"
	touch "$TEST_DIR/broken"
	want "*cannot *" sync
	want "*cannot *" close
	want 8 "byte 4095"
	rm "$TEST_DIR/broken"
	want ok sync
	kill -9 "$(device_fact helper_pid)"
	wait_until 30 "the helper is gone" helper_lost
	want SIGBUS "byte 6000000"
	want "*" sync
	want ok abandon
	closed
}

# helper_lost: does the device fail what is not there?
helper_lost()
{
	! dd if="$DEV" of=/dev/null bs=4k count=1 skip=1700 iflag=direct status=none
}

image 8388608
both 8388608
both 8388608 managed pull-workers=4
cold no-part-scan
itself
itself managed pull-workers=4
broken on-death=fail

begin "file:$IMAGE" read-only
want "$(byte 123456)" "byte 123456"
want "cannot write" "put 0 1"
want ok close
closed

expect_fail slice "file:$IMAGE" managed chunk-size=3K
grep -q "slice: .*chunk" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"

# shellcheck disable=SC2034 # of lib/device.sh
VIA=nbd
requires_nbd
both 8388608 via=nbd
both 8388608 via=nbd managed pull-workers=4
cold via=nbd
itself via=nbd managed
broken via=nbd
