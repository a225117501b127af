#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how does the number of pull workers change how long it takes until everything is here?
# 64 MiB behind FAR_RATE; the device is ready when all of it is. In MB/s.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin r3map-managed,r3map-pipeline
far_memory 64M
mapfile -t cases < <(bench_cases rtt0 rtt10 rtt30)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		for workers in 1 4 16 64 256 1024; do
			far_command "$subject" --pull-first 64M --pull-workers "$workers"
			for ((rep = 1; rep <= BENCH_REPS; rep++)); do
				far_clock pause:0
				far_detach
				mbps=$(awk -v ms="$(far_time ready)" 'BEGIN { printf "%.2f", 67108.864 / ms }')
				bench_result "$subject" "$case w$workers" mbps "$rep" "$mbps"
				bench_say "$subject $case w$workers $rep: $mbps MB/s"
			done
		done
	done
done
far_end
