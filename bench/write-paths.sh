#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how fast is a region written that is elsewhere, on each of the paths that are devices? 64 MiB behind
# FAR_RATE, past the page cache, with the defaults of each. "random": 4 KiB at random places, 32 at a time, for half a
# second, of a region that is written as soon as it is there. Then all of it in order, 1 MiB at a time: "written", when the last
# write has returned; "at the server", when it has all, which is what an fsync() waits for on a direct mount, and
# on a managed one with --flush=remote.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

BENCH_SIZE=64M
BYTES=67108864
export BENCH_RUNTIME=500ms

# mbps MS: of all of it
mbps()
{
	awk -v ms="$1" -v bytes=$BYTES 'BEGIN { printf "%.2f", bytes / 1000 / ms }'
}

far_begin "$FAR_SUBJECTS"
far_memory "$BENCH_SIZE"
mapfile -t cases < <(bench_cases rtt0 rtt1 rtt10 rtt40)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			far_command "$subject"
			far_clock pause:0
			bench_fio "$FAR_DEVICE" randwrite-qd32 >"$BENCH_TMP/json"
			read -r _ _ _ kiops _ < <(jq -r "$BENCH_JQ | @tsv" "$BENCH_TMP/json")
			far_tasks sync fill sync
			fill=$(far_time fill)
			both=$(awk -v fill="$fill" '$1 == "sync" { last = $2 } END { print fill + last }' "$FAR_OUT")
			far_detach
			bench_result "$subject" "$case random" kiops "$rep" "$kiops"
			bench_result "$subject" "$case written" mbps "$rep" "$(mbps "$fill")"
			bench_result "$subject" "$case at the server" mbps "$rep" "$(mbps "$both")"
			bench_say "$subject $case $rep: $kiops kIOPS, written in $fill ms, at the server in $both ms"
		done
	done
done
far_end
