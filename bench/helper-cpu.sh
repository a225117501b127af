#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how much processor time does a request cost the process that
# serves it (helper), and the server behind that (server)? The sum over the
# threads of what /proc/PID/task/TID/schedstat counts, system calls included,
# over the requests of the job. What fio and kernel threads spend is not in
# it. Run by run.sh in the lab.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/subject.sh"

# cpu_mark: append "helper server", in nanoseconds so far, to BENCH_MARKS
cpu_mark()
{
	local kind pid ns line=''
	for kind in "$CPU_HELPER" "$CPU_SERVER"; do
		ns=0
		for pid in $kind; do
			ns=$((ns + $(cat "/proc/$pid/task/"*/schedstat |
				awk '{ ns += $1 } END { printf "%d", ns }')))
		done
		line+="$ns "
	done
	printf '%s\n' "$line" >>"$CPU_MARKS"
}

if [ "${1:-}" = --mark ]; then
	cpu_mark
	rm -rf "$BENCH_TMP"
	exit
fi

[ -n "${BENCH_SUBJECTS:-}" ] ||
	BENCH_SUBJECTS=kernel-nbd,r3map-mem,r3map-mem-inline,r3map-null,r3map-nbd,ublk-null,ublk-loop
mapfile -t cases < <(bench_cases randread-qd1 randread-qd32 randwrite-qd32 read-qd8)
# the same jobs, with a mark before and after each
BENCH_JOBS=$BENCH_TMP/jobs
mkdir "$BENCH_JOBS"
cp "$BENCH_DIR"/jobs/* "$BENCH_JOBS"
mark="$(cd "$(dirname "$0")" && pwd -P)/$(basename "$0") --mark"
jobs=(fill)
for case in "${cases[@]}"; do
	printf 'exec_prerun=%s\nexec_postrun=%s\n' "$mark" "$mark" >>"$BENCH_JOBS/$case.fio"
	for ((rep = 0; rep < BENCH_REPS; rep++)); do
		jobs+=("$case")
	done
done

export CPU_HELPER CPU_SERVER CPU_MARKS=$BENCH_TMP/marks
for subject in $(subject_list); do
	if ! subject_up "$subject"; then
		bench_say "$subject: skipped, $SUBJECT_WHY"
		bench_result "$subject" skipped why 0 "${SUBJECT_WHY//,/;}"
		subject_down || :
		continue
	fi
	CPU_HELPER=$SUBJECT_HELPER CPU_SERVER=$SUBJECT_SERVER
	: >"$CPU_MARKS"
	bench_fio "$SUBJECT_DEVICE" "${jobs[@]}" >"$BENCH_TMP/json"
	jq -r "$BENCH_JQ | @tsv" "$BENCH_TMP/json" | tail -n +2 >"$BENCH_TMP/tsv"
	[ "$(wc -l <"$CPU_MARKS")" = $(($(wc -l <"$BENCH_TMP/tsv") * 2)) ] ||
		bench_die "$subject: fio left $(wc -l <"$CPU_MARKS") marks"
	# two marks and one job on a line
	paste -d ' ' - - <"$CPU_MARKS" | paste -d ' ' - "$BENCH_TMP/tsv" >"$BENCH_TMP/both"
	line=0
	# shellcheck disable=SC2034 # read by name
	while read -r helper1 server1 helper2 server2 error ios _; do
		case=${cases[line / BENCH_REPS]} rep=$((line % BENCH_REPS + 1))
		line=$((line + 1))
		[ "$error" = 0 ] || bench_die "$subject $case: fio reports error $error"
		for who in helper server; do
			first=${who}1 last=${who}2
			[ "${!last}" != 0 ] || continue
			us=$(awk -v ns=$((${!last} - ${!first})) -v n="$ios" \
				'BEGIN { printf "%.3f", ns / n / 1000 }')
			bench_result "$subject" "$case $who" cpu_us "$rep" "$us"
			bench_say "$subject $case $rep: $who $us us a request"
		done
	done <"$BENCH_TMP/both"
	subject_down
done
