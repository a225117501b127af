#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will mount via the kernel's NBD client where there is none, and name devices of it that
# are none of r3map's: each fails with status 1 and one sentence.

. "$(dirname "$0")/../lib/test.sh"

requires_program r3map
[ ! -d /sys/module/nbd ] || skip "nbd is loaded"
! modinfo nbd >/dev/null 2>&1 || skip "nbd is installed, so the kernel may load it by itself"
cd "$TEST_DIR"

# fails TEXT ARGUMENT...: does r3map fail, and say so?
fails()
{
	local want=$1 status=0
	shift
	timeout 60 r3map "$@" >out 2>err </dev/null || status=$?
	if [ $status != 1 ] || [ -s out ] || [ "$(wc -l <err)" != 1 ] || ! grep -q "$want" err; then
		note "status $status, stdout '$(head -c 200 out)', stderr '$(cat err)'"
		return 1
	fi
}

ktap_plan 6
ktap_test "mount" fails "run 'modprobe nbd'" mount --via nbd mem:1M
ktap_test "mount --managed" fails "'modprobe nbd'" mount --via nbd --managed --daemon mem:1M
ktap_test "a backend that is none" fails "not a backend" mount --via nbd --managed nope:
ktap_test "umount" fails "is no device of r3map" umount /dev/nbd7
ktap_test "sync" fails "is no device of r3map" sync nbd7
ktap_test "show" fails "is no device of r3map" show -j /dev/nbd7
ktap_status
