#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
# timeout: 300
#
# This test will mount with hooks, direct and managed, by both drivers: each event runs its programs in its
# turn, a before-sync that uses the device or refuses, a server that goes and comes back.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

# told EVENT...: these, and no others, since the last time it was asked
told()
{
	local want
	want=$(printf '%s ' "$@")
	# shellcheck disable=SC2317 # called by wait_until
	are_told() { [ "$(cut -d ' ' -f 1 "$TEST_DIR/events" | tr '\n' ' ')" = "$want" ]; }
	wait_until 30 "the hooks tell: $want" are_told
	grep -qv " $DEV\$" "$TEST_DIR/events" && fail "of another device: $(cat "$TEST_DIR/events")"
	: >"$TEST_DIR/events"
}

# says TEXT: did the last expect_fail say it?
says() { grep -q "$1" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"; }

# server_start: of the image
server_start()
{
	rm -f "$TEST_DIR/uri"
	r3map serve --unix "$TEST_DIR/sock" "file:$IMAGE" >"$TEST_DIR/uri" 2>"$TEST_DIR/serve.log" &
	server=$!
	wait_until 20 "the server listens" test -s "$TEST_DIR/uri"
}

say="echo \"\$R3MAP_EVENT \$R3MAP_DEVICE\" >>$TEST_DIR/events"
hooks=()
for event in ready lost recovered after-sync; do
	hooks+=(--hook "$event=$say")
done
# it writes to the device, and waits for that
hooks+=(--hook "before-sync=$say; [ ! -e $TEST_DIR/refuse ]"
	--hook "before-sync=dd if=$TEST_DIR/mine of=\$R3MAP_DEVICE bs=512 oflag=direct conv=fsync status=none")

# with_hooks: what holds with either driver
with_hooks()
{
	: >"$TEST_DIR/events"
	cp "$IMAGE" "$WANT"
	server_start
	cleanup_fn eval "kill $server 2>/dev/null; wait $server || :"

	device_mount "${hooks[@]}" "$(cat "$TEST_DIR/uri")"
	told ready
	r3map sync "$DEV"
	told before-sync after-sync
	cmp -n 512 "$IMAGE" "$TEST_DIR/mine" || fail "what the hook has written"
	r3map umount "$DEV"

	device_mount --managed --push-interval 0 --flush local "${hooks[@]}" --hook "all-local=$say" \
		"$(cat "$TEST_DIR/uri")"
	told ready all-local
	# neither an fsync nor a push is a sync
	put 100 8
	sync "$DEV"
	put 200 8
	touch "$TEST_DIR/refuse"
	expect_fail r3map sync "$DEV"
	says "before-sync, refuses it"
	told before-sync after-sync
	is_clean && fail "what was refused was written back"
	expect_fail r3map umount "$DEV"
	says "before-sync, refuses it"
	told before-sync after-sync
	rm "$TEST_DIR/refuse"
	r3map sync "$DEV"
	told before-sync after-sync
	dd if="$TEST_DIR/mine" of="$WANT" bs=512 conv=notrunc status=none
	cmp "$IMAGE" "$WANT" || fail "the backend after sync"
	# the server goes; a sync waits for it
	put 300 8
	kill -9 "$server"
	wait "$server" || :
	told lost
	[ "$(device_fact server_lost_ms)" -ge 0 ] || fail "show does not say that the server is lost"
	r3map show "$DEV" | grep -q "^  trouble  .*out of reach since " || fail "show: $(r3map show "$DEV")"
	r3map sync "$DEV" &
	syncing=$!
	told before-sync
	server_start
	cleanup_fn eval "kill $server 2>/dev/null; wait $server || :"
	wait $syncing || fail "a sync that waited for the server"
	told recovered after-sync
	device_fact server_lost_ms 2>/dev/null && fail "show says that the server is still lost"
	cmp "$IMAGE" "$WANT" || fail "the backend after the server came back"
	put 400 8
	r3map umount "$DEV"
	told before-sync after-sync
	cmp "$IMAGE" "$WANT" || fail "the backend after umount"
	kill "$server"
	wait "$server" || :
}

cleanup_fn sed 's/^/# told: /' "$TEST_DIR/events"
image 4194304
head -c 512 /dev/urandom >"$TEST_DIR/mine"
with_hooks
# a hook that hangs holds neither the device up nor an unmount by force
device_mount --managed --push-interval 0 --hook "before-sync=$say; sleep 1000" --timeout 1h \
	--hook-timeout 30m "file:$IMAGE"
put 0 8
r3map sync "$DEV" 2>"$TEST_DIR/stderr" &
syncing=$!
told before-sync
put 16 8
same
pid=$(device_fact helper_pid)
signalled_away() { kill -TERM "$pid"; device_gone "$DEV"; }
wait_until 30 "$DEV is gone" signalled_away
wait $syncing && fail "a sync of a device that was removed by force"
cp "$WANT" "$IMAGE"

# shellcheck disable=SC2034 # of lib/device.sh
VIA=nbd
requires_nbd
with_hooks
