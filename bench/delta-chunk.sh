#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does the size of a chunk do to deltas?
#
# Asked on the host, as delta is, of 256 MiB of random bytes in memory, each subject a size: nothing has changed; 1 % of
# it, in pieces of 64 KiB, or of 4 KiB, as a program that writes pages here and there leaves it; all of it. Time is that of the
# clock, from the start of both ends to the end of both; bytes are all that passed. With BENCH_FIRST=1 what is
# timed comes before everything else that wants to run. Run by run.sh.

set -euo pipefail
export TMPDIR=/dev/shm
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/delta.sh"

SUBJECTS_ALL="4K 16K 64K 256K 1M"
CASES_ALL="nothing pieces-64K pieces-4K all"
SIZE=$((256 * 1024 * 1024))

receiver=''
cleanup()
{
	[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || :
	rm -rf "$BENCH_TMP"
}
trap cleanup EXIT
cd "$BENCH_TMP"

# chunk_once SUBJECT CASE REPETITION
chunk_once()
{
	local seconds=0 cpu=0
	rm -rf copies
	mkdir copies
	cp old copies/new
	delta_first on
	delta_timed delta_r3map --chunk-size "$1"
	delta_first off
	bench_result "$1" "$2" s "$3" "$seconds"
	bench_result "$1" "$2" cpu_s "$3" "$cpu"
	bench_result "$1" "$2" mb "$3" "$(jq '.wire_bytes / 1e6' out)"
	cmp -s new copies/new || bench_die "$1 made something else of its copy"
}

# shellcheck disable=SC2086 # words are meant
mapfile -t cases < <(bench_cases $CASES_ALL)
head -c $SIZE /dev/urandom >old
for case in "${cases[@]}"; do
	bench_say "$case"
	case $case in
	nothing) delta_change 0 65536 ;;
	pieces-64K) delta_change 1 65536 ;;
	pieces-4K) delta_change 1 4096 ;;
	all) delta_change 100 65536 ;;
	*) bench_die "unknown case '$case': give one of $CASES_ALL" ;;
	esac
	for ((rep = 1; rep <= BENCH_REPS; rep++)); do
		for subject in ${BENCH_SUBJECTS:-$SUBJECTS_ALL}; do
			chunk_once "$subject" "$case" "$rep"
		done
	done
done
