#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will read a region of random bytes and holes through memory that another process fills: plain, with
# each improvement, with all, and by SIGSEGV. The bytes are always those of the backend, the part behind its end is
# zeroes, and readers from many threads see the same.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_uffd events
size=$((8 * 1024 * 1024 + 512))	# its last page is not whole
head -c $size /dev/urandom >"$TEST_DIR/image"
dd if=/dev/zero of="$TEST_DIR/image" bs=64K seek=20 count=30 conv=notrunc status=none
cp "$TEST_DIR/image" "$TEST_DIR/whole"
truncate -s $((size / 4096 * 4096 + 4096)) "$TEST_DIR/whole"
want=$(sha256sum <"$TEST_DIR/whole")

# reads NAME LIST [OPTION...]: what the command gets of a handler with these improvements
reads()
{
	local name=$1 list=$2 got how=()
	shift 2
	[ "${*: -1}" != --signals ] || how=(--signals)
	handler "$name" "file:$TEST_DIR/image" --improve "$list" "${@/--signals/--in-flight=8}"
	got=$(r3map uffd map --socket "$TEST_DIR/$name" --run sha256sum "${how[@]}") || return
	[ "$got" = "$want" ] || { note "$got, not $want"; return 1; }
}

# threads NAME LIST [OPTION...]: readers in many threads, and what they read is right
threads()
{
	local name=$1 list=$2
	shift 2
	handler "$name" "file:$TEST_DIR/image" --improve "$list"
	client "$TEST_DIR/$name" "$@" && ask ok readers 0 16 && ask ok save 0 "$TEST_DIR/saved" &&
		cmp "$TEST_DIR/saved" "$TEST_DIR/whole" && ask ok close
}

# tries NAME LIST: or skips what this kernel has not
tries()
{
	local why
	if why=$(uffd_why "$2"); then
		ktap_test "--improve $2" reads "$1" "$2"
	else
		ktap_skip "--improve $2" "$why"
	fi
}

ktap_plan 16
tries plain none
for one in events in-flight around populate minor poison dirty; do
	[ $one = dirty ] && tries $one minor,dirty && continue
	tries $one $one
done
tries all all
ktap_test "in reverse" reads reverse populate --order reverse
if why=$(uffd_why huge); then
	# whole huge pages
	truncate -s 4M "$TEST_DIR/huge.image"
	dd if="$TEST_DIR/image" of="$TEST_DIR/huge.image" bs=1M count=4 conv=notrunc status=none
	handler huge "file:$TEST_DIR/huge.image" --improve huge
	ktap_test "--improve huge" eval "[ \"\$(r3map uffd map --socket '$TEST_DIR/huge' --run sha256sum)\" = \"\$(sha256sum <'$TEST_DIR/huge.image')\" ]"
else
	ktap_skip "--improve huge" "$why"
fi
ktap_test "by SIGSEGV" reads signals none --signals
ktap_test "by SIGSEGV, a fault brings more" reads signals-around around,populate --signals
ktap_test "many threads, plain" threads many none
ktap_test "many threads, all" threads many-all all
ktap_test "many threads, by SIGSEGV" threads many-signals none signals
ktap_status
