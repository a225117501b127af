#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will finalize by a signal, and by a key on the leecher's terminal, where others do nothing.

# shellcheck disable=SC2016,SC2034,SC2119 # eval expands, and uses; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program python3

head -c 4M /dev/urandom >"$TEST_DIR/image"

# moved: all of it is at the leecher
moved()
{
	of_await "$TARGET" .migration.phase complete
	cmp "$TARGET" "$TEST_DIR/image" || fail "what has come is not what was there"
	r3map umount "$TARGET"
	wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
}

seed "file:$TEST_DIR/image"
leech
of_await "$TARGET" .migration.phase following
kill -USR1 "$(of "$TARGET" .helper_pid)"
moved

seed "file:$TEST_DIR/image"
cat >"$TEST_DIR/terminal.py" <<'END'
import os, pty, select, sys

said, keys, uri = sys.argv[1:]
pid, terminal = pty.fork()
if not pid:
    os.execvp("r3map", ["r3map", "leech", uri])
out = open(said, "ab", buffering=0)
keys = os.open(keys, os.O_RDWR)  # never at its end
while True:
    for fd in select.select([terminal, keys], [], [])[0]:
        try:
            data = os.read(fd, 1000)
        except OSError:
            data = b""  # the other side of the terminal is gone
        if fd == keys:
            os.write(terminal, data)
        elif data:
            out.write(data)
        else:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
mkfifo "$TEST_DIR/keys"
python3 "$TEST_DIR/terminal.py" "$TEST_DIR/said" "$TEST_DIR/keys" "$URI" &
terminal=$!
cleanup_fn eval "kill $terminal 2>/dev/null || :"
wait_until 60 "the leecher has a device" grep -qs /dev/r3map "$TEST_DIR/said"
TARGET=$(grep -o '/dev/r3map[0-9]*' "$TEST_DIR/said" | head -n 1)
cleanup_fn device_remove "$TARGET"
of_await "$TARGET" .migration.phase following
printf 'x\nff\n\n' >"$TEST_DIR/keys"
round=$(of "$TARGET" .migration.round)
wait_until 60 "two rounds are over" eval '[ "$(of "$TARGET" .migration.round)" -gt $((round + 2)) ]'
of_is "$TARGET" .migration.phase following || fail "any key finalizes"
printf 'f\n' >"$TEST_DIR/keys"
moved
wait $terminal || fail "the leecher ended with $?: $(cat "$TEST_DIR/said")"
