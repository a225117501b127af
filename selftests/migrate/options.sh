#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will let leechers finalize by themselves, once all has come and once the stop is expected to be short enough,
# and see at the seeder's backend in which order, and how many at a time, their pulls read.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program nbdkit tc
requires modprobe sch_netem

dd if=/dev/urandom of="$TEST_DIR/image" bs=1M count=8 status=none

# moves: the region is at $TARGET, without being asked for
moves()
{
	of_await "$TARGET" .migration.phase complete
	cmp "$TARGET" "$TEST_DIR/image" || fail "what has come is not what was there"
	wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
	r3map umount "$TARGET"
}

seed "file:$TEST_DIR/image"
leech --finalize
moves

# a round trip of 200 ms at least makes any stop longer than what is allowed; a shorter one does not
ip link set lo up
cleanup_fn eval "tc qdisc del dev lo root 2>/dev/null || :"
tc qdisc add dev lo root netem delay 100ms limit 100000
seed "file:$TEST_DIR/image" --listen 127.0.0.1:10920
URI=nbd://127.0.0.1:10920/
leech --max-downtime 150ms
of_await "$TARGET" '.migration.round >= 3' true
of_is "$TARGET" .migration.phase following || fail "finalized, although it could not be that short"
[ "$(of "$TARGET" .migration.expected_ns)" -ge 200000000 ] || fail "what is expected is less than a round trip"
tc qdisc del dev lo root
moves

# pulled OPTION...: a leecher with these reads until a part has come; $TEST_DIR/requests is the backend's log of that
pulled()
{
	local kit its
	rm -f "$TEST_DIR/nbdkit.sock" "$TEST_DIR/log"
	# slow enough for reads to gather
	nbdkit --exit-with-parent -f -U "$TEST_DIR/nbdkit.sock" --filter=log --filter=delay file "$TEST_DIR/image" \
		logfile="$TEST_DIR/log" rdelay=50ms &
	kit=$!
	cleanup_fn eval "kill $kit 2>/dev/null || :"
	wait_until 60 "nbdkit" test -S "$TEST_DIR/nbdkit.sock"
	seed "nbd+unix:///?socket=$TEST_DIR/nbdkit.sock"
	leech "$@"
	wait_until 60 "a part has come" eval '[ "$(of "$TARGET" .local)" -ge 1048576 ]'
	r3map umount "$TARGET"
	r3map umount "$SOURCE"
	kill $kit
	wait $kit || :
	# not the device's own connection, by which partitions were looked for
	its=$(grep -o 'connection=[0-9]* Read' "$TEST_DIR/log" | tail -n 1)
	grep -F " ${its% *} " "$TEST_DIR/log" >"$TEST_DIR/requests"
}

# first N: offsets of the first N reads
first()
{
	sed -n 's/.* Read id=.* offset=\(0x[0-9a-f]*\) count=.*/\1/p' "$TEST_DIR/requests" | head -n "$1" |
		while read -r offset; do echo $((offset)); done
}

# at_a_time: how many were under way at once
at_a_time()
{
	awk '/ Read id=/ { if (++now > most) most = now } /\.\.\.Read id=/ { now-- } END { print most }' "$TEST_DIR/requests"
}

pulled --pull-workers 1
[ "$(at_a_time)" = 1 ] || fail "one worker has $(at_a_time) reads"
[ "$(first 1)" = 0 ] || fail "in sequence it begins at $(first 1)"
pulled --pull-workers 3 --order reverse
[ "$(at_a_time)" = 3 ] || fail "three workers have $(at_a_time) reads"
# backwards by steps of 4 MiB, each from its start
[ "$(first 1)" = 4194304 ] || fail "backwards it begins at $(first 1)"
echo "6M 256K" >"$TEST_DIR/order"
pulled --pull-workers 1 --order "$TEST_DIR/order"
[ "$(first 5 | paste -sd ' ')" = "6291456 6356992 6422528 6488064 0" ] || fail "by the file it reads $(first 5 | paste -sd ' ')"
