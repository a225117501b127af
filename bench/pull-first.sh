#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how much should be here before the device is ready? 256 MiB behind FAR_RATE, with
# --pull-first of several sizes: until the device is ready, and until all of it was read through the
# page cache. In milliseconds, both from the start of the command.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin r3map-managed,r3map-pipeline
far_memory "$BENCH_SIZE"
mapfile -t cases < <(bench_cases rtt0 rtt10 rtt30)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		for first in 0 1M 4M 16M 64M 256M; do
			far_command "$subject" --pull-first "$first"
			for ((rep = 1; rep <= BENCH_REPS; rep++)); do
				far_clock all
				far_detach
				all=$(awk -v a="$(far_time all)" -v b="$(far_time ready)" 'BEGIN { print a + b }')
				bench_result "$subject" "$case $first ready" ms "$rep" "$(far_time ready)"
				bench_result "$subject" "$case $first all" ms "$rep" "$all"
				bench_say "$subject $case $first $rep: ready $(far_time ready) ms, all $all ms"
			done
		done
	done
done
far_end
