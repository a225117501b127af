# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# KTAP, the kernel's test output, for a test of several claims. A test that
# makes one claim needs none of this: its exit status is the result (0 pass,
# 4 skip, anything else a failure). Sourced by test.sh.

KTAP_N=0
KTAP_PLAN=0
KTAP_FAILED=0
KTAP_SKIPPED=0

# ktap_plan N: how many results will follow; a different number fails the test
ktap_plan()
{
	KTAP_PLAN=$1
	printf 'KTAP version 1\n1..%d\n' "$1"
}

# ktap_ok NAME: a claim held
ktap_ok()
{
	KTAP_N=$((KTAP_N + 1))
	printf 'ok %d %s\n' "$KTAP_N" "$*"
}

# ktap_not_ok NAME: a claim did not hold; the test goes on and fails at its end
ktap_not_ok()
{
	KTAP_N=$((KTAP_N + 1))
	KTAP_FAILED=$((KTAP_FAILED + 1))
	printf 'not ok %d %s\n' "$KTAP_N" "$*"
}

# ktap_skip NAME REASON: a claim could not be tried
ktap_skip()
{
	KTAP_N=$((KTAP_N + 1))
	KTAP_SKIPPED=$((KTAP_SKIPPED + 1))
	printf 'ok %d %s # SKIP %s\n' "$KTAP_N" "$1" "${*:2}"
}

# ktap_test NAME CMD...: the claim NAME holds when CMD succeeds
ktap_test()
{
	local name=$1
	shift
	if "$@"; then ktap_ok "$name"; else ktap_not_ok "$name"; fi
}

# ktap_status: 0 when every planned claim was made and none failed
ktap_status()
{
	if [ "$KTAP_PLAN" != 0 ] && [ "$KTAP_PLAN" != "$KTAP_N" ]; then
		printf '# %d results were planned, %d came\n' "$KTAP_PLAN" "$KTAP_N"
		return 1
	fi
	[ "$KTAP_FAILED" = 0 ]
}
