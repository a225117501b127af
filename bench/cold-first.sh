#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how long does the first read take, 4 KiB from the middle of a region that nobody has
# read yet? From when the device is ready, and from when the command that attaches it was started. 256
# MiB behind FAR_RATE. A managed mount reads a whole chunk, and pulls beside it; r3map-64k is one with
# chunks of 64 KiB, r3map-idle one that does not pull.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin "$FAR_SUBJECTS,r3map-idle,r3map-64k"
far_memory "$BENCH_SIZE"
mapfile -t cases < <(bench_cases rtt0 rtt10 rtt30)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		case $subject in
		r3map-idle) far_command r3map-managed --pull-workers 0 ;;
		r3map-64k) far_command r3map-managed --chunk-size 64K ;;
		*) far_command "$subject" ;;
		esac
		# the first one warms up
		for ((rep = 0; rep <= BENCH_REPS; rep++)); do
			far_clock first:134217728
			far_detach
			[ "$rep" -gt 0 ] || continue
			bench_result "$subject" "$case" ms "$rep" "$(far_time first)"
			bench_result "$subject" "$case with attach" ms "$rep" \
				"$(awk -v a="$(far_time first)" -v b="$(far_time ready)" 'BEGIN { print a + b }')"
			bench_say "$subject $case $rep: $(far_time first) ms, ready after $(far_time ready) ms"
		done
	done
done
far_end
