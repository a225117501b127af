#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
# timeout: 600
#
# This test will let the backend of a managed device fail while requests are made: only those fail that
# need it, what is here is served, what was written is kept and pushed when the backend is back.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

# troubled WHAT: show says so in words, and with a time for programs; fine WHAT: it does not, any more
troubled()
{
	[ "$(device_fact "$1_error")" = "Input/output error" ] || return 1
	[ "$(device_fact "$1_error_ms")" -ge 0 ] || return 1
	r3map show "$DEV" | grep -q "^  trouble  .* fails since [0-9]* m\?s: Input/output error; "
}
fine() { ! device_fact "$1_error" 2>/dev/null; }

# monitor_begin: what monitor says of DEV from now on goes to a file, until the next event RECOVERED
monitor_begin()
{
	r3map monitor --json --until RECOVERED "$DEV" >"$TEST_DIR/events" &
	MONITOR=$!
	wait_until 30 "monitor listens" grep -q PRESENT "$TEST_DIR/events"
}

# monitored WHAT: it has said that WHAT is wrong, since a time that has been, and then that it is well again
monitored()
{
	wait $MONITOR || fail "monitor has failed"
	jq -es --arg what "$1" '.[0].event == "PRESENT" and .[0].troubles == [] and
		([.[] | select(.event == "TROUBLE")] | length > 0 and all(.[]; .time as $time |
			.troubles | length == 1 and all(.[]; .what == $what and
			.error == "Input/output error" and .since > 0 and .since <= $time))) and
		.[-1].event == "RECOVERED" and .[-1].troubles == []' "$TEST_DIR/events" >/dev/null ||
		fail "monitor: $(cat "$TEST_DIR/events")"
}

image 6291968
cp "$IMAGE" "$IMAGE.orig"
broken=$TEST_DIR/broken
backend="fault:op=read+write+zero+flush,file=$broken:delay:1ms:file:$IMAGE"

# nothing that is here needs it
device_mount --managed --no-part-scan --pull-workers 0 --push-interval 50ms "$backend"
dd if="$DEV" of=/dev/null bs=64k count=4 iflag=direct status=none
monitor_begin
touch "$broken"
dd if="$DEV" bs=64k count=4 iflag=direct status=none | cmp -n 262144 - "$WANT"
expect_fail dd if="$DEV" of=/dev/null bs=64k count=1 skip=50 iflag=direct status=none
put 8 100
pushed_in_vain() { grep -q "cannot write" "$TEST_DIR/helper.log"; }
wait_until 30 "a push was tried" pushed_in_vain
is_clean && fail "what could not be pushed is clean"
troubled push || fail "a push that fails: $(r3map show "$DEV")"
wait_until 30 "monitor says so" grep -q TROUBLE "$TEST_DIR/events"
# who begins to listen now hears of it, too
r3map monitor --until RECOVERED "$DEV" >"$TEST_DIR/words" &
words=$!
wait_until 30 "monitor lists it" grep -q "PRESENT LIVE: push since [0-9.]* (Input/output error)$" "$TEST_DIR/words"
expect_fail r3map sync "$DEV"
grep -q "cannot bring" "$TEST_DIR/stderr" || fail "sync says: $(cat "$TEST_DIR/stderr")"
# not even to unmount it; it stays and is whole
expect_fail r3map umount "$DEV"
device_is live || fail "it is $(device_sysfs state)"
dd if="$DEV" bs=64k count=4 iflag=direct status=none | cmp -n 262144 - "$WANT"
rm "$broken"
wait_until 30 "it is pushed after all" is_clean
wait_until 30 "that is no trouble any more" fine push
monitored push
wait $words
grep -q "RECOVERED LIVE$" "$TEST_DIR/words" || fail "monitor: $(cat "$TEST_DIR/words")"
cmp "$IMAGE" "$WANT" || fail "the backend"
same
r3map umount "$DEV"

# a pull that fails, and does it later
touch "$broken"
device_mount --managed --no-part-scan --push-interval 0 "$backend"
wait_until 30 "the pull fails" troubled pull
rm "$broken"
wait_until 60 "everything is local" all_local
wait_until 30 "that is no trouble any more" fine pull
r3map umount "$DEV"

# a model with a backend that comes and goes
cp "$IMAGE.orig" "$IMAGE"
device_mount --managed --no-part-scan --pull-workers 4 --push-interval 20ms --chunk-size 16K "$backend"
mkfifo "$TEST_DIR/go"
model "$DEV" "$IMAGE.orig" "$WANT" 3 "$(slow 600 200)" 4 errors >"$TEST_DIR/said" \
	<"$TEST_DIR/go" 2>&1 &
model=$!
exec 3>"$TEST_DIR/go"
until grep -q requests "$TEST_DIR/said"; do
	kill -0 $model 2>/dev/null || fail "model: $(cat "$TEST_DIR/said")"
	touch "$broken"
	sleep 0.05
	rm "$broken"
	sleep 0.05
done
echo >&3
wait $model || fail "model: $(cat "$TEST_DIR/said")"
grep -q " 0 failed" "$TEST_DIR/said" && fail "nothing has failed: $(cat "$TEST_DIR/said")"
r3map sync "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend is not the model"
# dropped when that is what is wanted
touch "$broken"
put 0 8
r3map umount --force "$DEV"
