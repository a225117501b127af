#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:1
#
# This test will move the region of an application that never stops writing, back and forth between two
# networks, by each way of writing: no number that it was told to be on the device is lost or older than it was.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence

moves=$([ "$TEST_SLOW" = 1 ] && echo 6 || echo 3)
state=$TEST_DIR/state

# the other host is a network of its own, where the kernel can have one; each helper begins in its own
networks=1
! modprobe -q veth || networks=2
if [ $networks = 2 ]; then
	cleanup_fn eval "ip netns pids away | xargs -r kill; ip netns del away"
	ip netns add away
	ip link add home type veth peer name away0 netns away
	ip addr add 10.76.0.1/24 dev home
	ip link set home up
	ip netns exec away sh -ec 'ip addr add 10.76.0.2/24 dev away0; ip link set away0 up; ip link set lo up'
else
	ip link set lo up
fi

# in_net HOST COMMAND...: there
in_net()
{
	local host=$1
	shift
	if [ $networks = 2 ] && [ "$host" = away ]; then ip netns exec away "$@"; else "$@"; fi
}

address()
{
	[ $networks = 2 ] || { echo 127.0.0.1; return; }
	[ "$1" = away ] && echo 10.76.0.2 || echo 10.76.0.1
}

truncate -s $REGION "$TEST_DIR/region.0"
here=home there=away
for ((move = 1; move <= moves; move++)); do
	way=$(sed -n "$((move % 3 + 1))p" <<<$'direct\nwrite\nmmap')
	lines=$(in_net $here r3map seed --daemon --log "$TEST_DIR/seed.log" --listen "$(address $here):10900" \
		"file:$TEST_DIR/region.$((move - 1))")
	SOURCE=${lines%%$'\n'*}
	cleanup_fn device_remove "$SOURCE"
	target=/dev/r3map$((${SOURCE#/dev/r3map} ? 0 : 1))
	"${BEHIND[@]}" sequence write "$state" "$way" "$SOURCE" "$target" 2>"$TEST_DIR/writer" &
	writer=$!
	cleanup_fn eval "kill $writer 2>/dev/null || :"
	wait_until 60 "the writer has begun" test -s "$state"
	URI=nbd://$(address $here):10900/
	TARGET=$(in_net $there r3map leech --daemon --log "$TEST_DIR/leech.log" --index "${target#/dev/r3map}" \
		--store "$TEST_DIR/region.$move" "$URI")
	cleanup_fn device_remove "$TARGET"
	of_await "$TARGET" .migration.phase following
	before=$(od -An -tu8 "$state")
	r3map finalize "$TARGET"
	of_await "$TARGET" .migration.phase complete
	after=$(od -An -tu8 "$state")
	wait_until 60 "the writer goes on with $way" eval '[ "$(od -An -tu8 "$state")" -gt "$after" ]'
	[ "$after" -ge "$before" ] || fail "numbers go backwards"
	kill -TERM $writer
	wait $writer || { cat "$TEST_DIR/writer"; fail "the writer, by $way"; }
	sequence check "$state" "$TARGET" || fail "after move $move, by $way"
	wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
	r3map umount "$TARGET"
	swap=$here here=$there there=$swap
done
