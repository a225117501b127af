# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What every script of the lab shares: where the repository and the cache
# are, and how progress and errors are told. Sourced, never run. Progress
# goes to stderr, because the stdout of most lab scripts is their result.

# shellcheck disable=SC2034 # for those who source this
R3MAP_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
R3MAP_CACHE=${R3MAP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/r3map}
export R3MAP_CACHE

# vm_say TEXT...: one line of progress, with the seconds since this shell began
vm_say()
{
	printf '[%4ds] %s\n' "$SECONDS" "$*" >&2
}

# vm_die TEXT...: one sentence that says what is wrong and what to do
vm_die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# vm_usage TEXT...: the caller typed something that makes no sense
vm_usage()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 2
}

# vm_lock FILE WHAT: hold FILE until this shell exits; says when it waits
vm_lock()
{
	mkdir -p "$(dirname "$1")"
	exec {VM_LOCK_FD}>"$1"
	if ! flock -n "$VM_LOCK_FD"; then
		vm_say "another run is busy with $2: waiting for it"
		flock "$VM_LOCK_FD"
	fi
}

# vm_logged LOG WHAT CMD...: run CMD quietly; on failure show the end of LOG
vm_logged()
{
	local log=$1 what=$2
	shift 2
	if ! "$@" >"$log" 2>&1 </dev/null; then
		tail -n 40 "$log" >&2
		vm_die "$what failed; the whole output is in $log"
	fi
}
