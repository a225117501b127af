# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the tests in which the helper, or what is behind it, goes away.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/device.sh"

# shellcheck disable=SC2119 # no parameters of the module are meant
requires_module
requires_program jq

# acked_start BLOCKS THREADS: numbers are written to $DEV in the background; sets ACKED
acked_start()
{
	rm -f "$TEST_DIR/log"
	acked write "$DEV" "$TEST_DIR/log" "$1" "$2" &
	ACKED=$!
	cleanup_fn eval "kill $ACKED 2>/dev/null || :"
	wait_until 30 "numbers are written" acked_writes 20
}

# acked_writes N: has the present helper's device completed N more writes than $ACKED_SEEN?
acked_writes()
{
	[ "$(device_counter writes)" -ge $((${ACKED_SEEN:-0} + $1)) ]
}

# acked_go_on N: wait until N more were written
acked_go_on()
{
	ACKED_SEEN=$(device_counter writes)
	wait_until 60 "writing goes on" acked_writes "$1"
}

# acked_stop: end the writer; nothing of it may have failed
acked_stop()
{
	kill -TERM "$ACKED"
	wait "$ACKED" || fail "a write has failed"
}
