#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12 7.2:1
#
# This test will ask a seeder, as any NBD client may, what was written and not told to a leecher yet, and what it has:
# the one changes with what is written and with what is told, the other is all of it.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_program nbdinfo

# map CONTEXT: "offset length flags" a line, of a context of $URI
map()
{
	nbdinfo --map="$1" "$URI" | awk '{ print $1, $2, $3 }'
}

# map_is CONTEXT LINE...: does it say so?
map_is()
{
	local context=$1
	shift
	[ "$(map "$context")" = "$(printf '%s\n' "$@")" ] || { map "$context"; return 1; }
}

truncate -s 3000M "$TEST_DIR/image"
seed "file:$TEST_DIR/image"
nbdinfo --json "$URI" | jq -r '.exports[0].contexts[]' | sort | tr '\n' ' ' | grep -qx 'base:allocation r3map:dirty r3map:local ' ||
	fail "the contexts are not told"
# nobody watches: nothing is known to be dirty. One answer is for 1 GiB at most, and equal ones come together
dd if=/dev/urandom of="$SOURCE" bs=64K count=1 oflag=direct status=none
map_is r3map:dirty "0 3145728000 0" || fail "something is dirty without a leecher"
map_is r3map:local "0 3145728000 1" || fail "not all of it is local"
leech
of_await "$TARGET" .migration.phase following
leecher=$(of "$TARGET" .helper_pid)
map_is r3map:dirty "0 3145728000 0" || fail "something is dirty, and was not written"
kill -STOP "$leecher"
cleanup_fn eval 'kill -CONT $leecher 2>/dev/null || :'
dd if=/dev/urandom of="$SOURCE" bs=4K seek=3 count=2 oflag=direct status=none
dd if=/dev/urandom of="$SOURCE" bs=1M seek=1023 count=2 oflag=direct status=none
dd if=/dev/urandom of="$SOURCE" bs=4K seek=767999 count=1 oflag=direct status=none
want=("0 12288 0" "12288 8192 1" "20480 1072672768 0" "1072693248 2097152 1" "1074790400 2070933504 0" "3145723904 4096 1")
# looking changes nothing
map_is r3map:dirty "${want[@]}" || fail "what was written is not dirty"
map_is r3map:dirty "${want[@]}" || fail "it is not when it is asked for again"
map_is r3map:local "0 3145728000 1" || fail "not all of it is local when it is written"
kill -CONT "$leecher"
wait_until 60 "all is told" map_is r3map:dirty "0 3145728000 0"
exec 9<"$SOURCE"
r3map finalize "$TARGET"
of_await "$TARGET" .migration.phase complete
cmp -n 8388608 "$SOURCE" "$TARGET" || fail "it is not what it was"
exec 9<&-
