#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: does an application that writes notice the network? 4 KiB random writes past the page
# cache, 32 at a time, for half a second, to 64 MiB behind FAR_RATE: to a region that was pulled before
# ("local"), to one that is being pulled, with chunks of 4 KiB ("4k"), and of 64 KiB, of which such a
# write is only a part ("64k"). The pull of these begins with the first write: what is local by then
# would depend on how fast fio starts. What is dirty is pushed every 100 ms meanwhile. Then how long it takes
# to have everything at the server, whose bytes must be those of the device.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin "$FAR_SUBJECTS"
root_fio
export BENCH_RUNTIME=500ms
size=64M

# write_same: the server's bytes are the device's
write_same()
{
	dd if="$FAR_DEVICE" bs=1M iflag=direct status=none | cmp - "$FAR_FILE" ||
		bench_die "$subject $case: the server has other bytes than the device"
}

# write_case SUBJECT RTT STATE
write_case()
{
	local options=(--push-interval 100ms) job=$BENCH_JOBS/randwrite-qd32.fio late
	cp "$BENCH_DIR/jobs/randwrite-qd32.fio" "$job"
	case $3 in
	local) options+=(--pull-first "$size") ;;
	*) options+=(--chunk-size "${3^}" --pull-rate 1K) ;;
	esac
	case $1 in kernel-nbd | r3map-direct) options=() ;; esac
	far_command "$1" "${options[@]}"
	[ "$3" = local ] ||
		printf 'exec_prerun=%s set --pull-rate 0 %s\n' "$SUBJECT_PROGRAM" "$FAR_DEVICE" >>"$job"
	far_clock pause:0
	bench_fio "$FAR_DEVICE" randwrite-qd32 >"$BENCH_TMP/json"
	read -r _ ios _ kiops _ < <(jq -r "$BENCH_JQ | @tsv" "$BENCH_TMP/json")
	late=$(jq '.jobs[0].write.clat_ns.percentile."99.900000" / 1e6' "$BENCH_TMP/json")
	bench_result "$1" "$case" kiops "$rep" "$kiops"
	bench_result "$1" "$case p99.9" ms "$rep" "$late"
	far_tasks sync
	bench_result "$1" "$case sync" ms "$rep" "$(far_time sync)"
	write_same
	far_detach
	bench_say "$1 $case $rep: $kiops kIOPS ($ios writes), p99.9 $late ms," \
		"sync $(far_time sync) ms; same bytes"
}

far_file "$size"
far_serve file "$FAR_FILE"
mapfile -t cases < <(bench_cases "rtt0 local" "rtt30 local" "rtt0 4k" "rtt30 4k" "rtt0 64k" \
	"rtt30 64k")
for case in "${cases[@]}"; do
	read -r rtt state <<<"$case"
	far_delay "${rtt#rtt}"
	for subject in $(subject_list); do
		# they have no chunks
		case $subject,$state in
		kernel-nbd,[46]* | r3map-direct,[46]*) continue ;;
		esac
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			write_case "$subject" "$rtt" "$state"
		done
	done
done
far_end
