#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will run every command that needs the module where there is none:
# each fails with status 1 and one sentence that says how to load it, prints
# nothing on stdout, and leaves no process behind.

. "$(dirname "$0")/../lib/test.sh"

requires_program r3map
! module_loaded || skip "the module is loaded"
! modinfo r3map >/dev/null 2>&1 || skip "the module is installed, so the kernel may load it by itself"
cd "$TEST_DIR"

without()
{
	local status=0
	timeout 60 r3map "$@" >out 2>err </dev/null || status=$?
	if [ $status != 1 ] || [ -s out ] || [ "$(wc -l <err)" != 1 ] ||
	   ! grep -q '^r3map: the kernel module r3map is not loaded: .*modprobe r3map' err; then
		note "status $status, stdout '$(head -c 200 out)', stderr '$(cat err)'"
		return 1
	fi
	! pgrep -f "r3map $*" >/dev/null
}

# features [-j]: fails as well, but tells what does without the module
features()
{
	local status=0
	r3map features "$@" >out 2>err || status=$?
	[ $status = 1 ] && grep -q '^r3map: the kernel module r3map is not loaded' err && grep -q '^.*program' out &&
		grep -q userfaultfd out && ! grep -q max out
}

truncate -s 1M image
cases=(
	"mount mem:1M"
	"mount --daemon mem:1M"
	"mount --run true mem:1M"
	"mount --read-only file:$TEST_DIR/image"
	"mount --recover 0 mem:1M"
	"umount 0"
	"umount --all"
	"list"
	"list -j"
	"show 0"
	"monitor"
	"set --park 1 0"
	"resize 0 1M"
)
ktap_plan $((${#cases[@]} + 2))
for c in "${cases[@]}"; do
	read -ra words <<<"$c"
	ktap_test "r3map $c" without "${words[@]}"
done
ktap_test "r3map features" features
ktap_test "r3map features -j" features -j
ktap_status
