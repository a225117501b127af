#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how does the number of push workers change how long it takes until what was written is
# at the server? 64 MiB, all written, then "r3map sync". In MB/s.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin r3map-managed,r3map-pipeline
far_file 64M
far_serve file "$FAR_FILE"
mapfile -t cases < <(bench_cases rtt0 rtt10 rtt30)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		for workers in 1 4 16 32 128; do
			far_command "$subject" --pull-workers 0 --push-interval 0 --push-workers "$workers"
			far_clock pause:0
			for ((rep = 1; rep <= BENCH_REPS; rep++)); do
				far_tasks fill sync
				mbps=$(awk -v ms="$(far_time sync)" 'BEGIN { printf "%.2f", 67108.864 / ms }')
				bench_result "$subject" "$case w$workers" mbps "$rep" "$mbps"
				bench_say "$subject $case w$workers $rep: $mbps MB/s"
			done
			far_detach
		done
	done
done
far_end
