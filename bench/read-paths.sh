#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does it cost to read a region of 128 MiB that is elsewhere, on each of the paths? Memory of
# another process by userfaultfd, plainly and with what the kernel offers, by SIGSEGV; devices, mapped; and
# memory and a file that are here. "ready" is from starting the command that makes the path until it can
# be used; "first" from then until the first 4 KiB were read, of a region that nobody has read; the rate is that of all
# of it in order, by one thread that touches page after page, with the first. A path that fetches page by page, and
# waits for each, reads as much as passes in some seconds.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/path.sh"

MIB=1048576
BENCH_SIZE=128M

# read_limit PATH RTT: bytes that tell the rate; 0: all
read_limit()
{
	case $1,$2 in
	signals,0 | uffd-plain,0 | uffd-events,0 | uffd-in-flight,0) echo $((16 * MIB)) ;;
	signals,* | uffd-plain,* | uffd-events,* | uffd-in-flight,*) echo $((2 * MIB / $2 + MIB / 4)) ;;
	uffd-around,0) echo $((64 * MIB)) ;;
	uffd-around,*) echo $((32 * MIB / $2 + MIB)) ;;
	*) echo 0 ;;
	esac
}

path_begin
mapfile -t cases < <(bench_cases rtt0 rtt1 rtt10 rtt40)
for case in "${cases[@]}"; do
	rtt=${case#rtt}
	far_delay "$rtt"
	for subject in $(subject_list); do
		! path_is_local "$subject" || [ "$rtt" = 0 ] || continue
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			path_up "$subject"
			path_use "$(read_limit "$subject" "$rtt")"
			path_down
			bench_result "$subject" "$case ready" ms "$rep" "$PATH_READY"
			bench_result "$subject" "$case first" ms "$rep" "$(awk -v us="$PATH_FIRST" 'BEGIN { print us / 1000 }')"
			bench_result "$subject" "$case" mbps "$rep" "$PATH_MBPS"
			bench_say "$subject $case $rep: ready after $PATH_READY ms, first $PATH_FIRST us, $PATH_MBPS MB/s"
		done
	done
done
far_end
