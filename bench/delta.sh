#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does it cost to bring an old copy of a file up to date, beside rsync?
#
# Asked on the host, of processes, as nbd-server is. The file and its copies are in memory. For each case the same
# pieces are changed for all subjects, which begin with the same old copy, in turn; what they make is compared with the file. Time
# is that of the clock, from the start of both ends to the end of both; processor time is that of both. Run by run.sh.

set -euo pipefail
export TMPDIR=/dev/shm
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/delta.sh"

SUBJECTS_ALL="r3map r3map-sha256 rsync rsync-inplace rsync-whole"
CASES_ALL="changed-0 changed-1 changed-10 changed-100"
PIECES=16384		# of 64 KiB

receiver=''
cleanup()
{
	[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || :
	rm -rf "$BENCH_TMP"
}
trap cleanup EXIT
cd "$BENCH_TMP"

# delta_r3map [OPTION...]
delta_r3map()
{
	"$R3MAP" receive --once -l "unix:$PWD/socket" copies >/dev/null 2>receive.err &
	receiver=$!
	bench_wait "r3map receive" grep -q 'listens on' receive.err
	"$R3MAP" send -j "$@" --to "unix:$PWD/socket" new
	wait $receiver
	receiver=''
}

# delta_run SUBJECT: brings copies/new up to date
delta_run()
{
	case $1 in
	r3map) delta_r3map ;;
	r3map-sha256) delta_r3map --hash sha256 ;;
	rsync) rsync -I --no-whole-file --stats new copies/new ;;
	rsync-inplace) rsync -I --no-whole-file --inplace --stats new copies/new ;;
	rsync-whole) rsync -I --whole-file --stats new copies/new ;;
	*) bench_die "unknown subject '$1': give one of $SUBJECTS_ALL" ;;
	esac
}

# delta_mb SUBJECT: what passed between both ends, from "out"
delta_mb()
{
	case $1 in
	r3map*) jq '.wire_bytes / 1e6' out ;;
	*) tr -d , <out | awk '/^Total bytes (sent|received):/ { n += $4 } END { print n / 1e6 }' ;;
	esac
}

# delta_once SUBJECT CASE REPETITION
delta_once()
{
	local seconds=0 cpu=0
	rm -rf copies receive.err
	mkdir copies
	cp old copies/new
	delta_timed delta_run "$1"
	cmp -s new copies/new || bench_die "$1 made something else of its copy"
	bench_result "$1" "$2" s "$3" "$seconds"
	bench_result "$1" "$2" cpu_s "$3" "$cpu"
	bench_result "$1" "$2" mb "$3" "$(delta_mb "$1")"
}

head -c $((PIECES * 65536)) /dev/urandom >old
# shellcheck disable=SC2086 # words are meant
mapfile -t cases < <(bench_cases $CASES_ALL)
for case in "${cases[@]}"; do
	bench_say "$case"
	delta_change "${case#changed-}"
	for ((rep = 1; rep <= BENCH_REPS; rep++)); do
		for subject in ${BENCH_SUBJECTS:-$SUBJECTS_ALL}; do
			delta_once "$subject" "$case" "$rep"
		done
	done
done
