#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
#
# This test will count, at the backend of a seeder, what a round and a finalize ask for: what was written since the
# last one, and nothing else.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_program nbdkit

LOG=$TEST_DIR/requests
nbdkit --exit-with-parent -f -U "$TEST_DIR/nbdkit.sock" --filter=log memory 64M logfile="$LOG" &
wait_until 30 "nbdkit" test -S "$TEST_DIR/nbdkit.sock"
# with structured replies it is asked about holes
seed "nbd+unix:///?socket=$TEST_DIR/nbdkit.sock&headers=structured"
dd if=/dev/urandom of="$SOURCE" bs=1M count=64 oflag=direct status=none || :
leech
of_await "$TARGET" .migration.phase following

# asked NAME: each request of that name from line $mark of the log on, as "offset count" in decimal
asked()
{
	tail -n +"$mark" "$LOG" | sed -n "s/.* $1 id=.* offset=\(0x[0-9a-f]*\) count=\(0x[0-9a-f]*\).*/\1 \2/p" |
		while read -r offset count; do echo $((offset)) $((count)); done
}

# within NAME FROM TO...: fails if a request of that name is not within one of these
within()
{
	local name=$1 offset count
	shift
	while read -r offset count; do
		echo "$@" | xargs -n 2 | awk -v o="$offset" -v c="$count" \
			'o >= $1 && o + c <= $2 { found = 1 } END { exit !found }' ||
			fail "$name of $count bytes at $offset, where nothing was written"
	done < <(asked "$name")
}

# from here on: the first pull has gone through all of it
round=$(of "$TARGET" .migration.round)
wait_until 60 "another round" eval '[ "$(of "$TARGET" .migration.round)" -gt '"$round"' ]'
mark=$(($(wc -l <"$LOG") + 1))
dd if=/dev/urandom of="$SOURCE" bs=1M seek=8 count=1 oflag=direct status=none
dd if=/dev/urandom of="$SOURCE" bs=64K seek=768 count=1 oflag=direct status=none
dd if=/dev/urandom of="$SOURCE" bs=4K seek=15360 count=1 oflag=direct status=none
round=$(of "$TARGET" .migration.round)
wait_until 60 "some rounds" eval '[ "$(of "$TARGET" .migration.round)" -gt $(('"$round"' + 3)) ]'
written=(8388608 9437184 50331648 50397184 62914560 62980096)
within Extents "${written[@]}"
within Read "${written[@]}"
reads=$(asked Read | awk '{ bytes += $2 } END { print bytes }')
[ "$reads" -le $((1048576 + 3 * 65536)) ] || fail "what was written was read more than once: $reads bytes"
[ "$reads" -ge $((1048576 + 65536 + 4096)) ] || fail "what was written was not read: $reads bytes"

# while somebody has it open, the seeder stays
exec 9<"$SOURCE"
mark=$(($(wc -l <"$LOG") + 1))
r3map finalize "$TARGET"
of_await "$TARGET" .migration.phase complete
[ -z "$(asked Read)$(asked Extents)" ] || fail "nothing was written, and the finalize has asked for something"
cmp "$SOURCE" "$TARGET" || fail "it is not what it was"
exec 9<&-
