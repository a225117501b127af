#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will map several parts of a region, and parts that two handlers serve, in one process: each memory
# has its bytes, pages that were given back come again, a child has none of it, and a slice
# that is none is refused with a sentence.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_uffd events
head -c 4M /dev/urandom >"$TEST_DIR/image"
head -c 1M /dev/urandom >"$TEST_DIR/other"

# saved SLICE OFFSET LENGTH: the slice is this part of the image. Read first: a system call does not do for
# SIGSEGV
saved()
{
	ask ok readers "$1" 1 && ask ok save "$1" "$TEST_DIR/saved" &&
		cmp "$TEST_DIR/saved" <(tail -c +$(($2 + 1)) "$TEST_DIR/image" | head -c "$3")
}

# refused TEXT SLICE...
refused()
{
	local text=$1 words=() one
	shift
	for one; do words+=(--slice "$one"); done
	expect_fail r3map uffd map --socket "$TEST_DIR/first" "${words[@]}" --run true >/dev/null
	grep -qF -- "$text" "$TEST_DIR/stderr" || { cat "$TEST_DIR/stderr"; return 1; }
}

# parts HOW LIST [OPTION...]
parts()
{
	local how=$1 list=$2
	shift 2
	handler "$how" "file:$TEST_DIR/image" --improve "$list"
	client "$TEST_DIR/$how" slice=1M+256K slice=0+4K slice=2M "$@"
	ktap_test "$how: a slice" saved 0 $((1024 * 1024)) $((256 * 1024))
	ktap_test "$how: one page" saved 1 0 4096
	ktap_test "$how: up to the end" saved 2 $((2048 * 1024)) $((2048 * 1024))
	ktap_test "$how: a child does not have it" ask segv child 0 0
	if [[ " $* " != *' signals '* ]]; then
		ktap_test "$how: pages are given back" ask ok drop 2 0 65536
		ktap_test "$how: and come again" saved 2 $((2048 * 1024)) $((2048 * 1024))
	fi
	ktap_test "$how: it ends" ask ok close
}

# split: a part that the program has made a mapping of its own does not keep its neighbours from coming
split()
{
	handler split "file:$TEST_DIR/image" --improve "$1"
	client "$TEST_DIR/split" && ask ok split 0 20480 4096 && ask ok readers 0 4 && ask ok save 0 "$TEST_DIR/saved" &&
		cmp "$TEST_DIR/saved" "$TEST_DIR/image" && ask ok close
}

ktap_plan $((7 + 7 + 5 + 9))
parts first none
parts shared minor,around
parts signals around signals

ktap_test "private: a part of its own" split around
ktap_test "shared: a part of its own" split minor,around

# two handlers, and two clients at the same time
handler first "file:$TEST_DIR/image" --improve none
handler_more second "file:$TEST_DIR/other" --improve none
r3map uffd map --socket "$TEST_DIR/first" --run "r3map uffd map --socket '$TEST_DIR/second' --run \"cat >'$TEST_DIR/b'\"; cat >'$TEST_DIR/a'"
ktap_test "two handlers at a time" eval "cmp '$TEST_DIR/a' '$TEST_DIR/image' && cmp '$TEST_DIR/b' '$TEST_DIR/other'"

# bare: what a command is run with: its input, its output, and nothing of the memory
bare()
{
	handler_more bare mem:1M --improve "$1"
	r3map uffd map --socket "$TEST_DIR/bare" --run "ls -l /proc/self/fd >'$TEST_DIR/fds'; cat >/dev/null" || return
	! grep -E 'userfaultfd|memfd|eventfd' "$TEST_DIR/fds"
}
ktap_test "a command has no descriptor of it" bare minor,around
ktap_test "behind the end" refused "are not whole pages of 4096 bytes within" 4M+4K
ktap_test "not whole pages" refused "are not whole pages of 4096 bytes within" 0+100
ktap_test "no slice at all" refused "is no slice" 12x
ktap_test "twice the same" refused "overlap" 0+8K 4K+8K
ktap_test "nobody there" eval "expect_fail r3map uffd map --socket '$TEST_DIR/none' --run true && grep -q 'cannot connect to $TEST_DIR/none' '$TEST_DIR/stderr'"
ktap_status
