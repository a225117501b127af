#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will do without root: handler and client are somebody else's, who gets faults of user mode at least, or is told
# which sysctl forbids them; where all of it is forbidden he is told so.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_program setpriv
requires_root
requires_uffd events
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
chmod 755 "$TEST_DIR"
mkdir "$TEST_DIR/theirs"
chown 65534:65534 "$TEST_DIR/theirs"
cp "$(command -v r3map)" "$TEST_DIR/r3map"
head -c 1M /dev/urandom >"$TEST_DIR/theirs/image"
chown 65534:65534 "$TEST_DIR/theirs/image"

"${nobody[@]}" "$TEST_DIR/r3map" uffd serve "file:$TEST_DIR/theirs/image" --socket "$TEST_DIR/theirs/sock" \
	2>"$TEST_DIR/log" &
HANDLER=$!
cleanup_fn handler_end $HANDLER

# up: it serves, or has ended
up() { [ -S "$TEST_DIR/theirs/sock" ] || process_ended "$HANDLER"; }

wait_until 20 "the handler is up" up
if [ -S "$TEST_DIR/theirs/sock" ]; then
	"${nobody[@]}" "$TEST_DIR/r3map" uffd map --socket "$TEST_DIR/theirs/sock" --run "cmp '$TEST_DIR/theirs/image'" ||
		fail "the bytes are others"
else
	grep -q 'vm.unprivileged_userfaultfd' "$TEST_DIR/log" || fail "$(cat "$TEST_DIR/log")"
fi

# where neither the device nor the system call is theirs, the sentence says what there is to do
cp "$(command -v forbidden)" "$TEST_DIR/forbidden"
expect_fail timeout $((20 * ${TEST_SLOW:-1})) "${nobody[@]}" "$TEST_DIR/forbidden" "$TEST_DIR/r3map" uffd serve mem:1M --socket "$TEST_DIR/theirs/no"
want='r3map: userfaultfd is not permitted: be root, get access to /dev/userfaultfd, or set the sysctl vm.unprivileged_userfaultfd to 1'
[ "$(cat "$TEST_DIR/stderr")" = "$want" ] || fail "it says: $(cat "$TEST_DIR/stderr")"
[ ! -e "$TEST_DIR/theirs/no" ] || fail "it listens"
