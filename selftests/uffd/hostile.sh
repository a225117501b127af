#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will talk to a handler as no client does, with descriptors that nobody asked for: it closes each such
# connection, keeps no descriptor, and serves others on. And a client meets handlers that are none: it
# ends with a sentence.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_program python3
requires_uffd events
here=$(dirname "$(realpath "$0")")
head -c 2M /dev/urandom >"$TEST_DIR/image"

fds() { find "/proc/$HANDLER/fd" -mindepth 1 | wc -l; }
fds_are() { [ "$(fds)" = "$1" ]; }

# hostile LIST
hostile()
{
	local before
	handler "$1" "file:$TEST_DIR/image" --improve "$1"
	before=$(fds)
	python3 "$here/hostile.py" client "$TEST_DIR/$1" 2097152 >"$TEST_DIR/said" || return
	[ ! -s "$TEST_DIR/said" ] || { sed 's/^/# /' "$TEST_DIR/said"; return 1; }
	wait_until 30 "all clients are gone" fds_are "$before"
}

serves()
{
	r3map uffd map --socket "$TEST_DIR/$1" --run "cmp '$TEST_DIR/image'"
}

# meets KIND TEXT: a client and such a handler
meets()
{
	rm -f "$TEST_DIR/sock"
	python3 "$here/hostile.py" handler "$TEST_DIR/sock" "$1" &
	wait_until 20 "the handler listens" test -S "$TEST_DIR/sock"
	expect_fail r3map uffd map --socket "$TEST_DIR/sock" --run true
	wait $! || :
	if [ "$(wc -l <"$TEST_DIR/stderr")" != 1 ] || ! grep -qF -- "$2" "$TEST_DIR/stderr"; then
		cat "$TEST_DIR/stderr"
		return 1
	fi
}

ktap_plan 11
ktap_test "private memory" hostile around
ktap_test "and it serves on" serves around
ktap_test "shared memory" hostile minor
ktap_test "and it serves on" serves minor
ktap_test "a handler that says nothing" meets nothing "the handler has closed the connection"
ktap_test "garbage" meets garbage "is no r3map uffd serve of this version"
ktap_test "one that refuses" meets error "the handler refuses: not you"
ktap_test "pages that are none" meets pages "is no r3map uffd serve of this version"
ktap_test "no size" meets size "is no r3map uffd serve of this version"
ktap_test "another message" meets pong "says what it should not"
ktap_test "descriptors that it did not want" meets descriptors "says what it should not"
ktap_status
