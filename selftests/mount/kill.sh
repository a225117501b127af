#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:2
# timeout: 600
#
# This test will kill the helper of a managed device again and again while it fetches, pulls, pushes
# and flushes, and put another in its place: every byte stays what the model says, present chunks are
# served meanwhile, and the backend is the model in the end.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

image 6291968
cp "$IMAGE" "$IMAGE.orig"
backend="delay:2ms:file:$IMAGE"
device_mount --managed --no-part-scan --pull-workers 2 --push-workers 2 --push-interval 20ms \
	--chunk-size 16K "$backend"
model "$DEV" "$IMAGE.orig" "$WANT" 7 1000000 4 >"$TEST_DIR/said" &
model=$!
cleanup_fn eval "kill $model 2>/dev/null || :"
kills=0
while [ $kills -lt "$(slow 12 5)" ]; do
	kill -0 $model 2>/dev/null || fail "after $kills kills: $(cat "$TEST_DIR/said")"
	reached=$(($(device_counter hits) + $(device_counter misses) + 20 + RANDOM % 200))
	at_work()
	{
		! kill -0 $model 2>/dev/null ||
			[ $(($(device_counter hits) + $(device_counter misses))) -ge "$reached" ]
	}
	wait_until 60 "requests are made" at_work
	device_kill
	kills=$((kills + 1))
	device_recover "$backend" --pull-workers 2 --push-workers 2 --push-interval 20ms ||
		fail "the device cannot be taken over"
done
kill -TERM $model
wait $model || fail "after $kills kills: $(cat "$TEST_DIR/said")"
cmp "$DEV" "$WANT" || fail "the device is not the model"

# what is there is served without a helper, and what is written then is not lost
device_kill
cmp "$DEV" "$WANT" || fail "without a helper"
put 100 300
cmp "$DEV" "$WANT" || fail "written without a helper"
# it is nowhere else: the module cannot be unloaded under it
expect_fail rmmod r3map
device_recover "$backend"
r3map umount "$DEV"
cmp "$IMAGE" "$WANT" || fail "the backend is not the model"
