#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will have a backend that cannot read one page: whoever touches that page gets SIGBUS, with POISON and without it, and
# every other page is there, also those that were to come with it.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_uffd events
head -c 1M /dev/urandom >"$TEST_DIR/image"
backend="fault:op=read,range=512K-516K:file:$TEST_DIR/image"
before=$(byte "$TEST_DIR/image" 524287)
after=$(byte "$TEST_DIR/image" 528384)
last=$(byte "$TEST_DIR/image" 1048575)

# holes NAME LIST [OPTION...]
holes()
{
	local name=$1 list=$2
	shift 2
	handler "$name" "$backend" --improve "$list"
	client "$TEST_DIR/$name" "$@"
	ask "$before" get 0 524287 && ask bus get 0 524288 && ask bus get 0 528383 && ask "$after" get 0 528384 &&
		ask bus set 0 525000 1 && ask "$last" get 0 1048575 && ask ok close
}

# told: a command's memory that breaks off is told, and is a failure
told()
{
	local status=0
	handler told "$backend" --improve none
	r3map uffd map --socket "$TEST_DIR/told" --run "cat >/dev/null" 2>"$TEST_DIR/err" || status=$?
	[ $status = 1 ] && [ "$(wc -l <"$TEST_DIR/err")" = 1 ] &&
		grep -q '^r3map: the 65536 bytes at 524288 of slice 0 cannot be read' "$TEST_DIR/err"
}

ktap_plan 6
ktap_test "plain" holes plain none
ktap_test "the bytes around it" holes around around,populate
if uffd_why poison >/dev/null; then
	ktap_test "with POISON" holes poison poison,around
else
	ktap_skip "with POISON" "this kernel has no poison"
fi
ktap_test "all" holes all all
ktap_test "by SIGSEGV" holes signals around signals
ktap_test "a command is told" told
ktap_status
