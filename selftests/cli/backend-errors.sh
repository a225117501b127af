#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will mount backends that cannot be opened: the message names the
# backend's trouble, and no device and no process is left behind.

. "$(dirname "$0")/../lib/test.sh"

requires_program r3map
cd "$TEST_DIR"

# refused TEXT ARG...: fails with TEXT within one line on stderr, whether there is a module or not
refused()
{
	local text=$1 status=0
	shift
	timeout 60 r3map mount "$@" >out 2>err </dev/null || status=$?
	if [ $status != 1 ] || [ -s out ] || [ "$(wc -l <err)" != 1 ] || ! grep -qF -- "$text" err; then
		note "status $status, stdout '$(head -c 200 out)', stderr '$(cat err)'"
		return 1
	fi
}

touch empty
ktap_plan 7
ktap_test "an unknown scheme" refused "'nosuch:1' is not a backend" nosuch:1
ktap_test "no scheme at all" refused "'/dev/null' is not a backend" /dev/null
ktap_test "a file that is not there" refused "$TEST_DIR/none" "file:$TEST_DIR/none"
ktap_test "a folder" refused "$TEST_DIR" "file:$TEST_DIR"
ktap_test "an empty file" refused "$TEST_DIR/empty" "file:$TEST_DIR/empty"
ktap_test "a server that is not there" refused "$TEST_DIR/sock" "nbd+unix:///x?socket=$TEST_DIR/sock"
ktap_test "the same in the background" refused "$TEST_DIR/none" --daemon "file:$TEST_DIR/none"
ktap_status
