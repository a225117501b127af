#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:2
#
# This test will choose what is pulled first, by a file, backwards and by a program, wait for a
# part of it before the device is ready, limit the rate, and record what was missed and use that. It
# lets the pull rest and go on, and changes its rate, while the device is in use.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

image 8388608
backend="file:$IMAGE"

# at_ready OFFSET OPTION...: is the chunk at OFFSET there when the device is, and nothing asked for it?
at_ready()
{
	local offset=$1
	shift
	device_mount --managed --no-part-scan --pull-first 256K --pull-rate 1M "$@" "$backend"
	dd if="$DEV" of=/dev/null bs=64k count=4 skip="$offset" iflag=direct,skip_bytes status=none
	[ "$(device_counter misses)" = 0 ] || fail "$*: it was not there"
	[ "$(device_fact local)" -ge 262144 ] || fail "$*: $(device_fact local) bytes are local"
	r3map umount "$DEV"
}
at_ready 0
echo "6M 256K" >"$TEST_DIR/order"
at_ready 6291456 --order "$TEST_DIR/order"
# backwards by steps of 4 MiB, each from its start
at_ready 4194304 --order reverse

if [ "$VIA" = r3map ]; then	# and it is shown
	r3map mount --managed --no-part-scan --pull-first 1G --progress --run true "$backend" \
		2>"$TEST_DIR/progress"
	grep -q '^100% ' "$TEST_DIR/progress" || fail "said: $(cat "$TEST_DIR/progress")"
fi

# a limit on the rate is one: 2 MiB of data a second, six in all
device_mount --managed --no-part-scan --pull-rate 2M "$backend"
begin=$SECONDS
wait_until 60 "everything is local" all_local
[ $((SECONDS - begin)) -ge 1 ] || fail "6 MiB came in less than a second"
same
r3map umount "$DEV"

# paused, nothing comes but what is asked for; by another rate it comes faster
device_mount --managed --no-part-scan --pull-rate 4K "$backend"
[ "$(device_fact pull)" = running ] || fail "the pull is $(device_fact pull)"
[ "$(device_fact pull_rate)" = 4096 ] || fail "its rate is $(device_fact pull_rate)"
r3map set --pull pause "$DEV"
r3map set --pull-rate 0 "$DEV"
[ "$(device_fact pull)" = paused ] || fail "the pull is $(device_fact pull)"
[ "$(device_fact pull_rate)" = 0 ] || fail "its rate is $(device_fact pull_rate)"
filled() { device_counter fill_bytes; }
was=
settled() { local now; now=$(filled); [ "$now" = "$was" ] || { was=$now; return 1; }; }
wait_until 30 "what was under way has come" settled
sleep 1
[ "$(filled)" = "$was" ] || fail "paused, it has pulled $(($(filled) - was)) bytes"
all_local && fail "everything is local already"
dd if="$DEV" of=/dev/null bs=64k count=1 skip=100 iflag=direct status=none
[ "$(device_counter demands)" = 1 ] || fail "$(device_counter demands) demands"
r3map set --pull pause "$DEV"	# since the first
[ "$(device_fact pull_paused_ms)" -ge 1000 ] || fail "paused since $(device_fact pull_paused_ms) ms"
r3map show "$DEV" | grep -q '^  pull  *paused since [0-9]* s: ' || fail "show: $(r3map show "$DEV")"
r3map set --pull run "$DEV"
[ "$(device_fact pull)" = running ] || fail "the pull is $(device_fact pull)"
wait_until 60 "everything is local" all_local
same
r3map show "$DEV" | grep -q '^  pull  *done$' || fail "show: $(r3map show "$DEV")"
if [ "$VIA" = r3map ]; then	# a new helper does as it was started
	r3map set --pull pause "$DEV"
	device_kill
	expect_fail r3map set --pull run "$DEV"
	grep -q "has no helper that pulls" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"
	device_recover "$backend"
	[ "$(device_fact pull)" = running ] || fail "the pull is $(device_fact pull)"
else
	expect_fail r3map set --park 1m "$DEV"
fi
r3map umount "$DEV"
[ ! -e "/run/r3map/$NAME" ] || fail "it has left a door"
device_mount --managed --no-part-scan --pull-workers 0 "$backend"
expect_fail r3map set --pull pause "$DEV"
grep -q "mounted with --pull-workers 0" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"
r3map umount "$DEV"
device_mount "$backend"
expect_fail r3map set --pull-rate 1M "$DEV"
grep -q "is not managed: nothing is pulled" "$TEST_DIR/stderr" ||
	fail "it says: $(cat "$TEST_DIR/stderr")"
r3map umount "$DEV"

# what was missed, in its order, is an order
device_mount --managed --no-part-scan --pull-workers 0 --record-order "$TEST_DIR/missed" "$backend"
for at in 77 5 99 0; do
	dd if="$DEV" of=/dev/null bs=64k count=1 skip=$at iflag=direct status=none
done
dd if="$DEV" of=/dev/null bs=64k count=1 skip=5 iflag=direct status=none
r3map umount "$DEV"
printf '%s 65536\n' $((77 * 65536)) $((5 * 65536)) $((99 * 65536)) 0 | cmp - "$TEST_DIR/missed" ||
	fail "recorded: $(cat "$TEST_DIR/missed")"

# a program says it while the mount lasts
mkfifo "$TEST_DIR/program"
device_r3map_mount --managed --no-part-scan --pull-workers 4 --order - "$backend" \
	<"$TEST_DIR/program" >"$TEST_DIR/path" &
exec 3>"$TEST_DIR/program"
wait_until 30 "the device is ready" test -s "$TEST_DIR/path"
DEV=$(cat "$TEST_DIR/path") NAME=${DEV#/dev/}
cleanup_fn device_remove "$DEV"
echo "5M 64K" >&3
wait_until 60 "everything is local" all_local
same
exec 3>&-
r3map umount "$DEV"

# what makes no sense
expect_fail device_r3map_mount --managed --daemon --order "$TEST_DIR/nothing" "$backend"
grep -q "cannot open the order" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"
echo "5M" >"$TEST_DIR/order"
expect_fail device_r3map_mount --managed --daemon --order "$TEST_DIR/order" "$backend"
grep -q "line 1 of the order" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"
expect_fail device_r3map_mount --managed --daemon --order - "$backend"
expect_fail device_r3map_mount --managed --daemon --pull-first 1M --pull-workers 0 "$backend"
