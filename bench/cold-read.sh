#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how fast does a region come that nobody has read yet, when all of it is read, one byte
# after the other, through the page cache? 256 MiB, from a server behind FAR_RATE, at several round
# trips. In MB/s, of the time from when the device is ready; and from when the command was started.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin "$FAR_SUBJECTS"
far_memory "$BENCH_SIZE"
mapfile -t cases < <(bench_cases rtt0 rtt10 rtt30)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		far_command "$subject"
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			far_clock all
			far_detach
			bench_result "$subject" "$case" mbps "$rep" \
				"$(awk -v ms="$(far_time all)" 'BEGIN { printf "%.2f", 268435.456 / ms }')"
			bench_result "$subject" "$case with attach" mbps "$rep" \
				"$(awk -v ms="$(far_time all)" -v ready="$(far_time ready)" \
					'BEGIN { printf "%.2f", 268435.456 / (ms + ready) }')"
			bench_say "$subject $case $rep: $(far_time all) ms, ready after $(far_time ready) ms"
		done
	done
done
far_end
