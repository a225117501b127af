#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12:2
# timeout: 600
#
# This test will read from a managed device whose pull is paused, with a pattern and without one, and count at
# the backend what is fetched: ahead of who reads one after the other, in windows that grow, and else
# nothing that was not asked for, and nothing twice.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_program nbdkit alike

MIB=1048576
LOG=$TEST_DIR/requests
head -c $((40 * MIB)) /dev/urandom >"$TEST_DIR/image"
WANT=$TEST_DIR/image
nbdkit --exit-with-parent -f -U "$TEST_DIR/nbdkit.sock" --filter=log --filter=delay file "$TEST_DIR/image" \
	rdelay=2ms logfile="$LOG" &
wait_until 30 "nbdkit" test -S "$TEST_DIR/nbdkit.sock"
device_mount --managed --no-part-scan --chunk-size 4K --pull-rate 512 --order reverse \
	"nbd+unix:///?socket=$TEST_DIR/nbdkit.sock"
r3map set --pull pause "$DEV"
r3map set --pull-rate 0 "$DEV"

# read_of CHUNK[:COUNT]...: these of 4 KiB, one after the other, and they are what they should be
read_of()
{
	alike "$DEV" "$WANT" "$@" || fail "what was read"
}

# reads: what the backend was asked for from line $mark of its log on, "OFFSET COUNT", in decimal
reads()
{
	tail -n "+$mark" "$LOG" | sed -n 's/.* Read id=.* offset=\(0x[0-9a-f]*\) count=\(0x[0-9a-f]*\).*/\1 \2/p' |
		while read -r offset count; do echo $((offset)) $((count)); done
}
read_bytes() { reads | awk '{ sum += $2 } END { print sum + 0 }'; }
begin() { mark=$(($(wc -l <"$LOG") + 1)) demands=$(device_counter demands); }
demanded() { echo $(($(device_counter demands) - demands)); }
was=
settled() { local now; now=$(wc -l <"$LOG"); [ "$now" = "$was" ] || { was=$now; return 1; }; }
wait_until 60 "the pull rests" settled

# without a pattern: that, and nothing else
begin
chunks=()
for ((i = 0; i < 64; i++)); do
	chunks+=($((i * 37 % 64 * 2)))
done
read_of "${chunks[@]}"
[ "$(reads | wc -l)" = 64 ] || fail "64 reads became $(reads | wc -l)"
[ "$(read_bytes)" = $((64 * 4096)) ] || fail "$(read_bytes) bytes for 64 reads of 4 KiB"
[ "$(device_fact ahead_bytes)" = 0 ] || fail "$(device_fact ahead_bytes) bytes were read ahead"

# 8 MiB one after the other: some 7 windows up to 4 MiB, each begun by a miss, and one behind them
begin
read_of $((8 * MIB / 4096)):2048
wait_until 60 "what is read ahead has come" settled
[ "$(demanded)" -ge 2 ] || fail "nothing was asked for"
[ "$(demanded)" -lt 60 ] || fail "$(demanded) of 2048 reads waited for a fetch of their own"
[ "$(device_fact ahead_bytes)" -le $((17 * MIB)) ] || fail "$(device_fact ahead_bytes) bytes were read ahead"
[ "$(device_fact ahead_used)" -ge $((3 * MIB)) ] || fail "$(device_fact ahead_used) of them were used"
[ "$(device_fact ahead_used)" -le $((8 * MIB)) ] || fail "more was used than was read"
[ "$(read_bytes)" -le $((17 * MIB)) ] || fail "the backend was asked for $(read_bytes) bytes"
reads | sort -n | awk '$1 < end { exit 1 } { end = $1 + $2 }' || fail "something was fetched twice: $(reads)"
r3map show "$DEV" | grep -q '^  read ahead   .*, of which .* was used$' || fail "show: $(r3map show "$DEV")"

# two readers in turns, each of whom has windows of his own
begin
chunks=()
for ((i = 0; i < 100; i++)); do
	chunks+=($((28 * MIB / 4096 + i)) $((32 * MIB / 4096 + i)))
done
read_of "${chunks[@]}"
[ "$(demanded)" -lt 60 ] || fail "$(demanded) of 200 reads waited for a fetch of their own"
wait_until 60 "what is read ahead has come" settled
reads | sort -n | awk '$1 < end { exit 1 } { end = $1 + $2 }' || fail "something was fetched twice: $(reads)"

# the rest comes when it may
r3map set --pull run "$DEV"
wait_until 120 "everything is local" all_local
same
r3map umount "$DEV"
