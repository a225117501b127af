#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will refuse a second connection to an export that has another size
# by then, and take one to an export that has not changed.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

# shellcheck disable=SC2016  # nbdkit gives the script its arguments
# every connection adds a line to $TEST_DIR/opened
nbdkit_start_or_skip "the eval plugin" eval \
	open="echo >>$TEST_DIR/opened" can_multi_conn='exit 0' \
	get_size="if [ -e $TEST_DIR/grows ]; then wc -l <$TEST_DIR/opened | sed 's/.*/&M/'; else echo 16M; fi" \
	pread='head -c $3 /dev/zero'
info_is "$NBD" channels_max=0 size=16777216
: >"$TEST_DIR/opened"
backend-io verify -z -b 1M -d 1 -c 2 "$NBD" || fail "a second connection"
[ "$(wc -l <"$TEST_DIR/opened")" = 2 ] || fail "there were not two connections"

touch "$TEST_DIR/grows"
expect_fail backend-io verify -z -b 1M -d 1 -c 2 "$NBD"
grep -q "has changed since it was opened" "$TEST_DIR/stderr" || fail "$(cat "$TEST_DIR/stderr")"
