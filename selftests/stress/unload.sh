#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1 6.12 7.2:2
#
# This test will load and unload the module while others call it and listen to it, and
# see that it goes when nobody needs it, and only then.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program peer

(while :; do r3map list >/dev/null 2>&1 || :; done) &
cleanup_fn kill $!
(while :; do r3map monitor --count 1 >/dev/null 2>&1 || sleep 0.1; done) &
cleanup_fn kill $!
for ((i = 0; i < $(slow 8 3); i++)); do
	wait_until 20 "the module goes" module_unload
	module_load
	# in use by a helper, and by one who has it open
	device_mount --park 1h mem:1M
	expect_fail rmmod r3map
	exec 9<"$DEV"
	device_kill
	expect_fail rmmod r3map
	exec 9<&-
	if [ $((i % 2)) = 1 ]; then
		r3map set --park 0 "$DEV"
		device_await failed
	fi
done
module_unload || wait_until 20 "the module goes" module_unload
[ -z "$(device_all)" ] || fail "devices outlive it"
module_load
