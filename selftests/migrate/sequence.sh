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

# the other host is a network of its own, where the kernel can have one; each helper begins in its own
if modprobe -q veth; then
	two_networks
else
	ip link set lo up
fi

truncate -s $REGION "$TEST_DIR/region.0"
here=home there=away
for ((move = 1; move <= moves; move++)); do
	way=$(sed -n "$((move % 3 + 1))p" <<<$'direct\nwrite\nmmap')
	lines=$(in_net $here r3map seed --daemon --log "$TEST_DIR/seed.log" --listen "${ADDRESS[$here]}:10900" \
		"file:$TEST_DIR/region.$((move - 1))")
	SOURCE=${lines%%$'\n'*}
	cleanup_fn device_remove "$SOURCE"
	target=/dev/r3map$((${SOURCE#/dev/r3map} ? 0 : 1))
	writer "$way" "$SOURCE" "$target"
	URI=nbd://${ADDRESS[$here]}:10900/
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
	kill -TERM $WRITER
	wait $WRITER || { cat "$TEST_DIR/writer"; fail "the writer, by $way"; }
	sequence check "$state" "$TARGET" || fail "after move $move, by $way"
	wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
	r3map umount "$TARGET"
	swap=$here here=$there there=$swap
done
