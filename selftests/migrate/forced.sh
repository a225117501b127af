#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2 7.2:1
#
# This test will kill the seeder's helper while it finalizes: as long as no leecher can have been told that the region is
# its own, writes go on at once, or with the next helper, which resumes the application; later it is left to a person.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program python3

# recovers: the next helper of $SOURCE
recovers()
{
	r3map seed --daemon --log "$TEST_DIR/seed.log" --unix "$TEST_DIR/seed.sock" --recover "$SOURCE" \
		--resume "touch $TEST_DIR/resumed" "$BACKEND" >/dev/null 2>"$TEST_DIR/told"
}

truncate -s 20M "$TEST_DIR/region"
r3map serve --unix "$TEST_DIR/backend.sock" "file:$TEST_DIR/region" &
server=$!
cleanup_fn eval "kill -CONT $server; kill $server"
wait_until 60 "the backend is served" test -S "$TEST_DIR/backend.sock"
BACKEND="nbd+unix:///?socket=$TEST_DIR/backend.sock&timeout=0"
seed "$BACKEND" --timeout 10m --suspend "touch $TEST_DIR/suspended"

# before all writes are at rest: that of dd does not end
leech --deadline 60s
of_await "$TARGET" .migration.phase following
kill -STOP $server
dd if=/dev/zero of="$SOURCE" bs=4k count=1 oflag=direct conv=notrunc status=none &
late=$!
of_await "$SOURCE" '.in_flight > 0' true
r3map finalize "$TARGET" >/dev/null 2>&1 &
of_await "$SOURCE" .hold writes
[ -e "$TEST_DIR/suspended" ] || fail "the application was not stopped"
# one that is held, and is let go
dd if=/dev/zero of="$SOURCE" bs=4k seek=8 count=1 oflag=direct conv=notrunc status=none &
held=$!
of_await "$SOURCE" .held 1
kill -9 "$(helper_of "$SOURCE")"
of_await "$SOURCE" .hold none
of_is "$SOURCE" .held 0 || fail "a write is held still"
kill -CONT $server
recovers
wait $late || fail "the write that was late has failed"
wait $held || fail "the write that was held has failed"
[ -e "$TEST_DIR/resumed" ] || fail "the application was not resumed"
r3map umount --force "$TARGET"

# given: FINALIZED was answered
cat >"$TEST_DIR/finalize.py" <<'END'
import struct, sys
from control import ask, link

s, kind = link(sys.argv[1])
assert kind == 1
assert ask(s, 1, struct.pack(">QI", 0, 0))[0] == 0x8003
assert ask(s, 3, struct.pack(">II", 0, 60000))[0] == 0x8005
END

# given_and_killed: a leecher has the region, and is gone, and so is the seeder's helper
given_and_killed()
{
	rm -f "$TEST_DIR/resumed"
	leecher_by_hand "$TEST_DIR/finalize.py" "$TEST_DIR/seed.sock"
	of_await "$SOURCE" .hold writes
	dd if=/dev/zero of="$SOURCE" bs=4k seek=16 count=1 oflag=direct conv=notrunc status=none &
	held=$!
	of_await "$SOURCE" .held 1
	kill -9 "$(helper_of "$SOURCE")"
	of_await "$SOURCE" .state PARKED
}

given_and_killed
recovers
grep -q 'an earlier helper has given the region to a leecher' "$TEST_DIR/told" || fail "nobody is told what to do"
[ "$(of "$SOURCE" .hold)" = writes ] || fail "it takes back what a leecher may have"
[ ! -e "$TEST_DIR/resumed" ] || fail "the application was resumed, which may be a leecher's"
r3map finalize --undo "$SOURCE"
wait $held || fail "the write that was held has failed"
[ -e "$TEST_DIR/resumed" ] || fail "the application was not resumed"

# killed a moment earlier, the word of which is not that of the end
given_and_killed
sed -i 's/ 2$/ 1/' "/run/r3map/${SOURCE#/dev/}.seed"
recovers
wait $held || fail "the write that was held has failed"
[ -e "$TEST_DIR/resumed" ] || fail "the application was not resumed"
of_is "$SOURCE" .hold none || fail "it is held still"
[ ! -e "/run/r3map/${SOURCE#/dev/}.seed" ] || fail "its word is left"
r3map umount "$SOURCE"
