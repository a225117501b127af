#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will move a region over TLS: its data and what is said about it are encrypted alike, and who has no
# key, or another one, gets neither.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence

state=$TEST_DIR/state
keys "$TEST_DIR/keys"
keys "$TEST_DIR/wrong"
truncate -s 20M "$TEST_DIR/image"
seed "file:$TEST_DIR/image" --tls require --tls-psk "$TEST_DIR/keys"
[[ $URI == nbds+unix:* ]] || fail "the URI is $URI"
sequence write "$state" direct "$SOURCE" /dev/r3map1 2>"$TEST_DIR/writer" &
writer=$!
cleanup_fn eval "kill $writer 2>/dev/null || :"

with=$URI
expect_fail r3map leech "nbd${with#nbds}"
expect_fail r3map leech "$with&tls-psk-file=$TEST_DIR/wrong"
[ ! -e /sys/block/r3map1 ] || fail "there is a device of who has no key"
URI="$with&tls-psk-file=$TEST_DIR/keys"
leech
of_await "$TARGET" .migration.phase following
r3map finalize "$TARGET"
of_await "$TARGET" .migration.phase complete
before=$(od -An -tu8 "$state")
wait_until 60 "the writer goes on" eval '[ "$(od -An -tu8 "$state")" -gt '"$before"' ]'
kill -TERM $writer
wait $writer || { cat "$TEST_DIR/writer"; fail "the writer"; }
sequence check "$state" "$TARGET"
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
r3map umount "$TARGET"
