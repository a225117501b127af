# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by every functional test, first thing:
#
#	. "$(dirname "$0")/../lib/test.sh"
#
# Gives it a scratch folder ($TEST_DIR), r3map in the PATH, marks in the
# kernel log and the verbs below. A test registers its cleanup before it
# creates what is to be cleaned up; cleanups run in reverse order, however
# the test ends. Exit status: 0 pass, 4 skip, anything else a failure.

set -euo pipefail

TEST_LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
TEST_TOP=$(cd "$TEST_LIB/../.." && pwd -P)
TEST_NAME=${TEST_NAME:-$(basename "$(dirname "$0")")/$(basename "$0")}
# TEST_PATH: programs to be tried in place of those, for sanitize.sh
PATH=${TEST_PATH:+$TEST_PATH:}$TEST_TOP/user:$TEST_TOP/selftests/bin:$PATH
export PATH
# shellcheck source-path=SCRIPTDIR
. "$TEST_LIB/ktap.sh"
# shellcheck source-path=SCRIPTDIR
. "$TEST_LIB/kmsg.sh"

TEST_CLEANUP=()
TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/r3map-test.XXXXXX")
kmsg_say "start $TEST_NAME"

# cleanup_fn CMD...: run CMD when the test ends, last registered first
cleanup_fn()
{
	local quoted
	printf -v quoted '%q ' "$@"
	TEST_CLEANUP+=("$quoted")
}

# note TEXT: a remark in the output
note()
{
	printf '# %s\n' "$*"
}

# fail TEXT: the test ends here, and failed
fail()
{
	printf '# FAILED: %s (%s:%s)\n' "$*" "$(basename "${BASH_SOURCE[1]}")" "${BASH_LINENO[0]}"
	exit 1
}

# skip REASON: the test ends here, and could not be tried
skip()
{
	printf '1..0 # SKIP %s\n' "$*"
	exit 4
}

# requires CMD...: skip the test unless CMD succeeds
requires()
{
	"$@" >/dev/null 2>&1 || skip "requires: $*"
}

# requires_program NAME...: skip the test unless all of these are installed
requires_program()
{
	local p
	for p in "$@"; do
		command -v "$p" >/dev/null || skip "$p is not installed"
	done
}

# requires_root: skip the test unless it may do everything
requires_root()
{
	[ "$(id -u)" = 0 ] || skip "must be root"
}

# requires_kernel MAJOR.MINOR: skip the test on an older kernel
requires_kernel()
{
	[ "$(printf '%s\n%s\n' "$1" "$(uname -r)" | sort -V | head -n 1)" = "$1" ] ||
		skip "needs kernel $1 or newer, this is $(uname -r)"
}

# requires_module [PARAMETER...]: the test is about the module: load it
requires_module()
{
	requires_root
	module_loaded && [ $# = 0 ] && return
	! module_loaded || module_unload
	if [ -z "${R3MAP_KO:-}" ] && ! modinfo r3map >/dev/null 2>&1; then
		skip "no r3map.ko: set R3MAP_KO, or run it in the lab (see selftests/README.md)"
	fi
	module_load "$@"
}

# module_loaded: is r3map.ko in the kernel?
module_loaded()
{
	[ -d /sys/module/r3map ]
}

# module_load [PARAMETER...]: insmod $R3MAP_KO, or modprobe the installed one
module_load()
{
	if [ -n "${R3MAP_KO:-}" ]; then
		insmod "$R3MAP_KO" "$@"
	else
		modprobe r3map "$@"
	fi
}

# module_unload: rmmod; says who holds it when it cannot
module_unload()
{
	local why
	if ! why=$(rmmod r3map 2>&1); then
		note "rmmod: $why"
		note "users: $(cat /sys/module/r3map/refcnt 2>/dev/null), devices: $(device_all | paste -sd ' ')"
		return 1
	fi
}

# device_all: the r3map devices there are, as /dev paths
device_all()
{
	local d
	for d in /sys/block/r3map*; do
		[ ! -e "$d" ] || printf '/dev/%s\n' "${d##*/}"
	done
}

# wait_until SECONDS WHAT CMD...: poll until CMD succeeds. The bound is for
# hangs only; what a test means to measure it measures otherwise.
wait_until()
{
	local limit=$1 what=$2 end
	shift 2
	end=$((SECONDS + limit * ${TEST_SLOW:-1}))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "after $((limit * ${TEST_SLOW:-1})) s still not: $what"
		sleep 0.05
	done
}

# slow N [M]: N, on a slow (debug) kernel or in valgrind M or a quarter of it, at least 1: numbers of rounds
slow()
{
	local n=$1
	[ "${TEST_SLOW:-1}" = 1 ] || n=${2:-$(($1 / 4))}
	echo $((n > 0 ? n : 1))
}

# process_ended PID: it runs no more. Whoever adopted a daemon may take seconds to look at its end, which
# kill -0 would wait for
process_ended()
{
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	[[ ${stat##*) } == [ZX]* ]]
}

# process_stop PID: SIGSTOP, and wait until all its threads have: the signal stops one, which then
# stops the others
process_stop()
{
	kill -STOP "$1"
	wait_until 20 "all of process $1 is stopped" process_stopped "$1"
}

process_stopped()
{
	! grep -h '^State:' "/proc/$1"/task/*/status | grep -qv '(stopped)'
}

# expect_fail CMD...: CMD must fail, as a program does: neither by a signal
# nor for want of the program; its stderr is left in $TEST_DIR/stderr
expect_fail()
{
	local status=0
	"$@" 2>"$TEST_DIR/stderr" || status=$?
	[ $status != 0 ] || fail "should have failed: $*"
	[ $status -lt 125 ] || fail "died with status $status: $*"
}

# test_end: the only exit handler
test_end()
{
	local status=$? i
	trap - EXIT ERR
	set +e
	for ((i = ${#TEST_CLEANUP[@]} - 1; i >= 0; i--)); do
		eval "${TEST_CLEANUP[i]}" ||
			note "cleanup failed: ${TEST_CLEANUP[i]}"
	done
	if [ $status = 0 ] && ! ktap_status; then
		status=1
	fi
	rm -rf "$TEST_DIR"
	kmsg_say "end $TEST_NAME, status $status"
	exit $status
}
trap test_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'printf "# %s:%s: status %s from: %s\n" "${BASH_SOURCE[0]##*/}" "$LINENO" "$?" "$BASH_COMMAND"' ERR
set -E
