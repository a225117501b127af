#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:1
#
# This test will try to take over a device that is alive, with another backend, with one
# of a smaller size, and twice at once: one helper wins, nothing else changes.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

for name in file other small large; do truncate -s 8M "$TEST_DIR/$name"; done
truncate -s 4M "$TEST_DIR/small"
truncate -s 16M "$TEST_DIR/large"

# said WORD: was it in what the last refusal said?
said()
{
	grep -qi -- "$1" "$TEST_DIR/stderr" || fail "it said: $(cat "$TEST_DIR/stderr")"
	[ "$(wc -l <"$TEST_DIR/stderr")" = 1 ] || fail "more than a sentence: $(cat "$TEST_DIR/stderr")"
}
recover=(r3map mount --daemon --recover)

device_mount --park 1h --no-part-scan "file:$TEST_DIR/file"
expect_fail "${recover[@]}" "$DEV" "file:$TEST_DIR/file"
device_is live || fail "it is $(device_sysfs state)"
expect_fail "${recover[@]}" /dev/r3map77 "file:$TEST_DIR/file"
device_kill
expect_fail "${recover[@]}" "$DEV" "file:$TEST_DIR/other"
said backend
expect_fail "${recover[@]}" "$DEV" "file:$TEST_DIR/small"
expect_fail "${recover[@]}" "$DEV" --force "file:$TEST_DIR/small"
said bytes
expect_fail "${recover[@]}" "$DEV" "file:$TEST_DIR/none"
device_is parked || fail "it is $(device_sysfs state)"

for i in 1 2 3 4; do
	("${recover[@]}" "$DEV" "mem:8M" --force >/dev/null 2>&1 && echo won >>"$TEST_DIR/winners") &
	pids[i]=$!
done
for i in 1 2 3 4; do wait "${pids[i]}" || :; done
[ "$(wc -l <"$TEST_DIR/winners")" = 1 ] || fail "$(wc -l <"$TEST_DIR/winners") helpers have won"
device_is live || fail "it is $(device_sysfs state)"
dd if=/dev/zero of="$DEV" bs=1M count=8 oflag=direct status=none
[ "$(device_sysfs backend)" = mem:8M ] || fail "backend: $(device_sysfs backend)"

# a larger one will do, and changes nothing
device_kill
device_recover "file:$TEST_DIR/large" --force || fail "a larger backend"
[ "$(device_fact size)" = $((8 << 20)) ] || fail "the size is now $(device_fact size)"
