#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how long does one request take, and how many pass? Every case
# of jobs/ on every subject, BENCH_REPS times, in one fio per subject, after
# the subject was written once from end to end. Run by run.sh in the lab.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/subject.sh"

mapfile -t cases < <(bench_cases randread-qd1 randwrite-qd1 randread-qd32 \
	randwrite-qd32 read-qd8 write-qd8)
jobs=(fill)
for case in "${cases[@]}"; do
	for ((rep = 0; rep < BENCH_REPS; rep++)); do
		jobs+=("$case")
	done
done

for subject in $(subject_list); do
	if ! subject_up "$subject"; then
		bench_say "$subject: skipped, $SUBJECT_WHY"
		bench_result "$subject" skipped why 0 "${SUBJECT_WHY//,/;}"
		subject_down || :
		continue
	fi
	bench_fio "$SUBJECT_DEVICE" "${jobs[@]}" >"$BENCH_TMP/json"
	jq -r "$BENCH_JQ | @tsv" "$BENCH_TMP/json" | tail -n +2 >"$BENCH_TMP/tsv"
	line=0
	# shellcheck disable=SC2034 # read by name
	while read -r error ios lat_us kiops mbps; do
		case=${cases[line / BENCH_REPS]} rep=$((line % BENCH_REPS + 1))
		line=$((line + 1))
		metric=$(bench_metric "$case")
		[ "$error" = 0 ] || bench_die "$subject $case: fio reports error $error"
		[ "$ios" -gt 100 ] || bench_say "$subject $case: only $ios requests, give a longer --runtime"
		bench_result "$subject" "$case" "$metric" "$rep" "${!metric}"
		bench_say "$subject $case $rep: ${!metric} $metric ($ios requests)"
	done <"$BENCH_TMP/tsv"
	[ "$line" = $((${#cases[@]} * BENCH_REPS)) ] ||
		bench_die "$subject: fio gave $line results"
	subject_down
done
