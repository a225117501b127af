#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2 7.2:2
#
# This test will lose the source right behind a finalize with --push-all-first, which loses nothing; and have such a
# finalize undone that cannot fetch the rest in time.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence

# at the first time, what is written last cannot come
cat >"$TEST_DIR/suspend" <<'END'
[ ! -e "$0.once" ] || exit 0
touch "$0.once"
r3map set --pull pause /dev/r3map1
exec dd if=/dev/urandom of="$R3MAP_DEVICE" bs=4k seek=5119 count=1 oflag=direct conv=notrunc
END
truncate -s $((5120 * 4096)) "$TEST_DIR/region"
seed "file:$TEST_DIR/region" --suspend "sh $TEST_DIR/suspend" --resume "touch $TEST_DIR/resumed"
writer direct "$SOURCE" /dev/r3map1
leech --push-all-first --deadline 5s
of_await "$TARGET" .migration.phase following
! r3map finalize "$TARGET" 2>"$TEST_DIR/told" || fail "finalized without all that was written"
grep -q 'did not come in time' "$TEST_DIR/told" || { cat "$TEST_DIR/told"; fail "no reason is told"; }
of_is "$TARGET" .hold all || fail "somebody was let in"
of_await "$SOURCE" .hold none
[ -e "$TEST_DIR/resumed" ] || fail "the application was not resumed"
writer_goes_on

r3map set --pull run "$TARGET"
of_await "$TARGET" .migration.phase following
# somebody keeps its device open, so that its helper does not go by itself
exec 9<"$SOURCE"
helper=$(cat "/sys/block/${SOURCE#/dev/}/r3map/helper_pid")
r3map finalize "$TARGET"
kill -9 "$helper"
exec 9<&-
rm "$TEST_DIR/region"
[ "$(of "$TARGET" .local)" = $((20 << 20)) ] || fail "not all is here"
writer_goes_on
writer_ends "$TARGET"
of_await "$TARGET" .migration.phase complete
r3map umount --force "$SOURCE"
r3map umount "$TARGET"
