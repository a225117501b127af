#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will kill a server with requests in flight, to a client that is not
# to connect again: all of them fail, all later ones fail at once, and one line
# tells.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

# reads take an hour: what is in flight stays there
nbdkit_start --filter=log --filter=delay memory 16M rdelay=3600 logfile="$TEST_DIR/log"
backend-io bench -e -n 100000 -d 64 -w 0 "$NBD&reconnect=0" >"$TEST_DIR/out" 2>"$TEST_DIR/err" &
pid=$!
wait_until 60 'a request is at the server' grep -q ' Read ' "$TEST_DIR/log"
kill -9 "$(cat "$PIDFILE")"
status=0
wait $pid || status=$?
note "$(cat "$TEST_DIR/out" "$TEST_DIR/err")"
[ $status = 1 ] || fail "status $status"
grep -qx 'failed=100000 differing=0' "$TEST_DIR/out" || fail "not every request failed"
[ "$(wc -l <"$TEST_DIR/err")" = 1 ] || fail "one line should tell"
grep -q 'the server closed the connection; 64 requests were in flight' "$TEST_DIR/err" ||
	fail "the line does not say what happened"

refused "$NBD" "is the NBD server running there?"
