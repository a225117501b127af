#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will get right data from a slow server that answers in any order,
# and the server's errors, one for one, from one that fails.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

nbdkit_start --filter=delay memory 16M rdelay=1ms wdelay=3ms
backend-io random -d 64 -n "$(slow 5000)" "$NBD" || fail "a slow server"
nbdkit_start --filter=noparallel memory 16M serialize=requests
backend-io random -d 64 -n "$(slow 5000)" "$NBD" || fail "one request at a time"

nbdkit_start --filter=error memory 16M error-pread=EIO error-pread-rate=100% \
	error-pwrite=ENOSPC error-pwrite-rate=100% error-zero=ENOMEM error-zero-rate=100% \
	error-trim=EINVAL error-trim-rate=100%
result_is EIO read "$NBD"
result_is ENOSPC write "$NBD"
result_is ENOMEM zero "$NBD"
result_is EINVAL discard "$NBD"
result_is ok flush "$NBD"

nbdkit_start --filter=error memory 16M error=EIO error-rate=10%
out=$(backend-io bench -e -n 10000 -d 64 -w 50 "$NBD") || :
note "$out"
failed=$(sed -n 's/^failed=\([0-9]*\) .*/\1/p' <<<"$out")
if [ "$failed" -lt 500 ] || [ "$failed" -gt 1500 ]; then
	fail "$failed of 10000 failed, about 1000 should"
fi

# A server that tries again by itself: what it has mended is no error here, what it gives up is one.
retry=(--filter=retry --filter=log --filter=error memory 16M "logfile=$TEST_DIR/retried"
	error=EIO error-rate=100% "error-file=$TEST_DIR/broken" retry-delay=1 retry-exponential=no)
# retries N: has it failed below the filter so often?
retries() { [ "$(grep -c 'return=-1' "$TEST_DIR/retried")" -ge "$1" ]; }

touch "$TEST_DIR/broken"
nbdkit_start_or_skip "retrying" "${retry[@]}" retries=1
result_is EIO read "$NBD"
result_is EIO write "$NBD"
retries 4 || fail "it did not try again: $(cat "$TEST_DIR/retried")"

: >"$TEST_DIR/retried"
nbdkit_start "${retry[@]}" retries=1000
backend-io fill -b 1M -d 8 "$NBD" &
cleanup_fn eval "kill $! 2>/dev/null || :"
wait_until 60 "writes fail below the filter" retries 8
rm "$TEST_DIR/broken"
wait $! || fail "writes that the server mended"
backend-io verify "$NBD" || fail "what was written"
backend-io random -n "$(slow 2000)" "$NBD"
