#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how long does a read of what is not here take while the pull has the path to itself
# otherwise? Four readers, 4 KiB each of some hundred chunks in the upper half of 512 MiB, in an order
# without pattern, while the lower half is being pulled: beginning with the pull ("start"), and once it
# has been going for 20 round trips. In milliseconds. r3map-idle is the same without a pull.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin r3map-managed,r3map-pipeline,r3map-idle
half=$((256 << 20))
far_memory $((2 * half))

# demand_part CASE REP: the median, the 99th of 100 and the worst of the reads
demand_part()
{
	local p50 p99 worst
	read -r p50 p99 worst < <(sed -n 's/^read //p' "$FAR_OUT" | sort -g | awk '
		{ v[NR] = $1 }
		END { print v[int(NR * .5 + .5)], v[int(NR * .99 + .5)], v[NR] }')
	bench_result "$subject" "$1 p50" ms "$2" "$p50"
	bench_result "$subject" "$1 p99" ms "$2" "$p99"
	bench_result "$subject" "$1 worst" ms "$2" "$worst"
	bench_say "$subject $1 $2: p50 $p50, p99 $p99, worst $worst ms"
}

mapfile -t cases < <(bench_cases rtt10 rtt30)
for case in "${cases[@]}"; do
	rtt=${case#rtt}
	far_delay "$rtt"
	# for about as long as the lower half takes, and not longer
	count=$((6000 / (rtt + 5)))
	for subject in $(subject_list); do
		case $subject in
		r3map-idle) far_command r3map-managed --pull-workers 0 ;;
		*) far_command "$subject" ;;
		esac
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			far_clock "some:$count:$half:$((2 * half))"
			far_detach
			demand_part "$case start" "$rep"
			far_clock "pause:$((20 * rtt))" "some:$count:$half:$((2 * half))"
			far_detach
			demand_part "$case" "$rep"
		done
	done
done
far_end
