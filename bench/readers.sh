#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how many requests does the server get when 64 readers want the same 4 KiB at once,
# which are not here? Counted there, of those that touch these bytes; and how long until all have them.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin "$FAR_SUBJECTS"
log=$BENCH_TMP/far.log
far_memory "$BENCH_SIZE" --filter=log logfile="$log"
offset=$((100 << 20))
mapfile -t cases < <(bench_cases rtt10)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		case $subject in
		r3map-managed | r3map-pipeline) far_command "$subject" --pull-workers 0 ;;
		*) far_command "$subject" ;;
		esac
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			: >"$log"
			far_clock "many:64:$offset"
			far_detach
			count=0
			while read -r from length; do
				[ $((from)) -gt "$offset" ] || [ $((from + length)) -le "$offset" ] ||
					count=$((count + 1))
			done < <(grep -ao ' Read id=.* count=0x[0-9a-f]*' "$log" |
				grep -o '0x[0-9a-f]*' | paste -d ' ' - -)
			bench_result "$subject" "$case at the server" requests "$rep" "$count"
			bench_result "$subject" "$case" ms "$rep" "$(far_time many)"
			bench_say "$subject $case $rep: $count requests, $(far_time many) ms"
		done
	done
done
far_end
